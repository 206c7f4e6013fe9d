"""A store whose log is measured, on either database, and entries of the size of real ones."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from gateway import app as composition
from gateway.app import OpenLog, now
from gateway.audit.entry import Entry, Opening
from gateway.canonical import Json
from tests import world
from tests.world import Databases

# The size of a leaf, about.
ROW = 1500
_DURABLE = "CREATE TABLE durable (number {}, leaf {} NOT NULL)"

# Each process is forked from one that has imported all this and done nothing.
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])

Once = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Place:
    """A store to measure, and the keys of its log."""

    url: str
    keys: Path

    @property
    def sqlite(self) -> bool:
        """Whether it is a file."""
        return self.url.startswith("sqlite")

    @property
    def title(self) -> str:
        """The database's name."""
        return "SQLite" if self.sqlite else "PostgreSQL"

    @property
    def driver(self) -> str:
        """The driver's name."""
        return "sqlite3" if self.sqlite else "psycopg"

    @contextmanager
    def opened(self) -> Iterator[OpenLog]:
        """Open its log, as each process does."""
        with composition.open_log(world.settings(Databases("sqlite:///nowhere.db", self.url), self.keys)) as log:
            yield log

    def prepare(self) -> None:
        """Make the store's tables, and one for rows that are nothing but durable."""
        composition.prepare(world.settings(Databases("sqlite:///nowhere.db", self.url), self.keys))
        kinds = ("INTEGER PRIMARY KEY", "BLOB") if self.sqlite else ("BIGSERIAL PRIMARY KEY", "BYTEA")
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            connection.exec_driver_sql(_DURABLE.format(*kinds))
        engine.dispose()

    @contextmanager
    def commits(self) -> Iterator[Once]:
        """Yield what commits one row by the driver alone, in one statement."""
        if self.sqlite:
            file = sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None, timeout=60)
            file.execute("PRAGMA synchronous=FULL")
            yield lambda: file.execute("INSERT INTO durable (leaf) VALUES (?)", [os.urandom(ROW)])
            file.close()
            return
        with psycopg.connect(self.url, autocommit=True) as connection:
            yield lambda: connection.execute("INSERT INTO durable (leaf) VALUES (%b)", [os.urandom(ROW)])


def entry(records: int) -> Entry:
    """Return the entry of a page with so many records, of the size of a real one; all in it is invented."""
    how: Json = {"source": "203.0.113.7", "duration_ms": 12.5, "bytes_in": 120, "bytes_out": 20_000}
    openings = [
        Opening("circumstances", how),
        Opening("officer", "B. Officer"),
        Opening("question", {"filter": {"family_name": {"eq": "NAME"}, "given_name": {"eq": "NAME"}}}),
    ]
    shown = ({"resource": "arrests", "key": str(10**7 + n), "person": str(10**6 + n)} for n in range(records))
    openings += [Opening("record", each) for each in shown]
    facts: dict[str, Any] = {
        "bundle": "sha256:" + "a" * 64,
        "rules": ["federal-criminal-1", "federal-criminal-2"],
        "resource": "arrests",
        "purpose": "criminal-investigation",
        "shown": [f"a_field_of_a_record_{number}" for number in range(40)],
        "records": records,
        "persons": records,
    }
    return Entry("read", "permit", "disclosed", now(), None, facts, tuple(openings))
