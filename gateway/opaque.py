"""Opaque ids and sealed cursors: what clients carry without being able to read, join, edit or exchange it.

Both are AES-SIV (RFC 5297): authenticated, of a length that does not depend on the data, and deterministic, so that an
answer can be compared with its repetition. The first byte names the key's version.
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

_VERSION = b"\x01"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom an id is made for: the same record has another id for another client, purpose or kind of thing."""

    client: str
    purpose: str
    kind: str

    def associated(self) -> list[bytes]:
        """Return what the id is bound to."""
        return [_VERSION, self.client.encode(), self.purpose.encode(), self.kind.encode()]


class Ids:
    """Turns keys of the arrest database into opaque ids and back, and texts into pseudonyms for good."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)
        self._pseudonyms = hmac.digest(key, b"pseudonyms", hashlib.sha256)

    def conceal(self, key: int, holder: Holder) -> str:
        """Return the id of a key for a holder: 34 characters."""
        sealed = self._cipher.encrypt(key.to_bytes(8, "big"), holder.associated())
        return _text(_VERSION + sealed)

    def pseudonym(self, value: str, holder: Holder) -> str:
        """Return the pseudonym of a text for a holder: equal for equal texts, 43 characters."""
        bound = b"".join(len(part).to_bytes(4, "big") + part for part in (*holder.associated(), value.encode()))
        return _text(hmac.digest(self._pseudonyms, bound, hashlib.sha256))

    def reveal(self, identifier: str, holder: Holder) -> int | None:
        """Return the key, or None for whatever was not made for this holder."""
        try:
            return int.from_bytes(self._cipher.decrypt(_sealed(identifier), holder.associated()), "big")
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

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)

    def seal(self, cursor: Cursor, bound: tuple[str, ...], room: int) -> str:
        """Seal a cursor, padded to `room` bytes, which depends on the query alone."""
        plain = msgspec.json.encode([cursor.bundle, cursor.key, [_tagged(value) for value in cursor.values]])
        sealed = self._cipher.encrypt(plain.ljust(room), _associated(bound))
        return _text(_VERSION + sealed)

    def open(self, text: str, bound: tuple[str, ...]) -> Cursor:
        """Open a cursor; refuse one that was forged, or given for another client, purpose or query."""
        try:
            plain = self._cipher.decrypt(_sealed(text), _associated(bound))
        except (InvalidTag, ValueError):
            raise Malformed(Code.CURSOR_INVALID, "The cursor was not given for this request.") from None
        bundle, key, values = msgspec.json.decode(plain)
        return Cursor(bundle, key, tuple(_untagged(value) for value in values))


def _associated(bound: tuple[str, ...]) -> list[bytes]:
    return [_VERSION, *(part.encode() for part in bound)]


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


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _sealed(text: str) -> bytes:
    """Undo `_text` for what it can have written, and nothing else; raise ValueError."""
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64url") from None
    if content[:1] != _VERSION or _text(content) != text:
        raise ValueError("not of this version")
    return content[1:]
