"""What all tests share: real databases, worlds over them, and the profiles of the property tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests import arrests, services, world
from tests.services import Postgres
from tests.world import Databases, World

# A failing example is printed as it was found: shrinking one over two databases takes longer than reading it.
_COMMON = {
    "deadline": None,
    "phases": [Phase.explicit, Phase.generate],
    "database": None,
    "suppress_health_check": list(HealthCheck),
}
settings.register_profile("default", max_examples=40, derandomize=True, **_COMMON)  # type: ignore[arg-type]
settings.register_profile("deep", max_examples=400, **_COMMON)  # type: ignore[arg-type]
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

MakeWorld = Callable[..., World]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the whole run."""
    with services.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """A Valkey server for the whole run."""
    with services.valkey() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_arrests(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The arrest database of the tests on SQLite."""
    url = f"sqlite:///{tmp_path_factory.mktemp('arrests') / 'arrests.db'}"
    arrests.build(url)
    return url


@pytest.fixture(scope="session")
def postgres_arrests(postgres: Postgres) -> str:
    """The name of the arrest database of the tests on PostgreSQL."""
    name = postgres.create()
    arrests.build(postgres.url(name))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Run the test on both databases."""
    return str(request.param)


@pytest.fixture
def databases(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """An arrest database that is shared, and a store of the test's own."""
    if dialect == "sqlite":
        yield Databases(request.getfixturevalue("sqlite_arrests"), f"sqlite:///{tmp_path / 'store.db'}")
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create()
    yield Databases(server.url(request.getfixturevalue("postgres_arrests")), server.url(name))
    server.drop(name)


@pytest.fixture
def make_world(databases: Databases, tmp_path: Path) -> Iterator[MakeWorld]:
    """Compose gateways over the test's databases, one after the other."""
    made: list[World] = []

    def make(**changed: str) -> World:
        if made:
            made.pop().close()
        made.append(world.build(databases, tmp_path / "keys", **changed))
        return made[-1]

    yield make
    for each in made:
        each.close()
