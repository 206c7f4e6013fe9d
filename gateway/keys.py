"""The gateway's keys: files by use and number, encrypted, made by the city, read at start, never in a database.

The newest key of a use writes; all of them read. Secret keys are 32 bytes from which each use derives its own (HKDF,
RFC 5869). A file is PKCS#8 under one passphrase, which is random and read from a file: deriving the file's key from it
is quick (PBKDF2, 2,048 rounds) and makes no weak passphrase good.
"""

import base64
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway import sandbox
from gateway.canonical import canonical
from gateway.durable import keep_names
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
USES = (*SIGNING, *SECRETS)
# One byte of each id and cursor names its key.
NUMBERS = {"ids": 255, "cursors": 255}
MOST = 999_999
PASSPHRASE = "GATEWAY_KEYS_PASSPHRASE"  # noqa: S105 -- the name of the setting
_LENGTHS = range(20, 1001)
_FILE = re.compile(r"([a-z]+)-([1-9][0-9]{0,5})\.pem")
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_PEM = serialization.Encoding.PEM
_PKCS8 = serialization.PrivateFormat.PKCS8


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One key: its file is named after its use and number, and says in front if it is a sandbox's."""

    use: str
    number: int
    key: AnyKey = field(repr=False)
    sandbox: bool = field(default=False, repr=False)

    @property
    def id(self) -> str:
        """The thumbprint of the public half (RFC 7638); of a secret, what it derives to be known by."""
        match self.key:
            case x25519.X25519PrivateKey():
                return derived(self.key, f"{self.use} id", 8).hex()
            case signing:
                return thumbprint(signing)


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
    `writing` names the newest of each use.
    """

    token: Ring[ec.EllipticCurvePrivateKey]
    checkpoint: Ring[ed25519.Ed25519PrivateKey]
    promise: Ring[ed25519.Ed25519PrivateKey]
    ids: Ring[bytes]
    cursors: Ring[bytes]
    openings: Ring[bytes]
    index: Ring[bytes]
    writing: Mapping[str, KeyFile]


def create(directory: Path, passphrase: Path, *, in_sandbox: bool = False) -> None:
    """Make the first key of each use that has none."""
    secret = _passphrase(passphrase)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for use in USES:
        if not any(directory.glob(f"{use}-*.pem")):
            _make(directory, secret, KeyFile(use, 1, _generated(use), in_sandbox))


def make(directory: Path, passphrase: Path, use: str, number: int, *, in_sandbox: bool = False) -> KeyFile | None:
    """Make the key of a use with this number, or None where its file exists."""
    made = KeyFile(use, number, _generated(use), in_sandbox)
    return made if _make(directory, _passphrase(passphrase), made) else None


def _make(directory: Path, secret: bytes, made: KeyFile) -> bool:
    content = made.key.private_bytes(_PEM, _PKCS8, serialization.BestAvailableEncryption(secret))
    head = sandbox.KEY_FILE if made.sandbox else b""
    return _write(file_of(directory, made.use, made.number), head + content)


def file_of(directory: Path, use: str, number: int) -> Path:
    """Return where a key stands."""
    return directory / f"{use}-{number}.pem"


def _generated(use: str) -> AnyKey:
    match use:
        case "token":
            return ec.generate_private_key(ec.SECP256R1())
        case "checkpoint" | "promise":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return x25519.X25519PrivateKey.generate()


def write_private(path: Path, key: PrivateKey) -> None:
    """Write an agency's own private key as PKCS#8, unencrypted; refuse to write over a file."""
    if not _write(path, key.private_bytes(_PEM, _PKCS8, serialization.NoEncryption())):
        raise ConfigurationError(f"{path} exists already, and is left as it is")


def read_private(path: Path) -> PrivateKey:
    """Read an agency's own private key on P-256 or Ed25519."""
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError):  # a TypeError is a key that is encrypted
        raise ConfigurationError(f"{path} is not an unencrypted PKCS#8 key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise ConfigurationError(f"{path} is neither a P-256 nor an Ed25519 key")
    return key


def read(directory: Path, passphrase: Path) -> Keys:
    """Read all keys; refuse missing ones, wrong ones, unencrypted ones, and files that others can read."""
    return rings(found(directory, passphrase), directory)


def found(directory: Path, passphrase: Path) -> tuple[KeyFile, ...]:
    """Read the keys that are there, by use and number."""
    secret = _passphrase(passphrase)
    files = []
    for path in directory.glob("*.pem") if directory.is_dir() else ():
        named = _FILE.fullmatch(path.name)
        if named is None or named[1] not in USES:
            raise ConfigurationError(f"{path} is no key of the gateway: its name must be USE-NUMBER.pem")
        use, number = named[1], int(named[2])
        if number > NUMBERS.get(use, MOST):
            raise ConfigurationError(f"{path}: a key of '{use}' has a number up to {NUMBERS[use]}")
        key, in_sandbox = _decrypted(path, secret)
        if not isinstance(key, SIGNING.get(use, x25519.X25519PrivateKey)):
            raise ConfigurationError(f"{path} is not a key of the kind that its use needs")
        files.append(KeyFile(use, number, key, in_sandbox))
    return tuple(sorted(files, key=lambda file: (USES.index(file.use), file.number)))


def rings(files: Iterable[KeyFile], directory: Path) -> Keys:
    """Give each use its keys; refuse a use that has none."""
    by_use: dict[str, dict[int, AnyKey]] = {use: {} for use in USES}
    writing: dict[str, KeyFile] = {}
    for file in sorted(files, key=lambda file: file.number):
        by_use[file.use][file.number] = file.key
        writing[file.use] = file
    for use, keys in by_use.items():
        if not keys:
            raise ConfigurationError(f"there is no key '{use}' in {directory}; was 'gateway init' run?")
    secrets = {
        use: Ring({number: derived(key, use, size) for number, key in by_use[use].items()})
        for use, size in SECRETS.items()
    }
    signing = {use: Ring(by_use[use]) for use in SIGNING}
    return Keys(**signing, **secrets, writing=writing)  # type: ignore[arg-type] # each was held against SIGNING as it was read


def derived(key: AnyKey, info: str, length: int) -> bytes:
    """Derive what a use needs from a secret (HKDF-SHA256)."""
    assert isinstance(key, x25519.X25519PrivateKey)  # noqa: S101 -- for the type alone
    return HKDF(hashes.SHA256(), length, salt=None, info=f"arrest-gateway {info}".encode()).derive(
        key.private_bytes_raw()
    )


def thumbprint(key: PrivateKey) -> str:
    """Return the thumbprint of a key's public half (RFC 7638, RFC 8037)."""
    match key:
        case ed25519.Ed25519PrivateKey():
            members = {"crv": "Ed25519", "kty": "OKP", "x": base64url(key.public_key().public_bytes_raw())}
        case elliptic:
            point = elliptic.public_key().public_numbers()
            x, y = (base64url(number.to_bytes(32, "big")) for number in (point.x, point.y))
            members = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    return base64url(hashlib.sha256(canonical({**members})).digest())


def base64url(content: bytes) -> str:
    """Write bytes as base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _passphrase(path: Path) -> bytes:
    try:
        if open_to_others(path.stat()):
            raise ConfigurationError(f"the passphrase file {path} can be read by others; make it mode 600")
        secret = path.read_bytes().removesuffix(b"\n")
    except FileNotFoundError:
        raise ConfigurationError(
            f"the passphrase file {path} ({PASSPHRASE}) is missing; to make a first one: "
            f"(umask 077; openssl rand -base64 32 > {path})"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"the passphrase file {path} ({PASSPHRASE}) can't be read: {error.strerror}") from None
    if len(secret) not in _LENGTHS or b"\n" in secret:
        raise ConfigurationError(
            f"the passphrase in {path} must be one line of {_LENGTHS[0]} to {_LENGTHS[-1]} bytes, and random, such as "
            "that of: openssl rand -base64 32"
        )
    return secret


def open_to_others(status: os.stat_result) -> bool:
    """Whether group or others have rights, but for the group root's reading of a file of root's.

    That is how systemd's credentials look, which a list of access rights opens to the service alone.
    """
    rights = 0o037 if status.st_uid == status.st_gid == 0 else 0o077
    return bool(status.st_mode & rights)


def _decrypted(path: Path, secret: bytes) -> tuple[AnyKey, bool]:
    """Return a key, and whether its file says that it is a sandbox's."""
    written = _read(path)
    content = written.removeprefix(sandbox.KEY_FILE)
    if not content.startswith(_ENCRYPTED):
        raise ConfigurationError(f"{path} is not encrypted, or no key: it must be PKCS#8, encrypted ({PASSPHRASE})")
    try:
        key = serialization.load_pem_private_key(content, secret)
    except ValueError:
        raise ConfigurationError(f"{path} is damaged, or not encrypted under the passphrase of {PASSPHRASE}") from None
    if not isinstance(key, AnyKey):
        raise ConfigurationError(f"{path} is not a key that the gateway can use")
    return key, written != content


def _write(path: Path, content: bytes) -> bool:
    """Write a file that only its owner can read, whole or not at all; return False where it exists.

    A crash leaves nothing, or the file under a passing name that is never read.
    """
    descriptor, passing = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(passing, path)
    except FileExistsError:
        return False
    finally:
        Path(passing).unlink()
    keep_names(path.parent)
    return True


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
    return key.public_key().public_bytes(_PEM, form)
