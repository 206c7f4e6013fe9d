"""Searches find what a reader of all leaves would find, page by page, and each is an entry before it is shown."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from gateway import keys as key_files
from gateway import tables
from gateway.audit.entry import Entry, person, record
from gateway.audit.openings import Openings
from gateway.errors import ConfigurationError, Unavailable
from gateway.inspection import criteria
from gateway.inspection import search as search_module
from gateway.inspection.criteria import Before, Criterion, Ruled, Since, Touched, Word
from gateway.inspection.inspector import Inspector, Reason
from gateway.inspection.search import Found, Page, search
from gateway.keys import Ring
from tests.conftest import MakeWorld
from tests.inspection.conftest import Inspect, count, erase, written
from tests.world import World

WHY = Reason("A complaint was made.")
ALL = Page(1000, None)
NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A world in which things have happened."""
    world = make_world(rehearsal_day="2014-05-01", rehearsal_with="hold-standard-on-data")
    fbi, ice = world.asker("fbi", "FBI", officer="Officer X"), world.asker(officer="Officer Y")
    fbi.search({"limit": 3, "filter": {"sex": {"eq": "F"}}, "sort": ["-arrested_at"]})
    fbi.search({"limit": 2, "fields": ["family_name"]})
    fbi.get("/v1/arrests/AAAA")
    ice.search({"limit": 1})
    ice.search({"filter": {"home_address": {"eq": "x"}}})
    world.asker("other", "DEA", mission="criminal-investigation").search()
    world.request("GET", "/v1/resources")
    return world


def found(inspector: Inspector, *asked: Criterion, reason: Reason | None = WHY) -> Found:
    """Search without paging."""
    return search(inspector, asked, ALL, reason)


def shown(inspector: Inspector) -> dict[str, str]:
    """Return a record that was disclosed, from the sealed part of its entry."""
    with inspector.store.reading() as connection:
        rows = connection.execute(sa.select(tables.opening).where(tables.opening.c.record.is_not(None))).all()
    opened = [inspector.openings.open(r.sealed, r.wrapped, r.entry_id, r.position) for r in rows]
    value: Any = next(each.value for each in opened if each.kind == "record")
    return dict(value)


Holds = Callable[[dict[str, Any]], bool]
CRITERIA: dict[str, tuple[Criterion, Holds]] = {
    "client": (Word("client", "fbi"), lambda leaf: leaf.get("client") == "fbi"),
    "agency": (Word("agency", "DEA"), lambda leaf: leaf.get("agency") == "DEA"),
    "purpose": (
        Word("purpose", "immigration-enforcement"),
        lambda leaf: leaf.get("purpose") == "immigration-enforcement",
    ),
    "decision": (Word("decision", "deny"), lambda leaf: leaf["decision"] == "deny"),
    "outcome": (Word("outcome", "record-not-found"), lambda leaf: leaf["outcome"] == "record-not-found"),
    "action": (Word("action", "token"), lambda leaf: leaf["action"] == "token"),
    "rule": (Ruled("pa-expunged/gone"), lambda leaf: "pa-expunged/gone" in leaf.get("rules", [])),
    "a field in any way": (
        criteria.touched("sex"),
        lambda leaf: any(
            "sex" in leaf.get(way, []) for way in ("shown", "masked", "varying", "withheld", "filtered", "sorted_by")
        ),
    ),
    "a field filtered by": (criteria.touched("filtered:sex"), lambda leaf: "sex" in leaf.get("filtered", [])),
    "a field masked": (
        criteria.touched("masked:date_of_birth"),
        lambda leaf: "date_of_birth" in leaf.get("masked", {}),
    ),
    "a field withheld": (
        criteria.touched("withheld:home_address"),
        lambda leaf: "home_address" in leaf.get("withheld", []),
    ),
    "a field sorted by": (
        criteria.touched("sorted_by:arrested_at"),
        lambda leaf: "arrested_at" in leaf.get("sorted_by", []),
    ),
}


def test_each_criterion_finds_what_a_reader_of_all_leaves_finds(
    world: World, inspect: Inspect, subtests: pytest.Subtests
) -> None:
    """By each word, rule and field, and by any two together, neither more nor less."""
    inspector = inspect(world)
    leaves = world.leaves()
    following = [*list(CRITERIA.values())[1:], CRITERIA["decision"]]
    for (name, (criterion, holds)), (second, also) in zip(CRITERIA.items(), following, strict=True):
        with subtests.test(name):
            expected = {leaf["id"] for leaf in leaves if holds(leaf)}
            assert expected, "the test looks for nothing"
            assert {leaf["id"] for _, leaf in found(inspector, criterion).leaves} == expected
            both = {leaf["id"] for leaf in leaves if holds(leaf) and also(leaf)}
            assert {leaf["id"] for _, leaf in found(inspector, criterion, second).leaves} == both


def test_a_person_an_officer_and_a_record_are_found_by_the_keyed_index(world: World, inspect: Inspect) -> None:
    """Whoever looks for them finds the entries in whose sealed part they stand, and no others."""
    inspector = inspect(world)
    value = shown(inspector)
    name = f"{value['resource']}:{value['key']}"
    expected = {leaf["id"] for leaf in world.leaves() if leaf.get("client") == "fbi"}
    assert {leaf["id"] for _, leaf in found(inspector, criteria.officer("Officer X")).leaves} == expected
    by_record = {leaf["id"] for _, leaf in found(inspector, criteria.record(name)).leaves}
    by_person = {leaf["id"] for _, leaf in found(inspector, criteria.person(int(value["person"]))).leaves}
    assert by_record
    assert by_record <= by_person <= expected
    both = found(inspector, criteria.person(int(value["person"])), Word("agency", "ICE"))
    assert both.leaves == ()
    assert found(inspector, criteria.person(10**15)).leaves == ()


def test_what_was_indexed_under_an_old_key_is_found(world: World, inspect: Inspect) -> None:
    """After a rotation of the index key, old entries are found by the same name."""
    inspector = inspect(world)
    keys = key_files.read(world.settings.keys, world.settings.keys_passphrase)
    rotated = replace(
        inspector, openings=Openings(keys.openings, Ring({**keys.index.keys, max(keys.index.keys) + 1: bytes(32)}))
    )
    expected = {leaf["id"] for leaf in world.leaves() if leaf.get("client") == "fbi"}
    assert rotated.openings.index_of("officer:Officer X") != inspector.openings.index_of("officer:Officer X")
    assert {leaf["id"] for _, leaf in found(rotated, criteria.officer("Officer X")).leaves} == expected


# --- pages --------------------------------------------------------------------------------------------------


def pages(inspector: Inspector, limit: int, *asked: Criterion) -> list[int]:
    """Return the indices of all pages, in order."""
    indices: list[int] = []
    after: int | None = None
    while True:
        page = search(inspector, asked, Page(limit, after), WHY)
        indices += [index for index, _ in page.leaves]
        assert len(page.leaves) <= limit
        if page.following is None:
            return indices
        after = page.following


@pytest.mark.parametrize("asked", [(), (Word("client", "fbi"),), (criteria.touched("shown:sex"),)])
def test_pages_hold_each_leaf_once(
    world: World, inspect: Inspect, monkeypatch: pytest.MonkeyPatch, asked: tuple[Criterion, ...]
) -> None:
    """Whatever the page's size, and the size in which leaves are looked into, all come, once, the newest first."""
    inspector = inspect(world)
    whole = [index for index, _ in found(inspector, *asked).leaves]
    assert len(whole) >= 3
    monkeypatch.setattr(search_module, "_CHUNK", 2)
    for limit in (1, 2, 3, len(whole) - 1, len(whole), len(whole) + 1):
        assert pages(inspector, limit, *asked) == whole


def test_clocks_that_go_back_lose_no_leaf_and_repeat_none(make_world: MakeWorld, inspect: Inspect) -> None:
    """Entries come in the order of their times, of which some are equal and some go back; new ones disturb no page."""
    world = make_world()
    start = datetime(2026, 3, 8, 6, 59, tzinfo=UTC)
    log = world.gateway.log
    for minutes in (5, 1, 1, 9, -60, 5, 5, 0, 100_000):
        log.append(Entry("test", "permit", "done", start + timedelta(minutes=minutes), None))
        log.seal_all()
    inspector = inspect(world)
    whole = [(leaf["time"], index) for index, leaf in found(inspector, Word("action", "test")).leaves]
    assert whole == sorted(whole, reverse=True)
    assert len(whole) == 9
    page = search(inspector, [Word("action", "test")], Page(4, None), None)
    for minutes in (200_000, 5, -90):
        log.append(Entry("test", "permit", "done", start + timedelta(minutes=minutes), None))
    log.seal_all()
    rest = search(inspector, [Word("action", "test")], Page(100, page.following), None)
    known = {index for _, index in whole}
    seen = [index for index, _ in (*page.leaves, *rest.leaves) if index in known]
    assert seen == [index for _, index in whole]


def test_an_unknown_leaf_to_go_on_after_is_told(world: World, inspect: Inspect) -> None:
    """An index beyond the tree is an error, and so is that of a leaf that was lost."""
    inspector = inspect(world)
    with inspector.store.transaction() as connection:
        connection.execute(tables.leaf.insert(), {"leaf_index": 900, "entry_id": None, "leaf_hash": bytes(32)})
    for index in (900, 901, 2**63 - 1):
        with pytest.raises(ConfigurationError, match=f"no leaf {index}"):
            search(inspector, [], Page(1, index), None)
    assert found(inspector).leaves


# --- times --------------------------------------------------------------------------------------------------


def test_days_are_the_citys_and_until_is_exclusive(make_world: MakeWorld, inspect: Inspect) -> None:
    """A day begins when it begins in the city, also where its clocks are put forward."""
    world = make_world()
    at = {
        "before": "2026-03-08T04:59:59.999999+00:00",
        "midnight": "2026-03-08T05:00:00+00:00",
        "last": "2026-03-09T03:59:59.999999+00:00",
        "next day": "2026-03-09T04:00:00+00:00",
    }
    for name, time in at.items():
        world.gateway.log.append(Entry(name, "permit", "done", datetime.fromisoformat(time), None))
    inspector = inspect(world)
    span: list[Criterion] = [
        Since(criteria.moment("2026-03-08", NEW_YORK)),
        Before(criteria.moment("2026-03-09", NEW_YORK)),
    ]
    assert [leaf["action"] for _, leaf in found(inspector, *span).leaves] == ["last", "midnight"]
    with pytest.raises(ConfigurationError, match="nothing lies between"):
        found(inspector, span[1], Since(criteria.moment("2026-03-09", NEW_YORK)), span[1])


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2026-13-01", "2026-02-30", "2026-11-23T05:00:00", "2026-1-1", "1969-12-31", "2200-01-02"),
        *(
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            "0001-01-01",
            "9999-12-31",
            "\u0662\u0660\u0662\u0666-01-01",
            "1" * 5000,
        ),
    ],
)
def test_what_is_no_moment_is_told(text: str) -> None:
    """Neither a traceback nor a guess."""
    with pytest.raises(ConfigurationError):
        criteria.moment(text, NEW_YORK)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_an_error(text: str) -> None:
    """Whatever is typed."""
    try:
        read = criteria.moment(text, NEW_YORK)
    except ConfigurationError:
        return
    assert read.tzinfo is UTC


@given(st.text(max_size=40))
def test_any_text_is_a_record_or_an_error(text: str) -> None:
    """Whatever is typed; a key is never read as another one."""
    try:
        about = criteria.record(text)
    except ConfigurationError:
        return
    assert about.name == f"record:{text}"


# --- what is written down ---------------------------------------------------------------------------------------


def test_a_search_is_an_entry_with_the_words_that_the_log_knows(world: World, inspect: Inspect) -> None:
    """Words of the vocabulary stand in the leaf, under a name of their own: nobody's searches count as the client's."""
    inspector = inspect(world)
    asked: list[Criterion] = [Word("client", "fbi"), Word("decision", "permit"), criteria.touched("filtered:sex")]
    asked += [Since(datetime(2026, 1, 1, tzinfo=UTC))]
    search(inspector, asked, Page(7, None), None)
    leaf, sealed = written(inspector, "audit-search")
    assert leaf["criteria"] == {
        "client": "fbi",
        "decision": "permit",
        "field": "filtered:sex",
        "from": "2026-01-01T00:00:00Z",
    }
    assert (leaf["limit"], leaf["found"], "client" in leaf, "after" in leaf) == (7, 1, False, False)
    assert sealed == {"officer": "Auditor A"}
    world.gateway.log.seal_all()
    assert {leaf["action"] for _, leaf in found(inspector, Word("client", "fbi")).leaves} == {"read", "token"}


def test_a_name_that_was_gone_by_is_sealed_with_the_reason(world: World, inspect: Inspect) -> None:
    """The leaf says by what kind of name, and not which; erasing the person destroys what was asked, and why."""
    inspector = inspect(world)
    value = shown(inspector)
    key, name = value["person"], f"{value['resource']}:{value['key']}"
    found(inspector, criteria.person(int(key)))
    leaf, sealed = written(inspector, "audit-search")
    assert leaf["sealed_criteria"] == ["person"]
    assert sealed["searched"] == {"person": key, "because": WHY.text}
    found(inspector, criteria.record(name))
    leaf, sealed = written(inspector, "audit-search")
    assert leaf["sealed_criteria"] == ["resource"]
    assert sealed["searched"] == {
        "resource": value["resource"],
        "key": value["key"],
        "person": key,
        "because": WHY.text,
    }
    found(inspector, criteria.officer("Officer X"))
    assert written(inspector, "audit-search")[1]["searched"] == {"officer": "Officer X", "because": WHY.text}
    world.gateway.log.seal_all()
    assert {leaf["action"] for _, leaf in found(inspector, criteria.person(int(key))).leaves} == {
        "read",
        "audit-search",
    }
    assert erase(inspector, person(key)) >= 4
    world.gateway.log.seal_all()
    assert found(inspector, criteria.person(int(key))).leaves == ()
    assert found(inspector, criteria.record(name)).leaves == ()
    with inspector.store.reading() as connection:
        indices = set(connection.scalars(sa.select(tables.opening.c.record)))
    # Only the search just made is left: that nobody knows any more whose record it is.
    assert len(indices & set(inspector.openings.indexes_of(record(*name.split(":"))))) == 1


def test_whoever_goes_by_a_name_must_say_why(world: World, inspect: Inspect) -> None:
    """Without a reason nothing is found, and nothing written."""
    inspector = inspect(world)
    before = count(inspector)
    for about in (criteria.person(1), criteria.officer("Officer X"), criteria.record("arrests:1")):
        with pytest.raises(ConfigurationError, match="must say why"):
            found(inspector, about, reason=None)
    assert count(inspector) == before


@pytest.mark.parametrize("text", ["", " ", "\t", "a\nb", "a\x1b[2Jb", "a\u202eb", "a\x00b", "x" * 501])
def test_what_is_no_reason_and_no_name_is_refused(world: World, inspect: Inspect, text: str) -> None:
    """Empty, too long, or with characters that a terminal obeys."""
    with pytest.raises(ConfigurationError, match="reason"):
        Reason(text)
    with pytest.raises(ConfigurationError, match="officer"):
        inspect(world, text)


def test_nothing_is_shown_that_can_not_be_written_down(world: World, inspect: Inspect) -> None:
    """A search whose entry can't be made durable finds nothing."""
    inspector = inspect(world)
    with inspector.store.transaction() as connection:
        connection.execute(sa.text("ALTER TABLE opening RENAME TO gone"))
    with pytest.raises(Unavailable):
        found(inspector, Word("client", "fbi"))
    with inspector.store.transaction() as connection:
        connection.execute(sa.text("ALTER TABLE gone RENAME TO opening"))


# --- what is not there ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word", ["FBX", "%", "F_I", "F%", "fbi", "' OR '1'='1", "FBI'; DROP TABLE leaf; --", "\\", "FBI ", '"', "Jane Roe"]
)
def test_an_unknown_word_finds_nothing_says_so_and_stays_sealed(world: World, inspect: Inspect, word: str) -> None:
    """Neither a wildcard nor a quote means anything; what is typed may be a name, and stands in no leaf."""
    inspector = inspect(world)
    result = found(inspector, Word("agency", word), reason=None)
    assert (result.leaves, result.following) == ((), None)
    assert result.hints == ("no such agency: the log holds DEA, FBI, ICE",)
    leaf, sealed = written(inspector, "audit-search")
    assert (leaf["criteria"], leaf["sealed_criteria"]) == ({}, ["agency"])
    assert sealed["criteria"] == {"agency": word}
    assert json.dumps(word)[1:-1] not in json.dumps(leaf).replace('"fbi"', "") or word in ("fbi", '"', "\\")


def test_an_unknown_rule_and_field_are_told(world: World, inspect: Inspect) -> None:
    """With the words of the policy in force; a known one that no leaf holds gives no hint."""
    inspector = inspect(world)
    result = found(inspector, Ruled("%"), Touched("Jane Roe", criteria.WAYS))
    assert [hint.partition(":")[0] for hint in result.hints] == ["no such rule", "no such field"]
    leaf, sealed = written(inspector, "audit-search")
    assert leaf["criteria"] == {}
    assert sealed["criteria"] == {"rule": "%", "field": "Jane Roe"}
    nothing = found(inspector, Ruled("ph-2018/access-ended"), criteria.touched("filtered:phone"))
    assert (nothing.leaves, nothing.hints) == ((), ())
    with pytest.raises(ConfigurationError, match="no way in which a field is touched"):
        criteria.touched("seen:sex")


def test_entries_that_wait_are_counted_and_not_searched(world: World, inspect: Inspect) -> None:
    """An auditor hears of what is not in the tree yet."""
    inspector = inspect(world)
    found(inspector)
    inspector.write_down("audit-show", {"last": 1})
    result = found(inspector, Word("action", "audit-show"))
    assert (result.leaves, result.waiting) == ((), 2)


def test_an_entry_that_is_gone_is_told(world: World, inspect: Inspect) -> None:
    """An entry that was removed from the store does not end the pages before the entries that follow."""
    inspector = inspect(world)
    with inspector.store.transaction() as connection:
        removed = connection.scalar(sa.select(tables.leaf.c.entry_id).where(tables.leaf.c.leaf_index == 3))
        connection.execute(tables.entry.delete().where(tables.entry.c.entry_id == removed))
    with pytest.raises(ConfigurationError, match="of leaf 3 is gone from the store"):
        found(inspector)


def test_an_entry_that_was_damaged_is_told(world: World, inspect: Inspect) -> None:
    """Bytes that are no leaf end a search with a line, and not with a traceback."""
    inspector = inspect(world)
    with inspector.store.transaction() as connection:
        connection.execute(tables.entry.update().values(leaf=b'{"time":'))
    with pytest.raises(ConfigurationError, match="was damaged: run 'gateway audit verify'"):
        found(inspector)
