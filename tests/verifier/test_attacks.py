"""Logs forged in an export, each named by its attack; the verifier names its kind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.cli.verify import unopened
from tests.verifier import writer
from tests.verifier.reading import verified, wrong
from tests.verifier.writer import Written, canonical, honest, rotated

CHANGED = 10  # a leaf in the middle, between the checkpoints of sizes 9 and 13
OTHER = Ed25519PrivateKey.generate()


def test_an_honest_log_verifies(tmp_path: Path) -> None:
    """A log that nobody touched verifies, and the newest checkpoint is given to keep."""
    log = honest()
    found = verified(log, tmp_path)
    assert (found.size, found.checkpoints, found.commitments, found.opened, found.erased) == (20, 5, 40, 40, 0)
    assert (found.origin, found.note, found.losses, found.unsealed) == (writer.ORIGIN, log.notes[-1][1], (), 0)


def test_an_honest_log_of_every_small_size_verifies(tmp_path: Path) -> None:
    """A log verifies at each size, with a checkpoint at each."""
    for size in range(1, 18):
        assert verified(honest(tuple(range(1, size + 1))), tmp_path / str(size)).size == size


def test_an_empty_log_verifies(tmp_path: Path) -> None:
    """A log that has only been signed is whole."""
    log = Written()
    log.sign()
    assert verified(log, tmp_path).size == 0


def test_without_its_openings_a_log_still_verifies(tmp_path: Path) -> None:
    """What is personal need not be exported, and the verifier says that it was not checked."""
    log = honest()
    log.openings.clear()
    found = verified(log, tmp_path)
    (tmp_path / "openings.ndjson").unlink()
    assert found.opened == 0
    assert ["40 of 40 openings are not in the export" in each for each in unopened(found)] == [True]


def test_erased_openings_are_counted(tmp_path: Path) -> None:
    """An opening that the exporter calls erased is counted; its commitment stands."""
    log = honest()
    gone = log.openings[7]
    log.openings[7] = {"entry": gone["entry"], "position": gone["position"], "erased": True}
    found = verified(log, tmp_path)
    assert (found.opened, found.erased, found.commitments) == (39, 1, 40)


def _edit(log: Written, index: int, **members: Any) -> None:
    log.leaves[index] = canonical({**json.loads(log.leaves[index]), **members})


def _move(log: Written, order: list[int]) -> None:
    log.leaves = [log.leaves[index] for index in order]
    log.commitments = [log.commitments[index] for index in order]


def changed(log: Written) -> None:
    """Change what a leaf says."""
    _edit(log, CHANGED, outcome="nothing-happened")


def the_first_changed(log: Written) -> None:
    """Change the first leaf."""
    _edit(log, 0, gateway="0.2.1")


def the_last_changed(log: Written) -> None:
    """Change the last leaf."""
    _edit(log, 19, outcome="nothing-happened")


def changed_to_what_is_no_leaf(log: Written) -> None:
    """Write garbage over a leaf, without the key."""
    log.leaves[CHANGED] = b"{"


def exchanged_for_another_entry(log: Written) -> None:
    """Put another entry in a leaf's place, commitments too."""
    other = Written()
    other.append()
    log.leaves[CHANGED], log.commitments[CHANGED] = other.leaves[0], other.commitments[0]


def removed(log: Written) -> None:
    """Remove a leaf, and let the later ones close the gap."""
    del log.leaves[CHANGED], log.commitments[CHANGED]


def removed_without_its_commitments(log: Written) -> None:
    """Remove a leaf from its file alone."""
    del log.leaves[CHANGED]


def the_first_removed(log: Written) -> None:
    """Remove the first leaf."""
    del log.leaves[0], log.commitments[0]


def one_of_the_newest_removed(log: Written) -> None:
    """Remove a leaf after the last checkpoint but one."""
    del log.leaves[15]


def reordered(log: Written) -> None:
    """Let two leaves under one checkpoint change places, commitments too."""
    _move(log, [*range(9), 11, 10, 9, *range(12, 20)])


def neighbours_reordered(log: Written) -> None:
    """Let two neighbours of one inner node change places."""
    _move(log, [*range(10), 11, 10, *range(12, 20)])


def reordered_without_their_commitments(log: Written) -> None:
    """Let two leaves change places in their file alone."""
    log.leaves[10], log.leaves[11] = log.leaves[11], log.leaves[10]


def moved_past_a_checkpoint(log: Written) -> None:
    """Let two leaves under different checkpoints change places."""
    _move(log, [*range(10), 14, 11, 12, 13, 10, *range(15, 20)])


def truncated(log: Written) -> None:
    """Cut the last leaves off, and leave what was signed."""
    del log.leaves[17:], log.commitments[17:]


def truncated_to_a_checkpoint(log: Written) -> None:
    """Cut the log back to an earlier checkpoint, and leave the later ones."""
    del log.leaves[13:], log.commitments[13:]


def emptied(log: Written) -> None:
    """Remove every leaf, and leave what was signed."""
    log.leaves.clear()
    log.commitments.clear()


def inserted(log: Written) -> None:
    """Insert an entry into the past, without the key."""
    other = Written()
    other.append(id="ab" * 16)
    log.leaves.insert(CHANGED, other.leaves[0])
    log.commitments.insert(CHANGED, other.commitments[0])


def appended_and_not_signed(log: Written) -> None:
    """Append an entry, without the key."""
    log.append()


def all_checkpoints_removed(log: Written) -> None:
    """Remove every checkpoint."""
    log.notes.clear()


def later_checkpoints_removed(log: Written) -> None:
    """Change a leaf, and remove the checkpoints that cover it."""
    changed(log)
    del log.notes[3:]


def signed_with_another_key(log: Written) -> None:
    """Sign everything with a key of one's own."""
    log.notes = [(size, writer.note(size, writer.root(log.hashes()[:size]), OTHER)) for size, _ in log.notes]


def newest_signed_with_another_key(log: Written) -> None:
    """Sign the newest checkpoint, of the very same tree, with a key of one's own."""
    log.notes[-1] = (20, writer.note(20, writer.root(log.hashes()), OTHER))


def changed_and_signed_with_another_key(log: Written) -> None:
    """Change a leaf, and sign what covers it with a key of one's own."""
    changed(log)
    hashes = log.hashes()
    log.notes[3:] = [(size, writer.note(size, writer.root(hashes[:size]), OTHER)) for size, _ in log.notes[3:]]


def checkpoint_of_another_log(log: Written) -> None:
    """Let a checkpoint that the same key signed for another log stand in."""
    log.notes[2] = (9, writer.note(9, writer.root(log.hashes()[:9]), log.key, origin="gateway.test/other"))


def checkpoints_size_edited(log: Written) -> None:
    """Edit the size in a checkpoint, and its line's."""
    log.notes[3] = (12, log.notes[3][1].replace("\n13\n", "\n12\n"))


def checkpoints_root_edited(log: Written) -> None:
    """Edit the root in a checkpoint."""
    text, _, signatures = log.notes[3][1].rpartition("\n\n")
    text = text.rpartition("\n")[0] + "\n" + writer.b64(bytes(32))
    log.notes[3] = (13, f"{text}\n\n{signatures}")


def first_checkpoints_root_edited(log: Written) -> None:
    """Edit the root in the first checkpoint."""
    log.notes[0] = (1, log.notes[0][1].replace(writer.b64(writer.root(log.hashes()[:1])), writer.b64(bytes(32))))


def checkpoint_without_signature(log: Written) -> None:
    """Take the signature from a checkpoint."""
    log.notes[3] = (13, log.notes[3][1].rpartition("\n\n")[0] + "\n")


def checkpoint_under_another_number(log: Written) -> None:
    """Let a checkpoint stand under another size."""
    log.notes[3] = (14, log.notes[3][1])


def checkpoints_out_of_order(log: Written) -> None:
    """Exchange two checkpoints."""
    log.notes[2], log.notes[3] = log.notes[3], log.notes[2]


def checkpoint_twice(log: Written) -> None:
    """Let a checkpoint stand twice."""
    log.notes.insert(3, log.notes[3])


def commitment_changed(log: Written) -> None:
    """Change a commitment."""
    log.commitments[CHANGED] = [bytes(32), bytes(32)]


def commitment_removed(log: Written) -> None:
    """Leave a commitment out."""
    committed = log.commitments[CHANGED]
    assert committed
    committed.pop()


def commitments_exchanged(log: Written) -> None:
    """Let two commitments of an entry change places."""
    committed = log.commitments[CHANGED]
    assert committed
    committed.reverse()


def commitments_called_lost(log: Written) -> None:
    """Call the commitments lost of a leaf that is there."""
    log.commitments[CHANGED] = None


def commitments_cut_off(log: Written) -> None:
    """Leave out the commitments of the last leaf."""
    log.commitments.pop()


def commitments_of_more_leaves(log: Written) -> None:
    """Add commitments of a leaf that is not there."""
    log.commitments.append([])


def opening_changed(log: Written) -> None:
    """Change what an opening says."""
    log.openings[7]["value"] = "Officer Else"


def openings_kind_changed(log: Written) -> None:
    """Change an opening's kind."""
    log.openings[7]["kind"] = "case"


def openings_salt_changed(log: Written) -> None:
    """Change an opening's salt."""
    log.openings[7]["salt"] = "00" * 16


def openings_salt_is_none(log: Written) -> None:
    """Write a salt that is none."""
    log.openings[7]["salt"] = "salt"


def opening_moved(log: Written) -> None:
    """Let an opening stand at the position of another."""
    log.openings[6]["position"], log.openings[7]["position"] = 1, 0


def opening_twice(log: Written) -> None:
    """Let an opening stand twice."""
    log.openings.insert(7, log.openings[7])


def opening_added(log: Written) -> None:
    """Add an opening that nobody committed to."""
    log.openings.insert(8, {**log.openings[7], "position": 2})


def opening_of_no_entry(log: Written) -> None:
    """Open an entry that is not in the log."""
    log.openings.append({**log.openings[7], "entry": "ab" * 16})


def openings_out_of_order(log: Written) -> None:
    """Let openings stand in another order than their leaves."""
    log.openings.reverse()


def lost_and_not_declared(log: Written) -> None:
    """Lose an entry, and say nothing."""
    log.lose(CHANGED)


FORGERIES: tuple[tuple[Callable[[Written], None], str], ...] = (
    (changed, "changed"),
    (the_first_changed, "changed"),
    (the_last_changed, "changed"),
    (changed_to_what_is_no_leaf, "changed"),
    (exchanged_for_another_entry, "changed"),
    (removed, "removed"),
    (removed_without_its_commitments, "removed"),
    (the_first_removed, "removed"),
    (one_of_the_newest_removed, "removed"),
    (reordered, "reordered"),
    (neighbours_reordered, "reordered"),
    (reordered_without_their_commitments, "reordered"),
    (moved_past_a_checkpoint, "changed"),
    (truncated, "truncated"),
    (truncated_to_a_checkpoint, "truncated"),
    (emptied, "truncated"),
    (inserted, "forged"),
    (appended_and_not_signed, "forged"),
    (all_checkpoints_removed, "forged"),
    (later_checkpoints_removed, "forged"),
    (signed_with_another_key, "forged"),
    (newest_signed_with_another_key, "forged"),
    (changed_and_signed_with_another_key, "forged"),
    (checkpoint_of_another_log, "another-log"),
    (checkpoints_size_edited, "forged"),
    (checkpoints_root_edited, "forged"),
    (first_checkpoints_root_edited, "forged"),
    (checkpoint_without_signature, "forged"),
    (checkpoint_under_another_number, "forged"),
    (checkpoints_out_of_order, "malformed"),
    (checkpoint_twice, "malformed"),
    (commitment_changed, "openings"),
    (commitment_removed, "openings"),
    (commitments_exchanged, "openings"),
    (commitments_called_lost, "malformed"),
    (commitments_cut_off, "openings"),
    (commitments_of_more_leaves, "openings"),
    (opening_changed, "openings"),
    (openings_kind_changed, "openings"),
    (openings_salt_changed, "openings"),
    (openings_salt_is_none, "openings"),
    (opening_moved, "openings"),
    (opening_twice, "openings"),
    (opening_added, "openings"),
    (opening_of_no_entry, "openings"),
    (openings_out_of_order, "openings"),
    (lost_and_not_declared, "removed"),
)


@pytest.mark.parametrize(("forgery", "kind"), FORGERIES, ids=[how.__name__ for how, _ in FORGERIES])
def test_a_forged_log_does_not_verify(forgery: Callable[[Written], None], kind: str, tmp_path: Path) -> None:
    """Whoever changes an export without the key is found out, the kind of forgery is named, and no officer is."""
    log = honest()
    forgery(log)
    said = wrong(log, tmp_path)
    assert said.startswith(f"{kind}: "), said
    assert "Officer" not in said


def test_the_first_thing_wrong_is_placed(tmp_path: Path) -> None:
    """What is said of a changed leaf names the leaves among which it is."""
    log = honest()
    changed(log)
    assert "leaves 9 to 12 " in wrong(log, tmp_path)


def test_reordered_among_very_many(tmp_path: Path) -> None:
    """Among more leaves than are remembered since a checkpoint, another order can't be told from a change."""
    for count, kind in ((4096, "reordered"), (4097, "changed")):
        log = honest(())
        log.openings.clear()
        log.leaves += [canonical(writer.leaf(number)) for number in range(1, count)]
        log.commitments += [[] for _ in range(1, count)]
        log.sign()
        log.leaves[70], log.leaves[71] = log.leaves[71], log.leaves[70]
        assert wrong(log, tmp_path).startswith(f"{kind}: ")


def test_promise_keys_without_number_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many promise keys that memory would grow with them are refused."""
    monkeypatch.setattr("gateway.verifier.keys._MAX_KEYS", 3)
    log = honest((1, 4))
    key = {"use": "promise", "number": 2, "public": writer.b64(writer.public(OTHER))}
    log.append(action="key-rotate", keys=[{**key, "id": str(number)} for number in range(3)])
    log.sign()
    assert wrong(log, tmp_path).startswith("malformed: leaf 4 names a promise key too many")


def test_duplicate_id(tmp_path: Path) -> None:
    """Even whoever holds the key can't let two entries have one id."""
    log = honest()
    first = json.loads(log.leaves[3])["id"]
    log.openings.clear()
    _edit(log, 15, id=first)
    log.sign_again()
    assert wrong(log, tmp_path) == f"malformed: two entries have the id {first}"


def test_duplicate_id_among_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are compared across the runs that are sorted apart."""
    monkeypatch.setattr("gateway.verifier.ids._RUN", 2)
    log = honest()
    assert verified(log, tmp_path / "honest").size == 20
    log.openings.clear()
    _edit(log, 19, id=json.loads(log.leaves[0])["id"])
    log.sign_again()
    assert wrong(log, tmp_path / "forged").startswith("malformed: two entries have the id ")


def test_an_entry_that_waits_and_is_in_the_tree(tmp_path: Path) -> None:
    """An entry can't wait for its place and have it."""
    log = honest()
    log.unsealed.append(log.leaves[4])
    assert wrong(log, tmp_path).startswith("malformed: two entries have the id ")


def test_entries_that_wait_are_counted(tmp_path: Path) -> None:
    """Entries that are not in the tree yet are said to wait, and nothing is wrong with that."""
    log, later = honest(), honest((1, 23))
    log.unsealed += later.leaves[20:]
    found = verified(log, tmp_path)
    assert found.unsealed == 3
    assert any("3 entries wait" in each for each in found.unchecked)


def test_an_entry_that_waits_and_is_no_leaf(tmp_path: Path) -> None:
    """What waits must be a leaf as well."""
    log = honest()
    log.unsealed.append(b"{}")
    assert wrong(log, tmp_path).startswith("malformed: ")


# --- keys -----------------------------------------------------------------------------------------------------


def _with_rotation() -> tuple[Written, Ed25519PrivateKey]:
    log, second = honest((1, 4)), Ed25519PrivateKey.generate()
    log.append(**rotated(second, 2))
    log.append()
    log.sign(log.key, second)
    log.append()
    log.sign(second)
    return log, second


def test_a_rotation_that_is_recorded_is_followed(tmp_path: Path) -> None:
    """Whoever holds the first key learns the second from the log; whoever holds the second can look back."""
    log, second = _with_rotation()
    assert verified(log, tmp_path / "first").size == 7
    assert verified(log, tmp_path / "second", keys=(second,)).size == 7
    assert verified(log, tmp_path / "both", keys=(second, log.key)).size == 7


def test_two_rotations_are_followed(tmp_path: Path) -> None:
    """Each successor is endorsed by the key before it."""
    log, second = _with_rotation()
    third = Ed25519PrivateKey.generate()
    log.append(**rotated(third, 3))
    log.sign(second, third)
    log.append()
    log.sign(third)
    assert verified(log, tmp_path).size == 9


def test_rotation_not_recorded(tmp_path: Path) -> None:
    """A new key that no leaf names does not sign for the log, even beside the old one before."""
    log, second = honest((1, 4)), Ed25519PrivateKey.generate()
    log.append()
    log.sign(log.key, second)
    log.append()
    log.sign(second)
    assert wrong(log, tmp_path).startswith("forged: the checkpoint of size 6 ")


def test_rotation_forged(tmp_path: Path) -> None:
    """A rotation that the old key did not sign for gives the new key nothing."""
    log, thief = honest((1, 4)), Ed25519PrivateKey.generate()
    log.append(**rotated(thief, 2))
    log.sign(thief)
    assert wrong(log, tmp_path).startswith("forged: the checkpoint of size 5 ")


def test_rotation_refused_gives_no_key(tmp_path: Path) -> None:
    """An entry of a rotation that was not permitted rotates nothing."""
    log, thief = honest((1, 4)), Ed25519PrivateKey.generate()
    log.append(**rotated(thief, 2), decision="refuse")
    log.sign(log.key, thief)
    log.append()
    assert log.sign(thief)
    assert wrong(log, tmp_path).startswith("forged: the checkpoint of size 6 ")


def test_rotation_signed_by_the_old_key_alone(tmp_path: Path) -> None:
    """A gateway that has not read the new key yet may go on, until the new key has signed."""
    log, second = honest((1, 4)), Ed25519PrivateKey.generate()
    log.append(**rotated(second, 2))
    log.sign()
    log.append()
    log.sign()
    assert verified(log, tmp_path / "going on").size == 6
    log.append()
    log.sign(second)
    assert verified(log, tmp_path / "taken over").size == 7
    log.append()
    log.sign()
    assert wrong(log, tmp_path / "gone back").startswith("forged: the checkpoint of size 8 ")


def test_of_two_rotations_at_once_the_first_may_sign_before_the_second(tmp_path: Path) -> None:
    """Keys that follow each other may each sign, in their order."""
    log, second, third = honest((1, 4)), Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    log.append(**rotated(second, 2))
    log.append(**rotated(third, 3))
    log.sign(log.key, second)
    log.append()
    log.sign(third)
    assert verified(log, tmp_path / "honest").size == 7
    log.append()
    log.sign(second)
    assert wrong(log, tmp_path / "gone back").startswith("forged: the checkpoint of size 8 ")


def test_a_key_that_was_rotated_out_signs_nothing_more(tmp_path: Path) -> None:
    """Whoever stole the old key can't go on with it."""
    log, _ = _with_rotation()
    log.append()
    log.sign()
    assert wrong(log, tmp_path).startswith("forged: the checkpoint of size 8 ")


def test_a_rotation_that_was_lost_is_vouched_for_by_the_auditor(tmp_path: Path) -> None:
    """Where the leaf of a rotation is lost, the new key follows for whoever trusts it, and for nobody else."""
    log, second = _with_rotation()
    log.lose(4)
    log.notes.pop(2)
    log.append(action="log-loss", first=4, last=4)
    log.sign(second)
    assert verified(log, tmp_path / "second", keys=(log.key, second)).size == 8
    assert wrong(log, tmp_path / "first").startswith("forged: the checkpoint of size 7 ")
    log.append()
    log.sign()
    assert wrong(log, tmp_path / "gone back", keys=(log.key, second)).startswith("forged: the checkpoint of size 9 ")


def test_a_key_rotated_in_before_a_thief_named_the_true_one(tmp_path: Path) -> None:
    """To name the true key among one's own, without its signature, makes nobody trust the log."""
    true, first, third = (Ed25519PrivateKey.generate() for _ in range(3))
    log = Written(key=first)
    log.append(**writer.keys_created(log))
    log.append(**rotated(true, 2))
    log.append(**rotated(third, 3))
    log.sign(first, third)
    assert wrong(log, tmp_path, keys=(true,)).startswith("another-log: ")


def _named(**members: Any) -> dict[str, Any]:
    facts = rotated(OTHER, 2)
    return {**facts, "keys": [{**facts["keys"][0], **members}]}


@pytest.mark.parametrize(
    "facts",
    [
        {"action": "key-rotate"},
        rotated(OTHER, 1),
        rotated(OTHER, 2, "gateway.test/other"),
        _named(public=None),
        _named(public="nothing"),
        _named(public="a+b+AAAA"),
        _named(public=writer.vkey(OTHER, kind=4)),
        _named(number="2"),
        _named(use="promise"),
        _named(use="promise", public="AAAA"),
        {"action": "keys-create", "keys": 7},
        {"action": "log-loss"},
        {"action": "log-loss", "first": -1, "last": 3},
    ],
    ids=map(str, range(13)),
)
def test_facts_of_keys_and_losses_that_are_none(facts: dict[str, Any], tmp_path: Path) -> None:
    """Even the key's holder can't record a key or a loss that is none."""
    log = honest((1, 4))
    log.append(**facts)
    log.sign()
    assert wrong(log, tmp_path).startswith("malformed: leaf 4 ")


def test_another_log_under_the_same_name(tmp_path: Path) -> None:
    """A log of the same name, whole and signed by keys of its own, is not the one whose key the auditor holds."""
    assert wrong(honest(), tmp_path, keys=(OTHER,)).startswith("another-log: ")


def test_a_log_of_another_name(tmp_path: Path) -> None:
    """An export of a log of another name is not that whose key is given."""
    log = honest()
    assert wrong(log, tmp_path, origin="gateway.test/other").startswith("another-log: ")


def test_the_same_key_under_another_name(tmp_path: Path) -> None:
    """A whole log that the same key signed under another name is another log."""
    log = Written(origin="gateway.test/other")
    log.append()
    log.sign()
    assert verified(log, tmp_path / "itself").size == 1
    assert wrong(log, tmp_path / "ours", origin=writer.ORIGIN).startswith("another-log: ")


# --- losses ---------------------------------------------------------------------------------------------------


def test_a_declared_loss_is_told(tmp_path: Path) -> None:
    """Lost entries whose loss the log declares are accepted, and told."""
    log = honest()
    log.lose(*range(14, 20))
    by = log.append(action="log-loss", first=14, last=19)
    log.sign()
    found = verified(log, tmp_path)
    assert [(loss.first, loss.last, loss.declared_by) for loss in found.losses] == [(14, 19, by)]


def test_a_loss_of_what_declared_a_loss(tmp_path: Path) -> None:
    """A second restore may lose the first declaration with it; the second declares them all."""
    log = honest()
    log.lose(*range(14, 20))
    log.append(action="log-loss", first=14, last=19)
    log.sign()
    log.lose(20)
    log.append(action="log-loss", first=12, last=20)
    log.lose(12, 13)
    log.sign()
    assert [(loss.first, loss.last) for loss in verified(log, tmp_path).losses] == [(12, 20)]


def test_two_declarations_cover_one_loss(tmp_path: Path) -> None:
    """Adjoining losses that were declared apart are declared."""
    log = honest()
    log.lose(*range(10, 16))
    log.append(action="log-loss", first=13, last=15)
    log.append(action="log-loss", first=10, last=13)
    log.sign()
    log.sign_again()
    assert len(verified(log, tmp_path).losses) == 2


@pytest.mark.parametrize(("first", "last"), [(13, 18), (15, 19), (13, 19), (14, 20), (3, 4), (19, 14), (30, 40)])
def test_loss_declared_for_another_range(first: int, last: int, tmp_path: Path) -> None:
    """A declaration must name what is lost, all of it, and no more."""
    log = honest()
    log.lose(*range(14, 20))
    log.append(action="log-loss", first=first, last=last)
    log.sign()
    assert wrong(log, tmp_path).startswith("removed: ")


def test_loss_declared_before_it_happened(tmp_path: Path) -> None:
    """A loss is declared by a later leaf: nobody gets leave in advance."""
    log = honest((1, 4))
    log.append(action="log-loss", first=6, last=7)
    for _ in range(4):
        log.append()
    log.sign()
    log.lose(6, 7)
    assert wrong(log, tmp_path).startswith("removed: ")


def test_a_loss_with_another_hash(tmp_path: Path) -> None:
    """Of a lost leaf the hash is still what was signed."""
    log = honest()
    log.lose(14)
    log.leaves[14] = canonical({"lost": "ab" * 32})
    log.append(action="log-loss", first=14, last=14)
    log.sign()
    assert wrong(log, tmp_path).startswith("changed: ")


def test_a_lost_leaf_with_commitments(tmp_path: Path) -> None:
    """A lost leaf has no commitments that anything vouches for."""
    log = honest()
    log.lose(14)
    log.append(action="log-loss", first=14, last=14)
    log.commitments[14] = []
    log.sign()
    assert wrong(log, tmp_path).startswith("openings: ")


@pytest.mark.parametrize("declared", [False, True])
def test_losses_without_number_are_refused(declared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """So many ranges or declarations that memory would grow with them are refused."""
    monkeypatch.setattr("gateway.verifier.losses.MAX_LOSSES", 3)
    log = honest()
    log.lose(*((2,) if declared else (2, 4, 6, 8)))
    for _ in range(4):
        log.append(action="log-loss", first=2, last=2)
    log.sign()
    assert wrong(log, tmp_path).startswith("removed: more than 3 ")
