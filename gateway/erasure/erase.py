"""Erasing a person from the log's sealed parts: what proved something of the person is destroyed, the tree stays."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.activation.approvers import Approvers
from gateway.audit.entry import Entry, Opening, person, subjects
from gateway.audit.log import Log
from gateway.audit.openings import Openings
from gateway.audit.sealed import ERASURE
from gateway.canonical import Json
from gateway.erasure import holds
from gateway.erasure.alone import alone
from gateway.erasure.order import Order, OrderError, digest, verify
from gateway.erasure.traces import Traces, chunks, opened, traces_of
from gateway.notices import Copy, Debt, due_after, owe
from gateway.opaque import Ids
from gateway.store import Store

_OPENING = tables.opening
_MARK = tables.budget_mark
# What someone wrote of their own when asking, and so may describe whom they asked about.
_WORDS = frozenset({"question", "reason", "body"})
_NOTHING = {"sealed": None, "wrapped": None, "about": None, "record": None}


@dataclass(frozen=True, slots=True)
class Enactment:
    """What is to be enacted: the order's bytes, its signatures, the officer, and the days to acknowledge notices."""

    content: bytes
    signatures: Sequence[str]
    by: str
    days: int


@dataclass(frozen=True, slots=True)
class Erased:
    """What was destroyed, in how many entries, and the notices that are owed for it."""

    openings: int
    entries: int
    marks: int
    owed: list[Copy]
    due: datetime


def enact(log: Log, openings: Openings, ids: Ids, approvers: Approvers, asked: Enactment, now: datetime) -> Erased:
    """Erase a person by a signed order, in one transaction; raise OrderError.

    1. The order is sound, and two approvers who count now have signed it. 2. From here on nobody else writes, so that
    a disclosure that commits at the same time is either found whole or comes whole after the erasure. 3. The order was
    not enacted before. 4. No legal hold stands on the person. 5. Every client that received a record of the person is
    owed a notice. 6. The person's openings and budget marks are destroyed. 7. The entry tells how much there was.
    A crash before the commit leaves everything as it was; after it, what the files of the database still hold is
    wiped by `wipe`, which can be done again.
    """
    # 1.
    order, signers = verify(asked.content, asked.signatures, log.verifier.origin, approvers, now)

    def deed(connection: Connection, entry_id: str) -> tuple[Entry, Erased]:
        # 2.
        alone(connection)
        _overwrite_what_is_freed(connection)
        # 3.
        _refuse_enacted(connection, digest(asked.content))
        # 4.
        if standing := holds.standing(connection, openings, order.person):
            raise OrderError(f"a legal hold stands on this person, and nothing is erased: {', '.join(standing)}")
        # 5.
        traces = traces_of(connection, openings, order.person)
        due = due_after(asked.days, now)
        owed = owe(connection, ids, traces.copies, Debt("expunged", entry_id, now, due))
        # 6.
        destroyed, entries = _destroy(connection, openings, order, traces)
        marks = _blot(connection, openings, [person(order.person), *traces.records])
        # 7.
        erased = Erased(destroyed, entries, marks, owed, due)
        return _told(order, digest(asked.content), signers, erased, asked.by, now), erased

    return log.perform(deed)


def wipe(store: Store) -> bool:
    """Wipe what the database's own files still hold of what was erased, as far as it can be asked to; say if it was.

    SQLite overwrote the freed parts of its pages (secure_delete); the write-ahead log is emptied here, unless someone
    is reading from it. PostgreSQL's VACUUM lets the dead rows' places be used again; it does not overwrite them.
    """
    with store.statement() as connection:
        if store.sqlite:
            return bool(connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0] == 0)
        connection.exec_driver_sql("VACUUM opening, budget_mark")
    return True


def _overwrite_what_is_freed(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")


def _refuse_enacted(connection: Connection, wanted: str) -> None:
    """Refuse an order that an entry tells of, whether or not it has its place in the tree."""
    sealed = sa.select(tables.leaf.c.entry_id).where(tables.leaf.c.action == ERASURE)
    ids = sealed.union_all(sa.select(tables.pending.c.entry_id))
    for leaf in connection.scalars(sa.select(tables.entry.c.leaf).where(tables.entry.c.entry_id.in_(ids))):
        told = _read(leaf)
        if told.get("action") == ERASURE and told.get("digest") == wanted:
            raise OrderError(f"the order was enacted before, by the entry {told['id']}: propose it again")


def _read(leaf: bytes) -> dict[str, Any]:
    """Read a leaf; what waits may be anything, if someone else wrote it into the store."""
    try:
        told = msgspec.json.decode(leaf)
    except msgspec.DecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _destroy(connection: Connection, openings: Openings, order: Order, traces: Traces) -> tuple[int, int]:
    """Destroy the openings of a person and of the person's records; return how many, and in how many entries.

    And the words with which someone asked (`question`, `reason`) and the digest of what was answered (`body`), in
    entries that name no other person any more. Such a question is often the person's name or date of birth, typed in;
    kept, it would tell as much as the record did, and it tells nothing else, for the entry answers about nobody else.
    The digest would tell a copy of the record from all others. Where others were disclosed too, the words are the
    account that these persons are owed, and a list that matched several describes no one of them alone: they stay until
    the last of the persons is erased. The case number, the officer and the circumstances stay in any event: they tell
    of whoever asked.
    """
    destroyed = 0
    entries = set(traces.entries)
    chosen: list[sa.ColumnElement[bool]] = [_OPENING.c.about.in_(openings.indexes_of(person(order.person)))]
    # What names one of the person's records and no person, such as a recall. A record may have become another's.
    records = (index for name in sorted(traces.records) for index in openings.indexes_of(name))
    chosen += [sa.and_(_OPENING.c.record.in_(hashes), _OPENING.c.about.is_(None)) for hashes in chunks(records)]
    for each in chosen:
        entries.update(connection.scalars(sa.select(_OPENING.c.entry_id).where(each)))
        destroyed += connection.execute(_OPENING.update().where(each).values(_NOTHING)).rowcount
    for some in chunks(sorted(entries)):
        for row in _words(connection, openings, some):
            place = sa.and_(_OPENING.c.entry_id == row.entry_id, _OPENING.c.position == row.position)
            destroyed += connection.execute(_OPENING.update().where(place).values(_NOTHING)).rowcount
    return destroyed, len(entries)


def _words(connection: Connection, openings: Openings, entries: Sequence[str]) -> Iterable[Any]:
    """Return the openings of those entries, that name no person any more, with the words of whoever asked."""
    others = sa.select(_OPENING.c.entry_id).where(_OPENING.c.entry_id.in_(entries), _OPENING.c.record.is_not(None))
    # Entries that still name a record are of another person; to open all of theirs would be much for nothing.
    alone_there = sa.and_(_OPENING.c.entry_id.in_(entries), _OPENING.c.entry_id.not_in(others))
    left = sa.select(_OPENING).where(alone_there, _OPENING.c.sealed.is_not(None)).order_by(_OPENING.c.entry_id)
    for _, rows in groupby(connection.execute(left).all(), attrgetter("entry_id")):
        held = [(row, opened(openings, row)) for row in rows]
        named = {subjects(each.kind, each.value)[0] or "" for _, each in held}
        if not any(name.startswith(person("")) for name in named):
            yield from (row for row, each in held if each.kind in _WORDS)


def _blot(connection: Connection, openings: Openings, names: Iterable[str]) -> int:
    """Put a random mark in the place of each that stands for a person or record; return how many there were.

    So the day's budget is as much spent as before: an erasure gives no agency more persons to see.
    """
    blotted = 0
    for marks in chunks(index.hex() for name in names for index in openings.indexes_of(name)):
        for row in connection.execute(sa.select(_MARK).where(_MARK.c.mark.in_(marks))).all():
            same = sa.and_(*(column == getattr(row, column.name) for column in _MARK.c))
            blotted += connection.execute(_MARK.update().where(same).values(mark=os.urandom(32).hex())).rowcount
    return blotted


def _told(order: Order, named: str, signers: Sequence[str], erased: Erased, by: str, now: datetime) -> Entry:
    facts: dict[str, Json] = {
        "digest": named,
        "signers": list(signers),
        "openings": erased.openings,
        "entries": erased.entries,
        "marks": erased.marks,
        "notices": len(erased.owed),
    }
    sealed = (Opening("officer", by), Opening("order", {"id": order.id, "reference": order.reference}))
    return Entry(ERASURE, "permit", "done", now, None, facts, sealed)
