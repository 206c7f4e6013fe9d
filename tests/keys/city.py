"""A city's machine for the tests of keys: its settings, and the commands that its officers run there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from click.testing import CliRunner

from gateway import app as composition
from gateway import tables
from gateway.audit.inventory import Known
from gateway.cli import program
from gateway.settings import Settings
from gateway.store import Store
from tests.world import environment

BECAUSE = ["--because", "Sealed reason.", "--by", "Officer Sealed"]
DAY = "2009-01-01"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with its settings."""

    settings: Settings

    @property
    def keys(self) -> Path:
        """The directory of its key files."""
        return self.settings.keys

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run a command; what is refused is said in one line."""
        done = CliRunner().invoke(program, list(arguments), env=environment(self.settings))
        assert done.exit_code == status, (done.output, done.exc_info)
        assert "Traceback" not in done.output
        assert list(self.keys.parent.rglob(".new-*")) == []
        if status:
            assert done.stderr.startswith("gateway: ")
            assert done.stderr.count("\n") == 1
        assert self.settings.keys_passphrase.read_text().strip() not in done.output
        return done.stderr if status else done.stdout

    def rotate(self, use: str, status: int = 0) -> str:
        """Rotate a key."""
        return self.run("keys", "rotate", use, *BECAUSE, status=status)

    def retire(self, use: str, number: int, status: int = 0) -> str:
        """Retire a key."""
        return self.run("keys", "retire", use, str(number), *BECAUSE, status=status)

    def listed(self) -> dict[tuple[str, int], list[str]]:
        """Return what `gateway keys list` says: kind, id, since, state, public part, by use and number."""
        lines = [line.split("\t") for line in self.run("keys", "list").splitlines()]
        return {(use, int(number)): told for use, number, *told in lines}

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Open the store."""
        store = Store(self.settings.store_url)
        try:
            yield store
        finally:
            store.close()

    def known(self) -> tuple[Known, ...]:
        """Return the keys that the log knows."""
        with composition.open_inventory(self.settings) as held:
            return held.known()

    def leaves(self, action: str) -> list[dict[str, Any]]:
        """Return the leaves of an action, in the order of the tree."""
        entry, leaf = tables.entry, tables.leaf
        statement = sa.select(entry.c.leaf).join(leaf, leaf.c.entry_id == entry.c.entry_id).order_by(leaf.c.leaf_index)
        with self.store() as store, store.reading() as connection:
            found = [json.loads(content) for content in connection.scalars(statement)]
        return [each for each in found if each["action"] == action]

    def notes(self) -> list[str]:
        """Return the checkpoints, by size."""
        statement = sa.select(tables.checkpoint.c.note).order_by(tables.checkpoint.c.size)
        with self.store() as store, store.reading() as connection:
            return list(connection.scalars(statement))
