"""Kill -9 in the middle of an erasure leaves all or nothing; so does a database that goes away."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway import limits
from gateway.audit.entry import person
from gateway.errors import Unavailable
from tests.erasure.conftest import City
from tests.erasure.office import ALICE, BOB, at, owed, signed_by
from tests.world import given

_SLOWLY = """
    CREATE TRIGGER slowly BEFORE UPDATE ON budget_mark BEGIN
        SELECT (WITH RECURSIVE long(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM long WHERE n < 300000000)
                SELECT count(*) FROM long);
    END
"""


@contextmanager
def in_the_middle(city: City) -> Iterator[None]:
    """Let an erasure go no further than the budget marks, when the openings are destroyed and nothing is committed."""
    if city.office.settings.store_url.startswith("sqlite"):
        city.office.run(_SLOWLY)
        yield
        city.office.run("DROP TRIGGER slowly")
        return
    engine = sa.create_engine(city.office.settings.store_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE budget_mark IN ACCESS EXCLUSIVE MODE")
        yield
    engine.dispose()


def state(city: City) -> tuple[object, ...]:
    """Return all that an erasure changes."""
    counts = "SELECT count(*), count(sealed), count(wrapped), count(about), count(record) FROM opening"
    marks = sorted(tuple(row) for row in city.office.run("SELECT mark FROM budget_mark"))
    notices = city.office.run("SELECT count(*) FROM notice")
    entries = city.office.run("SELECT count(*) FROM entry")
    return (*map(tuple, city.office.run(counts)), *marks, *map(tuple, notices), *map(tuple, entries))


@pytest.fixture
def marked(city: City) -> City:
    """A city whose person has openings and a budget mark."""
    city.alone(city.ice)
    city.among_others(city.fbi)
    with city.office.log() as log, log.store.transaction() as connection:
        mark = log.openings.index_of(person(city.person)).hex()
        limits.Charge("ice-ero-agreement", at("2026-01-05").date(), 9, [mark]).settle(connection)
    return city


def command(city: City, directory: Path) -> tuple[list[str], dict[str, str]]:
    """Write an order with its signatures, and return the command that enacts it."""
    content = city.office.order(city.person)
    (directory / "order").write_bytes(content)
    options = []
    for number, armored in enumerate(signed_by(content, ALICE, BOB)):
        path = directory / f"order.{number}.sig"
        path.write_text(armored)
        options += ["--signature", str(path)]
    return [
        sys.executable,
        "-m",
        "gateway",
        "audit",
        "erase",
        "enact",
        str(directory / "order"),
        *options,
    ], environment(city)


def environment(city: City) -> dict[str, str]:
    """Return the settings as a process takes them."""
    from tests.e2e import servers

    return servers.environment(given(city.office.settings))


def test_kill_9_in_the_middle_leaves_all_or_nothing(marked: City, tmp_path: Path) -> None:
    """Killed with everything destroyed and nothing committed, it has destroyed nothing; the order is still good."""
    before = state(marked)
    enact, settings = command(marked, tmp_path)
    with in_the_middle(marked):
        process = subprocess.Popen(enact, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _await_the_middle(marked, process)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL
    assert state(marked) == before
    assert owed(marked.ice) == []
    marked.office.verify()
    done = subprocess.run(enact, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert marked.office.about(marked.person) == []
    assert len(owed(marked.ice)) == len(marked.arrests)
    marked.office.verify()


def _await_the_middle(city: City, process: subprocess.Popen[bytes]) -> None:
    """Wait until the erasure can't go on."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        if city.office.settings.store_url.startswith("sqlite"):
            # Whoever can't begin to write has somebody before him; a while later that one is at the marks.
            engine = sa.create_engine(city.office.settings.store_url, connect_args={"timeout": 0})
            with engine.connect() as connection:
                connection.connection.driver_connection.isolation_level = None  # type: ignore[union-attr] # sqlite3's
                try:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                    connection.exec_driver_sql("ROLLBACK")
                    busy = False
                except sa.exc.OperationalError:
                    busy = True
            engine.dispose()
            if busy:
                time.sleep(1)
                return
        elif city.office.run(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            return
        time.sleep(0.02)
    raise AssertionError("the erasure did not get there")


def test_kill_9_at_any_moment_leaves_all_or_nothing(marked: City, tmp_path: Path) -> None:
    """Killed earlier and later, it is either not done or done, and never by half."""
    enact, settings = command(marked, tmp_path)
    before, outcomes = state(marked), set()
    began = time.monotonic()
    subprocess.run([*enact[:4], "erase", "--help"], env=settings, capture_output=True, check=True)
    start = time.monotonic() - began
    for tenth in range(8, 16):
        process = subprocess.Popen(enact, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(start * tenth / 10)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        _settled(marked)
        done = bool(marked.office.leaves("audit-erase"))
        outcomes.add(done)
        marked.office.verify()
        if done:
            assert marked.office.about(marked.person) == []
            assert len(owed(marked.ice)) == len(marked.arrests)
            break
        assert state(marked) == before
    assert outcomes


def _settled(city: City) -> None:
    """Wait until the database has noticed that the process is gone."""
    if city.office.settings.store_url.startswith("sqlite"):
        return
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    gone = f"SELECT 1 FROM pg_stat_activity WHERE {others} AND xact_start IS NOT NULL"
    deadline = time.monotonic() + 30
    while city.office.run(gone) and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.parametrize("table", ["notice", "opening", "budget_mark", "entry", "pending"])
def test_a_store_that_refuses_a_write_is_left_as_it_was(marked: City, table: str) -> None:
    """Whichever row can't be written, nothing is."""
    before = state(marked)
    content = marked.office.order(marked.person)
    event = "UPDATE" if table in ("opening", "budget_mark") else "INSERT"
    if marked.office.settings.store_url.startswith("sqlite"):
        marked.office.run(
            f"CREATE TRIGGER strike BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
        undo = ["DROP TRIGGER strike"]
    else:
        marked.office.run(
            "CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$"
        )
        marked.office.run(f"CREATE TRIGGER strike BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION strike()")
        undo = [f"DROP TRIGGER strike ON {table}", "DROP FUNCTION strike()"]
    with pytest.raises(Unavailable):
        marked.office.enact(content, signed_by(content, ALICE, BOB))
    for statement in undo:
        marked.office.run(statement)
    assert state(marked) == before
    marked.office.verify()
    marked.office.enact(content, signed_by(content, ALICE, BOB))
    assert marked.office.about(marked.person) == []
