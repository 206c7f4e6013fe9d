"""What a condition means in SQL: it must agree with `evaluate` on every record, nulls included.

A condition is compiled with its polarity. `is_true` is an expression that is true exactly where the condition is true;
elsewhere it is false or null, and callers use it only where those mean the same (WHERE, AND, OR, CASE WHEN). `is_false`
likewise for false. NOT is never written around an expression that can be null.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from gateway.access import Instrument
from gateway.catalogue import Resource
from gateway.domains import Kind, Scalar
from gateway.policy.condition import (
    Ago,
    And,
    Cited,
    Compare,
    Condition,
    Constant,
    Covered,
    Exists,
    Literal,
    Member,
    Not,
    Operator,
    Or,
    Present,
    Reference,
    RelationPresent,
    Truth,
    Years,
)
from gateway.policy.days import NEGATION, YEAR
from gateway.policy.tables import (
    Bool,
    Dialect,
    Guarded,
    Parameter,
    ResourceSource,
    Source,
    Value,
    constant,
    day_number,
    encode_many,
    is_among,
    is_none_of,
    is_one_of,
    is_statute,
    literal,
    ordered,
    related_source,
)

_LAST = "\U0010ffff"
_SURROGATES, _AFTER_SURROGATES = range(0xD800, 0xE000), 0xE000


@dataclass(slots=True)
class Bindings:
    """The array parameters of a statement: for each, which instruments it takes its persons from."""

    covered: dict[str, Covered]

    def add(self, condition: Covered) -> str:
        """Name the parameter of a condition on instruments; what is asked in many cells is bound once."""
        for name, known in self.covered.items():
            if known == condition:
                return name
        name = f"instrument_persons_{len(self.covered)}"
        self.covered[name] = condition
        return name


def bind(covered: dict[str, Covered], instruments: tuple[Instrument, ...], dialect: Dialect) -> dict[str, Parameter]:
    """Return the values of the array parameters at a moment."""
    return {name: encode_many(sorted(c.persons(instruments)), dialect) for name, c in covered.items()}


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles the conditions of one resource over its source."""

    resource: Resource
    source: ResourceSource
    bindings: Bindings
    items: tuple[tuple[str, Source], ...] = ()

    def is_true(self, condition: Condition) -> Bool:
        """Compile to what is true exactly where the condition is true."""
        match condition:
            case Constant(value):
                return sa.true() if value else sa.false()
            case Compare(operator, left, right):
                return self._compare(operator, left, right)
            case Member(reference, values, prefixes):
                column = self._column(reference)
                tests = [self._among(column, values)] if values else []
                tests += [self._starts(column, prefix) for prefix in prefixes]
                return column.where(sa.or_(*tests))
            case Cited(reference):
                column = self._column(reference)
                return column.where(self._cited(column, condition))
            case Years(operator):
                return self._years(condition, operator)
            case Truth(reference):
                return self._truth(reference, wanted=True)
            case Present(reference):
                column = self._column(reference)
                return column.where(column.raw.is_not(None))
            case RelationPresent(_, relation):
                return self.source.ones[relation].key.is_not(None)
            case Not(part):
                return self.is_false(part)
            case And(left_part, right_part):
                return sa.and_(self.is_true(left_part), self.is_true(right_part))
            case Or(left_part, right_part):
                return sa.or_(self.is_true(left_part), self.is_true(right_part))
            case Exists(relation, item, body):
                related, inner = self._inside(relation, item)
                return self._exists(related, inner.is_true(body))
            case Covered(person):
                column = self._column(person)
                name = self.bindings.add(condition)
                return column.where(is_one_of(column.raw, name, Kind.KEY, self.source.dialect))
            case _:
                assert_never(condition)

    def is_false(self, condition: Condition) -> Bool:
        """Compile to what is true exactly where the condition is false."""
        match condition:
            case Constant(value):
                return sa.false() if value else sa.true()
            case Compare(operator, left, right):
                return self._compare(NEGATION[operator], left, right)
            case Member(reference, values, prefixes):
                column = self._column(reference)
                tests = [is_none_of(column.raw, values, column.domain.kind, self.source.dialect)] if values else []
                tests += [self._starts_not(column, prefix) for prefix in prefixes]
                return column.where(sa.and_(*tests))
            case Cited(reference):
                column = self._column(reference)
                return column.where(
                    sa.and_(is_statute(column.raw, self.source.dialect), ~self._cited(column, condition))
                )
            case Years(operator):
                return self._years(condition, NEGATION[operator])
            case Truth(reference):
                return self._truth(reference, wanted=False)
            case Present(reference):
                return self._column(reference).value().is_(None)
            case RelationPresent(_, relation):
                return self.source.ones[relation].key.is_(None)
            case Not(part):
                return self.is_true(part)
            case And(left_part, right_part):
                return sa.or_(self.is_false(left_part), self.is_false(right_part))
            case Or(left_part, right_part):
                return sa.and_(self.is_false(left_part), self.is_false(right_part))
            case Exists(relation, item, body, complete):
                # False only where every row's body is false: a row of which it is unknown must count against it.
                related, inner = self._inside(relation, item)
                none = ~self._exists(related, inner.is_false(body).is_not(sa.true()))
                return none if complete is None else sa.and_(self._truth(complete, wanted=True), none)
            case Covered(person):
                column = self._column(person)
                name = self.bindings.add(condition)
                listed = is_one_of(column.raw, name, Kind.KEY, self.source.dialect)
                return column.where(sa.and_(column.raw.is_not(None), ~listed))
            case _:
                assert_never(condition)

    def _inside(self, relation: str, item: str) -> tuple[Source, "Compiler"]:
        name = f"{relation}_{len(self.items)}"
        related = related_source(self.resource.relations[relation], name, self.source.dialect)
        return related, replace(self, items=(*self.items, (item, related)))

    def _exists(self, related: Source, body: Bool) -> Bool:
        return (
            sa.select(literal(1))
            .select_from(related.joined)
            .where(related.key == self.source.base.key, body)
            .correlate(*self._outer())
            .exists()
        )

    def _outer(self) -> list[sa.FromClause]:
        sources = [self.source.base, *self.source.ones.values(), *(source for _, source in self.items)]
        return [table for source in sources for table in source.tables.values()]

    def _column(self, reference: Reference) -> Guarded:
        for item, source in self.items:
            if item == reference.variable:
                return source.guarded(reference.field)
        if reference.relation is not None:
            return self.source.ones[reference.relation].guarded(reference.field)
        return self.source.base.guarded(reference.field)

    def _compare(self, operator: Operator, left: Reference, right: Reference | Literal | Ago) -> Bool:
        column = self._column(left)
        if isinstance(right, Ago):
            raise TypeError("the day of the decision must be put in first")
        if isinstance(right, Literal):
            test = self._equal(column, right.value, operator)
            return test if operator is Operator.EQ else column.where(test)
        other = self._column(right)
        return column.where(other.where(self._test(operator, column, other.raw)))

    def _cited(self, column: Guarded, cited: Cited) -> Bool:
        """Compare with every spelling: the bare column keeps its index, and the database need not read statutes."""
        spellings = [spelling for statute in (*cited.statutes, *cited.sections) for spelling in statute.spellings()]
        tests = [self._among(column, spellings)]
        tests += [self._between(column, *bounds) for section in cited.sections for bounds in section.ranges()]
        return sa.or_(*tests)

    def _among(self, column: Guarded, values: Sequence[Scalar]) -> Bool:
        return is_among(column.raw, values, column.domain.kind, self.source.dialect)

    def _years(self, years: Years, operator: Operator) -> Bool:
        """Compare the difference of two days written as numbers: an age is cut down, so a bound is a whole year's."""
        if isinstance(years.end, Ago):
            raise TypeError("the day of the decision must be put in first")
        start, end = self._column(years.start), self._column(years.end)
        passed = self._day_number(end, years.zone) - self._day_number(start, years.zone)
        full, more = literal(years.years * YEAR), literal((years.years + 1) * YEAR)
        tests = {
            Operator.GE: lambda: passed >= full,
            Operator.LT: lambda: passed < full,
            Operator.GT: lambda: passed >= more,
            Operator.LE: lambda: passed < more,
            Operator.EQ: lambda: sa.and_(passed >= full, passed < more),
            Operator.NE: lambda: sa.or_(passed < full, passed >= more),
        }
        return tests[operator]()

    def _day_number(self, column: Guarded, zone: ZoneInfo) -> Value:
        return day_number(column, zone, self.source.dialect)

    def _equal(self, column: Guarded, value: object, operator: Operator) -> Bool:
        bound = constant(value, column.domain.kind, self.source.dialect)  # type: ignore[arg-type] # parsed by the domain
        return self._test(operator, column, bound)

    def _test(self, operator: Operator, column: Guarded, other: Value) -> Bool:
        kind = column.domain.kind
        match operator:
            case Operator.EQ:
                return column.raw == other
            case Operator.NE:
                return column.raw != other
            case Operator.LT:
                return ordered(column.raw, kind, self.source.dialect) < other
            case Operator.LE:
                return ordered(column.raw, kind, self.source.dialect) <= other
            case Operator.GT:
                return ordered(column.raw, kind, self.source.dialect) > other
            case Operator.GE:
                return ordered(column.raw, kind, self.source.dialect) >= other

    def _truth(self, reference: Reference, *, wanted: bool) -> Bool:
        column = self._column(reference)
        return column.raw == constant(wanted, Kind.BOOLEAN, self.source.dialect)

    def _starts(self, column: Guarded, prefix: str) -> Bool:
        return self._between(column, *prefix_range(prefix))

    def _between(self, column: Guarded, low: str, high: str) -> Bool:
        value = ordered(column.raw, Kind.TEXT, self.source.dialect)
        return sa.and_(
            value >= constant(low, Kind.TEXT, self.source.dialect),
            value < constant(high, Kind.TEXT, self.source.dialect),
        )

    def _starts_not(self, column: Guarded, prefix: str) -> Bool:
        value = ordered(column.raw, Kind.TEXT, self.source.dialect)
        low, high = prefix_range(prefix)
        return sa.or_(
            value < constant(low, Kind.TEXT, self.source.dialect),
            value >= constant(high, Kind.TEXT, self.source.dialect),
        )


def prefix_range(prefix: str) -> tuple[str, str]:
    """Return the range `low <= value < high` of the texts that start with a prefix, by code point.

    The high end is the prefix with its last character raised by one; surrogates are no characters, and a last
    character that can't be raised is dropped first.
    """
    kept = prefix.rstrip(_LAST)
    if not kept:
        return prefix, _LAST * 64
    following = ord(kept[-1]) + 1
    return prefix, kept[:-1] + chr(_AFTER_SURROGATES if following in _SURROGATES else following)
