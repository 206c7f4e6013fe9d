"""Decides which counts the public is told, so that no small one can be worked out from the others.

The counts form a tree: the finest cells below their prefixes, down to the empty prefix, which stands for all. A cell
that reaches the threshold is told. What is not told of a prefix's cells is its *remainder*; it is told as one figure
where it is ambiguous enough, else it falls into the remainder of the next shorter prefix. Every request is so told
exactly once, or not at all, and whatever is published is a sum of figures that are told.

Which cells are *possible* is concluded from the cells that are told, and from nothing else. Were it concluded from what
was counted, hidden cells would bring in their own words, and a reader would see by what is told that they are not 0.
Hidden cells that are not possible count towards a remainder, but nobody is to take it that they hold any of it.

What this gives, to a reader who knows this module and all that is published: each cell that is not told can be any
number from 0 to threshold - 1. Because: let a cell be set to such a number, and let v be the first remainder above it
that is told. Of v's other parts the possible ones are set to numbers from 0 to threshold - 1 that make up for it, the
rest to 0; `_ambiguous` saw to it that such numbers exist. (If no remainder above it is told, all cells of which that
holds too are set to 0.) A part of less than the threshold is never told, however it is made up; so the same cells are
told, the same are possible, and of each remainder the sum and the number of possible parts are as they were, which
is all that decides on it. So the report is the same.

At the root the parts are agencies, and each knows its own. There the remainder must be ambiguous to each of them too.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

Part = str | tuple[str, ...] | None
Key = tuple[Part, ...]
K = TypeVar("K", bound=Key)


def tell(
    counts: Mapping[K, int], possible: Callable[[Iterable[K]], Iterable[K]], cuts: tuple[int, ...], threshold: int
) -> dict[Key, int]:
    """Return what is told: the count of a cell under its key, of a remainder under the key's beginning.

    `possible` concludes from the cells that are told which ones might have a count; `cuts` are the lengths of the
    beginnings, longest first, the last of them 0.
    """
    whole = {key: count for key, count in counts.items() if count >= threshold}
    told: dict[Key, int] = dict(whole.items())
    untold: dict[Key, int] = {key: count for key, count in counts.items() if count < threshold}
    room: set[Key] = {key for key in possible(whole) if key not in whole}
    for cut in cuts:
        parts = defaultdict(list)
        for key, count in untold.items():
            parts[key[:cut]].append(count)
        rooms = Counter(key[:cut] for key in room)
        insiders = 1 if cut == 0 else 0
        ambiguous = {at for at, counts_ in parts.items() if _ambiguous(counts_, rooms[at], threshold, insiders)}
        told |= {prefix: sum(parts[prefix]) for prefix in ambiguous}
        untold = {prefix: sum(counts_) for prefix, counts_ in parts.items() if prefix not in ambiguous}
        room = rooms.keys() - ambiguous
    return told


def place(key: Key, told: Mapping[Key, int], cuts: tuple[int, ...]) -> Key | None:
    """Return under which key a cell is told, or None if it is not told at all."""
    return next((at for at in (key, *(key[:cut] for cut in cuts)) if at in told), None)


def _ambiguous(parts: list[int], room: int, threshold: int, insiders: int) -> bool:
    """Whether any part could be 0 to threshold - 1 and others make up for it, `insiders` of them being known.

    `room` is the number of possible parts.
    1. The sum is not itself small; with an insider, not even if he has as much as a part can hide.
    2. Less what an insider knows of his own, whichever part is his, it still lets another be threshold - 1.
    3. The other possible parts can hold all of it, each hiding at most threshold - 1.
    """
    most = threshold - 1
    total = sum(parts)
    own = max(parts) if insiders else 0
    return (
        total >= max(threshold, (1 + insiders) * most)  # 1.
        and total - own >= most  # 2.
        and total <= most * (room - 1 - insiders)  # 3.
    )
