"""Bundles on their way into the store and out of it: each attack by its name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import rfc8785

from gateway.policy import archive
from gateway.policy.archive import Files, pack, read_directory, unpack
from gateway.policy.check import checked
from gateway.strict_yaml import MAX_BYTES, FileError
from tests.activation.city import directory, rule
from tests.policy import small


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A small policy that is sound."""
    return read_directory(directory(tmp_path / "policy", "first"))


def test_an_archive_gives_back_the_files(files: Files) -> None:
    """The same files, the same bytes, the same digest."""
    assert unpack(pack(files)) == files
    assert pack(unpack(pack(files))) == pack(files)
    assert checked(unpack(pack(files))).digest == checked(files).digest


def test_tests_travel_and_are_no_part_of_the_digest(tmp_path: Path) -> None:
    """A test, and whatever else lies in the directory, changes nothing of what the policy means."""
    root = directory(tmp_path / "policy", "first")
    before = checked(read_directory(root)).digest
    (root / "doc_test.yaml").write_text("tests: []\n")
    (root / "README.md").write_text("To be read.\n")
    (root / "old").mkdir()
    files = read_directory(root)
    assert sorted(files) == ["catalogue.yaml", "doc.yaml", "doc_test.yaml", "lists/offences.yaml", "lists/words.yaml"]
    assert checked(files).digest == before


def test_truncated(files: Files) -> None:
    """Whatever is missing at the end, the archive is refused."""
    whole = pack(files)
    for size in range(0, len(whole), 97):
        with pytest.raises(FileError, match="broken or cut short"):
            unpack(whole[:size])


def test_not_written_as_it_would_be(files: Files) -> None:
    """Two spellings of one archive would be two archives; a name that stands twice hides a file."""
    whole = pack(files)
    twice = b'{"doc.yaml":"policy: other\\n",' + whole[1:]
    for spelt in (whole.replace(b'":"', b'": "', 1), whole + b" ", twice, json.dumps(json.loads(whole)).encode()):
        with pytest.raises(FileError, match="not written canonically"):
            unpack(spelt)


@pytest.mark.parametrize("content", [b"[]", b"null", b'{"doc.yaml": 1}', b'{"doc.yaml": null}', b"\xff\xfe{}"])
def test_no_archive_at_all(content: bytes) -> None:
    """Other JSON, other encodings."""
    with pytest.raises(FileError, match="broken or cut short"):
        unpack(content)


@pytest.mark.parametrize(
    "name",
    [
        "../doc.yaml",
        "/etc/doc.yaml",
        "lists/../../doc.yaml",
        "lists/../doc.yaml",
        "./doc.yaml",
        "other/doc.yaml",
        "lists/other/doc.yaml",
        "lists//doc.yaml",
        ".doc.yaml",
        "doc.yaml\0",
        "doc.yaml\n",
        "doc.txt",
        "doc",
        "",
        "C:\\doc.yaml",
        "d\u00f6c.yaml",
        "x" * 200 + ".yaml",
    ],
)
def test_path_tricks(files: Files, name: str) -> None:
    """A file lies in the directory or in its lists, under a plain name, or nowhere."""
    tricked = {**files, name: b"policy: doc\n"}
    with pytest.raises(FileError, match="no file of a policy"):
        unpack(pack(tricked))
    with pytest.raises(FileError, match="no file of a policy"):
        checked(tricked)


OVERSIZED: dict[str, tuple[Callable[[Files], Files], str]] = {
    "too many files": (lambda files: {**files, **{f"f{n}.yaml": b"" for n in range(500)}}, "more than 500 files"),
    "a file too large": (lambda files: {**files, "doc.yaml": b"#" * (MAX_BYTES + 1)}, "larger than 1048576"),
    "too large in all": (lambda files: {**files, **{f"f{n}.yaml": b"#" * MAX_BYTES for n in range(20)}}, "policy is"),
}


@pytest.mark.parametrize("name", OVERSIZED)
def test_oversized(files: Files, tmp_path: Path, name: str) -> None:
    """Bounded as a directory, as files, and as an archive."""
    spoil, why = OVERSIZED[name]
    oversized = spoil(files)
    with pytest.raises(FileError, match=why):
        checked(oversized)
    with pytest.raises(FileError, match=why):
        unpack(pack(oversized))
    root = tmp_path / "oversized"
    (root / "lists").mkdir(parents=True)
    for path, content in oversized.items():
        (root / path).write_bytes(content)
    with pytest.raises(FileError, match=why):
        read_directory(root)


def test_an_archive_beyond_all_bounds_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is looked at first."""
    monkeypatch.setattr(archive, "_MAX_ARCHIVE", 100)
    with pytest.raises(FileError, match="archive is too large"):
        unpack(b"{" * 101)


def test_wrong_encoding(files: Files) -> None:
    """What is not UTF-8 goes into no archive, and into no policy."""
    spoilt = {**files, "doc.yaml": "policy: d\u00f6c".encode("latin-1")}
    with pytest.raises(FileError, match=r"^doc\.yaml:1:1: the file is not UTF-8"):
        pack(spoilt)
    with pytest.raises(FileError, match=r"^doc\.yaml:1:1"):
        checked(spoilt)
    surrogate = rfc8785.dumps({"doc.yaml": "x"}).replace(b'"x"', b'"\\ud800"')
    with pytest.raises(FileError, match="broken or cut short"):
        unpack(surrogate)


BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (BOMB, "anchors and aliases are not allowed"),
        (b"policy: doc\npolicy: other\n", "stands here twice|duplicate key"),
        (b"policy: !!python/object/apply:os.system [x]\n", "tags are not allowed"),
        (b"policy: doc\n", "is missing"),
    ],
    ids=["alias bomb", "duplicate key", "tag", "half a document"],
)
def test_tricks_of_yaml(files: Files, content: bytes, why: str) -> None:
    """What the reader refuses on disk, it refuses in an archive."""
    with pytest.raises(FileError, match=why) as refused:
        checked(unpack(pack({**files, "doc.yaml": content})))
    assert str(refused.value).startswith("doc.yaml:")


@pytest.mark.parametrize("size", [2, 3])
def test_cyclic_replaces(tmp_path: Path, size: int) -> None:
    """Documents that replace each other in a ring would all be out of force."""
    root = tmp_path / "policy"
    names = [f"doc{number}" for number in range(size)]
    documents = [json.loads(small.document([rule(f"r-{name}")], name=name)) for name in (*names, "apart")]
    for number, document in enumerate(documents[:-1]):
        document["replaces"] = [names[(number + 1) % size]]
    documents[-1]["replaces"] = [names[0]]
    small.write(root, *map(json.dumps, documents))
    with pytest.raises(FileError, match=r"^doc0\.yaml:1:1: 'doc0' replaces documents that, in the end, replace it"):
        checked(read_directory(root))
    documents[-2]["replaces"] = []
    del documents[-2]["replaces"]
    small.write(root, *map(json.dumps, documents))
    checked(read_directory(root))


def test_a_directory_that_can_not_be_read(tmp_path: Path) -> None:
    """A file that is none is named."""
    (tmp_path / "catalogue.yaml").mkdir()
    with pytest.raises(FileError, match=r"^catalogue\.yaml:1:1: the file can't be read"):
        read_directory(tmp_path)
