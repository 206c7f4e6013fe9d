"""Quarters begin and end at the city's midnight, and a report stands on a checkpoint that depends on the log alone."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigurationError
from gateway.report import export as exports
from gateway.report.counting import Tally, count
from gateway.report.quarters import Quarter, quarter, quarter_of, time_zone
from gateway.strict_yaml import FileError
from tests.report.invented import AFTER, act, export, leaf, refused

NEW_YORK = time_zone("America/New_York")


def tally(directory: Path, *leaves: dict[str, Any], name: str = "2026-Q4", zone: str = "America/New_York") -> Tally:
    """Count what an export of these leaves gives."""
    return count(exports.read(export(directory, leaves)), quarter(name), time_zone(zone))


@pytest.mark.parametrize(
    ("zone", "name", "first", "last"),
    [
        # 2026-10-01 is in summer time (-04:00), 2027-01-01 is not (-05:00).
        ("America/New_York", "2026-Q4", "2026-10-01T04:00:00.000000Z", "2027-01-01T04:59:59.999999Z"),
        ("UTC", "2026-Q4", "2026-10-01T00:00:00.000000Z", "2026-12-31T23:59:59.999999Z"),
        # Summer time in Adelaide begins on 4 October 2026: the quarter's ends stand in different offsets.
        ("Australia/Adelaide", "2026-Q4", "2026-09-30T14:30:00.000000Z", "2026-12-31T13:29:59.999999Z"),
        # In Havana the clock went from 0 to 1 on 1 April 2012: that day had no midnight.
        ("America/Havana", "2012-Q2", "2012-04-01T05:00:00.000000Z", "2012-07-01T03:59:59.999999Z"),
        # In Gaza it went back from 1 to 0 on 1 October 2004: that day had two, and began with the first.
        ("Asia/Gaza", "2004-Q4", "2004-09-30T21:00:00.000000Z", "2004-12-31T21:59:59.999999Z"),
    ],
)
def test_a_quarter_goes_from_local_midnight_to_local_midnight(
    tmp_path: Path, zone: str, name: str, first: str, last: str
) -> None:
    """The first and the last microsecond belong to it, their neighbours do not."""
    place, period = time_zone(zone), quarter(name)
    moments = [datetime.fromisoformat(text) for text in (first, last)]
    assert period.begins(place) == moments[0]
    assert quarter_of(moments[0], place) == quarter_of(moments[1], place) == period
    assert (period.ends(place) - moments[1]).total_seconds() == pytest.approx(1e-6)
    around = (moments[0] - timedelta(microseconds=1), moments[1] + timedelta(microseconds=1))
    outside = [leaf(moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")) for moment in around]
    log = [leaf(first), leaf(last), *outside, act("any", "2027-02-01T00:00:00.000000Z")]
    assert tally(tmp_path, *log, name=name, zone=zone).requests.total() == 2


@pytest.mark.parametrize("text", ["2026-Q5", "2026-Q0", "2026Q4", "", "26-Q4", "2026-Q4 ", "0001-Q1", "٢٠٢٦-Q4"])
def test_what_is_no_quarter_is_refused(text: str) -> None:
    """A quarter is a year, a hyphen, Q and 1 to 4."""
    with pytest.raises(ConfigurationError, match="is no quarter such as 2026-Q4"):
        quarter(text)


@pytest.mark.parametrize("name", ["Atlantis/Capital", "../etc/passwd", "", "America", "a\0b"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    """A time zone is a name of the time zone database."""
    with pytest.raises(ConfigurationError, match="is no time zone"):
        time_zone(name)


def test_the_quarter_after_the_fourth_is_the_first_of_the_next_year() -> None:
    """Quarters follow one another."""
    assert Quarter(2026, 4).following() == Quarter(2027, 1)
    assert Quarter(2026, 1).following() == Quarter(2026, 2)


def test_a_quarter_of_which_entries_may_be_missing_is_not_reported(tmp_path: Path) -> None:
    """A checkpoint must cover an entry of a day after its end."""
    soon = act("any", "2027-01-01T20:00:00.000000Z")
    with pytest.raises(ConfigurationError, match="no checkpoint covers an entry of 2027-01-02 05:00 UTC or later"):
        tally(tmp_path, leaf(), soon)
    source = export(tmp_path, [leaf(), soon, act("any", AFTER)], sizes=[1, 2])
    with pytest.raises(ConfigurationError, match="no checkpoint covers"):
        count(exports.read(source), quarter("2026-Q4"), NEW_YORK)


def test_a_later_export_gives_the_same_count(tmp_path: Path) -> None:
    """The first checkpoint beyond the quarter is stood on, whatever came after; what came too late is said."""
    log = [leaf(), act("any", AFTER), leaf(), leaf()]
    early = count(exports.read(export(tmp_path / "a", log[:3], [1, 3])), quarter("2026-Q4"), NEW_YORK)
    later = count(exports.read(export(tmp_path / "b", log, [1, 3, 4])), quarter("2026-Q4"), NEW_YORK)
    assert early.checkpoint.size == later.checkpoint.size == 3
    assert early.requests == later.requests
    assert (early.late, later.late) == (0, 1)


def test_each_kind_of_leaf_is_counted_where_it_belongs(tmp_path: Path) -> None:
    """Requests, other requests, acts, losses; entries of readings of the log are not counted."""
    found = tally(
        tmp_path,
        leaf(),
        leaf(records=0, persons=0),
        refused("denied-by-rule", ("b", "a", "b"), further=3),
        act("describe", outcome="disclosed", agency="ICE"),
        act("token", outcome="unauthenticated", decision="refuse", further=9, first="00" * 16),
        act("receipt", outcome="disclosed", agency="ICE"),
        act("notices", agency="ICE"),
        act("notice-acknowledge", agency="ICE"),
        act("notice-acknowledge", outcome="unauthenticated", decision="refuse", further=4),
        act("policy-stop", agency="ICE"),
        act("instrument-add", instrument="x", persons="not a number here"),
        act("log-loss", first=7, last=9),
        act("audit-show", last=20),
        {"lost": "00" * 32},
        leaf(unheard_of={"of": ["a", "newer", "gateway"]}, version=3),
        act("invented-by-a-newer-gateway", records="many"),
        act("any", AFTER),
    )
    assert found.requests.total() == 6
    assert {cell.rules: number for cell, number in found.requests.items() if cell.code} == {("a", "b"): 3}
    assert dict(found.others) == {
        ("describe", "disclosed"): 1,
        ("token", "unauthenticated"): 9,
        ("receipt", "disclosed"): 1,
        ("notices", "done"): 1,
        ("notice-acknowledge", "unauthenticated"): 4,
        ("any", "done"): 0,
    }
    assert found.acts == {"notice-acknowledge": 1, "policy-stop": 1, "instrument-add": 1, "log-loss": 1}
    assert (found.declared_lost, found.lost, found.rehearsal) == (3, 1, False)


@pytest.mark.parametrize("members", [{"rehearsal": "2019-01-01"}, {"with": ["proposal"]}, {"sandbox": True}])
def test_a_rehearsal_is_noticed(tmp_path: Path, members: dict[str, Any]) -> None:
    """Answers as of another day, under proposals or of a sandbox make the whole report one of a rehearsal."""
    assert tally(tmp_path, leaf(**members), act("any", AFTER)).rehearsal


def test_what_steers_a_display_is_replaced(tmp_path: Path) -> None:
    """A name that would turn the text around or end a line stands there harmless."""
    found = tally(tmp_path, leaf(agency="ICE\u202e\nFBI\x00"), act("any", AFTER))
    assert [cell.agency for cell in found.requests] == ["ICE\ufffd\ufffdFBI\ufffd"]


GOOD = '{"time":"2026-11-05T12:00:00.000000Z","action":"read","decision":"permit","outcome":"disclosed"}\n'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{\n", r"leaves\.ndjson:2:1: Input data was truncated"),
        ('{"time":nope}\n', r"leaves\.ndjson:2:10: JSON is malformed"),
        ("[]\n", r":2:1: Expected `object`"),
        ("\n", r":2:1: Input data was truncated"),
        ("[" * 100_000 + "\n", r":2:1: "),
        (GOOD.strip(), r":2:1: the last line is cut off"),
        (GOOD.replace("2026-11-05T", "2026-11-31T"), r":2:1: '2026-11-31T12:00:00.000000Z' is no time"),
        (GOOD.replace("000000Z", "000000+01:00"), r"is no time such as"),
        (GOOD.replace("permit", "perhaps"), r"Invalid enum value 'perhaps'"),
        (GOOD.replace("}", ',"records":-1}'), r"Expected `int` >= 0"),
        (GOOD.replace("}", ',"records":1.5}'), r"Expected `int`, got `float`"),
        (GOOD.replace("}", ',"agency":7}'), r"Expected `str \| null`, got `int`"),
        (GOOD.replace('"read"', '"log-loss"'), r"missing required field `first`"),
        ("{}\n", r"missing required field `lost`"),
        ('{"lost":"00","action":null,"time":"x"}\n', r"unknown field"),
        (GOOD.replace("disclosed", "\\ud800 and more"), r"JSON is malformed"),
    ],
)
def test_a_line_that_is_no_leaf_is_named(tmp_path: Path, line: str, message: str) -> None:
    """With its file, its line and where one is known its column."""
    source = export(tmp_path, [leaf(), leaf()])
    (source / "leaves.ndjson").write_text(GOOD + line)
    with pytest.raises(FileError, match=message):
        list(exports.read(source).leaves())


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("log.json", "{}", "missing required field"),
        ("log.json", '{"format":"another/1","origin":"o","size":2}', "the format is 'another/1'"),
        ("log.json", b"\xff", "malformed"),
        ("log.json", None, "No such file"),
        ("checkpoints.ndjson", None, "No such file"),
        ("checkpoints.ndjson", "{}\n", r"checkpoints\.ndjson:1:1: Object missing"),
        ("checkpoints.ndjson", '{"size":2,"note":"other\\n2\\n"}\n', "not one of this log and this size"),
        ("checkpoints.ndjson", '{"size":3,"note":"log.example.test/city\\n3\\n"}\n', "must ascend"),
        ("leaves.ndjson", GOOD, r"leaves\.ndjson:2:1: the file holds 1 leaves, log\.json says 2"),
        ("leaves.ndjson", GOOD * 3, "holds 3 leaves"),
        ("leaves.ndjson", None, "No such file"),
    ],
)
def test_a_directory_that_is_no_export_is_refused(
    tmp_path: Path, file: str, content: str | bytes | None, message: str
) -> None:
    """Each file is read strictly."""
    source = export(tmp_path, [leaf(), leaf()])
    match content:
        case None:
            (source / file).unlink()
        case str():
            (source / file).write_text(content)
        case bytes():
            (source / file).write_bytes(content)
    with pytest.raises((ConfigurationError, FileError), match=message):
        list(exports.read(source).leaves())
