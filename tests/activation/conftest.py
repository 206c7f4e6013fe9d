"""The small city of these tests: its store, its approvers, its first policy in force."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway import app as composition
from tests import world
from tests.activation.city import City, directory
from tests.policy import small
from tests.world import Databases, World


@dataclass(slots=True)
class Time:
    """The wall's clock and the monotonic one, moved by hand from the real moment on."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    passed: float = 0

    def wall(self) -> datetime:
        """Return the moment."""
        return self.began + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        """Return seconds."""
        return self.passed


@pytest.fixture
def time() -> Time:
    """A clock for tests that need one."""
    return Time()


@pytest.fixture
def small_arrests(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A small city's database of the test's own."""
    if dialect == "sqlite":
        yield _created(f"sqlite:///{tmp_path / 'small.db'}")
        return
    server = request.getfixturevalue("postgres")
    name = server.create()
    yield _created(server.url(name))
    server.drop(name)


def _created(url: str) -> str:
    engine = sa.create_engine(url)
    small.metadata.create_all(engine)
    engine.dispose()
    return url


@pytest.fixture
def city(databases: Databases, small_arrests: str, tmp_path: Path) -> City:
    """A city with the policy `first` in force, by statement 1."""
    first = directory(tmp_path / "policy-first", "first")
    own = Databases(small_arrests, databases.store)
    settings = world.settings(own, tmp_path / "keys", policies=str(first))
    world.prepare(settings)
    return City(settings, tmp_path)


@pytest.fixture
def serve(city: City, time: Time) -> Iterator[Callable[[], World]]:
    """Compose gateways of the city, one after the other; their monotonic clock is the test's."""
    made: list[World] = []

    def compose() -> World:
        if made:
            made.pop().close()
        made.append(World(composition.build(city.settings, city.clock, time.monotonic), city.settings))
        return made[-1]

    yield compose
    for each in made:
        each.close()
