"""What the tests of the auditors' functions share: an auditor over a world's log, and a hand that erases."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from gateway import app as composition
from gateway import tables
from gateway.app import Clock
from gateway.inspection import sight
from gateway.inspection.inspector import Inspector
from gateway.inspection.sight import Condition
from tests.world import World

Inspect = Callable[..., Inspector]


@pytest.fixture
def inspect() -> Iterator[Inspect]:
    """Open the log of a world to an auditor."""
    with ExitStack() as stack:

        def opened(world: World, officer: str = "Auditor A", clock: Clock = composition.now) -> Inspector:
            world.gateway.log.seal_all()
            return stack.enter_context(composition.open_inspection(world.settings, officer, clock))

        yield opened


def erase(inspector: Inspector, name: str) -> int:
    """Destroy the openings that are about a name, as an erasure does."""
    opening = tables.opening
    about = opening.c.about.in_(inspector.openings.indexes_of(name))
    nothing = {"sealed": None, "wrapped": None, "about": None, "record": None}
    with inspector.store.transaction() as connection:
        return connection.execute(opening.update().where(about).values(nothing)).rowcount


def written(inspector: Inspector, action: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the newest entry of an action: its leaf, and what is left of its sealed part, by kind."""
    with inspector.store.reading() as connection:
        leaves = [msgspec.json.decode(leaf) for leaf in connection.scalars(sa.select(tables.entry.c.leaf))]
    leaf = max((leaf for leaf in leaves if leaf["action"] == action), key=lambda leaf: leaf["time"])
    parts = sight.parts(inspector, leaf["id"])
    return leaf, {part.kind: part.value for part in parts if part.condition is Condition.OPENED}


def count(inspector: Inspector) -> int:
    """Count the entries."""
    with inspector.store.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(tables.entry)) or 0


def records(inspector: Inspector, entry: str) -> list[dict[str, str]]:
    """Return the records that an entry discloses, from its sealed part."""
    found: list[dict[str, str]] = []
    for part in sight.parts(inspector, entry):
        match part.kind, part.value:
            case "record", {"resource": str(resource), "key": str(key), "person": str(whose)}:
                found.append({"resource": resource, "key": key, "person": whose})
            case _:
                pass
    return found
