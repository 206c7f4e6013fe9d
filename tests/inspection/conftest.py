"""What the tests of the auditors' functions share: an auditor over a world's log."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from gateway import app as composition
from gateway.inspection.inspector import Inspector
from tests.world import World

Inspect = Callable[..., Inspector]


@pytest.fixture
def inspect() -> Iterator[Inspect]:
    """Open the log of a world to an auditor."""
    with ExitStack() as stack:

        def opened(world: World, officer: str = "Auditor A", clock: composition.Clock = composition.now) -> Inspector:
            return stack.enter_context(composition.open_inspection(world.settings, officer, clock))

        yield opened
