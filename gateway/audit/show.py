"""Reads leaves for auditors; nothing sealed is opened here."""

from typing import Any

import msgspec
import sqlalchemy as sa

from gateway import store as tables
from gateway.store import Store


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
