"""The store and what was given out of it: found out at start and while serving, declared, and never forked."""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway import app as composition
from gateway import tables
from gateway.audit import loss
from gateway.audit.checkpoint import Checkpoint, sign
from gateway.audit.entry import Entry
from gateway.audit.log import Log, LoggedEntry, With
from gateway.audit.merkle import leaf_hash
from gateway.audit.public import PublicPart, read
from gateway.audit.tiles import Disagreement
from gateway.errors import ConfigurationError, Unavailable
from tests import world as worlds
from tests.audit import logs, trees
from tests.audit.logs import OpenLog
from tests.audit.test_receipts import promised, proves, read_note, receipt
from tests.audit.test_sealing import entry
from tests.services import Postgres
from tests.world import Asker, Databases, World, settings


@dataclass(slots=True)
class Machine:
    """A machine with the gateway on it: its settings, and what stands where."""

    databases: Databases
    keys: Path
    public: Path
    server: Postgres | None

    def init(self) -> None:
        """Prepare it, as `gateway init` does."""
        composition.prepare(settings(self.databases, self.keys, log_public=str(self.public)))

    @contextmanager
    def opened(self) -> Iterator[OpenLog]:
        """Open the log on this machine."""
        with logs.opened(self.databases, self.keys, log_public=str(self.public)) as log:
            yield log

    def grow(self, count: int) -> list[str]:
        """Append and publish, one by one; return the checkpoints that were given out."""
        with self.opened() as log:
            return [grown(log, self.public) for _ in range(count)]

    @contextmanager
    def restored(self, directory: Path) -> Iterator["Machine"]:
        """Copy the store as it is now, and return the machine as it is once that copy has been restored."""
        directory.mkdir()
        with logs.copied(self.databases, self.server, directory) as databases:
            yield Machine(databases, self.keys, self.public, self.server)

    def declare(self) -> loss.Loss:
        """Declare what is lost."""
        chosen = settings(self.databases, self.keys, log_public=str(self.public))
        with composition.open_log(chosen) as log:
            return loss.declare(log.store, log.log, log.public, "A disk broke.", "Officer Two", composition.now())


def grown(log: OpenLog, public: Path) -> str:
    """Append an entry, seal and publish it; return the checkpoint that was given out."""
    log.log.append(entry())
    log.log.seal_all()
    log.log.publish()
    return PublicPart(public).kept() or ""


@pytest.fixture
def machine(databases: Databases, dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """A machine that was prepared, with a log of three leaves: the first tells of the keys."""
    server = request.getfixturevalue("postgres") if dialect == "postgresql" else None
    made = Machine(databases, tmp_path / "keys", tmp_path / "public", server)
    made.init()
    made.grow(2)
    return made


def size(log: OpenLog) -> int:
    """Return how many leaves the store holds."""
    with log.store.reading() as connection:
        return connection.scalar(sa.select(tables.tree_head.c.size)) or 0


# --- at start -----------------------------------------------------------------------------------------------


def test_init_publishes_and_serving_goes_on(machine: Machine) -> None:
    """A new log has a checkpoint that was given out before its first leaf; a start changes nothing."""
    with machine.opened() as log:
        before = PublicPart(machine.public).kept()
        log.log.check()
        assert PublicPart(machine.public).kept() == before == log.log.checkpoint()
        assert read(before or "").size == 3


@pytest.mark.parametrize("left", ["nothing", "an empty directory", "tiles without a checkpoint"])
def test_a_log_of_which_nothing_is_public_is_not_served(machine: Machine, left: str) -> None:
    """The refusal names `gateway init`, which publishes every leaf anew."""
    before = PublicPart(machine.public).kept()
    if left == "tiles without a checkpoint":
        (machine.public / "checkpoint").unlink()
    else:
        shutil.rmtree(machine.public)
    if left == "an empty directory":
        machine.public.mkdir()
    with machine.opened() as log:
        with pytest.raises(
            ConfigurationError, match=r"of the log's 3 leaves none is public .* 'gateway init' publishes"
        ):
            log.log.check()
        machine.init()
        log.log.check()
        assert PublicPart(machine.public).kept() == before
        assert PublicPart(machine.public).tree().size == size(log) == 3


def test_a_public_part_of_another_log_or_key_is_refused(machine: Machine, tmp_path: Path) -> None:
    """A directory that another gateway publishes into."""
    kept = read(PublicPart(machine.public).kept() or "")
    with machine.opened() as log:
        forged = sign(kept, [worlds.SIGNERS["alice@city.example"]])
        renamed = sign(Checkpoint("other.test/log", kept.size, kept.root), [log.key])
        for note in (forged, renamed):
            (machine.public / "checkpoint").write_text(note)
            with pytest.raises(ConfigurationError, match="is not this log's"):
                log.log.check()
            with pytest.raises(ConfigurationError, match="is not this log's"):
                log.log.begin()
    assert not (tmp_path / "elsewhere").exists()


def test_a_damaged_public_part_is_refused(machine: Machine) -> None:
    """A tile that was changed on disk."""
    (machine.public / "tile/0/000.p/3").write_bytes(bytes(96))
    with machine.opened() as log, pytest.raises(Disagreement, match="do not give the root of their own"):
        log.log.check()


def test_a_store_that_does_not_continue_what_was_given_out_is_refused(machine: Machine, tmp_path: Path) -> None:
    """An older copy on which a gateway without the public part went on to more leaves: a fork, found at start."""
    with machine.restored(tmp_path / "older") as older:
        machine.grow(2)
        elsewhere = Machine(older.databases, machine.keys, tmp_path / "elsewhere", machine.server)
        elsewhere.init()
        elsewhere.grow(4)
        with (
            older.opened() as log,
            pytest.raises(Disagreement, match="do not give the root of the checkpoint of size 7"),
        ):
            log.log.check()
        with elsewhere.opened() as log:
            log.verify()


def test_entries_that_wait_at_a_start_are_sealed_and_published(machine: Machine) -> None:
    """What a crash left unsealed, unsigned or unpublished is made good."""
    with machine.opened() as log:
        log.log.append(entry())
        log.log.seal_all()
        log.log.append(entry())
        with log.store.transaction() as connection:
            connection.execute(tables.checkpoint.delete().where(tables.checkpoint.c.size == 4))
        log.log.check()
        log.log.publish()
        assert read(PublicPart(machine.public).kept() or "").size == 5


def test_two_machines_publish_one_log(machine: Machine, tmp_path: Path) -> None:
    """Each catches up with what the other sealed; both directories verify to the same root."""
    second = Machine(machine.databases, machine.keys, tmp_path / "second", machine.server)
    second.init()
    with machine.opened() as log, second.opened() as other:
        for _ in range(300):
            log.log.append(entry())
        log.log.seal_all()
        for each in (log, other):
            each.log.publish()
        grown(other, second.public)
        log.log.publish()
    assert PublicPart(machine.public).kept() == PublicPart(second.public).kept()
    assert PublicPart(machine.public).tree().root(304) == PublicPart(second.public).tree().root(304)


# --- while serving ------------------------------------------------------------------------------------------


@pytest.fixture
def serving(machine: Machine) -> Iterator[World]:
    """A gateway that serves on the machine."""
    made = worlds.build(machine.databases, machine.keys, rehearsal_day="2011-01-01")
    made.gateway.publishing.go_on()
    yield made
    made.close()


def go_back(world: World, leaves: int) -> None:
    """Set the store back under the gateway: its last leaves and their entries are gone."""
    with world.gateway.store.transaction() as connection:
        kept = logs.order(connection)[:-leaves]
        for entry_id in logs.order(connection)[-leaves:]:
            logs.remove_entry(connection, entry_id)
        columns = connection.execute(sa.select(tables.leaf)).mappings().all()
        logs.renumber(connection, kept)
        connection.execute(tables.leaf.delete())
        connection.execute(tables.leaf.insert(), [dict(row) for row in columns if row["leaf_index"] < len(kept)])
        connection.execute(tables.checkpoint.delete().where(tables.checkpoint.c.size > len(kept)))


def code(asker: Asker) -> str:
    """Ask for a page; return the refusal's code, or ok."""
    response = asker.search({"limit": 1})
    return "ok" if response.status_code == 200 else str(response.get_json()["code"])


def test_a_store_that_goes_back_while_serving_stops_the_answers(serving: World) -> None:
    """Nothing is sealed on it and nothing published; readiness and telemetry say so, the latter once."""
    asker = serving.asker()
    assert code(asker) == "ok"
    serving.gateway.publishing.go_on()
    given_out = (serving.settings.log_public / "checkpoint").read_text()
    go_back(serving, 2)
    asker.world.gateway.log.append(entry())
    for _ in range(3):
        serving.gateway.publishing.go_on()
        assert code(asker) == "temporarily-unavailable"
        assert receipt(asker, "0" * 32).status_code == 503
    assert serving.request("GET", "/readyz").get_json()["parts"]["log"] is False
    assert serving.request("GET", "/log/checkpoint").text == given_out
    with serving.gateway.store.reading() as connection:
        assert connection.scalar(sa.select(tables.tree_head.c.size)) == read(given_out).size - 2
    assert serving.lines.getvalue().count('"event": "log-refused"') == 1
    assert "gateway_log_refused 1.0" in serving.request("GET", "/metrics").text


def test_once_the_loss_is_declared_a_process_that_stayed_up_answers_again(serving: World) -> None:
    """Without a restart."""
    asker = serving.asker()
    code(asker)
    serving.gateway.publishing.go_on()
    go_back(serving, 2)
    serving.gateway.publishing.go_on()
    with composition.open_log(serving.settings) as log:
        loss.declare(log.store, log.log, log.public, "A test.", "Officer Two", composition.now())
    serving.gateway.publishing.go_on()
    assert code(asker) == "ok"
    assert serving.request("GET", "/readyz").status_code == 200
    assert serving.lines.getvalue().count('"event": "log-published"') == 1


def test_a_vanished_public_part_stops_the_answers(serving: World) -> None:
    """It is not begun anew in passing: what was given out would be forgotten."""
    asker = serving.asker()
    shutil.rmtree(serving.settings.log_public)
    serving.gateway.publishing.go_on()
    assert code(asker) == "temporarily-unavailable"
    assert not serving.settings.log_public.exists()
    assert serving.request("GET", "/log/checkpoint").status_code == 503


def test_a_public_part_that_cannot_be_written_waits(serving: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are sealed, answers go on within the delay, trouble is told once, and then all is made good."""
    asker = serving.asker()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(PublicPart, "_write", full)
        for _ in range(3):
            assert code(asker) == "ok"
            serving.gateway.publishing.go_on()
    assert serving.lines.getvalue().count("No space left on device") == 1
    before = read_note(serving.request("GET", "/log/checkpoint").text)[0]
    serving.gateway.publishing.go_on()
    assert read_note(serving.request("GET", "/log/checkpoint").text)[0] == before + 4
    assert '"event": "log-published"' in serving.lines.getvalue()


def test_publishing_that_is_late_beyond_the_promise_stops_the_answers(
    serving: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can hold a promise against a checkpoint that is never given out."""
    asker = serving.asker()
    assert code(asker) == "ok"
    later = time.time() + serving.settings.seal_delay + 1
    monkeypatch.setattr(time, "time", lambda: later)
    serving.gateway.log.seal_all()
    with pytest.raises(Unavailable):
        serving.gateway.publishing.check()
    serving.gateway.publishing.go_on()
    serving.gateway.publishing.check()


# --- declared losses ----------------------------------------------------------------------------------------


def test_a_restored_store_is_refused_with_both_sizes_until_its_loss_is_declared(
    machine: Machine, tmp_path: Path
) -> None:
    """Then it goes on in the same tree: every checkpoint that was given out, before and after, still holds."""
    given_out = machine.grow(1)
    with machine.restored(tmp_path / "older") as older:
        given_out += machine.grow(5)
        with older.opened() as log:
            with pytest.raises(
                Disagreement, match="of 9 leaves was given out, and the store holds 4: it is an older copy"
            ):
                log.log.check()
            with pytest.raises(Disagreement):
                log.log.seal()
        assert older.declare() == loss.Loss(4, 8)
        given_out += older.grow(2)
        with older.opened() as log:
            log.log.check()
            assert size(log) == 12
            for note in given_out:
                log.verify(note)
            told = logs.leaf_of(connection := log.store.engine.connect(), logs.entry_at(connection, 9))
            connection.close()
    facts = {name: told[name] for name in ("action", "first", "last", "checkpoint")}
    assert facts == {"action": "log-loss", "first": 4, "last": 8, "checkpoint": 9}
    assert "Officer Two" not in str(told)
    assert "disk" not in str(told)


def test_a_large_loss_is_restored_page_by_page(machine: Machine, tmp_path: Path) -> None:
    """More leaves than one batch, over several tiles."""
    with machine.restored(tmp_path / "older") as older:
        with machine.opened() as log:
            for _ in range(1400):
                log.log.append(entry())
            log.log.seal_all()
            log.log.publish()
            note = log.log.checkpoint()
        assert older.declare() == loss.Loss(3, 1402)
        with older.opened() as log:
            log.verify(note)


def test_what_waited_in_the_copy_gets_a_place_of_its_own(machine: Machine, tmp_path: Path) -> None:
    """An entry that was sealed after the copy was made is in the tree again, behind the loss, and nothing waits."""
    with machine.opened() as log:
        waited = log.log.append(entry()).id
    with machine.restored(tmp_path / "older") as older:
        machine.grow(2)
        older.declare()
        with older.opened() as log:
            assert log.verify().unsealed == 0
            with log.store.reading() as connection:
                assert logs.order(connection)[6:].count(waited) == 1


def test_a_loss_is_declared_once(machine: Machine, tmp_path: Path) -> None:
    """Where nothing is lost, or no longer, the command refuses, and the log is as it was."""
    with pytest.raises(ConfigurationError, match="nothing is lost: the store holds 3 leaves"):
        machine.declare()
    with machine.restored(tmp_path / "older") as older:
        machine.grow(2)
        older.declare()
        with pytest.raises(ConfigurationError, match="nothing is lost: the store holds 6 leaves"):
            older.declare()
        with older.opened() as log:
            assert size(log) == 6


def test_a_store_that_is_no_older_copy_can_not_be_declared(machine: Machine, tmp_path: Path) -> None:
    """A store of the same name and keys whose leaves are others."""
    machine.grow(4)
    url = f"sqlite:///{tmp_path / 'stranger.db'}"
    stranger = Machine(Databases(machine.databases.arrests, url), machine.keys, tmp_path / "strangers", None)
    stranger.init()
    stranger.grow(2)
    stranger.public = machine.public
    with pytest.raises(Disagreement, match="the store's 3 leaves are not the first 3 of what was given out"):
        stranger.declare()
    with stranger.opened() as log, log.store.reading() as connection:
        assert logs.size(connection) == 3
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.pending)) == 0


def test_nothing_is_declared_by_another_logs_public_part(machine: Machine) -> None:
    """The checkpoint must be signed by a key of the log."""
    note = trees.note(9, origin="gateway.test/log")
    (machine.public / "checkpoint").write_text(note)
    with pytest.raises(ConfigurationError, match="is not this log's"):
        machine.declare()
    (machine.public / "checkpoint").unlink()
    with pytest.raises(ConfigurationError, match="nothing is public"):
        machine.declare()


def test_a_leaf_without_its_entry_does_not_verify_unless_a_later_leaf_declares_it(
    machine: Machine, tmp_path: Path
) -> None:
    """Whoever deletes an entry behind a declaration is found out."""
    with machine.restored(tmp_path / "older") as older:
        machine.grow(2)
        older.declare()
        older.grow(2)
        with older.opened() as log:
            log.verify()
            with log.store.transaction() as connection:
                logs.remove_entry(connection, logs.entry_at(connection, 6))
                leaf = tables.leaf
                connection.execute(leaf.update().where(leaf.c.leaf_index == 6).values(entry_id=None))
            with pytest.raises(logs.NOT_VERIFIED, match="leaf 6 is lost, and no later leaf declares its loss"):
                log.verify()


def test_clients_keep_what_they_hold_through_a_loss(databases: Databases, machine: Machine, tmp_path: Path) -> None:
    """A receipt from before still proves its promise by a checkpoint that the log continues; no new one is given."""
    world = worlds.build(databases, machine.keys, rehearsal_day="2011-01-01")
    asker = world.asker()
    asker.search({"limit": 1})
    world.gateway.publishing.go_on()
    world.close()
    with ExitStack() as stack:
        older = stack.enter_context(machine.restored(tmp_path / "older"))
        world = worlds.build(databases, machine.keys, rehearsal_day="2011-01-01")
        asker.world = world
        lost = asker.search({"limit": 1})
        world.gateway.publishing.go_on()
        held = receipt(asker, lost.headers["Log-Entry"]).text
        world.gateway.publishing.go_on()
        world.close()
        with pytest.raises(Disagreement):
            worlds.build(older.databases, machine.keys, rehearsal_day="2011-01-01")
        older.declare()
        asker.world = worlds.build(older.databases, machine.keys, rehearsal_day="2011-01-01")
        stack.callback(asker.world.close)
        assert receipt(asker, lost.headers["Log-Entry"]).get_json()["code"] == "entry-not-found"
        assert proves(held, bytes.fromhex(promised(lost)["leaf"]))
        tree = PublicPart(machine.public).tree()
        then, root = read_note(held.partition("\n\n")[2])
        assert tree.root(then) == root
        assert tree.size > then


def test_a_loss_is_restored_and_declared_at_once_or_not_at_all(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash before the commit leaves the restored store as it was."""
    with machine.restored(tmp_path / "older") as older:
        machine.grow(2)

        def interrupted(log: Log, given: Entry, also: With) -> LoggedEntry:
            def failing(connection: sa.Connection) -> None:
                also(connection)
                raise KeyboardInterrupt

            return append(log, given, failing)

        append = Log.append
        with monkeypatch.context() as patched:
            patched.setattr(Log, "append", interrupted)
            with pytest.raises(KeyboardInterrupt):
                older.declare()
        with older.opened() as log, log.store.reading() as connection:
            assert logs.size(connection) == 3
            assert connection.scalar(sa.select(sa.func.count()).select_from(tables.pending)) == 0
        older.declare()
        with older.opened() as log:
            log.verify()


def test_the_tree_of_a_declared_loss_holds_the_lost_hashes(machine: Machine, tmp_path: Path) -> None:
    """Leaf by leaf, the public hashes stay those of the entries that were given a place."""
    with machine.restored(tmp_path / "older") as older:
        machine.grow(2)
        with machine.opened() as log, log.store.reading() as connection:
            lost = [
                leaf_hash(
                    connection.scalar(sa.select(tables.entry.c.leaf).where(tables.entry.c.entry_id == each)) or b""
                )
                for each in logs.order(connection)[3:]
            ]
        older.declare()
        tree = PublicPart(machine.public).tree()
        assert [tree.leaf_hash(index) for index in (3, 4)] == lost
