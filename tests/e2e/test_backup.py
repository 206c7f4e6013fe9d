"""The guide to backup and restore runs as it stands: what a restore lost is found, declared, and the log goes on."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests import arrests, world
from tests.e2e import servers
from tests.services import Postgres
from tests.world import Asker, Databases, World

GUIDE = (servers.ROOT / "docs" / "guides" / "backup.md").read_text()
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
# For machines that lack SQLite's shell: its one command that the guide uses.
SQLITE3 = (
    "import re, sqlite3, sys; a = sqlite3.connect(sys.argv[1]); b = sqlite3.connect(sys.argv[2][9:-1]); a.backup(b)"
)


def blocks(title: str, dialect: str) -> str:
    """Return the commands of a part of the guide, for one database."""
    part = GUIDE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = re.findall(r"```sh\n(?:# (\w+)\n)?(.*?)```", part, re.DOTALL)
    return "\n".join(commands for named, commands in found if named in ("", NAMES[dialect]))


@dataclass(frozen=True, slots=True)
class City:
    """A city whose databases can be restored: its settings, and a shell in which the guide's commands run."""

    settings: dict[str, str]
    dialect: str
    place: Path
    programs: str

    def shell(self, script: str) -> str:
        """Run commands of the guide; return what they said."""
        given = servers.environment(self.settings) | {
            "COPY": f"{self.place}/copy",
            "ELSEWHERE": f"{self.place}/elsewhere",
        }
        given["PATH"] = f"{self.programs}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euc", script],
            env=given,
            cwd=servers.ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def world(self) -> World:
        """Compose the gateway, in this process."""
        databases = Databases(self.settings["arrest_url"], self.settings["store_url"])
        return world.build(databases, Path(self.settings["keys"]), rehearsal_day="2011-01-01")

    def ask(self, times: int) -> list[str]:
        """Have a client ask, and return the checkpoints that were given out meanwhile."""
        made = self.world()
        try:
            return [_asked(made, number) for number in range(times)]
        finally:
            made.close()


def _asked(made: World, number: int) -> str:
    asker: Asker = made.asker(f"client-{made.gateway.log.unsealed()}-{number}-{os.urandom(4).hex()}")
    assert asker.search({"limit": 3}).status_code == 200
    made.gateway.publishing.go_on()
    return made.request("GET", "/log/checkpoint").text


def counted(note: str) -> int:
    """Return a checkpoint's size."""
    return int(note.split("\n")[1])


@pytest.fixture
def city(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[City]:
    """A city with arrests, a policy in force, and empty places for copies."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (tmp_path / "copy").mkdir()
    commands = {"gateway": f'{sys.executable} -m gateway "$@"'}
    if shutil.which("sqlite3") is None:
        commands["sqlite3"] = f'{sys.executable} -c "{SQLITE3}" "$@"'
    for name, command in commands.items():
        (programs / name).write_text(f"#!/bin/sh\nexec {command}\n")
        (programs / name).chmod(0o755)
    path, names = str(programs), []
    if dialect == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        path += f":{server.binaries}"
        names = [server.create(request.getfixturevalue("postgres_arrests")), server.create()]
        urls = [server.url(name) for name in names]
    else:
        urls = [f"sqlite:///{tmp_path / name}.db" for name in ("arrests", "store")]
        arrests.build(urls[0])
    port = servers.free_port()
    chosen = world.settings(Databases(*urls), tmp_path / "keys", bind=f"127.0.0.1:{port}", rehearsal_day="2011-01-01")
    world.prepare(chosen)
    yield City(world.given(chosen), dialect, tmp_path, path)
    for name in names:
        server.drop(name)


def test_a_backup_is_restored_as_the_guide_says(city: City) -> None:
    """What came after the copy is lost, found with both sizes, declared, and nothing that was given out is broken."""
    given_out = city.ask(2)
    city.shell(blocks("Back up", city.dialect))
    given_out += city.ask(3)
    restore, declare = blocks("Restore", city.dialect).split("gateway audit declare-loss")
    city.shell(restore)
    refused = servers.run(["serve"], city.settings)
    assert refused.returncode != 0
    held = counted(given_out[1])
    assert f"of {counted(given_out[-1])} leaves was given out, and the store holds " in refused.stderr
    assert "declare-loss" in refused.stderr
    assert "Traceback" not in refused.stderr
    told = city.shell("gateway audit declare-loss" + declare)
    assert re.search(rf"the entries of leaves (\d+) to {counted(given_out[-1]) - 1} are lost", told)
    assert int(re.findall(r"leaves (\d+) to", told)[0]) >= held
    with servers.running(servers.program("serve"), city.settings, city.place / "log") as server:
        assert server.ask("GET", "/readyz")[0] == 200
    given_out += city.ask(2)
    for number, note in enumerate(given_out):
        kept = city.place / f"kept-{number}"
        kept.write_text(note)
        assert "\nverified: " in city.shell(f"gateway audit verify --against {kept} || test $? = 3")


def test_nothing_is_to_be_declared_where_nothing_was_lost(city: City) -> None:
    """A restore of the newest copy serves at once."""
    city.ask(2)
    city.shell(blocks("Back up", city.dialect))
    city.shell(blocks("Restore", city.dialect).split("gateway audit declare-loss")[0])
    with servers.running(servers.program("serve"), city.settings, city.place / "log") as server:
        assert server.ask("GET", "/readyz")[0] == 200
    refused = servers.run(["audit", "declare-loss", "--because", "A rehearsal.", "--by", "A. Clerk"], city.settings)
    assert refused.returncode == 2
    assert refused.stderr.startswith("gateway: nothing is lost: the store holds ")
    assert refused.stderr.count("\n") == 1


def test_a_public_part_that_was_copied_takes_the_place_of_a_lost_one(city: City) -> None:
    """The machine is gone: an empty directory is refused, and the copy elsewhere is enough to go on."""
    city.ask(2)
    city.shell(blocks("Back up", city.dialect))
    public = Path(city.settings["log_public"])
    shutil.rmtree(public)
    refused = servers.run(["serve"], city.settings)
    assert "'gateway init' publishes them anew" in refused.stderr
    assert refused.returncode != 0
    shutil.copytree(city.place / "elsewhere", public)
    given_out = city.ask(3)
    assert (public / "checkpoint").read_text() == given_out[-1]


def test_commands_of_a_store_that_went_back_write_nothing(city: City) -> None:
    """A command over the restored store refuses before it changes anything, in one line."""
    city.ask(1)
    city.shell(blocks("Back up", city.dialect))
    city.ask(1)
    city.shell(blocks("Restore", city.dialect).split("gateway audit declare-loss")[0])
    engine = sa.create_engine(city.settings["store_url"])
    with engine.connect() as connection:
        name = connection.scalar(sa.text("SELECT client_id FROM client"))
        before = connection.scalar(sa.text("SELECT count(*) FROM entry"))
    refused = servers.run(["client", "suspend", str(name), "--by", "A. Clerk"], city.settings)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "leaves was given out, and the store holds" in refused.stderr
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM entry")) == before
        assert connection.scalar(sa.text("SELECT state FROM client")) == "active"
    engine.dispose()


def test_a_rotation_that_was_lost_is_recorded_again(city: City) -> None:
    """The key's file is unknown to the restored store; recorded again, the loss is declared and the log goes on."""
    city.ask(1)
    city.shell(blocks("Back up", city.dialect))
    first = re.search(r"gateway\.test/log\+\S+", city.shell("gateway keys list"))
    assert first is not None
    rotate = 'gateway keys rotate checkpoint --because "A yearly rotation." --by "A. Clerk"'
    city.shell(rotate)
    given_out = city.ask(2)
    restore, declare = blocks("Restore", city.dialect).split("gateway audit declare-loss")
    city.shell(restore)
    assert "is a key that the log does not know" in servers.run(["serve"], city.settings).stderr
    assert "leaves was given out, and the store holds" in city.shell(f"{rotate} || test $? = 2")
    city.shell("gateway audit declare-loss" + declare)
    given_out += city.ask(1)
    (city.place / "kept").write_text(given_out[1])
    # Whoever holds nothing but the first public key learns of the second one from the log, as before.
    for evidence in (f"--against {city.place}/kept", f"--key {first[0]}"):
        assert "\nverified: " in city.shell(f"gateway audit verify {evidence} || test $? = 3")
