"""Fills a log with invented entries inside PostgreSQL, and measures what auditors wait for.

By itself, `python -m tests.bench.searching` shows the plans of the statements too.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import click
import psycopg
import sqlalchemy as sa

from gateway import app as composition
from gateway import tables
from gateway.audit.entry import officer as officer_of
from gateway.audit.entry import person as person_of
from gateway.audit.openings import Openings
from gateway.inspection import criteria as asked
from gateway.inspection.criteria import Criterion
from gateway.inspection.inspector import Inspector, Reason
from gateway.inspection.search import Page, search
from gateway.policy.bundle import load
from gateway.settings import Settings
from tests import services, world
from tests.bench.policy import Finding, Findings
from tests.bench.sample import sample
from tests.services import Postgres

ENTRIES = 1_000_000
AIM = 200
_DAYS = 365
_AGENCIES = ("FBI", "FBI", "FBI", "ATF", "DEA", "USMS", "USMS", "ICE")
_OFFICERS = 400
_FIRST = datetime(2025, 1, 1, tzinfo=UTC)
_TIMES = 40

# Persons are found by the keyed hash alone; some are looked up far more often than others.
_ENTRIES = """
    INSERT INTO entry (entry_id, leaf)
    SELECT md5(n::text), convert_to(replace(replace(replace(replace(%(leaf)s::text,
        '@time', to_char(to_timestamp(%(first)s + n * %(apart)s) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
        '@id', md5(n::text)),
        '@agency', (%(agencies)s::text[])[1 + n %% %(among)s]),
        '@root', md5(n::text) || md5('r' || n)), 'UTF8')
    FROM generate_series(0, %(entries)s - 1) AS n
"""
_LEAVES = """
    INSERT INTO leaf (leaf_index, entry_id, leaf_hash, time, action, client, agency, purpose, decision, outcome)
    SELECT n, md5(n::text), sha256('\\x00'::bytea || entry.leaf), %(first)s + n * %(apart)s, 'read',
        lower((%(agencies)s::text[])[1 + n %% %(among)s]) || '-philadelphia',
        (%(agencies)s::text[])[1 + n %% %(among)s],
        'criminal-investigation', 'permit', 'disclosed'
    FROM generate_series(0, %(entries)s - 1) AS n JOIN entry ON entry.entry_id = md5(n::text)
"""
_OPENINGS = """
    INSERT INTO opening (entry_id, position, commitment, sealed, wrapped, about, record)
    SELECT md5(n::text), position, sha256(('c' || n || position)::bytea),
        sha256(('s' || n || position)::bytea) || sha256(('t' || n || position)::bytea) || sha256(('u' || n)::bytea),
        sha256(('w' || n || position)::bytea) || sha256(('x' || n || position)::bytea), about.hash,
        CASE WHEN position > 3 THEN sha256(('record' || n %% 700000)::bytea) END
    FROM generate_series(0, %(entries)s - 1) AS n
    CROSS JOIN LATERAL generate_series(0, 4 + n %% 3) AS position
    LEFT JOIN about ON about.number = CASE
        WHEN position = 1 THEN -1 - (n * 31 %% %(officers)s)
        WHEN position > 3 THEN floor(%(persons)s * power(
            ('x' || substr(md5(n || '.' || position), 1, 6))::bit(24)::int / 16777216.0, 2))
    END
"""


@contextmanager
def filled(root: Path, server: Postgres, entries: int) -> Iterator[Inspector]:
    """Make a store whose log holds so many entries of a year, and open it to an auditor."""
    settings = _settings(root, server.url(server.create()))
    world.prepare(settings)
    with composition.open_inspection(settings, "Auditor A") as inspector:
        _fill(inspector.openings, settings, entries)
        yield inspector


def _settings(root: Path, store: str) -> Settings:
    return world.settings(world.Databases(store, store), root / "keys")


def _fill(openings: Openings, settings: Settings, entries: int) -> None:
    persons = entries // 3
    given = {
        "entries": entries,
        "leaf": _leaf(settings.policies),
        "agencies": list(_AGENCIES),
        "among": len(_AGENCIES),
        "first": _FIRST.timestamp(),
        "apart": _DAYS * 86400 / entries,
        "officers": _OFFICERS,
        "persons": persons,
    }
    engine = sa.create_engine(settings.store_url)
    indexes = [*tables.leaf.indexes, *tables.opening.indexes]
    for index in indexes:
        index.drop(engine)
    with psycopg.connect(settings.store_url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("TRUNCATE entry, opening, pending, leaf")
        connection.execute("CREATE TEMPORARY TABLE about (number bigint PRIMARY KEY, hash bytea)")
        with connection.cursor().copy("COPY about FROM STDIN") as copy:
            for number in range(persons):
                copy.write_row((number, openings.index_of(person_of(number))))
            for number in range(_OFFICERS):
                copy.write_row((-1 - number, openings.index_of(officer_of(f"Officer {number}"))))
        connection.execute("ANALYZE about")
        for statement in (_ENTRIES, "ANALYZE entry", _LEAVES, _OPENINGS):
            connection.execute(statement.encode(), given if "%(" in statement else None)
    for index in indexes:
        index.create(engine)
    engine.dispose()
    with psycopg.connect(settings.store_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _leaf(policies: Path) -> str:
    """Write a leaf of a usual size, with places for what differs."""
    paths = sorted(path for path, _ in load(policies).catalogue.resources["arrests"].paths())
    leaf = {
        "action": "read",
        "agency": "@agency",
        "agreement": {"id": "agreement", "state": "in-force", "version": 1},
        "bundle": f"sha256:{'0' * 64}",
        "client": "client",
        "commitments": {"count": 5, "root": "@root"},
        "component": "Philadelphia",
        "criminal_justice_agency": True,
        "decision": "permit",
        "documents": ["pa-expunged", "ph-federal-partners"],
        "filtered": ["family_name", "given_name"],
        "gateway": "0.1.0",
        "id": "@id",
        "masked": {},
        "mission": "criminal-investigation",
        "ori": "PATEST000",
        "outcome": "disclosed",
        "persons": 1,
        "plan": f"sha256:{'1' * 64}",
        "purpose": "criminal-investigation",
        "records": 1,
        "resource": "arrests",
        "rules": ["pa-expunged/gone", "ph-federal-partners/assumed-terms"],
        "shown": paths[: len(paths) // 2],
        "time": "@time",
        "version": 2,
        "withheld": paths[len(paths) // 2 :],
    }
    return json.dumps(leaf, separators=(",", ":"))


# --- measuring --------------------------------------------------------------------------------------------------


def of_searching(root: Path, server: Postgres, entries: int = ENTRIES) -> Findings:
    """Measure searches as auditors make them, each with its own entry of the log."""
    with filled(root, server, entries) as inspector:
        aimed = tuple(
            _finding(inspector, f"{what}, over {entries:,} entries", criteria) for what, criteria in _searches(entries)
        )
        return Findings(aimed, tuple(_seen(inspector)))


def _searches(entries: int) -> Iterator[tuple[str, Callable[[int], Sequence[Criterion]]]]:
    persons = entries // 3
    yield "search by person, seldom shown", lambda n: [asked.person(persons - 1 - n * 97)]
    yield "search by person, often shown", lambda n: [asked.person(1 + n)]
    yield "search by person and agency", lambda n: [asked.person(1 + n), asked.Word("agency", "FBI")]
    yield "search by officer", lambda n: [asked.officer(f"Officer {n}")]
    yield "search of one day", lambda n: _days(n * 7, 1)
    yield "search of one month", lambda n: _days(n * 5, 30)
    yield "search of an agency on one day", lambda n: [*_days(n * 7, 1), asked.Word("agency", "ICE")]
    yield (
        "search of an agency, person and month",
        lambda n: [*_days(n * 5, 30), asked.Word("agency", "ATF"), asked.person(1 + n)],
    )


def _days(start: int, days: int) -> list[Criterion]:
    since = _FIRST + timedelta(days=start)
    return [asked.Since(since), asked.Before(since + timedelta(days=days))]


def _finding(inspector: Inspector, what: str, criteria: Callable[[int], Sequence[Criterion]]) -> Finding:
    taken = []
    began = perf_counter()
    for number in range(_TIMES):
        start = perf_counter()
        search(inspector, criteria(number), Page(50, None), Reason("A measurement."))
        taken.append((perf_counter() - start) * 1000)
    found = sample(perf_counter() - began, taken)
    slowest = max(taken)
    figure = f"{found.p50:.1f} ms in the middle, {slowest:.1f} ms at most"
    click.echo(f"{what}: {figure}", err=True)
    return Finding(what, figure, f"under {AIM} ms", slowest < AIM)


def _seen(inspector: Inspector) -> Iterator[str]:
    """Yield what has no aim: searches that must look into leaves."""
    for what, criteria in (
        ("a rule that no leaf names", [asked.Ruled("nothing/nothing")]),
        ("a field that the newest leaves name", [asked.touched("filtered:family_name")]),
    ):
        start = perf_counter()
        search(inspector, criteria, Page(50, None), None)
        yield f"A search by {what} takes {perf_counter() - start:.2f} s: leaves are looked into, the newest first."


# --- by itself ------------------------------------------------------------------------------------------------------


@click.command()
@click.option("--entries", type=click.IntRange(1000), default=ENTRIES, show_default=True)
def main(entries: int) -> None:
    """Measure, and show how PostgreSQL goes about each search."""
    with TemporaryDirectory(prefix="gw-search-") as directory, services.postgres() as server:
        start = perf_counter()
        with filled(Path(directory), server, entries) as inspector:
            click.echo(f"filled in {perf_counter() - start:.0f} s", err=True)
            for what, criteria in _searches(entries):
                finding = _finding(inspector, what, criteria)
                click.echo(f"{finding.what}: {finding.figure}\n{_plan(inspector, criteria(3))}\n")
            click.echo("\n".join(_seen(inspector)))


def _plan(inspector: Inspector, criteria: Sequence[Criterion]) -> str:
    """Let PostgreSQL explain the statement that finds the leaves."""
    statements: list[tuple[str, Any]] = []

    def noted(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        if "JOIN entry" in statement:
            statements.append((statement, parameters))

    engine = inspector.store.engine
    sa.event.listen(sa.engine.Engine, "before_cursor_execute", noted)
    search(inspector, criteria, Page(50, None), Reason("A measurement."))
    sa.event.remove(sa.engine.Engine, "before_cursor_execute", noted)
    statement, parameters = statements[0]
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {statement}", parameters)
        return "\n".join(row[0] for row in rows)


if __name__ == "__main__":
    main()
