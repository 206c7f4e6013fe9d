"""Exports the log as files that anyone can verify offline with the public key (docs/log-format.md, "Export")."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit.openings import OpeningError, Openings
from gateway.canonical import Json, canonical
from gateway.errors import ConfigurationError
from gateway.store import Store

FORMAT = "arrest-gateway-log-export/1"
PAGE = 500


@dataclass(frozen=True, slots=True)
class OpenedAt:
    """What the opening at a position of an entry held, with its salt."""

    entry: str
    position: int
    salt: bytes
    kind: str
    value: Json


@dataclass(frozen=True, slots=True)
class ErasedAt:
    """That the opening at a position of an entry is erased."""

    entry: str
    position: int


# Given a connection and the size of the tree: openings in the order of the leaves and of their positions.
Opens = Callable[[Connection, int], Iterable[OpenedAt | ErasedAt]]


def opens_nothing(_connection: Connection, _size: int) -> Iterable[OpenedAt | ErasedAt]:
    """Leave every sealed part sealed."""
    return ()


def export(store: Store, origin: str, directory: Path, opens: Opens = opens_nothing) -> int:
    """Write the log to a new directory as of one moment, in a stream; return how many leaves the export holds.

    Leaves that no checkpoint covers yet stand among the entries that wait. `log.json` comes last: an export that was
    broken off is none.
    """
    try:
        directory.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise ConfigurationError(f"{directory} can't be made: {error.strerror}") from None
    with store.snapshot() as connection:
        size: int | None = connection.scalar(sa.select(sa.func.max(tables.checkpoint.c.size)))
        if size is None:
            raise ConfigurationError("the log has no checkpoint yet")
        _write(directory / "checkpoints.ndjson", _checkpoints(connection))
        with _new(directory / "leaves.ndjson") as leaves, _new(directory / "commitments.ndjson") as commitments:
            for leaf, committed in _leaves(connection, size):
                leaves.write(leaf + b"\n")
                commitments.write(canonical(committed) + b"\n")
        _write(directory / "unsealed.ndjson", _unsealed(connection, size))
        _write(directory / "openings.ndjson", map(_line, opens(connection, size)))
    _write(directory / "log.json", [canonical({"format": FORMAT, "origin": origin, "size": size})])
    return size


def opens_all(openings: Openings) -> Opens:
    """Open every sealed part of the tree that is not erased."""

    def opened(connection: Connection, size: int) -> Iterator[OpenedAt | ErasedAt]:
        for at in range(0, size, PAGE):
            for row in connection.execute(_OPENINGS, {"first": at, "end": min(at + PAGE, size)}):
                if row.sealed is None:
                    yield ErasedAt(row.entry_id, row.position)
                    continue
                try:
                    held = openings.open(row.sealed, row.wrapped, row.entry_id, row.position)
                except OpeningError as error:
                    place = f"opening {row.position} of the entry {row.entry_id}"
                    raise ConfigurationError(f"{place} can't be opened: {error}") from None
                yield OpenedAt(row.entry_id, row.position, held.salt, held.kind, held.value)

    return opened


_HERE = (tables.leaf.c.leaf_index >= sa.bindparam("first"), tables.leaf.c.leaf_index < sa.bindparam("end"))
_LEAVES = (
    sa.select(tables.leaf.c.leaf_index, tables.leaf.c.leaf_hash, tables.entry.c.leaf)
    .outerjoin(tables.entry, tables.entry.c.entry_id == tables.leaf.c.entry_id)
    .where(*_HERE)
    .order_by(tables.leaf.c.leaf_index)
)
_OPENINGS = (
    sa.select(tables.leaf.c.leaf_index, tables.opening)
    .join(tables.opening, tables.opening.c.entry_id == tables.leaf.c.entry_id)
    .where(*_HERE)
    .order_by(tables.leaf.c.leaf_index, tables.opening.c.position)
)
_COMMITMENTS = _OPENINGS.with_only_columns(tables.leaf.c.leaf_index, tables.opening.c.commitment)


def _leaves(connection: Connection, size: int) -> Iterator[tuple[bytes, list[Json] | None]]:
    """Read each leaf with its commitments; of one whose entry is gone, whatever the log says of that, the hash."""
    for at in range(0, size, PAGE):
        here = {"first": at, "end": min(at + PAGE, size)}
        committed: dict[int, list[Json]] = defaultdict(list)
        for each in connection.execute(_COMMITMENTS, here):
            committed[each.leaf_index].append(each.commitment.hex())
        for row in connection.execute(_LEAVES, here):
            if row.leaf is None:
                yield canonical({"lost": row.leaf_hash.hex()}), None
            else:
                yield row.leaf, committed[row.leaf_index]


def _checkpoints(connection: Connection) -> Iterator[bytes]:
    statement = sa.select(tables.checkpoint).order_by(tables.checkpoint.c.size)
    for row in connection.execute(statement.execution_options(yield_per=PAGE)):
        yield canonical({"size": row.size, "note": row.note})


def _unsealed(connection: Connection, size: int) -> Iterator[bytes]:
    placed = sa.select(tables.leaf.c.entry_id).where(
        tables.leaf.c.entry_id == tables.entry.c.entry_id, tables.leaf.c.leaf_index < size
    )
    statement = sa.select(tables.entry.c.leaf).where(~placed.exists())
    yield from connection.scalars(statement.execution_options(yield_per=PAGE))


def _line(opening: OpenedAt | ErasedAt) -> bytes:
    place: dict[str, Json] = {"entry": opening.entry, "position": opening.position}
    match opening:
        case OpenedAt():
            return canonical({**place, "salt": opening.salt.hex(), "kind": opening.kind, "value": opening.value})
        case ErasedAt():
            return canonical({**place, "erased": True})


def _write(path: Path, lines: Iterable[bytes]) -> None:
    with _new(path) as file:
        file.writelines(line + b"\n" for line in lines)


def _new(path: Path) -> BinaryIO:
    """Open a new file that its owner alone may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
