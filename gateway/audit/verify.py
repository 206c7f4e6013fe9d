"""Verifies a log: that it is whole, in order, unchanged and signed, and that it continues an earlier checkpoint."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import rfc8785
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit import merkle
from gateway.audit.checkpoint import Checkpoint, CheckpointError, Verifier
from gateway.audit.openings import OpeningError, Openings, Sealed
from gateway.store import Store

PAGE = 500


class VerificationError(Exception):
    """The first thing that is wrong with a log."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified: the newest checkpoint as a note to keep, and what is not in the tree yet."""

    note: str
    size: int
    unsealed: int
    erased: int


@dataclass(slots=True)
class _Progress:
    frontier: merkle.Frontier
    roots: dict[int, bytes]
    erased: int = 0
    lost: set[int] = field(default_factory=set)


def verify(
    store: Store,
    verifier: Verifier,
    openings: Openings | None,
    against: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Verified:
    """Re-derive the whole log; raise VerificationError at the first thing wrong.

    1. Every stored checkpoint, and the one given, is a note of this log signed by its key.
    2. The leaves are numbered from 0 without a gap, and each has its entry.
    3. Each entry's bytes are canonical JSON, hash to its leaf, and name its id.
    4. Each entry's openings are complete; their commitments give the root in the leaf; those not erased prove theirs.
    5. The root re-derived at each checkpoint's size is the checkpoint's.
    6. The newest checkpoint covers every leaf: a shorter log was truncated, a longer one was not signed.
    7. Every entry is in the tree or waits for it; a leaf without its entry is declared lost by a later one.
    """
    with store.snapshot() as connection:
        # 1.
        notes = [_stored(verifier, size, note) for size, note in _notes(connection)]
        if not notes:
            raise VerificationError("the log has no checkpoint")
        newest = max(notes, key=lambda checkpoint: checkpoint.size)
        earlier = [] if against is None else [_opened(verifier, against, "the checkpoint given")]
        # 2. to 4.
        done = _Progress(merkle.Frontier(), {})
        wanted = {checkpoint.size for checkpoint in (*notes, *earlier)}
        _keep_root(done, wanted)
        for row in _leaves(connection):
            _check_leaf(connection, row, done.frontier.size, openings, done)
            done.frontier.append(row.leaf_hash)
            _keep_root(done, wanted)
            if done.frontier.size % PAGE == 0:
                progress(done.frontier.size)
        # 5.
        for checkpoint in earlier:
            _check_root(checkpoint, done, "the checkpoint given")
        for checkpoint in notes:
            _check_root(checkpoint, done, "a stored checkpoint")
        # 6.
        if done.frontier.size != newest.size:
            raise VerificationError(
                f"unsigned: the log holds {done.frontier.size} leaves and the newest checkpoint covers {newest.size}"
            )
        # 7.
        if done.lost:
            raise VerificationError(f"removed: leaf {min(done.lost)} has no entry, and no later leaf declares it lost")
        unsealed = _check_entries(connection)
        note = connection.scalar(sa.select(tables.checkpoint.c.note).where(tables.checkpoint.c.size == newest.size))
    return Verified(str(note), newest.size, unsealed, done.erased)


def _notes(connection: Connection) -> Iterator[tuple[int, str]]:
    table = tables.checkpoint
    yield from ((row.size, row.note) for row in connection.execute(sa.select(table).order_by(table.c.size)))


def _stored(verifier: Verifier, size: int, note: str) -> Checkpoint:
    checkpoint = _opened(verifier, note, "a stored checkpoint")
    if checkpoint.size != size:
        raise VerificationError(f"forged: a stored checkpoint of size {checkpoint.size} stands under {size}")
    return checkpoint


def _opened(verifier: Verifier, note: str, which: str) -> Checkpoint:
    try:
        return verifier.open(note)
    except CheckpointError as error:
        raise VerificationError(f"forged: {which} does not verify: {error}") from None


def _leaves(connection: Connection) -> Iterator[Any]:
    at = -1
    statement = (
        sa.select(tables.leaf.c.leaf_index, tables.leaf.c.entry_id, tables.leaf.c.leaf_hash, tables.entry.c.leaf)
        .outerjoin(tables.entry, tables.entry.c.entry_id == tables.leaf.c.entry_id)
        .where(tables.leaf.c.leaf_index > sa.bindparam("at"))
        .order_by(tables.leaf.c.leaf_index)
        .limit(PAGE)
    )
    while rows := connection.execute(statement, {"at": at}).all():
        yield from rows
        at = rows[-1].leaf_index


def _check_leaf(
    connection: Connection,
    row: Any,
    expected: int,
    openings: Openings | None,
    done: _Progress,
) -> None:
    # 2.
    if row.leaf_index != expected:
        raise VerificationError(f"removed: leaf {expected} is missing")
    if row.entry_id is None:
        done.lost.add(row.leaf_index)
        return
    if row.leaf is None:
        raise VerificationError(f"removed: leaf {row.leaf_index} has no entry {row.entry_id}")
    # 3.
    if merkle.leaf_hash(row.leaf) != row.leaf_hash:
        raise VerificationError(f"changed: the entry of leaf {row.leaf_index} does not hash to it")
    try:
        leaf = msgspec.json.decode(row.leaf)
        canonical = rfc8785.dumps(leaf) == row.leaf
        root, count = leaf["commitments"]["root"], leaf["commitments"]["count"]
        named, positions = leaf["id"], list(range(count))
        declared = range(leaf["first"], leaf["last"] + 1) if leaf["action"] == "log-loss" else range(0)
    except (msgspec.DecodeError, rfc8785.CanonicalizationError, RecursionError, KeyError, TypeError):
        raise VerificationError(f"malformed: leaf {row.leaf_index} is no entry") from None
    if not canonical or named != row.entry_id:
        raise VerificationError(f"malformed: leaf {row.leaf_index} is not canonical, or names another entry")
    done.lost = {index for index in done.lost if index not in declared}
    # 4.
    statement = sa.select(tables.opening).where(tables.opening.c.entry_id == row.entry_id)
    kept = connection.execute(statement.order_by(tables.opening.c.position)).all()
    if [opening.position for opening in kept] != positions:
        raise VerificationError(f"openings: leaf {row.leaf_index} lacks openings, or has too many")
    if merkle.root(merkle.leaf_hash(opening.commitment) for opening in kept).hex() != root:
        raise VerificationError(f"openings: the commitments of leaf {row.leaf_index} do not give its root")
    for opening in kept:
        if (opening.sealed is None) != (opening.wrapped is None):
            raise VerificationError(f"openings: an opening of leaf {row.leaf_index} is erased by half")
        done.erased += opening.sealed is None
        if openings is not None and opening.sealed is not None:
            _check_opening(openings, opening, row.leaf_index)


def _check_opening(openings: Openings, row: Any, index: int) -> None:
    kept = Sealed(row.sealed, row.wrapped, row.about, row.record)
    try:
        openings.check(kept, row.commitment, row.entry_id, row.position)
    except OpeningError as error:
        raise VerificationError(f"openings: of an opening of leaf {index}: {error}") from None


def _keep_root(done: _Progress, wanted: set[int]) -> None:
    if done.frontier.size in wanted:
        done.roots[done.frontier.size] = done.frontier.root()


def _check_root(checkpoint: Checkpoint, done: _Progress, which: str) -> None:
    if checkpoint.size > done.frontier.size:
        raise VerificationError(
            f"truncated: {which} covers {checkpoint.size} leaves, the log holds {done.frontier.size}"
        )
    if done.roots[checkpoint.size] != checkpoint.root:
        raise VerificationError(
            f"rewritten: the first {checkpoint.size} leaves do not give the root of {which}: "
            "a leaf was changed, removed or reordered, or the log forked"
        )


def _check_entries(connection: Connection) -> int:
    sealed = sa.select(tables.leaf.c.entry_id).where(tables.leaf.c.entry_id == tables.entry.c.entry_id)
    waiting = sa.select(tables.pending.c.entry_id).where(tables.pending.c.entry_id == tables.entry.c.entry_id)
    lost = sa.select(sa.func.count()).select_from(tables.entry).where(~sealed.exists(), ~waiting.exists())
    if connection.scalar(lost):
        raise VerificationError("removed: an entry is neither in the tree nor waiting for it")
    return connection.scalar(sa.select(sa.func.count()).select_from(tables.pending)) or 0
