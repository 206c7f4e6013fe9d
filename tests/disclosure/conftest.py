"""The stages of the property, composed once for all of its examples."""

from collections.abc import Iterator

import pytest

from tests.disclosure import stage as stages
from tests.disclosure.stage import Stage
from tests.services import Postgres


@pytest.fixture(scope="session")
def sqlite_stage() -> Iterator[Stage]:
    """Two gateways on SQLite."""
    with stages.stage(None) as composed:
        yield composed


@pytest.fixture(scope="session")
def postgresql_stage(postgres: Postgres) -> Iterator[Stage]:
    """Two gateways on PostgreSQL."""
    with stages.stage(postgres) as composed:
        yield composed


@pytest.fixture
def stage(dialect: str, request: pytest.FixtureRequest) -> Stage:
    """Two gateways on either database."""
    found: Stage = request.getfixturevalue(f"{dialect}_stage")
    return found
