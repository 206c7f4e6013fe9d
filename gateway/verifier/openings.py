"""Commitments to what is personal, and the openings that prove some of them."""

import hashlib
from typing import Any

import msgspec
import rfc8785

from gateway.canonical import canonical
from gateway.verifier.leaf import Leaf
from gateway.verifier.lines import Lines
from gateway.verifier.tree import HASH, leaf_hash, root
from gateway.verifier.verdict import VerificationError, Wrong

MAX_COMMITMENTS_LINE = 1 << 22
MAX_OPENING_LINE = 1 << 20
_SALT = 16
_DOMAIN = b"arrest-gateway opening v1\n"
_LIST = msgspec.json.Decoder(list[str])


def read_commitments(lines: Lines, line: bytes) -> list[bytes]:
    """Read a line of commitments; raise VerificationError."""
    try:
        commitments = list(map(bytes.fromhex, _LIST.decode(line)))
    except (msgspec.DecodeError, ValueError):
        raise lines.broken() from None
    if any(len(commitment) != HASH for commitment in commitments):
        raise lines.broken()
    return commitments


def check_commitments(index: int, leaf: Leaf, commitments: list[bytes]) -> None:
    """Verify that the commitments are those that a leaf stands for; raise VerificationError."""
    if len(commitments) != leaf.commitments.count:
        raise VerificationError(
            Wrong.OPENINGS, f"leaf {index} has {leaf.commitments.count} commitments, and {len(commitments)} are given"
        )
    if root(list(map(leaf_hash, commitments))).hex() != leaf.commitments.root:
        raise VerificationError(Wrong.OPENINGS, f"the commitments of leaf {index} do not give its root")


class Openings:
    """The openings of an export, which stand in the order of the leaves and of their commitments."""

    def __init__(self, lines: Lines | None) -> None:
        self._lines = lines
        self.opened = 0
        self.erased = 0
        self._next: dict[str, Any] | None = None
        self._advance()

    def check(self, index: int, identifier: str, commitments: list[bytes]) -> None:
        """Verify each opening of an entry against its commitment; raise VerificationError."""
        last = -1
        while self._next is not None and self._next["entry"] == identifier:
            position = self._next["position"]
            if not last < position < len(commitments):
                raise VerificationError(
                    Wrong.OPENINGS, f"leaf {index} has no commitment {position}, or it is opened twice"
                )
            match self._next:
                case {"erased": True}:
                    self.erased += 1
                case {"salt": salt, "kind": kind, "value": value}:
                    if _commitment(salt, kind, value) != commitments[position]:
                        raise VerificationError(
                            Wrong.OPENINGS, f"opening {position} of leaf {index} does not prove its commitment"
                        )
                    self.opened += 1
            last = position
            self._advance()

    def check_end(self) -> None:
        """Verify that no opening is left when all leaves were read."""
        if self._next is not None:
            raise VerificationError(
                Wrong.OPENINGS, "an opening names an entry that is not in the log, or is out of order"
            )

    def _advance(self) -> None:
        line = None if self._lines is None else self._lines.next()
        if self._lines is None or line is None:
            self._next = None
            return
        try:
            self._next = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise self._lines.broken() from None
        match self._next:
            case {"entry": str(), "position": int(), "erased": True, **rest} if not rest:
                return
            case {"entry": str(), "position": int(), "salt": str(), "kind": str(), "value": _, **rest} if not rest:
                return
            case _:
                raise self._lines.broken()


def _commitment(salt: str, kind: str, value: Any) -> bytes | None:
    try:
        salted = bytes.fromhex(salt)
        content = canonical({"kind": kind, "value": value})
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        return None
    return hashlib.sha256(_DOMAIN + salted + content).digest() if len(salted) == _SALT else None
