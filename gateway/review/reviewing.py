"""The weekly review: its queue, questions, answers and signature, each with an entry of its own.

No table holds any of it: the queue follows from the week's entries, and what became of it is read in the log.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from gateway import tables
from gateway.access import compared
from gateway.audit.entry import Entry, Opening
from gateway.audit.log import Log
from gateway.audit.openings import Openings
from gateway.canonical import Json, canonical
from gateway.catalogue import Catalogue
from gateway.errors import ConfigurationError, Unavailable
from gateway.review import activity
from gateway.review.fields import of_origin
from gateway.review.findings import Finding, Tally, by_terms
from gateway.review.rules import RULES
from gateway.review.standing import ANSWER, ASK, SIGN, Standing, entries_of, signed_weeks, standing
from gateway.review.week import Week
from gateway.store import Store

# Days after a week's end within which it is to be signed.
TERM = timedelta(days=7)
LONGEST = 4000
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Item:
    """A finding under an id that is the same whenever the queue is made."""

    id: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Queue:
    """A week's items, the weightiest first, and what was said of them."""

    week: Week
    items: tuple[Item, ...]
    standing: Standing

    @property
    def unanswered(self) -> tuple[Item, ...]:
        """The items whose last word is not an answer."""
        return tuple(item for item in self.items if not self.standing.answered(item.id))


@dataclass(frozen=True, slots=True)
class Review:
    """The review of one log, by the days of one city."""

    store: Store
    log: Log
    openings: Openings
    catalogue: Catalogue
    clock: Callable[[], datetime]

    @property
    def last_week(self) -> Week:
        """The newest week that has ended."""
        return Week.of(self.clock().astimezone(self._zone).date() - timedelta(days=7))

    @property
    def _zone(self) -> ZoneInfo:
        return self.catalogue.time_zone

    def queue(self, week: Week, by: str) -> Queue:
        """Make a week's queue. The questions that it opens are counted in an entry, which is written first."""
        since, until = week.begins(self._zone).timestamp(), week.ends(self._zone).timestamp()
        tally = Tally(self._zone, of_origin(self.catalogue))
        with self.store.reading() as connection:
            for leaf in activity.leaves(connection, since, until):
                tally.add(leaf)
            said = entries_of(connection, str(week))
        facts: dict[str, Json] = {"week": str(week), "opened": len(tally.to_open) + len(said)}
        self._write("audit-review", by, facts, Opening("reason", "weekly review"))
        with self.store.reading() as connection:
            first_seen = activity.first_seen(connection, tally.clients)
            findings = [
                *tally.findings(first_seen, since),
                *by_terms(activity.asked(connection, self.openings, tally.to_open)),
            ]
            told = standing(connection, self.openings, said)
        findings.sort(key=lambda each: (-each.rule.points, -len(each.entries), each.client))
        return Queue(week, tuple(Item(_item_id(each.rule.name, each.client, week), each) for each in findings), told)

    def ask(self, item: str, question: str, by: str) -> None:
        """Ask about an item."""
        self._say(ASK, item, question, by)

    def answer(self, item: str, text: str, by: str) -> None:
        """Answer what was asked of an item, or say of one that nobody asked about what it is."""
        self._say(ANSWER, item, text, by)

    def sign(self, week: Week, by: str) -> Queue:
        """Sign a week off that is over, not signed yet, and whose items were all answered by someone else."""
        if week.ends(self._zone) > self.clock():
            raise ConfigurationError(f"the week {week} is not over")
        begun = _begun(self.store)
        if begun is None or week.ends(self._zone) <= begun:
            raise ConfigurationError(f"the log holds nothing of the week {week}, nor of any before it")
        self._refuse_signed(week)
        queue = self.queue(week, by)
        if queue.unanswered:
            ids = ", ".join(item.id for item in queue.unanswered)
            raise ConfigurationError(f"the week {week} has items that are not answered: {ids}")
        if compared(by) in queue.standing.answerers():
            raise ConfigurationError(f"{by} has answered for the week {week}: someone else must sign it")
        self._write(SIGN, by, {"week": str(week), "items": [item.id for item in queue.items]})
        return queue

    def _say(self, action: str, item: str, text: str, by: str) -> None:
        if not text.strip() or len(text) > LONGEST:
            raise ConfigurationError(f"the text must have 1 to {LONGEST} characters")
        week, rule = self._named(item)
        self._refuse_signed(week)
        self._write(action, by, {"week": str(week), "item": item, "rule": rule}, Opening("text", text))

    def _named(self, item: str) -> tuple[Week, str]:
        """Return the week and the rule of an item: its digest is that of one of the rules for one of the clients."""
        unknown = ConfigurationError(f"there is no item {item}: 'gateway audit review' lists a week's items")
        name, parted, _ = item.rpartition("-")
        if not parted:
            raise unknown
        week = Week.named(name)
        with self.store.reading() as connection:
            since, until = week.begins(self._zone).timestamp(), week.ends(self._zone).timestamp()
            leaf = tables.leaf
            wanted = sa.select(leaf.c.client).where(leaf.c.time >= since, leaf.c.time < until).distinct()
            clients = list(connection.scalars(wanted.where(leaf.c.client.is_not(None))))
        for rule in RULES:
            if any(_item_id(rule.name, client, week) == item for client in clients):
                return week, rule.name
        raise unknown

    def _refuse_signed(self, week: Week) -> None:
        with self.store.reading() as connection:
            if str(week) in signed_weeks(connection):
                raise ConfigurationError(f"the week {week} is signed")

    def _write(self, action: str, by: str, facts: dict[str, Json], *openings: Opening) -> None:
        said = (Opening("officer", by), *openings)
        self.log.append(Entry(action, "permit", "done", self.clock(), None, facts, said))
        # What was said is read in the tree.
        with suppress(Unavailable):
            # A role of the database that may not seal leaves it to the gateway.
            self.log.seal_all()


def overdue(store: Store, zone: ZoneInfo, now: datetime) -> tuple[Week, ...]:
    """Return the weeks since the log's first entry that ended longer ago than the term, and are not signed."""
    begun = _begun(store)
    if begun is None:
        return ()
    with store.reading() as connection:
        signed = signed_weeks(connection)
    ended = takewhile(lambda week: week.ends(zone) + TERM <= now, _weeks(Week.of(begun.astimezone(zone).date())))
    return tuple(week for week in ended if str(week) not in signed)


def _begun(store: Store) -> datetime | None:
    """Return when the log's first entry was made."""
    with store.reading() as connection:
        first = connection.scalar(sa.select(sa.func.min(tables.leaf.c.time)))
    return None if first is None else datetime.fromtimestamp(first, UTC)


def _weeks(week: Week) -> Iterator[Week]:
    while True:
        yield week
        week = week.next()


def _item_id(rule: str, client: str, week: Week) -> str:
    digest = hashlib.sha256(canonical({"client": client, "rule": rule, "week": str(week)})).hexdigest()
    return f"{week}-{digest[:_DIGITS]}"
