"""Where a page ends, told to the client as a sealed cursor, and where the next one begins."""

import hashlib
from dataclasses import dataclass, replace

from gateway.access import Search
from gateway.catalogue import Resource
from gateway.domains import TEXTUAL, Domain
from gateway.errors import Code, Malformed
from gateway.opaque import Cursor, Cursors
from gateway.plan.planner import Position
from gateway.policy.view import View
from gateway.records.query import Row

# Bytes that a cursor needs beside its sort values: the digests of what it was given under, the key, JSON's own.
_ROOM = 157


@dataclass(frozen=True, slots=True)
class Paging:
    """The pages of a client's search through a view."""

    cursors: Cursors
    client: str
    bundle: str
    resource: Resource
    view: View
    search: Search

    def start(self) -> Position | None:
        """Return where the page starts; raise Malformed for a cursor that belongs to something else."""
        if self.search.cursor is None:
            return None
        cursor = self.cursors.open(self.search.cursor, self._bound())
        if cursor.bundle != self._under():
            raise Malformed(Code.CURSOR_STALE, "Ask again from the first page.")
        return Position(cursor.values, cursor.key)

    def after(self, row: Row) -> str:
        """Return the cursor of the page that follows a row; its length tells nothing of the row."""
        values = tuple(row.compared[key.field] for key in self.search.sort)
        room = _ROOM
        for domain in self._sorted():
            # JSON writes a character in at most six bytes; dates, times and numbers need at most forty.
            room += 6 * domain.most + 10 if domain and domain.kind in TEXTUAL else 40
        return self.cursors.seal(Cursor(self._under(), row.key, values), self._bound(), room)

    def _sorted(self) -> list[Domain | None]:
        return [self.view.domain(self.resource, key.field) for key in self.search.sort]

    def _under(self) -> str:
        """Tell under what a cursor was given: the bundle, and how the view shows what is sorted by today."""
        return f"{self.bundle} {hashlib.sha256(repr(self._sorted()).encode()).hexdigest()[:16]}"

    def _bound(self) -> tuple[str, ...]:
        """Return what a cursor belongs to: the client, the purpose and the query, whatever the page's size."""
        asked = replace(self.search, cursor=None, limit=0, case=None)
        digest = hashlib.sha256(repr(asked).encode("utf-8", "surrogatepass")).hexdigest()
        return self.client, self.search.purpose, self.search.resource, digest
