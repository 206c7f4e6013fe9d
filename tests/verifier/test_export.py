"""The store's export, read by the verifier: a real log on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway import tables
from gateway.audit.entry import Entry, Opening
from gateway.audit.export import export, opens_all
from gateway.canonical import Json
from gateway.errors import ConfigurationError
from gateway.verifier.evidence import Evidence
from gateway.verifier.note import read_log_key
from gateway.verifier.verdict import VerificationError, Verified
from gateway.verifier.verify import verify
from tests.audit import logs
from tests.audit.logs import OpenLog
from tests.conftest import MakeWorld
from tests.verifier.reading import NOW
from tests.world import Databases


@pytest.fixture
def keys(make_world: MakeWorld) -> Path:
    """Write a log by real requests; return its keys."""
    made = make_world()
    asker = made.asker(officer="Officer One")
    for limit in (1, 3):
        asker.search({"limit": limit})
        asker.search({"filter": {"nowhere": {"eq": "x"}}})
        made.leaves()
    return made.settings.keys


@pytest.fixture
def log(keys: Path, databases: Databases) -> Iterator[OpenLog]:
    """Open that log."""
    with logs.opened(databases, keys) as opened:
        yield opened


def _entry(**facts: Json) -> Entry:
    return Entry("test", "permit", "done", NOW, None, facts, (Opening("officer", "Officer Two"),))


def _verify(log: OpenLog, directory: Path, evidence: Evidence | None = None) -> Verified:
    return verify(directory, (read_log_key(log.log.verifier.vkey()),), evidence or Evidence(), NOW)


def test_what_a_gateway_wrote_verifies(log: OpenLog, tmp_path: Path) -> None:
    """A log that was written by requests verifies from its export, with every opening and with none."""
    size = export(log.store, log.log.verifier.origin, tmp_path / "sealed")
    assert size > 4
    sealed = _verify(log, tmp_path / "sealed")
    assert (sealed.size, sealed.opened, sealed.unsealed) == (size, 0, 0)
    assert sealed.note == log.log.checkpoint()
    assert sealed.commitments > 8
    export(log.store, log.log.verifier.origin, tmp_path / "opened", opens_all(log.openings))
    assert _verify(log, tmp_path / "opened").opened == sealed.commitments


def test_an_export_without_openings_holds_nothing_personal(log: OpenLog, tmp_path: Path) -> None:
    """What is sealed is not in the export, and the files are their owner's."""
    export(log.store, log.log.verifier.origin, tmp_path / "log")
    for path in (tmp_path / "log").iterdir():
        assert b"Officer" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


def test_entries_that_wait_and_what_is_erased(log: OpenLog, tmp_path: Path) -> None:
    """Entries that wait are exported as such; what is erased is said to be."""
    for number in range(600):
        log.log.append(_entry(number=number))
    log.seal()
    log.log.append(_entry())
    with log.store.transaction() as connection:
        first = logs.entry_at(connection, 3)
        gone = tables.opening.update().where(tables.opening.c.entry_id == first)
        connection.execute(gone.values(sealed=None, wrapped=None, about=None, record=None))
        erased = connection.scalar(sa.select(sa.func.count()).where(tables.opening.c.entry_id == first))
    size = export(log.store, log.log.verifier.origin, tmp_path / "log", opens_all(log.openings))
    found = _verify(log, tmp_path / "log")
    assert (found.size, found.unsealed, found.erased) == (size, 1, erased)
    assert found.opened + found.erased == found.commitments


def test_leaves_that_are_not_signed_yet_wait(log: OpenLog, tmp_path: Path) -> None:
    """A crash between the sealing and its signature leaves leaves that the export counts among those that wait."""
    before = export(log.store, log.log.verifier.origin, tmp_path / "before")
    log.log.append(_entry())
    log.seal()
    with log.store.transaction() as connection:
        newest = logs.newest_checkpoint(connection)
        connection.execute(tables.checkpoint.delete().where(tables.checkpoint.c.size == newest))
    assert export(log.store, log.log.verifier.origin, tmp_path / "log", opens_all(log.openings)) == before
    assert _verify(log, tmp_path / "log").unsealed == 1


def test_what_was_lost_is_exported_by_its_hash(log: OpenLog, tmp_path: Path) -> None:
    """A leaf without its entry is exported by its hash, and verifies where the log declares it."""
    log.log.append(_entry())
    log.seal()
    with log.store.transaction() as connection:
        index = logs.size(connection) - 1
        logs.remove_entry(connection, logs.entry_at(connection, index))
        connection.execute(tables.leaf.update().where(tables.leaf.c.leaf_index == index).values(entry_id=None))
    export(log.store, log.log.verifier.origin, tmp_path / "silent")
    with pytest.raises(VerificationError, match="removed"):
        _verify(log, tmp_path / "silent")
    log.log.append(Entry("log-loss", "permit", "done", NOW, None, {"first": index, "last": index}))
    log.seal()
    export(log.store, log.log.verifier.origin, tmp_path / "declared", opens_all(log.openings))
    assert [(loss.first, loss.last) for loss in _verify(log, tmp_path / "declared").losses] == [(index, index)]


def test_a_promise_of_the_gateway_is_evidence(log: OpenLog, tmp_path: Path) -> None:
    """A promise that the gateway signed is checked with the promise key that its log names."""
    first = log.log.append(_entry())
    log.seal()
    waits = log.log.append(_entry())
    export(log.store, log.log.verifier.origin, tmp_path / "log")
    found = _verify(log, tmp_path / "log", Evidence(promises=(first.promise, waits.promise)))
    assert [waits.id in remark for remark in found.remarks] == [True, False]
    assert "1 of the promises given" in found.remarks[1]
    with log.store.transaction() as connection:
        connection.execute(tables.pending.delete())
        logs.remove_entry(connection, waits.id)
    export(log.store, log.log.verifier.origin, tmp_path / "later")
    with pytest.raises(VerificationError, match="removed"):
        _verify(log, tmp_path / "later", Evidence(promises=(waits.promise,)))


def test_an_opening_that_was_changed_is_not_exported(log: OpenLog, tmp_path: Path) -> None:
    """A sealed part that can't be opened ends the export, with no header that would make it one."""
    with log.store.transaction() as connection:
        connection.execute(tables.opening.update().values(wrapped=b"none"))
    with pytest.raises(ConfigurationError, match="can't be opened"):
        export(log.store, log.log.verifier.origin, tmp_path / "log", opens_all(log.openings))
    with pytest.raises(VerificationError, match=r"log\.json is missing"):
        _verify(log, tmp_path / "log")


def test_nothing_is_overwritten(log: OpenLog, tmp_path: Path) -> None:
    """An export needs a directory of its own."""
    with pytest.raises(ConfigurationError, match="can't be made"):
        export(log.store, log.log.verifier.origin, tmp_path)


def test_a_log_that_was_never_signed_is_not_exported(log: OpenLog, tmp_path: Path) -> None:
    """Without a checkpoint there is nothing to verify."""
    with log.store.transaction() as connection:
        connection.execute(tables.checkpoint.delete())
    with pytest.raises(ConfigurationError, match="no checkpoint"):
        export(log.store, log.log.verifier.origin, tmp_path / "log")
