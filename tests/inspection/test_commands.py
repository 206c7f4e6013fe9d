"""The auditors' commands, as they are typed: formats, bounds, what a terminal or a spreadsheet must not obey."""

import csv
import json
import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from io import StringIO

import pytest
from click.testing import CliRunner, Result

from gateway.cli import program
from tests.conftest import MakeWorld
from tests.e2e import servers
from tests.inspection.conftest import Inspect, records
from tests.world import World, environment

WHY = ("--because", "A complaint was made.", "--by", "Auditor A")
FORMULA = '=HYPERLINK("http://evil.example")'
ESCAPE = "\x1b[2J\x1b]0;owned\x07"
Run = Callable[..., Result]


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A world whose agencies, officers and search terms say what programs would obey."""
    world = make_world()
    world.asker("formula", FORMULA, officer=FORMULA, mission="criminal-investigation").search()
    fbi = world.asker("fbi", "FBI", officer=FORMULA, component=f"@{ESCAPE}", address="+1 Example Street")
    assert fbi.search({"limit": 2, "filter": {"family_name": {"ne": ESCAPE}}}).status_code == 200
    world.gateway.log.seal_all()
    return world


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command over the world's log."""
    for name, value in environment(world.settings).items():
        monkeypatch.setenv(name, value)

    def ran(*arguments: str, status: int = 0) -> Result:
        done = CliRunner().invoke(program, ["audit", *arguments])
        assert done.exit_code == status, (done.output, done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    return ran


@pytest.fixture
def entry(world: World) -> str:
    """The entry of the disclosure."""
    return str(next(leaf["id"] for leaf in world.leaves() if leaf["outcome"] == "disclosed"))


def test_each_format_tells_the_same_entries(run: Run) -> None:
    """As a table, JSON, CSV and NDJSON; paged by what each page says."""
    whole = json.loads(run("search", "--format", "json").stdout)
    ids = [leaf["id"] for leaf in whole["entries"]]
    assert whole["after"] is None
    assert len(ids) >= 5
    asked = (
        "search",
        "--until",
        "2199-01-01",
        "--after",
        str(whole["entries"][0]["index"]),
        "--limit",
        str(len(ids) - 1),
    )
    lines = run(*asked, "--format", "ndjson").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids[1:]
    rows = list(csv.DictReader(StringIO(run(*asked, "--format", "csv").stdout, newline="")))
    assert [row["id"] for row in rows] == ids[1:]
    table = run(*asked).stdout.splitlines()
    assert [line.split()[2] for line in table] == [each[:8] for each in ids[1:]]
    first = run("search", "--limit", "1", "--format", "ndjson")
    index = json.loads(first.stdout)["index"]
    assert f"more: --after {index}" in first.stderr


def test_a_spreadsheet_gets_no_formula(run: Run, world: World, entry: str, inspect: Inspect) -> None:
    """Neither through an agency's name, an officer's, an address nor a component."""
    (row,) = csv.DictReader(StringIO(run("search", "--agency", FORMULA, "--action", "read", "--format", "csv").stdout))
    assert row["agency"] == f"'{FORMULA}"
    by_officer = run("search", "--officer", FORMULA, "--agency", "FBI", *WHY, "--format", "csv").stdout
    assert entry in by_officer
    assert "HYPERLINK" not in by_officer
    person = records(inspect(world), entry)[0]["person"]
    (row,) = csv.DictReader(StringIO(run("account", "--person", person, *WHY, "--format", "csv").stdout, newline=""))
    assert row["address"] == "'+1 Example Street"
    assert row["component"].startswith("'@")


def test_a_terminal_gets_no_escape(run: Run, world: World, entry: str, inspect: Inspect) -> None:
    """What a client or an officer wrote is shown, and not obeyed, wherever it is printed."""
    person = records(inspect(world), entry)[0]["person"]
    for arguments in (
        ("show", entry),
        ("show", entry, "--open", *WHY),
        ("show", entry, "--open", "--json", *WHY),
        ("show", "--last", "30"),
        ("show", "--last", "30", "--json"),
        ("explain", entry, "--open", *WHY),
        ("explain", entry, "--json"),
        ("search",),
        ("search", "--format", "json"),
        ("search", "--format", "ndjson"),
        ("search", "--agency", "nobody's"),
        ("account", "--person", person, *WHY),
        ("account", "--person", person, *WHY, "--format", "json"),
    ):
        told = run(*arguments).output
        assert not [c for c in told if not c.isprintable() and c != "\n"], arguments
    assert "\\x1b[2J" in run("show", entry, "--open", *WHY).stdout


def test_opened_by_is_told_to_the_next_auditor(run: Run, entry: str) -> None:
    """Who opened, when, why."""
    run("show", entry, "--open", *WHY)
    told = run("show", entry, "--by", "Auditor B").stdout
    assert "opened by Auditor A at 20" in told
    assert "because A complaint was made." in told
    assert "place: leaf " in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search", "--limit", "0"), "--limit"),
        (("search", "--limit", "1001"), "--limit"),
        (("search", "--limit", "x"), "--limit"),
        (("search", "--after", "-1"), "--after"),
        (("search", "--after", "99999999"), "there is no leaf 99999999"),
        (("search", "--after", str(2**64)), "--after"),
        (("search", "--person", "7"), "must say why"),
        (("search", "--person", "0", *WHY), "--person"),
        (("search", "--person", str(2**63), *WHY), "--person"),
        (("search", "--person", "7 OR 1=1", *WHY), "--person"),
        (("search", "--record", "arrests", *WHY), "RESOURCE:KEY"),
        (("search", "--record", "arrests:01", *WHY), "RESOURCE:KEY"),
        (("search", "--record", f"arrests:{'9' * 5000}", *WHY), "RESOURCE:KEY"),
        (("search", "--officer", "", *WHY), "--officer must be one line"),
        (("search", "--agency", ""), "--agency must be one line"),
        (("search", "--agency", "x" * 201), "--agency must be one line"),
        (("search", "--decision", "maybe"), "--decision"),
        (("search", "--from", "last week"), "neither a day"),
        (("search", "--from", "2026-01-02", "--until", "2026-01-02"), "nothing lies between"),
        (("search", "--field", "seen:sex"), "no way in which a field is touched"),
        (("search", "--person", "7", "--because", " "), "the reason (--because) must be one line"),
        (("search", "--person", "7", "--because", "a\nb"), "the reason (--because) must be one line"),
        (("search", "--by", ""), "--by"),
        (("show", "nothing"), "an entry is named by its id"),
        (("show", "0" * 32), "there is no entry"),
        (("show", "0" * 32, "--open", *WHY), "there is no entry"),
        (("show", "--open", *WHY), "--open needs ENTRY"),
        (("explain", "0" * 32, "--open"), "--open needs --because"),
        (("explain", "%"), "an entry is named by its id"),
        (("account", "--person", "7"), "--because"),
        (("account", "--person", "7", "--because", ""), "the reason (--because) must be one line"),
        (("account", "--person", "x", *WHY), "--person"),
    ],
)
def test_what_can_not_be_asked_is_told_in_a_line(run: Run, arguments: tuple[str, ...], said: str) -> None:
    """Each wrong option ends with status 2 and a line that names it, and shows nothing."""
    done = run(*arguments, status=2)
    assert said in done.stderr
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(("gateway: ", "Error: "))


def test_a_reader_who_leaves_is_no_failure(run: Run, world: World) -> None:
    """A pipe that is closed after a line ends the command without a traceback."""
    del run
    command = [*servers.program("audit", "show", "--last", "10000", "--json")]
    for _ in range(3):
        world.request("GET", "/nowhere", environ_overrides={"REMOTE_ADDR": f"203.0.113.{_}"})
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment(world.settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=servers.ROOT,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=60)
    assert b"Traceback" not in said
    assert said == b""


def test_a_terminal_gets_a_table(run: Run, world: World, entry: str) -> None:
    """With a head, an entry a row, and names as they are written: no markup in them is obeyed."""
    del run
    world.asker("markup", "[b]X", mission="criminal-investigation").search()
    world.gateway.log.seal_all()
    leader, follower = os.openpty()
    command = servers.program("audit", "search", "--action", "read")
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment(world.settings), "TERM": "dumb"},
        stdout=follower,
        stderr=subprocess.DEVNULL,
        cwd=servers.ROOT,
    )
    os.close(follower)
    told = b""
    with suppress(OSError):  # so a terminal says that nobody writes to it any more
        while read := os.read(leader, 65536):
            told += read
    os.close(leader)
    assert process.wait(60) == 0
    head, *rows = told.decode().splitlines()
    assert head.split() == ["index", "id", "time", "agency", "action", "outcome", "purpose", "records"]
    assert any(entry[:8] in row and "disclose" in row for row in rows)
    assert any("[b]X" in row for row in rows)


def test_an_entry_that_is_the_same_ends_well(run: Run, entry: str) -> None:
    """In words, and as scripts need it."""
    assert json.loads(run("explain", entry, "--json").stdout)["verdict"] == "same"
    assert "What decided\n" in run("explain", entry).stdout
