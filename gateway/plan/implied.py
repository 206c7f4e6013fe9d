"""Implied predicates: what a client's filter on a cell says of the column behind it, so that the column's index serves.

A cell that depends on its row is a CASE, which hides the column from the planner, as a mask does. If the cell meets the
test, so does the column in its plain form; saying so inside the view changes no row of the result.
"""

from collections.abc import Iterator

import sqlalchemy as sa

from gateway.domains import Kind
from gateway.plan.cells import Cells
from gateway.plan.comparison import compare
from gateway.plan.shape import INDEXED, Joined, Shape, Test
from gateway.policy.masks import Form
from gateway.policy.tables import Bool, Dialect, Guarded, Value, literal, parameter


def implied(shape: Shape, cells: Cells) -> list[Bool]:
    """Return what a filter says of columns whose cells don't show them plainly."""
    match shape:
        case Test():
            return list(_of(shape, cells))
        case Joined(True, parts):
            return [predicate for part in parts for predicate in implied(part, cells)]
        case Joined(False, parts):
            each = [implied(part, cells) for part in parts]
            return [sa.or_(*(sa.and_(*predicates) for predicates in each))] if all(each) else []
        case _:
            return []


def _of(test: Test, cells: Cells) -> Iterator[Bool]:
    cell, guarded = cells.view.cells[test.path], cells.source.guarded(test.path)
    if cell.mask is None:
        if test.path in cells.view.varying and test.operator in INDEXED:
            yield compare(test, guarded.raw, guarded.domain.kind, cells.dialect)
        return
    if cell.mask.form is Form.YEAR:
        yield from _year(test, guarded, cells.dialect)


def _year(test: Test, guarded: Guarded, dialect: Dialect) -> Iterator[Bool]:
    """Turn a test of a year into a range of days; a year outside the calendar can't be bound, so that none fails."""
    if test.operator not in ("eq", "lt", "lte", "gt", "gte"):
        return
    year = parameter(f"value_{test.values[0]}", Kind.INTEGER, dialect)
    if test.operator in ("eq", "gte", "gt"):
        yield guarded.raw >= _day(year, "01-01", dialect)
    if test.operator in ("eq", "lte", "lt"):
        yield guarded.raw <= _day(year, "12-31", dialect)


def _day(year: Value, rest: str, dialect: Dialect) -> Value:
    if dialect is Dialect.SQLITE:
        return sa.func.printf(literal(f"%04d-{rest}"), year)
    return sa.func.make_date(sa.cast(year, sa.Integer), *(literal(int(part)) for part in rest.split("-")))
