"""Merkle trees after RFC 6962, section 2.1, with SHA-256."""

import hashlib
from collections.abc import Iterable

HASH = 32


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: the roots of its complete subtrees, the largest first.

    It is all that is needed to append and to give the root, whatever the tree's size.
    """

    def __init__(self, size: int = 0, packed: bytes = b"") -> None:
        if len(packed) != HASH * size.bit_count():
            raise ValueError("the frontier does not fit the size")
        self.size = size
        self._roots = [packed[at : at + HASH] for at in range(0, len(packed), HASH)]

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        node, size = leaf, self.size
        while size & 1:
            node = node_hash(self._roots.pop(), node)
            size >>= 1
        self._roots.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the tree's hash; the empty tree's is that of the empty string."""
        if not self._roots:
            return hashlib.sha256(b"").digest()
        node = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            node = node_hash(left, node)
        return node

    def pack(self) -> bytes:
        """Return the roots one after the other."""
        return b"".join(self._roots)


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the hash of a tree over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()
