"""The attacker's question: whether a cell could be another number, and the same be published."""

from collections.abc import Callable, Iterable, Mapping

from gateway.report.telling import K, Key, place

MOST = 4  # what a cell can hide below the threshold of five


def other_world(
    world: Mapping[K, int],
    told: Mapping[Key, int],
    cell: K,
    number: int,
    cuts: tuple[int, ...],
    possible: Callable[[Iterable[K]], Iterable[K]],
) -> dict[K, int]:
    """Set an untold cell to a number below five; possible ones of its remainder, below five too, make up for it."""
    remainder = place(cell, told, cuts)
    changed = {other: 0 if place(other, told, cuts) == remainder else count for other, count in world.items()}
    changed[cell] = number
    if remainder is None:
        return changed
    depth = cuts[cuts.index(len(remainder)) - 1] if len(remainder) < cuts[0] else len(cell)
    # One cell for each other part of the remainder.
    room = (other for other in possible(at for at in world if at in told) if place(other, told, cuts) == remainder)
    parts = {other[:depth]: other for other in room if other[:depth] != cell[:depth]}
    left = told[remainder] - number
    for other in parts.values():
        changed[other] = min(left, MOST)
        left -= changed[other]
    assert left == 0
    return changed
