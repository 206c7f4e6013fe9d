"""The demo, as its users run it."""

import sqlite3
from pathlib import Path

import pytest

from tests.e2e import servers


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the demo once, on fewer arrests."""
    directory = tmp_path_factory.mktemp("demo") / "demo"
    port = str(servers.free_port())
    done = servers.run(["demo", "--once", "--arrests", "12000", "--directory", str(directory), "--port", port], {})
    assert done.returncode == 0, done.stdout + done.stderr
    return directory, done.stdout


def test_the_demo_does_the_main_job_and_says_so(demo: tuple[Path, str]) -> None:
    """It ends with 0 after every step went as it should."""
    _, said = demo
    for expected in (
        "2014-04-15 and 2014-04-17 are the same",
        "they carry no home address and no place of birth",
        "terms unknown: assumed",
        "a hidden record and a missing one get the same 404",
        "it is throttled (429)",
        "the log continues the checkpoint given",
        "Everything went as it should.",
    ):
        assert expected in said


def test_the_demo_starts_anew_and_spares_what_it_did_not_make(demo: tuple[Path, str], tmp_path: Path) -> None:
    """A directory of somebody else's is refused and left as it was."""
    (tmp_path / "precious").write_text("mine")
    done = servers.run(["demo", "--once", "--directory", str(tmp_path)], {})
    assert done.returncode == 1
    assert "was not made by the demo" in done.stderr
    assert (tmp_path / "precious").read_text() == "mine"
    assert demo[0].exists()


def test_the_demo_stops_at_the_first_thing_that_differs(tmp_path: Path) -> None:
    """With a policy that leaves the gap open, the demo fails and says what should have been so."""
    policies = tmp_path / "policies"
    for path in (servers.ROOT / "policies").rglob("*.yaml"):
        if path.name == "hold-standard-on-data_test.yaml":
            continue  # with its own tests, such a document would not even take force
        text = path.read_text().replace("fields: [contact, place_of_birth]", "fields: [ssn]")
        text = text.replace("show: [identity, charges, custody, arrested_at]", "show: [identity, contact, charges]")
        copy = policies / path.relative_to(servers.ROOT / "policies")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
    done = servers.run(
        ["demo", "--once", "--arrests", "12000", "--directory", str(tmp_path / "d"), "--policies", str(policies)], {}
    )
    assert done.returncode == 1
    assert "this should have been so: and they carry no home address" in done.stderr


def test_no_raw_value_is_kept_in_the_store(demo: tuple[Path, str]) -> None:
    """The store holds openings encrypted, and no name of a person."""
    directory, _ = demo
    arrests = sqlite3.connect(directory / "arrests.db")
    names = {name.encode() for (name,) in arrests.execute("SELECT family_name FROM person") if len(name) > 6}
    arrests.close()
    content = (directory / "store.db").read_bytes() + (directory / "server.log").read_bytes()
    assert not [name for name in names if name in content]
