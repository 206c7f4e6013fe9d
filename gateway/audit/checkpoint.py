"""Checkpoints: signed notes that commit to a log's size and root (C2SP tlog-checkpoint, signed-note)."""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.audit.merkle import HASH

_ED25519 = b"\x01"
_SIGNATURE = "\u2014 "


class CheckpointError(Exception):
    """A note that is not a checkpoint of this log, signed by this key."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits to: its origin, its number of leaves, its root hash."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the note's text, which is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A log's name and public key."""

    origin: str
    key: Ed25519PublicKey

    def key_id(self) -> bytes:
        """Return the first four bytes of the key's hash (signed-note, "Signatures")."""
        return hashlib.sha256(self.origin.encode() + b"\n" + _ED25519 + self.key.public_bytes_raw()).digest()[:4]

    def vkey(self) -> str:
        """Return the verifier key in the notation of signed-note, to hand to an auditor."""
        encoded = base64.b64encode(_ED25519 + self.key.public_bytes_raw()).decode()
        return f"{self.origin}+{self.key_id().hex()}+{encoded}"

    def open(self, note: str) -> Checkpoint:
        """Verify a signed note and return its checkpoint; raise CheckpointError.

        1. The text and the signatures are parted by an empty line.
        2. A signature by this log's name and key id verifies over the text.
        3. The text has three lines: origin, size, root; extension lines are refused, as this log writes none.
        """
        # 1.
        if any(character < " " and character != "\n" for character in note):
            raise CheckpointError("the note holds a control character")
        text, parted, signatures = note.rpartition("\n\n")
        if not parted or not signatures.endswith("\n"):
            raise CheckpointError("the note has no signature block")
        text += "\n"
        # 2.
        self._verify(text, signatures.removesuffix("\n"))
        # 3.
        lines = text.removesuffix("\n").split("\n")
        if len(lines) != 3 or lines[0] != self.origin:  # noqa: PLR2004 -- see 3. above
            raise CheckpointError(f"the note is not a checkpoint of the log {self.origin}")
        checkpoint = Checkpoint(lines[0], _size(lines[1]), _decode(lines[2]))
        if len(checkpoint.root) != HASH:
            raise CheckpointError("the root hash has the wrong length")
        return checkpoint

    def _verify(self, text: str, signatures: str) -> None:
        parsed = [_signature(line) for line in signatures.split("\n")]
        for signature in (signature for name, signature in parsed if name == self.origin):
            if signature[:4] == self.key_id():
                try:
                    self.key.verify(signature[4:], text.encode())
                except InvalidSignature:
                    raise CheckpointError("the checkpoint's signature is wrong") from None
                return
        raise CheckpointError(f"the note is not signed by the log {self.origin} with the key at hand")


def sign(checkpoint: Checkpoint, keys: Iterable[Ed25519PrivateKey]) -> str:
    """Return the note of a checkpoint, signed by each of the keys."""
    text = checkpoint.text()
    return f"{text}\n{''.join(_signed(checkpoint.origin, text, key) for key in keys)}"


def signers(note: str, origin: str) -> set[bytes]:
    """Return the ids of the log's keys by which a note says that it is signed; nothing is verified."""
    _, _, signatures = note.rpartition("\n\n")
    parsed = [_signature(line) for line in signatures.removesuffix("\n").split("\n")]
    return {signature[:4] for name, signature in parsed if name == origin}


def _signed(origin: str, text: str, key: Ed25519PrivateKey) -> str:
    key_id = Verifier(origin, key.public_key()).key_id()
    signature = base64.b64encode(key_id + key.sign(text.encode())).decode()
    return f"{_SIGNATURE}{origin} {signature}\n"


def _signature(line: str) -> tuple[str, bytes]:
    """Read a signature line: em dash, space, name, space, base64."""
    name, parted, encoded = line.removeprefix(_SIGNATURE).partition(" ")
    if not line.startswith(_SIGNATURE) or not name or not parted or not encoded:
        raise CheckpointError("a line among the signatures is none")
    return name, _decode(encoded)


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or (text != "0" and text.startswith("0")) or len(text) > 18:  # noqa: PLR2004 -- digits of an int64
        raise CheckpointError("the size is not a number")
    return int(text)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CheckpointError("the note holds what is not base64") from None
