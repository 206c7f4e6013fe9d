"""Recalls: whoever received a record that has since been sealed, expunged or corrected is owed a notice of it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from gateway.audit.entry import Entry, Opening
from gateway.audit.log import Log
from gateway.audit.openings import Openings
from gateway.canonical import Json
from gateway.erasure.alone import alone
from gateway.erasure.traces import copies_of
from gateway.notices import Copy, Debt, due_after, owe
from gateway.opaque import Ids


@dataclass(frozen=True, slots=True)
class Recall:
    """What is recalled, why, by which officer, and within how many days clients are to acknowledge it."""

    resource: str
    key: int
    kind: str
    because: str
    by: str
    days: int


@dataclass(frozen=True, slots=True)
class Recalled:
    """What came of a recall: the notices now owed, the copies that had an open one before, and the last day."""

    owed: list[Copy]
    already: list[Copy]
    due: datetime


def recall(log: Log, openings: Openings, ids: Ids, asked: Recall, now: datetime) -> Recalled:
    """Find who received a record, and owe each a notice, in the transaction of the entry that tells of it.

    A request that is under way may still disclose the record afterwards, as it read the city's database before; to
    recall it once more, a little later, owes notices to those alone who have no open one.
    """

    def deed(connection: Connection, entry_id: str) -> tuple[Entry, Recalled]:
        alone(connection)
        copies = copies_of(connection, openings, asked.resource, asked.key)
        due = due_after(asked.days, now)
        owed = owe(connection, ids, copies, Debt(asked.kind, entry_id, now, due))
        facts: dict[str, Json] = {
            "kind": asked.kind,
            "notices": len(owed),
            "clients": len({copy.client for copy in owed}),
            "due": due.date().isoformat(),
        }
        # What the officer wrote may name the person: it is sealed with the record, and erased with it.
        named = Opening("recalled", {"resource": asked.resource, "key": str(asked.key), "because": asked.because})
        told = Entry("audit-recall", "permit", "done", now, None, facts, (Opening("officer", asked.by), named))
        return told, Recalled(owed, sorted(copies.difference(owed)), due)

    return log.perform(deed)
