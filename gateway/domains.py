"""Which values a field can hold, the same on SQLite and PostgreSQL."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

MAX_TEXT = 4000


class Kind(StrEnum):
    """The kinds of value that a field can hold."""

    TEXT = "text"
    STATUTE = "statute"
    CODE = "code"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    KEY = "key"


Scalar = str | int | bool | date | datetime

DATES = (date(1850, 1, 1), date(2199, 12, 31))
MOMENTS = (datetime(1900, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
KEYS = (1, 2**63 - 1)
# The kinds whose values are characters.
TEXTUAL = (Kind.TEXT, Kind.STATUTE, Kind.CODE)
# The kinds that have a calendar day.
DAYS = (Kind.DATE, Kind.TIMESTAMP)
SMALL_INTEGERS = (-(2**31), 2**31 - 1)


class OutOfDomainError(ValueError):
    """A value that a field can't hold."""


@dataclass(frozen=True, slots=True)
class Domain:
    """Which values a field can hold: `most` characters of text, one of `codes`, an integer from `low` to `high`."""

    kind: Kind
    most: int = 0
    codes: tuple[str, ...] = ()
    low: int = 0
    high: int = 0

    def parse(self, value: object) -> Scalar:
        """Turn a JSON value into a value of this domain; raise OutOfDomainError, whose text holds no value."""
        match self.kind, value:
            case ((Kind.TEXT | Kind.STATUTE), str()) if storable(value) and len(value) <= self.most:
                return value
            case Kind.CODE, str() if value in self.codes:
                return value
            case Kind.BOOLEAN, bool():
                return value
            case ((Kind.INTEGER | Kind.KEY), int()) if not isinstance(value, bool) and self.low <= value <= self.high:
                return value
            case Kind.DATE, str():
                return _date(value)
            case Kind.TIMESTAMP, str():
                return _moment(value)
            case _:
                raise OutOfDomainError(f"expected {self.describe()}")

    def describe(self) -> str:
        """Say in words which values are accepted."""
        match self.kind:
            case Kind.TEXT | Kind.STATUTE:
                return f"a text of at most {self.most} characters without NUL"
            case Kind.CODE:
                return f"one of {', '.join(self.codes)}"
            case Kind.KEY:
                return "an opaque id"
            case Kind.INTEGER:
                return f"a whole number from {self.low} to {self.high}"
            case Kind.BOOLEAN:
                return "true or false"
            case Kind.DATE:
                return f"a date from {DATES[0]} to {DATES[1]}, YYYY-MM-DD"
            case Kind.TIMESTAMP:
                return "an RFC 3339 time with offset, of the years 1900 to 2199"


YEARS = Domain(Kind.INTEGER, low=DATES[0].year, high=DATES[1].year)


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

# Python's readers take all of ISO 8601: weeks, days of the year, times without seconds.
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")


def storable(value: str) -> bool:
    """Whether both databases can hold the text: no NUL, no lone surrogate."""
    return _UNSTORABLE.search(value) is None


def _date(value: str) -> date:
    try:
        parsed = date.fromisoformat(value) if _DATE.fullmatch(value) else None
    except ValueError:
        parsed = None
    if parsed is None or not DATES[0] <= parsed <= DATES[1]:
        raise OutOfDomainError(f"expected {Domain(Kind.DATE).describe()}")
    return parsed


def _moment(value: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(value) if _MOMENT.fullmatch(value) else None
        moment = None if parsed is None or parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not MOMENTS[0] <= moment <= MOMENTS[1]:
        raise OutOfDomainError(f"expected {Domain(Kind.TIMESTAMP).describe()}")
    return moment
