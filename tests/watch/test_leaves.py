"""What clients do is told from the leaves, whatever else they do, and whatever is done to other leaves."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import app as composition
from gateway import tables
from gateway.access import Subject
from gateway.app import now
from gateway.audit.entry import Entry
from gateway.audit.merkle import leaf_hash
from gateway.errors import Code
from gateway.telemetry import Telemetry
from gateway.watch.alerts import Alerts
from gateway.watch.leaves import SWEEP_MINUTES, SWEEP_SEARCHES, LeafWatch
from gateway.watch.overdue import Overdue
from gateway.watch.tail import Tail, from_the_first
from tests.audit import logs
from tests.audit.logs import OpenLog
from tests.world import Databases, agreement, settings

SUBJECT = Subject("fbi", agreement("fbi", "FBI"))
# After each search of a sweep; so it is spread over more than a thousand.
BETWEEN = 34

Look = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def log(databases: Databases, tmp_path: Path) -> Iterator[OpenLog]:
    """An open log."""
    composition.prepare(settings(databases, tmp_path / "keys"))
    with logs.opened(databases, tmp_path / "keys") as opened:
        yield opened


@pytest.fixture
def look(log: OpenLog) -> Iterator[Look]:
    """Seal, let a watch look at all from the first leaf on that it has not seen, and return what it has ever told."""
    tail = Tail(log.store, "alerts", from_the_first)
    tail.begin()
    posted: list[bytes] = []
    alerts = Alerts("gateway.test/log", posted.append, Telemetry())
    overdue = Overdue(log.store, alerts, lambda: ZoneInfo("America/New_York"), now)
    watch = LeafWatch(log.store, tail, alerts, overdue, lambda: frozenset({"date_of_birth", "family_name"}))

    def done() -> list[dict[str, Any]]:
        log.seal()
        while tail.next():
            watch.look()
        alerts.deliver_all()
        return [json.loads(body) for body in posted]

    assert tail.claimed()
    yield done
    tail.close()


def search(log: OpenLog, *fields: str, when: datetime | None = None) -> str:
    """Append a search by some fields; return its entry's id."""
    facts = {"filtered": list(fields)}
    return log.log.append(Entry("read", "permit", "disclosed", when or now(), SUBJECT, facts)).id


@pytest.mark.parametrize("known", ["by what is read", "from the store"])
def test_other_searches_in_between_hide_no_sweep(log: OpenLog, look: Look, known: str) -> None:
    """However many they are, and whether the watch has seen the client's earlier searches or reads them first."""
    for _ in range(SWEEP_SEARCHES - 1):
        search(log, "district", "family_name")
        for _ in range(BETWEEN):
            search(log, "district")
    if known == "by what is read":
        assert look() == []
    else:
        log.seal()
        with log.store.transaction() as connection:
            connection.execute(tables.forwarded.update().values(next_index=logs.size(connection)))
    last = search(log, "family_name")
    (told,) = look()
    assert (told["kind"], told["client"], told["entry"]) == ("sweep", "fbi", last)
    assert (told["field"], told["searches"]) == ("family_name", SWEEP_SEARCHES)


def test_a_sweep_is_told_though_it_was_long_over_when_it_is_read(log: OpenLog, look: Look) -> None:
    """A gateway that stood still reads an hour at once."""
    earlier = now() - timedelta(hours=1)
    for _ in range(SWEEP_SEARCHES):
        swept = search(log, "family_name", when=earlier)
    search(log, "family_name")
    (told,) = look()
    assert (told["kind"], told["entry"], told["searches"]) == ("sweep", swept, SWEEP_SEARCHES)


def test_searches_that_take_their_time_are_no_sweep(log: OpenLog, look: Look) -> None:
    """Of those by one field, only the last minutes count."""
    apart = timedelta(minutes=SWEEP_MINUTES) / (SWEEP_SEARCHES - 1.5)
    for number in range(2 * SWEEP_SEARCHES):
        search(log, "family_name", when=now() - timedelta(hours=1) + number * apart)
    assert look() == []


def write(connection: Connection, entry: str, content: bytes) -> None:
    """Replace a leaf's bytes and its hash, as whoever may write all of the store can."""
    logs.write_leaf(connection, entry, content)
    hashed = {"leaf_hash": leaf_hash(content)}
    connection.execute(tables.leaf.update().where(tables.leaf.c.entry_id == entry).values(hashed))


@pytest.mark.parametrize(
    "change",
    [
        # On SQLite, a text where bytes belong.
        lambda connection, entry: connection.execute(
            sa.text("UPDATE entry SET leaf = 'x' WHERE entry_id = :entry"), {"entry": entry}
        ),
        lambda connection, entry: logs.change_leaf(connection, entry, outcome=Code.CLIENT_SUSPENDED.value),
        logs.remove_entry,
        lambda connection, entry: write(connection, entry, b'{"id":"\xff"}'),
        lambda connection, entry: write(connection, entry, b'{"x":' + b"[" * 60_000),
    ],
    ids=["spoilt", "in other words", "removed", "spoilt with its hash", "too deep with its hash"],
)
def test_a_leaf_that_was_changed_is_told_once_and_those_behind_it_are_looked_at(
    log: OpenLog, look: Look, change: Callable[[Connection, str], None]
) -> None:
    """Whoever can write the store can't blind the watch by one leaf, nor make it tell what did not happen."""
    changed = search(log, "family_name")
    entry = Entry("read", "refuse", Code.BUDGET_SPENT.value, now(), SUBJECT)
    refused = log.log.append(entry).id
    log.seal()
    with log.store.transaction() as connection:
        index = logs.order(connection).index(changed)
        change(connection, changed)
    for _ in range(2):
        told = [(each["kind"], each.get("index"), each.get("entry")) for each in look()]
        assert told == [("log-disagreement", index, None), ("budget-reached", None, refused)]


def test_a_leaf_that_was_changed_hides_no_sweep_from_the_store(log: OpenLog, look: Look) -> None:
    """A client's last minutes are read though one of its leaves can't be."""
    for _ in range(SWEEP_SEARCHES):
        changed = search(log, "family_name")
    log.seal()
    with log.store.transaction() as connection:
        logs.write_leaf(connection, changed, b"x")
        connection.execute(tables.forwarded.update().values(next_index=logs.size(connection)))
    search(log, "family_name")
    assert [each["kind"] for each in look()] == ["log-disagreement", "sweep"]
