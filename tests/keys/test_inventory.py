"""The log knows its keys, and nothing starts, or writes to the log, with any other."""

import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import sql

from gateway import app as composition
from gateway import keys as key_files
from gateway import tables
from gateway.audit import appending, inventory
from gateway.audit.entry import Entry
from gateway.cli import program
from gateway.errors import ConfigurationError
from gateway.keys import USES
from tests import world
from tests.audit import logs
from tests.keys.city import Machine
from tests.services import Postgres
from tests.world import Databases

Deed = Callable[[Machine, str], None]


@pytest.fixture
def machine(databases: Databases, tmp_path: Path) -> Machine:
    """A machine whose gateway is ready to serve."""
    chosen = world.settings(databases, tmp_path / "keys")
    world.prepare(chosen)
    return Machine(chosen)


def starts(machine: Machine) -> None:
    """Compose a gateway as a process that serves does, and end it."""
    composition.build(machine.settings).close()


def refused(machine: Machine) -> str:
    """Return why neither the gateway starts nor a command runs that writes to the log; they say the same."""
    with pytest.raises(ConfigurationError) as caught:
        composition.build(machine.settings)
    told = f"gateway: {caught.value}\n"
    for command in (["audit", "show"], ["keys", "list"], ["client", "suspend", "nobody"], ["init"]):
        assert machine.run(*command, status=2) == told
    return told


# --- what init records --------------------------------------------------------------------------------------


def test_the_first_entry_tells_of_the_keys(machine: Machine) -> None:
    """Each use with number, id and public part, in leaf 0 and in the records; no secret has a public part."""
    with composition.open_log(machine.settings) as log:
        vkey = log.log.verifier.vkey()
        with log.store.reading() as connection:
            assert logs.leaf_of(connection, logs.entry_at(connection, 0))["action"] == "keys-create"
    (created,) = machine.leaves("keys-create")
    assert [key["use"] for key in created["keys"]] == list(USES)
    told = {key["use"]: (key["number"], key["id"], key["public"]) for key in created["keys"]}
    assert told == {key.use: (1, key.id, key.public) for key in machine.known()}
    assert told["checkpoint"][2] == vkey
    assert told["token"][1] == told["token"][2]
    assert {use for use, (_, _, public) in told.items() if public is None} == set(key_files.SECRETS)
    assert {key.since for key in machine.known()} == {created["time"]}


def test_init_again_changes_nothing(machine: Machine) -> None:
    """Neither files nor records; one entry tells of the keys."""
    before = {path.name: path.read_bytes() for path in machine.keys.iterdir()}
    machine.run("init")
    assert before == {path.name: path.read_bytes() for path in machine.keys.iterdir()}
    assert len(machine.leaves("keys-create")) == 1


def test_an_init_that_was_cut_short_is_finished_by_the_next(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that were made and not recorded are recorded, the same."""
    chosen = world.settings(databases, tmp_path / "keys")

    def crash(*_: object) -> None:
        raise RuntimeError("crash")

    with monkeypatch.context() as patched:
        patched.setattr(inventory, "record", crash)
        with pytest.raises(RuntimeError, match="crash"):
            composition.prepare(chosen)
    made = [file.id for file in key_files.found(chosen.keys, chosen.keys_passphrase)]
    with pytest.raises(ConfigurationError, match="no record of the log's keys"):
        composition.build(chosen)
    composition.prepare(chosen)
    assert sorted(made) == sorted(key.id for key in Machine(chosen).known())


def test_a_list_names_every_key(machine: Machine) -> None:
    """Use, number, kind, id, since when, whether it writes, and its public part."""
    listed = machine.listed()
    assert {use for use, _ in listed} == set(USES)
    assert listed["token", 1][0] == "P-256"
    assert listed["checkpoint", 1][0] == "Ed25519"
    assert listed["index", 1][0] == "secret"
    assert {told[3] for told in listed.values()} == {"writes"}
    assert listed["ids", 1][4] == "-"
    assert listed["checkpoint", 1][4].startswith("gateway.test/log+")


# --- what is refused ----------------------------------------------------------------------------------------


def exchanged(machine: Machine, use: str) -> None:
    """Put another key of the right kind in a key's place, encrypted under the right passphrase."""
    key_files.file_of(machine.keys, use, 1).unlink()
    assert key_files.make(machine.keys, machine.settings.keys_passphrase, use, 1)


def missing(machine: Machine, use: str) -> None:
    """Remove a key."""
    key_files.file_of(machine.keys, use, 1).unlink()


def added(machine: Machine, use: str) -> None:
    """Add a key without telling the log."""
    assert key_files.make(machine.keys, machine.settings.keys_passphrase, use, 2)


WRONG: Mapping[Deed, str] = {
    exchanged: "1.pem is not the key that the log knows",
    missing: "1.pem is missing",
    added: "2.pem is a key that",
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("deed", WRONG, ids=lambda deed: deed.__name__)
def test_files_that_are_not_the_recorded_keys_are_refused(machine: Machine, deed: Deed, use: str) -> None:
    """By the next start and by every command, with the file's name, and nothing is sealed or signed before."""
    starts(machine)
    notes = machine.notes()
    deed(machine, use)
    assert f"{machine.keys}/{use}-{WRONG[deed]}" in refused(machine)
    assert machine.notes() == notes


def test_an_empty_directory_gets_no_new_keys(machine: Machine) -> None:
    """`init` with the wrong directory makes nothing there: the log has its keys."""
    other = Machine(machine.settings.model_copy(update={"keys": machine.keys.with_name("other")}))
    assert f"{other.keys}/checkpoint-1.pem is missing" in refused(other)
    assert not other.keys.exists()


def test_a_store_restored_with_other_keys_is_refused(machine: Machine, databases: Databases, tmp_path: Path) -> None:
    """Keys of another gateway, whole and well, are not this log's; nor is this log's name another's."""
    elsewhere = Machine(world.settings(databases, tmp_path / "elsewhere"))
    key_files.create(elsewhere.keys, elsewhere.settings.keys_passphrase)
    assert "is not the key that the log knows" in refused(elsewhere)
    other = Machine(world.settings(databases, machine.keys, log_origin="another.test/log"))
    assert "the store holds the log 'gateway.test/log', not 'another.test/log'" in refused(other)
    starts(machine)


def test_records_that_were_changed_are_refused(machine: Machine) -> None:
    """A record counts only as its entry says: who exchanges file and record must forge the log as well."""
    exchanged(machine, "token")
    (file,) = [each for each in key_files.found(machine.keys, machine.settings.keys_passphrase) if each.use == "token"]
    table = tables.key_record
    with machine.store() as store, store.transaction() as connection:
        token = table.update().where(table.c.use == "token")
        connection.execute(token.values(key_id=file.id, public=file.id))
    assert "the record of the key 'token' 1 is not what its entry in the log says" in refused(machine)


def test_records_that_are_gone_are_not_made_anew(machine: Machine) -> None:
    """A log that has begun has its keys; `init` doesn't give it others."""
    with machine.store() as store, store.transaction() as connection:
        connection.execute(tables.key_record.delete())
    with pytest.raises(ConfigurationError, match="no record of the log's keys"):
        composition.build(machine.settings)
    assert "has entries and no record of its keys" in machine.run("init", status=2)


def test_notes_of_another_key_are_refused(machine: Machine) -> None:
    """The right keys over checkpoints that none of them signed."""
    with machine.store() as store, store.transaction() as connection:
        logs.resign(connection, "gateway.test/log", Ed25519PrivateKey.generate())
    with pytest.raises(ConfigurationError, match="the log in the store is not this key's"):
        composition.build(machine.settings)


# --- rotation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", USES)
def test_a_rotation_is_a_file_a_record_and_an_entry(machine: Machine, use: str) -> None:
    """The new key writes from the next start, the old one reads; officer and reason are sealed."""
    told = machine.rotate(use)
    path = key_files.file_of(machine.keys, use, 2)
    assert told.startswith(f"{path} is the key '{use}' 2, ")
    assert path.stat().st_mode & 0o777 == 0o600
    listed = machine.listed()
    assert (listed[use, 1][3], listed[use, 2][3]) == ("reads", "writes")
    (leaf,) = machine.leaves("key-rotate")
    (named,) = leaf["keys"]
    assert (named["use"], named["number"], named["id"]) == (use, 2, listed[use, 2][1])
    assert (named["public"] or "-") == listed[use, 2][4]
    assert listed[use, 2][2] == leaf["time"]
    assert leaf["commitments"]["count"] == 2
    assert "Sealed" not in str(leaf)
    starts(machine)
    machine.rotate(use)
    assert machine.listed()[use, 3][3] == "writes"


def test_a_rotation_that_was_cut_short_is_finished_by_the_next(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without its entry serves nowhere; rotating again records that very key, and makes no other."""

    def crash(*_: object) -> None:
        raise RuntimeError("crash")

    with monkeypatch.context() as patched, composition.open_rotation(machine.settings, "ids") as (opened, file):
        patched.setattr(appending, "insert", crash)
        with pytest.raises(RuntimeError, match="crash"):
            opened.log.perform(lambda c, entry: (_recording(c, entry, file), None))
    assert f"{machine.keys}/ids-2.pem is a key that the log does not know" in refused(machine)
    machine.rotate("ids")
    assert machine.listed()["ids", 2][1] == file.id
    assert not key_files.file_of(machine.keys, "ids", 3).exists()


def _recording(connection: object, entry_id: str, file: key_files.KeyFile) -> Entry:
    inventory.record(connection, entry_id, [file], "gateway.test/log")  # type: ignore[arg-type] # as `perform` gives it
    facts = {"keys": inventory.told([file], "gateway.test/log")}
    return Entry("key-rotate", "permit", "done", composition.now(), None, {**facts})


def test_files_whose_entries_a_restore_lost_are_recorded_anew(machine: Machine) -> None:
    """Several at once: each rotation records one, the lowest number first, and what is not recorded isn't used."""
    secret = machine.settings.keys_passphrase
    lost = [key_files.make(machine.keys, secret, use, number) for use, number in (("ids", 2), ("ids", 3), ("token", 2))]
    assert all(lost)
    machine.rotate("ids")
    machine.rotate("token")
    assert "ids-3.pem is a key that the log does not know" in refused(machine)
    machine.rotate("ids")
    starts(machine)
    assert {file.id for file in lost if file} <= {key.id for key in machine.known()}


def test_of_officers_who_rotate_at_once_one_does(machine: Machine) -> None:
    """On one machine they find the same file; one entry tells of it, and the others are told."""
    outcomes: list[str] = []
    together = threading.Barrier(4)

    def rotate() -> None:
        try:
            with composition.open_rotation(machine.settings, "promise") as (opened, file):
                together.wait(20)
                opened.log.perform(lambda c, entry: (_recording(c, entry, file), None))
            outcomes.append("done")
        except ConfigurationError as error:
            outcomes.append(str(error))

    with composition.open_rotation(machine.settings, "promise"):
        pass
    threads = [threading.Thread(target=rotate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert max(outcomes) == "done"
    assert len([told for told in outcomes if "another officer recorded this key" in told]) == 3
    assert [key.number for key in machine.known() if key.use == "promise"] == [1, 2]


def test_of_two_machines_that_rotate_at_once_one_does(machine: Machine) -> None:
    """Each makes a file of its own; the loser hears so, and is told which file to bring from the other."""
    shutil.copytree(machine.keys, machine.keys.with_name("other"))
    other = Machine(machine.settings.model_copy(update={"keys": machine.keys.with_name("other")}))
    with composition.open_rotation(other.settings, "token") as (opened, file):
        machine.rotate("token")
        with pytest.raises(ConfigurationError, match="another officer recorded this key"):
            opened.log.perform(lambda c, entry: (_recording(c, entry, file), None))
    assert f"{other.keys}/token-2.pem is not the key that the log knows" in refused(other)
    shutil.copy(machine.keys / "token-2.pem", other.keys / "token-2.pem")
    starts(other)
    assert len(machine.leaves("key-rotate")) == 1


def test_a_machine_without_the_new_file_is_refused(machine: Machine) -> None:
    """It could not read what the others write."""
    shutil.copytree(machine.keys, machine.keys.with_name("other"))
    other = Machine(machine.settings.model_copy(update={"keys": machine.keys.with_name("other")}))
    machine.rotate("cursors")
    assert f"{other.keys}/cursors-2.pem is missing" in refused(other)


@pytest.mark.parametrize("use", ["ids", "cursors"])
def test_numbers_end_with_one_byte(databases: Databases, tmp_path: Path, use: str) -> None:
    """Each id and cursor names its key in one byte; the 256th is refused, and no file is made."""
    machine = Machine(world.settings(databases, tmp_path / "keys"))
    key_files.create(machine.keys, machine.settings.keys_passphrase)
    (machine.keys / f"{use}-1.pem").rename(machine.keys / f"{use}-255.pem")
    world.prepare(machine.settings)
    assert f"the keys '{use}' have no number left: 255 is the last" in machine.rotate(use, status=2)
    assert sorted(machine.keys.glob(f"{use}-*")) == [machine.keys / f"{use}-255.pem"]
    starts(machine)


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_who_may_not_record_a_key_makes_no_file(machine: Machine, postgres: Postgres, dialect: str) -> None:
    """By the role that serves, a rotation leaves nothing that would keep the gateway from its next start."""
    assert dialect == "postgresql"
    database = str(sa.make_url(machine.settings.store_url).database)
    role = f"serves_{database}"
    postgres.run(sql.SQL("CREATE ROLE {} LOGIN IN ROLE pg_read_all_data").format(sql.Identifier(role)))
    serving = Machine(machine.settings.model_copy(update={"store_url": postgres.url(database, role)}))
    assert serving.run("keys", "list").count("writes") == len(USES)
    assert (
        serving.rotate("ids", status=1)
        == "gateway: the database role of GATEWAY_STORE_URL may not do this; use the owner's URL (deploy/README.md)\n"
    )
    assert not key_files.file_of(machine.keys, "ids", 2).exists()
    starts(machine)


# --- retiring -----------------------------------------------------------------------------------------------


def test_a_retired_key_is_recorded_and_gone(machine: Machine) -> None:
    """Its file is removed, its entry stays; a file that comes back, from a backup, is refused."""
    content = (machine.keys / "ids-1.pem").read_bytes()
    machine.rotate("ids")
    assert "is removed" in machine.retire("ids", 1)
    assert not (machine.keys / "ids-1.pem").exists()
    (leaf,) = machine.leaves("key-retire")
    assert [(key["use"], key["number"]) for key in leaf["keys"]] == [("ids", 1)]
    assert machine.listed()["ids", 1][3] == f"retired {leaf['time']}"
    starts(machine)
    machine.run("init")
    (machine.keys / "ids-1.pem").write_bytes(content)
    (machine.keys / "ids-1.pem").chmod(0o600)
    assert "ids-1.pem was retired; remove the file" in refused(machine)


def test_what_writes_is_not_retired(machine: Machine) -> None:
    """Nor a key that is unknown, or retired already."""
    assert "'gateway keys rotate token' comes first" in machine.retire("token", 1, status=2)
    machine.rotate("token")
    machine.retire("token", 1)
    for number in (1, 3):
        assert f"there is no key 'token' {number} that is in use" in machine.retire("token", number, status=2)
    assert "comes first" in machine.retire("token", 2, status=2)


def test_of_officers_who_retire_at_once_one_does(machine: Machine) -> None:
    """The second hears that it is done."""
    machine.rotate("promise")
    key = machine.known()[[(k.use, k.number) for k in machine.known()].index(("promise", 1))]
    with machine.store() as store:
        with store.transaction() as connection:
            inventory.retire(connection, "0" * 32, key)
        with pytest.raises(ConfigurationError, match="retired already"), store.transaction() as connection:
            inventory.retire(connection, "1" * 32, key)


@pytest.mark.parametrize("use", ["openings", "index"])
def test_what_openings_need_is_never_retired(use: str) -> None:
    """Sealed parts are opened and found by the keys of their time."""
    done = CliRunner().invoke(program, ["keys", "retire", use, "1", "--because", "No."])
    assert done.exit_code == 2
    assert f"'{use}' is not one of" in done.stderr


def test_a_checkpoint_key_is_retired_only_once_its_successor_has_signed(machine: Machine) -> None:
    """The first note under a new key bears the old one's signature as well."""
    machine.rotate("checkpoint")
    assert "no checkpoint is signed by the newest key yet" in machine.retire("checkpoint", 1, status=2)
    machine.run("audit", "notices")
    machine.retire("checkpoint", 1)
    starts(machine)
    machine.run("audit", "notices")
    assert machine.listed()["checkpoint", 2][3] == "writes"
