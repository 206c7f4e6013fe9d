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


def check_consistency(first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]) -> None:
    """Verify that a tree continues an earlier one (RFC 9162, section 2.1.4.2); raise ProofError.

    The section leaves out two cases that need no path: equal sizes, and the empty tree, which all others continue.
    """
    if not 0 <= first <= second:
        raise ProofError("the second tree is smaller than the first")
    if first in {0, second}:
        if path or first_root != (second_root if first == second else EMPTY):
            raise ProofError("there is nothing to prove, or what is claimed is false")
        return
    if not path:
        raise ProofError("the path is empty")
    nodes = [first_root, *path] if first & (first - 1) == 0 else list(path)
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            raise ProofError("the path is too long")
        if at & 1 or at == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, node)
        at, last = at >> 1, last >> 1
    if last != 0 or old != first_root or new != second_root:
        raise ProofError("the path does not lead from the first root to the second")
