"""Statutes and calendar days: what their spellings and years come to, against oracles of another kind."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domains import Domain, Kind
from gateway.policy.condition import RECORD, Ago, Operator, Reference, Years
from gateway.policy.days import on_day
from gateway.policy.evaluate import Facts, evaluate
from gateway.policy.statutes import Statute, parse
from tests.policy.reference import ZONE


@pytest.mark.parametrize(
    "spellings",
    [
        ("18 § 2702 §§ A1", "18.2702.A1", "CC2702A1"),
        ("18 § 2702.1 §§ A1", "18.2702.1.A1", "CC2702.1A1"),
        ("18 § 2503", "18.2503", "CC2503"),
        ("75 § 3802 §§ A1*", "75.3802.A1*"),
        ("35 § 780-113 §§ A30", "35.780-113.A30"),
        ("18 § 3301 §§ A.1", "18.3301.A.1", "CC3301A.1"),
    ],
)
def test_the_spellings_of_a_statute_are_one(spellings: tuple[str, ...]) -> None:
    """Each is read as the same statute, and the statute is written in each."""
    read = {parse(spelling) for spelling in spellings}
    (statute,) = read
    assert statute is not None
    assert set(statute.spellings()) == set(spellings)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("18.2702.1.A1", "18.2702.A1"),
        ("18.2702", "18.2702.A"),
        ("75.2702.A1", "18.2702.A1"),
        ("18.27021.A", "18.2702.1.A"),
    ],
)
def test_different_offences_stay_different(one: str, other: str) -> None:
    """A neighbouring section, another title, a section as such."""
    assert parse(one) != parse(other)


@pytest.mark.parametrize(
    "text",
    ["", "2702", "18", "18.", "18.A1", "CC", "cc2702", "18 §2702", "18.2702.a1", " 18.2702", "ARREST PRIOR TO REQ"],
)
def test_what_is_no_statute_is_not_guessed(text: str) -> None:
    """It is unknown, and unknown denies."""
    assert parse(text) is None


def test_a_section_holds_its_subsections_and_no_other_section() -> None:
    """The ranges that stand for a section in SQL hold what is in it, in every spelling."""
    section = Statute("18", "2901", None)
    inside = ("18.2901.A", "18.2901.Z9", "18 § 2901 §§ A1", "CC2901A", "CC2901ZZ")
    outside = ("18.2901", "18.2901.1.A", "18.29011", "CC2901.1A", "CC29011A", "18 § 2901.1 §§ A", "18.2902.A")
    for text in inside:
        assert any(low <= text < high for low, high in section.ranges()), text
    for text in outside:
        assert not any(low <= text < high for low, high in section.ranges()), text


DAYS = st.dates(date(1900, 1, 1), date(2100, 12, 31))


@given(
    born=DAYS,
    today=DAYS.filter(lambda day: day.year > 1950),
    years=st.integers(0, 120),
    operator=st.sampled_from(Operator),
)
def test_years_until_today_are_counted_as_birthdays(born: date, today: date, years: int, operator: Operator) -> None:
    """Whoever is born on 29 February is a year older on 1 March of a common year."""
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    expected = {
        Operator.EQ: age == years,
        Operator.NE: age != years,
        Operator.LT: age < years,
        Operator.LE: age <= years,
        Operator.GT: age > years,
        Operator.GE: age >= years,
    }[operator]
    for kind, value in (
        (Kind.DATE, born),
        (Kind.TIMESTAMP, datetime(born.year, born.month, born.day, 23, 59, tzinfo=ZONE)),
    ):
        field = Reference(RECORD, None, "born", Domain(kind))
        condition = Years(operator, field, Ago(0, Kind.DATE), years, ZONE)
        assert evaluate(on_day(condition, today, ZONE), Facts({RECORD: {"born": value}})) is expected


@pytest.mark.parametrize("day", [date(2014, 3, 9), date(2014, 11, 2), date(2014, 7, 1)])
def test_a_day_begins_at_the_citys_midnight(day: date) -> None:
    """Also on the two days of the year that are not of 24 hours."""
    from gateway.policy.days import midnight

    begins, ends = midnight(day, ZONE), midnight(day + timedelta(days=1), ZONE)
    assert begins.astimezone(ZONE).date() == day
    assert (begins - timedelta(seconds=1)).astimezone(UTC).astimezone(ZONE).date() == day - timedelta(days=1)
    assert (ends.astimezone(UTC) - begins.astimezone(UTC)) in (timedelta(hours=h) for h in (23, 24, 25))
