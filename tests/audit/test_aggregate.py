"""Refusals that are counted: bounded for strangers, and told under the name of each known client."""

from datetime import UTC, datetime, timedelta

from gateway.access import Subject
from gateway.audit.aggregate import MAX_KEYS, Aggregate
from gateway.audit.entry import Entry
from gateway.audit.log import LoggedEntry
from tests.world import agreement

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class _Log:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def append(self, entry: Entry) -> LoggedEntry:
        """Write an entry."""
        self.entries.append(entry)
        return LoggedEntry(str(len(self.entries)), "promise")


def _refusal(client: str | None) -> Entry:
    subject = None if client is None else Subject(client, agreement(client))
    return Entry("read", "refuse", "client-suspended" if client else "unauthenticated", NOW, subject)


def test_strangers_beyond_the_bound_count_as_one() -> None:
    """However many addresses come, so many entries are written, and one more for all others."""
    log = _Log()
    aggregate = Aggregate(log.append, lambda: NOW)
    ids = {aggregate.add(_refusal(None), f"2001:db8::{number:x}").id for number in range(MAX_KEYS + 50)}
    assert len(ids) == len(log.entries) == MAX_KEYS + 1


def test_a_known_client_is_never_told_under_anothers_name() -> None:
    """A flood of strangers takes no client's place: each has an entry, and a promise, of its own."""
    log = _Log()
    aggregate = Aggregate(log.append, lambda: NOW)
    for number in range(MAX_KEYS + 50):
        aggregate.add(_refusal(None), f"2001:db8::{number:x}")
    first = {name: aggregate.add(_refusal(name), name).id for name in ("fbi", "atf")}
    assert {name: aggregate.add(_refusal(name), name).id for name in ("atf", "fbi")} == first
    told = [log.entries[int(found) - 1].subject for found in first.values()]
    assert [subject and subject.client for subject in told] == ["fbi", "atf"]


def test_what_came_further_is_told_when_the_minute_is_over() -> None:
    """The count names the first, and the client."""
    log, clock = _Log(), [NOW]
    aggregate = Aggregate(log.append, lambda: clock[0])
    for _ in range(3):
        aggregate.add(_refusal("fbi"), "fbi")
    clock[0] += timedelta(minutes=1)
    aggregate.flush()
    assert [entry.facts.get("further") for entry in log.entries] == [None, 2]
    assert log.entries[1].facts["first"] == "1"
    assert log.entries[1].subject == log.entries[0].subject
