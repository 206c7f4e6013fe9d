"""Logs forged by whoever can write into the store, each named by its attack; the verifier names its kind."""

import base64
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import rfc8785
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.app import now
from gateway.audit import sealed
from gateway.audit.checkpoint import Checkpoint, sign
from gateway.audit.entry import Entry, new_id
from gateway.audit.entry import seal as seal_entry
from gateway.audit.tiles import Disagreement
from tests import world
from tests.arrests import CANARY
from tests.audit import logs
from tests.audit.logs import OpenLog
from tests.services import Postgres
from tests.world import Databases

CHANGED = 12  # the leaf that forgers change: after the early checkpoint, before the newest


@dataclass(frozen=True, slots=True)
class Original:
    """An honest log, closed, and the checkpoints that were kept while it grew, the oldest first."""

    databases: Databases
    keys: Path
    server: Postgres | None
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the honest log, to be forged."""

    open: OpenLog
    kept: tuple[str, ...]

    @property
    def early(self) -> str:
        """The checkpoint that someone kept early."""
        return self.kept[1]

    def forge(self, how: Callable[[Connection, OpenLog], None]) -> None:
        """Write into the store."""
        with self.open.store.transaction() as connection:
            how(connection, self.open)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Original]:
    """Keep an honest log of real requests, sealed several times."""
    directory = tmp_path_factory.mktemp("honest")
    server: Postgres | None = None
    if request.param == "sqlite":
        databases = Databases(request.getfixturevalue("sqlite_arrests"), f"sqlite:///{directory / 'store.db'}")
    else:
        server = request.getfixturevalue("postgres")
        assert server is not None
        arrests = server.url(request.getfixturevalue("postgres_arrests"))
        databases = Databases(arrests, server.url(server.create()))
    made = world.build(databases, directory / "keys", rehearsal_day="2011-01-01")
    kept = tuple(_grow(made))
    made.close()
    yield Original(databases, directory / "keys", server, kept)
    if server is not None:
        server.drop(str(sa.make_url(databases.store).database))


def _grow(made: world.World) -> Iterator[str]:
    """Ask in many ways, with answers and refusals, and seal now and then."""
    ice, fbi = made.asker(officer="Officer One"), made.asker("fbi", "FBI")
    for number in range(5):
        for response, status in (
            (ice.search({"limit": 1 + number}), 200),
            (fbi.search({"filter": {"district": {"eq": f"{number + 1:02}"}}, "limit": 2}), 200),
            (ice.get("/v1/arrests/AAAA"), 404),
            (ice.search({"filter": {"nowhere": {"eq": "x"}}}), 400),
            (ice.get("/v1/resources"), 200),
        ):
            assert response.status_code == status, response.text
        made.leaves()
        yield made.gateway.log.checkpoint()


@pytest.fixture
def copy(original: Original, tmp_path: Path) -> Iterator[Copy]:
    """A copy of the honest log."""
    with (
        logs.copied(original.databases, original.server, tmp_path) as databases,
        logs.opened(databases, original.keys) as log,
    ):
        yield Copy(log, original.kept)


# --- the honest log -----------------------------------------------------------------------------------------


def test_an_honest_log_verifies(copy: Copy) -> None:
    """A log that nobody touched verifies, alone and against every checkpoint that was ever kept of it."""
    verified = copy.open.verify()
    assert verified.size >= 28
    assert verified.unsealed == 0
    assert sealed.check(copy.open.store, copy.open.openings) == 0
    assert verified.note == copy.kept[-1]
    for note in copy.kept:
        assert copy.open.verify(note).note == verified.note


def test_an_honest_log_verifies_without_the_keys_of_its_openings(copy: Copy) -> None:
    """With the public key alone, and no other, the log verifies."""
    verified = logs.verify(copy.open.store, copy.open.log, copy.early)
    assert verified.note == copy.kept[-1]


def test_entries_that_wait_are_counted(copy: Copy) -> None:
    """Entries that are not in the tree yet are said to wait, and nothing is wrong with that."""
    size = copy.open.verify().size
    copy.open.log.append(_entry())
    copy.open.log.append(_entry())
    verified = copy.open.verify()
    assert (verified.size, verified.unsealed) == (size, 2)
    copy.open.seal()
    verified = copy.open.verify(copy.early)
    assert (verified.size, verified.unsealed) == (size + 2, 0)


def _entry() -> Entry:
    return Entry("test", "permit", "done", now(), None)


def _openings(connection: Connection, index: int) -> list[sa.Row[tuple[object, ...]]]:
    statement = sa.select(tables.opening).where(
        tables.opening.c.entry_id == logs.entry_at(connection, index),
    )
    return list(connection.execute(statement.order_by(tables.opening.c.position)))


def test_what_is_erased_leaves_the_tree_whole_and_must_be_told_of(copy: Copy) -> None:
    """Erasing openings, with salt and index, breaks nothing in the tree; that no order tells of it is found."""

    def erase(connection: Connection, _: OpenLog) -> None:
        entry_id = logs.entry_at(connection, CHANGED)
        gone = tables.opening.update().where(tables.opening.c.entry_id == entry_id)
        connection.execute(gone.values(sealed=None, wrapped=None, about=None, record=None))
        erased.append(len(_openings(connection, CHANGED)))

    erased: list[int] = []
    copy.forge(erase)
    assert erased[0] > 0
    assert logs.verify(copy.open.store, copy.open.log, copy.early).note == copy.kept[-1]
    with pytest.raises(logs.NOT_VERIFIED, match=f"{erased[0]} are erased, and the log tells of 0"):
        copy.open.verify()


# --- forgeries that the log shows by itself -----------------------------------------------------------------


def changed(connection: Connection, _: OpenLog) -> None:
    """Change what an entry says."""
    logs.change_leaf(connection, logs.entry_at(connection, CHANGED), outcome="nothing-happened")


def changed_and_its_hash(connection: Connection, log: OpenLog) -> None:
    """Change what an entry says, and the leaf's hash with it."""
    head = connection.execute(sa.select(tables.tree_head)).one()
    changed(connection, log)
    logs.rehash(connection)
    connection.execute(tables.tree_head.update().values(size=head.size, frontier=head.frontier))


def changed_and_the_head(connection: Connection, log: OpenLog) -> None:
    """Change what an entry says, and every hash up to the head."""
    changed(connection, log)
    logs.rehash(connection)


def changed_and_all_checkpoints_removed(connection: Connection, log: OpenLog) -> None:
    """Change what an entry says, every hash up to the head, and remove what was signed."""
    changed_and_the_head(connection, log)
    connection.execute(tables.checkpoint.delete())


def changed_and_later_checkpoints_removed(connection: Connection, log: OpenLog) -> None:
    """Change an entry after the oldest checkpoints, every hash, and remove the checkpoints that cover it."""
    changed_and_the_head(connection, log)
    connection.execute(tables.checkpoint.delete().where(tables.checkpoint.c.size > CHANGED))


def the_first_changed(connection: Connection, _: OpenLog) -> None:
    """Change the first entry, and every hash up to the head."""
    logs.change_leaf(connection, logs.entry_at(connection, 0), outcome="nothing-happened")
    logs.rehash(connection)


def the_last_changed(connection: Connection, _: OpenLog) -> None:
    """Change the last entry, and every hash up to the head."""
    last = logs.entry_at(connection, logs.size(connection) - 1)
    logs.change_leaf(connection, last, outcome="nothing-happened")
    logs.rehash(connection)


def hash_changed(connection: Connection, _: OpenLog) -> None:
    """Change a leaf's hash alone."""
    forged = tables.leaf.update().where(tables.leaf.c.leaf_index == CHANGED)
    connection.execute(forged.values(leaf_hash=os.urandom(32)))


def entry_removed(connection: Connection, _: OpenLog) -> None:
    """Remove an entry, and leave its leaf."""
    logs.remove_entry(connection, logs.entry_at(connection, CHANGED))


def leaf_removed(connection: Connection, _: OpenLog) -> None:
    """Remove a leaf, and put its entry among those that wait, as if it had not been sealed."""
    entry_id = logs.entry_at(connection, CHANGED)
    connection.execute(tables.leaf.delete().where(tables.leaf.c.leaf_index == CHANGED))
    connection.execute(tables.pending.insert(), {"entry_id": entry_id, "since": 1.0, "mark": b""})


def first_leaf_removed(connection: Connection, _: OpenLog) -> None:
    """Remove the first entry and its leaf."""
    logs.remove_entry(connection, logs.entry_at(connection, 0))
    connection.execute(tables.leaf.delete().where(tables.leaf.c.leaf_index == 0))


def removed_and_renumbered(connection: Connection, _: OpenLog) -> None:
    """Remove an entry, and let the later ones close the gap."""
    entry_id = logs.entry_at(connection, CHANGED)
    rest = [other for other in logs.order(connection) if other != entry_id]
    logs.remove_entry(connection, entry_id)
    logs.renumber(connection, rest)


def truncated(connection: Connection, _: OpenLog) -> None:
    """Cut the last entries off, and leave what was signed."""
    ids = logs.order(connection)
    for entry_id in ids[-3:]:
        logs.remove_entry(connection, entry_id)
    logs.renumber(connection, ids[:-3])


def emptied(connection: Connection, _: OpenLog) -> None:
    """Empty the log, and leave what was signed."""
    for entry_id in logs.order(connection):
        logs.remove_entry(connection, entry_id)
    logs.renumber(connection, [])


def _exchanged(connection: Connection, one: int, other: int) -> list[str]:
    ids = logs.order(connection)
    ids[one], ids[other] = ids[other], ids[one]
    return ids


def swapped(connection: Connection, _: OpenLog) -> None:
    """Let two leaves change places, with every hash."""
    logs.renumber(connection, _exchanged(connection, CHANGED, CHANGED + 3))


def neighbours_swapped(connection: Connection, _: OpenLog) -> None:
    """Let two neighbours of one inner node change places, with every hash."""
    logs.renumber(connection, _exchanged(connection, CHANGED, CHANGED + 1))


def entries_of_leaves_swapped(connection: Connection, _: OpenLog) -> None:
    """Let two leaves exchange their entries, and leave the hashes where they are."""
    table = tables.leaf
    one, other = logs.entry_at(connection, CHANGED), logs.entry_at(connection, CHANGED + 3)
    for index, entry_id in ((CHANGED, "-"), (CHANGED + 3, one), (CHANGED, other)):
        connection.execute(table.update().where(table.c.leaf_index == index).values(entry_id=entry_id))


def _insert(connection: Connection) -> str:
    sealed = seal_entry(_entry(), new_id())
    connection.execute(tables.entry.insert(), {"entry_id": sealed.id, "leaf": sealed.leaf})
    return sealed.id


def inserted(connection: Connection, _: OpenLog) -> None:
    """Insert an entry into the past, with every hash, but without the key."""
    ids = logs.order(connection)
    logs.renumber(connection, [*ids[:CHANGED], _insert(connection), *ids[CHANGED:]])


def inserted_at_the_end(connection: Connection, _: OpenLog) -> None:
    """Append a leaf with every hash, but without the key."""
    logs.renumber(connection, [*logs.order(connection), _insert(connection)])


def inserted_beside_the_tree(connection: Connection, _: OpenLog) -> None:
    """Insert an entry that is neither in the tree nor waits for it."""
    _insert(connection)


def forked_and_signed_with_another_key(connection: Connection, log: OpenLog) -> None:
    """Fork the log before the early checkpoint, and sign it all with a key of one's own."""
    logs.change_leaf(connection, logs.entry_at(connection, 1), outcome="nothing-happened")
    logs.rehash(connection)
    logs.resign(connection, log.log.verifier.origin, Ed25519PrivateKey.generate())


def newest_checkpoint_signed_with_another_key(connection: Connection, log: OpenLog) -> None:
    """Sign the newest checkpoint, of the very same tree, with a key of one's own."""
    newest = logs.newest_checkpoint(connection)
    root = _newest(connection, log).root
    note = sign(Checkpoint(log.log.verifier.origin, newest, root), [Ed25519PrivateKey.generate()])
    _write_note(connection, newest, note)


def signed_for_another_log(connection: Connection, log: OpenLog) -> None:
    """Exchange the log's identity: checkpoints that the same key signed for another log."""
    logs.resign(connection, "gateway.test/other", log.key)


def _newest(connection: Connection, log: OpenLog) -> Checkpoint:
    table = tables.checkpoint
    note = connection.scalar(sa.select(table.c.note).order_by(table.c.size.desc()).limit(1))
    return log.log.verifier.open(str(note))


def _write_note(connection: Connection, size: int, note: str) -> None:
    table = tables.checkpoint
    connection.execute(table.update().where(table.c.size == size).values(note=note))


def _edit_note(connection: Connection, old: str, new: str) -> None:
    newest = logs.newest_checkpoint(connection)
    table = tables.checkpoint
    note = str(connection.scalar(sa.select(table.c.note).where(table.c.size == newest)))
    assert old in note
    _write_note(connection, newest, note.replace(old, new, 1))


def checkpoints_size_edited(connection: Connection, _: OpenLog) -> None:
    """Edit the size in the newest checkpoint."""
    newest = logs.newest_checkpoint(connection)
    _edit_note(connection, f"\n{newest}\n", f"\n{newest + 1}\n")


def checkpoints_root_edited(connection: Connection, log: OpenLog) -> None:
    """Edit the root in the newest checkpoint."""
    root = base64.b64encode(_newest(connection, log).root).decode()
    _edit_note(connection, root, base64.b64encode(bytes(32)).decode())


def checkpoint_without_signature(connection: Connection, log: OpenLog) -> None:
    """Take the signature from the newest checkpoint."""
    newest = _newest(connection, log)
    _write_note(connection, newest.size, newest.text())


def checkpoint_of_a_shorter_log_under_a_greater_number(connection: Connection, _: OpenLog) -> None:
    """Let an old checkpoint pass for the newest, by the number of its row; readers are served it."""
    table = tables.checkpoint
    oldest = connection.scalar(sa.select(sa.func.min(table.c.size)))
    connection.execute(table.update().where(table.c.size == oldest).values(size=10_000))


def newest_checkpoints_row_renumbered(connection: Connection, _: OpenLog) -> None:
    """Give the newest checkpoint's row another number."""
    table = tables.checkpoint
    newest = logs.newest_checkpoint(connection)
    connection.execute(table.update().where(table.c.size == newest).values(size=newest + 1))


def _at_person(connection: Connection, least: int = 0) -> tuple[str, int]:
    """Return the place of an opening that is about a person."""
    table = tables.opening
    found = connection.execute(
        sa.select(table.c.entry_id, table.c.position)
        .join(tables.leaf, tables.leaf.c.entry_id == table.c.entry_id)
        .where(table.c.record.is_not(None), tables.leaf.c.leaf_index >= least)
        .order_by(tables.leaf.c.leaf_index, table.c.position)
        .limit(1)
    ).one()
    return str(found.entry_id), int(found.position)


def _change_opening(connection: Connection, place: tuple[str, int], **values: object) -> None:
    table = tables.opening
    here = sa.and_(table.c.entry_id == place[0], table.c.position == place[1])
    moved = connection.execute(table.update().where(here).values(**values))
    assert moved.rowcount == 1


def _opening(connection: Connection, place: tuple[str, int]) -> sa.Row[tuple[object, ...]]:
    table = tables.opening
    here = sa.and_(table.c.entry_id == place[0], table.c.position == place[1])
    return connection.execute(sa.select(table).where(here)).one()


def ciphertext_changed(connection: Connection, _: OpenLog) -> None:
    """Flip a bit in what was shown of whom."""
    place = _at_person(connection)
    sealed = bytearray(_opening(connection, place).sealed)
    sealed[-1] ^= 1
    _change_opening(connection, place, sealed=bytes(sealed))


def ciphertext_cut_short(connection: Connection, _: OpenLog) -> None:
    """Leave less of a ciphertext than its nonce."""
    _change_opening(connection, _at_person(connection), sealed=b"cut")


def ciphertext_emptied(connection: Connection, _: OpenLog) -> None:
    """Leave nothing of a ciphertext, and not say that it was erased."""
    _change_opening(connection, _at_person(connection), sealed=b"")


def ciphertext_moved_to_another_entry(connection: Connection, _: OpenLog) -> None:
    """Let two entries exchange what they say of whom, salts and all but the commitments."""
    one, other = _at_person(connection), _at_person(connection, CHANGED)
    assert one[0] != other[0]
    _exchange(connection, one, other, ("sealed", "wrapped", "about", "record"))


def opening_moved_to_another_entry(connection: Connection, _: OpenLog) -> None:
    """Let two entries exchange an opening, commitments too."""
    one, other = _at_person(connection), _at_person(connection, CHANGED)
    _exchange(connection, one, other, ("sealed", "wrapped", "about", "record", "commitment"))


def openings_of_an_entry_exchanged(connection: Connection, _: OpenLog) -> None:
    """Let two openings of one entry change places, commitments too."""
    entry_id, position = _at_person(connection)
    columns = ("sealed", "wrapped", "about", "record", "commitment")
    _exchange(connection, (entry_id, position), (entry_id, position - 1), columns)


def _exchange(connection: Connection, one: tuple[str, int], other: tuple[str, int], columns: tuple[str, ...]) -> None:
    first, second = _opening(connection, one), _opening(connection, other)
    for place, row in ((one, second), (other, first)):
        _change_opening(connection, place, **{name: getattr(row, name) for name in columns})


def key_changed(connection: Connection, _: OpenLog) -> None:
    """Change an opening's wrapped key, so that it opens no more."""
    _change_opening(connection, _at_person(connection), wrapped=bytes(3) + b"\x01" + os.urandom(60))


def key_erased_alone(connection: Connection, _: OpenLog) -> None:
    """Erase an opening's key alone, so that it opens no more and was not erased either."""
    _change_opening(connection, _at_person(connection), wrapped=None)


def commitment_changed(connection: Connection, _: OpenLog) -> None:
    """Change an opening's commitment."""
    _change_opening(connection, _at_person(connection), commitment=os.urandom(32))


def index_exchanged(connection: Connection, log: OpenLog) -> None:
    """Lead a search for a person past an entry, by the index of another."""
    _change_opening(connection, _at_person(connection), about=log.openings.index_of("person:1000000007"))


def index_erased_alone(connection: Connection, _: OpenLog) -> None:
    """Lead a search for a person past an entry, by taking it out of the index."""
    _change_opening(connection, _at_person(connection), about=None)


def opening_deleted(connection: Connection, _: OpenLog) -> None:
    """Delete an opening, instead of erasing it."""
    entry_id, position = _at_person(connection)
    table = tables.opening
    connection.execute(table.delete().where(table.c.entry_id == entry_id, table.c.position == position))


def all_openings_deleted(connection: Connection, _: OpenLog) -> None:
    """Delete every opening of an entry."""
    entry_id, _position = _at_person(connection)
    connection.execute(tables.opening.delete().where(tables.opening.c.entry_id == entry_id))


def opening_added(connection: Connection, _: OpenLog) -> None:
    """Add an opening that nobody committed to."""
    ours = _openings(connection, CHANGED)
    assert ours
    row = dict(ours[-1]._mapping) | {"position": len(ours)}  # noqa: SLF001 -- SQLAlchemy's public name
    connection.execute(tables.opening.insert(), row)


FORGERIES: tuple[tuple[Callable[[Connection, OpenLog], None], str], ...] = (
    (changed, "changed"),
    (changed_and_its_hash, "changed"),
    (changed_and_the_head, "changed"),
    (changed_and_all_checkpoints_removed, "no checkpoint"),
    (changed_and_later_checkpoints_removed, "changed"),
    (the_first_changed, "changed"),
    (the_last_changed, "changed"),
    (hash_changed, "changed"),
    (entry_removed, "removed"),
    (leaf_removed, "removed"),
    (first_leaf_removed, "removed"),
    (removed_and_renumbered, "removed"),
    (truncated, "truncated"),
    (emptied, "truncated"),
    (swapped, "changed"),
    (neighbours_swapped, "reordered"),
    (entries_of_leaves_swapped, "changed"),
    (inserted, "changed"),
    (inserted_at_the_end, "changed"),
    (inserted_beside_the_tree, "removed"),
    (forked_and_signed_with_another_key, "forged"),
    (newest_checkpoint_signed_with_another_key, "forged"),
    (signed_for_another_log, "another-log"),
    (checkpoints_size_edited, "forged"),
    (checkpoints_root_edited, "forged"),
    (checkpoint_without_signature, "forged"),
    (checkpoint_of_a_shorter_log_under_a_greater_number, "forged"),
    (newest_checkpoints_row_renumbered, "forged"),
    (ciphertext_changed, "openings"),
    (ciphertext_cut_short, "openings"),
    (ciphertext_emptied, "openings"),
    (ciphertext_moved_to_another_entry, "openings"),
    (opening_moved_to_another_entry, "openings"),
    (openings_of_an_entry_exchanged, "openings"),
    (key_changed, "openings"),
    (key_erased_alone, "openings"),
    (commitment_changed, "openings"),
    (index_exchanged, "openings"),
    (index_erased_alone, "openings"),
    (opening_deleted, "openings"),
    (all_openings_deleted, "openings"),
    (opening_added, "openings"),
)


@pytest.mark.parametrize(("forgery", "kind"), FORGERIES, ids=[how.__name__ for how, _ in FORGERIES])
def test_a_forged_log_does_not_verify(copy: Copy, forgery: Callable[[Connection, OpenLog], None], kind: str) -> None:
    """Whoever writes into the store without the key is found out, and the kind of forgery is named."""
    copy.forge(forgery)
    with pytest.raises(logs.NOT_VERIFIED, match=kind):
        copy.open.verify()


NEEDS_NO_OPENINGS_KEY = (commitment_changed, opening_deleted, opening_moved_to_another_entry, opening_added)


@pytest.mark.parametrize("forgery", NEEDS_NO_OPENINGS_KEY, ids=lambda how: how.__name__)
def test_commitments_are_verified_without_the_keys_of_the_openings(
    copy: Copy, forgery: Callable[[Connection, OpenLog], None]
) -> None:
    """Whoever holds the public key alone still sees that an opening is gone, or its commitment another."""
    copy.forge(forgery)
    with pytest.raises(logs.NOT_VERIFIED, match="openings"):
        logs.verify(copy.open.store, copy.open.log)


def test_an_entry_that_waits_cannot_be_kept_out_of_the_tree(copy: Copy) -> None:
    """An entry that was taken out of the queue, and so would never be sealed, is missed."""
    entry = copy.open.log.append(_entry())

    def forget(connection: Connection, _: OpenLog) -> None:
        connection.execute(tables.pending.delete().where(tables.pending.c.entry_id == entry.id))

    copy.forge(forget)
    with pytest.raises(logs.NOT_VERIFIED, match="removed"):
        copy.open.verify()


def test_an_entry_taken_from_the_tree_is_missed(copy: Copy) -> None:
    """An entry whose leaf was cut off, with everything that was signed over it, is missed."""

    def cut(connection: Connection, log: OpenLog) -> None:
        keep = log.log.verifier.open(copy.kept[-2]).size
        ids = logs.order(connection)
        logs.renumber(connection, ids[:keep])
        connection.execute(tables.checkpoint.delete().where(tables.checkpoint.c.size > keep))

    copy.forge(cut)
    with pytest.raises(logs.NOT_VERIFIED, match="removed"):
        copy.open.verify()


# --- forgeries that the owner of the key can make, or that only what was kept can show ----------------------


def _truncate_cleanly(connection: Connection, log: OpenLog, note: str) -> None:
    """Set the whole store back to a checkpoint."""
    keep = log.log.verifier.open(note).size
    ids = logs.order(connection)
    for entry_id in ids[keep:]:
        logs.remove_entry(connection, entry_id)
    logs.renumber(connection, ids[:keep])
    logs.mark_head(connection, log.log)
    connection.execute(tables.checkpoint.delete().where(tables.checkpoint.c.size > keep))


def test_a_log_cut_back_to_an_old_checkpoint_shows_against_a_newer_one(copy: Copy) -> None:
    """A store that was set back to an earlier day is well formed; a checkpoint kept since shows the cut."""
    copy.forge(lambda c, log: _truncate_cleanly(c, log, copy.early))
    copy.open.verify()
    copy.open.verify(copy.early)
    with pytest.raises(logs.NOT_VERIFIED, match="truncated"):
        copy.open.verify(copy.kept[-1])


def test_a_log_cut_back_and_grown_again_shows_against_a_newer_one(copy: Copy) -> None:
    """A fork from an earlier day, grown past the kept checkpoint and signed by the same key, is shown."""
    copy.forge(lambda c, log: _truncate_cleanly(c, log, copy.early))
    kept = copy.open.log.verifier.open(copy.kept[-1]).size
    for _ in range(kept):
        copy.open.log.append(_entry())
    copy.open.seal()
    assert copy.open.verify(copy.early).size > kept
    with pytest.raises(logs.NOT_VERIFIED, match="forked"):
        copy.open.verify(copy.kept[-1])


def _rewritten(connection: Connection, log: OpenLog) -> None:
    logs.change_leaf(connection, logs.entry_at(connection, 1), outcome="nothing-happened")
    logs.rehash(connection)
    logs.mark_head(connection, log.log)
    logs.resign(connection, log.log.verifier.origin, log.key)


def test_a_log_rewritten_and_signed_anew_by_the_keys_holder_shows_against_a_kept_checkpoint(
    copy: Copy,
) -> None:
    """Whoever holds the key can make a well-formed history; only a checkpoint kept elsewhere shows it."""
    copy.forge(_rewritten)
    copy.open.verify()
    with pytest.raises(logs.NOT_VERIFIED, match="forked"):
        copy.open.verify(copy.early)


def test_a_log_swapped_and_signed_anew_shows_against_a_kept_checkpoint(copy: Copy) -> None:
    """The order of the past can't be changed either, under the eyes of who kept a checkpoint."""

    def swap(connection: Connection, log: OpenLog) -> None:
        logs.renumber(connection, _exchanged(connection, 1, 2))
        logs.mark_head(connection, log.log)
        logs.resign(connection, log.log.verifier.origin, log.key)

    copy.forge(swap)
    copy.open.verify()
    with pytest.raises(logs.NOT_VERIFIED, match="forked"):
        copy.open.verify(copy.early)


def test_a_forged_head_is_not_gone_on_with(copy: Copy) -> None:
    """A head changed in the store would lead the sealer to sign a root that the leaves do not give."""

    def forge(connection: Connection, _: OpenLog) -> None:
        head = connection.execute(sa.select(tables.tree_head)).one()
        frontier = os.urandom(32) + head.frontier[32:]
        connection.execute(tables.tree_head.update().values(frontier=frontier))

    copy.forge(forge)
    copy.open.log.append(_entry())
    with pytest.raises(Disagreement, match="nobody who holds"):
        copy.open.seal()
    with pytest.raises(logs.NOT_VERIFIED, match="changed"):
        copy.open.verify()


def test_a_checkpoint_of_another_key_is_no_measure(copy: Copy) -> None:
    """A checkpoint given for comparison must itself be this log's."""
    checkpoint = copy.open.log.verifier.open(copy.early)
    with pytest.raises(logs.NOT_VERIFIED, match="forged"):
        copy.open.verify(sign(checkpoint, [Ed25519PrivateKey.generate()]))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"{}",
        b'{"commitments":7,"id":"ITS OWN"}',
        b'{"commitments":[],"id":"ITS OWN"}',
        b'{"commitments":{"count":"2","root":"00"},"id":"ITS OWN"}',
        b'{"commitments":{"count":null,"root":"00"},"id":"ITS OWN"}',
        b'{"commitments":{"count":0.5,"root":"00"},"id":"ITS OWN"}',
        b'{"commitments":{"count":0},"id":"ITS OWN"}',
        b'{"id":"ITS OWN"}',
        b'{"number":123456789012345678901234567890}',
        b"[" * 100_000,
    ],
    ids=lambda content: content[:50].decode(errors="replace") or "empty",
)
def test_a_leaf_that_is_no_entry_is_named_so(copy: Copy, content: bytes) -> None:
    """Even the key's holder can't put into the tree what is no entry; the verifier says so, and no more."""

    def forge(connection: Connection, log: OpenLog) -> None:
        entry_id = logs.entry_at(connection, CHANGED)
        logs.write_leaf(connection, entry_id, content.replace(b"ITS OWN", entry_id.encode()))
        logs.rehash(connection)
        logs.mark_head(connection, log.log)
        logs.resign(connection, log.log.verifier.origin, log.key)

    copy.forge(forge)
    with pytest.raises(logs.NOT_VERIFIED, match="malformed"):
        copy.open.verify()


def test_a_leaf_that_is_not_canonical_is_named_so(copy: Copy) -> None:
    """The same JSON with a space more is not the leaf (RFC 8785), whoever signed it."""

    def forge(connection: Connection, log: OpenLog) -> None:
        entry_id = logs.entry_at(connection, CHANGED)
        content = rfc8785.dumps(logs.leaf_of(connection, entry_id))
        logs.write_leaf(connection, entry_id, content.replace(b":", b": ", 1))
        logs.rehash(connection)
        logs.mark_head(connection, log.log)
        logs.resign(connection, log.log.verifier.origin, log.key)

    copy.forge(forge)
    with pytest.raises(logs.NOT_VERIFIED, match="malformed"):
        copy.open.verify()


def test_a_leaf_that_names_another_entry_is_named_so(copy: Copy) -> None:
    """A leaf names its own entry, so that no receipt can be answered with another's."""

    def forge(connection: Connection, log: OpenLog) -> None:
        logs.change_leaf(connection, logs.entry_at(connection, CHANGED), id=logs.entry_at(connection, CHANGED + 1))
        logs.rehash(connection)
        logs.mark_head(connection, log.log)
        logs.resign(connection, log.log.verifier.origin, log.key)

    copy.forge(forge)
    with pytest.raises(logs.NOT_VERIFIED, match="malformed"):
        copy.open.verify()


@pytest.mark.parametrize("forgery", [ciphertext_changed, key_changed, changed], ids=lambda how: how.__name__)
def test_what_the_verifier_says_of_a_forgery_names_nobody(
    copy: Copy, forgery: Callable[[Connection, OpenLog], None]
) -> None:
    """The verifier's text holds neither officer nor what was asked, whatever was forged."""
    copy.forge(forgery)
    with pytest.raises(logs.NOT_VERIFIED) as raised:
        copy.open.verify()
    for secret in ("Officer", "district", CANARY):
        assert secret not in str(raised.value)
