"""`gateway audit verify`: what it says, and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.verify import verify
from tests.conftest import MakeWorld
from tests.verifier.writer import Written, cosigned, honest, vkey
from tests.world import ISSUER, POLICIES

WITNESS = Ed25519PrivateKey.generate()


def _of_another_id() -> str:
    name, _, encoded = vkey(WITNESS).split("+", 2)
    return f"{name}+00000000+{encoded}"


def _run(*arguments: str | Path) -> Result:
    ended = CliRunner().invoke(verify, [str(argument) for argument in arguments])
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended


def _file(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def log(tmp_path: Path) -> Written:
    """An honest log, exported."""
    log = honest()
    log.write(tmp_path / "log")
    return log


def test_a_whole_log(log: Written, tmp_path: Path) -> None:
    """A whole log ends with 0; the checkpoint to keep is printed and kept, and what was not checked is said."""
    ended = _run(tmp_path / "log", "--key", vkey(log.key), "--keep", tmp_path / "kept")
    assert ended.exit_code == 0
    assert "verified: the log gateway.test/log: 20 leaves" in ended.stdout
    assert "not checked: no earlier checkpoint was given" in ended.stdout
    assert ended.stdout.endswith(f"keep this checkpoint:\n{log.notes[-1][1]}\n")
    assert (tmp_path / "kept").read_text(encoding="utf-8") == log.notes[-1][1]
    again = _run(
        tmp_path / "log", "--key", _file(tmp_path / "key", vkey(log.key) + "\n"), "--against", tmp_path / "kept"
    )
    assert again.exit_code == 0
    assert "earlier checkpoint" not in again.stdout


def test_all_evidence(log: Written, tmp_path: Path) -> None:
    """All kinds of evidence can be given, each more than once."""
    kept = _file(tmp_path / "kept", cosigned(log.notes[2][1], WITNESS, "witness.test/one"))
    promises = _file(tmp_path / "promises", f"{log.promise(3)}\n{log.promise(4)}\n")
    receipts = [_file(tmp_path / f"{index}", log.receipt(index)) for index in (5, 6)]
    given = ("--witness", vkey(WITNESS, "witness.test/one", 4), "--promise", promises, "--against", kept)
    ended = _run(tmp_path / "log", "--key", vkey(log.key), *given, "--receipt", receipts[0], "--receipt", receipts[1])
    assert ended.exit_code == 0
    assert "the witness witness.test/one saw the log's first 9 leaves" in ended.stdout
    assert "not checked" not in ended.stdout


def test_a_forged_log(log: Written, tmp_path: Path) -> None:
    """A log that is not whole ends with 1, and one line says what is wrong."""
    log.leaves[3] = log.leaves[3].replace(b"disclosed", b"not-found")
    log.write(tmp_path / "log")
    ended = _run(tmp_path / "log", "--key", vkey(log.key), "--keep", tmp_path / "kept")
    assert ended.exit_code == 1
    assert "NOT VERIFIED: changed: leaves 1 to 3 " in ended.stderr
    assert not ended.stdout
    assert not (tmp_path / "kept").exists()


def test_a_declared_loss(log: Written, tmp_path: Path) -> None:
    """A log that is whole but for what it declares lost ends with 3, and says so first."""
    log.lose(14, 15)
    log.append(action="log-loss", first=14, last=15)
    log.sign()
    log.write(tmp_path / "log")
    ended = _run(tmp_path / "log", "--key", vkey(log.key))
    assert ended.exit_code == 3
    assert ended.stdout.startswith("LOST: the entries of leaves 14 to 15; leaf 20 declares it")


@pytest.mark.parametrize("option", ["--against", "--promise", "--receipt"])
@pytest.mark.parametrize("content", [b"", b"nothing", b"\xff\xfe", b"x" * 2_000_000], ids=["", "no", "binary", "long"])
def test_evidence_that_is_none(option: str, content: bytes, log: Written, tmp_path: Path) -> None:
    """Evidence that can't be read convicts nobody: that it is none is said."""
    (tmp_path / "evidence").write_bytes(content)
    ended = _run(tmp_path / "log", "--key", vkey(log.key), option, tmp_path / "evidence")
    assert ended.exit_code == 2
    assert "evidence holds no" in ended.stderr


@pytest.mark.parametrize("option", ["--key", "--witness"])
@pytest.mark.parametrize(
    "key",
    ["", "nothing", "a+b+c", "x" * 5000, "a\x01b", "a+00000000+AAAA", _of_another_id()],
    ids=["empty", "word", "parts", "long", "control", "digest", "another-id"],
)
def test_a_key_that_is_none(option: str, key: str, log: Written, tmp_path: Path) -> None:
    """A key that is none is a mistake in the command, which ends with 2."""
    ended = _run(tmp_path / "log", "--key", vkey(log.key), option, key)
    assert ended.exit_code == 2
    assert "verifier key" in ended.stderr or "base64" in ended.stderr


def test_keys_of_the_other_kind(log: Written, tmp_path: Path) -> None:
    """A witness's key is not a log's, nor the other way round."""
    witness = vkey(WITNESS, "witness.test/one", 4)
    assert "the key is a witness's" in _run(tmp_path / "log", "--key", witness).stderr
    assert "the key is a log's" in _run(tmp_path / "log", "--key", vkey(log.key), "--witness", vkey(log.key)).stderr


def test_an_export_needs_a_key(tmp_path: Path, log: Written) -> None:
    """Whom to trust is the auditor's to say, never the export's."""
    assert log.leaves
    ended = _run(tmp_path / "log")
    assert ended.exit_code == 2
    assert "give --key" in ended.stderr


def test_where_the_checkpoint_can_not_be_kept(log: Written, tmp_path: Path) -> None:
    """What can't be written ends the command with a line."""
    ended = _run(tmp_path / "log", "--key", vkey(log.key), "--keep", tmp_path / "nowhere" / "kept")
    assert ended.exit_code == 1
    assert "nowhere" in ended.stderr


def test_no_export(tmp_path: Path) -> None:
    """A directory without an export does not verify."""
    ended = _run(tmp_path, "--key", vkey(WITNESS))
    assert ended.exit_code == 1
    assert "NOT VERIFIED: malformed: log.json is missing" in ended.stderr


def test_it_needs_no_settings(log: Written, tmp_path: Path) -> None:
    """With an empty environment, from another directory, an export verifies."""
    program = "from gateway.cli.verify import verify; verify()"
    command = [sys.executable, "-c", program, str(tmp_path / "log"), "--key", vkey(log.key)]
    ended = subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr.decode()) == (0, "")
    assert "verified: the log gateway.test/log: 20 leaves" in ended.stdout.decode()


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_the_gateways_own_log(make_world: MakeWorld, tmp_path: Path) -> None:
    """Without an export, the log in the gateway's own store is verified."""
    made = make_world()
    made.asker(officer="Officer One").search({"limit": 1})
    made.leaves()
    settings = made.settings
    environment = {
        "GATEWAY_ARREST_URL": settings.arrest_url,
        "GATEWAY_STORE_URL": settings.store_url,
        "GATEWAY_KEYS": str(settings.keys),
        "GATEWAY_KEYS_PASSPHRASE": str(settings.keys_passphrase),
        "GATEWAY_POLICIES": str(POLICIES),
        "GATEWAY_APPROVERS": str(settings.approvers),
        "GATEWAY_ISSUER": ISSUER,
        "GATEWAY_LOG_ORIGIN": settings.log_origin,
        "GATEWAY_LOG_PUBLIC": str(settings.log_public),
    }
    ended = CliRunner().invoke(verify, ["--keep", str(tmp_path / "kept")], env=environment)
    assert ended.exit_code == 0, ended.output
    assert (tmp_path / "kept").read_text(encoding="utf-8") == made.gateway.log.checkpoint()
    stranger = CliRunner().invoke(verify, ["--key", vkey(WITNESS, settings.log_origin)], env=environment)
    assert stranger.exit_code == 1
    assert "NOT VERIFIED: forged" in stranger.stderr or "NOT VERIFIED: another-log" in stranger.stderr
