"""Inclusion and consistency proofs: Certificate Transparency's vectors, and all proofs of RFC 6962's definitions."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.verifier.tree import EMPTY, ProofError, Tree, check_inclusion, leaf_hash, root
from tests.audit import test_merkle as vectors
from tests.audit.test_merkle import LEAVES
from tests.verifier import writer

ROOTS = tuple(map(bytes.fromhex, vectors.ROOTS))
# Of the same tests: the leaf's index, the tree's size, the path.
INCLUSION = (
    (0, 1, ()),
    (
        0,
        8,
        (
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ),
    ),
    (
        5,
        8,
        (
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ),
    ),
    (2, 3, ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",)),
    (
        1,
        5,
        (
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ),
    ),
)
HASHES = [writer.hashed(bytes([number])) for number in range(33)]


@pytest.mark.parametrize("size", range(1, 9))
def test_the_root_of_each_reference_tree_is_the_published_one(size: int) -> None:
    """A grown tree, and one computed at once, have the published roots."""
    tree = Tree()
    for leaf in LEAVES[:size]:
        tree.append(leaf_hash(leaf))
    assert tree.root() == root(list(map(leaf_hash, LEAVES[:size]))) == ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_the_empty_string() -> None:
    """The empty tree's root is SHA-256 of nothing."""
    assert Tree().root() == root([]) == EMPTY == writer.root([])


@pytest.mark.parametrize("size", range(34))
def test_every_way_to_a_root_is_that_of_the_definition(size: int) -> None:
    """Growing leaf by leaf, and pairing level by level, give the root of RFC 6962's recursive definition."""
    tree = Tree()
    for node in HASHES[:size]:
        tree.append(node)
    assert tree.root() == tree.copy().root() == root(HASHES[:size]) == writer.root(HASHES[:size])


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_published_inclusion_proofs_verify_and_nothing_near_them_does(
    index: int, size: int, path: tuple[str, ...]
) -> None:
    """The published proof verifies; another index, size, leaf, root or path does not."""
    nodes, leaf, top = [bytes.fromhex(node) for node in path], leaf_hash(LEAVES[index]), ROOTS[size - 1]
    check_inclusion(index, size, leaf, nodes, top)
    wrong = [
        (index - 1, size, leaf, nodes, top),
        (index + 1, size, leaf, nodes, top),
        (index ^ 2, size, leaf, nodes, top),
        (index, size * 2, leaf, nodes, top),
        (index, size // 2, leaf, nodes, top),
        (index, size, leaf_hash(b"wrong"), nodes, top),
        (index, size, leaf, nodes, EMPTY),
        (index, size, leaf, [*nodes, b""], top),
        (index, size, leaf, [*nodes, top], top),
        (index, size, leaf, [b"", *nodes], top),
        (index, size, leaf, [top, *nodes], top),
        *[(index, size, leaf, nodes[:-1], top) for _ in nodes[:1]],
        *[(index, size, leaf, [*nodes[:at], EMPTY, *nodes[at + 1 :]], top) for at in range(len(nodes))],
    ]
    for one in wrong:
        with pytest.raises(ProofError):
            check_inclusion(*one)


@pytest.mark.parametrize("size", range(1, 34))
def test_every_inclusion_proof_of_the_definition_verifies(size: int) -> None:
    """For every leaf of a tree, RFC 6962's recursive PATH verifies, and for no other leaf."""
    top = writer.root(HASHES[:size])
    for index in range(size):
        nodes = writer.path(index, HASHES[:size])
        check_inclusion(index, size, HASHES[index], nodes, top)
        for other in {*range(size)} - {index}:
            with pytest.raises(ProofError):
                check_inclusion(other, size, HASHES[index], nodes, top)


@pytest.mark.property
@given(st.integers(-2, 20), st.integers(-2, 20), st.lists(st.sampled_from(HASHES), max_size=8), st.sampled_from(HASHES))
def test_no_numbers_break_the_proofs(one: int, other: int, path: list[bytes], top: bytes) -> None:
    """Whatever sizes and paths are given, the answer is yes or ProofError."""
    with suppress(ProofError):
        check_inclusion(one, other, HASHES[0], path, top)
