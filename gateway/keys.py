"""The gateway's keys: one file for each use, made once, read at start, never in a database."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.errors import ConfigurationError

_SECRETS = {"ids": 64, "cursors": 64, "openings": 32, "index": 32}
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Keys:
    """`token` signs access tokens (P-256), `checkpoint` the log (Ed25519); the rest are symmetric.

    `ids` and `cursors` are AES-256-SIV keys (64 bytes), `openings` an AES-256-GCM key, `index` an HMAC key.
    """

    token: ec.EllipticCurvePrivateKey
    checkpoint: ed25519.Ed25519PrivateKey
    ids: bytes
    cursors: bytes
    openings: bytes
    index: bytes


def create(directory: Path) -> None:
    """Make the keys that do not exist yet, readable by their owner only."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    private: dict[str, PrivateKey] = {
        "token": ec.generate_private_key(ec.SECP256R1()),
        "checkpoint": ed25519.Ed25519PrivateKey.generate(),
    }
    for name, key in private.items():
        write_private(directory / f"{name}.pem", key)
    for name, size in _SECRETS.items():
        _write(directory / f"{name}.key", os.urandom(size))


def write_private(path: Path, key: PrivateKey) -> None:
    """Write a private key as PKCS#8, unless the file exists."""
    encoding = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    _write(path, key.private_bytes(encoding, form, serialization.NoEncryption()))


def read_private(path: Path) -> PrivateKey:
    """Read a private key on P-256 or Ed25519."""
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except ValueError:
        raise ConfigurationError(f"{path} is not an unencrypted PKCS#8 key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise ConfigurationError(f"{path} is neither a P-256 nor an Ed25519 key")
    return key


def read(directory: Path) -> Keys:
    """Read all keys; refuse missing ones, wrong ones, and files that others can read."""
    token = read_private(directory / "token.pem")
    checkpoint = read_private(directory / "checkpoint.pem")
    if not isinstance(token, ec.EllipticCurvePrivateKey) or not isinstance(checkpoint, ed25519.Ed25519PrivateKey):
        raise ConfigurationError("token.pem must be a P-256 key and checkpoint.pem an Ed25519 key")
    secrets = {name: _read(directory / f"{name}.key") for name in _SECRETS}
    for name, size in _SECRETS.items():
        if len(secrets[name]) != size:
            raise ConfigurationError(f"{name}.key must hold {size} bytes")
    return Keys(token, checkpoint, **secrets)


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
