"""Entries of several threads in one commit: each is durable before its thread goes on, and none lost for another."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from gateway import app as composition
from gateway import tables
from gateway.app import now
from gateway.audit.appending import Appender
from gateway.audit.entry import Entry, Opening, new_id, seal
from gateway.audit.log import Log
from gateway.errors import Code, ConfigurationError, Throttled, Unavailable
from gateway.limits import REFUSALS, Charge
from tests.audit import logs
from tests.audit.logs import OpenLog
from tests.world import Databases, settings

THREADS = 8
DAY = now().date()


@pytest.fixture
def log(databases: Databases, tmp_path: Path) -> Iterator[OpenLog]:
    """A log in a new store."""
    composition.prepare(settings(databases, tmp_path / "keys"))
    with logs.opened(databases, tmp_path / "keys") as opened:
        yield opened


def entry(number: int, action: str = "test") -> Entry:
    """Return an entry with as many openings as its number."""
    openings = tuple(Opening("record", {"person": str(each)}) for each in range(number))
    return Entry(action, "permit", "done", now(), None, {"records": number}, openings)


def charge(*marks: str, at_most: int = 3) -> Charge:
    """Return what a page costs."""
    return Charge("some-agreement", DAY, at_most, marks)


def durable(log: OpenLog) -> dict[str, int]:
    """Return how many openings each entry of a test has in the store."""
    table, opening = tables.entry, tables.opening
    count = sa.select(sa.func.count()).where(opening.c.entry_id == table.c.entry_id).scalar_subquery()
    with log.store.reading() as connection:
        rows = connection.execute(sa.select(table.c.entry_id, table.c.leaf, count))
        return {row[0]: row[2] for row in rows if b'"action":"test"' in row[1]}


def marks(log: OpenLog) -> set[str]:
    """Return the marks of the store."""
    with log.store.reading() as connection:
        return set(connection.scalars(sa.select(tables.budget_mark.c.mark)))


@contextmanager
def slow_first(log: Log, batches: list[int]) -> Iterator[None]:
    """Let the first to write wait until all the others have come; note how many entries each statement wrote."""
    appender: Any = log._appender  # noqa: SLF001 -- how entries came together is seen nowhere else
    write, first = appender._write, threading.Event()  # noqa: SLF001

    def noted(batch: list[Any]) -> bool:
        batches.append(len(batch))
        if not first.is_set():
            first.set()
            while len(appender._places) < THREADS - 1:  # noqa: SLF001
                threading.Event().wait(0.001)
        return bool(write(batch))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(appender, "_write", noted)
        yield


def at_once(log: Log, asked: list[Entry]) -> dict[int, str | Exception]:
    """Append entries by a thread each; return ids and errors by number."""
    found: dict[int, str | Exception] = {}

    def append(number: int) -> None:
        try:
            found[number] = log.append(asked[number]).id
        except Unavailable as error:
            found[number] = error

    threads = [threading.Thread(target=append, args=(number,)) for number in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def test_those_who_wait_are_written_together(log: OpenLog) -> None:
    """What comes while one writes goes in one statement; each entry has its own openings, and is sealed."""
    batches: list[int] = []
    with slow_first(log.log, batches):
        found = at_once(log.log, [entry(number) for number in range(THREADS)])
    assert batches == [1, THREADS - 1]
    assert durable(log) == {identifier: number for number, identifier in found.items()}
    log.log.seal_all()
    log.verify()


@pytest.mark.parametrize("refused", [1, THREADS])
def test_a_statement_that_fails_is_taken_apart(log: OpenLog, refused: int) -> None:
    """Only the entries that the store refuses are lost, and whoever asked for them is told."""
    with log.store.engine.begin() as connection:
        if log.store.sqlite:
            strike = "SELECT RAISE(ABORT, 'refused')"
            told = "instr(NEW.leaf, CAST('\"refuse\"' AS BLOB)) > 0"
            connection.exec_driver_sql(f"CREATE TRIGGER strike BEFORE INSERT ON entry WHEN {told} BEGIN {strike}; END")
        else:
            connection.exec_driver_sql(
                "CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "IF position('\"refuse\"'::bytea IN NEW.leaf) > 0 THEN RAISE EXCEPTION 'refused'; END IF; "
                "RETURN NEW; END $$"
            )
            # At the commit, after all else has gone well.
            connection.exec_driver_sql(
                "CREATE CONSTRAINT TRIGGER strike AFTER INSERT ON entry DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION strike()"
            )
    asked = [entry(n, "refuse" if n < refused else "test") for n in range(THREADS)]
    batches: list[int] = []
    with slow_first(log.log, batches):
        found = at_once(log.log, asked)
    assert {number for number, each in found.items() if isinstance(each, Unavailable)} == set(range(refused))
    assert durable(log) == {each: number for number, each in found.items() if isinstance(each, str)}


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_an_entry_whose_marks_are_new_is_left_out_of_the_statement(log: OpenLog) -> None:
    """One statement writes those whose marks the store holds, and names the others."""
    log.log.charge(entry(1), charge("a", "b"))
    appender = Appender(log.store)
    written = [log.log._written(seal(entry(number), new_id())) for number in range(3)]  # noqa: SLF001
    assert appender.append(written[0], charge("a", "b", "a")) is True
    assert appender.append(written[1], charge("a", "c")) is False
    assert appender.append(written[2], charge()) is True
    kept = durable(log)
    assert [each.id in kept for each in written] == [True, False, True]
    assert marks(log) == {"a", "b"}


def test_a_page_is_charged_whole_with_its_entry_or_not_at_all(log: OpenLog) -> None:
    """New marks and their entry commit together; a page beyond the budget leaves neither; known marks are free.

    They are so under a budget that has become smaller, too.
    """
    first = log.log.charge(entry(1), charge("a", "b")).id
    again = log.log.charge(entry(2), charge("b", "a")).id
    with pytest.raises(Throttled) as refused:
        log.log.charge(entry(3), charge("a", "c", "d"))
    assert refused.value.code is Code.BUDGET_SPENT
    last = log.log.charge(entry(4), charge("a", "c")).id
    assert durable(log) == {first: 1, again: 2, last: 4}
    smaller = log.log.charge(entry(5), charge("a", "b", at_most=1)).id
    assert durable(log) == {first: 1, again: 2, last: 4, smaller: 5}
    assert marks(log) == {"a", "b", "c"}


def test_a_day_that_is_over_takes_no_page(log: OpenLog) -> None:
    """Neither what was shown before nor what found nothing is written any more; another day and agreement are."""
    first = log.log.charge(entry(1), charge("a")).id
    ended = [log.log.append(entry(0), charge("b").refuse).id for _ in range(REFUSALS + 2)]
    for page in (charge("a"), charge("b"), charge()):
        with pytest.raises(Throttled) as refused:
            log.log.charge(entry(2), page)
        assert refused.value.code is Code.BUDGET_SPENT
    elsewhere = [replace(charge("a"), agreement="another"), replace(charge("b"), day=DAY + timedelta(days=1))]
    others = [log.log.charge(entry(3), page).id for page in elsewhere]
    assert durable(log) == {first: 1} | dict.fromkeys(ended, 0) | dict.fromkeys(others, 3)


def test_pages_refused_at_once_are_each_counted(log: OpenLog) -> None:
    """Threads that come together take one refusal each from the day; none is lost, and none goes below nothing."""
    left = sa.select(tables.budget_refusal.c.refusals_left)
    written: set[str] = set()
    for times, expected in ((REFUSALS - 1, 1), (THREADS, 0)):
        with ThreadPoolExecutor(THREADS) as pool:
            done = [pool.submit(log.log.append, entry(0), charge("a").refuse) for _ in range(times)]
        written |= {each.result().id for each in done}
        with log.store.reading() as connection:
            assert connection.scalar(left) == expected
    assert set(durable(log)) == written
    assert len(written) == REFUSALS - 1 + THREADS


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_lost_answer_leaves_an_entry_and_no_promise(log: OpenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that breaks after the commit is told as unavailable: the log may say too much, never too little."""
    run, lost = log.store.run, iter([True])

    def losing(*given: Any) -> Any:
        run(*given)
        if next(lost, False):
            raise Unavailable from psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(log.store, "run", losing)
    with pytest.raises(Unavailable):
        log.log.append(entry(5))
    assert list(durable(log).values()) == [5]


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_connections_that_ended_are_replaced(log: OpenLog, databases: Databases) -> None:
    """One entry fails with the connection that it met; after it, all are new."""
    log.log.append(entry(0))
    with log.store.transaction():
        pass
    database = sa.make_url(databases.store).database
    with psycopg.connect(databases.store, dbname="postgres", autocommit=True) as connection:
        ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(ended, [database])
    with pytest.raises(Unavailable):
        log.log.append(entry(1))
    log.log.append(entry(2))
    with log.store.transaction() as again:
        assert again.scalar(sa.select(1)) == 1
    assert sorted(durable(log).values()) == [0, 2]


def test_a_leaf_that_could_not_be_searched_is_not_written(log: OpenLog) -> None:
    """The sealer reads each; one that it could not read would keep all later ones from the tree."""
    too_long = Entry("test", "permit", "done", now(), None, {"agency": "A" * 61})
    with pytest.raises(ConfigurationError, match="agency"):
        log.log.append(too_long)
    log.log.append(Entry("test", "permit", "done", now(), None, {"agency": "A" * 60}))
    log.seal()
