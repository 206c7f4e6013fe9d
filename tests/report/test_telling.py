"""What is told gives nothing back of what is not, not even to one who knows how it was decided."""

from collections import defaultdict
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.report.telling import Key, place, tell
from tests.report.attack import other_world

SHAPES = [
    pytest.param([(a, p) for a in "AB" for p in "123"], (1, 0), 2, id="two agencies, three purposes"),
    pytest.param([(a, p) for a in "ABCD" for p in "12"], (1, 0), 2, id="four agencies, two purposes"),
    pytest.param([(a, p) for a in "ABC" for p in "12"], (1, 0), 3, id="three agencies, threshold three"),
    pytest.param([("A", p, c) for p in "12" for c in "wxyz"], (2, 1, 0), 2, id="one agency, three levels"),
    pytest.param([(a, p, c) for a in "AB" for p in "12" for c in "xy"], (2, 1, 0), 2, id="three levels"),
    pytest.param([(a,) for a in "ABCDEFG"], (0,), 3, id="seven cells of one table"),
    pytest.param([("A", p) for p in "12345"], (1, 0), 4, id="threshold four"),
]


@pytest.mark.parametrize(("cells", "cuts", "threshold"), SHAPES)
def test_every_untold_cell_could_be_any_small_number(cells: list[Key], cuts: tuple[int, ...], threshold: int) -> None:
    """Of all worlds that publish the same, each untold cell takes every value below the threshold in some.

    The attacker here knows everything but the counts: the rule, the threshold, which cells are possible. All worlds are
    made and told; those that look alike to him are what he can't tell apart.
    """
    alike = defaultdict(list)
    for world in product(range(threshold + 1), repeat=len(cells)):
        told = tell(dict(zip(cells, world, strict=True)), cells, cuts, threshold)
        alike[frozenset(told.items())].append(world)
    for published, worlds in alike.items():
        told = dict(published)
        for at, cell in enumerate(cells):
            if cell not in told:
                assert {world[at] for world in worlds} >= set(range(threshold))


@pytest.mark.parametrize(("cells", "cuts", "threshold"), SHAPES)
def test_an_agency_that_knows_its_own_figures_learns_no_other(
    cells: list[Key], cuts: tuple[int, ...], threshold: int
) -> None:
    """The same for an attacker who knows, besides, every cell of one agency."""
    for agency in {cell[0] for cell in cells}:
        own = [at for at, cell in enumerate(cells) if cell[0] == agency]
        alike = defaultdict(list)
        for world in product(range(threshold + 1), repeat=len(cells)):
            told = tell(dict(zip(cells, world, strict=True)), cells, cuts, threshold)
            alike[frozenset(told.items()), tuple(world[at] for at in own)].append(world)
        for (published, _), worlds in alike.items():
            told = dict(published)
            for at, cell in enumerate(cells):
                if cell not in told and at not in own:
                    assert {world[at] for world in worlds} >= set(range(threshold))


AGENCIES, PURPOSES, CODES = ["A", "B", "C", None], ["p", "q", "r"], ["x", "y"]
CELLS: list[Key] = list(product(AGENCIES, PURPOSES, CODES))
WORLDS = st.lists(st.one_of(st.integers(0, 4), st.integers(0, 12)), min_size=len(CELLS), max_size=len(CELLS))


@pytest.mark.property
@given(WORLDS, st.integers(5, 7))
def test_what_is_told_is_true_large_and_tells_each_request_once(counts: list[int], threshold: int) -> None:
    """Cells are told exactly; remainders are the sum of what falls into them; nothing told is below the threshold."""
    world = dict(zip(CELLS, counts, strict=True))
    told = tell(world, CELLS, (2, 1, 0), threshold)
    sums: dict[Key, int] = defaultdict(int)
    for cell, number in world.items():
        key = place(cell, told, (2, 1, 0))
        assert (key == cell) == (number >= threshold)
        if key is not None:
            sums[key] += number
    assert sums == told
    assert all(number >= threshold for number in told.values())


@pytest.mark.property
@given(WORLDS)
def test_for_every_untold_cell_and_small_number_there_is_a_world_told_alike(counts: list[int]) -> None:
    """The worlds of the proof in `telling` exist, and are told the same."""
    threshold = 5
    world = dict(zip(CELLS, counts, strict=True))
    told = tell(world, CELLS, (2, 1, 0), threshold)
    for cell in CELLS:
        if cell not in told:
            for number in range(threshold):
                assert tell(other_world(world, told, cell, number, (2, 1, 0)), CELLS, (2, 1, 0), threshold) == told


def test_remainders_are_told_where_they_are_ambiguous() -> None:
    """Each level tells what is large enough to be told and not so large that it gives its parts away."""
    cells: list[Key] = [(a, p, c) for a in "ABC" for p in "12" for c in "xyz"]
    world: dict[Key, int] = dict.fromkeys(cells, 0)
    world |= {("A", "1", "x"): 3, ("A", "1", "y"): 3, ("A", "2", "z"): 5}
    assert tell(world, cells, (2, 1, 0), 5) == {("A", "1"): 6, ("A", "2", "z"): 5}
    assert tell(world | {("A", "1", "z"): 4}, cells, (2, 1, 0), 5) == {("A", "2", "z"): 5}
    spread = dict.fromkeys(cells, 1)
    assert tell(spread, cells, (2, 1, 0), 5) == {}
    agencies: list[Key] = [(a, "1") for a in "ABCDEF"]
    assert tell(dict.fromkeys(agencies, 2), agencies, (1, 0), 5) == {(): 12}
    assert tell(dict.fromkeys(agencies, 1), agencies, (1, 0), 5) == {}
