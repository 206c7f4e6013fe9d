"""The commands of city IT and auditors, run from the shell as they run them."""

import json
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway import sshsig
from tests.arrests import stand_for_real
from tests.e2e import servers
from tests.world import POLICIES, SIGNERS, passphrase

EXPLAINED = ["policy", "explain", "--agency", "ICE", "--component", "ERO", "--mission", "immigration-enforcement"]
PURPOSE = ["--purpose", "immigration-enforcement"]
ADDRESS = ["--address", "1 Invented Square"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Prepare a small city."""
    directory = tmp_path_factory.mktemp("commands")
    given = {
        "arrest_url": f"sqlite:///{directory / 'arrests.db'}",
        "store_url": f"sqlite:///{directory / 'store.db'}",
        "keys": str(directory / "keys"),
        "keys_passphrase": str(passphrase(directory / "keys")),
        "policies": str(POLICIES),
        "approvers": str(directory / "approvers"),
        "issuer": "http://127.0.0.1:8000",
        "log_origin": "commands.gateway.test/log",
        "log_public": str(directory / "public"),
    }
    assert "100 arrests" in done(["seed", "--url", given["arrest_url"], "--arrests", "100"], given)
    stand_for_real(given["arrest_url"])
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
    add = ["client", "add", "atf", "--agency", "ATF", "--component", "Field Division", "--ori", "PATEST001", *ADDRESS]
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


def test_an_agreements_life(settings: dict[str, str], tmp_path: Path) -> None:
    """Suspended, resumed, renewed, certified, terminated: each a version, each in the log, the last for good."""
    done(["client", "keygen", str(tmp_path / "key")], settings)
    scan = tmp_path / "signed.pdf"
    scan.write_bytes(b"a scan")
    add = ["client", "add", "hsi", "--agency", "ICE", "--component", "HSI", "--ori", "PATEST003", *ADDRESS]
    add += [
        "--mission",
        "immigration-enforcement",
        "--no-criminal-justice-agency",
        "--purpose",
        "criminal-investigation",
    ]
    done([*add, "--from", "2020-01-01", "--until", "2027-01-01", "--key", str(tmp_path / "key.pub.pem")], settings)
    of = ["hsi-agreement", "--by", "Officer Sealed"]
    assert done(["agreement", "suspend", *of], settings) == "hsi-agreement is suspended, version 2\n"
    assert "is suspended, not in-force" in done(["agreement", "suspend", *of], settings, 2)
    assert done(["agreement", "resume", *of], settings) == "hsi-agreement is in-force, version 3\n"
    assert "runs until 2027-01-01 already" in done(["agreement", "renew", *of, "--until", "2026-12-31"], settings, 2)
    assert "version 4" in done(["agreement", "renew", *of, "--until", "2028-01-01"], settings)
    certify = ["agreement", "certify", *of, "--text", "no-onward-transfer/1", "--signer", "A. Signer", "--signed"]
    certify += ["2026-01-01", "--expires", "2027-01-01", "--document", str(scan)]
    assert "no purpose" in done([*certify, "--purpose", "peeking"], settings, 2)
    unsigned = [*certify, "--purpose", "criminal-investigation", "--signed", "2199-01-01"]
    assert "before it was signed" in done(unsigned, settings, 2)
    assert "version 5" in done([*certify, "--purpose", "criminal-investigation"], settings)
    assert "certified 'no-onward-transfer/1'" in done(["agreement", "list"], settings)
    assert done(["agreement", "terminate", *of], settings) == "hsi-agreement is terminated, version 6\n"
    assert "never taken up again" in done(["agreement", "resume", *of], settings, 2)
    assert "no agreement nothing" in done(["agreement", "suspend", "nothing"], settings, 2)
    shown = done(["audit", "show", "--json"], settings)
    assert [f'"agreement-{s}"' in shown for s in ("suspend", "resume", "renew", "certify", "terminate")] == [True] * 5
    assert "A. Signer" not in shown
    done(["audit", "verify"], settings)


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
    for same in ("one", " ONE "):
        assert "can't confirm" in done(["instrument", "confirm", identifier, "--by", same], settings, 2)
    assert "is confirmed" in done(["instrument", "confirm", identifier, "--by", "two"], settings)
    assert "confirmed by two" in done(["instrument", "list"], settings)
    told = done(["audit", "verify", "--against", str(kept)], settings)
    assert "verified: " in told
    assert "no earlier checkpoint was given" not in told
    kept.write_text(kept.read_text().replace("log\n", "log \n", 1))
    assert "NOT VERIFIED: another-log" in done(["audit", "verify", "--against", str(kept)], settings, 1)


def test_policy_check_and_explain_say_what_applies_and_why(settings: dict[str, str]) -> None:
    """The order of 2014 permits nothing of the data and denies nothing; the hypothetical one masks and withholds."""
    assert "11 documents, sha256:" in done(["policy", "check"], settings)
    plain = done([*EXPLAINED, *PURPOSE, "--as-of", "2014-04-17"], settings)
    assert "PERMIT\n" in plain
    assert "permit       ph-2010/those-arrested: " in plain
    closed = done([*EXPLAINED, *PURPOSE, "--as-of", "2014-04-17", "--with", "hold-standard-on-data"], settings)
    assert "date_of_birth                    masked as year by hold-standard-on-data/convicted-and-warranted" in closed
    assert "home_address                     withheld by hold-standard-on-data/no-home-raids" in closed
    ended = done([*EXPLAINED, *PURPOSE, "--as-of", "2018-09-01"], settings)
    assert "DENY (denied-by-rule)" in ended
    assert "'peeking' is not one of" in done([*EXPLAINED, "--purpose", "peeking"], settings, 2)


def test_policy_test_runs_the_documents_own_cases(settings: dict[str, str]) -> None:
    """The policy that ships passes its tests, which see each rule match and not match."""
    told = done(["policy", "test"], settings)
    assert "14 of 14 rules were seen to match and not to match" in told
    assert " 0 failed" in told
    assert "no tests" not in told


def test_wrong_settings_end_in_one_line(settings: dict[str, str]) -> None:
    """An operator reads which variable is wrong, and no traceback."""
    assert "GATEWAY_KEYS" in done(["init"], {"store_url": settings["store_url"]}, 2)
    assert "GATEWAY_TYPO: is no setting" in done(["init"], settings | {"typo": "1"}, 2)


def test_explain_says_how_each_rule_falls_on_one_record(settings: dict[str, str]) -> None:
    """True, false or unknown, in words and as JSON; no value is told, and that somebody looked is in the log."""
    asked = [*EXPLAINED, *PURPOSE, "--as-of", "2014-05-01", "--with", "hold-standard-on-data", "--record", "5"]
    told = json.loads(done([*asked, "--json", "--by", "Officer Sealed"], settings))
    assert {rule["rule"]: rule["rows"] for rule in told["rules"]}["pa-expunged/gone"] == "false"
    assert {rule["rows"] for rule in told["rules"]} <= {"true", "false", "unknown"}
    assert told["record"] == "hidden"
    assert "this record is not in the view" in done(asked, settings)
    shown = done([*EXPLAINED, *PURPOSE, "--as-of", "2014-05-01", "--record", "5", "--json"], settings)
    assert json.loads(shown)["record"] == "shown"
    assert "no record 99999999" in done([*asked[:-1], "99999999"], settings, 2)
    entries = done(["audit", "show", "--json"], settings)
    assert '"policy-explain"' in entries
    assert "Officer Sealed" not in entries


def test_timeline_names_gaps_and_overlaps(settings: dict[str, str], tmp_path: Path) -> None:
    """Of the shipped documents one gap is known: nothing is known of notices under the order of December 2015."""
    told = done(["policy", "timeline"], settings)
    assert told.count("\nfrom 20") == 5
    assert told.endswith("from 2015-12-22 until 2016-01-04, between ph-eo-1-14 and ph-eo-5-16\n")
    shutil.copytree(POLICIES, tmp_path / "p")
    document = tmp_path / "p" / "ph-2018.yaml"
    document.write_text(document.read_text().replace("{from: 2018-09-01}", "{from: 2018-08-01}"))
    told = done(["policy", "timeline", "--policies", str(tmp_path / "p")], settings)
    assert "overlap: ph-2010 and ph-2018 both rule on 'read' of arrests from 2018-08-01 until 2018-09-01" in told
    found = json.loads(done(["policy", "timeline", "--json"], settings))
    assert [finding["kind"] for finding in found["findings"]] == ["gap"]


@pytest.fixture(scope="module")
def client(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Register a client."""
    key = tmp_path_factory.mktemp("client") / "key"
    done(["client", "keygen", str(key)], settings)
    add = ["client", "add", "ero", "--agency", "ICE", "--component", "ERO", "--ori", "PATEST009", *ADDRESS, *PURPOSE]
    add += ["--mission", "immigration-enforcement", "--no-criminal-justice-agency", "--from", "2008-01-01"]
    done([*add, "--key", f"{key}.pub.pem"], settings)
    return "ero"


def test_diff_tells_records_persons_and_fields(settings: dict[str, str], client: str, tmp_path: Path) -> None:
    """What a registered client would gain and lose, in numbers of the real database and in names of fields."""
    shutil.copytree(POLICIES, tmp_path / "p")
    document = tmp_path / "p" / "ph-2010.yaml"
    shown = "show: [identity, identifier, contact, origin, arrest, charges, custody]"
    rows = (
        f'rows: record.category == "Violent"\n    {shown.replace("contact, ", "")}\n    mask: {{date_of_birth: year}}'
    )
    document.write_text(document.read_text().replace(shown, rows))
    asked = ["policy", "diff", str(POLICIES), str(tmp_path / "p"), "--as-of", "2014-05-01"]
    told = done(asked, settings)
    assert "changed  ph-2010.yaml" in told
    assert "home_address                     shown -> withheld" in told
    assert "date_of_birth                    shown -> masked as year" in told
    (change,) = [each for each in json.loads(done([*asked, "--json"], settings))["changes"] if each["client"] == client]
    records, persons = change["numbers"]["records"], change["numbers"]["persons"]
    engine = sa.create_engine(settings["arrest_url"])
    with engine.connect() as connection:
        live = "record_status NOT IN ('expunged', 'sealed')"
        before = connection.scalar(sa.text(f"SELECT count(*) FROM arrest WHERE {live}"))
        kept = f"FROM arrest WHERE {live} AND category = 'Violent'"
        after = connection.scalar(sa.text(f"SELECT count(*) {kept}"))
        people = connection.scalar(sa.text(f"SELECT count(DISTINCT person_id) {kept}"))
    engine.dispose()
    assert records == {"before": before, "after": after, "gained": 0, "lost": before - after}
    assert (persons["after"], persons["gained"]) == (people, 0)
    assert "would see anything else" in done(["policy", "diff", str(POLICIES), str(POLICIES)], settings)


def test_plan_shows_the_statement_and_what_it_lacks(settings: dict[str, str], client: str) -> None:
    """The statement holds no value of the search; a filter without an index is named; what is refused is told."""
    asked = ["policy", "plan", "--client", client, *PURPOSE, "--as-of", "2014-05-01"]
    told = done([*asked, "--search", '{"filter": {"employer": {"eq": "SECRET TERM"}}}'], settings)
    assert "WHERE visible.employer = :value_0" in told
    assert "missing: CREATE INDEX ix_person_employer ON person (employer)" in told
    assert "SECRET TERM" not in told
    assert "no index is missing" in done([*asked, "--search", '{"filter": {"dc_number": {"eq": "1"}}}'], settings)
    assert "unknown-field" in done([*asked, "--search", '{"filter": {"victims": {"eq": "1"}}}'], settings, 2)
    assert "denied (denied-by-rule)" in done([*asked[:-1], "2020-01-01"], settings, 2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["seed", "--url", "mysql://x/y"], "--url is sqlite:///FILE"),
        (["seed", "--url", "nonsense"], "--url is sqlite:///FILE"),
        (["audit", "extract", "--export", ".", "--out", "out", "--delay", "9" * 20], "--delay"),
        (["instrument", "list", "--by", "a\x01b"], "--by"),
        (["policy", "diff", "policies", "policies", "--as-of", "0001-01-01"], "a day is from"),
        (["audit", "verify", "--against", "README.md"], "README.md holds no checkpoint"),
        (["audit", "verify", "--promise", "README.md"], "README.md holds no promise"),
        (["audit", "verify", "--receipt", "README.md"], "README.md holds no receipt"),
        (["audit", "verify", "--keep", "README.md"], "something else than a checkpoint"),
    ],
    ids=lambda each: " ".join(each)[:40] if isinstance(each, list) else None,
)
def test_what_was_typed_wrongly_is_one_line(settings: dict[str, str], arguments: list[str], told: str) -> None:
    """With status 2, and no traceback."""
    assert told in done(arguments, settings, 2)


def test_a_store_that_can_not_be_made_is_one_line(settings: dict[str, str]) -> None:
    """The first command that a city runs."""
    nowhere = settings | {"store_url": "sqlite:////no/such/directory/store.db"}
    assert "is GATEWAY_STORE_URL right?" in done(["init"], nowhere, 2)


def test_an_arrest_database_that_is_not_there_is_not_made(settings: dict[str, str], tmp_path: Path) -> None:
    """SQLite would make an empty one under the mistyped name."""
    mistyped = tmp_path / "nothing.db"
    asked = ["policy", "diff", str(POLICIES), str(POLICIES)]
    assert "no such arrest database" in done(asked, settings | {"arrest_url": f"sqlite:///{mistyped}"}, 2)
    assert not mistyped.exists()


def test_a_statement_under_signature_is_not_written_over(settings: dict[str, str], tmp_path: Path) -> None:
    """Signatures that were collected would be of another."""
    file, lines = tmp_path / "statement.json", (sshsig.public_half(key).written() for key in SIGNERS.values())
    Path(settings["approvers"]).write_text("".join(f"officer-{n} {line}\n" for n, line in enumerate(lines)))
    propose = ["policy", "propose", str(file), "--because", "A test."]
    done(propose, settings)
    before = file.read_bytes()
    assert "can't be written" in done(propose, settings, 2)
    assert file.read_bytes() == before
