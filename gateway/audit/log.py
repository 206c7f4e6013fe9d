"""The log's writer: an entry is durable before `append` returns, and sealed into the tree soon after."""

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from gateway import store as tables
from gateway.audit.checkpoint import Checkpoint, CheckpointError, Verifier, sign
from gateway.audit.entry import Commitment, Entry, SealedEntry, seal
from gateway.audit.merkle import Frontier, leaf_hash
from gateway.errors import ConfigurationError, Unavailable
from gateway.store import Store

BATCH = 1000
_NONCE = 12
# One round trip for an entry with all its openings.
_APPEND = """
    WITH appended AS (INSERT INTO entry (entry_id, leaf) VALUES (%(entry_id)s, %(leaf)b)),
         waiting AS (INSERT INTO pending (entry_id) VALUES (%(entry_id)s))
    INSERT INTO opening (entry_id, position, commitment, salt, sealed, person_index)
    SELECT %(entry_id)s, * FROM unnest(%(position)b::int[], %(commitment)b::bytea[], %(salt)b::bytea[],
                                       %(sealed)b::bytea[], %(person_index)b::bytea[])
"""

With = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """The proof that an entry is durable; only `Log.append` makes one, after its commit."""

    id: str


class Openings:
    """Seals the openings of entries and indexes them by person, each under a key of its own use."""

    def __init__(self, openings_key: bytes, index_key: bytes) -> None:
        self._cipher = AESGCM(openings_key)
        self._index_key = index_key

    def seal(self, commitment: Commitment, place: bytes) -> bytes:
        """Encrypt an opening's kind and value for its place, `entry id:position`."""
        nonce = os.urandom(_NONCE)
        plain = msgspec.json.encode([commitment.opening.kind, commitment.opening.value])
        return nonce + self._cipher.encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes) -> tuple[str, object]:
        """Decrypt an opening; raise InvalidTag."""
        kind, value = msgspec.json.decode(self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place))
        return kind, value

    def index_for(self, value: object) -> bytes | None:
        """Return the index that an opening must have: that of the person whom its value names, if it names one."""
        person = value.get("person") if isinstance(value, dict) else None
        return self.index_of(int(person)) if isinstance(person, str) else None

    def index_of(self, key: int) -> bytes:
        """Return the keyed index of a person or a record."""
        return hmac.digest(self._index_key, key.to_bytes(8, "big"), hashlib.sha256)


class _Told(msgspec.Struct):
    """Of a leaf, when it happened."""

    time: str


def _when(leaf: bytes) -> str:
    return msgspec.json.decode(leaf, type=_Told).time


def place(entry_id: str, position: int) -> bytes:
    """Name the place of an opening."""
    return f"{entry_id}:{position}".encode()


class Log:
    """One log in the gateway's store: an origin, a signing key, a tree."""

    def __init__(self, store: Store, origin: str, key: Ed25519PrivateKey, openings: Openings) -> None:
        self._store = store
        self._key = key
        self._openings = openings
        self.verifier = Verifier(origin, key.public_key())

    def append(self, entry: Entry, also: With | None = None) -> LoggedEntry:
        """Write an entry, and what `also` writes, in one transaction; return after the commit.

        A crash before the commit leaves nothing, and nothing was answered. A crash after it leaves an entry for an
        answer that was not sent: the log may say too much, never too little.
        """
        sealed = seal(entry)
        with self._store.transaction() as connection:
            self._insert(connection, sealed)
            # Last, so that what it locks is locked no longer than the commit takes.
            if also is not None:
                also(connection)
        return LoggedEntry(sealed.id)

    def _insert(self, connection: Connection, sealed: SealedEntry) -> None:
        openings = {
            "position": list(range(len(sealed.commitments))),
            "commitment": [commitment.digest for commitment in sealed.commitments],
            "salt": [commitment.salt for commitment in sealed.commitments],
            "sealed": [self._openings.seal(c, place(sealed.id, at)) for at, c in enumerate(sealed.commitments)],
            "person_index": [self._index(commitment) for commitment in sealed.commitments],
        }
        if not self._store.sqlite:
            connection.exec_driver_sql(_APPEND, {"entry_id": sealed.id, "leaf": sealed.leaf, **openings})
            return
        connection.execute(tables.entry.insert(), {"entry_id": sealed.id, "leaf": sealed.leaf})
        connection.execute(tables.pending.insert(), {"entry_id": sealed.id})
        rows = [
            {"entry_id": sealed.id, **dict(zip(openings, row, strict=True))}
            for row in zip(*openings.values(), strict=True)
        ]
        if rows:
            connection.execute(tables.opening.insert(), rows)

    def _index(self, commitment: Commitment) -> bytes | None:
        person = commitment.opening.person
        return None if person is None else self._openings.index_of(person)

    def seal(self) -> int:
        """Give the pending entries their places in the tree, and sign the new head; return how many were sealed.

        Only one sealer is at work: the head's row is locked, and moved only from the size that was read. A crash after
        the commit leaves a head without a checkpoint, which the next call signs.
        """
        with self._store.transaction() as connection:
            head = connection.execute(sa.select(tables.tree_head).with_for_update(skip_locked=True)).one_or_none()
            if head is None:
                return 0
            # Two steps: of a join, a planner may read the whole log to find the few that wait.
            waiting = list(connection.scalars(sa.select(tables.pending.c.entry_id).limit(BATCH)))
            chosen = sa.select(tables.entry.c.entry_id, tables.entry.c.leaf).where(tables.entry.c.entry_id.in_(waiting))
            found = connection.execute(chosen).all() if waiting else []
            entries = sorted(((e.entry_id, e.leaf) for e in found), key=lambda entry: _when(entry[1]))
            if entries:
                self._extend(connection, Frontier(head.size, head.frontier), entries)
        self._sign()
        return len(entries)

    def _extend(self, connection: Connection, frontier: Frontier, entries: list[tuple[str, bytes]]) -> None:
        before = frontier.size
        leaves = []
        for entry_id, leaf in entries:
            hashed = leaf_hash(leaf)
            leaves.append({"leaf_index": frontier.size, "entry_id": entry_id, "leaf_hash": hashed})
            frontier.append(hashed)
        connection.execute(tables.leaf.insert(), leaves)
        done = tables.pending.c.entry_id.in_([entry_id for entry_id, _ in entries])
        connection.execute(tables.pending.delete().where(done))
        moved = connection.execute(
            tables.tree_head.update()
            .where(tables.tree_head.c.size == before)
            .values(size=frontier.size, frontier=frontier.pack(), sealed_at=datetime.now(UTC))
        )
        if moved.rowcount != 1:
            raise Unavailable

    def _sign(self) -> None:
        """Sign the head if it has no checkpoint yet. Two signers of one head write the same note."""
        with self._store.transaction() as connection:
            head = connection.execute(sa.select(tables.tree_head)).one()
            known = sa.select(tables.checkpoint.c.size).where(tables.checkpoint.c.size == head.size)
            if connection.scalar(known) is not None:
                return
            root = Frontier(head.size, head.frontier).root()
            note = sign(Checkpoint(self.verifier.origin, head.size, root), self._key)
            row = {"size": head.size, "note": note}
            if self._store.sqlite:
                connection.execute(tables.checkpoint.insert(), row)
            else:
                connection.execute(postgresql.insert(tables.checkpoint).on_conflict_do_nothing(), row)

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint."""
        with self._store.reading() as connection:
            newest = sa.select(tables.checkpoint.c.note).order_by(tables.checkpoint.c.size.desc()).limit(1)
            note = connection.scalar(newest)
        if note is None:
            raise Unavailable
        return str(note)

    def check(self) -> None:
        """Refuse to start on a log of another origin, or one whose newest checkpoint this key did not sign.

        Nothing is sealed or signed before: a strange key would sign its own way in.
        """
        newest = sa.select(tables.checkpoint.c.note).order_by(tables.checkpoint.c.size.desc()).limit(1)
        with self._store.transaction() as connection:
            head = connection.execute(sa.select(tables.tree_head)).one()
            note = connection.scalar(newest)
        if head.origin != self.verifier.origin:
            raise ConfigurationError(f"the store holds the log '{head.origin}', not '{self.verifier.origin}'")
        if note is None and head.size:
            raise ConfigurationError("the store holds a log whose checkpoints are gone")
        if note is not None:
            self._check_continues(note, head)
        self.seal()

    def _check_continues(self, note: str, head: sa.Row[Any]) -> None:
        try:
            checkpoint = self.verifier.open(note)
        except CheckpointError as error:
            raise ConfigurationError(f"the log in the store is not this key's: {error}") from None
        root = Frontier(head.size, head.frontier).root()
        if checkpoint.size > head.size or (checkpoint.size == head.size and checkpoint.root != root):
            raise ConfigurationError("the log in the store does not continue its newest checkpoint")

    def unsealed(self) -> int:
        """Return how many entries wait for the sealer."""
        with self._store.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(tables.pending)) or 0
