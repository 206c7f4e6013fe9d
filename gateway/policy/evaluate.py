"""What a condition means: its truth on one record in three-valued logic.

A comparison with a null, or through an absent parent, is unknown (None); `&&`, `||`, `!` and `exists` follow Kleene;
only `Present` asks about absence. This is the reference reading; `sql` must agree with it on every record.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from gateway.access import Instrument
from gateway.domains import Scalar
from gateway.policy.condition import (
    RECORD,
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
from gateway.policy.days import YEAR, number
from gateway.policy.statutes import parse

Record = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a condition is judged on: the records that its variables name, and the instruments in force."""

    variables: Mapping[str, Record]
    instruments: tuple[Instrument, ...] = ()


def evaluate(condition: Condition, facts: Facts) -> bool | None:
    """Return true, false, or None for unknown."""
    match condition:
        case Constant(constant):
            return constant
        case Compare(operator, left, right):
            return _compare(operator, _value(left, facts), _operand(right, facts))
        case Years(operator, start, end, years):
            return _compare(operator, _years(_value(start, facts), _operand(end, facts), condition.zone), years)
        case Member(reference, values, prefixes):
            return _member(_value(reference, facts), values, prefixes)
        case Cited(reference):
            return _cited(condition, _value(reference, facts))
        case Truth(reference):
            value = _value(reference, facts)
            return None if value is None else bool(value)
        case Present(reference):
            return _value(reference, facts) is not None
        case RelationPresent(variable, relation):
            return facts.variables[variable][relation] is not None
        case Not(part):
            inner = evaluate(part, facts)
            return None if inner is None else not inner
        case And(left_part, right_part):
            return _all(evaluate(left_part, facts), evaluate(right_part, facts))
        case Or(left_part, right_part):
            return _any((evaluate(left_part, facts), evaluate(right_part, facts)))
        case Exists(relation, item, body, complete):
            rows = facts.variables[RECORD][relation]
            found = _any(evaluate(body, _with(facts, item, row)) for row in _rows(rows))
            known = complete is None or _value(complete, facts) is True
            return found if known or found else None
        case Covered(person):
            value = _value(person, facts)
            return None if value is None else value in condition.persons(facts.instruments)
        case _:
            assert_never(condition)


def _with(facts: Facts, item: str, row: Record) -> Facts:
    return Facts({**facts.variables, item: row}, facts.instruments)


def _rows(value: object) -> tuple[Record, ...]:
    return value if isinstance(value, tuple) else ()


def _value(reference: Reference, facts: Facts) -> object:
    record: object = facts.variables[reference.variable]
    if reference.relation is not None and isinstance(record, Mapping):
        record = record[reference.relation]
    return record[reference.field] if isinstance(record, Mapping) else None


def _operand(operand: Reference | Literal | Ago, facts: Facts) -> object:
    match operand:
        case Reference():
            return _value(operand, facts)
        case Literal(value):
            return value
        case Ago():
            raise TypeError("the day of the decision must be put in first")


def _years(start: object, end: object, zone: ZoneInfo) -> int | None:
    first, last = _day(start, zone), _day(end, zone)
    return None if first is None or last is None else (number(last) - number(first)) // YEAR


def _day(value: object, zone: ZoneInfo) -> date | None:
    if isinstance(value, datetime):
        return value.astimezone(zone).date()
    return value if isinstance(value, date) else None


def _compare(operator: Operator, left: object, right: object) -> bool | None:
    if left is None or right is None:
        return None
    match operator:
        case Operator.EQ:
            return left == right
        case Operator.NE:
            return left != right
        case Operator.LT:
            return left < right  # type: ignore[operator, no-any-return] # both come from one ordered domain
        case Operator.LE:
            return left <= right  # type: ignore[operator, no-any-return] # as above
        case Operator.GT:
            return left > right  # type: ignore[operator, no-any-return] # as above
        case Operator.GE:
            return left >= right  # type: ignore[operator, no-any-return] # as above


def _member(value: object, values: tuple[Scalar, ...], prefixes: tuple[str, ...]) -> bool | None:
    if value is None:
        return None
    return value in values or (isinstance(value, str) and value.startswith(prefixes))


def _cited(condition: Cited, value: object) -> bool | None:
    statute = parse(value) if isinstance(value, str) else None
    if statute is None:
        return None
    return statute in condition.statutes or replace(statute, subsection=None) in condition.sections


def _all(left: bool | None, right: bool | None) -> bool | None:  # noqa: FBT001 -- truth values are the subject
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _any(values: Iterable[bool | None]) -> bool | None:
    unknown = False
    for value in values:
        if value is True:
            return True
        unknown = unknown or value is None
    return None if unknown else False
