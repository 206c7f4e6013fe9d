"""Reads leaves for auditors; nothing sealed is opened here."""

from typing import Any

import msgspec
import sqlalchemy as sa

from gateway import tables
from gateway.errors import ConfigurationError
from gateway.store import Store

SHORTEST = 8


def one(store: Store, entry: str) -> dict[str, Any]:
    """Return the leaf of an entry, by its id or the first eight characters of it or more."""
    ids = tables.entry.c.entry_id
    wanted = sa.select(tables.entry.c.leaf).where(ids >= entry, ids < entry + "g").limit(2)
    with store.reading() as connection:
        leaves = list(connection.scalars(wanted)) if len(entry) >= SHORTEST else []
    if len(leaves) != 1:
        several = "several entries begin with" if leaves else "there is no entry"
        raise ConfigurationError(f"{several} {entry}; give the whole id")
    leaf: dict[str, Any] = msgspec.json.decode(leaves[0])
    return leaf


def latest(store: Store, count: int) -> list[dict[str, Any]]:
    """Return the newest leaves of the tree, the oldest of them first."""
    statement = (
        sa.select(tables.leaf.c.leaf_index, tables.entry.c.leaf)
        .join(tables.entry, tables.entry.c.entry_id == tables.leaf.c.entry_id)
        .order_by(tables.leaf.c.leaf_index.desc())
        .limit(count)
    )
    with store.reading() as connection:
        rows = connection.execute(statement).all()
    return [{"index": row.leaf_index, **msgspec.json.decode(row.leaf)} for row in reversed(rows)]
