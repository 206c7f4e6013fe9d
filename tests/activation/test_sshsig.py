"""SSH signatures: what ssh-keygen has signed is accepted, and whatever was changed is not."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway import sshsig
from gateway.activation.approvers import NAMESPACE
from gateway.sshsig import SignatureError

# Made once with OpenSSH 9.2: `ssh-keygen -Y sign -n arrest-gateway-policy -f KEY < message`; the keys are gone.
FIXTURES = Path(__file__).parent / "fixtures"
MESSAGE = (FIXTURES / "message").read_bytes()
KINDS = ("ed25519", "ecdsa", "rsa")


def made(name: str) -> str:
    """Return a signature that ssh-keygen made."""
    return (FIXTURES / f"{name}.sig").read_text()


def blob_of(name: str) -> bytes:
    """Return a public key's bytes."""
    return base64.b64decode((FIXTURES / f"{name}.pub").read_text().split()[1])


def armored(blob: bytes) -> str:
    """Put a signature's bytes into armor."""
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


def stripped(text: str) -> bytes:
    """Take a signature's bytes out of armor."""
    return base64.b64decode("".join(text.splitlines()[1:-1]))


def verify(text: str, message: bytes = MESSAGE, namespace: str = NAMESPACE) -> sshsig.PublicKey:
    """Parse and verify; return the key."""
    signature = sshsig.parse(text)
    sshsig.verify(signature, message, namespace)
    return signature.key


@pytest.mark.parametrize("name", [*KINDS, "ed25519-sha256"])
def test_what_ssh_keygen_signed_verifies_by_its_key(name: str) -> None:
    """Every kind of key and both hashes that are accepted."""
    assert verify(made(name)).blob == blob_of(name.partition("-")[0])


@pytest.mark.parametrize("name", KINDS)
def test_one_bit_changed_anywhere_is_refused(name: str) -> None:
    """No bit of key, namespace, hash, algorithm or value is without meaning."""
    blob = stripped(made(name))
    assert armored(blob) == made(name)
    for at in range(len(blob)):
        changed = blob[:at] + bytes([blob[at] ^ 1 << at % 8]) + blob[at + 1 :]
        with pytest.raises(SignatureError):
            verify(armored(changed))


@pytest.mark.parametrize("name", KINDS)
def test_a_signature_that_is_cut_short_or_goes_on_is_refused(name: str) -> None:
    """Whole, or nothing."""
    blob = stripped(made(name))
    for changed in (*(blob[:size] for size in range(len(blob))), blob + b"\0", blob + blob):
        with pytest.raises(SignatureError):
            verify(armored(changed))


@pytest.mark.parametrize("name", KINDS)
def test_another_message_or_namespace_is_refused(name: str) -> None:
    """A signature is for one message and one use."""
    with pytest.raises(SignatureError, match="does not verify"):
        verify(made(name), MESSAGE + b" ")
    with pytest.raises(SignatureError, match="namespace"):
        verify(made(name), namespace="file")


def test_a_signature_of_another_namespace_is_refused() -> None:
    """What somebody signed as a file puts no policy in force."""
    assert verify(made("other-namespace"), namespace="file").blob == blob_of("ed25519")
    with pytest.raises(SignatureError, match="namespace"):
        verify(made("other-namespace"))


@pytest.mark.parametrize(("name", "why"), [("rsa1024", "1024 bits is too weak"), ("ecdsa-p384", "not accepted")])
def test_a_weak_or_strange_key_is_refused(name: str, why: str) -> None:
    """Whatever it signed."""
    with pytest.raises(SignatureError, match=why):
        verify(made(name))
    with pytest.raises(SignatureError, match=why):
        sshsig.public_key(blob_of(name))


def string(content: bytes) -> bytes:
    """Write a string of SSH's wire format."""
    return len(content).to_bytes(4, "big") + content


def test_a_key_that_is_spelt_in_another_way_is_refused() -> None:
    """The same RSA key with a longer number would pass as a second approver's."""
    kind, rest = string(b"ssh-rsa"), blob_of("rsa")[11:]
    size = int.from_bytes(rest[:4], "big")
    exponent, modulus = rest[4 : 4 + size], rest[8 + size :]
    assert kind + string(exponent) + string(modulus) == blob_of("rsa")
    with pytest.raises(SignatureError):
        sshsig.public_key(kind + string(b"\0" + exponent) + string(modulus))
    with pytest.raises(SignatureError):
        sshsig.public_key(blob_of("rsa") + b"\0")


@pytest.mark.parametrize(
    "changed",
    [
        "",
        "nonsense",
        made("ed25519").replace("SSH SIGNATURE", "SSH2 SIGNATURE"),
        made("ed25519").replace("BEGIN", "BEGUN"),
        made("ed25519") + made("ed25519"),
        "x\n" + made("ed25519"),
        made("ed25519") + "x\n",
        made("ed25519").replace("\n", "\r\n"),
        made("ed25519").replace("U1NI", "U1N\u0131"),
        made("ed25519").replace("U1NI", "=1NI"),
        armored(b"A" * 20_000),
    ],
)
def test_wrong_armor_is_refused(changed: str) -> None:
    """One signature, in the form in which ssh-keygen writes it, and nothing beside it."""
    with pytest.raises(SignatureError):
        sshsig.parse(changed)


def test_unknown_versions_hashes_and_reserved_words_are_refused() -> None:
    """What has a meaning elsewhere, or later, has none here."""
    blob = stripped(made("ed25519"))
    for old, new, why in (
        (b"SSHSIG\0\0\0\1", b"SSHSIG\0\0\0\2", "version is 2"),
        (b"SSHSIG\0\0\0\1", b"SSHSIX\0\0\0\1", "no SSH signature"),
        (string(b"sha512"), string(b"sha1"), "not known here"),
        (string(b"") + string(b"sha512"), string(b"x") + string(b"sha512"), "not known here"),
    ):
        assert old in blob
        with pytest.raises(SignatureError, match=why):
            verify(armored(blob.replace(old, new, 1)))


def test_a_signature_under_anothers_key_is_refused() -> None:
    """The key that a signature names must be the one that made it, and of its kind."""
    blob = stripped(made("ed25519"))
    other = sshsig.public_half(ed25519.Ed25519PrivateKey.generate()).blob
    with pytest.raises(SignatureError, match="does not verify"):
        verify(armored(blob.replace(blob_of("ed25519"), other)))
    with pytest.raises(SignatureError, match="does not fit"):
        verify(armored(blob.replace(string(blob_of("ed25519")), string(blob_of("ecdsa")))))


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())])
def test_what_is_signed_here_verifies(key: sshsig.Signing) -> None:
    """The gateway signs as ssh-keygen does, for machines without it."""
    assert verify(sshsig.sign(key, MESSAGE, NAMESPACE)) == sshsig.public_half(key)
