"""Leaves: canonical JSON with the members that verification stands on, read from bytes that nobody has checked."""

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import rfc8785

from gateway.canonical import canonical

MAX_LEAF = 65_535
MAX_DEPTH = 32
_LOST = re.compile(rb'\{"lost":"([0-9a-f]{64})"\}')

Hex32 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Hex64 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Instant = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}\.[0-9]{6}Z\Z")]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Facts = TypeVar("Facts")


class LeafError(Exception):
    """Bytes that are no leaf."""


class Commitments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many commitments an entry has, and the root over them."""

    count: Natural
    root: Hex64


class Leaf(msgspec.Struct, frozen=True):
    """The members that every leaf has."""

    version: Literal[1, 2]
    id: Hex32
    time: Instant
    gateway: str
    action: str
    decision: Literal["permit", "deny", "refuse"]
    outcome: str
    commitments: Commitments


class Key(msgspec.Struct, frozen=True):
    """A key of the gateway, as the entry that made or rotated it says."""

    use: str
    number: Positive
    id: str
    public: str | None = None


class KeysNamed(msgspec.Struct, frozen=True):
    """The facts of `keys-create` and `key-rotate`."""

    keys: list[Key]


class LossDeclared(msgspec.Struct, frozen=True):
    """The facts of `log-loss`: the first and the last leaf whose entries are lost."""

    first: Natural
    last: Natural


def read_lost(line: bytes) -> bytes | None:
    """Return the leaf hash of a line that stands for a lost leaf."""
    found = _LOST.fullmatch(line)
    return bytes.fromhex(found[1].decode()) if found else None


def read_leaf(line: bytes) -> Leaf:
    """Read a leaf; raise LeafError.

    What stands twice or in another order, and numbers and texts written otherwise, come out as other bytes.
    """
    try:
        content = msgspec.json.decode(line)
        if line.count(b"[") + line.count(b"{") > MAX_DEPTH and _depth(content) > MAX_DEPTH:
            raise LeafError("nests too deeply")
        if canonical(content) != line:
            raise LeafError("is not canonical JSON")
        return msgspec.convert(content, Leaf)
    except msgspec.ValidationError:
        raise LeafError("lacks what every leaf has") from None
    except (msgspec.DecodeError, rfc8785.CanonicalizationError, RecursionError, UnicodeError):
        raise LeafError("is not canonical JSON") from None


def _depth(content: Any) -> int:
    """Count how deeply lists and objects nest, level by level, as Python's own depth is no part of the format."""
    depth, level = 0, [content]
    while level := [each for each in level if isinstance(each, list | dict)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth


def read_facts(line: bytes, facts: type[Facts]) -> Facts:
    """Read what a leaf says beside the members that every leaf has; raise LeafError."""
    try:
        return msgspec.json.decode(line, type=facts)
    except msgspec.DecodeError:  # a ValidationError is one
        raise LeafError("lacks the facts of its action") from None
