"""What one view holds and another does not, in numbers: one statement over the table, no value in it."""

from dataclasses import dataclass

import sqlalchemy as sa

from gateway.catalogue import Resource
from gateway.plan.cells import rows_of
from gateway.policy.sql import Bindings, Compiler
from gateway.policy.tables import Bool, Dialect, Value, literal, resource_source
from gateway.policy.view import View


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many were held before and are held now, and how many came and went."""

    before: int
    after: int
    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class Difference:
    """The records and the persons of two views."""

    records: Numbers
    persons: Numbers


def select(
    resource: Resource, dialect: Dialect, old: View | None, new: View | None
) -> tuple[sa.Select[tuple[int, ...]], Bindings]:
    """Write the statement; a view that is None holds nothing."""
    bindings, source = Bindings({}), resource_source(resource, dialect)
    compiler = Compiler(resource, source, bindings)
    held = [_flag(sa.false() if view is None else rows_of(view, compiler)) for view in (old, new)]
    # The offset keeps PostgreSQL from judging each row anew wherever a flag is named.
    both = (
        sa.select(source.person.label("person"), held[0].label("was"), held[1].label("is"))
        .select_from(source.joined)
        .offset(literal(0))
        .subquery("held")
    )
    each = (
        sa.select(
            sa.func.sum(both.c["was"]).label("was"),
            sa.func.sum(both.c["is"]).label("is"),
            sa.func.sum(both.c["is"] * (1 - both.c["was"])).label("gained"),
            sa.func.sum(both.c["was"] * (1 - both.c["is"])).label("lost"),
        )
        .group_by(both.c["person"])
        .subquery("each")
    )
    was, now = each.c["was"] > 0, each.c["is"] > 0
    persons = (was, now, sa.and_(now, sa.not_(was)), sa.and_(was, sa.not_(now)))
    columns = [sa.func.coalesce(sa.func.sum(column), 0) for column in each.c]
    columns += [sa.func.coalesce(sa.func.sum(_flag(person)), 0) for person in persons]
    return sa.select(*columns).select_from(each), bindings


def difference(row: tuple[int, ...]) -> Difference:
    """Read the statement's only row."""
    numbers = [int(number) for number in row]
    return Difference(Numbers(*numbers[:4]), Numbers(*numbers[4:]))


def _flag(condition: Bool) -> Value:
    return sa.case((condition, 1), else_=0)
