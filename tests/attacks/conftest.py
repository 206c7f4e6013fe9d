"""The city that is attacked: one for all tests on each database, filled anew by each."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.attacks.city import POLICY, City, found

FoundCity = Callable[..., City]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def city(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """The city under the policy of these tests."""
    with found(request.param, request, tmp_path_factory.mktemp("city"), POLICY) as made:
        yield made


@pytest.fixture
def found_city(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FoundCity]:
    """Compose a city under documents of a test's own."""
    with ExitStack() as stack:
        yield lambda *documents, **changed: stack.enter_context(
            found(dialect, request, tmp_path, *documents, **changed)
        )
