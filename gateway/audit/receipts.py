"""Receipts: the proof that an entry has its place in the tree, for the client whom the entry concerns alone."""

import re
from typing import Any

import msgspec
import sqlalchemy as sa

from gateway import tables
from gateway.audit.merkle import leaf_hash
from gateway.audit.public import PublicPart, read
from gateway.audit.tiles import Disagreement
from gateway.errors import Code, NotFound, Unavailable
from gateway.store import Store

_ID = re.compile(r"[0-9a-f]{32}")


class _Leaf(msgspec.Struct):
    """Of a leaf, whom it concerns."""

    client: str | None = None


class Receipts:
    """Gives receipts against the newest checkpoint that was given out; they tell nothing of what a leaf says."""

    def __init__(self, store: Store, public: PublicPart) -> None:
        self._store = store
        self._public = public

    def of(self, entry_id: str, client: str) -> str:
        """Return the receipt of a client's own entry; refuse another's entry and none alike."""
        row = self._entry(entry_id) if _ID.fullmatch(entry_id) else None
        if row is None or msgspec.json.decode(row.leaf, type=_Leaf).client != client:
            raise NotFound(Code.ENTRY_NOT_FOUND, "It does not exist, or does not concern you.")
        try:
            note, tree = self._public.kept() or "", self._public.tree()
            size = read(note).size
            if row.leaf_index is None or row.leaf_index >= size:
                raise NotFound(Code.ENTRY_NOT_SEALED, "It is durable, and waits for its place; ask again.")
            if tree.leaf_hash(row.leaf_index) != leaf_hash(row.leaf):
                raise Unavailable
            return self._public.receipt(row.leaf_index, note)
        except (Disagreement, OSError) as error:
            raise Unavailable from error

    def _entry(self, entry_id: str) -> Any:
        joined = tables.entry.outerjoin(tables.leaf, tables.leaf.c.entry_id == tables.entry.c.entry_id)
        wanted = sa.select(tables.entry.c.leaf, tables.leaf.c.leaf_index).select_from(joined)
        with self._store.reading() as connection:
            return connection.execute(wanted.where(tables.entry.c.entry_id == entry_id)).one_or_none()
