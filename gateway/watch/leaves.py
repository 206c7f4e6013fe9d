"""Derives alerts about clients from sealed leaves, and sees when the sealer lags or the store is gone.

Whichever process sealed a leaf, and if it was a command: the one process that reads them raises the alert.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa

from gateway import tables
from gateway.errors import Code, Unavailable
from gateway.store import Store
from gateway.watch.alerts import Alert, Alerts, Kind
from gateway.watch.overdue import Overdue
from gateway.watch.tail import Placed, Tail

# A sweep: so many searches of one client by the same identifying field within so many minutes.
SWEEP_SEARCHES = 30
SWEEP_MINUTES = 10
# Of a client's searches in those minutes, how many are looked at: the newest.
SWEEP_BOUND = 1000
# Seconds that an entry may wait for its place before someone hears of it; the promise to clients is far longer.
LAG = 60

_OUTCOMES = {Code.BUDGET_SPENT.value: Kind.BUDGET_REACHED, Code.CLIENT_SUSPENDED.value: Kind.SUSPENDED_CLIENT}


class _Leaf(msgspec.Struct):
    id: str
    time: datetime
    action: str
    outcome: str
    client: str | None = None
    agency: str | None = None
    filtered: tuple[str, ...] = ()


_Searches = deque[tuple[float, tuple[str, ...]]]


class LeafWatch:
    """Looks at what was sealed since it last looked."""

    def __init__(
        self,
        store: Store,
        tail: Tail,
        alerts: Alerts,
        overdue: Overdue,
        identifying: Callable[[], frozenset[str]],
    ) -> None:
        self._store = store
        self._tail = tail
        self._alerts = alerts
        self._overdue = overdue
        self._identifying = identifying
        # By client, of the searches of the last minutes: when, and by which fields. Known from the store at first, then
        # from what is read anyway; forgotten when leaves may have passed unread, or may come again.
        self._recent: dict[str, _Searches] = {}

    def look(self) -> None:
        """Raise what there is to raise. A crash before the leaves are done with raises it again."""
        try:
            if not self._tail.claimed():
                self._recent.clear()
                return
            self._overdue.look()
            self._look_for_lag()
            leaves = self._tail.next()
            for alert in self._told(leaves):
                self._alerts.add(alert)
            if leaves:
                self._tail.done(leaves)
        except Unavailable:
            self._recent.clear()
            self._alerts.log_failed()

    def _look_for_lag(self) -> None:
        with self._store.reading() as connection:
            oldest = connection.scalar(sa.select(sa.func.min(tables.pending.c.since)))
        if oldest is not None and time.time() - oldest > LAG:
            self._alerts.add(Alert(Kind.SEALER_LAG, None, {"seconds": int(time.time() - oldest)}))

    def _told(self, placed: Sequence[Placed]) -> Iterator[Alert]:
        new: dict[str, list[_Leaf]] = {}
        looked_for, identifying = set(), self._identifying()
        for leaf in (msgspec.json.decode(each.leaf, type=_Leaf) for each in placed if each.leaf is not None):
            if leaf.client is None:
                continue
            if leaf.outcome in _OUTCOMES:
                facts = {"agency": leaf.agency, "entry": leaf.id}
                yield Alert(_OUTCOMES[leaf.outcome], leaf.client, facts)
            if leaf.action == "read":
                new.setdefault(leaf.client, []).append(leaf)
                if identifying.intersection(leaf.filtered):
                    looked_for.add(leaf.client)
        for client, leaves in new.items():
            newest = max(leaves, key=lambda leaf: leaf.time)
            if client in self._recent:
                self._recent[client].extend((leaf.time.timestamp(), leaf.filtered) for leaf in leaves)
            elif client in looked_for:
                self._recent[client] = self._read(client, placed[-1].index, newest.time.timestamp())
            if client in looked_for:
                yield from self._sweeps(client, newest, identifying)

    def _read(self, client: str, last: int, until: float) -> _Searches:
        leaf = tables.leaf
        recent = (
            sa.select(tables.entry.c.leaf)
            .join(leaf, leaf.c.entry_id == tables.entry.c.entry_id)
            .where(leaf.c.client == client, leaf.c.time.between(until - SWEEP_MINUTES * 60, until))
            # What comes behind is read when its turn comes.
            .where(leaf.c.action == "read", leaf.c.leaf_index <= last)
            .order_by(leaf.c.time.desc())
            .limit(SWEEP_BOUND)
        )
        with self._store.reading() as connection:
            read = [msgspec.json.decode(content, type=_Leaf) for content in connection.scalars(recent)]
        return deque(((each.time.timestamp(), each.filtered) for each in reversed(read)), SWEEP_BOUND)

    def _sweeps(self, client: str, newest: _Leaf, identifying: frozenset[str]) -> Iterator[Alert]:
        recent, since = self._recent[client], newest.time.timestamp() - SWEEP_MINUTES * 60
        while recent and recent[0][0] < since:
            recent.popleft()
        counted = Counter(field for _, filtered in recent for field in filtered if field in identifying)
        for field, searches in sorted(counted.items(), key=lambda each: (-each[1], each[0]))[:1]:
            if searches >= SWEEP_SEARCHES:
                facts = {"agency": newest.agency, "entry": newest.id, "field": field, "searches": searches}
                yield Alert(Kind.SWEEP, client, facts | {"minutes": SWEEP_MINUTES})
