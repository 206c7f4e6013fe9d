"""Derives alerts about clients from sealed leaves, and sees when the sealer lags or the store is gone.

Whichever process sealed a leaf, and if it was a command: the one process that reads them raises the alert.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated

import msgspec
import sqlalchemy as sa

from gateway import tables
from gateway.errors import Code, Unavailable
from gateway.store import Store
from gateway.watch.alerts import Alert, Alerts, Kind
from gateway.watch.overdue import Overdue
from gateway.watch.tail import LEAVES, Missing, Placed, Tail

# A sweep: so many searches of one client by the same identifying field within so many minutes.
SWEEP_SEARCHES = 30
SWEEP_MINUTES = 10
# Of a client's searches by one field in those minutes, how many are counted: the newest. No other search, by another
# field or by none, takes the place of one.
SWEEP_BOUND = 1000
# Leaves that are held at once when a client's last minutes are read from the store.
PAGE = 100
# Seconds that an entry may wait for its place before someone hears of it; the promise to clients is far longer.
LAG = 60

_OUTCOMES = {Code.BUDGET_SPENT.value: Kind.BUDGET_REACHED, Code.CLIENT_SUSPENDED.value: Kind.SUSPENDED_CLIENT}


class _Leaf(msgspec.Struct):
    id: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    action: str
    outcome: str
    client: str | None = None
    agency: str | None = None
    filtered: tuple[str, ...] = ()


# When a client searched, by the identifying field.
_Searches = dict[str, deque[float]]


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
        # By client, its searches of the last minutes. Known from the store at first, then from what is read anyway;
        # forgotten when leaves may have passed unread, or may come again.
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
        identifying = self._identifying()
        for index, leaf in self._leaves(placed):
            if leaf.client is None:
                continue
            if leaf.outcome in _OUTCOMES:
                facts = {"agency": leaf.agency, "entry": leaf.id}
                yield Alert(_OUTCOMES[leaf.outcome], leaf.client, facts)
            if leaf.action == "read" and not identifying.isdisjoint(leaf.filtered):
                yield from self._sweeps(leaf.client, leaf, index, identifying)

    def _leaves(self, placed: Iterable[Placed]) -> Iterator[tuple[int, _Leaf]]:
        """Yield the leaves that can be read; tell of those that are not what was sealed, and pass over them."""
        for each in placed:
            match each.leaf:
                case Missing.LOST:
                    continue
                case bytes(content):
                    # Nor does it stop what comes behind if the hash was changed with it.
                    with suppress(ValueError, RecursionError):
                        yield each.index, msgspec.json.decode(content, type=_Leaf)
                        continue
            self._alerts.add(Alert(Kind.LOG_DISAGREEMENT, None, {"index": each.index}))

    def _sweeps(self, client: str, leaf: _Leaf, index: int, identifying: frozenset[str]) -> Iterator[Alert]:
        if client not in self._recent:
            self._recent[client] = self._read(client, leaf.time.timestamp(), index, identifying)
        counted = _add(self._recent[client], leaf, identifying)
        field, searches = min(counted.items(), key=lambda each: (-each[1], each[0]))
        if searches >= SWEEP_SEARCHES:
            facts = {"agency": leaf.agency, "entry": leaf.id, "field": field, "searches": searches}
            yield Alert(Kind.SWEEP, client, facts | {"minutes": SWEEP_MINUTES})

    def _read(self, client: str, until: float, index: int, identifying: frozenset[str]) -> _Searches:
        leaf = tables.leaf
        before = (
            LEAVES.where(leaf.c.client == client, leaf.c.time >= until - SWEEP_MINUTES * 60)
            # What comes behind is read when its turn comes.
            .where(leaf.c.action == "read", leaf.c.leaf_index < index)
            .order_by(leaf.c.time)
            # However many reads there are, few are held at once.
            .execution_options(yield_per=PAGE)
        )
        searches: _Searches = {}
        with self._store.snapshot() as connection:
            for _, search in self._leaves(map(Placed.of, connection.execute(before))):
                _add(searches, search, identifying)
        return searches


def _add(searches: _Searches, leaf: _Leaf, identifying: frozenset[str]) -> dict[str, int]:
    """Add a search by each of its identifying fields; return how many there were by each in its last minutes."""
    moment, counted = leaf.time.timestamp(), {}
    for field in identifying.intersection(leaf.filtered):
        times = searches.setdefault(field, deque(maxlen=SWEEP_BOUND))
        times.append(moment)
        while times[0] < moment - SWEEP_MINUTES * 60:
            times.popleft()
        counted[field] = len(times)
    return counted
