"""The demo's approvers: two invented people with keys of their own, who sign the policy into force."""

import os
from pathlib import Path

import click
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import app as composition
from gateway import sshsig
from gateway.activation.approvers import NAMESPACE
from gateway.cli.activation import activation_of, enacted, pass_tests, signed
from gateway.erasure.order import NAMESPACE as ERASURE
from gateway.policy.archive import read_directory
from gateway.settings import Settings

NAMES = ("city-solicitor", "city-it")


def approve(settings: Settings, directory: Path) -> None:
    """Propose the policy, sign it with two new keys, and activate it, as the commands do."""
    keys = register(settings, directory)
    files = read_directory(settings.policies)
    with composition.open_register(settings) as statements:
        statement = statements.propose(activation_of(pass_tests(files), None), "For the demo.")
    content = statement.content()
    click.echo(f"what they sign: {content.decode()}")
    enacted(settings, content, [signed(content, key, NAMESPACE) for key in keys], files)


def register(settings: Settings, directory: Path) -> list[Path]:
    """Make two keys, and the file that registers their public halves; return the private ones."""
    directory.mkdir()
    paths, lines = [], []
    for name in NAMES:
        key = Ed25519PrivateKey.generate()
        path = directory / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            form = serialization.PrivateFormat.OpenSSH
            file.write(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        paths.append(path)
        lines.append(f'{name} namespaces="{NAMESPACE},{ERASURE}" {sshsig.public_half(key).written()}\n')
    settings.approvers.write_text("".join(lines), encoding="utf-8")
    settings.approvers.chmod(0o644)
    return paths
