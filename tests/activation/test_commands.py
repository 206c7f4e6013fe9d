"""The commands of approvers and city IT."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app as composition
from gateway import sshsig
from gateway.activation.approvers import NAMESPACE
from gateway.cli import program
from gateway.keys import public_pem
from gateway.settings import read
from tests import world
from tests.activation.city import ALICE, BOB, directory, signed_by
from tests.e2e import servers

BECAUSE = ["--because", "To see it done."]


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Return the settings as variables."""
    return {f"GATEWAY_{name.upper()}": value for name, value in settings.items()}


@dataclass(frozen=True, slots=True)
class Shell:
    """A city whose commands can be run."""

    root: Path
    settings: dict[str, str]

    def done(self, *arguments: str, status: int = 0) -> str:
        """Run a command of the policy; return what it said."""
        ended = CliRunner().invoke(program, ["policy", *arguments], env=environment(self.settings))
        assert ended.exit_code == status, ended.output
        assert ended.exception is None or isinstance(ended.exception, SystemExit)
        return ended.output

    def key(self, name: str) -> str:
        """Write an approver's private key as ssh-keygen does."""
        form = serialization.PrivateFormat.OpenSSH
        path = self.root / f"{name}.key"
        plain = serialization.NoEncryption()
        path.write_bytes(world.SIGNERS[name].private_bytes(serialization.Encoding.PEM, form, plain))
        return str(path)

    def sign(self, statement: Path) -> list[str]:
        """Sign a statement's file by both approvers; return the options that name the signatures."""
        options = []
        for name, armored in zip((ALICE, BOB), signed_by(statement.read_bytes(), ALICE, BOB), strict=True):
            path = self.root / f"{statement.name}.{name}.sig"
            path.write_text(armored)
            options += ["--signature", str(path)]
        return options


@pytest.fixture
def shell(sqlite_arrests: str, tmp_path: Path) -> Shell:
    """Prepare a city without a policy in force, with one client of ICE."""
    given = {
        "arrest_url": sqlite_arrests,
        "store_url": f"sqlite:///{tmp_path / 'store.db'}",
        "keys": str(tmp_path / "keys"),
        "keys_passphrase": str(world.passphrase(tmp_path / "keys")),
        "policies": str(directory(tmp_path / "policies", "first")),
        "approvers": str(tmp_path / "approvers"),
        "issuer": "http://127.0.0.1:8000",
        "log_origin": "commands.gateway.test/log",
        "log_public": str(tmp_path / "public"),
        "bind": f"127.0.0.1:{servers.free_port()}",
    }
    settings = read(environment(given))
    composition.prepare(settings)
    lines = (f"{name} {sshsig.public_half(key).written()}\n" for name, key in world.SIGNERS.items())
    settings.approvers.write_text("".join(lines))
    key = ec.generate_private_key(ec.SECP256R1())
    with composition.open_log(settings) as log:
        world.register(log.store, "ice-ero", public_pem(key), world.agreement("ice-ero"))
    return Shell(tmp_path, given)


def test_a_policys_life(shell: Shell, tmp_path: Path) -> None:
    """Proposed, signed, activated, scheduled, rolled back; status and history tell it, and so does the log."""
    assert "no policy is in force" in shell.done("status")
    refused = servers.run(["serve"], shell.settings)
    assert refused.returncode != 0
    assert "gateway policy activate" in refused.stderr
    assert "Traceback" not in refused.stderr
    statement = tmp_path / "one.json"
    said = shell.done("propose", str(statement), *BECAUSE)
    assert f"ssh-keygen -Y sign -n {NAMESPACE} -f KEY < {statement}" in said
    signatures = shell.sign(statement)
    assert "has 1" in shell.done("activate", str(statement), *signatures[:2], status=2)
    assert shell.done("activate", str(statement), *signatures).startswith("statement 1: activate sha256:")
    assert "comes again" in shell.done("activate", str(statement), *signatures, status=2)
    assert "no bundle was in force before" in shell.done("rollback", "--key", shell.key(BOB), *BECAUSE, status=2)
    directory(Path(shell.settings["policies"]), "second")
    second = tmp_path / "two.json"
    shell.done("propose", str(second), *BECAUSE)
    shell.done("activate", str(second), *shell.sign(second))
    assert "rollback sha256:" in shell.done("rollback", "--key", shell.key(BOB), *BECAUSE)
    later = tmp_path / "later.json"
    assert "has begun" in shell.done("propose", str(later), "--from", "2020-01-01", *BECAUSE, status=2)
    assert "from 2100-01-01" in shell.done("propose", str(later), "--from", "2100-01-01", *BECAUSE)
    shell.done("activate", str(later), *shell.sign(later))
    digests = [json.loads(path.read_bytes())["bundle"] for path in (statement, second)]
    status = shell.done("status").splitlines()
    assert status[0].startswith(f"in force   {digests[0]}")
    assert f"signed by {BOB}: To see it done." in status[0]
    assert status[1].startswith(f"scheduled  {digests[1]} from 2100-01-01 05:00Z")
    assert f"signed by {ALICE}, {BOB}" in status[1]
    history = shell.done("history")
    assert [line.split()[0] for line in history.splitlines()[::2]] == ["activate", "activate", "rollback", "activate"]
    shown = servers.run(["audit", "show", "--json"], shell.settings).stdout
    leaves = [json.loads(line) for line in shown.splitlines()]
    told = {leaf["statement"]: (leaf["action"], leaf["signers"]) for leaf in leaves if "statement" in leaf}
    assert told[1] == ("policy-activate", [ALICE, BOB])
    assert told[3] == ("policy-rollback", [BOB])
    changed = [leaf["changed"] for leaf in leaves if leaf["action"] == "policy-activate"]
    assert "catalogue.yaml" in changed[0], "the first activation brings the catalogue"
    assert changed[1]
    assert "catalogue.yaml" not in changed[1]


def test_a_stops_life(shell: Shell, tmp_path: Path) -> None:
    """Only an agency that there is can be stopped; lifting takes two."""
    assert "there are: ICE" in shell.done("stop", "ICF", "--key", shell.key(ALICE), *BECAUSE, status=2)
    assert "statement 1: stop ICE" in shell.done("stop", "ICE", "--key", shell.key(ALICE), *BECAUSE)
    assert "stopped already" in shell.done("stop", "ICE", "--key", shell.key(ALICE), *BECAUSE, status=2)
    assert "stopped    ICE by statement 1" in shell.done("status")
    statement = tmp_path / "lift.json"
    shell.done("propose", str(statement), "--lift", "FBI", *BECAUSE, status=2)
    together = ("propose", str(statement), "--lift", "ICE", "--from", "2100-01-01", *BECAUSE)
    assert "don't go together" in shell.done(*together, status=2)
    assert "gateway policy lift" in shell.done("propose", str(statement), "--lift", "ICE", *BECAUSE)
    signatures = shell.sign(statement)
    assert "has 1" in shell.done("lift", str(statement), *signatures[:2], status=2)
    assert "statement 2: lift ICE" in shell.done("lift", str(statement), *signatures)
    assert "stopped" not in shell.done("status")


def test_what_goes_wrong_is_one_line(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are none, a broken policy, a key that can't be used, approvers who are gone."""
    statement = tmp_path / "one.json"
    shell.done("propose", str(statement), *BECAUSE)
    signatures = shell.sign(statement)
    broken = tmp_path / "broken.json"
    broken.write_bytes(b"{}")
    assert "this is no statement" in shell.done("activate", str(broken), *signatures, status=2)
    for content in (b"\xff" * 9, b"x" * 20_000):
        broken.write_bytes(content)
        said = shell.done("activate", str(statement), *signatures[:2], "--signature", str(broken), status=2)
        assert len(said.splitlines()) == 1
    monkeypatch.setenv("PATH", str(tmp_path))
    # A key that can't be read here may be encrypted, or a device's: it is left to ssh-keygen, which is not there.
    assert "ssh-keygen did not sign" in shell.done("stop", "ICE", "--key", str(broken), *BECAUSE, status=2)
    shell.done("activate", str(statement), *signatures)
    only = Path(shell.settings["approvers"])
    lines = only.read_text()
    only.write_text(lines.replace(ALICE, "carol"))
    assert ", carol: " in shell.done("history")
    only.write_text(lines.splitlines()[0] + "\n")
    assert "fewer approvers" in shell.done("status", status=2)
    only.write_text(lines.splitlines()[0] + "\n" + _strange())
    assert "no registered approver" in shell.done("status", status=2)
    assert "NOBODY WHO COUNTS TODAY" in shell.done("history")
    only.write_text(f"{BOB} {sshsig.public_half(world.SIGNERS[BOB]).written()}\n" + _strange())
    strange = shell.done("stop", "ICE", "--key", shell.key(BOB), *BECAUSE)
    assert "WARNING: statement 1" in strange
    only.write_text(lines)
    for reason in ("", "two\nlines", "x" * 1001):
        assert "one line" in shell.done("propose", str(statement), "--because", reason, status=2)
    nowhere = str(tmp_path / "no" / "directory")
    assert "can't be written" in shell.done("propose", nowhere, *BECAUSE, status=2)
    (Path(shell.settings["policies"]) / "doc.yaml").write_text("policy: doc\n")
    assert "doc.yaml:1:1" in shell.done("propose", str(statement), *BECAUSE, status=2)


def _strange() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return f"dan {sshsig.public_half(key).written()}\n"
