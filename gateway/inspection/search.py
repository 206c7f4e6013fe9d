"""Searches the log's leaves, the newest first, a page at a time; that it was searched, and by what, is an entry."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import sqlalchemy as sa

from gateway import tables
from gateway.audit.entry import Opening
from gateway.audit.openings import OpeningError
from gateway.canonical import Json
from gateway.errors import ConfigurationError
from gateway.inspection.criteria import (
    About,
    Criterion,
    Ruled,
    Touched,
    Word,
    check_span,
    conditions,
    told,
)
from gateway.inspection.inspector import Inspector, Reason, decoded

MOST = 1000
# Leaves read at once where they must be looked into.
_CHUNK = 1000
# Names that a hint lists at most.
_HINTED = 20


@dataclass(frozen=True, slots=True)
class Page:
    """So many leaves, after the leaf with this index where one is given: the last of the page before."""

    limit: int
    after: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of leaves by their indices, the newest first.

    `following` is the index after which the next page begins, or None; `waiting` entries are not in the tree yet, and
    were not searched; `hints` name what of the search no leaf holds.
    """

    leaves: tuple[tuple[int, dict[str, Any]], ...]
    following: int | None
    waiting: int
    hints: tuple[str, ...]


def search(inspector: Inspector, criteria: Sequence[Criterion], page: Page, reason: Reason | None) -> Found:
    """Find the leaves that meet all criteria; the entry of the search is durable before they are returned.

    Whoever goes by the keyed index (`About`) must give a reason. Leaves come in the order of their times; where clocks
    differ, that is not the order of the tree, and no leaf is left out or comes twice.
    """
    check_span(criteria)
    if reason is None and any(isinstance(each, About) for each in criteria):
        raise ConfigurationError("whoever searches by person, officer or record must say why (--because)")
    waiting = inspector.log.unsealed()
    with closing(_matching(inspector, criteria, page)) as matching:
        first = list(islice(matching, page.limit + 1))
    leaves = tuple(first[: page.limit])
    following = leaves[-1][0] if len(first) > page.limit else None
    unknown = () if leaves else tuple(_unknown(inspector, criteria))
    openings = _openings(inspector, criteria, unknown, reason)
    facts = {name: value for name, value in _spoken(criteria) if name not in unknown}
    by_index = [key for each in criteria if isinstance(each, About) for key in each.told if key != "key"]
    searched: dict[str, Json] = {
        "criteria": facts,
        "sealed_criteria": sorted({*by_index, *unknown}) or None,
        "limit": page.limit,
        "after": page.after,
        "found": len(leaves),
    }
    inspector.write_down("audit-search", searched, *openings)
    hints = tuple(_hint(inspector, name) for name in unknown)
    return Found(leaves, following, waiting, hints)


def _matching(inspector: Inspector, criteria: Sequence[Criterion], page: Page) -> Generator[tuple[int, dict[str, Any]]]:
    """Yield the leaves that meet all criteria, by index."""
    looked_into = [each for each in criteria if isinstance(each, Ruled | Touched)]
    chunk = _CHUNK if looked_into else page.limit + 1
    with inspector.store.reading() as connection:
        leaf, entry = tables.leaf, tables.entry
        order = sa.tuple_(leaf.c.time, leaf.c.leaf_index)
        newest_first = (leaf.c.time.desc(), leaf.c.leaf_index.desc())
        chosen = (
            sa.select(leaf.c.leaf_index, leaf.c.time, leaf.c.entry_id)
            .where(leaf.c.entry_id.is_not(None), *conditions(criteria, inspector.openings, inspector.store))
            .order_by(*newest_first)
            .limit(chunk)
        )
        if looked_into:
            chosen = chosen.join(entry, entry.c.entry_id == leaf.c.entry_id)
        position = None if page.after is None else (_time(connection, page.after), page.after)
        while True:
            # Only what is on the page is read in full: of a person who was often shown, that is a fraction.
            places = (chosen if position is None else chosen.where(order < position)).subquery()
            read = sa.select(places.c.leaf_index, places.c.time, entry.c.leaf)
            read = read.outerjoin(entry, entry.c.entry_id == places.c.entry_id)
            rows = connection.execute(read.order_by(places.c.time.desc(), places.c.leaf_index.desc())).all()
            for row in rows:
                told_by = decoded(row.leaf, f"of leaf {row.leaf_index}")
                if all(each.holds(told_by) for each in looked_into):
                    yield row.leaf_index, told_by
            if len(rows) < chunk:
                return
            position = (rows[-1].time, rows[-1].leaf_index)


def _time(connection: sa.Connection, index: int) -> float:
    found = connection.scalar(sa.select(tables.leaf.c.time).where(tables.leaf.c.leaf_index == index))
    if found is None:
        raise ConfigurationError(f"there is no leaf {index} after which to go on")
    return float(found)


def _spoken(criteria: Sequence[Criterion]) -> list[tuple[str, Json]]:
    return [told(each) for each in criteria if not isinstance(each, About)]


def _openings(
    inspector: Inspector, criteria: Sequence[Criterion], unknown: Sequence[str], reason: Reason | None
) -> Iterator[Opening]:
    """Seal the reason with each name that was gone by, so that both are destroyed together; and unknown words."""
    because = {} if reason is None else {"because": reason.text}
    about = [each for each in criteria if isinstance(each, About)]
    for criterion in about:
        yield Opening("searched", {**criterion.told, **_whose(inspector, criterion), **because})
    if reason is not None and not about:
        yield Opening("reason", reason.text)
    if unknown:
        # They may be anything; only words that the log holds already are written in a leaf.
        yield Opening("criteria", {name: value for name, value in _spoken(criteria) if name in unknown})


def _whose(inspector: Inspector, criterion: About) -> dict[str, str]:
    """Say whose record was asked for, where the log knows it: erasing that person must find what was asked."""
    if "resource" not in criterion.told:
        return {}
    opening = tables.opening
    named = opening.c.record.in_(inspector.openings.indexes_of(criterion.name)) & opening.c.about.is_not(None)
    with inspector.store.reading() as connection:
        row = connection.execute(sa.select(opening).where(named).limit(1)).one_or_none()
    try:
        opened = None if row is None else inspector.openings.open(row.sealed, row.wrapped, row.entry_id, row.position)
    except OpeningError:
        return {}
    match opened and opened.value:
        case {"person": str(whose)}:
            return {"person": whose}
        case _:
            return {}


def _unknown(inspector: Inspector, criteria: Sequence[Criterion]) -> Iterator[str]:
    """Yield what of a search without a result is in no leaf, or no part of the policy in force."""
    with inspector.store.reading() as connection:
        for criterion in criteria:
            if isinstance(criterion, Word):
                column = tables.leaf.c[criterion.name]
                if connection.scalar(sa.select(column).where(column == criterion.value).limit(1)) is None:
                    yield criterion.name
    if any(isinstance(each, Ruled) and each.rule not in _vocabulary(inspector, "rule") for each in criteria):
        yield "rule"
    if any(isinstance(each, Touched) and each.field not in _vocabulary(inspector, "field") for each in criteria):
        yield "field"


def _vocabulary(inspector: Inspector, name: str) -> list[str]:
    """Return the rules or the fields of the policy in force."""
    bundle = inspector.bundle_in_force()
    if name == "rule":
        return sorted(rule.name for document in bundle.documents.values() for rule in document.rules)
    return sorted({path for resource in bundle.catalogue.resources.values() for path, _ in resource.paths()})


def _hint(inspector: Inspector, name: str) -> str:
    """Say which words there are; what was asked for is not repeated, as the terminal may be looked over."""
    if name in ("rule", "field"):
        known, where = _vocabulary(inspector, name), "the policy in force has"
    else:
        column = tables.leaf.c[name]
        with inspector.store.reading() as connection:
            found = sa.select(column).where(column.is_not(None)).distinct().order_by(column).limit(_HINTED + 1)
            known, where = list(connection.scalars(found)), "the log holds"
    if name == "decision":
        return f"no entry has that decision yet: the log holds {', '.join(known) or 'none'}"
    listed = ", ".join(known[:_HINTED]) + (", ..." if len(known) > _HINTED else "")
    return f"no such {name}: {where} {listed or 'none'}"
