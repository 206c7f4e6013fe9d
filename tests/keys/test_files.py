"""Key files are encrypted under a passphrase, whole, and for their owner alone; nothing of them is ever said."""

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from gateway import keys as key_files
from gateway.cli import program
from gateway.cli.client import make_key_pair
from gateway.errors import ConfigurationError
from gateway.keys import USES
from tests import world
from tests.world import Databases

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    """A passphrase file."""
    return world.passphrase(tmp_path / "keys")


@pytest.fixture
def keys(tmp_path: Path, passphrase: Path) -> Path:
    """A directory of good keys."""
    key_files.create(tmp_path / "keys", passphrase)
    return tmp_path / "keys"


def refused(keys: Path, passphrase: Path) -> str:
    """Return why keys are refused."""
    with pytest.raises(ConfigurationError) as caught:
        key_files.read(keys, passphrase)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


def test_every_file_is_encrypted_and_for_its_owner_alone(keys: Path, passphrase: Path) -> None:
    """PKCS#8, by AES-256; no secret byte of a key stands in its file, and nothing else is left in the directory."""
    assert keys.stat().st_mode & 0o777 == 0o700
    files = key_files.found(keys, passphrase)
    assert [file.use for file in files] == list(USES)
    assert sorted(path.name for path in keys.iterdir()) == sorted(f"{use}-1.pem" for use in USES)
    for file in files:
        path = keys / f"{file.use}-{file.number}.pem"
        content = path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
        assert content.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
        with pytest.raises(ValueError, match=r"Incorrect password|could not decrypt"):
            serialization.load_pem_private_key(content, b"not-the-passphrase-of-this-city")
        der = serialization.load_pem_private_key(content, passphrase.read_bytes().strip())
        assert der.private_bytes(PEM, PKCS8, serialization.NoEncryption()) not in content


def test_an_unencrypted_key_is_refused_by_name(keys: Path, passphrase: Path) -> None:
    """A key that lay open on the disk does not serve, nor one encrypted in the older way."""
    path = keys / "ids-1.pem"
    path.write_bytes(x25519.X25519PrivateKey.generate().private_bytes(PEM, PKCS8, serialization.NoEncryption()))
    assert f"{path} is not encrypted" in refused(keys, passphrase)
    path.unlink()
    key_files.make(keys, passphrase, "ids", 1)
    key_files.read(keys, passphrase)
    traditional = serialization.PrivateFormat.TraditionalOpenSSL
    encryption = serialization.BestAvailableEncryption(passphrase.read_bytes().strip())
    path = keys / "token-1.pem"
    path.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, traditional, encryption))
    assert f"{path} is not encrypted" in refused(keys, passphrase)


def test_another_passphrase_is_refused_and_neither_is_said(keys: Path, passphrase: Path) -> None:
    """The line names the file and the setting; no byte of passphrase or key."""
    passphrase.write_text("a-canary-that-opens-nothing\n")
    told = refused(keys, passphrase)
    assert re.search(r"keys/[a-z]+-1\.pem is damaged, or not encrypted under the passphrase", told)
    assert "canary" not in told


def test_one_trailing_newline_is_no_part_of_the_passphrase(keys: Path, passphrase: Path) -> None:
    """What `openssl rand` writes and what a credential holds open the same keys; a second newline is refused."""
    text = passphrase.read_text().removesuffix("\n")
    passphrase.write_text(text)
    key_files.read(keys, passphrase)
    passphrase.write_text(text + "\n\n")
    assert "one line" in refused(keys, passphrase)


@pytest.mark.parametrize("content", ["", "\n", "nineteen-characters", "x" * 1001, "two lines of\nsomething or other"])
def test_a_passphrase_that_is_short_or_no_line_is_refused(keys: Path, passphrase: Path, content: str) -> None:
    """Deriving a file's key is quick, so the passphrase must be long; the line says how to make one."""
    passphrase.write_text(content)
    told = refused(keys, passphrase)
    assert "openssl rand -base64 32" in told
    assert "nineteen" not in told


def test_a_passphrase_that_others_can_read_is_refused(keys: Path, passphrase: Path) -> None:
    """As with the keys themselves."""
    for mode in (0o604, 0o660, 0o601, 0o620, 0o777):
        passphrase.chmod(mode)
        assert f"{passphrase} can be read by others" in refused(keys, passphrase)
    passphrase.chmod(0o400)
    key_files.read(keys, passphrase)


@pytest.mark.parametrize(
    ("mode", "user", "group", "open_"),
    [
        (0o100440, 0, 0, False),  # a credential that systemd opens to the service by a list of access rights
        (0o100400, 990, 990, False),
        (0o100440, 990, 990, True),
        (0o100440, 0, 990, True),
        (0o100460, 0, 0, True),
        (0o100444, 0, 0, True),
    ],
)
def test_a_credential_of_systemd_is_not_open_to_others(mode: int, user: int, group: int, open_: bool) -> None:  # noqa: FBT001 -- pytest's way
    """Its group rights are the mask of an access list; they count as rights of others anywhere else."""
    status = os.stat_result((mode, 0, 0, 1, user, group, 45, 0, 0, 0))
    assert key_files.open_to_others(status) is open_


def test_a_missing_passphrase_says_how_to_make_one(
    sqlite_arrests: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`gateway init` makes no key without it, and tells the one command that is to be run."""
    chosen = world.settings(Databases(sqlite_arrests, f"sqlite:///{tmp_path / 'store.db'}"), tmp_path / "keys")
    for name, value in world.environment(chosen).items():
        monkeypatch.setenv(name, value)
    chosen.keys_passphrase.unlink()
    done = CliRunner().invoke(program, ["init"])
    assert done.exit_code == 2
    assert done.stderr == (
        f"gateway: the passphrase file {chosen.keys_passphrase} (GATEWAY_KEYS_PASSPHRASE) is missing; to make a first "
        f"one: (umask 077; openssl rand -base64 32 > {chosen.keys_passphrase})\n"
    )
    assert not (tmp_path / "keys").exists()


def test_a_directory_is_no_passphrase(keys: Path) -> None:
    """Whatever can't be read is refused by name."""
    keys.parent.chmod(0o700)
    assert "can't be read: Is a directory" in refused(keys, keys.parent)


def test_a_number_that_an_id_can_not_name_is_refused(keys: Path, passphrase: Path) -> None:
    """One byte of each id and cursor names its key."""
    for use in ("ids", "cursors"):
        (keys / f"{use}-1.pem").rename(keys / f"{use}-256.pem")
        assert "a number up to 255" in refused(keys, passphrase)
        (keys / f"{use}-256.pem").rename(keys / f"{use}-255.pem")
    key_files.read(keys, passphrase)


def test_of_many_who_make_one_key_one_does(tmp_path: Path, passphrase: Path) -> None:
    """A file appears whole, once, under its name; whoever comes second hears so."""
    (tmp_path / "keys").mkdir(0o700)
    made: list[key_files.KeyFile | None] = []
    threads = [
        threading.Thread(target=lambda: made.append(key_files.make(tmp_path / "keys", passphrase, "ids", 2)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (first,) = [each for each in made if each is not None]
    assert [file.id for file in key_files.found(tmp_path / "keys", passphrase)] == [first.id]
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["ids-2.pem"]


def test_what_a_crash_left_of_a_file_is_not_read(keys: Path, passphrase: Path) -> None:
    """A key that was not written to its end stands under a passing name."""
    (keys / ".new-abcdefgh").write_bytes(b"-----BEGIN ENCRYPTED")
    key_files.read(keys, passphrase)


def test_a_key_does_not_show_itself(keys: Path, passphrase: Path) -> None:
    """Not in a text that a log or a traceback could hold."""
    told = " ".join(map(repr, key_files.found(keys, passphrase)))
    assert "KeyFile(use='token', number=1)" in told
    assert "object at" not in told


def test_keys_are_known_by_their_thumbprints(keys: Path, passphrase: Path) -> None:
    """A signing key's id is that of RFC 7638, as joserfc makes it; a secret's tells nothing and differs by use."""
    from joserfc.jwk import import_key

    for file in key_files.found(keys, passphrase):
        if isinstance(file.key, x25519.X25519PrivateKey):
            assert re.fullmatch("[0-9a-f]{16}", file.id)
            assert bytes.fromhex(file.id) not in file.key.private_bytes_raw()
            other = next(use for use in key_files.SECRETS if use != file.use)
            assert key_files.KeyFile(other, file.number, file.key).id != file.id
        else:
            public = import_key(key_files.public_pem(file.key), "EC" if file.use == "token" else "OKP")
            assert file.id == public.thumbprint()


def test_an_agencys_own_key_stays_as_it_was(tmp_path: Path) -> None:
    """It is the agency's to protect; a second one is not written over the first, nor over its public half."""
    make_key_pair(tmp_path / "agency", "ES256")
    content = (tmp_path / "agency.pem").read_bytes(), (tmp_path / "agency.pub.pem").read_bytes()
    assert content[0].startswith(b"-----BEGIN PRIVATE KEY-----")
    key_files.read_private(tmp_path / "agency.pem")
    with pytest.raises(ConfigurationError, match=r"agency\.pem exists already"):
        make_key_pair(tmp_path / "agency", "ES256")
    assert content == ((tmp_path / "agency.pem").read_bytes(), (tmp_path / "agency.pub.pem").read_bytes())


def test_an_encrypted_key_of_an_agency_is_refused(keys: Path) -> None:
    """The command that asks for a token has no passphrase to open it with."""
    with pytest.raises(ConfigurationError, match="is not an unencrypted PKCS#8 key"):
        key_files.read_private(keys / "token-1.pem")


def test_reading_keys_is_quick(keys: Path, passphrase: Path) -> None:
    """A command that reads a hundred keys must not wait for them: the passphrase, not the derivation, is strong."""
    from time import process_time

    for number in range(2, 16):
        for use in USES:
            key_files.make(keys, passphrase, use, number)
    began = process_time()
    assert len(key_files.found(keys, passphrase)) == 105
    assert process_time() - began < 1


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert [path for path in tmp_path.rglob(".new-*") if path.name != ".new-abcdefgh"] == []
