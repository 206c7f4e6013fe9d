"""Canonical JSON is that of RFC 8785, whichever way it is written."""

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical import Json, canonical

SAFE = 2**53 - 1
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-SAFE, SAFE),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


@pytest.mark.property
@given(value=VALUES)
def test_canonical_bytes_are_those_of_the_reference(value: Json) -> None:
    """The fast way and the slow way write the same bytes."""
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value", [0.5, 12.34, 1e-3, 1e14 + 0.5, -1.5, 0.1 + 0.2, 123456.789, 3.0, 1e21, "é", "a/b", '"', "\x7f"]
)
def test_numbers_and_texts_at_the_edges(value: Json) -> None:
    """Where the two ways part, the same bytes still come out."""
    assert canonical({"b": value, "a": [value]}) == rfc8785.dumps({"b": value, "a": [value]})
