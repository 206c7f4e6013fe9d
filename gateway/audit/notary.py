"""The notary of a log: which of its checkpoint keys signs, and which notes are the log's own, through rotations."""

from contextlib import suppress

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit.checkpoint import Checkpoint, CheckpointError, Verifier, sign
from gateway.keys import Ring

_KEYS = tables.key_record
_CHECKPOINT = _KEYS.c.use == "checkpoint"


class Notary:
    """Signs checkpoints by the keys at hand, and verifies notes by them."""

    def __init__(self, origin: str, keys: Ring[Ed25519PrivateKey]) -> None:
        self._origin = origin
        self._keys = keys.keys
        self.verifier = self._verifier(keys.newest)

    def sign(self, checkpoint: Checkpoint, before: str | None, connection: Connection) -> str:
        """Sign a checkpoint; `before` is the note before it.

        A key signs once the tree tells of it. The first note under a new key is signed by the key before it too, so
        that whoever trusts that one learns of the new.
        """
        number = self._in_force(connection)
        numbers = dict.fromkeys((number if before is None else self._signer(before), number))
        return sign(checkpoint, [self._keys[number] for number in numbers])

    def is_succeeded(self, note: str, connection: Connection) -> bool:
        """Whether a key that is known, and not at hand, signed a note: then those at hand alone count no longer."""
        others = sa.select(_KEYS.c.public).where(_CHECKPOINT & _KEYS.c.number.not_in(self._keys))
        for public in connection.scalars(others).all():
            with suppress(CheckpointError):
                Verifier.read(public).open(note)
                return True
        return False

    def open(self, note: str) -> Checkpoint:
        """Verify a note by the keys at hand and return its checkpoint; raise CheckpointError."""
        return self._verifier(self._signer(note)).open(note)

    def open_known(self, note: str, connection: Connection) -> Checkpoint:
        """Verify a note by any key that the log has recorded; raise CheckpointError.

        What is public on a machine that did not run is as old as its last hour, and its key may be retired by now; what
        another process signed meanwhile may be by a key that this one has not read yet.
        """
        recorded = sa.select(_KEYS.c.public).where(_CHECKPOINT & _KEYS.c.number.not_in(self._keys))
        for public in connection.scalars(recorded).all():
            with suppress(CheckpointError):
                return Verifier.read(public).open(note)
        return self.open(note)

    def accounted_for(self, note: str, connection: Connection) -> str:
        """Return a note that was given out, signed so that this tree accounts for it.

        Where the record of its key was lost, the key before signs the same tree. The next note is then signed by both,
        once the new key has been recorded again.
        """
        number = self._in_force(connection)
        if self._signer(note) == number:
            return note
        return sign(self.open_known(note, connection), [self._keys[number]])

    def _in_force(self, connection: Connection) -> int:
        """Return the number of the newest key at hand of which the tree tells; before it tells of any, of the first.

        One that was recorded since this process began is not at hand.
        """
        told = sa.select(sa.func.max(_KEYS.c.number)).join(tables.leaf, tables.leaf.c.entry_id == _KEYS.c.entry_id)
        number: int | None = connection.scalar(told.where(_CHECKPOINT & _KEYS.c.number.in_(self._keys)))
        return min(self._keys) if number is None else number

    def _signer(self, note: str) -> int:
        """Return the number of the newest key that signed a note; raise CheckpointError where none did."""
        newest, *older = sorted(self._keys, reverse=True)
        for number in (newest, *older):
            with suppress(CheckpointError):
                self._verifier(number).open(note)
                return number
        # Let the newest say what is wrong.
        self._verifier(newest).open(note)
        return newest

    def _verifier(self, number: int) -> Verifier:
        return Verifier(self._origin, self._keys[number].public_key())
