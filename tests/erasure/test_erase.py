"""Erasure: a person's openings are destroyed in every entry, and everything else stays."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import limits, tables
from gateway.audit.entry import Entry, Opening, person, record
from gateway.canonical import Json
from gateway.erasure import erase
from gateway.erasure.order import OrderError
from gateway.errors import ConfigurationError
from tests.conftest import MakeWorld
from tests.erasure.conftest import City
from tests.erasure.office import ALICE, BOB, BY, REFERENCE, at, make, owed, signed_by
from tests.keys.city import Machine


def test_nothing_is_found_of_the_person_and_the_tree_verifies(city: City) -> None:
    """A search finds nothing; the log continues the checkpoint from before, and counts what was erased."""
    city.alone(city.ice)
    city.among_others(city.fbi)
    before = city.office.verify()
    assert len(city.office.about(city.person)) > 0
    assert city.office.erased() == 0
    done = city.office.erase(city.person)
    city.office.verify(before.note)
    assert city.office.about(city.person) == []
    assert city.office.erased() == done.openings > 0


def test_an_erasure_that_waits_for_its_place_is_told_of(city: City) -> None:
    """Between an erasure and its sealing the log is as whole as before and after."""
    city.alone(city.ice)
    done = city.office.erase(city.person)
    with city.office.log() as log:
        assert log.log.unsealed() > 0
    assert city.office.erased() == done.openings
    city.office.verify()
    assert city.office.erased() == done.openings


def test_other_persons_of_the_same_entries_stay(city: City) -> None:
    """Of a page with many, one person's opening is gone; the question that was asked for all of them stays."""
    entry = city.among_others(city.ice)
    before = city.office.openings(entry)
    city.office.erase(city.person)
    after = city.office.openings(entry)
    gone = [each for each, now in zip(before, after, strict=True) if now is None]
    assert {each.value["person"] for each in gone if each and isinstance(each.value, dict)} == {str(city.person)}
    assert [now for now in after if now is not None] == [each for each in before if each not in gone]
    assert city.office.kinds(entry)["question"] == 1


def test_the_question_goes_where_the_person_was_alone(city: City) -> None:
    """The name that was typed in is destroyed with the answer; who asked, how, and the body's digest stay."""
    entry = city.alone(city.ice)
    city.office.erase(city.person)
    assert city.office.kinds(entry) == {"circumstances": 1}


def test_the_question_goes_with_the_last_of_the_persons(city: City) -> None:
    """While one of those disclosed is left, it is that person's account too."""
    both = sorted(city.office.persons())[:2]
    arrests = [city.office.persons()[key][0] for key in both]
    openings = (
        Opening("question", {"resource": "arrests", "filter": {"family_name": {"eq": "Invented"}}}),
        *(
            Opening("record", {"resource": "arrests", "key": str(a), "person": str(p)})
            for a, p in zip(arrests, both, strict=True)
        ),
    )
    with city.office.log() as log:
        entry = log.log.append(Entry("read", "permit", "disclosed", at("2026-01-05"), None, {}, openings)).id
    city.office.erase(both[0])
    assert city.office.kinds(entry) == {"question": 1, "record": 1}
    city.office.erase(both[1])
    assert city.office.kinds(entry) == {}
    city.office.verify()


def test_entries_of_auditors_and_officers_about_the_person_are_erased_too(city: City) -> None:
    """Searches, recalls, holds, instruments and explanations name the person or a record; their counts stay."""
    city.alone(city.ice)
    city.office.recall(city.arrests[0])
    city.office.lift(city.office.hold(city.person))
    other = str(next(key for key in city.office.persons() if key != city.person))
    mine: dict[str, Json] = {"person": str(city.person)}
    written = {
        "audit-search": (Opening("searched", mine), Opening("reason", "A complaint by the person.")),
        "audit-account": (Opening("searched", mine), Opening("searched", {"person": other}), Opening("reason", "Two.")),
        "instrument-add": (Opening("instrument", {"instrument": "i", **mine}),),
        "policy-explain": (Opening("record", {"resource": "arrests", "key": str(city.arrests[0])}),),
    }
    with city.office.log() as log:
        for action, openings in written.items():
            log.log.append(
                Entry(action, "permit", "done", at("2026-01-05"), None, {}, (Opening("officer", BY), *openings))
            )
    city.office.erase(city.person)
    left = {
        action: city.office.kinds(leaf["id"])
        for action in (*written, "audit-recall", "audit-hold", "audit-hold-lift")
        for leaf in city.office.leaves(action)
    }
    assert left.pop("audit-account") == {"officer": 1, "searched": 1, "reason": 1}
    assert left == {action: {"officer": 1} for action in left}
    assert set(left) == {
        "audit-search",
        "instrument-add",
        "policy-explain",
        "audit-recall",
        "audit-hold",
        "audit-hold-lift",
    }
    city.office.verify()


def test_what_was_indexed_under_an_older_key_is_erased_too(make_world: MakeWorld, city: City) -> None:
    """The index key has been rotated between two disclosures, and the openings key as well."""
    city.alone(city.ice)
    for use in ("index", "openings"):
        Machine(city.world.settings).rotate(use)
    city.ice.world = make_world(rehearsal_day="2009-01-01")
    city.alone(city.ice)
    assert len(city.office.about(city.person)) == 2 * len(city.arrests)
    city.office.erase(city.person)
    assert city.office.about(city.person) == []
    city.office.verify()


def test_a_record_that_has_become_another_persons_stays_that_persons(city: City) -> None:
    """A record that was disclosed once as the one's and then, corrected, as the other's is erased of the one alone."""
    other = next(key for key in city.office.persons() if key != city.person)
    entries = []
    with city.office.log() as log:
        for whose in (city.person, other):
            value = {"resource": "arrests", "key": str(city.arrests[0]), "person": str(whose)}
            entry = Entry("read", "permit", "disclosed", at("2026-01-05"), None, {}, (Opening("record", value),))
            entries.append(log.log.append(entry).id)
    city.office.erase(city.person)
    assert [city.office.kinds(entry)["record"] for entry in entries] == [0, 1]


def test_clients_are_owed_their_notices_first(city: City) -> None:
    """A notice for each record that a client received of the person, under its own ids, and for nobody else."""
    city.alone(city.ice)
    city.fbi.records({"limit": 1})
    done = city.office.erase(city.person)
    assert {(copy.client, copy.key) for copy in done.owed} >= {("ice-ero", key) for key in city.arrests}
    told = owed(city.ice)
    assert {
        city.office.key(city.ice, identifier) for each in told for identifier in each["ids"][city.ice.purpose]
    } == set(city.arrests)
    assert {each["kind"] for each in told} == {"expunged"}
    assert len(told) == len(city.arrests)


def test_entries_that_wait_for_their_place_are_included(city: City) -> None:
    """What was disclosed a moment ago is erased before it is sealed, and is sealed afterwards."""
    entry = city.alone(city.ice)
    assert (entry,) in [tuple(row) for row in city.office.run("SELECT entry_id FROM pending")]
    city.office.erase(city.person)
    assert city.office.about(city.person) == []
    city.office.verify()


def test_the_entry_of_an_erasure_tells_how_much_and_not_of_whom(city: City) -> None:
    """Digest, signers and numbers stand in the leaf; the court's reference is sealed; the person is nowhere."""
    city.alone(city.ice)
    done = city.office.erase(city.person)
    (leaf,) = city.office.leaves("audit-erase")
    assert leaf["signers"] == [ALICE, BOB]
    assert len(leaf["digest"]) == 64
    numbers = {name: leaf[name] for name in ("openings", "entries", "marks", "notices")}
    assert numbers == {"openings": done.openings, "entries": 1, "marks": done.marks, "notices": len(city.arrests)}
    # The records of one answer, and its question.
    assert done.openings == len(city.arrests) + 2
    held = {each.kind: each.value for each in city.office.openings(leaf["id"]) if each}
    assert held.keys() == {"officer", "order"}
    assert isinstance(held["order"], dict)
    assert held["order"].keys() == {"id", "reference"}
    assert held["order"]["reference"] == REFERENCE


def test_budget_marks_go_and_the_day_stays_as_full(make_world: MakeWorld) -> None:
    """No mark is the person's or a record's any more; the agreement has not one person more to see."""
    world = make_world(rehearsal_day="2015-06-01", rehearsal_with="hold-standard-on-data")
    office = make(world)
    marked = min(office.persons())
    arrests = office.persons()[marked]
    agreement = world.asker().id + "-agreement"
    with office.log() as log:
        names = [person(marked), *(record("arrests", key) for key in arrests), person(10**9)]
        marks = [log.openings.index_of(name).hex() for name in names]
        charge = limits.Charge(agreement, at("2026-01-05").date(), 100, marks)
        openings = tuple(
            Opening("record", {"resource": "arrests", "key": str(key), "person": str(marked)}) for key in arrests
        )
        log.log.append(
            Entry("read", "permit", "disclosed", at("2026-01-05"), None, {}, openings),
            charge.settle,
        )
    done = office.erase(marked)
    assert done.marks == len(arrests) + 1
    left = [row[0] for row in office.run("SELECT mark FROM budget_mark")]
    assert len(left) == len(marks)
    assert set(left) & set(marks) == {marks[-1]}
    assert {len(mark) for mark in left} == {64}


def test_a_legal_hold_stops_it_until_the_last_is_lifted(city: City) -> None:
    """Nothing is owed and nothing destroyed while a hold stands; not even by an order signed before."""
    city.alone(city.ice)
    content = city.office.order(city.person)
    signatures = signed_by(content, ALICE, BOB)
    first, second = city.office.hold(city.person), city.office.hold(city.person)
    found = len(city.office.about(city.person))
    city.office.lift(first)
    with pytest.raises(OrderError, match=second):
        city.office.enact(content, signatures)
    # The lifting is about the person as well.
    assert len(city.office.about(city.person)) == found + 1
    assert owed(city.ice) == []
    city.office.lift(second)
    city.office.enact(content, signatures)
    assert city.office.about(city.person) == []


def test_a_hold_on_another_person_stops_nothing(city: City) -> None:
    """A hold is on one person."""
    city.office.hold(next(key for key in city.office.persons() if key != city.person))
    city.alone(city.ice)
    city.office.erase(city.person)
    assert city.office.about(city.person) == []


def test_a_hold_stands_when_the_index_key_is_rotated(make_world: MakeWorld, city: City) -> None:
    """It is found under the older key."""
    city.office.hold(city.person)
    Machine(city.world.settings).rotate("index")
    make_world(rehearsal_day="2009-01-01")
    with pytest.raises(OrderError, match="legal hold"):
        city.office.erase(city.person)


def test_a_hold_is_kept_as_a_hash_alone(city: City) -> None:
    """The table does not say on whom; the entry's seal does."""
    hold = city.office.hold(city.person)
    (row,) = city.office.run("SELECT about FROM legal_hold")
    assert len(bytes(row[0])) == 32
    (leaf,) = city.office.leaves("audit-hold")
    assert leaf["hold"] == hold
    held = {each.kind: each.value for each in city.office.openings(leaf["id"]) if each}
    assert held["held"] == {"person": str(city.person), "because": "A suit is pending."}
    city.office.verify()


def test_a_disclosure_after_the_erasure_is_a_new_one(city: City) -> None:
    """The arrest database still holds the person: who asks again is written down again."""
    city.alone(city.ice)
    city.office.erase(city.person)
    entry = city.alone(city.ice)
    assert set(city.office.about(city.person)) == {entry}
    assert city.office.erase(city.person).entries == 1


def test_a_person_of_whom_there_is_nothing_is_erased_all_the_same(city: City) -> None:
    """The order was carried out, and there was nothing to destroy: the entry says so."""
    done = city.office.erase(10**9)
    assert (done.openings, done.entries, done.marks, done.owed) == (0, 0, 0, [])
    assert len(city.office.leaves("audit-erase")) == 1


def test_what_can_not_be_opened_stops_it(city: City) -> None:
    """Who was to be told of it would not be known."""
    entry = city.alone(city.ice)
    city.office.run(f"UPDATE opening SET sealed = wrapped WHERE entry_id = '{entry}' AND about IS NOT NULL")
    with pytest.raises(ConfigurationError, match="can't be opened"):
        city.office.erase(city.person)
    assert len(city.office.about(city.person)) == len(city.arrests)


def test_thousands_of_openings_are_erased_in_one_go(city: City) -> None:
    """Two thousand entries with a person each time, beside others."""
    other = next(key for key in city.office.persons() if key != city.person)
    with city.office.log() as log:
        for number in range(2000):
            openings = [Opening("question", {"number": number})]
            openings += [
                Opening("record", {"resource": "arrests", "key": str(number), "person": str(whose)})
                for whose in ((city.person, other) if number % 2 else (city.person,))
            ]
            log.log.append(Entry("read", "permit", "disclosed", at("2026-01-05"), None, {}, tuple(openings)))
    began = time.monotonic()
    done = city.office.erase(city.person)
    assert time.monotonic() - began < 30
    assert (done.openings, done.entries) == (3000, 2000)
    assert city.office.about(city.person) == []
    assert len(city.office.about(other)) == 1000
    city.office.verify()


def test_reads_at_the_same_time_survive_whole_or_not_at_all(city: City) -> None:
    """While clients go on asking, an erasure leaves of each entry everything of the person, or nothing."""
    _ = city.ice.token
    entries: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            entries.append(city.alone(city.ice))

    city.alone(city.ice)
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(3):
            seen = len(entries)
            while len(entries) < seen + 2:
                time.sleep(0.01)
            city.office.erase(city.person)
    finally:
        stop.set()
        thread.join(30)
    assert len(entries) > 6
    kinds = {tuple(sorted(city.office.kinds(entry).items())) for entry in entries}
    whole = (("body", 1), ("circumstances", 1), ("question", 1), ("record", len(city.arrests)))
    assert kinds <= {whole, (("circumstances", 1),)}
    city.office.verify()
    city.office.erase(city.person)
    assert city.office.about(city.person) == []


# --- what the files still hold ------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_the_database_file_is_overwritten(city: City, dialect: str) -> None:
    """Neither the file nor its write-ahead log holds a byte of what was sealed, or a hash of the person."""
    del dialect
    entry = city.alone(city.ice)
    rows = city.office.run(
        f"SELECT sealed, wrapped, about FROM opening WHERE entry_id = '{entry}' AND about IS NOT NULL"
    )
    secrets = [bytes(value) for row in rows for value in row]
    city.world.gateway.store.close()
    database = Path(city.world.settings.store_url.removeprefix("sqlite:///"))
    assert all(secret in _bytes(database) for secret in secrets)
    city.office.erase(city.person)
    with city.office.log() as log:
        assert erase.wipe(log.store)
    held = _bytes(database)
    assert [secret for secret in secrets if secret in held] == []


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_reader_of_the_write_ahead_log_is_told_of(city: City, dialect: str) -> None:
    """As long as someone reads from it, it can't be emptied, and that is said."""
    del dialect
    city.alone(city.ice)
    with city.office.log() as log, log.store.snapshot() as reading:
        reading.execute(sa.select(sa.func.count()).select_from(tables.entry))
        city.office.erase(city.person)
        with city.office.log() as other:
            engine: Any = other.store.engine
            sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=10"))
            assert not erase.wipe(other.store)


def _bytes(database: Path) -> bytes:
    log = database.with_name(database.name + "-wal")
    return database.read_bytes() + (log.read_bytes() if log.exists() else b"")


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_dead_rows_are_vacuumed(city: City, dialect: str) -> None:
    """On PostgreSQL the dead rows are given up for use."""
    del dialect
    city.alone(city.ice)
    city.office.erase(city.person)
    with city.office.log() as log:
        assert erase.wipe(log.store)
    ((dead,),) = city.office.run("SELECT n_dead_tup FROM pg_stat_all_tables WHERE relname = 'opening'")
    assert dead == 0
