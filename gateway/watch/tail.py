"""Reads the log's leaves in the order of the tree, for a reader whose place is kept in the store.

One process at a time reads for a reader. The place is moved after the reader is done with what it got: after a crash
it gets the same leaves again, and never one too few.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit.merkle import leaf_hash
from gateway.errors import Unavailable
from gateway.store import Claim, Store

BATCH = 500
# Seconds after which a process asks again for a place that another one has.
PATIENCE = 5


class Missing(StrEnum):
    """Why the bytes that were hashed are not there: lost and declared so, or changed or removed by someone."""

    LOST = "lost"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Placed:
    """A leaf in its place: its hash, and the bytes that were hashed, if the store still has them."""

    index: int
    hashed: bytes
    leaf: bytes | Missing

    @classmethod
    def of(cls, row: Sequence[Any]) -> Self:
        """Hold the bytes of a row of `LEAVES` against their hash."""
        index, hashed, entry, content = row
        if entry is None:
            return cls(index, hashed, Missing.LOST)
        if content is None or leaf_hash(content) != hashed:
            return cls(index, hashed, Missing.CHANGED)
        return cls(index, hashed, content)


# SQLite keeps values of any type in any column: read as bytes, each can be hashed.
LEAVES = sa.select(
    tables.leaf.c.leaf_index,
    sa.cast(tables.leaf.c.leaf_hash, sa.LargeBinary),
    tables.leaf.c.entry_id,
    sa.cast(tables.entry.c.leaf, sa.LargeBinary),
).outerjoin(tables.entry, tables.entry.c.entry_id == tables.leaf.c.entry_id)

Beginning = Callable[[Connection], int]


def from_the_first(_: Connection) -> int:
    """Begin a new reader at the first leaf."""
    return 0


def from_now(connection: Connection) -> int:
    """Begin a new reader behind the newest leaf."""
    return connection.scalar(sa.select(tables.tree_head.c.size)) or 0


class Tail:
    """The place of one reader."""

    def __init__(self, store: Store, reader: str, beginning: Beginning) -> None:
        self._store = store
        self._reader = reader
        self._beginning = beginning
        self._claim: Claim | None = None
        self._asked_again = 0.0

    def begin(self) -> None:
        """Give a new reader its place; call it before anything happens that the reader must not miss."""
        insert = sqlite.insert if self._store.sqlite else postgresql.insert
        with self._store.transaction() as connection:
            row = {"sink": self._reader, "next_index": self._beginning(connection)}
            connection.execute(insert(tables.forwarded).values(row).on_conflict_do_nothing())

    def claimed(self) -> bool:
        """Whether this process is the one that reads; it takes the place if it is free."""
        if self._claim is not None and not self._claim.held():
            self.close()
        if self._claim is None and time.monotonic() >= self._asked_again:
            self._asked_again = time.monotonic() + PATIENCE
            self._claim = self._store.claim(f"reader-{self._reader}")
        return self._claim is not None

    def next(self) -> tuple[Placed, ...]:
        """Return the next leaves, a bounded number; only for the process that has claimed the reader's place."""
        place = sa.select(tables.forwarded.c.next_index).where(tables.forwarded.c.sink == self._reader)
        with self._store.reading() as connection:
            at = connection.execute(place).scalar_one()
            leaves = LEAVES.where(tables.leaf.c.leaf_index >= at).order_by(tables.leaf.c.leaf_index).limit(BATCH)
            return tuple(Placed.of(row) for row in connection.execute(leaves))

    def done(self, leaves: Sequence[Placed]) -> None:
        """Move the place behind these leaves; raise Unavailable where another process has moved it meanwhile."""
        table = tables.forwarded
        mine = (table.c.sink == self._reader) & (table.c.next_index == leaves[0].index)
        with self._store.transaction() as connection:
            moved = connection.execute(table.update().where(mine).values(next_index=leaves[-1].index + 1))
        if moved.rowcount != 1:
            self.close()
            raise Unavailable

    def close(self) -> None:
        """Let another process read."""
        if self._claim is not None:
            self._claim.close()
            self._claim = None
            self._asked_again = 0.0
