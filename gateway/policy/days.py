"""Calendar days in conditions: the day of the decision, look-back windows, and whole years between two days."""

from datetime import date, datetime, time, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from gateway.domains import Kind
from gateway.policy.condition import (
    Ago,
    And,
    Compare,
    Condition,
    Literal,
    Operator,
    Or,
    Years,
    mapped,
    parts,
)

# A day as the number 20140416: the difference of two, cut to whole ten thousands, is an age in years.
YEAR = 10_000


def number(day: date) -> int:
    """Write a day as a number, YYYYMMDD."""
    return day.year * YEAR + day.month * 100 + day.day


def relative(condition: Condition) -> bool:
    """Whether the condition speaks of the day of the decision."""
    return any(
        (isinstance(part, Compare) and isinstance(part.right, Ago))
        or (isinstance(part, Years) and isinstance(part.end, Ago))
        for part in parts(condition)
    )


def on_day(condition: Condition, day: date, zone: ZoneInfo) -> Condition:
    """Put the day of the decision into a condition; what is left compares columns with constants, and keeps indexes."""
    return mapped(condition, lambda leaf: _leaf_on_day(leaf, day, zone))


def _leaf_on_day(leaf: Condition, day: date, zone: ZoneInfo) -> Condition:
    match leaf:
        case Compare(operator, left, Ago(days, kind)):
            then = day - timedelta(days=days)
            return Compare(operator, left, Literal(then if kind is Kind.DATE else midnight(then, zone)))
        case Years(_, _, Ago(days)):
            return _years_until(leaf, day - timedelta(days=days))
        case _:
            return leaf


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a local day."""
    return datetime.combine(day, time(), tzinfo=zone)


def _years_until(condition: Years, day: date) -> Condition:
    """Turn "so many years before a day" into a comparison of the other day with the last that makes them full."""
    operator, years = condition.operator, condition.years
    full, more = _until(condition, _last(day, years)), _until(condition, _last(day, years + 1))
    match operator:
        case Operator.GE:
            return full
        case Operator.LT:
            return _contrary(full)
        case Operator.GT:
            return more
        case Operator.LE:
            return _contrary(more)
        case Operator.EQ:
            return And(full, _contrary(more))
        case Operator.NE:
            return Or(_contrary(full), more)
        case _:
            assert_never(operator)


def _last(day: date, years: int) -> date:
    """Return the last day from which the years have passed: who is born on 29 February ages on 1 March."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return date(day.year - years, 2, 28)


def _until(condition: Years, last: date) -> Compare:
    if condition.start.domain.kind is Kind.DATE:
        return Compare(Operator.LE, condition.start, Literal(last))
    return Compare(Operator.LT, condition.start, Literal(midnight(last + timedelta(days=1), condition.zone)))


def _contrary(compare: Compare) -> Compare:
    return Compare(NEGATION[compare.operator], compare.left, compare.right)


NEGATION = {
    Operator.EQ: Operator.NE,
    Operator.NE: Operator.EQ,
    Operator.LT: Operator.GE,
    Operator.GE: Operator.LT,
    Operator.GT: Operator.LE,
    Operator.LE: Operator.GT,
}
