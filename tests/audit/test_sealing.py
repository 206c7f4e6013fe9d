"""The sealers: several at once, a crash at each line, and a log that refuses a strange key or name."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import rfc8785
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import capture_logs

from gateway import app as composition
from gateway import keys as key_files
from gateway import tables
from gateway.app import now
from gateway.audit import notary as notary_module
from gateway.audit import rounds, sealed, waiting
from gateway.audit import sealing as sealing_module
from gateway.audit.checkpoint import Checkpoint, sign
from gateway.audit.entry import Entry, Opening
from gateway.audit.merkle import Frontier
from gateway.audit.rounds import Rounds
from gateway.audit.tiles import Disagreement
from gateway.errors import ConfigurationError, Unavailable
from tests.audit import logs
from tests.audit.logs import OpenLog
from tests.services import Postgres
from tests.world import Databases, passphrase, settings

OpenAgain = Callable[..., OpenLog]


@pytest.fixture
def open_again(databases: Databases, tmp_path: Path) -> Iterator[OpenAgain]:
    """Prepare a store, and open its log as often as is wished, each time as another process would."""
    keys = tmp_path / "keys"
    composition.prepare(settings(databases, keys))
    with ExitStack() as stack:

        def once_more(keys: Path = keys, **changed: str) -> OpenLog:
            return stack.enter_context(logs.opened(databases, keys, **changed))

        yield once_more


def entry(number: int = 0) -> Entry:
    """Return an entry with openings."""
    openings = (Opening("officer", "Officer One"), Opening("record", {"person": str(number)}))
    return Entry("test", "permit", "done", now(), None, {"records": number}, openings)


def indices(log: OpenLog) -> dict[str, int]:
    """Return the index of each entry in the tree."""
    with log.store.reading() as connection:
        return {
            row.entry_id: row.leaf_index
            for row in connection.execute(sa.select(tables.leaf.c.entry_id, tables.leaf.c.leaf_index))
        }


def test_two_sealers_at_once_give_each_entry_one_place(open_again: OpenAgain, monkeypatch: pytest.MonkeyPatch) -> None:
    """While others append, two sealers in batches leave no gap, no double place and nothing behind."""
    monkeypatch.setattr(sealing_module, "BATCH", 7)
    sealers, writers = [open_again(), open_again()], [open_again(), open_again()]
    written: list[str] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def write(log: OpenLog) -> None:
        written.extend(log.log.append(entry(number)).id for number in range(40))

    def seal(log: OpenLog) -> None:
        while not done.is_set() or log.log.unsealed():
            log.log.seal()

    def guarded(work: Callable[[OpenLog], None], log: OpenLog) -> None:
        try:
            work(log)
        except BaseException as error:  # noqa: BLE001 -- handed to the test
            failed.append(error)

    sealing = [threading.Thread(target=guarded, args=(seal, log)) for log in sealers]
    writing = [threading.Thread(target=guarded, args=(write, log)) for log in writers]
    for thread in (*sealing, *writing):
        thread.start()
    for thread in writing:
        thread.join(60)
    done.set()
    for thread in sealing:
        thread.join(60)
    assert failed == []
    found = indices(sealers[0])
    assert set(written) <= found.keys()
    assert sorted(found.values()) == list(range(len(found)))
    verified = sealers[0].verify()
    assert (verified.size, verified.unsealed) == (len(found), 0)


def test_the_first_entries_come_before_later_ones_of_a_later_sealing(open_again: OpenAgain) -> None:
    """What was sealed before keeps its place, whatever comes after."""
    log = open_again()
    first = log.log.append(entry()).id
    log.seal()
    place = indices(log)[first]
    second = log.log.append(entry()).id
    open_again().seal()
    assert indices(log)[first] == place
    assert indices(log)[second] == place + 1


def test_more_entries_than_a_batch_holds_are_sealed_by_and_by(
    open_again: OpenAgain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sealing takes a batch, and signs what it has taken."""
    monkeypatch.setattr(sealing_module, "BATCH", 4)
    log = open_again()
    for number in range(10):
        log.log.append(entry(number))
    assert [log.log.seal() for _ in range(4)] == [4, 4, 2, 0]
    with log.store.reading() as connection:
        sizes = list(connection.scalars(sa.select(tables.checkpoint.c.size)))
    assert sorted(sizes) == [1, 5, 9, 11]
    log.verify()


def test_sealing_nothing_writes_nothing(open_again: OpenAgain) -> None:
    """An idle sealer leaves the tree and its checkpoint as they are."""
    log = open_again()
    log.log.append(entry())
    log.seal()
    note = log.log.checkpoint()
    assert log.log.seal() == 0
    assert open_again().log.seal() == 0
    assert log.log.checkpoint() == note


def test_a_checkpoint_lost_between_commit_and_signing_is_signed_by_the_next(open_again: OpenAgain) -> None:
    """A crash after the commit leaves leaves unsigned; the next sealing, by whoever, signs the same note."""
    log = open_again()
    log.log.append(entry())
    log.seal()
    lost = log.log.checkpoint()
    with log.store.transaction() as connection:
        newest = logs.newest_checkpoint(connection)
        connection.execute(tables.checkpoint.delete().where(tables.checkpoint.c.size == newest))
    assert log.verify().unsealed > 0, "what no checkpoint covers is said to wait"
    assert open_again().log.seal() == 0
    assert log.log.checkpoint() == lost
    assert log.verify().note == lost


def test_a_signer_that_crashes_is_healed_by_the_next(open_again: OpenAgain, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one sealing could not sign is signed with what comes next, and nothing is sealed twice."""
    log = open_again()
    log.log.append(entry())
    with monkeypatch.context() as patched:
        patched.setattr(notary_module, "sign", _crash)
        with pytest.raises(RuntimeError, match="crash"):
            log.log.seal()
    log.log.append(entry())
    assert log.log.seal() == 1
    verified = log.verify()
    assert (verified.size, verified.unsealed) == (3, 0)


def _crash(*_: object) -> str:
    raise RuntimeError("crash")


@pytest.mark.parametrize("table", ["leaf", "pending", "tree_head"])
def test_a_sealer_that_crashes_before_its_commit_leaves_nothing(open_again: OpenAgain, table: str) -> None:
    """Leaves, queue and head move in one transaction or not at all."""
    log = open_again()
    log.log.append(entry())
    log.seal()
    whole = log.verify()
    waiting = log.log.append(entry()).id

    def crash(*asked: object) -> None:
        statement = str(asked[2])
        if statement.startswith((f"INSERT INTO {table}", f"DELETE FROM {table}", f"UPDATE {table}")):
            raise RuntimeError("crash")

    sa.event.listen(log.store.engine, "after_cursor_execute", crash)
    with pytest.raises(RuntimeError, match="crash"):
        log.log.seal()
    sa.event.remove(log.store.engine, "after_cursor_execute", crash)
    other = open_again()
    assert other.verify().size == whole.size
    assert other.verify().unsealed == 1
    assert waiting not in indices(other)
    assert other.log.seal() == 1
    assert other.verify(whole.note).unsealed == 0


# --- a log that is not ours ---------------------------------------------------------------------------------


def _other_key(keys: Path) -> Path:
    other = keys.with_name("other")
    shutil.copytree(keys, other)
    (other / "checkpoint-1.pem").unlink()
    assert key_files.make(other, passphrase(keys), "checkpoint", 1)
    return other


def _nothing_waits(log: OpenLog) -> None:
    log.seal()


def _an_entry_waits(log: OpenLog) -> None:
    log.log.append(entry())


def _the_newest_checkpoint_is_not_signed(log: OpenLog) -> None:
    with log.store.transaction() as connection:
        newest = logs.newest_checkpoint(connection)
        connection.execute(tables.checkpoint.delete().where(tables.checkpoint.c.size == newest))


STATES = (_nothing_waits, _an_entry_waits, _the_newest_checkpoint_is_not_signed)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_log_of_another_key_is_refused(
    open_again: OpenAgain, tmp_path: Path, state: Callable[[OpenLog], None]
) -> None:
    """Whatever the last crash left, a gateway whose key did not sign the log does not start."""
    log = open_again()
    log.log.append(entry())
    log.seal()
    state(log)
    with pytest.raises(ConfigurationError, match=r"checkpoint-1\.pem is not the key that the log knows"):
        open_again(_other_key(tmp_path / "keys"))


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_refused_key_has_signed_nothing(
    open_again: OpenAgain, tmp_path: Path, state: Callable[[OpenLog], None]
) -> None:
    """After a start with a wrong key, the log verifies under the right one as before."""
    log = open_again()
    log.log.append(entry())
    log.seal()
    kept = log.log.checkpoint()
    state(log)
    with suppress(ConfigurationError):  # how it is refused is the other test's
        open_again(_other_key(tmp_path / "keys")).log.check()
    log.log.check()
    log.verify(kept)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_log_of_another_name_is_refused(open_again: OpenAgain, state: Callable[[OpenLog], None]) -> None:
    """A gateway that is set to another log's name does not start, and signs nothing under it."""
    log = open_again()
    log.log.append(entry())
    log.seal()
    state(log)
    with pytest.raises(ConfigurationError, match="the store holds the log"):
        open_again(log_origin="gateway.test/other").log.check()
    log.log.check()
    log.verify()


def test_the_program_tells_that_a_log_is_of_another_key(
    open_again: OpenAgain, databases: Databases, tmp_path: Path
) -> None:
    """The operator reads one line and the status of a wrong configuration, and no traceback."""
    log = open_again()
    log.log.append(entry())
    chosen = settings(databases, _other_key(tmp_path / "keys"))
    given = {
        name: getattr(chosen, name)
        for name in ("arrest_url", "store_url", "keys", "keys_passphrase", "issuer", "log_origin", "log_public")
    }
    environment = {f"GATEWAY_{name.upper()}": str(value) for name, value in given.items()}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "init"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("gateway: ")
    assert done.stderr.count("\n") == 1
    log.verify()


# --- the sealer's thread ------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Unavailable(), ValueError("the frontier"), RuntimeError("anything")])
def test_a_work_that_fails_does_not_end_the_sealers_thread(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong once in one work stops neither it nor the others: else nothing is sealed any more."""
    monkeypatch.setattr(rounds, "INTERVAL", 0.01)
    again, others = threading.Event(), threading.Event()
    calls = iter((error,))

    def failing() -> None:
        for first in calls:
            raise first
        again.set()

    failed: list[threading.ExceptHookArgs] = []
    before, threading.excepthook = threading.excepthook, failed.append
    sealer = Rounds("sealer", (failing, others.set))
    try:
        sealer.start()
        assert again.wait(1), "the failed work was not tried again"
        assert others.wait(1), "the other work was not done"
        sealer.stop()
    finally:
        threading.excepthook = before
    assert failed == []


def test_a_work_that_fails_is_told_by_its_type_and_place() -> None:
    """And by nothing of what the error says, which may be of a record."""

    def failing() -> None:
        raise ValueError("of a record")

    with capture_logs() as lines:
        Rounds("sealer", (failing,))._once()  # noqa: SLF001 -- what its thread does again and again
    (told,) = lines
    place = f"{__file__}:{failing.__code__.co_firstlineno + 1}"
    assert told == {"event": "sealer-fails", "log_level": "error", "type": "ValueError", "place": place}


def test_what_no_holder_of_the_keys_wrote_gets_no_place_and_keeps_nobody_from_one(
    open_again: OpenAgain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the store's password alone, entries can be put into the queue, and none of them into the tree."""
    monkeypatch.setattr(waiting, "PAGE", 1)
    log = open_again()
    honest = log.log.append(entry()).id
    with log.store.transaction() as connection:
        leaf = connection.scalar(sa.select(tables.entry.c.leaf).where(tables.entry.c.entry_id == honest))
        mark = connection.scalar(sa.select(tables.pending.c.mark).where(tables.pending.c.entry_id == honest))
        for number, content in enumerate((b"", b"no JSON", b"{}", leaf, leaf, b"[" * 3000, b"\xff")):
            planted = {"entry_id": f"{number:032x}", "leaf": content}
            connection.execute(tables.entry.insert(), planted)
            row = {"entry_id": f"{number:032x}", "since": 1.0, "mark": mark}
            connection.execute(tables.pending.insert(), row)
        for number in range(40):
            orphan = {"entry_id": f"orphan {number}", "since": 2.0, "mark": b""}
            connection.execute(tables.pending.insert(), orphan)
    made = log.log.append(entry()).id
    log.seal()
    assert {honest, made} <= set(indices(log))
    assert not {f"{number:032x}" for number in range(7)} & set(indices(log))
    assert log.log.unsealed() == 7 + 40
    log.log.check_prompt()


def test_an_entry_that_is_changed_while_it_waits_gets_no_place(open_again: OpenAgain) -> None:
    """What gets a place is what was written."""
    log = open_again()
    changed = log.log.append(entry()).id
    with log.store.transaction() as connection:
        logs.write_leaf(connection, changed, rfc8785.dumps({"id": changed}))
    log.seal()
    assert changed not in indices(log)


def test_a_head_that_no_holder_of_the_keys_wrote_is_not_signed(open_again: OpenAgain) -> None:
    """With the store's password alone, leaves can be put into the tree, and no checkpoint covers them."""
    log = open_again()
    log.log.append(entry())
    log.seal()
    note = log.log.checkpoint()
    with log.store.transaction() as connection:
        head = connection.execute(sa.select(tables.tree_head)).one()
        frontier = Frontier(head.size, head.frontier)
        frontier.append(bytes(32))
        connection.execute(tables.leaf.insert(), {"leaf_index": head.size, "leaf_hash": bytes(32)})
        connection.execute(tables.tree_head.update().values(size=frontier.size, frontier=frontier.pack()))
    with pytest.raises(Disagreement, match="nobody who holds"):
        log.log.seal_all()
    assert log.log.checkpoint() == note


def test_what_waited_once_and_has_its_place_is_passed_over(open_again: OpenAgain) -> None:
    """A row that is put back, whose mark is good, keeps no other entry from its place."""
    log = open_again()
    log.log.append(entry())
    with log.store.reading() as connection:
        waited = dict(connection.execute(sa.select(tables.pending)).one()._mapping)  # noqa: SLF001 -- SQLAlchemy's name
    log.seal()
    with log.store.transaction() as connection:
        connection.execute(tables.pending.insert(), waited)
    later = log.log.append(entry()).id
    log.log.seal_all()
    assert later in indices(log)
    log.log.check_prompt()


def test_a_checkpoint_that_nobody_signed_is_not_given_out(open_again: OpenAgain) -> None:
    """A note put into the store under the log's name is no checkpoint."""
    log = open_again()
    log.log.append(entry())
    log.seal()
    forged = sign(Checkpoint(log.log.verifier.origin, 1000, bytes(32)), [Ed25519PrivateKey.generate()])
    with log.store.transaction() as connection:
        connection.execute(tables.checkpoint.insert(), {"size": 1000, "note": forged})
    with pytest.raises(Disagreement, match="not this log's"):
        log.log.publish()
    log.log.append(entry())
    with pytest.raises(Disagreement, match="not this log's"):
        log.log.seal_all()


# --- verifying a log that lives -----------------------------------------------------------------------------


def test_a_log_that_is_sealed_meanwhile_verifies(postgres: Postgres, tmp_path: Path) -> None:
    """Entries that are sealed while a verification reads are no sign of forgery."""
    name = postgres.create()
    databases = Databases(postgres.url("postgres"), postgres.url(name))
    keys = tmp_path / "keys"
    composition.prepare(settings(databases, keys))
    with logs.opened(databases, keys) as reader, logs.opened(databases, keys) as gateway:
        gateway.log.append(entry())
        gateway.seal()

        meantime: list[object] = []

        def meanwhile(*asked: object) -> None:
            if "FROM checkpoint" in str(asked[2]) and not meantime:
                meantime.append(asked)
                gateway.log.append(entry())
                gateway.seal()

        sa.event.listen(reader.store.engine, "after_cursor_execute", meanwhile)
        verified = reader.verify()
        assert verified.size in (2, 3)
        assert reader.verify(verified.note).size == 3
        assert meantime
    postgres.drop(name)


def test_a_verification_does_not_keep_the_gateway_from_answering(
    open_again: OpenAgain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a log is verified, entries can be written; else a long verification is an outage."""
    monkeypatch.setattr(sealed, "PAGE", 1)
    reader, gateway = open_again(), open_again()
    gateway.log.append(entry())
    gateway.seal()
    if gateway.store.sqlite:
        # The connection that the gateway will use waits a tenth of a second, and not ten.
        with gateway.store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=100")
    outcomes: list[str] = []

    def meanwhile(_: int) -> None:
        try:
            outcomes.append(gateway.log.append(entry()).id)
        except Unavailable as refusal:
            outcomes.append(refusal.code)

    sealed.check(reader.store, reader.openings, meanwhile)
    assert len(outcomes) == 2, "one for each opening"
    assert "temporarily-unavailable" not in outcomes
