"""Trees after RFC 6962, section 2.1, against published vectors and the section's own recursive definition."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import merkle
from gateway.audit.merkle import Frontier

# The reference leaves and roots of Certificate Transparency's own tests, for sizes 1 to 8.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def defined(leaves: list[bytes]) -> bytes:
    """Return MTH(D[n]) as RFC 6962, section 2.1, writes it down: k is the largest power of two below n."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + defined(leaves[:k]) + defined(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_the_root_of_each_reference_tree_is_the_published_one(size: int) -> None:
    """The trees over the first one to eight reference leaves have the published roots."""
    root = merkle.root(merkle.leaf_hash(leaf) for leaf in LEAVES[:size])
    assert root.hex() == ROOTS[size - 1]
    assert defined(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_the_empty_string() -> None:
    """The empty tree's hash is SHA-256 of nothing."""
    assert merkle.root([]).hex() == Frontier().root().hex() == EMPTY


def test_a_leaf_and_a_node_of_the_same_bytes_differ() -> None:
    """Leaves and nodes are hashed in domains of their own, so that neither passes for the other."""
    left, right = merkle.leaf_hash(b"left"), merkle.leaf_hash(b"right")
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)
    assert merkle.node_hash(left, right) != merkle.node_hash(right, left)


@pytest.mark.property
@given(st.lists(st.binary(max_size=40), max_size=150))
def test_a_growing_tree_has_the_defined_root_at_every_size(leaves: list[bytes]) -> None:
    """Appending leaf by leaf gives, at every size, the root of the recursive definition."""
    frontier = Frontier()
    for size, leaf in enumerate(leaves):
        assert frontier.size == size
        assert frontier.root() == defined(leaves[:size])
        frontier.append(merkle.leaf_hash(leaf))
    assert frontier.root() == defined(leaves)


@pytest.mark.property
@given(st.lists(st.binary(max_size=8), max_size=300), st.lists(st.binary(max_size=8), max_size=20))
def test_a_packed_frontier_goes_on_as_if_it_had_not_been_packed(before: list[bytes], after: list[bytes]) -> None:
    """A frontier that was packed and read again has the same root and grows to the same tree."""
    frontier = Frontier()
    for leaf in before:
        frontier.append(merkle.leaf_hash(leaf))
    read = Frontier(frontier.size, frontier.pack())
    assert (read.size, read.root(), read.pack()) == (len(before), defined(before), frontier.pack())
    for leaf in after:
        read.append(merkle.leaf_hash(leaf))
    assert read.root() == defined(before + after)


@pytest.mark.property
@given(st.integers(0, 2**40), st.integers(0, 45))
def test_a_frontier_that_does_not_fit_its_size_is_refused(size: int, hashes: int) -> None:
    """A frontier has one hash for each complete subtree, and none else is read."""
    packed = bytes(merkle.HASH * hashes)
    if hashes == size.bit_count():
        assert Frontier(size, packed).size == size
    else:
        with pytest.raises(ValueError, match="does not fit"):
            Frontier(size, packed)


@pytest.mark.property
@given(st.lists(st.binary(max_size=8), min_size=1, max_size=80), st.data())
def test_every_leaf_counts(leaves: list[bytes], data: st.DataObject) -> None:
    """Changing any one leaf, or leaving it out, gives another root."""
    at = data.draw(st.integers(0, len(leaves) - 1))
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    changed = [*hashes[:at], merkle.leaf_hash(leaves[at] + b"!"), *hashes[at + 1 :]]
    root = merkle.root(hashes)
    assert merkle.root(changed) != root
    assert merkle.root(hashes[:at] + hashes[at + 1 :]) != root
