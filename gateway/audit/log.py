"""The log's writer: an entry is durable before `append` returns, and sealed into the tree soon after."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit.checkpoint import Checkpoint, CheckpointError, Verifier, sign
from gateway.audit.entry import Entry, SealedEntry, seal
from gateway.audit.merkle import Frontier, leaf_hash
from gateway.audit.openings import Openings
from gateway.audit.promise import Promised, Promises
from gateway.errors import ConfigurationError, Unavailable
from gateway.keys import Ring
from gateway.store import Store

BATCH = 1000
# One round trip for an entry with all its openings.
_APPEND = """
    WITH appended AS (INSERT INTO entry (entry_id, leaf) VALUES (%(entry_id)s, %(leaf)b)),
         waiting AS (INSERT INTO pending (entry_id, since) VALUES (%(entry_id)s, %(since)s))
    INSERT INTO opening (entry_id, position, commitment, sealed, wrapped, about, record)
    SELECT %(entry_id)s, * FROM unnest(%(position)b::int[], %(commitment)b::bytea[], %(sealed)b::bytea[],
                                       %(wrapped)b::bytea[], %(about)b::bytea[], %(record)b::bytea[])
"""
_OPENING = """
    INSERT INTO opening (entry_id, position, commitment, sealed, wrapped, about, record) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
# One statement for a batch of leaves: between several that are sent at once PostgreSQL does not count a silence.
_PLACED = """INSERT INTO leaf
    (leaf_index, entry_id, leaf_hash, time, action, decision, outcome, client, agency, purpose)
    SELECT * FROM unnest(%(leaf_index)b::bigint[], %(entry_id)b::varchar[], %(leaf_hash)b::bytea[], %(time)b::float8[],
        %(action)b::varchar[], %(decision)b::varchar[], %(outcome)b::varchar[],
        %(client)b::varchar[], %(agency)b::varchar[], %(purpose)b::varchar[])
"""
_NEWEST_CHECKPOINT = sa.select(tables.checkpoint).order_by(tables.checkpoint.c.size.desc()).limit(1)

With = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """The proof that an entry is durable, and the promise that it will be sealed; only `Log.append` makes one."""

    id: str
    promise: str


class _Leaf(msgspec.Struct):
    """Of a leaf, what it can be searched by."""

    time: str
    action: str
    decision: str
    outcome: str
    client: str | None = None
    agency: str | None = None
    purpose: str | None = None

    def columns(self) -> dict[str, object]:
        """Return what stands beside the leaf's hash."""
        return {**msgspec.structs.asdict(self), "time": datetime.fromisoformat(self.time).timestamp()}


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An entry that waits for its place: its leaf's hash, and what it can be searched by."""

    id: str
    hashed: bytes
    told: _Leaf

    @classmethod
    def read(cls, entry_id: str, leaf: bytes) -> "_Waiting":
        """Read it from its leaf's bytes."""
        return cls(entry_id, leaf_hash(leaf), msgspec.json.decode(leaf, type=_Leaf))


@dataclass(frozen=True, slots=True)
class Signing:
    """What signs for a log: its checkpoints, and the promises of its entries."""

    checkpoints: Ring[Ed25519PrivateKey]
    promises: Ring[Ed25519PrivateKey]


class Log:
    """One log in the gateway's store: an origin, signing keys, a tree; entries are sealed within `delay` seconds."""

    def __init__(self, store: Store, origin: str, signing: Signing, openings: Openings, delay: int) -> None:
        self._store = store
        self._checkpoints = signing.checkpoints
        self._promises = Promises(origin, signing.promises)
        self._openings = openings
        self._delay = delay
        # Until then, every entry had its place in the tree.
        self._complete_until = time.time()
        self.verifier = Verifier(origin, signing.checkpoints.keys[signing.checkpoints.newest].public_key())

    def append(self, entry: Entry, also: With | None = None) -> LoggedEntry:
        """Write an entry, and what `also` writes, in one transaction; return after the commit.

        A crash before the commit leaves nothing, and nothing was answered. A crash after it leaves an entry for an
        answer that was not sent: the log may say too much, never too little.
        """
        sealed = seal(entry)
        now = time.time()
        # Before the transaction: on SQLite it keeps all other writers out.
        written = self._written(sealed, now)
        with self._store.statement() if self._is_one(also) else self._store.transaction() as connection:
            self._insert(connection, written)
            # Last, so that what it locks is locked no longer than the commit takes.
            if also is not None:
                also(connection)
        made = int(now)
        promised = Promised(sealed.id, leaf_hash(sealed.leaf), made, made + self._delay)
        return LoggedEntry(sealed.id, self._promises.sign(promised))

    def _is_one(self, also: With | None) -> bool:
        """Whether an entry is one statement, and so a transaction without a BEGIN and a COMMIT to wait for."""
        return also is None and not self._store.sqlite

    def _written(self, sealed: SealedEntry, now: float) -> dict[str, Any]:
        kept = self._openings.seal(sealed.commitments, sealed.id)
        return {
            "entry_id": sealed.id,
            "leaf": sealed.leaf,
            "since": now,
            "position": list(range(len(kept))),
            "commitment": [commitment.digest for commitment in sealed.commitments],
            "sealed": [each.sealed for each in kept],
            "wrapped": [each.wrapped for each in kept],
            "about": [each.about for each in kept],
            "record": [each.record for each in kept],
        }

    def _insert(self, connection: Connection, written: dict[str, Any]) -> None:
        if not self._store.sqlite:
            connection.exec_driver_sql(_APPEND, written)
            return
        entry_id, leaf, since, *openings = written.values()
        connection.exec_driver_sql("INSERT INTO entry (entry_id, leaf) VALUES (?, ?)", (entry_id, leaf))
        connection.exec_driver_sql("INSERT INTO pending (entry_id, since) VALUES (?, ?)", (entry_id, since))
        rows = [(entry_id, *row) for row in zip(*openings, strict=True)]
        if rows:
            connection.exec_driver_sql(_OPENING, rows)

    def seal(self) -> int:
        """Give the pending entries their places in the tree, and sign the new head; return how many were sealed.

        Only one sealer is at work: the head's row is locked, and moved only from the size that was read. One that is
        cut off from the database loses the lock within seconds, and its commit fails. A crash after the commit leaves
        a head without a checkpoint, which the next call signs.
        """
        with self._store.transaction() as connection:
            self._store.hurry(connection)
            head = connection.execute(sa.select(tables.tree_head).with_for_update(skip_locked=True)).one_or_none()
            if head is None:
                return 0
            # Two steps: of a join, a planner may read the whole log to find the few that wait.
            oldest = sa.select(tables.pending.c.entry_id).order_by(tables.pending.c.since).limit(BATCH)
            waiting = list(connection.scalars(oldest))
            chosen = sa.select(tables.entry.c.entry_id, tables.entry.c.leaf).where(tables.entry.c.entry_id.in_(waiting))
            found = connection.execute(chosen).all() if waiting else []
            entries = sorted((_Waiting.read(e.entry_id, e.leaf) for e in found), key=lambda entry: entry.told.time)
            if entries:
                self._extend(connection, Frontier(head.size, head.frontier), entries)
        self._sign()
        return len(entries)

    def seal_all(self) -> None:
        """Seal whatever waits, and note until when the tree is complete."""
        began = time.time()
        while self.seal() == BATCH:
            pass
        with self._store.reading() as connection:
            oldest = connection.scalar(sa.select(sa.func.min(tables.pending.c.since)))
        # Another sealer may be at work, or none: what still waits says so.
        self._complete_until = began if oldest is None else min(began, oldest)

    def check_prompt(self) -> None:
        """Refuse while an entry has waited for its place longer than clients were promised, or nobody has looked."""
        if time.time() - self._complete_until > self._delay:
            raise Unavailable

    def _extend(self, connection: Connection, frontier: Frontier, entries: Sequence[_Waiting]) -> None:
        before = frontier.size
        leaves: list[dict[str, object]] = []
        for entry in entries:
            place: dict[str, object] = {"leaf_index": frontier.size, "entry_id": entry.id, "leaf_hash": entry.hashed}
            leaves.append(place | entry.told.columns())
            frontier.append(entry.hashed)
        if self._store.sqlite:
            connection.execute(tables.leaf.insert(), leaves)
        else:
            connection.exec_driver_sql(_PLACED, {name: [leaf[name] for leaf in leaves] for name in leaves[0]})
        done = tables.pending.c.entry_id.in_([entry.id for entry in entries])
        connection.execute(tables.pending.delete().where(done))
        moved = connection.execute(
            tables.tree_head.update()
            .where(tables.tree_head.c.size == before)
            .values(size=frontier.size, frontier=frontier.pack(), sealed_at=datetime.now(UTC))
        )
        if moved.rowcount != 1:
            raise Unavailable

    def _sign(self) -> None:
        """Sign the head if it has no checkpoint yet. Two signers of one head write the same note.

        The first note under a new key is signed by the key before it too: whoever trusts that one learns of the new.
        """
        with self._store.transaction() as connection:
            head = connection.execute(sa.select(tables.tree_head)).one()
            newest = connection.execute(_NEWEST_CHECKPOINT).one_or_none()
            if newest is not None and newest.size == head.size:
                return
            before = self._checkpoints.newest if newest is None else self._signer(newest.note)
            numbers = dict.fromkeys((before, self._checkpoints.newest))
            root = Frontier(head.size, head.frontier).root()
            checkpoint = Checkpoint(self.verifier.origin, head.size, root)
            note = sign(checkpoint, [self._checkpoints.keys[number] for number in numbers])
            row = {"size": head.size, "note": note}
            if self._store.sqlite:
                connection.execute(tables.checkpoint.insert(), row)
            else:
                connection.execute(postgresql.insert(tables.checkpoint).on_conflict_do_nothing(), row)

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint."""
        with self._store.reading() as connection:
            newest = connection.execute(_NEWEST_CHECKPOINT).one_or_none()
        if newest is None:
            raise Unavailable
        return str(newest.note)

    def check(self) -> None:
        """Refuse to start on a log of another origin, or one whose newest checkpoint this key did not sign.

        Nothing is sealed or signed before: a strange key would sign its own way in.
        """
        with self._store.transaction() as connection:
            head = connection.execute(sa.select(tables.tree_head)).one()
            newest = connection.execute(_NEWEST_CHECKPOINT).one_or_none()
        if head.origin != self.verifier.origin:
            raise ConfigurationError(f"the store holds the log '{head.origin}', not '{self.verifier.origin}'")
        if newest is None and head.size:
            raise ConfigurationError("the store holds a log whose checkpoints are gone")
        if newest is not None:
            self._check_continues(newest.note, head)
        self.seal_all()

    def _check_continues(self, note: str, head: sa.Row[Any]) -> None:
        try:
            checkpoint = self._verifier(self._signer(note)).open(note)
        except CheckpointError as error:
            raise ConfigurationError(f"the log in the store is not this key's: {error}") from None
        root = Frontier(head.size, head.frontier).root()
        if checkpoint.size > head.size or (checkpoint.size == head.size and checkpoint.root != root):
            raise ConfigurationError("the log in the store does not continue its newest checkpoint")

    def _signer(self, note: str) -> int:
        """Return the number of the newest key that signed a note; raise CheckpointError where none did."""
        numbers = sorted(self._checkpoints.keys, reverse=True)
        for number in numbers[:-1]:
            try:
                self._verifier(number).open(note)
            except CheckpointError:
                continue
            return number
        self._verifier(numbers[-1]).open(note)
        return numbers[-1]

    def _verifier(self, number: int) -> Verifier:
        return Verifier(self.verifier.origin, self._checkpoints.keys[number].public_key())

    def unsealed(self) -> int:
        """Return how many entries wait for the sealer."""
        with self._store.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(tables.pending)) or 0
