"""Promise 2: of two worlds whose views for a client are equal, every answer is equal, whatever else differs.

And every cell of every answer is the one that the record-side evaluator says. docs/non-interference.md tells how.
"""

import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.disclosure.playing import PAIRS, play
from tests.disclosure.stage import Stage

IS_DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
# Pairs of worlds on each of the two databases, and the shares of them that processors can take by themselves.
WORLDS, SHARES = (5010, 10) if IS_DEEP else (150, 1)


@pytest.fixture(params=range(1, SHARES + 1), ids=lambda number: f"share {number} of {SHARES}")
def share(request: pytest.FixtureRequest) -> int:
    """The number of a share: only the deep profile has several, whose examples are other ones in each."""
    return int(request.param)


@pytest.mark.property
@pytest.mark.usefixtures("share")
@settings(max_examples=WORLDS // PAIRS // SHARES)
@given(chance=st.randoms(use_true_random=True))
def test_what_the_view_does_not_hold_changes_no_answer(chance: Random, stage: Stage) -> None:
    """Two worlds with equal views give equal answers to the same session of requests, and right ones."""
    play(chance, stage)
