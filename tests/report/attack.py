"""The attacker's question: whether a cell could be another number, and the same be published."""

from collections.abc import Mapping

from gateway.report.telling import K, Key, place

MOST = 4  # what a cell can hide below the threshold of five


def other_world(
    world: Mapping[K, int], told: Mapping[Key, int], cell: K, number: int, cuts: tuple[int, ...]
) -> dict[K, int]:
    """Set an untold cell to a number below five, and let others of its remainder, each below five, make up for it."""
    remainder = place(cell, told, cuts)
    same = [other for other in world if place(other, told, cuts) == remainder]
    changed = dict.fromkeys([*same, cell], 0)
    changed[cell] = number
    if remainder is None:
        return dict(world) | changed
    depth = cuts[cuts.index(len(remainder)) - 1] if len(remainder) < cuts[0] else len(cell)
    # One cell for each part of the remainder: this one for its own part, any for the others.
    parts = {other[:depth]: other for other in same} | {cell[:depth]: cell}
    left = told[remainder] - number
    for other in parts.values():
        if other != cell:
            changed[other] = min(left, MOST)
            left -= changed[other]
    assert left == 0
    return dict(world) | changed
