"""Judges, for each row, what the cells of a view depend on: every condition once, however many cells ask for it.

On PostgreSQL the conditions stand in a lateral subquery, which an OFFSET keeps from being copied into each cell. The
columns beside it stay plain, and keep their indexes. SQLite has no lateral subqueries; there each cell asks anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import sqlalchemy as sa

from gateway.policy.condition import Condition
from gateway.policy.sql import Compiler
from gateway.policy.tables import Bool, Dialect, Value, literal
from gateway.policy.view import Cell, Test, View

# PostgreSQL selects at most 1664 columns.
_COLUMNS = 500

# A condition, and whether it is asked to be true or false.
_Asked = tuple[Condition, bool]
_Steps = tuple[tuple[Test, tuple[Condition, ...]], ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """The source with what was judged beside each row."""

    joined: sa.FromClause
    _conditions: Mapping[_Asked, Bool]
    _states: Mapping[_Steps, Value]

    def is_true(self, condition: Condition) -> Bool:
        """Return where it stands that a condition is true."""
        return self._conditions[condition, True]

    def state(self, cell: Cell) -> Value:
        """Return where the number of the step stands that decides a cell."""
        return self._states[_steps(cell)]


def judge(view: View, paths: Iterable[str], compiler: Compiler) -> Judged:
    """Judge what the cells of some paths, and the view's pointers, depend on."""
    cells = dict.fromkeys(_steps(view.cells[path]) for path in paths if path in view.varying)
    asked: dict[_Asked, None] = {}
    for test, conditions in (step for steps in cells for step in steps):
        asked |= dict.fromkeys((condition, test is not Test.NOT_FALSE) for condition in conditions)
    if view.pointers:
        asked |= dict.fromkeys((rows, True) for rows in (view.opened, *(pointer.rows for pointer in view.pointers)))
    source = compiler.source
    written = [compiler.is_true(each) if true else compiler.is_false(each) for each, true in asked]
    plain = [table for each in (source.base, *source.ones.values()) for table in each.tables.values()]
    columns, judged, joined = _once(written, "judged", plain, source.joined, source.dialect)
    conditions_at = dict(zip(asked, columns, strict=True))
    numbered = [_state(steps, conditions_at) for steps in cells]
    columns, _, joined = _once(numbered, "decided", judged, joined, source.dialect)
    return Judged(joined, conditions_at, dict(zip(cells, columns, strict=True)))


def _steps(cell: Cell) -> _Steps:
    """Return what decides a cell, whatever comes of it: cells that differ in their reasons alone are decided as one."""
    return tuple((step.test, step.conditions) for step in cell.steps[:-1])


def _once(
    values: Sequence[Value], name: str, of: Sequence[sa.FromClause], joined: sa.FromClause, dialect: Dialect
) -> tuple[list[Value], list[sa.FromClause], sa.FromClause]:
    """Put values made of some tables into each row, computed once; return their columns, the tables that hold them."""
    columns, tables = list(values), list(of)
    if dialect is Dialect.POSTGRESQL:
        columns, tables = [], []
        for start in range(0, len(values), _COLUMNS):
            some = [value.label(f"_{n}") for n, value in enumerate(values[start : start + _COLUMNS])]
            lateral = sa.select(*some).correlate(*of).offset(literal(0)).lateral(f"{name}_{start}")
            joined = joined.join(lateral, sa.true())
            columns += list(lateral.c)
            tables.append(lateral)
    return columns, tables, joined


def _state(steps: _Steps, conditions: Mapping[_Asked, Bool]) -> Value:
    tests = [(_test(test, asked, conditions), literal(n)) for n, (test, asked) in enumerate(steps)]
    return sa.case(*tests, else_=literal(len(steps))) if tests else literal(0)


def _test(test: Test, asked: tuple[Condition, ...], conditions: Mapping[_Asked, Bool]) -> Bool:
    match test:
        case Test.ANY_TRUE:
            return sa.or_(*(conditions[condition, True] for condition in asked))
        case Test.NONE_TRUE:
            return sa.or_(*(conditions[condition, True] for condition in asked)).is_not(sa.true())
        case Test.NOT_FALSE:
            return sa.or_(*(conditions[condition, False].is_not(sa.true()) for condition in asked))
        case Test.ALWAYS:
            return sa.true()
        case _:
            assert_never(test)
