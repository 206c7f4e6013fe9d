"""Signed notes that are checkpoints (C2SP signed-note, tlog-checkpoint), and witnesses' cosignatures on them."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.verifier.tree import HASH
from gateway.verifier.verdict import VerificationError, Wrong

MAX_NOTE = 131_072
MAX_SIGNATURES = 100
_DASH = "\u2014"
_ED25519 = 0x01
_COSIGNATURE = 0x04
_KEY_ID = 4
_PUBLIC = 32
_SIGNED = 64
_MAX_SIZE_DIGITS = 18
_MAX_TIME = 253_402_300_799  # the last second of the year 9999


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A name and a public key, as signed-note's verifier keys write them."""

    name: str
    algorithm: int
    public: bytes

    @property
    def id(self) -> bytes:
        """Return the key id, which stands before each signature."""
        content = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public
        return hashlib.sha256(content).digest()[:_KEY_ID]

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether the key signed the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line."""

    name: str
    key_id: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint: whose, of how many leaves, with which root; the whole note, its text alone, and its signatures."""

    signed: str
    text: str
    origin: str
    size: int
    root: bytes
    signatures: tuple[Signature, ...]

    def signed_by(self, key: VerifierKey) -> bool:
        """Whether the log's key signed; raise VerificationError where a signature in its name is wrong."""
        found = [each.content for each in self.signatures if (each.name, each.key_id) == (key.name, key.id)]
        if any(len(each) != _SIGNED or not key.verify(each, self.text.encode()) for each in found):
            raise VerificationError(Wrong.FORGED, f"the signature on the checkpoint of size {self.size} is wrong")
        return bool(found)

    def cosigned_by(self, witness: VerifierKey) -> datetime | None:
        """Return when a witness cosigned, if it did; raise VerificationError where a signature in its name is wrong."""
        times = []
        for each in self.signatures:
            if (each.name, each.key_id) == (witness.name, witness.id):
                seconds, signature = int.from_bytes(each.content[:8], "big"), each.content[8:]
                message = f"cosignature/v1\ntime {seconds}\n{self.text}".encode()
                if len(signature) != _SIGNED or seconds > _MAX_TIME or not witness.verify(signature, message):
                    raise VerificationError(
                        Wrong.FORGED,
                        f"the cosignature of {witness.name} on the checkpoint of size {self.size} is wrong",
                    )
                times.append(datetime.fromtimestamp(seconds, UTC))
        return max(times, default=None)


def read_key(text: str) -> VerifierKey:
    """Read the verifier key of a log or of a witness: `name+key id+base64`; raise VerificationError."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3:  # noqa: PLR2004 -- as the docstring writes it
        raise _malformed("a verifier key has three parts: name+id+key")
    name, key_id, encoded = parts
    content = decode(encoded)
    if len(content) != 1 + _PUBLIC or content[0] not in {_ED25519, _COSIGNATURE} or not _is_name(name):
        raise _malformed("a verifier key is neither a log's Ed25519 key (type 1) nor a witness's (type 4)")
    key = VerifierKey(name, content[0], content[1:])
    if key.id.hex() != key_id:
        raise _malformed("a verifier key does not have the id that it states")
    return key


def read_log_key(text: str) -> VerifierKey:
    """Read the verifier key of a log."""
    if (key := read_key(text)).algorithm != _ED25519:
        raise _malformed("the key is a witness's, not a log's")
    return key


def read_witness_key(text: str) -> VerifierKey:
    """Read the verifier key of a witness."""
    if (key := read_key(text)).algorithm != _COSIGNATURE:
        raise _malformed("the key is a log's, not a witness's")
    return key


def read_note(note: str, origin: str) -> Note:
    """Read a checkpoint of a log; verify no signature; raise VerificationError.

    1. The note is short, and holds no control character but newlines.
    2. The last empty line parts the text from the signatures.
    3. Each signature line is: em dash, space, name, space, base64 of key id and signature.
    4. The text has three lines: origin, size, root. Extension lines are refused: this log writes none.
    """
    # 1.
    if len(note) > MAX_NOTE or any(character < " " and character != "\n" for character in note):
        raise _malformed("a checkpoint is too long, or holds a control character")
    # 2.
    body, parted, block = note.rpartition("\n\n")
    if not parted or not block.endswith("\n"):
        raise VerificationError(Wrong.FORGED, "a checkpoint has no signature")
    # 3.
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise _malformed("a checkpoint has too many signatures")
    signatures = tuple(map(_signature, lines))
    # 4.
    text = body.split("\n")
    if len(text) != 3:  # noqa: PLR2004 -- see 4. above
        raise _malformed("a checkpoint does not have three lines")
    if text[0] != origin:
        raise VerificationError(Wrong.ANOTHER_LOG, f"a checkpoint is of the log {text[0]!a}, not of {origin}")
    size, root = read_size(text[1]), decode(text[2])
    if len(root) != HASH:
        raise _malformed("a checkpoint's root has the wrong length")
    return Note(note, body + "\n", origin, size, root, signatures)


def _signature(line: str) -> Signature:
    dash, name, encoded = (*line.split(" "), "", "", "")[:3]
    content = decode(encoded)
    if dash != _DASH or line.count(" ") != 2 or not _is_name(name) or len(content) <= _KEY_ID:  # noqa: PLR2004
        raise _malformed("a checkpoint's signature line is none")
    return Signature(name, content[:_KEY_ID], content[_KEY_ID:])


def _is_name(name: str) -> bool:
    """Whether a name can be one, and can be shown: what does not print could steer a terminal."""
    return bool(name) and name.isprintable() and " " not in name and "+" not in name


def read_size(text: str) -> int:
    """Read a number of leaves: decimal, without leading zeros."""
    plain = text.isascii() and text.isdigit() and len(text) <= _MAX_SIZE_DIGITS
    if not plain or (text[0] == "0" and text != "0"):
        raise _malformed("a size or an index is not a number")
    return int(text)


def decode(text: str) -> bytes:
    """Read base64 (RFC 4648, section 4), of which there is one way to write a value."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("what should be base64 is not") from None
    if base64.b64encode(content).decode() != text:
        raise _malformed("base64 is not written in the one way")
    return content


def _malformed(what: str) -> VerificationError:
    return VerificationError(Wrong.MALFORMED, what)
