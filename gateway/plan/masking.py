"""Masks in SQL: the form is computed in the database, so that the value behind it never leaves it.

Every expression is total: on whatever a column holds it gives a value or null, and no error. `masks.shown_as` is the
same, read on one record.
"""

from typing import assert_never
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from gateway.domains import YEARS
from gateway.policy.days import YEAR
from gateway.policy.masks import BAND, LAST, OLDEST, Form, Mask
from gateway.policy.tables import Dialect, Guarded, Value, day_number, literal


def masked(mask: Mask, guarded: Guarded, other: Guarded, zone: ZoneInfo, dialect: Dialect) -> Value:
    """Write the form of a column; `other` is the column of the mask's own field, where it names one."""
    match mask.form:
        case Form.YEAR:
            return _year(guarded, dialect)
        case Form.AGE_BAND:
            return _band(day_number(other, zone, dialect) - day_number(guarded, zone, dialect), dialect)
        case Form.FIRST_LETTER:
            return _longer(guarded, 1, sa.func.substr(guarded.raw, literal(1), literal(1)))
        case Form.LAST_FOUR:
            last = sa.func.right if dialect is Dialect.POSTGRESQL else sa.func.substr
            count = LAST if dialect is Dialect.POSTGRESQL else -LAST
            return _longer(guarded, LAST, last(guarded.raw, literal(count)))
        case Form.PSEUDONYM:
            return guarded.value()
        case Form.OTHER_FIELD:
            return other.value()
        case _:
            assert_never(mask.form)


def _year(guarded: Guarded, dialect: Dialect) -> Value:
    if dialect is Dialect.POSTGRESQL:
        year = sa.func.date_part(literal("year"), guarded.raw)
    else:
        year = sa.func.substr(guarded.raw, literal(1), literal(4))
    # An enforced domain has no predicate of its own, and `infinity` has no year: a check is not trusted with it.
    calendar = guarded.raw.between(literal(f"{YEARS.low}-01-01"), literal(f"{YEARS.high}-12-31"))
    finite = calendar if guarded.within is None else guarded.within
    return sa.case((finite, sa.cast(year, sa.Integer)))


def _band(passed: Value, dialect: Dialect) -> Value:
    """Write `20-29` for the difference of two days written as numbers."""
    whole = literal(BAND * YEAR)
    tens = sa.func.floor(passed / whole) if dialect is Dialect.POSTGRESQL else passed // whole
    low = tens * literal(BAND)
    ends = [sa.cast(sa.cast(end, sa.Integer), sa.Text) for end in (low, low + literal(BAND - 1))]
    known = sa.and_(passed >= literal(0), passed < literal(OLDEST * YEAR))
    return sa.case((known, ends[0].concat(literal("-")).concat(ends[1])))


def _longer(guarded: Guarded, length: int, form: Value) -> Value:
    """Show nothing of a text that its form would show whole."""
    longer = sa.func.length(guarded.raw) > literal(length)
    return sa.case((guarded.where(longer), form))
