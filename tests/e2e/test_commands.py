"""The commands of city IT and auditors, run from the shell as they run them."""

from pathlib import Path

import pytest

from tests.e2e import servers
from tests.world import POLICIES

EXPLAINED = ["policy", "explain", "--agency", "ICE", "--component", "ERO", "--mission", "immigration-enforcement"]
PURPOSE = ["--purpose", "immigration-enforcement"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Prepare a small city."""
    directory = tmp_path_factory.mktemp("commands")
    given = {
        "arrest_url": f"sqlite:///{directory / 'arrests.db'}",
        "store_url": f"sqlite:///{directory / 'store.db'}",
        "keys": str(directory / "keys"),
        "policies": str(POLICIES),
        "approvers": str(directory / "approvers"),
        "issuer": "http://127.0.0.1:8000",
        "log_origin": "commands.gateway.test/log",
    }
    assert "100 arrests" in done(["seed", "--url", given["arrest_url"], "--arrests", "100"], given)
    assert "commands.gateway.test/log+" in done(["init"], given)
    return given


def done(arguments: list[str], settings: dict[str, str], status: int = 0) -> str:
    """Run a command; return what it said."""
    ended = servers.run(arguments, settings)
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout + ended.stderr


def test_a_clients_life(settings: dict[str, str], tmp_path: Path) -> None:
    """A client is registered, listed, suspended and resumed; each step is in the log, under the officer's seal."""
    done(["client", "keygen", str(tmp_path / "key"), "--algorithm", "EdDSA"], settings)
    add = ["client", "add", "atf", "--agency", "ATF", "--component", "Field Division", "--ori", "PATEST001"]
    add += ["--mission", "firearms-regulation", "--criminal-justice-agency", "--purpose", "firearms-investigation"]
    add += ["--from", "2020-01-01", "--key", str(tmp_path / "key.pub.pem"), "--by", "Officer Sealed"]
    assert done(add, settings) == "registered atf\n"
    assert "a client atf already" in done(add, settings, 2)
    assert "no purpose of the catalogue" in done([*add, "--purpose", "peeking"], settings, 2)
    assert done(["client", "suspend", "atf"], settings) == "atf is suspended\n"
    assert "suspended" in done(["client", "list"], settings)
    assert done(["client", "resume", "atf"], settings) == "atf is active\n"
    assert "no client nobody" in done(["client", "suspend", "nobody"], settings, 2)
    shown = done(["audit", "show", "--json"], settings)
    assert [f'"client-{step}"' in shown for step in ("add", "suspended", "active")] == [True] * 3
    assert "Officer Sealed" not in shown


def test_an_instruments_life_leaves_a_log_that_verifies(settings: dict[str, str], tmp_path: Path) -> None:
    """One officer records, another confirms; the log verifies after it, and against a checkpoint from before."""
    kept = tmp_path / "checkpoint"
    done(["audit", "verify", "--keep", str(kept)], settings)
    (tmp_path / "scan.pdf").write_bytes(b"an invented warrant")
    add = [
        "instrument",
        "add",
        "--person",
        "7",
        "--agency",
        "ICE",
        *PURPOSE,
        "--kind",
        "judicial",
        "--signer",
        "state-judge",
    ]
    add += [
        "--document",
        str(tmp_path / "scan.pdf"),
        "--issued",
        "2026-01-01",
        "--expires",
        "2027-01-01",
        "--by",
        "one",
    ]
    identifier = done(add, settings).strip()
    assert "NOT CONFIRMED" in done(["instrument", "list"], settings)
    assert "can't confirm" in done(["instrument", "confirm", identifier, "--by", "one"], settings, 2)
    assert "is confirmed" in done(["instrument", "confirm", identifier, "--by", "two"], settings)
    assert "confirmed by two" in done(["instrument", "list"], settings)
    assert "continues the checkpoint given" in done(["audit", "verify", "--against", str(kept)], settings)
    kept.write_text(kept.read_text().replace("log\n", "log \n", 1))
    assert "NOT VERIFIED: forged" in done(["audit", "verify", "--against", str(kept)], settings, 1)


def test_policy_check_and_explain_say_what_applies_and_why(settings: dict[str, str]) -> None:
    """The order of 2014 permits nothing of the data and denies nothing; the hypothetical one masks and withholds."""
    assert "11 documents, sha256:" in done(["policy", "check"], settings)
    plain = done([*EXPLAINED, *PURPOSE, "--as-of", "2014-04-17"], settings)
    assert "PERMIT by pa-expunged/gone, ph-2010/those-arrested" in plain
    closed = done([*EXPLAINED, *PURPOSE, "--as-of", "2014-04-17", "--with", "hold-standard-on-data"], settings)
    assert "date_of_birth                    masked: year" in closed
    assert "home_address                     withheld by hold-standard-on-data/no-home-raids" in closed
    ended = done([*EXPLAINED, *PURPOSE, "--as-of", "2018-09-01"], settings)
    assert "DENY (denied-by-rule)" in ended
    assert "'peeking' is not one of" in done([*EXPLAINED, "--purpose", "peeking"], settings, 2)


def test_wrong_settings_end_in_one_line(settings: dict[str, str]) -> None:
    """An operator reads which variable is wrong, and no traceback."""
    assert "GATEWAY_KEYS" in done(["init"], {"store_url": settings["store_url"]}, 2)
    assert "GATEWAY_TYPO: is no setting" in done(["init"], settings | {"typo": "1"}, 2)
