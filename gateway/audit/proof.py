"""Proofs after RFC 6962, section 2.1.1, read from tiles; receipts after C2SP tlog-proof."""

import base64
from functools import lru_cache

from gateway.audit import merkle, tiles
from gateway.audit.merkle import HASH
from gateway.audit.tiles import HEIGHT, Read

# No proof needs more tiles at once than a few for each level.
_TILES_AT_HAND = 32


class Tree:
    """The tree whose tiles are public: it proves things of itself, and of every smaller tree that it grew from.

    Each answer reads a number of tiles that grows with the logarithm of the size.
    """

    def __init__(self, size: int, read: Read) -> None:
        self.size = size
        self._read = lru_cache(_TILES_AT_HAND)(read)

    def leaf_hash(self, index: int) -> bytes:
        """Return the hash of a leaf."""
        self._holds(index + 1)
        return self._node(0, index)

    def root(self, size: int) -> bytes:
        """Return the root of the tree as it was at `size` leaves."""
        self._holds(size)
        return self._hash(0, size) if size else merkle.root(())

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Prove that leaf `index` is in the tree of `size` leaves: PATH(index, D[size])."""
        self._holds(size)
        if not 0 <= index < size:
            raise ValueError(f"a tree of {size} leaves has no leaf {index}")
        return self._path(index, 0, size)

    def _holds(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise ValueError(f"of {size} leaves, {self.size} are public")

    def _path(self, index: int, begin: int, end: int) -> list[bytes]:
        if end - begin == 1:
            return []
        middle = begin + _split(end - begin)
        if index < middle:
            return [*self._path(index, begin, middle), self._hash(middle, end)]
        return [*self._path(index, middle, end), self._hash(begin, middle)]

    def _hash(self, begin: int, end: int) -> bytes:
        """MTH(D[begin:end]), where the range is one that the tree's recursive definition comes to."""
        count = end - begin
        if count.bit_count() == 1:
            height = count.bit_length() - 1
            return self._node(height, begin >> height)
        middle = begin + _split(count)
        return merkle.node_hash(self._hash(begin, middle), self._hash(middle, end))

    def _node(self, height: int, number: int) -> bytes:
        """Return the root of a complete subtree: one hash of a tile, or some that stand side by side."""
        level, above = divmod(height, HEIGHT)
        first = number << above
        tile = tiles.of(level, first >> HEIGHT, self.size)
        at = HASH * (first - (tile.index << HEIGHT))
        return merkle.root(tiles.hashes(self._read(tile)[at : at + (HASH << above)]))


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def receipt(tree: Tree, index: int, size: int, note: str) -> str:
    """Write the proof that leaf `index` is in the tree of `size` leaves that the note signs."""
    path = "".join(f"{base64.b64encode(each).decode()}\n" for each in tree.inclusion(index, size))
    return f"c2sp.org/tlog-proof@v1\nindex {index}\n{path}\n{note}"
