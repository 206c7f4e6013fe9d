"""Promises: what a client holds in its hands of an entry that is durable, and will be in the tree by a moment named.

A promise is a compact JWS (RFC 7515) with Ed25519 (RFC 9864). Without an entry for it, it is evidence against the log.
"""

from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.canonical import canonical
from gateway.keys import Ring, base64url, thumbprint

TYPE = "log-promise+jwt"


@dataclass(frozen=True, slots=True)
class Promised:
    """The content of a promise: which entry, its leaf's hash, when it was made, until when it will be sealed."""

    entry: str
    leaf: bytes
    made: int
    by: int


class Promises:
    """Signs promises of one log."""

    def __init__(self, origin: str, keys: Ring[Ed25519PrivateKey]) -> None:
        self._origin = origin
        self._key = keys.keys[keys.newest]
        header = {"alg": "Ed25519", "kid": thumbprint(self._key), "typ": TYPE}
        self._header = base64url(canonical(header))

    def sign(self, promised: Promised) -> str:
        """Return the signed promise."""
        payload = msgspec.json.encode(
            {
                "iss": self._origin,
                "entry": promised.entry,
                "leaf": promised.leaf.hex(),
                "iat": promised.made,
                "by": promised.by,
            }
        )
        signed = f"{self._header}.{base64url(payload)}"
        return f"{signed}.{base64url(self._key.sign(signed.encode()))}"
