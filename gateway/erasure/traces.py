"""What the log holds of a record or of a person: found by the keyed index, under old and new keys of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit import entry
from gateway.audit.openings import Opened, OpeningError, Openings
from gateway.errors import ConfigurationError
from gateway.notices import Copy

T = TypeVar("T")
# As many values as one statement of any database takes, with room to spare.
_CHUNK = 500
_OPENING = tables.opening


class _Leaf(msgspec.Struct):
    """Of a leaf, what says who received something."""

    action: str
    outcome: str
    client: str | None = None
    purpose: str | None = None

    def copy(self, resource: str, key: str) -> Copy | None:
        """Return the copy that a client received by the entry; None where it tells of something else."""
        if self.action != "read" or self.outcome != "disclosed" or self.client is None or self.purpose is None:
            return None
        return Copy(self.client, self.purpose, resource, int(key))


@dataclass(slots=True)
class Traces:
    """Of a person: the records by their names in the index, the copies that clients received, and the entries."""

    records: set[str] = field(default_factory=set)
    copies: set[Copy] = field(default_factory=set)
    entries: set[str] = field(default_factory=set)


def copies_of(connection: Connection, openings: Openings, resource: str, key: int) -> set[Copy]:
    """Return who received a record, for which purposes; entries that wait for their place in the tree count too."""
    named = _OPENING.c.record.in_(openings.indexes_of(entry.record(resource, key)))
    leaves = sa.select(tables.entry.c.leaf).where(
        tables.entry.c.entry_id.in_(sa.select(_OPENING.c.entry_id).where(named))
    )
    found = (_leaf(leaf).copy(resource, str(key)) for leaf in connection.scalars(leaves))
    return {copy for copy in found if copy is not None}


def traces_of(connection: Connection, openings: Openings, person: int) -> Traces:
    """Return what the log holds of a person; raise ConfigurationError where an opening can't be opened."""
    found = Traces()
    about = _OPENING.c.about.in_(openings.indexes_of(entry.person(person)))
    rows = sa.select(_OPENING, tables.entry.c.leaf).join(tables.entry, tables.entry.c.entry_id == _OPENING.c.entry_id)
    for row in connection.execute(rows.where(about)):
        found.entries.add(row.entry_id)
        match opened(openings, row):
            case Opened(kind="record", value={"resource": str(resource), "key": str(key)}):
                found.records.add(entry.record(resource, key))
                copy = _leaf(row.leaf).copy(resource, key)
                if copy is not None:
                    found.copies.add(copy)
    return found


def opened(openings: Openings, row: Any) -> Opened:
    """Open an opening's row; raise ConfigurationError where it was changed, or its key is not at hand."""
    try:
        return openings.open(row.sealed, row.wrapped, row.entry_id, row.position)
    except OpeningError as error:
        raise ConfigurationError(
            f"an opening of the entry {row.entry_id} can't be opened, and whom it names is not known: {error}; "
            "see 'gateway audit verify'"
        ) from None


def chunks(values: Iterable[T]) -> Iterator[Sequence[T]]:
    """Part values into as many as a statement takes."""
    listed = list(values)
    for at in range(0, len(listed), _CHUNK):
        yield listed[at : at + _CHUNK]


def _leaf(content: bytes) -> _Leaf:
    return msgspec.json.decode(content, type=_Leaf)
