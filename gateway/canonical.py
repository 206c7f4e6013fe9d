"""Canonical JSON (RFC 8785): the bytes that the log's writer hashes, and that its verifier derives again."""

from collections.abc import Mapping, Sequence

import msgspec
import rfc8785

_SORTED = msgspec.json.Encoder(order="sorted")
_SAFE = 2**53 - 1

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def canonical(value: Json) -> bytes:
    """Write canonical JSON (RFC 8785); where msgspec might write otherwise than the RFC says, the slow way is taken."""
    return _SORTED.encode(value) if _simple(value) else rfc8785.dumps(value)


def _simple(value: Json) -> bool:
    """Whether sorting by code points and plain escapes are all that there is to it."""
    match value:
        case str():
            return value.isascii() and value.isprintable()
        case None | bool():
            return True
        case int():
            return -_SAFE <= value <= _SAFE
        case float():
            # Of plain decimals, neither whole numbers nor exponents, both write the shortest form.
            return 1e-3 <= value < 1e15 and not value.is_integer()  # noqa: PLR2004 -- where JavaScript's exponents begin
        case dict():
            return _simple("".join(value)) and all(map(_simple, value.values()))
        case list() | tuple():
            return all(map(_simple, value))
        case _:
            return False
