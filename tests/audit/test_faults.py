"""Real faults: kill -9 at each line, processes by the dozen, split networks, full disks, databases that restart."""

import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from gateway import app as composition
from gateway import tables
from gateway.audit.rounds import Rounds
from tests import world as worlds
from tests.audit import clusters, gateways, logs, victims
from tests.audit.clusters import Cluster
from tests.audit.proxy import Cut, Proxy, Strike
from tests.audit.victims import Site
from tests.conftest import MakeWorld
from tests.world import Databases, settings

WRITERS, SEALERS = 8, 3
KILLINGS = 40


@pytest.fixture
def site(databases: Databases, tmp_path: Path) -> Site:
    """A log on SQLite or PostgreSQL, and a file that outlives whoever works on it."""
    return _prepared(databases, tmp_path)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL that may be maltreated; each test leaves it running."""
    yield from _entered(clusters.cluster())


def _entered(manager: AbstractContextManager[Cluster]) -> Iterator[Cluster]:
    with manager as made:
        yield made


def _prepared(databases: Databases, tmp_path: Path) -> Site:
    composition.prepare(settings(databases, tmp_path / "keys"))
    return Site(databases, tmp_path / "keys", tmp_path / "journal")


def _until(what: Callable[[], object], deadline: float, reason: str) -> None:
    until = time.monotonic() + deadline
    while not what():
        assert time.monotonic() < until, reason
        time.sleep(0.05)


# --- kill -9 ------------------------------------------------------------------------------------------------


def test_kill_9_at_each_line_of_append_and_seal(site: Site, dialect: str) -> None:
    """At whichever line the process dies, the next one seals what it left; nothing acknowledged is lost.

    On PostgreSQL it dies at every second line, for the time that each process takes.
    """
    for fatal in count(1, 1 if dialect == "sqlite" else 2):
        process = victims.start(victims.append_and_seal, site, fatal)
        process.join(60)
        if process.exitcode == 0:
            break
        # Anything else is an error of the fresh process that came after the last killing.
        assert process.exitcode == -signal.SIGKILL, f"after the death before line {fatal}"
    assert fatal > 50, "no line was traced"
    assert len(site.told("entry")) > fatal / 4
    victims.assert_whole(site)


# --- many processes -----------------------------------------------------------------------------------------


def test_processes_that_are_killed_at_work_lose_nothing_and_fork_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """Eight writers and three sealers on one log, of which one dies again and again: each entry has one place."""
    site = _prepared(_on(cluster), tmp_path)
    works = [victims.write] * WRITERS + [victims.seal] * SEALERS
    chance = random.Random(20140416)  # noqa: S311 -- moments, not secrets
    processes = [victims.start(work, site) for work in works]
    try:
        _until(lambda: len(site.told("entry")) > WRITERS, 60, "nobody writes")
        for _ in range(KILLINGS):
            time.sleep(chance.uniform(0.01, 0.2))
            one = chance.randrange(len(works))
            victims.kill(processes[one])
            processes[one] = victims.start(works[one], site)
        before = len(site.told("entry"))
        _until(lambda: len(site.told("entry")) > before + WRITERS, 60, "nobody writes any more")
    finally:
        for process in processes:
            victims.kill(process)
    assert len(set(site.told("note"))) > KILLINGS
    victims.assert_whole(site)


def _on(cluster: Cluster, port: int | None = None, name: str | None = None) -> Databases:
    return Databases("sqlite:///nowhere.db", cluster.url(name or cluster.create(), port))


# --- a network that splits ------------------------------------------------------------------------------------

# The seconds after which others go on, as gateway/store.py sets them, with room for a slow machine.
BOUND = 30
LOCKED, SEALED = b"FOR UPDATE", b"INSERT INTO leaf"
SPLITS = [
    Strike(LOCKED, Cut.AFTER),
    Strike(b"FROM entry", Cut.AFTER),
    Strike(SEALED, Cut.BEFORE),
    Strike(SEALED, Cut.AFTER),
    Strike(b"COMMIT", Cut.BEFORE),
    Strike(b"COMMIT", Cut.AFTER),
    Strike(b"COMMIT", Cut.ANSWER_LOST),
]


@pytest.mark.parametrize("strike", SPLITS, ids=lambda strike: f"{strike.words.decode()}-{strike.cut.name}")
def test_a_sealer_that_is_cut_off_holds_nobody_up_and_signs_nothing_else(
    cluster: Cluster, tmp_path: Path, strike: Strike
) -> None:
    """Two sealers; the one in the middle of its transaction is parted from the database, and comes back later."""
    name = cluster.create()
    site = _prepared(_on(cluster, name=name), tmp_path)
    with closing(Proxy(cluster.port)) as proxy, logs.opened(site.databases, site.keys) as log:

        def sealed(reason: str) -> None:
            _until(lambda: not victims.waiting(site), BOUND, reason)

        # More than the connection takes at once, so that the database stands still while it answers.
        for number in range(100):
            site.tell("entry", log.log.append(victims.entry(number, filler="x" * 50_000)).id)
        cut_off = Site(_on(cluster, proxy.port, name), site.keys, tmp_path / "journal of the cut off")
        with victims.working(victims.seal_when_told, cut_off):
            _until(lambda: cut_off.told("opened"), BOUND, "it does not begin")
            # Not before: to open a log takes transactions of its own.
            proxy.arm(strike)
            cut_off.tell("go", "")
            assert proxy.struck.wait(30), "the sealer did not come so far"
            with victims.working(victims.seal, site):
                sealed("the other sealer does not go on")
                site.tell("entry", log.log.append(victims.entry()).id)
                sealed("the other sealer does not go on for long")
                proxy.heal()
                # What it had begun is undone, unless it was committed: then it goes on from there.
                if strike != Strike(b"COMMIT", Cut.AFTER):
                    _until(lambda: cut_off.told("refused"), BOUND, "what it had begun is not undone")
                before = len(cut_off.told("note"))
            site.tell("entry", log.log.append(victims.entry()).id)
            sealed("the sealer that came back does not seal")
            _until(lambda: len(cut_off.told("note")) > before, BOUND, "the sealer that came back does not sign")
    for note in cut_off.told("note"):
        site.tell("note", note)
    victims.assert_whole(site)


@pytest.mark.parametrize("cut", [Cut.ANSWER_LOST, Cut.DROPPED], ids=lambda cut: cut.name)
def test_a_commit_of_which_nothing_is_heard_shows_no_rows(
    cluster: Cluster, tmp_path: Path, sqlite_arrests: str, cut: Cut
) -> None:
    """The gateway can't know whether the entry is there: the answer is 503, and the next search is answered."""
    name = cluster.create()
    with closing(Proxy(cluster.port)) as proxy:
        world = worlds.build(Databases(sqlite_arrests, cluster.url(name, proxy.port)), tmp_path / "keys")
        with closing(world):
            asker = world.asker("fbi", "FBI")
            assert asker.token
            before = _disclosed(cluster.url(name))
            proxy.arm(Strike(b"COMMIT", cut))
            _is_refused(asker.search({"limit": 5}))
            assert proxy.struck.is_set()
            if cut is Cut.ANSWER_LOST:
                _until(lambda: _disclosed(cluster.url(name)) == before + 1, BOUND, "it was not carried out")
            else:
                assert _disclosed(cluster.url(name)) == before
            assert asker.records({"limit": 5})
            world.leaves()
    site = Site(Databases(sqlite_arrests, cluster.url(name)), tmp_path / "keys", tmp_path / "journal")
    victims.assert_whole(site)


def _disclosed(url: str) -> int:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        leaves = list(connection.scalars(sa.select(tables.entry.c.leaf)))
    engine.dispose()
    return sum(b'"outcome":"disclosed"' in leaf for leaf in leaves)


def _is_refused(response: TestResponse) -> None:
    """The constant 503: no record."""
    assert response.status_code == 503, response.text[:300]
    problem = response.get_json()
    assert problem.keys() == {"type", "title", "status", "code", "detail"}
    assert problem["code"] == "temporarily-unavailable"


# --- full disks -----------------------------------------------------------------------------------------------


def test_postgresql_on_a_full_disk_gives_no_rows_and_goes_on_when_there_is_room(
    tmp_path: Path, sqlite_arrests: str
) -> None:
    """Where the disk is full, even for the write-ahead log, answers are 503; with room again they come, all logged."""
    with clusters.cluster_on_a_small_disk(128) as small:
        site = Site(Databases(sqlite_arrests, small.url(small.create())), tmp_path / "keys", tmp_path / "journal")
        world = worlds.build(site.databases, site.keys)
        with closing(world):
            asker = world.asker("fbi", "FBI")
            assert asker.token

            def ask() -> int:
                response = asker.search({"limit": 60})
                if response.status_code == 200:
                    site.tell("entry", response.headers["Log-Entry"])
                else:
                    _is_refused(response)
                return response.status_code

            assert ask() == 200
            small.fill()
            _until(lambda: ask() == 503, 60, "the disk is not full")
            assert [ask() for _ in range(5)] == [503] * 5
            small.empty()
            # It may have ended itself, for want of room in its write-ahead log; whoever runs it starts it again.
            small.revive()
            _until(lambda: ask() == 200, 60, "it does not go on")
            assert [ask() for _ in range(5)] == [200] * 5
        victims.assert_whole(site)


def test_sqlite_whose_file_may_not_grow_gives_no_rows_and_goes_on_when_it_may(
    tmp_path: Path, sqlite_arrests: str
) -> None:
    """The operating system refuses more bytes to the serving process: 503, until it is allowed more."""
    site = Site(
        Databases(sqlite_arrests, f"sqlite:///{tmp_path / 'store.db'}"), tmp_path / "keys", tmp_path / "journal"
    )
    with gateways.serving(site) as gateway:
        assert gateway.ask(60) == 200
        gateway.limit_files(max(file.stat().st_size for file in tmp_path.glob("store.db*")) + 4096)
        _until(lambda: gateway.ask(60) == 503, 60, "the file still grows")
        assert [gateway.ask(60) for _ in range(5)] == [503] * 5
        gateway.limit_files(resource.RLIM_INFINITY)
        _until(lambda: gateway.ask(60) == 200, 60, "it does not go on")
        assert [gateway.ask(60) for _ in range(5)] == [200] * 5
        _until(lambda: not victims.waiting(site), BOUND, "it does not seal")
    victims.assert_whole(site)


# --- a database that restarts, a sealer that stops --------------------------------------------------------------


def test_a_restart_of_postgresql_under_load_costs_answers_and_no_entry(
    cluster: Cluster, tmp_path: Path, sqlite_arrests: str
) -> None:
    """The database ends without a word, twice; the gateway refuses, and goes on by itself with new connections."""
    site = Site(Databases(sqlite_arrests, cluster.url(cluster.create())), tmp_path / "keys", tmp_path / "journal")
    with gateways.serving(site) as gateway, gateway.besieged(threads=4) as answers:
        for _ in range(2):
            _until_more(answers, 200)
            cluster.stop()
            _until_more(answers, 503)
            cluster.start()
        _until_more(answers, 200)
        _until(lambda: [gateway.ask(1) for _ in range(40)] == [200] * 40, BOUND, "stale connections are left")
    assert set(answers) <= {200, 503}
    victims.assert_whole(site)


def _until_more(answers: list[int], status: int) -> None:
    enough = answers.count(status) + 20
    _until(lambda: answers.count(status) > enough, BOUND, f"no answer is {status} any more")


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_what_is_served_is_sealed_soon(databases: Databases, tmp_path: Path) -> None:
    """A running gateway seals what it has promised, and publishes a checkpoint over it, without being asked."""
    site = Site(databases, tmp_path / "keys", tmp_path / "journal")
    with gateways.serving(site) as gateway:
        assert [gateway.ask(3) for _ in range(10)] == [200] * 10
        _until(lambda: not victims.waiting(site), BOUND, "it does not seal")
        covered = len(set(site.told("entry")))
        _until(lambda: gateway.checkpoint() >= covered, BOUND, "it does not sign")
    victims.assert_whole(site)


def test_a_gateway_refuses_while_entries_wait_longer_than_promised(make_world: MakeWorld) -> None:
    """Its sealer has ended: within the delay it answers, beyond it not; as soon as another has sealed, it does."""
    world = make_world(seal_delay="2")
    asker = world.asker("fbi", "FBI")
    world.gateway.sealer.start()
    assert asker.records({"limit": 1})
    world.gateway.sealer.stop()
    assert asker.records({"limit": 1})
    time.sleep(2.5)
    for _ in range(2):
        response = asker.search({"limit": 1})
        _is_refused(response)
        assert "Log-Entry" in response.headers
    other = Rounds("sealer", (world.gateway.publishing.go_on,))
    other.start()
    _until(lambda: asker.search({"limit": 1}).status_code == 200, BOUND, "it does not go on")
    other.stop()
