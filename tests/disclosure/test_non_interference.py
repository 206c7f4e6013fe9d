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

# Pairs of worlds on each of the two databases.
WORLDS = 5001 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 150


@pytest.mark.property
@settings(max_examples=WORLDS // PAIRS)
@given(chance=st.randoms(use_true_random=True))
def test_what_the_view_does_not_hold_changes_no_answer(chance: Random, stage: Stage) -> None:
    """Two worlds with equal views give equal answers to the same session of requests, and right ones."""
    play(chance, stage)
