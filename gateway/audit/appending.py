"""Makes entries durable: one statement and one commit for all the threads of a process that wait for one.

While one thread waits for the disk, others come with theirs; the first of them then writes for all.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from sqlalchemy.engine import Connection

from gateway import prepared
from gateway.audit.openings import Sealed
from gateway.errors import Unavailable
from gateway.prepared import Prepared
from gateway.store import Store

# Of one entry or of several: their rows, their places in the queue, and all their openings.
_INSERT = """
    appended AS (
        INSERT INTO entry (entry_id, leaf)
        SELECT * FROM unnest($1::text[], $2::bytea[]) AS new (entry_id, leaf) {held}),
    waiting AS (
        INSERT INTO pending (entry_id, since, mark)
        SELECT * FROM unnest($1::text[], $3::float8[], $4::bytea[]) AS new (entry_id, since, mark) {held}),
    opened AS (
        INSERT INTO opening (entry_id, position, commitment, sealed, wrapped, about, record)
        SELECT * FROM unnest($5::text[], $6::int[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[], $11::bytea[])
                      AS new (entry_id, position, commitment, sealed, wrapped, about, record) {held})
"""
_APPEND = Prepared(b"append", f"WITH {_INSERT.format(held='')} SELECT WHERE false".encode())
# An entry whose marks the store does not hold yet is left out, and named; so is any on a day that is over, for which
# each has a row without a mark.
_APPEND_HELD = Prepared(
    b"append_held",
    f"""
    WITH charged AS (
        SELECT * FROM unnest($12::text[], $13::text[], $14::text[], $15::text[])
                      AS new (entry_id, agreement_id, day, mark)),
    unheld AS (
        SELECT entry_id FROM charged
        WHERE mark IS NOT NULL AND NOT EXISTS (
            SELECT FROM budget_mark AS held
            WHERE (held.agreement_id, held.day, held.mark) = (charged.agreement_id, charged.day::date, charged.mark))
        UNION
        SELECT entry_id FROM charged JOIN budget_refusal AS refused USING (agreement_id)
        WHERE mark IS NULL AND refused.day = charged.day::date AND refused.refusals_left = 0),
    {_INSERT.format(held="WHERE new.entry_id NOT IN (SELECT unheld.entry_id FROM unheld)")}
    SELECT entry_id FROM unheld
    """.encode(),
)
# The same within a transaction of several statements, of one entry.
_ONE = """
    WITH appended AS (INSERT INTO entry (entry_id, leaf) VALUES (%(entry_id)s, %(leaf)b)),
         waiting AS (INSERT INTO pending (entry_id, since, mark) VALUES (%(entry_id)s, %(since)s, %(mark)b))
    INSERT INTO opening (entry_id, position, commitment, sealed, wrapped, about, record)
    SELECT %(entry_id)s, * FROM unnest(%(position)b::int[], %(commitment)b::bytea[], %(sealed)b::bytea[],
                                       %(wrapped)b::bytea[], %(about)b::bytea[], %(record)b::bytea[])
"""
_ENTRY = "INSERT INTO entry (entry_id, leaf) VALUES (?, ?)"
_PENDING = "INSERT INTO pending (entry_id, since, mark) VALUES (?, ?, ?)"
_OPENING = """
    INSERT INTO opening (entry_id, position, commitment, sealed, wrapped, about, record) VALUES (?, ?, ?, ?, ?, ?, ?)
"""


class Charge(Protocol):
    """What an entry costs of a budget: marks that are free where the day holds them already, until the day is over."""

    @property
    def agreement(self) -> str:
        """Whose budget it is."""

    @property
    def day(self) -> date:
        """The local day."""

    @property
    def marks(self) -> Sequence[str]:
        """What is counted."""

    def settle(self, connection: Connection) -> None:
        """Charge it in a transaction; raise Throttled, which undoes that."""


@dataclass(frozen=True, slots=True)
class Written:
    """An entry as the store keeps it, and since when it waits for its place in the tree."""

    id: str
    leaf: bytes
    since: float
    mark: bytes
    commitments: Sequence[bytes]
    openings: Sequence[Sealed]

    def rows(self) -> list[tuple[str, int, bytes, bytes, bytes, bytes | None, bytes | None]]:
        """Return the rows of its openings."""
        both = zip(self.commitments, self.openings, strict=True)
        return [(self.id, at, digest, o.sealed, o.wrapped, o.about, o.record) for at, (digest, o) in enumerate(both)]


def insert(connection: Connection, written: Written) -> None:
    """Write an entry in a transaction."""
    rows = written.rows()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_ENTRY, (written.id, written.leaf))
        connection.exec_driver_sql(_PENDING, (written.id, written.since, written.mark))
        if rows:
            connection.exec_driver_sql(_OPENING, rows)
        return
    names = ("position", "commitment", "sealed", "wrapped", "about", "record")
    given = {"entry_id": written.id, "leaf": written.leaf, "since": written.since, "mark": written.mark}
    connection.exec_driver_sql(_ONE, given | {name: [row[n] for row in rows] for n, name in enumerate(names, 1)})


@dataclass(slots=True)
class _Place:
    """An entry that waits to be written; it is over once somebody has tried, and `kept` says what came of it."""

    written: Written
    charge: Charge | None
    over: bool = False
    kept: bool | None = None


class Appender:
    """Writes the entries of one process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Condition()
        self._places: list[_Place] = []
        self._writing = False

    def append(self, written: Written, charge: Charge | None = None) -> bool:
        """Write an entry, and return once it is durable; raise Unavailable.

        Return False, and write nothing, where it costs marks that the store does not hold, or the day is over.
        """
        place = _Place(written, charge)
        with self._turn:
            self._places.append(place)
            while self._writing and not place.over:
                self._turn.wait()
            batch = [] if place.over else self._places
            if batch:
                self._places, self._writing = [], True
        if batch:
            self._write_for_all(batch)
        # A statement of several that failed is taken apart, so that nobody fails for another's sake. Had it been
        # committed all the same, there are entries now of answers that were not sent.
        return self._write([place]) if place.kept is None else place.kept

    def _write_for_all(self, batch: list[_Place]) -> None:
        try:
            self._write(batch)
        except Unavailable:
            if len(batch) == 1:
                raise
        finally:
            with self._turn:
                for place in batch:
                    place.over = True
                self._writing = False
                self._turn.notify_all()

    def _write(self, batch: list[_Place]) -> bool:
        """Write entries in one statement; say of each whether it was kept, and so of the first."""
        if self._store.sqlite:
            with self._store.transaction() as connection:
                for place in batch:
                    insert(connection, place.written)
            left_out = frozenset[bytes | None]()
        else:
            left_out = self._append(batch)
        for place in batch:
            place.kept = place.written.id.encode() not in left_out
        return bool(batch[0].kept)

    def _append(self, batch: Sequence[_Place]) -> frozenset[bytes | None]:
        entries = [place.written for place in batch]
        rows = [row for each in entries for row in each.rows()]
        parameters = [
            prepared.texts([each.id for each in entries]),
            prepared.array(prepared.BYTEA, [each.leaf for each in entries]),
            prepared.doubles([each.since for each in entries]),
            prepared.array(prepared.BYTEA, [each.mark for each in entries]),
            prepared.texts([row[0] for row in rows]),
            prepared.integers([row[1] for row in rows]),
            prepared.array(prepared.BYTEA, [row[2] for row in rows]),
            prepared.array(prepared.BYTEA, [row[3] for row in rows]),
            prepared.array(prepared.BYTEA, [row[4] for row in rows]),
            prepared.array(prepared.BYTEA, [row[5] for row in rows]),
            prepared.array(prepared.BYTEA, [row[6] for row in rows]),
        ]
        charges = [
            (place.written.id, place.charge.agreement, place.charge.day.isoformat(), mark)
            for place in batch
            if place.charge is not None
            for mark in (*place.charge.marks, None)
        ]
        if not charges:
            self._store.run(_APPEND, parameters)
            return frozenset()
        parameters += [prepared.texts(column) for column in zip(*charges, strict=True)]
        return frozenset(row[0] for row in self._store.run(_APPEND_HELD, parameters))
