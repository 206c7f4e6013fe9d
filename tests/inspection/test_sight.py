"""What is to be seen of an entry, by whom it was opened, and what is left after an erasure."""

from dataclasses import replace
from datetime import datetime

import pytest
import sqlalchemy as sa

from gateway import app as composition
from gateway import tables
from gateway.audit.entry import officer, person
from gateway.errors import ConfigurationError, Unavailable
from gateway.inspection.inspector import Inspector, Reason
from gateway.inspection.sight import Condition, look, newest, open_
from tests.conftest import MakeWorld
from tests.inspection.conftest import Inspect, count, erase, records, written
from tests.world import World

WHY = Reason("A complaint was made.")


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A world with a client."""
    return make_world()


def disclosed(world: World) -> str:
    """Disclose three records; return the entry."""
    response = world.asker("fbi", "FBI", officer="Officer X").search({"limit": 3})
    assert response.status_code == 200
    return response.headers["Log-Entry"]


def test_looking_shows_leaf_and_place_and_nothing_sealed(world: World, inspect: Inspect) -> None:
    """While it waits and when it is sealed; what is sealed is counted."""
    entry = disclosed(world)
    with composition.open_inspection(world.settings, "Auditor A") as waiting:
        seen = look(waiting, entry)
    assert (seen.place.index, seen.place.whole) == (None, True)
    inspector = inspect(world)
    seen = look(inspector, entry[:8])
    assert seen.leaf["id"] == entry
    assert seen.place.index is not None
    assert seen.place.index < seen.place.covered
    assert [part.condition for part in seen.parts] == [Condition.SEALED] * seen.leaf["commitments"]["count"]
    assert {part.value for part in seen.parts} == {None}
    leaf, _ = written(inspector, "audit-show")
    assert leaf["entry"] == entry
    assert seen.mentions == ()


def test_whoever_opens_is_shown_to_all_who_look_afterwards(world: World, inspect: Inspect) -> None:
    """By whom, when and why; the entry of it says how many openings there were, and seals which entry."""
    entry = disclosed(world)
    opener, other = inspect(world), inspect(world, "Auditor B")
    seen = open_(opener, entry, WHY)
    assert {part.condition for part in seen.parts} == {Condition.OPENED}
    values = {part.kind: part.value for part in seen.parts}
    assert values["officer"] == "Officer X"
    assert values["record"] == records(opener, entry)[-1]
    leaf, sealed = written(opener, "audit-open")
    assert leaf["openings"] == len(seen.parts)
    assert entry not in str(leaf)
    assert sealed == {"officer": "Auditor A", "opened": {"entry": entry, "because": WHY.text}}
    again = look(other, entry)
    assert again.mentions == seen.mentions
    (mention,) = again.mentions
    assert (mention.action, mention.officer, mention.because) == ("audit-open", "Auditor A", WHY.text)
    assert (mention.entry, mention.time) == (leaf["id"], leaf["time"])
    open_(other, entry, Reason("For a second look."))
    assert [each.officer for each in look(opener, entry).mentions] == ["Auditor A", "Auditor B"]


def test_what_was_erased_is_shown_as_erased(world: World, inspect: Inspect) -> None:
    """The other openings of the same entry stay; nothing tells whose the erased one was."""
    entry = disclosed(world)
    inspector = inspect(world)
    key = records(inspector, entry)[0]["person"]
    assert erase(inspector, person(key)) >= 1
    seen = open_(inspector, entry, WHY)
    erased = [part for part in seen.parts if part.condition is Condition.ERASED]
    assert erased
    assert {(part.kind, part.value) for part in erased} == {("", None)}
    assert {part.kind for part in seen.parts} >= {"officer", "question", "body"}
    assert look(inspector, entry).parts.count(erased[0]) == 1


def test_what_is_erased_between_entry_and_reading_is_not_shown(world: World, inspect: Inspect) -> None:
    """An erasure that comes first wins: nothing was read before it."""
    entry = disclosed(world)
    eraser = inspect(world)

    def erasing() -> datetime:
        erase(eraser, officer("Officer X"))
        return composition.now()

    inspector = replace(inspect(world), clock=erasing)
    seen = open_(inspector, entry, WHY)
    assert [part.condition for part in seen.parts].count(Condition.ERASED) == 1
    assert "officer" not in {part.kind for part in seen.parts}


def test_an_opener_whose_name_was_erased_is_still_told_of(world: World, inspect: Inspect) -> None:
    """That it was opened, when and why stays."""
    entry = disclosed(world)
    inspector = inspect(world)
    open_(inspector, entry, WHY)
    erase(inspector, officer("Auditor A"))
    (mention,) = look(inspect(world, "Auditor B"), entry).mentions
    assert (mention.officer, mention.because) == ("(erased or damaged)", WHY.text)


@pytest.mark.parametrize("column", ["sealed", "wrapped", "commitment", "about"])
def test_an_opening_that_was_changed_is_told_and_not_shown(world: World, inspect: Inspect, column: str) -> None:
    """Whatever of it was changed, its value is not told as if it were proved; the others are."""
    entry = disclosed(world)
    inspector = inspect(world)
    opening = tables.opening
    with inspector.store.transaction() as connection:
        changed = opening.update().where(opening.c.entry_id == entry, opening.c.position == 1)
        connection.execute(changed.values({column: bytes(64)}))
    parts = open_(inspector, entry, WHY).parts
    assert (parts[1].condition, parts[1].value) == (Condition.DAMAGED, None)
    assert {part.condition for part in parts if part.position != 1} == {Condition.OPENED}


def test_a_leaf_that_was_changed_is_told(world: World, inspect: Inspect) -> None:
    """Bytes that don't hash to their place are shown with a warning."""
    entry = disclosed(world)
    inspector = inspect(world)
    table = tables.entry
    with inspector.store.transaction() as connection:
        before = connection.scalar(sa.select(table.c.leaf).where(table.c.entry_id == entry)) or b""
        changed = before.replace(b'"FBI"', b'"ATF"')
        connection.execute(table.update().where(table.c.entry_id == entry).values(leaf=changed))
    assert not look(inspector, entry).place.whole


@pytest.mark.parametrize(
    "entry",
    ["", "%", "________", "0" * 32, "0" * 7, "f" * 33, "' OR 1=1 --", "ABCDEF01", "g" * 32, "\u0660" * 8, "x" * 9000],
)
def test_an_id_that_does_not_exist_is_told_and_nothing_written(world: World, inspect: Inspect, entry: str) -> None:
    """Neither wildcard nor prefix that is too short finds anything."""
    disclosed(world)
    inspector = inspect(world)
    before = count(inspector)
    with pytest.raises(ConfigurationError, match="entry"):
        look(inspector, entry)
    with pytest.raises(ConfigurationError, match="entry"):
        open_(inspector, entry, WHY)
    assert count(inspector) == before


def test_nothing_is_opened_that_can_not_be_written_down(world: World, inspect: Inspect) -> None:
    """Where the log can't be written, a sealed part stays sealed."""
    entry = disclosed(world)
    inspector = inspect(world)
    with _unwritable(inspector), pytest.raises(Unavailable):
        open_(inspector, entry, WHY)
    with _unwritable(inspector), pytest.raises(Unavailable):
        look(inspector, entry)
    with _unwritable(inspector), pytest.raises(Unavailable):
        newest(inspector, 3)


class _unwritable:  # noqa: N801 -- used as a context
    def __init__(self, inspector: Inspector) -> None:
        self._store = inspector.store

    def __enter__(self) -> None:
        self._rename("pending", "gone")

    def __exit__(self, *_: object) -> None:
        self._rename("gone", "pending")

    def _rename(self, before: str, after: str) -> None:
        with self._store.transaction() as connection:
            connection.execute(sa.text(f"ALTER TABLE {before} RENAME TO {after}"))


def test_showing_the_newest_is_an_entry(world: World, inspect: Inspect) -> None:
    """The newest leaves, the oldest of them first; that they were shown is written down."""
    entry = disclosed(world)
    inspector = inspect(world)
    leaves = newest(inspector, 2)
    assert [leaf["id"] for leaf in leaves][-1] == entry
    assert written(inspector, "audit-show")[0]["last"] == 2
