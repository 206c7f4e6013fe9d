"""Where a page ends, told to the client as a sealed cursor, and where the next one begins."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.access import Search
from gateway.catalogue import Resource
from gateway.domains import TEXTUAL
from gateway.errors import Code, Malformed
from gateway.opaque import Cursor, Cursors
from gateway.plan.planner import Position
from gateway.policy.view import View
from gateway.records.query import Row

# Bytes that a cursor needs beside its sort values: the bundle's digest, the key, JSON's own.
_ROOM = 140


@dataclass(frozen=True, slots=True)
class Paging:
    """The pages of a client's search under a bundle."""

    cursors: Cursors
    client: str
    bundle: str
    search: Search

    def start(self) -> Position | None:
        """Return where the page starts; raise Malformed for a cursor that belongs to something else."""
        if self.search.cursor is None:
            return None
        cursor = self.cursors.open(self.search.cursor, self._bound())
        if cursor.bundle != self.bundle:
            raise Malformed(Code.CURSOR_STALE, "Ask again from the first page.")
        return Position(cursor.values, cursor.key)

    def after(self, row: Row, sort: Sequence[str], view: View, resource: Resource) -> str:
        """Return the cursor of the page that follows a row; its length tells nothing of the row."""
        values = tuple(row.compared[path] for path in sort)
        room = _ROOM
        for path in sort:
            domain = view.domain(resource, path)
            # JSON writes a character in at most six bytes; dates, times and numbers need at most forty.
            room += 6 * domain.most + 10 if domain and domain.kind in TEXTUAL else 40
        return self.cursors.seal(Cursor(self.bundle, row.key, values), self._bound(), room)

    def _bound(self) -> tuple[str, ...]:
        """Return what a cursor belongs to: the client, the purpose and the query, whatever the page's size."""
        asked = replace(self.search, cursor=None, limit=0, case=None)
        digest = hashlib.sha256(repr(asked).encode("utf-8", "surrogatepass")).hexdigest()
        return self.client, self.search.purpose, self.search.resource, digest
