"""Receipts: a checkpoint with the proof that a leaf is in its tree (C2SP tlog-proof)."""

from dataclasses import dataclass

from gateway.verifier.note import Note, decode, read_note, read_size
from gateway.verifier.tree import HASH, ProofError, check_inclusion
from gateway.verifier.verdict import VerificationError, Wrong

MAX_RECEIPT = 262_144
_HEADER = "c2sp.org/tlog-proof@v1"
_MAX_PATH = 64


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that nobody has verified yet."""

    index: int
    path: tuple[bytes, ...]
    note: Note

    def check(self, leaf: bytes) -> None:
        """Verify that the leaf of this hash is the one in the receipt's tree; raise VerificationError."""
        try:
            check_inclusion(self.index, self.note.size, leaf, self.path, self.note.root)
        except ProofError as error:
            raise VerificationError(
                Wrong.FORGED,
                f"the receipt of leaf {self.index} does not prove that the log's leaf is in its tree: {error}",
            ) from None


def read_receipt(text: str, origin: str) -> Receipt:
    """Read a receipt; verify nothing of what it says; raise VerificationError."""
    head, parted, note = text.partition("\n\n")
    lines = head.split("\n")
    if len(text) > MAX_RECEIPT or not parted or lines[0] != _HEADER:
        raise _malformed()
    lines = lines[1:]
    if lines and lines[0].startswith("extra "):
        decode(lines.pop(0).removeprefix("extra "))
    if not lines or not lines[0].startswith("index ") or len(lines) > 1 + _MAX_PATH:
        raise _malformed()
    index = read_size(lines[0].removeprefix("index "))
    path = tuple(map(decode, lines[1:]))
    if any(len(node) != HASH for node in path):
        raise _malformed()
    checkpoint = read_note(note, origin)
    if index >= checkpoint.size:
        raise _malformed()
    return Receipt(index, path, checkpoint)


def _malformed() -> VerificationError:
    return VerificationError(Wrong.MALFORMED, "what was given as a receipt is none")
