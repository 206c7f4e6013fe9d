"""What clients did in a week, as the leaves tell it, and what they asked for, as the opened questions tell it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit.entry import ASKED, QUESTION
from gateway.audit.openings import Opened, Openings
from gateway.canonical import Json

PAGE = 500


class Leaf(msgspec.Struct, frozen=True):
    """Of a client's leaf, what the rules ask about."""

    id: str
    time: str
    action: str
    decision: str
    client: str
    agency: str
    filtered: tuple[str, ...] = ()
    sorted_by: tuple[str, ...] = ()
    persons: int = 0
    further: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as it was asked: the question, and the officer if one was named; either may have been erased."""

    leaf: Leaf
    question: Json
    officer: str | None


def leaves(connection: Connection, since: float, until: float) -> Iterator[Leaf]:
    """Yield the leaves of what clients asked in a stretch of time, in its order, a page at a time."""
    leaf = tables.leaf
    at = (since, -1)
    statement = (
        sa.select(leaf.c.time, leaf.c.leaf_index, tables.entry.c.leaf)
        .join(tables.entry, tables.entry.c.entry_id == leaf.c.entry_id)
        .where(leaf.c.time < until, leaf.c.client.is_not(None), leaf.c.action.in_(ASKED))
        .order_by(leaf.c.time, leaf.c.leaf_index)
        .limit(PAGE)
    )
    while True:
        after = sa.tuple_(leaf.c.time, leaf.c.leaf_index) > sa.tuple_(*map(sa.literal, at))
        rows = connection.execute(statement.where(leaf.c.time >= at[0], after)).all()
        yield from (msgspec.json.decode(row.leaf, type=Leaf) for row in rows)
        if len(rows) < PAGE:
            return
        at = (rows[-1].time, rows[-1].leaf_index)


def first_seen(connection: Connection, clients: Sequence[str]) -> dict[str, float]:
    """Return when the first entry was made that names each client."""
    first = sa.func.min(tables.leaf.c.time)
    wanted = sa.select(tables.leaf.c.client, first).where(tables.leaf.c.client.in_(clients))
    return {row[0]: row[1] for row in connection.execute(wanted.group_by(tables.leaf.c.client))}


def asked(connection: Connection, openings: Openings, searches: Sequence[Leaf]) -> Iterator[Asked]:
    """Open the questions of searches, and the officers who asked."""
    for at in range(0, len(searches), PAGE):
        page = {leaf.id: leaf for leaf in searches[at : at + PAGE]}
        opening = tables.opening
        wanted = sa.select(opening).where(
            opening.c.entry_id.in_(page), opening.c.position.in_(QUESTION), opening.c.sealed.is_not(None)
        )
        found: dict[str, dict[str, Json]] = {entry: {} for entry in page}
        for row in connection.execute(wanted.order_by(opening.c.entry_id, opening.c.position)):
            if "question" not in found[row.entry_id]:
                opened = openings.open(row.sealed, row.wrapped, row.entry_id, row.position)
                found[row.entry_id][opened.kind] = opened.value
        yield from (_asked(page[entry], values) for entry, values in found.items())


def _asked(leaf: Leaf, values: Mapping[str, Json]) -> Asked:
    officer = values.get("officer")
    return Asked(leaf, values.get("question"), officer if isinstance(officer, str) else None)


def opened_all(connection: Connection, openings: Openings, entries: Sequence[str]) -> dict[str, list[Opened]]:
    """Open everything that is sealed in a few entries, in its order."""
    opening = tables.opening
    wanted = sa.select(opening).where(opening.c.entry_id.in_(entries), opening.c.sealed.is_not(None))
    found: dict[str, list[Opened]] = {entry: [] for entry in entries}
    for row in connection.execute(wanted.order_by(opening.c.entry_id, opening.c.position)):
        found[row.entry_id].append(openings.open(row.sealed, row.wrapped, row.entry_id, row.position))
    return found
