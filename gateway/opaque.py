"""Opaque ids and sealed cursors: what clients carry without being able to read, join, edit or exchange it.

Both are AES-SIV (RFC 5297): authenticated, of a length that does not depend on the data, and deterministic, so that an
answer can be compared with its repetition. The first byte names the key: the newest makes them, all of them read them.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import date, datetime

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from gateway.domains import Scalar
from gateway.errors import Code, Malformed
from gateway.keys import Ring, base64url


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom an id is made for: the same record has another id for another client, purpose or kind of thing."""

    client: str
    purpose: str
    kind: str

    def associated(self) -> list[bytes]:
        """Return what the id is bound to."""
        return [self.client.encode(), self.purpose.encode(), self.kind.encode()]


class Ids:
    """Turns keys of the arrest database into opaque ids and back, and texts into pseudonyms for good."""

    def __init__(self, keys: Ring[bytes]) -> None:
        self._sealer = _Sealer(keys)
        self._pseudonyms = hmac.digest(keys.keys[keys.newest], b"pseudonyms", hashlib.sha256)

    def conceal(self, key: int, holder: Holder) -> str:
        """Return the id of a key for a holder: 34 characters."""
        return self._sealer.seal(key.to_bytes(8, "big"), holder.associated())

    def every(self, key: int, holder: Holder) -> tuple[str, ...]:
        """Return all ids that a holder may have of a key: those made before a rotation, too."""
        return self._sealer.seals(key.to_bytes(8, "big"), holder.associated())

    def pseudonym(self, value: str, holder: Holder) -> str:
        """Return the pseudonym of a text for a holder: equal for equal texts, 43 characters."""
        bound = b"".join(len(part).to_bytes(4, "big") + part for part in (*holder.associated(), value.encode()))
        return base64url(hmac.digest(self._pseudonyms, bound, hashlib.sha256))

    def reveal(self, identifier: str, holder: Holder) -> int | None:
        """Return the key, or None for whatever was not made for this holder."""
        try:
            return int.from_bytes(self._sealer.open(identifier, holder.associated()), "big")
        except (InvalidTag, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: the sort values and the key of its last row, under which bundle."""

    bundle: str
    key: int
    values: tuple[Scalar | None, ...]


class Cursors:
    """Seals cursors for one client, purpose, resource and query."""

    def __init__(self, keys: Ring[bytes]) -> None:
        self._sealer = _Sealer(keys)

    def seal(self, cursor: Cursor, bound: tuple[str, ...], room: int) -> str:
        """Seal a cursor, padded to `room` bytes, which depends on the query alone."""
        plain = msgspec.json.encode([cursor.bundle, cursor.key, [_tagged(value) for value in cursor.values]])
        return self._sealer.seal(plain.ljust(room), _associated(bound))

    def open(self, text: str, bound: tuple[str, ...]) -> Cursor:
        """Open a cursor; refuse one that was forged, or given for another client, purpose or query."""
        try:
            plain = self._sealer.open(text, _associated(bound))
        except (InvalidTag, ValueError):
            raise Malformed(Code.CURSOR_INVALID, "The cursor was not given for this request.") from None
        bundle, key, values = msgspec.json.decode(plain)
        return Cursor(bundle, key, tuple(_untagged(value) for value in values))


def _associated(bound: tuple[str, ...]) -> list[bytes]:
    return [part.encode() for part in bound]


def _tagged(value: Scalar | None) -> object:
    match value:
        case datetime():
            return ["t", value.isoformat()]
        case date():
            return ["d", value.isoformat()]
        case _:
            return value


def _untagged(value: object) -> Scalar | None:
    match value:
        case ["t", str(text)]:
            return datetime.fromisoformat(text)
        case ["d", str(text)]:
            return date.fromisoformat(text)
        case str() | int() | bool():
            return value
        case _:
            return None


def _decoded(text: str) -> bytes:
    """Undo `base64url` for what it can have written, and nothing else; raise ValueError."""
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64url") from None
    if base64url(content) != text:
        raise ValueError("not written by `base64url`")
    return content


class _Sealer:
    """Seals under the newest key, which the first byte names, and opens what any of them sealed."""

    def __init__(self, keys: Ring[bytes]) -> None:
        self._newest = keys.newest
        self._ciphers = {number: AESSIV(key) for number, key in keys.keys.items()}

    def seal(self, plain: bytes, associated: list[bytes]) -> str:
        """Seal under the newest key."""
        return self._seal(self._newest, plain, associated)

    def seals(self, plain: bytes, associated: list[bytes]) -> tuple[str, ...]:
        """Seal under every key."""
        return tuple(self._seal(number, plain, associated) for number in self._ciphers)

    def open(self, text: str, associated: list[bytes]) -> bytes:
        """Open; raise InvalidTag or ValueError."""
        content = _decoded(text)
        if not content or content[0] not in self._ciphers:
            raise ValueError("sealed under no key that is known")
        return self._ciphers[content[0]].decrypt(content[1:], [content[:1], *associated])

    def _seal(self, number: int, plain: bytes, associated: list[bytes]) -> str:
        name = number.to_bytes(1, "big")
        return base64url(name + self._ciphers[number].encrypt(plain, [name, *associated]))
