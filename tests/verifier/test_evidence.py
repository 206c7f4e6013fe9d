"""What an auditor holds against a log: earlier checkpoints, witnesses, promises, receipts."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.verifier.evidence import Evidence
from gateway.verifier.note import read_witness_key
from tests.verifier import writer
from tests.verifier.reading import verified, wrong
from tests.verifier.writer import Written, canonical, cosigned, honest, rotated, vkey

STRANGER = Ed25519PrivateKey.generate()
WITNESS = Ed25519PrivateKey.generate()
NAMED = (read_witness_key(vkey(WITNESS, "witness.test/one", 4)),)


def _rewritten(log: Written, index: int = 2) -> None:
    """Change a leaf, and sign everything anew with the log's own key."""
    log.leaves[index] = canonical({**json.loads(log.leaves[index]), "outcome": "nothing-happened"})
    log.sign_again()


# --- checkpoints ----------------------------------------------------------------------------------------------


def test_a_log_continues_every_checkpoint_that_was_kept(tmp_path: Path) -> None:
    """All that were ever given out are the log's, and what remains open is said."""
    log = honest()
    for size, note in log.notes:
        unchecked = verified(log, tmp_path, Evidence(checkpoints=(note,))).unchecked
        assert any(f"covers {size} leaves" in each for each in unchecked) == (size < 20)
    assert verified(log, tmp_path, Evidence(checkpoints=tuple(note for _, note in log.notes))).size == 20


def test_a_checkpoint_between_those_that_were_exported(tmp_path: Path) -> None:
    """A checkpoint need not be among those of the export."""
    log = honest()
    log.notes.pop(2)
    kept = writer.note(9, writer.root(log.hashes()[:9]), log.key)
    assert verified(log, tmp_path, Evidence(checkpoints=(kept,))).checkpoints == 4


def test_without_evidence_a_rewritten_log_verifies_and_that_is_said(tmp_path: Path) -> None:
    """Whoever holds the key can write a whole log anew; the verifier says that it can't tell."""
    log = honest()
    _rewritten(log)
    unchecked = verified(log, tmp_path).unchecked
    assert any("rewritten and signed anew" in each for each in unchecked)


def test_forked_rewritten_by_the_keys_holder(tmp_path: Path) -> None:
    """A log rewritten and signed anew contradicts a checkpoint that was kept."""
    log = honest()
    kept = log.notes[1][1]
    _rewritten(log)
    assert wrong(log, tmp_path, Evidence(checkpoints=(kept,))).startswith("forked: ")


def test_forked_reordered_by_the_keys_holder(tmp_path: Path) -> None:
    """The order of the past can't be changed either."""
    log = honest()
    kept = log.notes[1][1]
    log.leaves[1:3] = reversed(log.leaves[1:3])
    log.commitments[1:3] = reversed(log.commitments[1:3])
    log.openings.clear()
    log.sign_again()
    assert wrong(log, tmp_path, Evidence(checkpoints=(kept,))).startswith("forked: ")


def test_forked_and_grown_past_what_was_kept(tmp_path: Path) -> None:
    """A log set back to an earlier day and grown again along another way contradicts what was kept since."""
    log = honest()
    fork = Written(key=log.key, promise_key=log.promise_key, leaves=log.leaves[:4], commitments=log.commitments[:4])
    fork.notes = log.notes[:2]
    while len(fork.leaves) < 25:
        fork.append(outcome="not-found")
    fork.sign()
    fork.openings.clear()
    assert verified(fork, tmp_path, Evidence(checkpoints=(log.notes[1][1],))).size == 25
    assert wrong(fork, tmp_path, Evidence(checkpoints=(log.notes[-1][1],))).startswith("forked: ")


def test_two_heads_of_one_size(tmp_path: Path) -> None:
    """Of two checkpoints of one size with different roots, one convicts the log."""
    log = honest()
    other = writer.note(9, bytes(32), log.key)
    evidence = Evidence(checkpoints=(log.notes[2][1], other))
    assert wrong(log, tmp_path, evidence).startswith("forked: ")


def test_truncated_by_the_keys_holder(tmp_path: Path) -> None:
    """A log set back to an earlier day is whole; a checkpoint kept since shows the cut."""
    log = honest()
    kept = log.notes[-1][1]
    del log.leaves[13:], log.commitments[13:], log.notes[4:], log.openings[26:]
    assert verified(log, tmp_path / "cut").size == 13
    assert wrong(log, tmp_path, Evidence(checkpoints=(kept,))).startswith("truncated: ")


def test_a_checkpoint_signed_by_another_key_is_no_evidence(tmp_path: Path) -> None:
    """What is held against the log must be the log's."""
    log = honest()
    root = writer.root(log.hashes()[:9])
    for size in (9, 5, 40):
        evidence = Evidence(checkpoints=(writer.note(size, root, STRANGER),))
        assert wrong(log, tmp_path, evidence).startswith("forged: ")


def test_a_checkpoint_of_another_log_is_no_evidence(tmp_path: Path) -> None:
    """A checkpoint of another name says nothing of this log."""
    log = honest()
    evidence = Evidence(checkpoints=(writer.note(9, bytes(32), log.key, origin="gateway.test/other"),))
    assert wrong(log, tmp_path, evidence).startswith("another-log: ")


def test_a_checkpoint_of_before_a_rotation_is_evidence_after_it(tmp_path: Path) -> None:
    """What the first key signed counts at its size; what it signed after it went out does not."""
    log, second = honest((1, 4)), Ed25519PrivateKey.generate()
    kept = log.notes[1][1]
    log.append(**rotated(second, 2))
    both = log.sign(log.key, second)
    log.append()
    log.sign(second)
    root = writer.root(log.hashes())
    assert verified(log, tmp_path, Evidence(checkpoints=(kept, both, log.notes[-1][1]))).size == 6
    old_alone = Evidence(checkpoints=(writer.note(6, root, log.key),))
    assert wrong(log, tmp_path, old_alone).startswith("forged: ")


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        "nothing",
        "a\nb\nc\n",
        "{origin}\n9\n{root}\n\n",
        "{origin}\n9\n{root}\n\n\u2014 {origin} {signature}",
        "{origin}\n9\n{root}\nextension\n\n\u2014 {origin} {signature}\n",
        "{origin}\n9\n\n\u2014 {origin} {signature}\n",
        "{origin}\n09\n{root}\n\n\u2014 {origin} {signature}\n",
        "{origin}\n-9\n{root}\n\n\u2014 {origin} {signature}\n",
        "{origin}\n\u0669\n{root}\n\n\u2014 {origin} {signature}\n",
        "{origin}\n9999999999999999999\n{root}\n\n\u2014 {origin} {signature}\n",
        "{origin}\n9\nAAAA\n\n\u2014 {origin} {signature}\n",
        "{origin}\n9\n{root}=\n\n\u2014 {origin} {signature}\n",
        "{origin}\n9\n{root}\n\n- {origin} {signature}\n",
        "{origin}\n9\n{root}\n\n\u2014 {origin}{signature}\n",
        "{origin}\n9\n{root}\n\n\u2014  {signature}\n",
        "{origin}\n9\n{root}\n\n\u2014 {origin} AAAA\n",
        "{origin}\n9\n{root}\n\n\u2014 {origin} {signature} \n",
        "{origin}\n9\n{root}\n\n\u2014 {origin} !!!!\n",
        "{origin}\n9\n{root}\n\n\u2014 {origin} \u00e9\n",
        "{origin}\n9\n{root}\r\n\n\u2014 {origin} {signature}\n",
        "{origin}\n9\n{root}\n\n" + 101 * "\u2014 {origin} {signature}\n",
        "x" * 200_000,
        "{origin}\n9\n{root}\n\n\u2014 {origin} {cut}\n",
        "{origin}\n9\n{root}\n\n\u2014 \x9b2Jname {signature}\n",
    ],
    ids=map(str, range(26)),
)
def test_a_checkpoint_that_is_none(note: str, tmp_path: Path) -> None:
    """Whatever is given as a checkpoint, the answer is that it is none."""
    log = honest()
    text, _, block = log.notes[2][1].rpartition("\n\n")
    signature = block.rstrip("\n").rpartition(" ")[2]
    cut = writer.b64(writer.key_id(log.key, writer.ORIGIN, 1) + b"short")
    given = note.format(origin=writer.ORIGIN, root=text.rpartition("\n")[2], signature=signature, cut=cut)
    assert wrong(log, tmp_path, Evidence(checkpoints=(given,))).split(": ")[0] in {"malformed", "forged", "another-log"}


# --- witnesses ------------------------------------------------------------------------------------------------


def test_a_witness_who_is_named_counts(tmp_path: Path) -> None:
    """A cosignature of a witness whom the auditor named is told, with its time; of two the greater size."""
    log = honest()
    kept = tuple(cosigned(log.notes[at][1], WITNESS, "witness.test/one") for at in (3, 1))
    found = verified(log, tmp_path, Evidence(checkpoints=kept, witnesses=NAMED))
    assert [remark for remark in found.remarks if "witness" in remark] == [found.remarks[-1]]
    assert "witness.test/one saw the log's first 13 leaves" in found.remarks[-1]
    assert "continues the checkpoint given of 13 leaves" in "".join(found.remarks)
    assert not any("witness" in each for each in found.unchecked)


def test_a_cosignature_in_the_export_counts(tmp_path: Path) -> None:
    """Cosignatures may stand on the exported checkpoints."""
    log = honest()
    log.notes[-1] = (20, cosigned(log.notes[-1][1], WITNESS, "witness.test/one"))
    assert verified(log, tmp_path, Evidence(witnesses=NAMED)).remarks


def test_cosignature_by_a_stranger(tmp_path: Path) -> None:
    """A cosignature of someone whom the auditor did not name is no witness's, whatever name it bears."""
    log = honest()
    for name in ("witness.test/one", "witness.test/other"):
        evidence = Evidence(checkpoints=(cosigned(log.notes[3][1], STRANGER, name),), witnesses=NAMED)
        found = verified(log, tmp_path, evidence)
        assert not any("witness" in remark for remark in found.remarks)
        assert any("no cosignature of a witness whom you named" in each for each in found.unchecked)


def test_one_witness_of_two(tmp_path: Path) -> None:
    """Of two witnesses who were named, the one without a cosignature is told."""
    log = honest()
    other = read_witness_key(vkey(STRANGER, "witness.test/two", 4))
    kept = cosigned(log.notes[3][1], WITNESS, "witness.test/one")
    found = verified(log, tmp_path, Evidence(checkpoints=(kept,), witnesses=(*NAMED, other)))
    assert any("no cosignature of the witness witness.test/two" in each for each in found.unchecked)


@pytest.mark.parametrize("how", ["other text", "other time", "cut", "far time"])
def test_a_cosignature_that_is_wrong(how: str, tmp_path: Path) -> None:
    """A line in a witness's name and key id that the witness did not sign is a forgery."""
    log = honest()
    note = log.notes[3][1]
    if how == "other text":
        line = cosigned(log.notes[2][1], WITNESS, "witness.test/one").splitlines()[-1]
    elif how == "far time":
        line = cosigned(note, WITNESS, "witness.test/one", 2**63).splitlines()[-1]
    else:
        line = cosigned(note, WITNESS, "witness.test/one").splitlines()[-1]
        head, _, encoded = line.rpartition(" ")
        content = bytearray(base64.b64decode(encoded))
        content[11] ^= 1
        line = f"{head} {writer.b64(bytes(content[:40] if how == 'cut' else content))}"
    evidence = Evidence(checkpoints=(note + line + "\n",), witnesses=NAMED)
    assert wrong(log, tmp_path, evidence).startswith("forged: the cosignature of witness.test/one ")


# --- promises -------------------------------------------------------------------------------------------------


def test_a_promise_that_was_kept(tmp_path: Path) -> None:
    """A promise whose entry is in the tree is kept, whenever it was due."""
    log = honest()
    evidence = Evidence(promises=(log.promise(7), log.promise(19), log.promise(7)))
    found = verified(log, tmp_path, evidence, now=datetime(2100, 1, 1, tzinfo=UTC))
    assert found.remarks == ("3 of the promises given are kept: the entries are in the tree as they were promised",)
    assert not any("promise" in each for each in found.unchecked)


def test_promise_without_entry(tmp_path: Path) -> None:
    """A promise convicts a log that left its entry out, although it is whole."""
    log = honest()
    log.append()
    promise = log.promise(20)
    del log.leaves[20], log.commitments[20], log.openings[40:]
    said = wrong(log, tmp_path, Evidence(promises=(promise,)))
    assert said.startswith("removed: the promised entry ")
    assert "export the log anew" not in said


def test_promise_later_than_the_export(tmp_path: Path) -> None:
    """Where the promise may be newer than the export, that is said."""
    log = honest()
    log.append()
    promise = log.promise(20, iat=1_900_000_000, by=1_900_086_400)
    del log.leaves[20], log.commitments[20], log.openings[40:]
    assert "export the log anew" in wrong(log, tmp_path, Evidence(promises=(promise,)))


def test_promise_with_another_leaf_hash(tmp_path: Path) -> None:
    """A promise convicts a log that wrote the entry anew."""
    log = honest()
    promise = log.promise(7)
    _rewritten(log, 7)
    assert wrong(log, tmp_path, Evidence(promises=(promise,))).startswith("promise: the entry ")


def test_promise_of_an_entry_that_waits(tmp_path: Path) -> None:
    """An entry may wait until its promise is due, and no longer; what waits must be what was promised."""
    log, later = honest(), honest((1, 21))
    later.promise_key = log.promise_key
    log.unsealed.append(later.leaves[20])
    evidence = Evidence(promises=(later.promise(20),))
    assert "waits for its place in the tree, until 2026-11-19T11:06:40Z" in "".join(
        verified(log, tmp_path, evidence, now=datetime(2026, 11, 19, 11, tzinfo=UTC)).remarks
    )
    assert wrong(log, tmp_path, evidence).startswith("promise: the entry ")
    other = Evidence(promises=(later.promise(20, leaf="ab" * 32),))
    assert wrong(log, tmp_path, other).startswith("promise: the entry ")


def test_promise_of_an_entry_whose_loss_is_declared(tmp_path: Path) -> None:
    """The promised leaf is in the tree, and its entry is among the lost: that is told."""
    log = honest()
    promise = log.promise(14)
    log.lose(14)
    log.append(action="log-loss", first=14, last=14)
    log.sign()
    assert "among those whose loss is declared" in "".join(
        verified(log, tmp_path, Evidence(promises=(promise,))).remarks
    )


def test_promise_by_another_key(tmp_path: Path) -> None:
    """Only a promise key that the log named promises for it: anyone could accuse it otherwise."""
    log = honest()
    log.promise_key = STRANGER
    assert wrong(log, tmp_path, Evidence(promises=(log.promise(7),))).startswith("forged: the promise ")


def test_promise_by_a_key_that_was_rotated_in(tmp_path: Path) -> None:
    """A promise key that a rotation names promises as the first does."""
    log, second = honest(), Ed25519PrivateKey.generate()
    first = log.promise(7)
    named = {"use": "promise", "number": 2, "id": "promise-1", "public": writer.b64(writer.public(second))}
    log.append(action="key-rotate", keys=[{**named, "id": "promise-2"}])
    log.sign()
    content = {"iss": log.origin, "iat": 1, "by": 2, "entry": json.loads(log.leaves[8])["id"]}
    header = {"alg": "Ed25519", "typ": "log-promise+jwt", "kid": "promise-2"}
    promise = writer.compact(second, header, {**content, "leaf": writer.hashed(log.leaves[8]).hex()})
    assert verified(log, tmp_path, Evidence(promises=(first, promise))).size == 21


def test_promise_dated_after_its_key_was_retired(tmp_path: Path) -> None:
    """Whoever has stolen a key that was given up accuses nobody with it; what it promised before still counts."""
    log = honest()
    named = {"use": "promise", "number": 1, "id": "promise-1", "public": None}
    before = log.promise(7)
    log.append(action="key-retire", keys=[named])
    log.sign()
    retired = datetime.fromisoformat(json.loads(log.leaves[-1])["time"])
    assert verified(log, tmp_path, Evidence(promises=(before,))).size == 21
    later = int(retired.timestamp()) + 1
    stolen = log.promise(7, entry="f" * 32, iat=later, by=later + 1)
    assert wrong(log, tmp_path, Evidence(promises=(stolen,))).startswith("forged: the promise for the entry ffff")
    honestly = log.promise(7, entry="f" * 32, iat=later - 2, by=later + 1)
    assert wrong(log, tmp_path, Evidence(promises=(honestly,))).startswith("removed: ")


def test_promise_of_another_log(tmp_path: Path) -> None:
    """A promise of a log of another name says nothing of this one."""
    log = honest()
    evidence = Evidence(promises=(log.promise(7, iss="gateway.test/other"),))
    assert wrong(log, tmp_path, evidence).startswith("another-log: ")


HEADER = {"alg": "Ed25519", "typ": "log-promise+jwt", "kid": "promise-1"}


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ({**HEADER, "alg": "none"}, {}),
        ({**HEADER, "typ": "jwt"}, {}),
        ({**HEADER, "crit": ["x"]}, {}),
        ({**HEADER, "kid": 7}, {}),
        ([], {}),
        (HEADER, {"entry": "no id"}),
        (HEADER, {"leaf": "AB" * 32}),
        (HEADER, {"iat": -1}),
        (HEADER, {"by": 10**15}),
        (HEADER, {"by": 0.5}),
        (HEADER, {"by": None}),
        (HEADER, {"extra": 1}),
    ],
    ids=map(str, range(12)),
)
def test_a_promise_of_another_form(header: object, payload: dict[str, Any], tmp_path: Path) -> None:
    """A promise has one header and one payload, whoever signed others."""
    log = honest()
    content = {"iss": log.origin, "entry": "0" * 31 + "7", "leaf": "ab" * 32, "iat": 1, "by": 2, **payload}
    promise = writer.compact(log.promise_key, header, content)
    assert wrong(log, tmp_path, Evidence(promises=(promise,))).startswith("malformed: ")


@pytest.mark.parametrize(
    "promise",
    ["", "..", "a.b", "a.b.c.d", "!.!.!", "é.é.é", "e30.e30.e30", "x" * 10_000, "W1tb.W1tb.AA==", "e31.e30.AA"],
    ids=str,
)
def test_a_promise_that_is_none(promise: str, tmp_path: Path) -> None:
    """Whatever is given as a promise, the answer is that it is none."""
    assert wrong(honest(), tmp_path, Evidence(promises=(promise,))).startswith("malformed: ")


def test_a_promise_whose_signature_was_cut(tmp_path: Path) -> None:
    """A signature of another length is none."""
    log = honest()
    head, _, signature = log.promise(7).rpartition(".")
    for given in (f"{head}.{signature[:8]}", f"{head}."):
        assert wrong(log, tmp_path, Evidence(promises=(given,))).startswith("forged: ")


# --- receipts -------------------------------------------------------------------------------------------------


def test_a_receipt_proves_its_leaf(tmp_path: Path) -> None:
    """The receipt of every leaf under every checkpoint verifies, with extra data and without."""
    log = honest()
    receipts = tuple(log.receipt(index, which) for which, (size, _) in enumerate(log.notes) for index in range(size))
    extra = log.receipt(3).replace("\nindex", "\nextra AAAA\nindex")
    found = verified(log, tmp_path, Evidence(receipts=(*receipts, extra)))
    assert not any("checkpoint" in each for each in found.unchecked)


def test_receipt_of_another_tree(tmp_path: Path) -> None:
    """A receipt under a tree that the log signed and no longer shows convicts it of a fork."""
    log = honest()
    receipt = log.receipt(7)
    _rewritten(log)
    assert wrong(log, tmp_path, Evidence(receipts=(receipt,))).startswith("forked: ")


def test_receipt_of_another_leaf(tmp_path: Path) -> None:
    """A receipt that proves another leaf than the log has at its index is no receipt."""
    log = honest()
    receipt = log.receipt(7).replace("index 7", "index 6")
    assert wrong(log, tmp_path, Evidence(receipts=(receipt,))).startswith("forged: the receipt of leaf 6 ")


def test_receipt_signed_by_another_key(tmp_path: Path) -> None:
    """A receipt under a checkpoint that a stranger signed is no receipt."""
    log = honest()
    log.notes[-1] = (20, writer.note(20, writer.root(log.hashes()), STRANGER))
    receipt = log.receipt(7)
    log.sign_again()
    assert wrong(log, tmp_path, Evidence(receipts=(receipt,))).startswith("forged: ")


def test_receipt_of_a_lost_leaf(tmp_path: Path) -> None:
    """A receipt verifies against the hash of a lost leaf: it proves that there was an entry."""
    log = honest()
    receipt = log.receipt(14)
    log.lose(14)
    log.append(action="log-loss", first=14, last=14)
    log.sign()
    assert verified(log, tmp_path, Evidence(receipts=(receipt,))).size == 21


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        ("index 7", "index 07"),
        ("index 7", "index -7"),
        ("index 7", "index 20"),
        ("index 7", "indox 7"),
        ("index 7", "extra !\nindex 7"),
        ("index 7\n", ""),
        ("index 7\n", "index 7\nAAAA\n"),
        ("index 7\n", "index 7\n" + 65 * (32 * "A" + "\n")),
        ("index 7\n", "index 7\n\n"),
        ("\n\n", "\n"),
        ("\n", " "),
    ],
    ids=map(str, range(12)),
)
def test_a_receipt_that_is_none(old: str, new: str, tmp_path: Path) -> None:
    """Whatever is given as a receipt, the answer is that it is none."""
    log = honest()
    receipt = log.receipt(7).replace(old, new)
    said = wrong(log, tmp_path, Evidence(receipts=(receipt,)))
    assert said.split(": ")[0] in {"malformed", "forged", "another-log"}, said
