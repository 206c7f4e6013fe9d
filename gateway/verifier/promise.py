"""Promises: what the gateway signed with an answer, that its entry would be in the tree by a certain time."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec

from gateway.verifier.leaf import Hex32, Hex64
from gateway.verifier.note import VerifierKey
from gateway.verifier.verdict import VerificationError, Wrong

MAX_PROMISE = 8192
_SIGNED = 64
Seconds = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
Part = TypeVar("Part")


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    alg: Literal["Ed25519"]
    typ: Literal["log-promise+jwt"]
    kid: str


class _Payload(msgspec.Struct, forbid_unknown_fields=True):
    iss: str
    entry: Hex32
    leaf: Hex64
    iat: Seconds
    by: Seconds


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise that nobody has verified yet."""

    entry: str
    leaf: bytes
    made: datetime
    by: datetime
    key_id: str
    signed: bytes
    signature: bytes

    def check_signature(self, keys: dict[str, VerifierKey]) -> None:
        """Verify that a promise key of the log signed it; raise VerificationError."""
        key = keys.get(self.key_id)
        if key is None or len(self.signature) != _SIGNED or not key.verify(self.signature, self.signed):
            raise VerificationError(
                Wrong.FORGED,
                f"the promise for the entry {self.entry} is not signed by a promise key that the log names",
            )

    def check_time(self, retired: dict[str, str]) -> None:
        """Refuse a promise made after its key was given up: whoever has stolen it is no log; raise VerificationError.

        A promise is dated by whole seconds.
        """
        since = retired.get(self.key_id)
        if since is not None and since < f"{self.made:%Y-%m-%dT%H:%M:%S}":
            raise VerificationError(
                Wrong.FORGED, f"the promise for the entry {self.entry} is dated after its key was retired, at {since}"
            )


def read_promise(text: str, origin: str) -> Promise:
    """Read a promise: a JWS in compact form (RFC 7515); verify no signature; raise VerificationError."""
    parts = text.split(".")
    if len(text) > MAX_PROMISE or len(parts) != 3:  # noqa: PLR2004 -- header, payload, signature
        raise _malformed()
    header, payload = _read(parts[0], _Header), _read(parts[1], _Payload)
    if payload.iss != origin:
        raise VerificationError(Wrong.ANOTHER_LOG, f"a promise is of the log {payload.iss!a}, not of {origin}")
    made, by = (datetime.fromtimestamp(seconds, UTC) for seconds in (payload.iat, payload.by))
    signed = f"{parts[0]}.{parts[1]}".encode()
    return Promise(payload.entry, bytes.fromhex(payload.leaf), made, by, header.kid, signed, _decode(parts[2]))


def _read(part: str, form: type[Part]) -> Part:
    try:
        return msgspec.json.decode(_decode(part), type=form)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise _malformed() from None


def _decode(part: str) -> bytes:
    try:
        content = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _malformed() from None
    if base64.urlsafe_b64encode(content).rstrip(b"=").decode() != part:
        raise _malformed()
    return content


def _malformed() -> VerificationError:
    return VerificationError(Wrong.MALFORMED, "what was given as a promise is none")
