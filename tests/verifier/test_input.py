"""Exports that are not even files of the right form: the verifier says so, and takes no more memory for them."""

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.verifier.evidence import Evidence
from gateway.verifier.leaf import LeafError, read_leaf
from gateway.verifier.note import read_key, read_log_key, read_note, read_witness_key
from gateway.verifier.promise import read_promise
from gateway.verifier.receipt import read_receipt
from gateway.verifier.verdict import VerificationError, Verified
from gateway.verifier.verify import verify
from tests.verifier import writer
from tests.verifier.reading import NOW, wrong
from tests.verifier.writer import Written, canonical, honest, vkey

FILES = ("log.json", "leaves.ndjson", "commitments.ndjson", "checkpoints.ndjson", "openings.ndjson", "unsealed.ndjson")


def _verify(log: Written, directory: Path) -> Verified:
    return verify(directory, (read_log_key(vkey(log.key)),), Evidence(), NOW)


def _wrong(log: Written, directory: Path) -> str:
    with pytest.raises(VerificationError) as raised:
        _verify(log, directory)
    return str(raised.value)


# --- leaves that the log's own key signed ---------------------------------------------------------------------

LEAF = writer.leaf(10)
NO_LEAVES: dict[str, bytes] = {
    "empty": b"",
    "nothing": b"nothing",
    "no UTF-8": b'{"a":"\xff\xfe"}',
    "a list": b"[]",
    "a number": b"7",
    "an object": b"{}",
    "null": b"null",
    "non-canonical: a space": canonical(LEAF).replace(b":", b": ", 1),
    "non-canonical: the order": json.dumps(dict(reversed(LEAF.items())), separators=(",", ":")).encode(),
    "non-canonical: an escape": canonical(LEAF).replace(b"read", b"\\u0072ead"),
    "non-canonical: a number": canonical(LEAF).replace(b'"version":2', b'"version":2.0'),
    "non-canonical: an exponent": canonical({**LEAF, "persons": 100}).replace(b"100", b"1e2"),
    "duplicate keys": canonical(LEAF).replace(b'"action":', b'"action":"write","action":'),
    "duplicate keys, the last another": canonical(LEAF)[:-1] + b',"version":2}',
    "NaN": canonical({**LEAF, "persons": 7}).replace(b":7,", b":NaN,"),
    "Infinity": canonical({**LEAF, "persons": 7}).replace(b":7,", b":-Infinity,"),
    "a number past 2^53": canonical({**LEAF, "persons": 2**53}),
    "a huge number": canonical({**LEAF, "persons": int("9" * 4000)}),
    "a huge exponent": canonical({**LEAF, "persons": 7}).replace(b":7,", b":1e400,"),
    "a lone surrogate": canonical({**LEAF, "resource": "x"}).replace(b'"x"', b'"\\ud800"'),
    "deep nesting": b"[" * 60_000,
    "deep nesting, closed": b"[" * 30_000 + b"]" * 30_000,
    "nesting that is not quite so deep": canonical(LEAF)[:-1] + b',"z":' + b"[" * 900 + b"]" * 900 + b"}",
    "nesting past what a leaf may": canonical(LEAF)[:-1] + b',"z":' + b'[{"z":' * 16 + b"7" + b"}]" * 16 + b"}",
    "a NUL": b"\0",
    "a carriage return": canonical(LEAF) + b"\r",
    "another version": canonical({**LEAF, "version": 3}),
    "a version that is a text": canonical({**LEAF, "version": "2"}),
    "a version that is true": canonical({**LEAF, "version": True}),
    "no id": canonical({**LEAF, "id": None}),
    "an id in capitals": canonical({**LEAF, "id": "AB" * 16}),
    "an id that ends in a newline": canonical({**LEAF, "id": "a" * 32 + "\n"}),
    "another time": canonical({**LEAF, "time": "2026-11-23T05:06:07Z"}),
    "a time in other digits": json.dumps(
        {**LEAF, "time": "\u0662026-11-23T05:06:07.000000Z"}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode(),
    "another decision": canonical({**LEAF, "decision": "maybe"}),
    "no commitments": canonical({**LEAF, "commitments": []}),
    "commitments without root": canonical({**LEAF, "commitments": {"count": 0}}),
    "commitments with more": canonical({**LEAF, "commitments": {**LEAF["commitments"], "salt": "x"}}),
    "a count that is a text": canonical({**LEAF, "commitments": {**LEAF["commitments"], "count": "0"}}),
    "a count below zero": canonical({**LEAF, "commitments": {**LEAF["commitments"], "count": -1}}),
    "a lost leaf in capitals": b'{"lost":"' + b"AB" * 32 + b'"}',
    "a lost leaf with more": b'{"lost":"' + b"ab" * 32 + b'","z":1}',
}


@pytest.mark.parametrize("content", NO_LEAVES.values(), ids=NO_LEAVES.keys())
def test_a_leaf_that_is_none_is_named_so_whoever_signed_it(content: bytes, tmp_path: Path) -> None:
    """Even the key's holder can't put into the tree what is no leaf; the verifier says so, and no more."""
    log = honest()
    log.openings.clear()
    log.leaves[10], log.commitments[10] = content, []
    log.notes = [
        (size, writer.note(size, writer.root([writer.hashed(leaf) for leaf in log.leaves[:size]]), log.key))
        for size, _ in log.notes
    ]
    assert wrong(log, tmp_path).startswith("malformed: leaf 10 ")


@pytest.mark.property
@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode) | st.sampled_from(list(NO_LEAVES.values())))
def test_no_bytes_break_what_reads_a_leaf(content: bytes) -> None:
    """Whatever the bytes, the answer is that they are no leaf."""
    with pytest.raises(LeafError):
        read_leaf(content)


# --- files ----------------------------------------------------------------------------------------------------


def test_a_file_cut_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """A copy that broke off is told from a log that was truncated."""
    log = honest()
    for name in FILES[1:5]:
        path = log.write(tmp_path) / name
        path.write_bytes(path.read_bytes()[:-9])
        assert _wrong(log, tmp_path) == f"malformed: line {_lines(path)} of {name} is cut off"


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") + 1


@pytest.mark.parametrize("name", ["leaves.ndjson", "commitments.ndjson", "checkpoints.ndjson", "openings.ndjson"])
@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{}\n", b"null\n", b"nothing\n"], ids=str)
def test_extra_lines(name: str, line: bytes, tmp_path: Path) -> None:
    """Nothing may be left over in any file."""
    log = honest()
    path = log.write(tmp_path) / name
    path.write_bytes(path.read_bytes() + line)
    assert _wrong(log, tmp_path).split(": ")[0] in {"malformed", "forged", "openings"}


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(name: str, tmp_path: Path) -> None:
    """Every file but that of the openings must be there."""
    log = honest()
    (log.write(tmp_path) / name).unlink()
    if name == "openings.ndjson":
        assert _verify(log, tmp_path).opened == 0
    else:
        assert _wrong(log, tmp_path) == f"malformed: {name} is missing, or can't be read"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["directory", "pipe"])
def test_a_file_that_is_none(name: str, how: str, tmp_path: Path) -> None:
    """A directory or a pipe in a file's place is refused, and not waited for."""
    log = honest()
    (log.write(tmp_path) / name).unlink()
    (os.mkfifo if how == "pipe" else os.mkdir)(tmp_path / name)
    assert _wrong(log, tmp_path) == f"malformed: {name} is not a file"


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_fails_when_it_is_read(name: str, tmp_path: Path) -> None:
    """A disk that fails is told as such."""
    log = honest()
    (log.write(tmp_path) / name).unlink()
    # A process's own memory is a regular file that can't be read at its beginning.
    (tmp_path / name).symlink_to("/proc/self/mem")
    assert _wrong(log, tmp_path) == f"malformed: {name} can't be read"


def test_progress_is_told(tmp_path: Path) -> None:
    """While a log is read, it is told how many leaves of how many were."""
    log = Written()
    for _ in range(2500):
        log.append()
    log.sign()
    log.openings.clear()
    told: list[tuple[int, int]] = []
    trusted = (read_log_key(vkey(log.key)),)
    verify(log.write(tmp_path), trusted, Evidence(), NOW, lambda done, of: told.append((done, of)))
    assert told == [(1000, 2500), (2000, 2500), (2500, 2500)]


def test_no_directory(tmp_path: Path) -> None:
    """A directory that does not exist holds no export."""
    assert _wrong(honest(), tmp_path / "nowhere").startswith("malformed: log.json ")


@pytest.mark.parametrize("size", [0, 19, 21, 2**70])
def test_wrong_counts(size: int, tmp_path: Path) -> None:
    """The export's own count must be that of its leaves."""
    assert wrong(honest(), tmp_path, size=size).split(": ")[0] == ("truncated" if size > 20 else "malformed")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"nothing",
        b"\xff",
        b"[" * 4000,
        b" " * 5000,
        b'{"format":"arrest-gateway-log-export/2","origin":"gateway.test/log","size":20}',
        b'{"format":"arrest-gateway-log-export/1","origin":"gateway.test/log","size":-1}',
        b'{"format":"arrest-gateway-log-export/1","origin":"gateway.test/log","size":"20"}',
        b'{"format":"arrest-gateway-log-export/1","origin":"gateway.test/log","size":20,"more":1}',
        b'{"format":"arrest-gateway-log-export/1","origin":7,"size":20}',
        b'{"format":"arrest-gateway-log-export/1","origin":"gateway.test/log"}',
    ],
    ids=map(str, range(12)),
)
def test_a_header_that_is_none(content: bytes, tmp_path: Path) -> None:
    """What is not the header of an export is refused."""
    log = honest()
    (log.write(tmp_path) / "log.json").write_bytes(content)
    assert _wrong(log, tmp_path).startswith("malformed: log.json ")


LINES: dict[str, tuple[str, bytes]] = {
    "commitments are no list": ("commitments.ndjson", b"7"),
    "commitments are no texts": ("commitments.ndjson", b"[7]"),
    "a commitment is not hexadecimal": ("commitments.ndjson", b'["' + b"xy" * 32 + b'"]'),
    "a commitment is short": ("commitments.ndjson", b'["ab"]'),
    "a checkpoint is no object": ("checkpoints.ndjson", b"[]"),
    "a checkpoint's size is a text": ("checkpoints.ndjson", b'{"note":"x","size":"1"}'),
    "a checkpoint's note is a number": ("checkpoints.ndjson", b'{"note":7,"size":1}'),
    "a checkpoint nests deeply": ("checkpoints.ndjson", b"[" * 60_000),
    "an opening is no object": ("openings.ndjson", b"[]"),
    "an opening has more": ("openings.ndjson", b'{"entry":"x","erased":true,"position":0,"z":1}'),
    "an opening is erased otherwise": ("openings.ndjson", b'{"entry":"x","erased":1e3,"position":0}'),
    "an opening has no position": ("openings.ndjson", b'{"entry":"x","erased":true}'),
    "an opening nests deeply": ("openings.ndjson", b"[" * 60_000),
    "an opening is no UTF-8": ("openings.ndjson", b'"\xff"'),
}


@pytest.mark.parametrize(("name", "line"), LINES.values(), ids=LINES.keys())
def test_a_line_that_is_none(name: str, line: bytes, tmp_path: Path) -> None:
    """A line of another form is named by its number."""
    log = honest()
    path = log.write(tmp_path) / name
    lines = path.read_bytes().split(b"\n")
    lines[1] = line
    path.write_bytes(b"\n".join(lines))
    assert _wrong(log, tmp_path) == f"malformed: line 2 of {name} is not what it should be"


@pytest.mark.parametrize(
    "value", [b"9007199254740993", b"[" * 500 + b"]" * 500, b"1e-400"], ids=["past 2^53", "deep", "tiny"]
)
def test_an_opening_whose_value_has_no_canonical_form(value: bytes, tmp_path: Path) -> None:
    """What has no canonical form proves no commitment."""
    log = honest()
    path = log.write(tmp_path) / "openings.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"Officer 3"', value))
    assert _wrong(log, tmp_path).startswith("openings: opening 0 of leaf 3 ")


GIANT = 300 << 20


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fill", [b"\0", b"["], ids=["zeros", "brackets"])
def test_a_giant_line(name: str, fill: bytes, tmp_path: Path) -> None:
    """A line without an end is refused before it fills the memory."""
    log = honest()
    with (log.write(tmp_path) / name).open("wb") as file:
        if fill == b"[":
            file.write(fill * (1 << 24))
        file.truncate(GIANT)  # a hole: the disk holds nothing of it
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert _wrong(log, tmp_path).endswith("is too long")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_the_longest_leaf(tmp_path: Path) -> None:
    """A leaf of 65,535 bytes verifies, and one of a byte more does not."""
    for more, right in ((0, True), (1, False)):
        log = honest((1,))
        length = len(canonical(writer.leaf(1, resource="")))
        log.append(resource="x" * (65_535 - length + more))
        log.openings.clear()
        log.sign()
        directory = log.write(tmp_path / str(more))
        assert len(log.leaves[1]) == 65_535 + more
        if right:
            assert _verify(log, directory).size == 2
        else:
            assert _wrong(log, directory) == "malformed: line 2 of leaves.ndjson is too long"


# --- whatever anyone gives ------------------------------------------------------------------------------------

SCRAPS = st.sampled_from(
    [
        "\n",
        "\n\n",
        " ",
        "\u2014 ",
        "+",
        ".",
        "0",
        "9",
        writer.ORIGIN,
        "index ",
        "extra ",
        "c2sp.org/tlog-proof@v1",
        "A=",
    ]
)
TEXTS = st.text(max_size=30) | st.lists(SCRAPS | st.text(max_size=5), max_size=12).map("".join)
READERS: tuple[Callable[[str], object], ...] = (
    read_key,
    read_log_key,
    read_witness_key,
    lambda text: read_note(text, writer.ORIGIN),
    lambda text: read_promise(text, writer.ORIGIN),
    lambda text: read_receipt(text, writer.ORIGIN),
)


@pytest.mark.property
@given(TEXTS)
def test_no_text_breaks_what_reads_evidence(text: str) -> None:
    """Whatever text is given as key, note, promise or receipt, the answer is that it is none."""
    for read in READERS:
        with pytest.raises(VerificationError):
            read(text)


@pytest.mark.property
@given(data=st.data())
def test_no_change_of_a_byte_goes_unnoticed_or_breaks_the_verifier(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Change, add or remove bytes in any file: what matters is found, by VerificationError and nothing else.

    What may change is what nobody signed and nobody relies on: how JSON is spaced in files other than the leaves'.
    """
    log = honest()
    directory = log.write(tmp_path_factory.mktemp("bytes"))
    path = directory / data.draw(st.sampled_from(FILES[:5]))
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(0, 3))
    path.write_bytes(content[:at] + data.draw(st.binary(max_size=3)) + content[at + length :])
    if path.read_bytes() == content:
        return
    try:
        verified = _verify(log, directory)
    except VerificationError:
        return
    assert path.name != "leaves.ndjson"
    assert (verified.size, verified.note) == (20, log.notes[-1][1])
