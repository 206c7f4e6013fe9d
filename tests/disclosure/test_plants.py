"""Tests of the test: the property notices each planted leak."""

from itertools import chain
from pathlib import Path
from random import Random

import pytest

from tests.disclosure.plants import PLANTS, Plant
from tests.disclosure.playing import play
from tests.disclosure.stage import Stage

DOCUMENT = Path(__file__).parents[2] / "docs" / "non-interference.md"
# Examples, the same in every run.
MOST = 70


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.attack}: {plant.leak}")
def test_a_planted_leak_is_noticed(plant: Plant, sqlite_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The very property fails on the gateway with the leak, within a bounded number of examples."""
    plant.put(monkeypatch)
    with pytest.raises(AssertionError):
        _play_all(sqlite_stage, plant.shown_by)


def _play_all(stage: Stage, first: int) -> None:
    """Play the examples; first the one that is known to show the leak, so that there is not long to wait."""
    for seed in chain((first,), range(MOST)):
        play(Random(seed), stage)  # noqa: S311 -- to repeat it is the purpose


def test_every_plant_is_documented() -> None:
    """The document lists the very plants, by class of attack."""
    rows = [f"| {plant.attack} | {plant.leak} |" for plant in PLANTS]
    assert [line for line in DOCUMENT.read_text().splitlines() if line[:4] in ("| A ", "| B ", "| C ")] == rows
