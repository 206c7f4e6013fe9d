"""How well two kinds of answer are told apart by how long they took: the statistics of the measurement of time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import NormalDist, mean, median

# Stated before anything was measured. At one sample a hidden match counts as not told from none where the whole 95 %
# interval of the AUC lies this close to a half; over blocks of samples, where the share told right lies in the interval
# that guessing gives.
ONE_SAMPLE = 0.02
BLOCKS = (10, 100)
_RESAMPLED = 200
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Share:
    """How often, of blocks of `size` pairs, the hidden match took longer, and how far guessing goes from a half."""

    size: int
    blocks: int
    right: float

    @property
    def guessing(self) -> float:
        """Half the width of the interval in which 99 % of guessers end."""
        return 2.576 * 0.5 / math.sqrt(self.blocks)

    @property
    def told(self) -> bool:
        """Whether it is more, or less, than guessing."""
        return abs(self.right - 0.5) > self.guessing


@dataclass(frozen=True, slots=True)
class Telling:
    """What a sample of latencies (in milliseconds) of two kinds tells about which is which."""

    samples: int
    medians: tuple[float, float]
    means: tuple[float, float]
    spread: float
    auc: float
    interval: tuple[float, float]
    advantage: float
    probability: float
    shares: tuple[Share, ...]

    @property
    def verdict(self) -> str:
        """Say whether one sample tells, by the threshold; an interval that is on both sides of it says neither."""
        low, high = self.interval
        if max(0.5 - low, high - 0.5) <= ONE_SAMPLE:
            return "not told apart"
        return "**told apart**" if low > 0.5 + ONE_SAMPLE or high < 0.5 - ONE_SAMPLE else "open"

    @property
    def needed(self) -> float:
        """Samples of each kind after which a guess is right in 95 of 100, if each adds as much as the first."""
        # The nearer end of the interval to a half would flatter; this is the farther one.
        farthest = max(self.interval[1], 1 - self.interval[0])
        if farthest >= 1:
            return 1
        distance = math.sqrt(2) * _NORMAL.inv_cdf(farthest)
        return max(1.0, (2 * _NORMAL.inv_cdf(0.95) / distance) ** 2)


def telling(hidden: Sequence[float], missing: Sequence[float]) -> Telling:
    """Measure how well two samples are told apart, taken in pairs, one of each kind a pair."""
    auc = _auc(hidden, missing)
    chance = Random(1)  # noqa: S311 -- must be repeatable
    resampled = sorted(
        _auc(chance.choices(hidden, k=len(hidden)), chance.choices(missing, k=len(missing))) for _ in range(_RESAMPLED)
    )
    deviation = math.sqrt((len(hidden) + len(missing) + 1) / (12 * len(hidden) * len(missing)))
    return Telling(
        samples=len(hidden),
        medians=(median(hidden), median(missing)),
        means=(mean(hidden), mean(missing)),
        spread=_spread(missing),
        auc=auc,
        interval=(resampled[int(0.025 * _RESAMPLED)], resampled[int(0.975 * _RESAMPLED)]),
        advantage=_advantage(hidden, missing),
        # Mann-Whitney: the AUC against a half, two-sided.
        probability=math.erfc(abs(auc - 0.5) / deviation / math.sqrt(2)),
        shares=tuple(_share(hidden, missing, size) for size in BLOCKS if size <= len(hidden)),
    )


def _auc(hidden: Sequence[float], missing: Sequence[float]) -> float:
    """Return how often one of the hidden took longer than one of the missing; equal ones count half."""
    ordered = sorted([(value, 1) for value in hidden] + [(value, 0) for value in missing])
    below = wins = 0.0
    at = 0
    while at < len(ordered):
        end = at
        tied = [0, 0]
        while end < len(ordered) and ordered[end][0] == ordered[at][0]:
            tied[ordered[end][1]] += 1
            end += 1
        wins += tied[1] * (below + tied[0] / 2)
        below += tied[0]
        at = end
    return wins / (len(hidden) * len(missing))


def _advantage(hidden: Sequence[float], missing: Sequence[float]) -> float:
    """Return the advantage of the best threshold (Kolmogorov-Smirnov): right and wrong alarms apart at most so much."""
    ordered = sorted([(value, 1 / len(hidden)) for value in hidden] + [(value, -1 / len(missing)) for value in missing])
    apart = best = 0.0
    for number, (value, weight) in enumerate(ordered):
        apart += weight
        if number + 1 == len(ordered) or ordered[number + 1][0] != value:
            best = max(best, abs(apart))
    return best


def _share(hidden: Sequence[float], missing: Sequence[float], size: int) -> Share:
    blocks = len(hidden) // size
    longer = 0.0
    for number in range(blocks):
        part = slice(number * size, (number + 1) * size)
        one, other = median(hidden[part]), median(missing[part])
        longer += 0.5 if one == other else float(one > other)
    return Share(size, blocks, longer / blocks)


def _spread(values: Sequence[float]) -> float:
    """Return the distance between the quartiles."""
    ordered = sorted(values)
    return ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]
