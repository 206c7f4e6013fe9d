"""A measurement: how many answers in how many seconds, and how long each took."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """A rate in answers a second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


def sample(seconds: float, latencies: Iterable[float]) -> Sample:
    """Summarise latencies (in milliseconds) that were measured over some seconds."""
    ordered = sorted(latencies)
    if not ordered:
        raise RuntimeError("nothing was answered")
    return Sample(len(ordered) / seconds, _at(ordered, 0.50), _at(ordered, 0.99))


def middle(samples: Iterable[Sample]) -> Sample:
    """Return the median of each figure."""
    taken = list(samples)
    return Sample(median(s.rate for s in taken), median(s.p50 for s in taken), median(s.p99 for s in taken))


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
