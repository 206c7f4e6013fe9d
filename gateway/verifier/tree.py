"""Merkle trees as RFC 6962, section 2.1, and RFC 9162, section 2.1, define them, with SHA-256."""

import hashlib
from collections.abc import Sequence

HASH = 32
EMPTY = hashlib.sha256(b"").digest()


class ProofError(ValueError):
    """A proof that does not lead to the root."""


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(level: list[bytes]) -> bytes:
    """Return the root over leaf hashes: pair by pair and level by level, an odd one at the end rises as it is."""
    if not level:
        return EMPTY
    while len(level) > 1:
        above = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = [*above, level[-1]] if len(level) % 2 else above
    return level[0]


class Tree:
    """A growing tree, of which only the roots of its complete subtrees are kept, the largest first."""

    def __init__(self, size: int = 0, complete: Sequence[bytes] = ()) -> None:
        self.size = size
        self._complete = list(complete)

    def copy(self) -> "Tree":
        """Return a tree that grows apart from this one."""
        return Tree(self.size, self._complete)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf: as many subtrees are closed by it as the old size ends in ones."""
        size = self.size
        while size & 1:
            leaf = node_hash(self._complete.pop(), leaf)
            size >>= 1
        self._complete.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the tree's root."""
        if not self._complete:
            return EMPTY
        found = self._complete[-1]
        for left in self._complete[-2::-1]:
            found = node_hash(left, found)
        return found


def check_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> None:
    """Verify that a leaf hash stands at an index of a tree (RFC 9162, section 2.1.3.2); raise ProofError."""
    if not 0 <= index < size:
        raise ProofError("the index is outside of the tree")
    at, last, found = index, size - 1, leaf
    for node in path:
        if last == 0:
            raise ProofError("the path is too long")
        if at & 1 or at == last:
            found = node_hash(node, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, node)
        at, last = at >> 1, last >> 1
    if last != 0 or found != root:
        raise ProofError("the path does not lead from the leaf to the root")
