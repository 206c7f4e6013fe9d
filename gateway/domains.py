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


_KEY = re.compile("[1-9][0-9]{0,18}")


def key_of(text: str) -> int | None:
    """Read the key of a record or person, as people write it; None for what is none."""
    return int(text) if _KEY.fullmatch(text) and int(text) <= KEYS[1] else None


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

# The calendar's days, whole years of `DATES`, and the moments of whole years of `MOMENTS`. Python's readers take all of
# ISO 8601 and more; clients are told these very patterns. The first and the last day end where UTC's do.
_LEAP = "(?:19|21)(?:0[48]|[2468][048]|[13579][26])|20(?:[02468][048]|[13579][26])"
_LONG, _SHORT = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])", "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_DAY = f"(?:{_LONG}|{_SHORT}|02-(?:0[1-9]|1[0-9]|2[0-8]))"
DATE = f"(?:(?:18[5-9][0-9]|19[0-9]{{2}}|2[01][0-9]{{2}})-{_DAY}|(?:18(?:5[26]|[68][048]|[79][26])|{_LEAP})-02-29)"
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
MOMENT = (
    "(?!1900-01-01T[^Z]*\\+|2199-12-31T[^Z]*-)"
    f"(?:(?:19[0-9]{{2}}|2[01][0-9]{{2}})-{_DAY}|(?:{_LEAP})-02-29)"
    f"T{_TIME}:[0-5][0-9](?:\\.[0-9]{{1,9}})?(?:Z|[+-]{_TIME})"
)
_DATE = re.compile(DATE)
_MOMENT = re.compile(MOMENT)


def storable(value: str) -> bool:
    """Whether both databases can hold the text: no NUL, no lone surrogate."""
    return _UNSTORABLE.search(value) is None


def _date(value: str) -> date:
    if not _DATE.fullmatch(value):
        raise OutOfDomainError(f"expected {Domain(Kind.DATE).describe()}")
    return date.fromisoformat(value)


def _moment(value: str) -> datetime:
    if not _MOMENT.fullmatch(value):
        raise OutOfDomainError(f"expected {Domain(Kind.TIMESTAMP).describe()}")
    return datetime.fromisoformat(value).astimezone(UTC)
