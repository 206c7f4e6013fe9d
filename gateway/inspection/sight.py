"""An entry as auditors see it: its leaf, its place in the tree, what is sealed in it, and who has opened that."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from gateway import tables
from gateway.audit.entry import Opening, other
from gateway.audit.merkle import leaf_hash
from gateway.audit.openings import OpeningError, Sealed
from gateway.audit.show import latest
from gateway.canonical import Json
from gateway.errors import ConfigurationError
from gateway.inspection.inspector import Inspector, Reason, decoded

_ID = re.compile("[0-9a-f]{8,32}")


class Condition(StrEnum):
    """What has become of an opening."""

    SEALED = "sealed"
    OPENED = "opened"
    ERASED = "erased"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Part:
    """One opening of an entry; of one that is not opened, kind and value are empty."""

    position: int
    condition: Condition
    kind: str
    value: Json


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands: its index among the leaves, and how many the newest checkpoint covers.

    `index` is None while it waits; `whole` says whether its bytes hash to its leaf.
    """

    index: int | None
    covered: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Mention:
    """Another entry about this one, such as one by which it was opened: by whom, when and why, as far as not erased."""

    entry: str
    action: str
    time: str
    officer: str
    because: str


@dataclass(frozen=True, slots=True)
class Sight:
    """All that is to be seen of an entry."""

    leaf: dict[str, Any]
    place: Place
    parts: tuple[Part, ...]
    mentions: tuple[Mention, ...]


def newest(inspector: Inspector, count: int) -> list[dict[str, Any]]:
    """Return the newest leaves of the tree, the oldest of them first; first it is written down that they are shown."""
    inspector.write_down("audit-show", {"last": count})
    return latest(inspector.store, count)


def look(inspector: Inspector, entry: str) -> Sight:
    """Look at an entry, named by its id or the first eight characters of it or more; nothing sealed of it is opened."""
    identifier = _found(inspector, entry)
    inspector.write_down("audit-show", {"entry": identifier})
    sealed = tuple(
        Part(row.position, Condition.ERASED if row.sealed is None else Condition.SEALED, "", None)
        for row in _openings(inspector, identifier)
    )
    return _sight(inspector, identifier, sealed)


def open_(inspector: Inspector, entry: str, reason: Reason) -> Sight:
    """Open the sealed part of an entry; who did and why is shown to everyone who looks at that entry afterwards.

    What is erased between the entry of the opening and the reading is shown as erased: the entry tells how many were
    left when it was written.
    """
    identifier = _found(inspector, entry)
    left = sum(row.sealed is not None for row in _openings(inspector, identifier))
    because = Opening("opened", {"entry": identifier, "because": reason.text})
    inspector.write_down("audit-open", {"openings": left}, because)
    return _sight(inspector, identifier, parts(inspector, identifier))


def parts(inspector: Inspector, identifier: str) -> tuple[Part, ...]:
    """Open what is left of an entry's sealed part, and hold it against the commitments."""
    return tuple(_part(inspector, row) for row in _openings(inspector, identifier))


def _part(inspector: Inspector, row: sa.Row[Any]) -> Part:
    if row.sealed is None:
        return Part(row.position, Condition.ERASED, "", None)
    kept = Sealed(row.sealed, row.wrapped, row.about, row.record)
    try:
        inspector.openings.check(kept, row.commitment, row.entry_id, row.position)
        opened = inspector.openings.open(row.sealed, row.wrapped, row.entry_id, row.position)
    except OpeningError:
        return Part(row.position, Condition.DAMAGED, "", None)
    return Part(row.position, Condition.OPENED, opened.kind, opened.value)


def _found(inspector: Inspector, entry: str) -> str:
    if not _ID.fullmatch(entry):
        raise ConfigurationError("an entry is named by its id, or by the first eight of its 32 hex digits or more")
    ids = tables.entry.c.entry_id
    with inspector.store.reading() as connection:
        found = list(connection.scalars(sa.select(ids).where(ids >= entry, ids < entry + "g").limit(2)))
    if not found:
        raise ConfigurationError(
            f"there is no entry {entry}; where the log declares a loss, its entries are gone, and 'audit verify "
            "--promise' tells whether this was one"
        )
    if len(found) > 1:
        raise ConfigurationError(f"several entries begin with {entry}: give the whole id")
    return str(found[0])


def _openings(inspector: Inspector, identifier: str) -> list[sa.Row[Any]]:
    opening = tables.opening
    with inspector.store.reading() as connection:
        statement = sa.select(opening).where(opening.c.entry_id == identifier).order_by(opening.c.position)
        return list(connection.execute(statement).all())


def _sight(inspector: Inspector, identifier: str, seen: tuple[Part, ...]) -> Sight:
    leaf, entry = tables.leaf, tables.entry
    placed = sa.select(leaf.c.leaf_index, leaf.c.leaf_hash).where(leaf.c.entry_id == identifier)
    with inspector.store.reading() as connection:
        content = connection.execute(sa.select(entry.c.leaf).where(entry.c.entry_id == identifier)).scalar_one()
        place = connection.execute(placed).one_or_none()
        covered = connection.scalar(sa.select(sa.func.max(tables.checkpoint.c.size))) or 0
    whole = place is None or place.leaf_hash == leaf_hash(content)
    where = Place(None if place is None else place.leaf_index, covered, whole)
    return Sight(decoded(content, identifier), where, seen, _mentions(inspector, identifier))


def _mentions(inspector: Inspector, identifier: str) -> tuple[Mention, ...]:
    """Find the entries that are about this one; what they seal of who and why is told to whoever sees this one."""
    opening, entry = tables.opening, tables.entry
    about = sa.select(opening.c.entry_id).where(opening.c.about.in_(inspector.openings.indexes_of(other(identifier))))
    with inspector.store.reading() as connection:
        found = connection.execute(sa.select(entry).where(entry.c.entry_id.in_(about))).all()
    mentions = [_mention(inspector, row.entry_id, decoded(row.leaf, row.entry_id)) for row in found]
    return tuple(sorted(mentions, key=lambda each: (each.time, each.entry)))


def _mention(inspector: Inspector, identifier: str, leaf: dict[str, Any]) -> Mention:
    officer = because = "(erased or damaged)"
    for part in parts(inspector, identifier):
        match part.kind, part.value:
            case "officer", str(name):
                officer = name
            case _, {"because": str(text)}:
                because = text
            case _:
                pass
    return Mention(identifier, leaf["action"], leaf["time"], officer, because)
