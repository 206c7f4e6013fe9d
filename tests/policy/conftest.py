"""The small city's tables, on both databases."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.catalogue import Catalogue
from gateway.plan.planner import Planner
from gateway.policy.bundle import load
from gateway.policy.tables import Dialect
from gateway.records.query import Records
from tests.policy import small


@dataclass(frozen=True, slots=True)
class Bench:
    """A database with its planner."""

    engine: sa.Engine
    records: Records
    planner: Planner


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The small city's catalogue."""
    root = tmp_path_factory.mktemp("small")
    small.write(root, small.document([small.EVERYTHING]))
    return load(root).catalogue


@pytest.fixture
def small_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty small city."""
    if dialect == "sqlite":
        url = f"sqlite:///{tmp_path / 'small.db'}"
        _create(url)
        yield url
        return
    server = request.getfixturevalue("postgres")
    name = server.create()
    _create(server.url(name))
    yield server.url(name)
    server.drop(name)


def _create(url: str) -> None:
    engine = sa.create_engine(url)
    small.metadata.create_all(engine)
    engine.dispose()


@pytest.fixture
def bench(small_url: str, dialect: str, catalogue: Catalogue) -> Iterator[Bench]:
    """The small city behind a planner."""
    engine = sa.create_engine(small_url)
    records = Records(small_url, 5)
    yield Bench(engine, records, Planner(catalogue.resources["cases"], Dialect(dialect)))
    records.engine.dispose()
    engine.dispose()
