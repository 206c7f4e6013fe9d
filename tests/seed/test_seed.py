"""The invented database: exact where figures are published, varied where they are not."""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, func, inspect, select, text
from sqlalchemy.exc import IntegrityError

from gateway.seed import SeedError, SeedReport, seed
from gateway.seed.chance import Weighted, apportion, deal
from gateway.seed.figures import figures_of
from gateway.seed.figures import table as lines_of
from gateway.seed.offences import GRADES
from gateway.seed.rows import TABLES
from gateway.seed.schedule import NEW_YORK, Event, schedule
from gateway.seed.schema import arrest, charge, custody, disposition, metadata, person, release_conviction

# As the reports print them, and as their sums give them.
PUBLISHED = {
    2014: 46_740,
    2015: 43_436,
    2016: 40_472,
    2017: 42_642,
    2018: 38_456,
    2019: 39_590,
    2020: 26_378,
    2021: 23_897,
}
OUTSIDE = {2014: 272, 2015: 180, 2016: 183, 2017: 178, 2018: 190, 2019: 122, 2020: 73, 2021: 112}
DECEMBER_2021 = {
    "Violent": 482,
    "Property": 305,
    "Drug": 253,
    "Firearm possession": 108,
    "Other": 186,
    "Uncategorized": 201,
}
ARRESTS = 2_000


def published(name: str, year: int) -> list[dict[str, str]]:
    """Read the lines of one year as they are published."""
    lines = (files("gateway.seed") / "figures" / name).read_text(encoding="utf-8").splitlines()
    return [line for line in csv.DictReader(lines) if line["year"] == str(year)]


@pytest.fixture(scope="module", params=sorted(PUBLISHED))
def laid_out(request: pytest.FixtureRequest) -> tuple[int, list[Event]]:
    """Lay out a year at its published size."""
    year: int = request.param
    return year, list(schedule(figures_of(year), PUBLISHED[year], Random(year)))  # noqa: S311 - repeatable


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, SeedReport, list[tuple[int, int]]]:
    """Build a small database once."""
    url = f"sqlite:///{tmp_path_factory.mktemp('seed') / 'arrests.db'}"
    calls: list[tuple[int, int]] = []
    report = seed(url, year=2014, arrests=ARRESTS, seed=7, progress=lambda done, total: calls.append((done, total)))
    return url, report, calls


@pytest.fixture
def connection(built: tuple[str, SeedReport, list[tuple[int, int]]]) -> Iterator[Connection]:
    """Open the small database."""
    engine = create_engine(built[0])
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def digest(url: str) -> str:
    """Digest every row of every table in the order of its key."""
    engine = create_engine(url)
    hashed = hashlib.sha256()
    with engine.connect() as opened:
        for table in metadata.sorted_tables:
            for row in opened.execute(select(table).order_by(*table.primary_key)):
                hashed.update(repr(tuple(row)).encode())
    engine.dispose()
    return hashed.hexdigest()


def share(counts: Counter[str | None], value: str | None) -> float:
    """Return a value's part of all that is counted."""
    return counts[value] / counts.total()


@given(st.integers(0, 10_000), st.lists(st.integers(0, 500), min_size=1, max_size=40).filter(any))
def test_parts_sum_to_the_total_and_stay_within_one_of_their_quota(total: int, weights: list[int]) -> None:
    """Apportioned parts sum to the total, and each is its exact quota rounded down or up."""
    parts = apportion(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    assert all(abs(part * whole - total * weight) < whole for part, weight in zip(parts, weights, strict=True))


@given(st.lists(st.integers(0, 500), min_size=1, max_size=40))
def test_a_total_that_is_the_sum_gives_the_weights_back(weights: list[int]) -> None:
    """Apportioning the sum of the weights is exact."""
    assert apportion(sum(weights), weights) == weights


def test_a_total_over_nothing_is_refused() -> None:
    """Weights that are all nought cannot carry a total, and cannot be drawn from."""
    with pytest.raises(ValueError, match="nought"):
        apportion(1, [0, 0])
    with pytest.raises(ValueError, match="nothing"):
        Weighted([("a", 0)])


def test_a_deal_is_exact_whatever_its_order() -> None:
    """Dealt values have exactly the shares they are dealt from."""
    rng = Random(3)  # noqa: S311 - repeatable
    assert Counter(deal(30, {"a": 100, "b": 200}, rng)) == {"a": 10, "b": 20}


def test_a_full_year_has_the_published_number_of_arrests(laid_out: tuple[int, list[Event]]) -> None:
    """A year laid out at its published size is that size in every category."""
    year, events = laid_out
    assert len(events) == PUBLISHED[year]
    expected = {line["category"]: int(line["count"]) for line in published("arrests_by_category.csv", year)}
    assert Counter(event.category for event in events) == expected


def test_a_full_year_has_the_published_months(laid_out: tuple[int, list[Event]]) -> None:
    """Arrests by local month and category are the published counts, December 2021 the derived ones."""
    year, events = laid_out
    expected = {
        (int(line["month"]), line["category"]): int(line["count"]) for line in published("arrests_by_month.csv", year)
    }
    if year == 2021:
        expected |= {(12, category): count for category, count in DECEMBER_2021.items()}
    counted = Counter((event.at.astimezone(NEW_YORK).month, event.category) for event in events)
    assert counted == {key: count for key, count in expected.items() if count}
    assert {event.at.astimezone(NEW_YORK).year for event in events} == {year}


def test_a_full_year_has_the_published_districts(laid_out: tuple[int, list[Event]]) -> None:
    """Arrests by district, and by district and group, are the published counts."""
    year, events = laid_out
    lines = published("arrests_by_district.csv", year)
    by_district = Counter(event.district for event in events)
    assert by_district.pop(None) == OUTSIDE[year]
    assert by_district == {line["district"]: int(line["count"]) for line in lines if line["category"] == "All"}
    by_both = Counter((event.district, event.category) for event in events)
    for line in lines:
        if line["category"] != "All":
            assert by_both[line["district"], line["category"]] == int(line["count"])


def test_a_full_year_has_the_published_offences(laid_out: tuple[int, list[Event]]) -> None:
    """Arrests by sub-category are the published counts, and only uncategorized ones have none."""
    year, events = laid_out
    counted = Counter((event.category, event.offence) for event in events)
    for line in published("arrests_by_offence.csv", year):
        assert counted[line["category"], line["offence"]] == int(line["count"] or 0)
    assert all((event.offence is None) == (event.category == "Uncategorized") for event in events)


def test_bail_follows_the_published_types(laid_out: tuple[int, list[Event]]) -> None:
    """Where no more cases are charged than arrests are made, bail types are the published counts."""
    year, events = laid_out
    arrests = Counter(event.category for event in events)
    cases = {line["category"]: int(line["count"]) for line in published("cases_charged.csv", year)}
    counted = Counter((event.category, event.bail_type) for event in events)
    for line in published("bail.csv", year):
        if cases[line["category"]] <= arrests[line["category"]]:
            assert counted[line["category"], line["bail_type"]] == int(line["count"])


def test_arrests_come_in_order_of_time(laid_out: tuple[int, list[Event]]) -> None:
    """A year is laid out from its first moment to its last."""
    moments = [event.at for event in laid_out[1]]
    assert moments == sorted(moments)


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    """Two databases of one seed are equal in every row, and another seed differs."""
    urls = [f"sqlite:///{tmp_path / name}" for name in ("a.db", "b.db", "c.db")]
    for url, number in zip(urls, (1, 1, 2), strict=True):
        seed(url, year=2019, arrests=120, seed=number)
    first, again, other = map(digest, urls)
    assert first == again
    assert first != other


def test_the_report_counts_what_was_written(
    built: tuple[str, SeedReport, list[tuple[int, int]]], connection: Connection
) -> None:
    """The report's counts are those of the tables, and progress ends at the whole."""
    _, report, calls = built
    counts = [connection.scalar(select(func.count()).select_from(table)) for table in TABLES.values()]
    assert counts == [
        report.persons,
        report.locations,
        report.officers,
        report.arrests,
        report.charges,
        report.dispositions,
        report.release_convictions,
        report.custodies,
        report.bails,
        report.victims,
        report.witnesses,
    ]
    assert report.arrests == ARRESTS
    assert calls[-1] == (ARRESTS, ARRESTS)


def test_rows_have_the_columns_of_their_tables() -> None:
    """Every row type names its table's columns in order."""
    for kind, table in TABLES.items():
        assert list(kind._fields) == table.columns.keys()


def test_every_reference_resolves(connection: Connection) -> None:
    """No foreign key points at a row that is not there."""
    assert connection.execute(text("PRAGMA foreign_key_check")).all() == []


def test_some_people_are_arrested_again(connection: Connection) -> None:
    """About one arrest in four is of a person arrested before."""
    people = connection.scalar(select(func.count()).select_from(person)) or 0
    assert 0.2 < 1 - people / ARRESTS < 0.3


def test_statutes_are_spelt_in_several_ways(connection: Connection) -> None:
    """The source's spelling, the dotted one, the compact one and none all occur."""
    statutes = connection.scalars(select(charge.c.statute)).all()
    spelt = Counter(
        None
        if statute is None
        else "source"
        if " § " in statute
        else "compact"
        if statute.startswith("CC")
        else "dotted"
        for statute in statutes
    )
    assert share(spelt, "source") > 0.3
    assert share(spelt, "dotted") > 0.2
    assert share(spelt, "compact") > 0.1
    assert 0.01 < share(spelt, None) < 0.1


def test_grades_are_near_the_published_shares(connection: Connection) -> None:
    """Each grade's share of the charges is within four points of the published one."""
    counted = Counter(connection.scalars(select(charge.c.grade)))
    expected = Counter({line["grade"] or None: int(line["count_approx"]) for line in lines_of("grades.csv")})
    assert counted.keys() <= set(GRADES)
    for grade in expected:
        assert abs(share(counted, grade) - share(expected, grade)) < 0.04


def test_arrests_have_one_to_six_charges_in_sequence(connection: Connection) -> None:
    """The charges of every arrest are numbered from one, and there are six at most."""
    numbered = select(func.min(charge.c.sequence), func.max(charge.c.sequence), func.count(charge.c.sequence)).group_by(
        charge.c.arrest_id
    )
    found = connection.execute(numbered).all()
    assert len(found) == ARRESTS
    assert all(first == 1 and last == count <= 6 for first, last, count in found)


def test_records_have_gaps_and_difficult_names(connection: Connection) -> None:
    """Sensitive columns are empty now and then, and names go beyond plain letters."""
    people = connection.execute(select(person)).mappings().all()
    for column in ("date_of_birth", "place_of_birth", "citizenship", "immigration_status", "language", "ssn"):
        missing = sum(row[column] is None for row in people)
        assert 0 < missing < len(people)
    names = {row["family_name"] for row in people}
    assert all(name == name.upper() for name in names)
    for mark in ("'", "-", " ", "Ñ"):
        assert any(mark in name for name in names)
    assert all(row["ssn"].startswith("9") for row in people if row["ssn"])
    assert all(row["phone"].startswith("215-555-01") for row in people if row["phone"])


def test_everything_happens_after_the_arrest(connection: Connection) -> None:
    """Decisions, convictions and releases come after the arrest, and releases after custody."""
    rows = connection.execute(
        select(
            arrest.c.arrested_at,
            custody.c.since,
            custody.c.released_at,
            disposition.c.disposed_on,
            release_conviction.c.convicted_on,
            release_conviction.c.released_on,
        )
        .join(charge, charge.c.arrest_id == arrest.c.arrest_id)
        .join(custody, custody.c.arrest_id == arrest.c.arrest_id)
        .outerjoin(disposition, disposition.c.charge_id == charge.c.charge_id)
        .outerjoin(release_conviction, release_conviction.c.arrest_id == arrest.c.arrest_id)
    ).all()
    assert any(row.disposed_on is None for row in rows)
    for row in rows:
        assert row.since > row.arrested_at
        assert row.released_at is None or row.released_at > row.since
        assert row.disposed_on is None or row.disposed_on > row.arrested_at.date()
        if row.convicted_on is not None:
            assert row.convicted_on == row.disposed_on
            released = row.released_at and row.released_at.date()
            assert released == row.released_on


def test_violent_felony_convictions_precede_some_releases(connection: Connection) -> None:
    """A few arrests end in release after an F1 or F2 conviction, under a dotted statute."""
    found = connection.execute(select(release_conviction)).mappings().all()
    felonies = [row for row in found if row["grade"] in {"F1", "F2"}]
    assert all("§" not in row["statute"] and not row["statute"].startswith("CC") for row in found)
    assert any(row["statute"] == "18.2702.A1" for row in felonies)
    assert {row["released_on"] is None for row in felonies} == {True, False}


def test_a_convicted_charge_stands_behind_every_release_conviction(connection: Connection) -> None:
    """Each release conviction has the most serious grade among the arrest's convicted charges."""
    convicted: dict[int, list[str | None]] = {}
    for row in connection.execute(
        select(charge.c.arrest_id, charge.c.grade)
        .join(disposition, disposition.c.charge_id == charge.c.charge_id)
        .where(disposition.c.outcome.in_(("Guilty", "Guilty Plea/Nolo")))
    ):
        convicted.setdefault(row.arrest_id, []).append(row.grade)
    for row in connection.execute(select(release_conviction)):
        assert row.grade == min(convicted[row.arrest_id], key=GRADES.index)


def test_the_tables_check_what_is_written(connection: Connection) -> None:
    """A status outside the four, a moment out of range and a birth out of range are refused."""
    for statement in (
        "UPDATE arrest SET record_status = 'public'",
        "UPDATE arrest SET arrested_at = '2200-01-01 00:00:00.000000'",
        "UPDATE arrest SET arrested_at = '1899-12-31 23:59:59.000000'",
        "UPDATE person SET date_of_birth = '1849-12-31'",
    ):
        with pytest.raises(IntegrityError, match="CHECK constraint failed"):
            connection.execute(text(statement))
    connection.execute(text("UPDATE arrest SET arrested_at = '1900-01-01 00:00:00.000000'"))
    connection.rollback()


def test_one_arrest_is_enough(tmp_path: Path) -> None:
    """The smallest database has one arrest of one person."""
    report = seed(f"sqlite:///{tmp_path / 'one.db'}", year=2016, arrests=1, seed=0)
    assert (report.arrests, report.persons) == (1, 1)


def test_an_existing_table_is_refused(tmp_path: Path) -> None:
    """A database with one of the tables is refused by that table's name, and left as it is."""
    url = f"sqlite:///{tmp_path / 'taken.db'}"
    engine = create_engine(url)
    with engine.begin() as opened:
        opened.execute(text("CREATE TABLE officer (badge TEXT)"))
    with pytest.raises(SeedError, match="officer"):
        seed(url, year=2014, arrests=5, seed=1)
    assert inspect(engine).get_table_names() == ["officer"]
    engine.dispose()


def test_a_load_that_stops_leaves_nothing(tmp_path: Path) -> None:
    """A failure on the way leaves neither rows nor tables."""
    url = f"sqlite:///{tmp_path / 'stopped.db'}"

    def stop(done: int, total: int) -> None:
        raise InterruptedError(done, total)

    with pytest.raises(InterruptedError):
        seed(url, year=2014, arrests=5, seed=1, progress=stop)
    engine = create_engine(url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


@pytest.mark.parametrize("year", [2013, 2022])
def test_a_year_without_figures_is_refused(tmp_path: Path, year: int) -> None:
    """A year outside the published ones is refused before anything is written."""
    with pytest.raises(SeedError, match=str(year)):
        seed(f"sqlite:///{tmp_path / 'none.db'}", year=year, arrests=5, seed=1)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("arrests", [0, -1])
def test_less_than_one_arrest_is_refused(tmp_path: Path, arrests: int) -> None:
    """A database without arrests is refused."""
    with pytest.raises(SeedError, match="one arrest or more"):
        seed(f"sqlite:///{tmp_path / 'none.db'}", year=2014, arrests=arrests, seed=1)
