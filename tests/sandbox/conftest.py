"""A real gateway and its sandbox beside each other, over the same rows: nothing but the marks tells them apart."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway import app as composition
from gateway.seed import seed
from gateway.settings import Settings
from tests import arrests, world
from tests.services import Postgres
from tests.world import Databases, World

NAMES = {
    "real": {"issuer": "https://gateway.city.example", "log_origin": "gateway.city.example/log"},
    "sandbox": {
        "sandbox": "true",
        "issuer": "https://sandbox.gateway.city.example",
        "log_origin": "sandbox.gateway.city.example/log",
    },
}


def invent(url: str) -> None:
    """Invent the arrests that the tests' own database has."""
    seed(url, year=2014, arrests=arrests.ARRESTS, seed=7)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gateway of one kind has what is its own."""

    kind: str
    databases: Databases
    directory: Path
    made: list[World] = field(default_factory=list)

    def settings(self, **changed: str) -> Settings:
        """Return its settings, some of them changed."""
        keys = Path(changed.pop("keys", self.directory / self.kind / "keys"))
        keys.parent.mkdir(exist_ok=True)
        return world.settings(self.databases, keys, **NAMES[self.kind] | changed)

    def prepare(self, **changed: str) -> Settings:
        """Prepare its store, keys and log, and no policy."""
        chosen = self.settings(**changed)
        composition.prepare(chosen)
        return chosen

    def start(self, **changed: str) -> World:
        """Prepare its store and keys, and compose it."""
        chosen = self.settings(**changed)
        world.prepare_over(chosen)
        return self.compose(chosen)

    def compose(self, chosen: Settings, monotonic: Callable[[], float] = lambda: 0.0) -> World:
        """Compose it, and close it at the end of the test."""
        self.made.append(World(composition.build(chosen, monotonic=monotonic), chosen))
        return self.made[-1]


@dataclass(frozen=True, slots=True)
class Places:
    """Both of them."""

    real: Place
    sandbox: Place


@pytest.fixture(scope="session")
def invented_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An invented arrest database in a file, to be copied."""
    path = tmp_path_factory.mktemp("invented") / "arrests.db"
    invent(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def invented_postgres(postgres: Postgres) -> str:
    """The name of an invented arrest database on PostgreSQL, to be copied: nobody connects to it."""
    name = postgres.create()
    invent(postgres.url(name))
    return name


@contextmanager
def placed(dialect: str, request: pytest.FixtureRequest, directory: Path) -> Iterator[Places]:
    """Make arrest databases with the same rows, of which one is marked as invented; stores, keys and names apart."""
    dropped: list[str] = []
    if dialect == "sqlite":
        for kind in NAMES:
            shutil.copyfile(request.getfixturevalue("invented_sqlite"), directory / f"{kind}.db")
        urls = {kind: (f"sqlite:///{directory / kind}.db", f"sqlite:///{directory / kind}-store.db") for kind in NAMES}
    else:
        server: Postgres = request.getfixturevalue("postgres")
        template = request.getfixturevalue("invented_postgres")
        dropped = [server.create(each) for each in (template, "template1", template, "template1")]
        made = [server.url(name) for name in dropped]
        urls = {"real": (made[0], made[1]), "sandbox": (made[2], made[3])}
    arrests.stand_for_real(urls["real"][0])
    both = Places(*(Place(kind, Databases(*urls[kind]), directory) for kind in ("real", "sandbox")))
    yield both
    for each in (*both.real.made, *both.sandbox.made):
        each.close()
    for name in dropped:
        request.getfixturevalue("postgres").drop(name)


@pytest.fixture
def places(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Places]:
    """A real gateway's place and a sandbox's, of the test's own."""
    with placed(dialect, request, tmp_path) as both:
        yield both
