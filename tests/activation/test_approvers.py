"""The file of approvers: who counts, for what, when; and which files are refused, with the line."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway import sshsig
from gateway.activation import approvers
from gateway.activation.approvers import NAMESPACE, Approvers
from gateway.errors import ConfigurationError
from gateway.sshsig import SignatureError
from tests.activation.test_sshsig import FIXTURES, MESSAGE, made

KEYS = {kind: " ".join((FIXTURES / f"{kind}.pub").read_text().split()[:2]) for kind in ("ed25519", "ecdsa", "rsa")}
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
OTHER = f"bob {KEYS['rsa']} a comment"


def parse(*lines: str) -> Approvers:
    """Read lines."""
    return approvers.parse(lines, "approvers")


@pytest.mark.parametrize("kind", KEYS)
def test_a_registered_key_signs_under_its_name(kind: str) -> None:
    """Comments, blank lines and options that fit are as OpenSSH has them."""
    others = [f"{name} {key}" for name, key in KEYS.items() if name != kind]
    read = parse("# the city's", "", f'alice namespaces="git,{NAMESPACE}" {KEYS[kind]}', *others)
    assert read.signer(made(kind), MESSAGE, NOW, NAMESPACE) == "alice"


def test_a_key_of_nobody_proves_nothing() -> None:
    """Who is not registered is no approver, however well the signature verifies."""
    with pytest.raises(SignatureError, match="no registered approver"):
        parse(OTHER, f"alice {KEYS['ecdsa']}").signer(made("ed25519"), MESSAGE, NOW, NAMESPACE)


def test_a_key_for_other_uses_proves_nothing() -> None:
    """Namespaces of a line are kept."""
    read = parse(OTHER, f'alice namespaces="git" {KEYS["ed25519"]}')
    with pytest.raises(SignatureError, match="not registered for"):
        read.signer(made("ed25519"), MESSAGE, NOW, NAMESPACE)


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ('valid-after="20260615Z"', True),
        ('valid-after="20260616Z"', False),
        ('valid-before="20260615Z"', False),
        ('valid-before="202606151200Z"', False),
        ('valid-before="20260615120001Z"', True),
        ('valid-after="20260101Z",valid-before="20270101Z"', True),
        ("valid-after=20260615Z", True),
    ],
)
def test_a_key_counts_in_its_time(options: str, counts: bool) -> None:  # noqa: FBT001 -- an expectation
    """From the one moment on, until before the other, by the time at which the statement was made."""
    read = parse(OTHER, f"alice {options} {KEYS['ed25519']}")
    if counts:
        assert read.signer(made("ed25519"), MESSAGE, NOW, NAMESPACE) == "alice"
    else:
        with pytest.raises(SignatureError, match="did not count"):
            read.signer(made("ed25519"), MESSAGE, NOW, NAMESPACE)


ED = KEYS["ed25519"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"bob {ED}", "fewer approvers"),
        (f"alice {KEYS['rsa']}", "this key stands here already, as bob's"),
        (f"alice,carol {ED}", "lists and patterns"),
        (f"*@city.example {ED}", "lists and patterns"),
        (f"!alice {ED}", "lists and patterns"),
        (f'"alice a" {ED}', "lists and patterns"),
        (f"alice cert-authority {ED}", "not understood"),
        (f"alice no-touch-required {ED}", "not understood"),
        (f'alice namespaces="a",namespaces="b" {ED}', "not understood"),
        (f'alice namespaces="arrest-*" {ED}', "patterns of namespaces"),
        (f'alice namespaces="" {ED}', "not understood"),
        (f'alice namespaces="{NAMESPACE}", {ED}', "not understood"),
        (f'alice valid-before="20260615" {ED}', "in UTC"),
        (f'alice valid-before="20261315Z" {ED}', "in UTC"),
        (f'alice valid-before="+60615Z" {ED}', "in UTC"),
        (f"alice {ED[:-6]}", "can't be read|base64|cut short"),
        (f"alice {ED}AAAA", "can't be read|base64"),
        (f"alice {ED.replace('AAAA', 'A#AA')}", "base64"),
        (f"alice ssh-rsa {ED.split()[1]}", "not of the kind"),
        ("alice " + " ".join((FIXTURES / "rsa1024.pub").read_text().split()[:2]), "too weak"),
        ("alice " + " ".join((FIXTURES / "ecdsa-p384.pub").read_text().split()[:2]), "not a line"),
        ("alice", "not a line"),
    ],
)
def test_a_line_that_is_not_understood_is_refused_with_its_place(line: str, why: str) -> None:
    """Nothing is passed over: a line that means less than its author thought is an error."""
    with pytest.raises(ConfigurationError, match=why) as refused:
        parse(OTHER, line)
    assert str(refused.value).startswith("approvers:")
    assert "fewer" in why or str(refused.value).startswith("approvers:2:")


def test_one_key_under_two_names_is_one_approver() -> None:
    """A person who writes the same key twice stays one person."""
    with pytest.raises(ConfigurationError, match="one key is one approver"):
        parse(OTHER, f"alice {ED}", f"carol {ED}")


def test_one_name_with_two_keys_is_one_approver() -> None:
    """Two keys of a person are not two people."""
    with pytest.raises(ConfigurationError, match="fewer approvers"):
        parse(f"alice {ED}", f"alice {KEYS['rsa']}")
    read = parse(f"alice {ED}", f"alice {KEYS['rsa']}", f"bob {KEYS['ecdsa']}")
    assert {read.signer(made(kind), MESSAGE, NOW, NAMESPACE) for kind in ("ed25519", "rsa")} == {"alice"}


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """Who can write it, makes approvers; and what is no file is refused too."""
    path = tmp_path / "approvers"
    keys = [sshsig.public_half(ed25519.Ed25519PrivateKey.generate()).written() for _ in range(2)]
    path.write_text(f"alice {keys[0]}\nbob {keys[1]}\n")
    path.chmod(0o644)
    assert len(approvers.read(path).lines) == 2
    for mode in (0o664, 0o646):
        path.chmod(mode)
        with pytest.raises(ConfigurationError, match="can be written by others"):
            approvers.read(path)
    path.chmod(0o644)
    path.write_bytes(b"\xff\xfe")
    for broken in (path, tmp_path / "nothing", tmp_path):
        with pytest.raises(ConfigurationError):
            approvers.read(broken)
