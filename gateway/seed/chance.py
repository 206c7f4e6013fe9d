"""Draw values by weight, and deal exact shares in random order."""

from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Weighted(Generic[T]):
    """Hold values with weights, to be drawn with replacement."""

    __slots__ = ("_bounds", "_values")

    def __init__(self, weights: Iterable[tuple[T, float]]) -> None:
        """Take pairs of a value and its weight; refuse weights that sum to nothing."""
        pairs = tuple(weights)
        self._values = tuple(value for value, _ in pairs)
        self._bounds = tuple(accumulate(weight for _, weight in pairs))
        if not pairs or self._bounds[-1] <= 0:
            raise ValueError("there is nothing to draw from")

    def draw(self, rng: Random) -> T:
        """Return one value, each as likely as its weight says."""
        return self._values[bisect(self._bounds, rng.random() * self._bounds[-1])]


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Split a total in proportion to weights, by the method of largest remainder.

    The parts sum to the total; a total equal to the sum of the weights gives the
    weights themselves; equal remainders go to the earlier weight.
    """
    whole = sum(weights)
    if total and not whole:
        raise ValueError("a total cannot be split over weights that are all nought")
    if not total:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(
        range(len(weights)),
        key=lambda index: total * weights[index] % whole,
        reverse=True,
    )
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts


def deal(total: int, counts: Mapping[T, int], rng: Random) -> Iterator[T]:
    """Iterate over a total of values in random order, in exact proportion to counts."""
    shares = apportion(total, tuple(counts.values()))
    deck: list[T] = []
    for value, share in zip(counts, shares, strict=True):
        deck.extend([value] * share)
    rng.shuffle(deck)
    return iter(deck)
