"""The files: a page that any reader can open and nothing can run in, sheets without formulas, the same bytes again."""

import base64
import hashlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gateway.inspection import spreadsheet
from gateway.report import export as exports
from gateway.report.extract import band, extract
from gateway.report.files import files
from gateway.report.publication import Parameters, publish
from tests.report.invented import AFTER, act, export, leaf, refused
from tests.report.test_what_is_published import extracted, table

HOSTILE = [
    "<script>alert(1)</script>",
    "=cmd()",
    "+1",
    "-1",
    "@x",
    '"><img src=x onerror=y>',
    "{{ 7*7 }}",
    "</style>",
    "a,b",
]
LATER = "2027-06-01T00:00:00.000000Z"


def made(directory: Path, *leaves: dict[str, Any], threshold: int = 5) -> dict[str, bytes]:
    """Write the report on these leaves."""
    source = exports.read(export(directory, [*leaves, act("any", AFTER)]))
    return files(publish(source, Parameters("2026-Q4", "America/New_York", threshold, "0.1.0"))[0])


def page(report: dict[str, bytes]) -> ET.Element:
    """Parse the page; it is well-formed XML too, so that a strict parser reads it as a browser does."""
    return ET.fromstring(report["report.html"].decode())  # noqa: S314 -- our own page


def hostile() -> list[dict[str, Any]]:
    """Make requests in which every word is hostile."""
    return [
        each
        for word in HOSTILE
        for each in [leaf(agency=word, component=word, purpose=word)] * 6
        + [refused(word, (word,), agency=word, component=word, purpose=word)] * 6
    ]


def test_hostile_words_stand_in_the_page_as_text(tmp_path: Path) -> None:
    """No element, attribute or style comes of them."""
    whole = page(made(tmp_path, *hostile()))
    tags = {element.tag for element in whole.iter()}
    assert not tags & {"script", "img", "link", "iframe", "object", "form", "base", "a", "svg"}
    assert not [name for element in whole.iter() for name in element.attrib if name.startswith("on") or name == "style"]
    (agencies,) = (found for found in whole.iter("table") if found.get("id") == "agencies")
    assert {"".join(cell.itertext()) for cell in agencies.findall("tbody/tr/th")} == set(HOSTILE)


def test_nothing_may_be_loaded_or_run(tmp_path: Path) -> None:
    """The policy stands before the style, names its hash, and there is no other address in the page."""
    report = made(tmp_path, *hostile())
    whole = page(report)
    (style,) = whole.iter("style")
    digest = base64.b64encode(hashlib.sha256((style.text or "").encode()).digest()).decode()
    (policy,) = (meta.get("content") for meta in whole.iter("meta") if meta.get("http-equiv"))
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    text = report["report.html"].decode()
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert "@media print" in text


def test_the_page_is_accessible(tmp_path: Path) -> None:
    """Language, title, one first heading, no level skipped, each table with a caption and scopes."""
    whole = page(made(tmp_path, *hostile()))
    assert whole.get("lang") == "en"
    assert whole.findtext("head/title")
    levels = [int(element.tag[1]) for element in whole.iter() if element.tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    tables = list(whole.iter("table"))
    assert len(tables) == 10
    for each in tables:
        assert each.findtext("caption")
        assert all(cell.get("scope") == "col" for cell in each.findall("thead/tr/th"))
        assert all(cell.get("scope") == "row" for cell in each.findall("tbody/tr/th"))
        width = len(each.findall("thead/tr/th"))
        assert all(len(row) == width for row in each.findall("tbody/tr") if row.find("td[@colspan]") is None)
    assert len({each.get("id") for each in tables}) == len(tables)


def test_no_cell_of_a_sheet_is_a_formula(tmp_path: Path) -> None:
    """What a spreadsheet would calculate begins with an apostrophe; nothing else changes."""
    report = made(tmp_path, *hostile())
    for name in report:
        if name.endswith(".csv"):
            cells = [str(cell) for row in table(report, name.removesuffix(".csv")) for cell in row.values()]
            assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert {row["agency"] for row in table(report, "agencies")} == {
        f"'{word}" if word[0] in "=+-@" else word for word in HOSTILE
    }
    assert spreadsheet.written(("a",), (("\tx",), ("\rx",), ("=x",), (None,), (3,), ("x=",))) == (
        'a\r\n\'\tx\r\n"\'\rx"\r\n\'=x\r\n""\r\n3\r\nx=\r\n'
    )


def test_an_extract_holds_no_formula_either(tmp_path: Path) -> None:
    """The same holds for its lines, and NDJSON keeps the words as they are."""
    source = exports.read(export(tmp_path, [*hostile(), act("any", LATER)]))
    lines = extracted(source)
    assert {line["agency"] for line in table(lines, "extract")} == {
        f"'{word}" if word[0] in "=+-@" else word for word in HOSTILE
    }
    assert b'"=cmd()"' in lines["extract.ndjson"]


def test_an_empty_quarter_has_a_report(tmp_path: Path) -> None:
    """It tells no request, and does not claim that there was none."""
    report = made(tmp_path)
    text = "".join(page(report).itertext())
    assert "No figure reaches 5." in text
    assert "the number of all requests is higher than the sum that is told, or equal to it" in text
    assert table(report, "outcomes") == [{"outcome": "all that are told", "requests": "", "records": "", "persons": ""}]


@pytest.mark.parametrize("number", [1, 4])
def test_one_request_is_not_told_from_none_or_four(tmp_path: Path, number: int) -> None:
    """Below the threshold all reports are alike, but for the checkpoint."""
    # The agency is known from an earlier quarter; the padding keeps the log's length.
    before = [leaf("2026-08-01T12:00:00.000000Z")]
    some = made(tmp_path / "some", *before, *[leaf()] * number, *[act("audit-show")] * (5 - number))
    none = made(tmp_path / "none", *before, *[act("audit-show")] * 5)
    assert some == none


def test_the_threshold_can_be_raised_and_is_stated(tmp_path: Path) -> None:
    """Seven requests are told at five, and not at eight."""
    asked = [leaf()] * 7
    assert table(made(tmp_path, *asked), "agencies")[0]["requests"] == "7"
    raised = made(tmp_path, *asked, threshold=8)
    assert table(raised, "agencies") == []
    assert "No figure on requests below 8 is told" in raised["report.html"].decode()


def test_acts_on_persons_are_told_from_the_threshold_on_and_others_always(tmp_path: Path) -> None:
    """One emergency stop is public; three warrants are not a figure."""
    acts = [
        act("policy-stop"),
        *[act("instrument-add")] * 3,
        *[act("audit-erase")] * 6,
        act("log-loss", first=1, last=4),
    ]
    told = {row["act"]: row["number"] for row in table(made(tmp_path, *acts), "acts-of-the-city")}
    assert told["agencies stopped at once"] == "1"
    assert told["warrants and orders recorded"] == ""
    assert told["persons erased from the log"] == "6"
    assert told["log entries declared lost in the quarter"] == "4"
    assert told["policies put in force"] == "0"


def test_requests_for_no_record_have_a_table_of_their_own(tmp_path: Path) -> None:
    """By kind and outcome, from the threshold on; they don't count with the requests for records."""
    log = [
        *[act("describe", outcome="disclosed")] * 7,
        act("token", decision="refuse", outcome="unauthenticated", further=90),
        *[act("any", decision="refuse", outcome=code) for code in "abcd" for _ in range(2)],
    ]
    report = made(tmp_path, *log)
    rows = [tuple(row.values()) for row in table(report, "other-requests")]
    assert rows == [
        ("for the client's own view", "disclosed", "7"),
        ("for an access token", "unauthenticated", "90"),
    ]
    assert table(report, "agencies") == []


def test_the_same_log_gives_the_same_bytes(tmp_path: Path) -> None:
    """In whatever order the entries stand, as long as they are the same."""
    asked = hostile()
    assert made(tmp_path / "a", *asked) == made(tmp_path / "b", *reversed(asked))


def test_a_report_on_a_rehearsal_says_so(tmp_path: Path) -> None:
    """Nobody takes invented data for real; an extract bears it in its name."""
    log = [leaf(rehearsal="2019-01-01")] * 6
    assert "This log holds rehearsals" in made(tmp_path, *log)["report.html"].decode()
    assert set(extracted(exports.read(export(tmp_path, [*log, act("any", LATER)])))) == {
        "extract-of-rehearsals.csv",
        "extract-of-rehearsals.ndjson",
    }


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "0"),
        (1, "1 to 9"),
        (9, "1 to 9"),
        (10, "10 to 99"),
        (99, "10 to 99"),
        (100, "100 to 999"),
        (1000, "1000 to 9999"),
    ],
)
def test_bands_are_powers_of_ten(number: int, told: str) -> None:
    """Nought is a band of its own."""
    assert band(number) == told


def test_the_extract_tells_what_it_may_and_nothing_that_joins(tmp_path: Path) -> None:
    """Of a line: quarter, day, agency, action, purpose, decision, outcome, rules, bands, requests, bundle."""
    log = [leaf(records=12, persons=3)] * 5 + [refused(agency="FBI")] * 4 + [act("any", LATER)]
    source = exports.read(export(tmp_path, log))
    assert [str(each) for each in extract(source, "America/New_York", 5, 90).quarters] == ["2026-Q4"]
    lines = extracted(source)
    line = {
        "quarter": "2026-Q4",
        "day": "2026-11-05",
        "agency": "ICE",
        "action": "read",
        "purpose": "immigration-enforcement",
        "decision": "permit",
        "outcome": "records shown",
        "rules": "known",
        "records": "10 to 99",
        "persons": "1 to 9",
        "requests": "1",
        "bundle": "ab" * 32,
    }
    assert table(lines, "extract") == [line] * 5
    for secret in ("ERO", "PAICE0100", "ice-ero-1", "00" * 16, "12:00"):
        assert secret.encode() not in lines["extract.csv"] + lines["extract.ndjson"]
