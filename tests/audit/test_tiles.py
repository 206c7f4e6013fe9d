"""Tiles and proofs against C2SP's texts, Certificate Transparency's vectors and the recursive definition."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import merkle, tiles
from gateway.audit.proof import Tree, receipt
from gateway.audit.tiles import Disagreement, NoTile, Tile
from tests.audit import trees
from tests.audit.test_merkle import LEAVES

# The example of tlog-tiles and the indexes around each further path element.
PATHS = {
    Tile(0, 0): "0/000",
    Tile(0, 999): "0/999",
    Tile(0, 1000): "0/x001/000",
    Tile(3, 1234067): "3/x001/x234/067",
    Tile(0, 1234067, 255): "0/x001/x234/067.p/255",
    Tile(63, 999999, 1): "63/x999/999.p/1",
    Tile(0, 1000000, 17): "0/x001/x000/000.p/17",
}
NO_PATHS = (
    "",
    "0",
    "0/",
    "0/0",
    "0/00",
    "0/0000",
    "0/x000/000",
    "0/x000/x001/234",
    "0/001/234",
    "0/x001",
    "0/x001/x234",
    "0/x1/000",
    "0/000/",
    "/0/000",
    "0//000",
    "00/000",
    "01/000",
    "64/000",
    "100/000",
    "-1/000",
    "+1/000",
    "entries/000",
    "0/-01",
    "0/ 01",
    "0/000.p",
    "0/000.p/",
    "0/000.p/0",
    "0/000.p/01",
    "0/000.p/256",
    "0/000.p/1000",
    "0/000.p/-1",
    "0/000.p/1/",
    "0/000.P/1",
    "0/000.p/1\n",
    "0/000\n",
    "0/X001/000",
    "0/x001/000/../../../../etc/passwd",
    "../checkpoint",
    "0/..",
    "0/\N{ARABIC-INDIC DIGIT ONE}00",
    "0/\N{SUPERSCRIPT TWO}00",
    "0/000\0",
    "0/" + "x001/" * 200 + "000",
)
# Certificate Transparency's reference proofs over the eight reference leaves.
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
G = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
H = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
INCLUSION = {(0, 1): (), (0, 8): (A, B, C), (5, 8): (D, E, F), (2, 3): (G,), (1, 5): (H, B, D)}
# SHA-256 of each tile of 300 invented leaves; the tiles were made with printf, dd and sha256sum in a shell.
DIGESTS = {
    "0/000": "3658d44ebeb979b996b87ac966392dffbe9a628e34cb70bbff0ba844e74c31c6",
    "0/001.p/44": "ef8b7a16b7e780e5fb0b989e370461025cbd238507fc673d21936f362db54ab9",
    "1/000.p/1": "c8f421898ac532cb17b42cd6c862710cad20834ef186d2d55534a61d63a8539f",
}


def built(size: int, *stops: int) -> dict[str, bytes]:
    """Return the tiles that a tree has gathered which was published at each stop."""
    files: dict[str, bytes] = {}
    before = 0
    for after in (*stops, size):
        grown = tiles.grown(before, after, lambda tile: files[tile.path()], trees.leaves(before, after))
        files.update({tile.path(): content for tile, content in grown})
        before = after
    return files


def tree(size: int, *stops: int) -> Tree:
    """Return a tree over gathered tiles."""
    files = built(size, *stops)
    return Tree(size, lambda tile: files[tile.path()])


@pytest.mark.parametrize("tile", PATHS)
def test_each_tile_has_the_path_of_the_specification(tile: Tile) -> None:
    """Three digits an element, an x before all but the last; partial ones say their width."""
    assert tile.path() == PATHS[tile]
    assert tiles.parse(PATHS[tile]) == tile


@pytest.mark.parametrize("path", NO_PATHS)
def test_no_other_text_is_a_path(path: str) -> None:
    """No second spelling of a tile, no way out of the directory."""
    with pytest.raises(NoTile):
        tiles.parse(path)


@pytest.mark.property
@given(st.integers(0, 63), st.integers(0, 10**21 - 1), st.integers(1, 256))
def test_every_path_reads_as_the_tile_that_wrote_it(level: int, index: int, width: int) -> None:
    """Encoding and decoding are inverse."""
    assert tiles.parse(Tile(level, index, width).path()) == Tile(level, index, width)


@pytest.mark.property
@given(st.text("0123456789xp./-", max_size=20))
def test_a_text_is_read_only_if_it_is_the_path_of_what_is_read(text: str) -> None:
    """Whatever is read is written the same."""
    try:
        tile = tiles.parse(text)
    except NoTile:
        return
    assert tile.path() == text


def test_seventy_thousand_leaves_have_the_tiles_that_the_specification_counts() -> None:
    """273 full tiles of level 0 and one of width 112, of level 1 a full one and one of 17, of level 2 one of 1."""
    files = built(70_000)
    assert sorted(files) == sorted(
        [f"0/{index:03}" for index in range(273)] + ["0/273.p/112", "1/000", "1/001.p/17", "2/000.p/1"]
    )
    assert len(files["0/000"]) == len(files["1/000"]) == 8192
    assert files["2/000.p/1"] == trees.mth(0, 65_536)
    assert files["1/001.p/17"][-32:] == trees.mth(272 * 256, 273 * 256)


def test_a_tree_of_256_has_a_full_tile_and_one_above_it() -> None:
    """The specification's smallest full tile."""
    assert set(built(256)) == {"0/000", "1/000.p/1"}
    assert set(built(255)) == {"0/000.p/255"}
    assert built(0) == {}


def test_the_bytes_of_tiles_are_those_written_down_here() -> None:
    """The reference leaves' tile in hexadecimal; a full tile and the one above it by digest."""
    grown = list(tiles.grown(0, 2, _none, [merkle.leaf_hash(each) for each in LEAVES[:2]]))
    assert [(tile.path(), content.hex()) for tile, content in grown] == [("0/000.p/2", H + A)]
    files = built(300)
    assert {path: hashlib.sha256(content).hexdigest() for path, content in files.items()} == DIGESTS


def _none(tile: Tile) -> bytes:
    raise AssertionError(f"nothing is to be read, and {tile} was")


def _reference() -> Tree:
    files = dict(tiles.grown(0, 8, _none, map(merkle.leaf_hash, LEAVES)))
    return Tree(8, lambda tile: files[tile])


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_reference_inclusion_proofs_come_out(index: int, size: int) -> None:
    """Certificate Transparency's vectors."""
    assert tuple(each.hex() for each in _reference().inclusion(index, size)) == INCLUSION[index, size]


def test_every_smaller_tree_has_its_root_and_its_proofs() -> None:
    """From the tiles of 600 leaves, for every size up to it: root, and proofs at the edges of tiles."""
    whole = tree(600)
    for size in range(601):
        assert whole.root(size) == trees.mth(0, size)
        for index in {0, size // 2, size - 1, 255, 256, 511, 512} & set(range(size)):
            assert whole.inclusion(index, size) == trees.path(index, 0, size)


def test_every_size_published_for_itself_gives_its_root() -> None:
    """One tile at a time or all at once, at every size the tiles give the root."""
    files: dict[str, bytes] = {}
    for size in range(1, 601):
        grown = tiles.grown(size - 1, size, lambda tile: files[tile.path()], [trees.leaf(size - 1)])
        files.update({tile.path(): content for tile, content in grown})
        assert Tree(size, lambda tile: files[tile.path()]).root(size) == trees.mth(0, size)
        assert built(size).items() <= files.items()


@pytest.mark.property
@given(st.lists(st.integers(0, 66_500), min_size=4, max_size=4).map(sorted))
def test_proofs_hold_wherever_the_tree_was_published(sizes: list[int]) -> None:
    """Whatever sizes were published on the way, the proof of any leaf verifies, and every size has its root."""
    first, second, old, size = sizes
    whole = tree(size + 1, first, second)
    assert whole.leaf_hash(old) == trees.leaf(old)
    derived = trees.root_by_inclusion(trees.leaf(old), old, size + 1, whole.inclusion(old, size + 1))
    assert derived == whole.root(size + 1) == trees.mth(0, size + 1)
    assert whole.root(old) == trees.mth(0, old)


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 65_792, 65_793, 131_072])
def test_proofs_hold_where_a_level_begins(size: int) -> None:
    """At the edges of the third level too."""
    whole = tree(size)
    assert whole.root(size) == trees.mth(0, size)
    for index in (0, 255, 256, 65_280, 65_534, size - 1):
        assert whole.inclusion(index, size) == trees.path(index, 0, size)


def test_a_proof_reads_few_tiles() -> None:
    """In a tree of 131,072 leaves a proof reads a handful of tiles."""
    files = built(131_072)
    read: list[Tile] = []

    def reading(tile: Tile) -> bytes:
        read.append(tile)
        return files[tile.path()]

    Tree(131_072, reading).inclusion(70_000, 131_071)
    assert len(read) <= 6


def test_what_a_tree_does_not_hold_is_not_proved() -> None:
    """No leaf behind the end, no size beyond what is public, no going back."""
    whole = tree(10)
    for wrong in (
        lambda: whole.inclusion(5, 5),
        lambda: whole.inclusion(-1, 5),
        lambda: whole.inclusion(0, 11),
        lambda: whole.root(11),
        lambda: whole.root(-1),
        lambda: whole.leaf_hash(10),
    ):
        with pytest.raises(ValueError, match="leaves"):
            wrong()


@pytest.mark.parametrize("given_", [0, 9, 11])
def test_leaves_that_are_too_few_or_too_many_are_no_tree(given_: int) -> None:
    """A store that lacks a row publishes nothing."""
    with pytest.raises(Disagreement, match="10 leaves are to be published"):
        list(tiles.grown(0, 10, _none, trees.leaves(0, given_)))


def test_a_receipt_is_written_byte_for_byte_as_specified() -> None:
    """tlog-proof: its line, the index, the hashes from the leaf up, an empty line, the checkpoint verbatim."""
    note = trees.note(300)
    lines = [
        "c2sp.org/tlog-proof@v1",
        "index 257",
        *(base64.b64encode(each).decode() for each in trees.path(257, 0, 300)),
    ]
    assert receipt(tree(300), 257, 300, note) == "\n".join(lines) + "\n\n" + note
    assert receipt(tree(300), 0, 1, trees.note(1)) == f"c2sp.org/tlog-proof@v1\nindex 0\n\n{trees.note(1)}"
