"""The whole report and extract, from leaves to bytes, against one who wants to know what they keep back."""

import csv
import io
import json
from collections import Counter, defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.report import export as exports
from gateway.report.counting import CUTS, Cell, cell_of, count, possible
from gateway.report.extract import extract
from gateway.report.files import files
from gateway.report.publication import Parameters, groups, publish
from gateway.report.quarters import quarter, time_zone
from tests.report.attack import other_world
from tests.report.invented import AFTER, act, export, leaf, refused

ZONE = "America/New_York"
LATER = "2027-06-01T00:00:00.000000Z"
PARAMETERS = Parameters("2026-Q4", ZONE, 5, "0.1.0")
AGENCIES = ["ICE", "FBI", "ATF", None]
PURPOSES = ["immigration-enforcement", "criminal-investigation"]
REASONS: list[tuple[str, tuple[str, ...]]] = [
    ("no-rule-permits", ()),
    ("denied-by-rule", ("a.one", "a.two")),
    ("denied-by-rule", ("a.one",)),
    ("unknown-field", ()),
]
CELLS = [
    cell
    for agency, purpose in product(AGENCIES, PURPOSES)
    for cell in (
        Cell(agency, "records shown", purpose, "X", None, ()),
        Cell(agency, "nothing found", purpose, "X", None, ()),
        *(Cell(agency, "refused", purpose, "X", code, rules) for code, rules in REASONS),
    )
]
COUNTS = st.lists(st.one_of(st.just(0), st.integers(0, 4), st.integers(0, 9)), min_size=len(CELLS), max_size=len(CELLS))


def read(cell: Cell, time: str = "2026-11-05T12:00:00.000000Z") -> dict[str, Any]:
    """Make a leaf that falls into a cell."""
    members = {"agency": cell.agency, "component": "X", "purpose": cell.purpose}
    if cell.outcome == "refused":
        return refused(str(cell.code), cell.rules, time=time, **members)
    shown = int(cell.outcome == "records shown")
    return leaf(time=time, records=shown, persons=shown, **members)


def leaves(world: dict[Cell, int]) -> list[dict[str, Any]]:
    """Make a log: one request in an earlier quarter, then the world, then what pads it to one length."""
    before = read(CELLS[0], "2026-08-01T00:00:00.000000Z")
    asked = [read(cell) for cell, number in world.items() for _ in range(number)]
    padding = [act("audit-show") for _ in range(10 * len(CELLS) - len(asked))]
    return [before, *asked, *padding, act("audit-show", time=AFTER), act("audit-show", time=LATER)]


def extracted(source: exports.Export) -> dict[str, bytes]:
    """Make the extract; return its bytes."""
    return {name: b"".join(content) for name, content in extract(source, ZONE, 5, 90).files().items()}


def published(directory: Path, world: dict[Cell, int]) -> dict[str, bytes]:
    """Publish a world's report and extract; return all bytes."""
    source = exports.read(export(directory, leaves(world)))
    return files(publish(source, PARAMETERS)[0]) | extracted(source)


@pytest.mark.property
@given(counts=COUNTS, data=st.data())
def test_another_small_number_leaves_every_byte_the_same(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], data: st.DataObject
) -> None:
    """For any untold cell and any number below the threshold there is a log with just these files."""
    directory = tmp_path_factory.mktemp("world")
    world = dict(zip(CELLS, counts, strict=True))
    before = published(directory, world)
    report = publish(exports.read(directory), PARAMETERS)[0]
    told = {group.key: group.requests for group in report.groups}
    untold = [cell for cell in CELLS if cell not in told]
    if untold:
        cell = data.draw(st.sampled_from(untold))
        number = data.draw(st.integers(0, 4))
        other = other_world(world, told, cell, number, CUTS, possible)
        assert other[cell] == number
        assert published(directory, other) == before


@pytest.mark.property
@given(counts=COUNTS)
def test_tables_add_up_and_never_exceed_a_naive_count(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int]
) -> None:
    """Each figure is at most what a naive count of the leaves gives, at least five, and every table has one sum."""
    world = dict(zip(CELLS, counts, strict=True))
    made = published(tmp_path_factory.mktemp("world"), world)
    sums = set()
    for name, words in (("agencies", 1), ("purposes", 1), ("agencies-and-purposes", 2), ("components", 2)):
        rows = table(made, name)
        sums.add(sum(int(row["requests"]) for row in rows))
        for row in rows:
            named = list(row.values())[:words]
            if not any(word.startswith("(not told") for word in named):
                naive = [leaf_ for leaf_ in map(read, CELLS, [AFTER] * len(CELLS)) if _fits(leaf_, row)]
                most = sum(world[cell] for cell in CELLS if any(_same(cell, leaf_) for leaf_ in naive))
                assert 5 <= int(row["requests"]) <= most
    assert len(sums) == 1
    total = int(table(made, "outcomes")[-1]["requests"] or 0)
    assert sums == {total}
    assert total <= sum(counts)
    lines = [line for line in table(made, "extract") if line["quarter"] == "2026-Q4"]
    assert sum(int(line["requests"]) for line in lines) == total


def _fits(one: dict[str, Any], row: dict[str, str]) -> bool:
    return all(row.get(name, one.get(name) or "(none named)") == (one.get(name) or "(none named)") for name in _WORDS)


def _same(cell: Cell, one: dict[str, Any]) -> bool:
    return (cell.agency, cell.purpose) == (one.get("agency"), one["purpose"])


_WORDS = ("agency", "purpose", "component")


def test_large_cells_are_counted_as_a_naive_reader_counts_them(tmp_path: Path) -> None:
    """Where nothing is small, all figures are those of the leaves."""
    world = {cell: 5 + at for at, cell in enumerate(CELLS)}
    made = published(tmp_path, world)
    reads = [each for each in leaves(world) if each["action"] == "read" and each["time"].startswith("2026-11")]
    by_agency = Counter(each.get("agency", "(none named)") for each in reads)
    assert {row["agency"]: int(row["requests"]) for row in table(made, "agencies")} == by_agency
    by_purpose = Counter(each["purpose"] for each in reads)
    assert {row["purpose"]: int(row["requests"]) for row in table(made, "purposes")} == by_purpose
    denied = [each for each in reads if each["decision"] == "deny"]
    by_code = Counter(each["outcome"] for each in denied)
    assert {row["code"]: int(row["refusals"]) for row in table(made, "refusals-by-code")} == by_code
    by_rule = Counter(rule for each in denied for rule in each["rules"] or ["(none named)"])
    assert {row["rule"]: int(row["refusals"]) for row in table(made, "refusals-by-rule")} == by_rule
    total = table(made, "outcomes")[-1]
    assert int(total["requests"]) == len(reads)
    assert int(total["records"]) == sum(each["records"] for each in reads)
    assert int(total["persons"]) == sum(each["persons"] for each in reads)
    lines = [line for line in table(made, "extract") if line["quarter"] == "2026-Q4"]
    assert len(lines) == len(reads)
    assert {line["day"] for line in lines} == {"2026-11-05"}


def test_months_of_an_agency_and_purpose_are_not_given_back(tmp_path: Path) -> None:
    """Of all spreads over three months that give the same extract, a month that is not told takes each small number."""
    asked = Cell("ICE", "nothing found", "immigration-enforcement", "X", None, ())
    alike = defaultdict(list)
    for spread in product(range(9), repeat=3):
        if 5 <= sum(spread) <= 8:
            reads = [read(asked, f"2026-1{at}-05T12:00:00.000000Z") for at in range(3) for _ in range(spread[at])]
            padding = [act("audit-show") for _ in range(8 - len(reads))]
            log = [*reads, *padding, act("audit-show", time=AFTER), act("audit-show", time=LATER)]
            made = extracted(exports.read(export(tmp_path, log)))
            alike[made["extract.csv"]].append(spread)
    assert len([worlds for worlds in alike.values() if len(worlds) == 1]) == 3 * len(range(5, 9))
    for worlds in alike.values():
        if len(worlds) > 1:
            assert all({world[month] for world in worlds} >= set(range(5)) for month in range(3))


def test_the_day_and_the_bundle_depend_on_all_requests_of_an_agency_and_purpose(tmp_path: Path) -> None:
    """Three of each of two kinds in a month are six; a month of one spoils all days, and the bundle goes too."""
    log = [
        each
        for month, number in (("10", 3), ("11", 5))
        for kind in (leaf, refused)
        for each in [kind(time=f"2026-{month}-05T12:00:00.000000Z")] * number
    ]
    last = act("audit-show", time=LATER)
    days = table(extracted(exports.read(export(tmp_path / "a", [*log, last]))), "extract")
    assert Counter(line["day"] for line in days) == {"2026-10-05": 6, "2026-11-05": 10}
    assert {line["bundle"] for line in days} == {"ab" * 32}
    spoilt = [*log, leaf(time="2026-12-05T12:00:00.000000Z"), last]
    none = table(extracted(exports.read(export(tmp_path / "b", spoilt))), "extract")
    assert [(line["day"], line["bundle"]) for line in none] == [("", "")] * 17


def test_a_line_tells_what_the_report_tells_of_it(tmp_path: Path) -> None:
    """Two requests each of six agencies that found nothing are twelve of some agency, in some quarter, and no more."""
    log = [each for agency in "ABCDEF" for each in [leaf(agency=agency)] * 5 + [leaf(agency=agency, records=0)] * 2]
    lines = table(extracted(exports.read(export(tmp_path, [*log, act("audit-show", time=LATER)]))), "extract")
    told = {"quarter": "2026-Q4", "action": "read", "requests": "1"}
    assert [line for line in lines if not line["decision"]] == [dict.fromkeys(lines[0], "") | told] * 12
    assert len(lines) == 6 * 5 + 12


def test_the_order_of_entries_is_not_told(tmp_path: Path) -> None:
    """The same entries in another order give the same bytes."""
    log = [read(cell) for cell in CELLS for _ in range(6)]
    last = act("audit-show", time=LATER)
    one = extracted(exports.read(export(tmp_path / "a", [*log, last])))
    assert one == extracted(exports.read(export(tmp_path / "b", [*reversed(log), last])))


def test_refusals_that_stand_for_many_count_so(tmp_path: Path) -> None:
    """An aggregated entry counts by its number, and its line says so."""
    throttled: dict[str, Any] = {"decision": "refuse", "agency": None, "component": None, "purpose": None}
    log = [
        refused("too-many-requests", **throttled),
        refused("too-many-requests", further=41, first="00" * 16, **throttled),
        act("audit-show", time=LATER),
    ]
    source = exports.read(export(tmp_path, log))
    made = files(publish(source, PARAMETERS)[0]) | extracted(source)
    assert table(made, "refusals-by-code")[0]["refusals"] == "42"
    assert sorted(line["requests"] for line in table(made, "extract")) == ["1", "41"]


def test_an_aggregated_entry_in_a_remainder_is_not_told_from_single_ones(tmp_path: Path) -> None:
    """Else its line would say how many a cell has at least that is not told."""
    log = [
        *[refused(code, component="HSI") for code in ("unknown-field", "too-many-requests", "no-rule-permits")] * 5,
        *[leaf()] * 5,
        refused("too-many-requests"),
        refused("too-many-requests", further=2),
        *[refused("no-rule-permits")] * 3,
        act("audit-show", time=LATER),
    ]
    lines = table(extracted(exports.read(export(tmp_path, log))), "extract")
    told = {"agency": "ICE", "outcome": "refused", "purpose": "immigration-enforcement", "requests": "1"}
    remainder = [line for line in lines if not line["decision"]]
    assert remainder == [dict.fromkeys(lines[0], "") | told | {"quarter": "2026-Q4", "action": "read"}] * 6


def test_what_is_possible_is_concluded_from_told_cells() -> None:
    """What an agency is told to have come with, each with each; what lacks a word goes with what lacks it too."""
    told = [
        Cell("ICE", "records shown", "p", "X", None, ()),
        Cell("ICE", "refused", "q", "Y", "no-rule-permits", ()),
        Cell("ICE", "refused", None, "Y", "purpose-missing", ()),
        Cell(None, "refused", None, None, "unauthenticated", ()),
        Cell(None, "refused", None, None, "invalid-token", ()),
    ]
    answers = [("records shown", None), ("nothing found", None), ("refused", "no-rule-permits")]
    named = {Cell("ICE", outcome, p, c, code, ()) for (outcome, code), p, c in product(answers, "pq", "XY")}
    assert set(possible(told)) == named | set(told[2:])
    assert len(named) == len(answers) * 2 * 2


def _asked(month: int, component: str, *codes: str) -> list[dict[str, Any]]:
    """Make reads of one component: one that showed a record, one that found nothing, one for each code."""
    words: dict[str, Any] = {"time": f"2026-{month:02}-05T12:00:00.000000Z", "component": component}
    return [leaf(**words), leaf(records=0, persons=0, **words), *(refused(code, **words) for code in codes)]


@pytest.mark.parametrize(
    ("threshold", "certain", "kinds"),
    [
        # Each reason that occurred at all occurred once or more, and the log has never seen another.
        pytest.param(3, [], _asked(11, "X", "a", "b", "c"), id="an agency's first quarter"),
        pytest.param(3, _asked(8, "X", "a", "b"), _asked(11, "X", "a", "b", "c"), id="a new reason"),
        pytest.param(2, [], [*_asked(11, "X", "a"), *_asked(11, "Y", "a")], id="two components"),
        # What a quarter keeps back is not to be seen by what the next one tells.
        pytest.param(3, [], [_asked(8, "X", "a")[-1], *_asked(11, "X", "a", "b")], id="two quarters"),
    ],
)
def test_words_that_only_hidden_requests_bring_are_not_given_away(
    tmp_path: Path, threshold: int, certain: list[dict[str, Any]], kinds: list[dict[str, Any]]
) -> None:
    """Of all logs with these requests that give the same figures, each cell that is not told takes each small number.

    Which words the log has ever seen differs between them.
    """
    cells = [(each["time"], cell_of(read_)) for each, read_ in zip(kinds, _reads(tmp_path, kinds), strict=True)]
    alike = defaultdict(list)
    for world in product(range(threshold + 1), repeat=len(kinds)):
        asked = [each for each, number in zip(kinds, world, strict=True) for _ in range(number)]
        source = exports.read(export(tmp_path, [*certain, *asked, act("any", AFTER)]))
        tallies = (count(source, quarter(name), time_zone(ZONE)) for name in ("2026-Q3", "2026-Q4"))
        alike[tuple(groups(tally, threshold) for tally in tallies)].append(world)
    for quarters, worlds in alike.items():
        third, fourth = ({group.key for group in told} for told in quarters)
        for at, (time, cell) in enumerate(cells):
            if cell not in (third if time.startswith("2026-08") else fourth):
                assert {world[at] for world in worlds} >= set(range(threshold))


def _reads(directory: Path, kinds: list[dict[str, Any]]) -> list[exports.Read]:
    leaves_ = exports.read(export(directory, kinds)).leaves()
    return [item[0] for item in leaves_ if isinstance(item, tuple) and isinstance(item[0], exports.Read)]


def table(made: dict[str, bytes], name: str) -> list[dict[str, str]]:
    """Read a CSV file back."""
    return list(csv.DictReader(io.StringIO(made[f"{name}.csv"].decode(), newline="")))


def test_the_json_holds_every_table_and_says_what_is_not_told_by_leaving_it_out(tmp_path: Path) -> None:
    """Absent is not told; null stood in no request."""
    world = dict.fromkeys(CELLS, 0) | {CELLS[0]: 7, CELLS[-1]: 6, CELLS[1]: 2, CELLS[4]: 2, CELLS[5]: 1}
    world |= {CELLS[6]: 7, CELLS[8]: 6}
    made = published(tmp_path, world)
    figures = json.loads(made["report.json"])
    assert {"agency": "ICE", "requests": 5} in figures["groups"]
    assert [group["requests"] for group in figures["groups"] if group["agency"] is None] == [6]
    for name, told in figures["tables"].items():
        rows = [["" if cell is None else str(cell) for cell in row] for row in told["rows"]]
        assert [list(row.values()) for row in table(made, name)] == rows
