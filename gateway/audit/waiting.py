"""What waits for its place in the tree, as far as a holder of the gateway's keys has written it."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit import heading
from gateway.audit.merkle import leaf_hash
from gateway.audit.openings import Openings

PAGE = 1000
_TABLE = tables.pending


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry that waits: since when, when it was made, and its row in the tree but for the index."""

    id: str
    hashed: bytes
    time: str
    since: float
    columns: dict[str, object]


def name(entry_id: str, hashed: bytes, since: float) -> str:
    """Name what the mark of a waiting entry is over."""
    return f"waits:{entry_id}:{hashed.hex()}:{since!r}"


def entries(connection: Connection, openings: Openings) -> Iterator[Waiting]:
    """Yield what waits, the oldest first; pass over what no holder of the keys has written.

    Whoever may only write the store can put something beside it. It must neither get a place nor keep others from
    theirs, however much it is; it waits for ever, which is told as sealing that lags, until the store's owner removes
    it.
    """
    after = (0.0, "")
    while True:
        place = sa.tuple_(_TABLE.c.since, _TABLE.c.entry_id)
        ordered = sa.select(_TABLE).where(place > after).order_by(_TABLE.c.since, _TABLE.c.entry_id).limit(PAGE)
        page = connection.execute(ordered).all()
        leaves = _leaves(connection, [row.entry_id for row in page])
        for row in page:
            leaf = leaves.get(row.entry_id, b"")
            hashed = leaf_hash(leaf)
            if openings.holds(name(row.entry_id, hashed, row.since), row.mark):
                told = heading.read(leaf)
                yield Waiting(row.entry_id, hashed, told.time, row.since, told.columns())
        if len(page) < PAGE:
            return
        after = (page[-1].since, page[-1].entry_id)


def _leaves(connection: Connection, ids: list[str]) -> dict[str, bytes]:
    """Read leaves; a step of its own: of a join, a planner may read the whole log to find the few that wait."""
    if not ids:
        return {}
    placed = sa.exists().where(tables.leaf.c.entry_id == tables.entry.c.entry_id)
    chosen = sa.select(tables.entry.c.entry_id, tables.entry.c.leaf).where(tables.entry.c.entry_id.in_(ids), ~placed)
    return {row.entry_id: row.leaf for row in connection.execute(chosen)}
