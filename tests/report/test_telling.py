"""What is told gives nothing back of what is not, not even to one who knows how it was decided."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.report.telling import Key, place, tell
from tests.report.attack import other_world

Possible = Callable[[Iterable[Key]], Iterable[Key]]


def always(cells: Iterable[Key]) -> Possible:
    """Some cells are possible, whatever is told."""
    return lambda _: cells


def mixed(told: Iterable[Key]) -> Iterable[Key]:
    """Each agency with the words of its told cells, each with each."""
    agencies = defaultdict(list)
    for cell in told:
        agencies[cell[0]].append(cell[1:])
    for agency, words in agencies.items():
        for rest in product(*map(set, zip(*words, strict=True))):
            yield (agency, *rest)


def doubled(told: Iterable[Key]) -> Iterable[Key]:
    """Each of the agencies A to D of which a cell is told, with the words 1 and 2."""
    return {(cell[0], word) for cell in told for word in "12" if cell[0] != "E"}


SHAPES = [
    *(
        pytest.param(cells, always(cells), cuts, threshold, id=name)
        for cells, cuts, threshold, name in (
            ([(a, p) for a in "AB" for p in "123"], (1, 0), 2, "two agencies, three purposes"),
            ([(a, p) for a in "ABCD" for p in "12"], (1, 0), 2, "four agencies, two purposes"),
            ([(a, p) for a in "ABC" for p in "12"], (1, 0), 3, "three agencies, threshold three"),
            ([("A", p, c) for p in "12" for c in "wxyz"], (2, 1, 0), 2, "one agency, three levels"),
            ([(a, p, c) for a in "AB" for p in "12" for c in "xy"], (2, 1, 0), 2, "three levels"),
            ([(a,) for a in "ABCDEFG"], (0,), 3, "seven cells of one table"),
            ([("A", p) for p in "12345"], (1, 0), 4, "threshold four"),
        )
    ),
    # Hidden cells come with words that no told cell has, and decide by their numbers which words those are.
    pytest.param([("A", p, c) for p in "1234" for c in "xy"], mixed, (1, 0), 2, id="mixed words"),
    pytest.param([("A", p, c) for p in "123" for c in "xy"], mixed, (1, 0), 3, id="mixed words, threshold three"),
    pytest.param([("A", p, c) for p in "1234" for c in "xy"], mixed, (2, 1, 0), 2, id="mixed words, three levels"),
    pytest.param([(a, p) for a in "ABCD" for p in "12"], doubled, (1, 0), 2, id="agencies of which a cell is told"),
    pytest.param([*product("ABCD", "12"), ("E", "9")], doubled, (1, 0), 2, id="an agency that is never possible"),
]


@pytest.mark.parametrize(("cells", "possible", "cuts", "threshold"), SHAPES)
def test_every_untold_cell_could_be_any_small_number(
    cells: list[Key], possible: Possible, cuts: tuple[int, ...], threshold: int
) -> None:
    """Of all worlds that publish the same, each untold cell takes every value below the threshold in some.

    The attacker here knows everything but the counts: the rule, the threshold, how it is concluded which cells are
    possible. All worlds are made and told; those that look alike to him are what he can't tell apart.
    """
    alike = defaultdict(list)
    for world in product(range(threshold + 1), repeat=len(cells)):
        told = tell(dict(zip(cells, world, strict=True)), possible, cuts, threshold)
        alike[frozenset(told.items())].append(world)
    for published, worlds in alike.items():
        told = dict(published)
        for at, cell in enumerate(cells):
            if cell not in told:
                assert {world[at] for world in worlds} >= set(range(threshold))


@pytest.mark.parametrize(("cells", "possible", "cuts", "threshold"), SHAPES)
def test_an_agency_that_knows_its_own_figures_learns_no_other(
    cells: list[Key], possible: Possible, cuts: tuple[int, ...], threshold: int
) -> None:
    """The same for an attacker who knows, besides, every cell of one agency."""
    for agency in {cell[0] for cell in cells}:
        own = [at for at, cell in enumerate(cells) if cell[0] == agency]
        alike = defaultdict(list)
        for world in product(range(threshold + 1), repeat=len(cells)):
            told = tell(dict(zip(cells, world, strict=True)), possible, cuts, threshold)
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
    told = tell(world, mixed, (2, 1, 0), threshold)
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
    told = tell(world, mixed, (2, 1, 0), threshold)
    for cell in CELLS:
        if cell not in told:
            for number in range(threshold):
                other = other_world(world, told, cell, number, (2, 1, 0), mixed)
                assert tell(other, mixed, (2, 1, 0), threshold) == told


def test_remainders_are_told_where_they_are_ambiguous() -> None:
    """Each level tells what is large enough to be told and not so large that it gives its parts away."""
    cells: list[Key] = [(a, p, c) for a in "ABC" for p in "12" for c in "xyz"]
    world: dict[Key, int] = dict.fromkeys(cells, 0)
    world |= {("A", "1", "x"): 3, ("A", "1", "y"): 3, ("A", "2", "z"): 5}
    assert tell(world, always(cells), (2, 1, 0), 5) == {("A", "1"): 6, ("A", "2", "z"): 5}
    assert tell(world | {("A", "1", "z"): 4}, always(cells), (2, 1, 0), 5) == {("A", "2", "z"): 5}
    spread = dict.fromkeys(cells, 1)
    assert tell(spread, always(cells), (2, 1, 0), 5) == {}
    agencies: list[Key] = [(a, "1") for a in "ABCDEF"]
    assert tell(dict.fromkeys(agencies, 2), always(agencies), (1, 0), 5) == {(): 12}
    assert tell(dict.fromkeys(agencies, 1), always(agencies), (1, 0), 5) == {}


def test_what_is_not_possible_is_part_of_a_remainder_but_makes_no_room_in_it() -> None:
    """Five requests for five reasons, each new: whoever knows that each has one at least knows them all."""
    new: dict[Key, int] = {("A", "1", reason): 1 for reason in "vwxyz"}
    assert tell(new, mixed, (2, 1, 0), 5) == {}
    large: list[Key] = [("A", "1", "a", "X"), ("A", "1", "b", "Y"), ("A", "1", "c", "X"), ("A", "1", "d", "Y")]
    small: dict[Key, int] = {("A", "1", "new", "X"): 3, ("A", "1", "a", "Y"): 2}
    told = dict.fromkeys(large, 9)
    assert tell(told | small, mixed, (2, 1, 0), 5) == told | {("A", "1"): 5}
    assert tell(told | small | {("A", "1", "newer", "X"): 4}, mixed, (2, 1, 0), 5) == told | {("A", "1"): 9}
    more: dict[Key, int] = {("A", "1", "newer", "X"): 4, ("A", "1", "newest", "X"): 4}
    assert tell(told | small | more, mixed, (2, 1, 0), 5) == told
