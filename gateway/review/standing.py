"""What was asked, answered and signed of a week, derived from the log alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.access import compared
from gateway.audit.openings import Openings
from gateway.review.activity import opened_all

ASK, ANSWER, SIGN = "audit-review-ask", "audit-review-answer", "audit-review-sign"
ERASED = "(erased)"


@dataclass(frozen=True, slots=True)
class Said:
    """A question about an item, its answer, or the signature under a week: who said what, when, in which entry."""

    action: str
    week: str
    item: str
    entry: str
    time: str
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """All that was said of a week, in its order."""

    said: tuple[Said, ...]

    @property
    def signed(self) -> Said | None:
        """The signature, if there is one."""
        return next((each for each in self.said if each.action == SIGN), None)

    def of(self, item: str) -> tuple[Said, ...]:
        """Return what was said of an item."""
        return tuple(each for each in self.said if each.item == item)

    def answered(self, item: str) -> bool:
        """Whether the last word on an item is an answer."""
        said = self.of(item)
        return bool(said) and said[-1].action == ANSWER

    def answerers(self) -> frozenset[str]:
        """Return who answered, as names are compared."""
        return frozenset(compared(each.by) for each in self.said if each.action == ANSWER)


def entries_of(connection: Connection, week: str) -> list[dict[str, Any]]:
    """Return the leaves of what was said of a week; nothing is opened."""
    return [leaf for leaf in _leaves(connection, (ASK, ANSWER, SIGN)) if leaf["week"] == week]


def signed_weeks(connection: Connection) -> frozenset[str]:
    """Return the weeks that are signed."""
    return frozenset(leaf["week"] for leaf in _leaves(connection, (SIGN,)))


def standing(connection: Connection, openings: Openings, leaves: Sequence[dict[str, Any]]) -> Standing:
    """Open what was said."""
    opened = opened_all(connection, openings, [leaf["id"] for leaf in leaves])
    said = []
    for leaf in leaves:
        told = {each.kind: str(each.value) for each in opened[leaf["id"]]}
        by, text = told.get("officer", ERASED), told.get("text", "" if leaf["action"] == SIGN else ERASED)
        said.append(Said(leaf["action"], leaf["week"], leaf.get("item", ""), leaf["id"], leaf["time"], by, text))
    return Standing(tuple(said))


def _leaves(connection: Connection, actions: Sequence[str]) -> list[dict[str, Any]]:
    statement = (
        sa.select(tables.entry.c.leaf)
        .join(tables.leaf, tables.leaf.c.entry_id == tables.entry.c.entry_id)
        .where(tables.leaf.c.action.in_(actions))
        .order_by(tables.leaf.c.time, tables.leaf.c.leaf_index)
    )
    return [msgspec.json.decode(content) for content in connection.scalars(statement)]
