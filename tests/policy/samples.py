"""Records of the small city that hold each kind of value, null and defect; instruments, and rules in short."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import product
from typing import Any

from gateway.access import Instrument
from gateway.domains import Kind
from tests.policy.small import Case, Defect, Row

INSTRUMENTS = (
    Instrument("1", 1, "judicial", "state-judge"),
    Instrument("2", 2, "subpoena", "state-judge"),
    Instrument("3", 3, "administrative", "dhs-officer"),
)

# Of each text: is it 18 § 2702 §§ A1; is it that or 18 § 2503; is it on the list; is it on the list at grade F1.
# A text that is not here is no statute.
CITED: dict[str, tuple[bool, bool, bool, bool]] = {
    "18.2702.A1": (True, True, True, False),
    "18 § 2702 §§ A1": (True, True, True, False),
    "CC2702A1": (True, True, True, False),
    "18.2702": (False, False, False, False),
    "18.2702.1.A1": (False, False, False, False),
    "75.2702.A1": (False, False, False, False),
    "18.2503": (False, True, True, False),
    "CC2503B": (False, False, True, False),
    "18 § 2503 §§ Z": (False, False, True, False),
    "18.2503.A\nB": (False, False, True, False),
    "18 § 2503 §§ A\nB": (False, False, True, False),
    "CC2503A\nB": (False, False, True, False),
    "18.2503.1.A": (False, False, False, False),
    "CC2503.1A": (False, False, False, False),
    "18.25031": (False, False, False, False),
    "CC2717B2": (False, False, False, True),
    "18.2717.B2": (False, False, False, True),
    "75 § 3802 §§ A": (False, False, False, True),
    "75.3802": (False, False, False, True),
    "75.38021.A": (False, False, False, False),
    "CC3802A": (False, False, False, False),
}
NO_STATUTES = (
    *("18.2702A1", "18.2702.a", "18.2503\n", "18.2503.", "18..2503.A", "18.2503-.A", " 18.2503", "18 § 2503 A", "CC"),
    *("A", "", "18.2702.Á", "18.2702.[", "٣.2702.A1", "2702A1", "cc2702a1", "18 § 2503 §§ ", "x18 § 2503", "CC-1A"),
    *("18 § 2503-", "CC2503-", "CC2503-A", "18 § 2503- §§ A", "18x2503", "18 §", "1"),
)

VALUES: dict[Kind, tuple[Any, ...]] = {
    Kind.TEXT: (
        "",
        "a",
        "ab",
        "AB",
        "b",
        "b.1",
        "ba",
        "c",
        "x'y",
        "x(",
        "four",
        "x" * 12,
        "100%x",
        "é",
        "éa",
        "Ünï",
        "z\U0001f600",
        "é1234",
    ),
    Kind.STATUTE: (*CITED, *NO_STATUTES),
    Kind.CODE: ("F1", "F2", "M1"),
    Kind.INTEGER: (-5, 0, 1, 2, 3, 50),
    Kind.BOOLEAN: (True, False),
    Kind.DATE: (
        *(date(1850, 1, 1), date(1984, 2, 29), date(1984, 3, 1), date(1990, 12, 31), date(2001, 2, 28)),
        *(date(2001, 3, 1), date(2002, 1, 30), date(2002, 1, 31), date(2002, 2, 28), date(2002, 3, 1)),
        *(date(2020, 1, 30), date(2020, 1, 31), date(2020, 2, 29), date(2199, 12, 31)),
    ),
    Kind.TIMESTAMP: (
        datetime(1900, 1, 1, tzinfo=UTC),
        datetime(1992, 2, 29, 12, tzinfo=UTC),
        datetime(2002, 3, 1, 4, 59, 59, tzinfo=UTC),
        datetime(2002, 3, 1, 5, tzinfo=UTC),
        datetime(2002, 1, 31, 4, 59, 59, tzinfo=UTC),
        datetime(2002, 1, 31, 5, tzinfo=UTC),
        datetime(2014, 3, 9, 6, 59, 59, tzinfo=UTC),
        datetime(2014, 3, 9, 7, tzinfo=UTC),
        datetime(2014, 11, 2, 6, 0, 0, 1, tzinfo=UTC),
        datetime(2019, 12, 31, 4, 59, 59, tzinfo=UTC),
        datetime(2019, 12, 31, 5, tzinfo=UTC),
        datetime(2020, 2, 29, 5, tzinfo=UTC),
        datetime(2199, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ),
}
_BASE: Row = {
    "name": "ab",
    "cite": "18.2702.A1",
    "code": "a",
    "grade": "F1",
    "amount": 1,
    "flag": True,
    "born": date(1984, 2, 29),
    "at": datetime(2019, 12, 31, 5, tzinfo=UTC),
}
_KINDS = {
    "name": Kind.TEXT,
    "cite": Kind.STATUTE,
    "grade": Kind.CODE,
    "amount": Kind.INTEGER,
    "flag": Kind.BOOLEAN,
    "born": Kind.DATE,
    "at": Kind.TIMESTAMP,
}
_VERDICT: Row = {"grade": "F1", "born": date(1990, 12, 31), "flag": True}
_COUNT: Row = {"grade": "F1", "amount": 1, "name": "abcde", "cite": "CC2503B", "flag": True}
_DEFECTS = 5
# A tenth year that is full in UTC and not yet in the city; the day of birth; full years; the longest life; the ends
# of a year.
_AGES = (
    (date(1994, 3, 9), datetime(2014, 3, 9, 4, 30, tzinfo=UTC)),
    (date(1994, 3, 9), datetime(2014, 3, 9, 5, tzinfo=UTC)),
    (date(2019, 12, 31), datetime(2019, 12, 31, 5, tzinfo=UTC)),
    *((date(2019 - years, 12, 31), datetime(2019, 12, 31, 5, tzinfo=UTC)) for years in (1, 18, 19)),
    (date(2000, 12, 30), datetime(2019, 12, 31, 5, tzinfo=UTC)),
    (date(2000, 12, 31), datetime(2019, 12, 31, 4, 59, tzinfo=UTC)),
    (date(1850, 1, 1), datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC)),
    (date(1984, 1, 1), datetime(2014, 3, 9, 5, tzinfo=UTC)),
    (date(1984, 12, 31), datetime(2014, 3, 9, 5, tzinfo=UTC)),
)


def _held(kind: Kind) -> list[object]:
    return [*VALUES[kind], None, *(Defect(number) for number in range(_DEFECTS))]


def _samples() -> Iterator[tuple[Row, Row | None, tuple[Row, ...]]]:
    for name, kind in _KINDS.items():
        for value in _held(kind):
            yield _BASE | {name: value}, _VERDICT, (_COUNT,)
    for born, at in _AGES:
        yield _BASE | {"born": born, "at": at}, _VERDICT, ()
    for value in ("", "b", "é1234", "12345"):
        yield _BASE | {"code": value}, _VERDICT, ()
    for grade, cite in product(("F2", None), ("75.3802", "CC2717B2", "18.2503")):
        yield _BASE | {"grade": grade, "cite": cite}, _VERDICT, ()
    for name in _VERDICT:
        for value in _held(_KINDS[name]):
            yield _BASE, _VERDICT | {name: value}, ()
    for name in _COUNT:
        for value in _held(_KINDS[name]):
            yield _BASE, None, (_COUNT | {name: value},)
    for flag, other in product((True, False, None), repeat=2):
        yield _BASE | {"flag": flag}, _VERDICT | {"flag": other}, ()
        yield _BASE | {"flag": flag}, None, (_COUNT | {"flag": other},)
        for third in (True, False, None):
            yield _BASE | {"flag": flag}, None, (_COUNT | {"flag": other}, _COUNT | {"flag": third, "amount": 2})
    for flag in (True, False, None):
        yield _BASE | {"flag": flag}, None, ()


# Each is told of one of four persons in turn.
SAMPLES = [Case(number, 1 + number % 4, *parts) for number, parts in enumerate(_samples(), 1)]


_PLAIN = {"resource": "cases", "because": "So."}


def opens(name: str, rows: str = "true", **gives: Any) -> dict[str, Any]:
    """A permit."""
    return _PLAIN | {"id": name, "permit": "read", "rows": rows} | gives


def closes(name: str, rows: str, **limits: Any) -> dict[str, Any]:
    """A denial."""
    return _PLAIN | {"id": name, "deny": "read", "rows": rows} | limits
