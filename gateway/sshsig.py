"""SSH signatures over files, as `ssh-keygen -Y sign` makes them (OpenSSH, PROTOCOL.sshsig): parsed, verified, made."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from gateway.errors import ConfigurationError

MAX_SIGNATURE = 16_384
MIN_RSA_BITS = 3072
ED25519, ECDSA, RSA = "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"
KINDS = (ED25519, ECDSA, RSA)
_MAGIC = b"SSHSIG"
_VERSION = 1
_ARMOR = re.compile(
    r"-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]{1,76}\n)+)-----END SSH SIGNATURE-----\n?", re.ASCII
)
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_RSA_HASHES: dict[bytes, hashes.HashAlgorithm] = {
    b"rsa-sha2-256": hashes.SHA256(),
    b"rsa-sha2-512": hashes.SHA512(),
}

Verifying = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
Signing = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


class SignatureError(ConfigurationError):
    """A signature, or a key, that proves nothing here."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key; `blob`, its only spelling on the wire, says which one it is."""

    blob: bytes
    key: Verifying = field(compare=False)

    @property
    def fingerprint(self) -> str:
        """The key's name, as `ssh-keygen -l` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def written(self) -> str:
        """Write the key as in an OpenSSH file: its kind and its base64."""
        return f"{_Wire(self.blob).string().decode()} {base64.b64encode(self.blob).decode()}"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signature says, before it is verified."""

    key: PublicKey
    namespace: bytes
    hash: bytes
    algorithm: bytes
    value: bytes


def public_key(blob: bytes) -> PublicKey:
    """Read a public key of a kind and strength that is accepted, in its canonical spelling."""
    try:
        kind = _Wire(blob).string().decode("ascii")
        if kind not in KINDS:
            raise SignatureError(f"keys of the kind '{kind[:40]}' are not accepted; take {', '.join(KINDS)}")
        line = f"{kind} {base64.b64encode(blob).decode()}".encode()
        key = serialization.load_ssh_public_key(line)
    except (UnicodeDecodeError, ValueError, NotImplementedError, UnsupportedAlgorithm):
        raise SignatureError("the public key can't be read") from None
    if not isinstance(key, Verifying):
        raise SignatureError("the public key is not what it says")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise SignatureError(f"an RSA key of {key.key_size} bits is too weak; at least {MIN_RSA_BITS} are needed")
    # One key has one spelling, so that nobody passes as two by writing a key in two ways.
    if _blob(key) != blob:
        raise SignatureError("the public key is not written in its canonical form")
    return PublicKey(blob, key)


def public_half(key: Signing) -> PublicKey:
    """Return the public half of a private key."""
    return public_key(_blob(key.public_key()))


def parse(armored: str) -> Signature:
    """Read one armored signature; nothing may stand before or after it."""
    match = _ARMOR.fullmatch(armored) if len(armored) <= MAX_SIGNATURE else None
    if match is None:
        raise SignatureError("this is not one SSH signature")
    try:
        wire = _Wire(base64.b64decode(match[1].replace("\n", ""), validate=True))
    except binascii.Error:
        raise SignatureError("the signature's armor is broken") from None
    if wire.take(len(_MAGIC)) != _MAGIC:
        raise SignatureError("this is no SSH signature")
    if (version := wire.number()) != _VERSION:
        raise SignatureError(f"the signature's version is {version}; only {_VERSION} is known")
    key = public_key(wire.string())
    namespace, reserved, hashed = wire.string(), wire.string(), wire.string()
    if reserved or hashed not in _HASHES:
        raise SignatureError("the signature asks for what is not known here")
    inner = _Wire(wire.string())
    wire.end()
    algorithm, value = inner.string(), inner.string()
    inner.end()
    return Signature(key, namespace, hashed, algorithm, value)


def verify(signature: Signature, message: bytes, namespace: str) -> None:
    """Raise SignatureError unless the signature is one over the message, for the namespace, by its key.

    1. It was made for this namespace. 2. Its algorithm is one of its key's. 3. It verifies.
    """
    # 1.
    if signature.namespace != namespace.encode():
        raise SignatureError(f"the signature was not made for the namespace {namespace}")
    signed = _signed(message, signature.namespace, signature.hash)
    key, value = signature.key.key, signature.value
    try:
        # 2. and 3.
        match key:
            case ed25519.Ed25519PublicKey() if signature.algorithm == ED25519.encode():
                key.verify(value, signed)
            case ec.EllipticCurvePublicKey() if signature.algorithm == ECDSA.encode():
                wire = _Wire(value)
                r, s = wire.positive(), wire.positive()
                wire.end()
                key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
            case rsa.RSAPublicKey() if signature.algorithm in _RSA_HASHES:
                key.verify(value, signed, padding.PKCS1v15(), _RSA_HASHES[signature.algorithm])
            case _:
                raise SignatureError("the signature's algorithm does not fit its key")
    except InvalidSignature:
        raise SignatureError("the signature does not verify: message or signature were changed") from None


def sign(key: Signing, message: bytes, namespace: str) -> str:
    """Sign a message as `ssh-keygen -Y sign` does, with SHA-512; return the armored signature."""
    signed = _signed(message, namespace.encode(), b"sha512")
    if isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm, value = ED25519, key.sign(signed)
    else:
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        algorithm, value = ECDSA, _mpint(r) + _mpint(s)
    inner = _string(algorithm.encode()) + _string(value)
    outer = (public_half(key).blob, namespace.encode(), b"", b"sha512", inner)
    blob = _MAGIC + _VERSION.to_bytes(4, "big") + b"".join(map(_string, outer))
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


class _Wire:
    """Reads SSH's wire format (RFC 4251, section 5); what is too short or too long is refused."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._content):
            raise SignatureError("the signature is cut short")
        taken = self._content[self._at : end]
        self._at = end
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def positive(self) -> int:
        content = self.string()
        value = int.from_bytes(content, "big", signed=True)
        if value <= 0 or _mpint(value) != _string(content):
            raise SignatureError("the signature holds a number that is none")
        return value

    def end(self) -> None:
        if self._at != len(self._content):
            raise SignatureError("the signature goes on after its end")


def _signed(message: bytes, namespace: bytes, hashed: bytes) -> bytes:
    """Return the bytes that are signed: never the message itself (PROTOCOL.sshsig, section 3)."""
    return _MAGIC + b"".join(map(_string, (namespace, b"", hashed, _HASHES[hashed](message).digest())))


def _blob(key: Verifying) -> bytes:
    form = serialization.PublicFormat.OpenSSH
    return base64.b64decode(key.public_bytes(serialization.Encoding.OpenSSH, form).split()[1])


def _string(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def _mpint(value: int) -> bytes:
    return _string(value.to_bytes(value.bit_length() // 8 + 1, "big"))
