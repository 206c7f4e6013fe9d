"""The gateway's keys: files by use and number, made by the city, read at start, never in a database.

The newest key of a use writes; all of them read. Secret keys are 32 bytes from which each use derives its own (HKDF,
RFC 5869).
"""

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.canonical import canonical
from gateway.errors import ConfigurationError

K = TypeVar("K")
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
AnyKey = PrivateKey | x25519.X25519PrivateKey

SIGNING: Mapping[str, type[AnyKey]] = {
    "token": ec.EllipticCurvePrivateKey,
    "checkpoint": ed25519.Ed25519PrivateKey,
    "promise": ed25519.Ed25519PrivateKey,
}
# What each use derives from its secret: AES-256-SIV takes 64 bytes, AES-256-GCM and HMAC-SHA256 take 32.
SECRETS = {"ids": 64, "cursors": 64, "openings": 32, "index": 32}
_FILE = re.compile(r"([a-z]+)-([1-9][0-9]{0,5})\.pem")


@dataclass(frozen=True, slots=True)
class Ring(Generic[K]):
    """The keys of one use by their numbers, of which there is at least one."""

    keys: Mapping[int, K]

    @property
    def newest(self) -> int:
        """The number of the key that writes."""
        return max(self.keys)


@dataclass(frozen=True, slots=True)
class Keys:
    """`token` signs access tokens, `checkpoint` the log, `promise` promises of it; the rest are secrets.

    `ids` and `cursors` are AES-256-SIV keys, `openings` wraps the keys of openings (AES-256-GCM), `index` is for HMAC.
    """

    token: Ring[ec.EllipticCurvePrivateKey]
    checkpoint: Ring[ed25519.Ed25519PrivateKey]
    promise: Ring[ed25519.Ed25519PrivateKey]
    ids: Ring[bytes]
    cursors: Ring[bytes]
    openings: Ring[bytes]
    index: Ring[bytes]


def create(directory: Path) -> None:
    """Make the first key of each use that has none, readable by its owner only."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for use in (*SIGNING, *SECRETS):
        write_private(directory / f"{use}-1.pem", _make(use))


def _make(use: str) -> AnyKey:
    match use:
        case "token":
            return ec.generate_private_key(ec.SECP256R1())
        case "checkpoint" | "promise":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return x25519.X25519PrivateKey.generate()


def write_private(path: Path, key: AnyKey) -> None:
    """Write a private key as PKCS#8, unless the file exists."""
    encoding = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    _write(path, key.private_bytes(encoding, form, serialization.NoEncryption()))


def read_private(path: Path) -> PrivateKey:
    """Read a private key on P-256 or Ed25519."""
    key = _load(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise ConfigurationError(f"{path} is neither a P-256 nor an Ed25519 key")
    return key


def read(directory: Path) -> Keys:
    """Read all keys; refuse missing ones, wrong ones, and files that others can read."""
    found: dict[str, dict[int, AnyKey]] = {use: {} for use in (*SIGNING, *SECRETS)}
    for path in sorted(directory.glob("*.pem")) if directory.is_dir() else ():
        named = _FILE.fullmatch(path.name)
        if named is None or named[1] not in found:
            raise ConfigurationError(f"{path} is no key of the gateway: its name must be USE-NUMBER.pem")
        key = _load(path)
        if not isinstance(key, SIGNING.get(named[1], x25519.X25519PrivateKey)):
            raise ConfigurationError(f"{path} is not a key of the kind that its use needs")
        found[named[1]][int(named[2])] = key
    for use, keys in found.items():
        if sorted(keys) != list(range(1, len(keys) + 1)) or not keys:
            raise ConfigurationError(f"the keys '{use}' in {directory} are not whole; was 'gateway init' run?")
    secrets = {
        use: Ring({number: derived(key, use, size) for number, key in found[use].items()})
        for use, size in SECRETS.items()
    }
    signing = {use: Ring(found[use]) for use in SIGNING}
    return Keys(**signing, **secrets)  # type: ignore[arg-type] # each was held against SIGNING above


def derived(key: AnyKey, info: str, length: int) -> bytes:
    """Derive what a use needs from a secret (HKDF-SHA256)."""
    assert isinstance(key, x25519.X25519PrivateKey)  # noqa: S101 -- for the type alone
    return HKDF(hashes.SHA256(), length, salt=None, info=f"arrest-gateway {info}".encode()).derive(
        key.private_bytes_raw()
    )


def thumbprint(key: ed25519.Ed25519PrivateKey) -> str:
    """Return the thumbprint of a key's public half (RFC 7638, RFC 8037)."""
    public = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode("ascii")
    digest = hashlib.sha256(canonical({"crv": "Ed25519", "kty": "OKP", "x": public})).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _load(path: Path) -> AnyKey:
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except ValueError:
        raise ConfigurationError(f"{path} is not an unencrypted PKCS#8 key") from None
    if not isinstance(key, AnyKey):
        raise ConfigurationError(f"{path} is not a key that the gateway can use")
    return key


def _write(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} can be read by others; make it mode 600")
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the key {path} can't be read: {error.strerror}; was 'gateway init' run?") from None


def public_pem(key: PrivateKey) -> bytes:
    """Write the public half of a key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)
