"""The runner of a policy's own tests: what it refuses to read, and that no fault of a policy passes it."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cases import run as cases
from gateway.cases.body import answered, shown
from gateway.cases.run import Report, Suites
from gateway.cases.verdict import Difference, Mismatch
from gateway.cli import program
from gateway.errors import ConfigurationError
from gateway.policy.archive import read_directory
from gateway.strict_yaml import FileError
from tests.policy import small
from tests.world import POLICIES

RULES: list[dict[str, object]] = [
    {
        "id": "graded",
        "permit": "read",
        "resource": "cases",
        "rows": 'record.verdict.grade == "F1" || record.counts.exists(n, n.amount > 3)',
        "show": ["person", "name", "code", "flag", "at", "verdict", "counts.grade"],
        "mask": {"born": "year"},
        "because": "So.",
    },
    {"id": "no-flags", "deny": "read", "resource": "cases", "fields": ["flag"], "because": "So."},
    {"id": "not-zero", "deny": "read", "resource": "cases", "rows": "record.amount == 0", "because": "So."},
    {"id": "hold", "permit": "detainer-hold", "resource": "cases", "rows": "record.flag", "because": "So."},
]

SUITE = """tests: doc
subjects:
  looker: {agency: A, mission: looking}
records:
  first:
    person: 3
    name: N
    code: x
    amount: 1
    flag: true
    born: 1984-02-29
    at: 2014-03-09T02:30:00-05:00
    verdict: {grade: F1}
    counts: [{amount: 9}, {grade: M1, amount: 1}]
  second:
    amount: 2
    counts: [{amount: 9}]
  third: {amount: 0, flag: false}
cases:
  - case: what is shown
    subject: looker
    purpose: looking
    on: 2014-05-01
    expect:
      - record: first
        body:
          person: 3
          name: N
          code: x
          born: 1984
          at: 2014-03-09T07:30:00Z
          verdict: {grade: F1}
          counts: [{}, {grade: M1}]
        withheld: [flag, counts.name, counts.amount]
      - record: second
        body: {counts: [{}]}
        fillers: [person, code]
  - case: who is held
    action: detainer-hold
    subject: {agency: B, mission: looking, criminal_justice_agency: true}
    purpose: looking
    on: [2014-05-01, 2014-05-02]
    expect: [first]
  - case: before the document
    subject: looker
    purpose: looking
    on: 1999-12-31
    deny: no-rule-permits
"""


def read(root: Path) -> Suites:
    """Read a directory with its tests."""
    return cases.read(read_directory(root))


def run(root: Path, names: Sequence[str] = ()) -> Report:
    """Run the tests of a directory."""
    return cases.run(read_directory(root), names)


def directory(root: Path, suite: str = SUITE) -> Path:
    """Write the small city with one document and its tests."""
    small.write(root, small.document(RULES))
    (root / "doc_test.yaml").write_text(suite, encoding="utf-8")
    return root


def changed(old: str, new: str) -> str:
    """Change the good file of tests in one place."""
    assert old in SUITE
    return SUITE.replace(old, new, 1)


def failing(report: Report) -> dict[str, tuple[Mismatch, ...]]:
    """Return what differs, by case."""
    return {verdict.case.name: verdict.mismatches for verdict in report.verdicts if not verdict.passed}


def test_a_right_expectation_passes(tmp_path: Path) -> None:
    """Rows, masked dates, moments in any offset, related rows in their order, fillers, holds, refusals."""
    report = run(directory(tmp_path))
    assert failing(report) == {}
    assert [verdict.case.name for verdict in report.verdicts] == [
        "what is shown",
        "who is held (2014-05-01)",
        "who is held (2014-05-02)",
        "before the document",
    ]
    assert [(cover.rule.id, cover.matched, cover.spared) for cover in report.coverage] == [
        ("graded", True, True),
        ("no-flags", True, True),
        ("not-zero", True, True),
        ("hold", True, True),
    ]


WRONG = [
    ("born: 1984\n", "born: 1984-02-29\n", "first", Difference("born", "1984-02-29", "1984")),
    ("          name: N\n", "", "first", Difference("name", None, "N")),
    ("          code: x\n", "          code: x\n          grade: F1\n", "first", Difference("grade", "F1", None)),
    ("person: 3\n          name", "person: 4\n          name", "first", Difference("person", "4", "3")),
    ("T07:30:00Z", "T08:30:00Z", "first", Difference("at", "2014-03-09T08:30:00+00:00", "2014-03-09T07:30:00+00:00")),
    ("[{}, {grade: M1}]", "[{}]", "first", Difference("counts[2].grade", None, "M1")),
    ("[{}, {grade: M1}]", "[{grade: M1}, {}]", "first", Difference("counts[1]", None, "{}")),
    ("verdict: {grade: F1}\n          counts", "counts", "first", Difference("verdict.grade", None, "F1")),
    (
        "[flag, counts.name",
        "[verdict.born, counts.name",
        "first",
        Difference("verdict.born", "withheld", "there, if only as null"),
    ),
    ("[flag, counts.name", "[open, counts.name", "first", Difference("person", "withheld", "there, if only as null")),
    ("fillers: [person, code]", "fillers: [code]", "second", Difference("person", None, str(2**62 + 1))),
    ("    expect: [first]", "    expect: [first, third]", "third", None),
    ("    expect: [first]", "    expect: nothing", "first", None),
    ("    expect: [first]", "    deny: no-rule-permits", "the decision", None),
    ("deny: no-rule-permits", "deny: denied-by-rule", "the decision", None),
    ("deny: no-rule-permits", "expect: nothing", "the decision", None),
    (
        "on: 1999-12-31",
        "on: 2000-01-01",
        "the decision",
        Difference("(the decision)", "deny: no-rule-permits", "permit"),
    ),
]


@pytest.mark.parametrize(("old", "new", "about", "difference"), WRONG)
def test_a_wrong_expectation_fails_and_shows_both_sides(
    tmp_path: Path, old: str, new: str, about: str, difference: Difference | None
) -> None:
    """What a reader expected stands beside what came."""
    found = [mismatch for each in failing(run(directory(tmp_path, changed(old, new)))).values() for mismatch in each]
    assert {mismatch.about for mismatch in found} == {about}
    if difference is not None:
        assert difference in found[0].differences


def test_a_record_that_should_be_hidden_or_shown_is_told_with_what_it_shows(tmp_path: Path) -> None:
    """A leak is told with every value that leaked."""
    leaked = changed("      - record: second\n        body: {counts: [{}]}\n        fillers: [person, code]\n", "")
    [[mismatch]] = failing(run(directory(tmp_path, leaked))).values()
    assert mismatch.differences == (
        Difference("(the record)", "hidden", "shown"),
        Difference("person", None, str(2**62 + 1)),
        Difference("code", None, "code"),
        Difference("counts[1]", None, "{}"),
    )
    hidden = SUITE.replace("- record: second\n        body: {counts: [{}]}", "- record: third\n        body: {}")
    [mismatches] = failing(run(directory(tmp_path, hidden))).values()
    assert [(m.about, m.differences[0]) for m in mismatches] == [
        ("second", Difference("(the record)", "hidden", "shown")),
        ("third", Difference("(the record)", "shown", "hidden")),
    ]


REFUSED = [
    (SUITE, "", "doc_test.yaml:1:1", "must hold a mapping"),
    ("tests: doc", "tests: other", "doc_test.yaml:1:1", "of its name, 'doc'"),
    ("cases:\n", "case:\n", "doc_test.yaml:19:1", "unknown key 'case'"),
    (SUITE[SUITE.index("cases:") :], "cases: []\n", "doc_test.yaml:19:1", "at least one member"),
    ("mission: looking}", "mission: peeking}", "doc_test.yaml:3:32", "not one of"),
    ("mission: looking}", "nation: X}", "doc_test.yaml:3:23", "unknown key 'nation'"),
    ("    code: x\n", "    cod: x\n", "doc_test.yaml:8:5", "unknown key 'cod'"),
    ("    code: x\n", "    code: xxxxxxx\n", "doc_test.yaml:8:11", "at most 6 characters"),
    ("    code: x\n", "    code: null\n", "doc_test.yaml:8:11", "leaving the field out"),
    ("    amount: 1\n", "    amount: 51\n", "doc_test.yaml:9:13", "from -5 to 50"),
    ("    amount: 1\n", "    amount: one\n", "doc_test.yaml:9:13", "not a whole number"),
    ("    flag: true\n", "    flag: yes\n", "doc_test.yaml:10:11", "not true or false"),
    ("    born: 1984-02-29\n", "    born: 1984-02-30\n", "doc_test.yaml:11:11", "expected a date"),
    ("verdict: {grade: F1}\n", "verdict: {grade: F9}\n", "doc_test.yaml:13:22", "one of F1, F2, M1"),
    ("counts: [{amount: 9}, ", "counts: [{amount: 9}, {}, {}, {}, {}, ", "doc_test.yaml:14:5", "at most 3 rows"),
    ("  third:", "  second:", "doc_test.yaml:18:3", "stands here twice"),
    ("    subject: looker\n", "    subject: nobody\n", "doc_test.yaml:21:14", "no subject 'nobody'"),
    ("    purpose: looking\n", "    purpose: peeking\n", "doc_test.yaml:22:14", "not one of"),
    ("    on: 2014-05-01\n", "    on: 1 May\n", "doc_test.yaml:23:9", "not a date"),
    ("    on: 2014-05-01\n", "    on: 2014-05-01\n    with: [doc]\n", "doc_test.yaml:24:12", "no proposed document"),
    ("    on: 2014-05-01\n", "    on: 2014-05-01\n    given: [fourth]\n", "doc_test.yaml:24:13", "no record 'fourth'"),
    (
        "    on: 2014-05-01\n",
        "    on: 2014-05-01\n    given: [first, first]\n",
        "doc_test.yaml:24:20",
        "stands here twice",
    ),
    ("    on: 2014-05-01\n", "    on: 2014-05-01\n    action: hold\n", "doc_test.yaml:24:13", "not one of"),
    (
        "    on: 2014-05-01\n",
        "    on: 2014-05-01\n    instruments: [{person: 3, kind: verbal, signer: state-judge}]\n",
        "doc_test.yaml:24:37",
        "not one of",
    ),
    ("      - record: first\n", "      - record: fourth\n", "doc_test.yaml:25:17", "no record given 'fourth'"),
    ("      - record: second\n", "      - record: first\n", "doc_test.yaml:35:9", "expected twice"),
    ("        withheld: [flag", "        withholds: [flag", "doc_test.yaml:34:9", "unknown key 'withholds'"),
    ("        withheld: [flag", "        withheld: [flags", "doc_test.yaml:34:20", "no class, relation or field"),
    ("          name: N\n", "          nam: N\n", "doc_test.yaml:28:11", "unknown key 'nam'"),
    ("          name: N\n", "          name: ~\n", "doc_test.yaml:28:17", "leaving the field out"),
    ("          born: 1984\n", "          born: 84\n", "doc_test.yaml:30:17", "nor a form of it (year, age-band)"),
    ("fillers: [person, code]", "fillers: [person, name]", "doc_test.yaml:37:27", "no required field"),
    ("body: {counts: [{}]}", "body: {code: code, counts: [{}]}", "doc_test.yaml:37:27", "stands in the body"),
    ("    expect: [first]\n", "", "doc_test.yaml:38:5", "either 'expect' or 'deny'"),
    ("    expect: [first]\n", "    expect: [first]\n    deny: no-rule-permits\n", "doc_test.yaml:38:5", "either"),
    ("    expect: [first]\n", "    expect: none\n", "doc_test.yaml:43:13", "not one of nothing"),
    ("deny: no-rule-permits", "deny: rule-unknown", "doc_test.yaml:48:11", "not one of no-rule-permits"),
    ("deny: no-rule-permits", "deny: client-suspended", "doc_test.yaml:48:11", "not one of no-rule-permits"),
    ("case: before the document", "case: what is  shown", "doc_test.yaml:44:5", "stands here twice"),
]


@pytest.mark.parametrize(("old", "new", "place", "why"), REFUSED)
def test_a_broken_file_of_tests_is_refused_with_its_place(
    tmp_path: Path, old: str, new: str, place: str, why: str
) -> None:
    """A lawyer reads file, line, column, and what is wrong."""
    with pytest.raises(FileError) as refused:
        read(directory(tmp_path, changed(old, new)))
    assert str(refused.value).startswith(place)
    assert why in str(refused.value)


def test_a_record_that_is_shown_twice_fails(tmp_path: Path) -> None:
    """A catalogue that takes a relation to many for one to one multiplies rows."""
    directory(tmp_path)
    catalogue = tmp_path / "catalogue.yaml"
    one = "      last:\n        many: false\n        table: n\n        match: id\n        fields:\n"
    one += "          remark: {column: remark, type: text, most: 9, class: open}\n"
    catalogue.write_text(catalogue.read_text() + one)
    (tmp_path / "doc.yaml").write_text(small.document([{**small.EVERYTHING, "show": ["code", "last"]}]))
    asked = "subject: {agency: A, mission: looking}, purpose: looking, on: 2014-05-01"
    records = "records: {r: {counts: [{}, {}]}}"
    expected = "expect: [{record: r, body: {last: {}}, fillers: [code]}]"
    (tmp_path / "doc_test.yaml").write_text(f"tests: doc\n{records}\ncases: [{{case: c, {asked}, {expected}}}]\n")
    [[mismatch]] = failing(run(tmp_path)).values()
    assert mismatch.differences == (Difference("(two readings)", "shown by the evaluator", "shown 2 times by SQL"),)


ODD = """
catalogue: odd
title: Tables of unusual kinds
time_zone: America/New_York
purposes: {looking: To look}
missions: {looking: To look}
classes: {open: Anyone's}
resources:
  order:
    table: select
    key: number
    person: who
    joins:
      of: {table: group, key: id, on: link}
      again: {table: group, key: id, on: elsewhere}
    fields:
      number: {column: number, type: integer, class: open}
      link: {column: link, type: integer, class: open}
      "on": {column: of.on, type: text, most: 9, class: open}
      where: {column: again.on, type: text, most: 3, class: open, required: true}
      where_again: {column: again.on, type: text, most: 9, class: open}
      code: {column: code, type: code, codes: [b, a], class: open, required: true}
      high: {column: high, type: integer, low: 7, high: 9, class: open, required: true}
      other: {column: other, type: boolean, class: open}
      sure: {column: sure, type: boolean, class: open, required: true}
      day: {column: day, type: date, class: open, required: true}
      at: {column: at, type: timestamp, class: open, required: true}
"""

ODD_SUITE = """tests: doc
records:
  one: {number: 5, link: 8, on: x, where_again: whe, other: true}
cases:
  - case: c
    subject: {agency: A, mission: looking}
    purpose: looking
    on: 2014-05-01
    expect:
      - record: one
        body: {number: 5, link: 8, on: x, where_again: whe, other: true}
        fillers: [where, code, high, sure, day, at]
"""


def odd(root: Path, suite: str) -> Path:
    """Write a policy over tables whose names are SQL's words and whose fields are kept in unusual places."""
    (root / "catalogue.yaml").write_text(ODD)
    show = {**small.EVERYTHING, "resource": "order", "show": ["open"]}
    (root / "doc.yaml").write_text(small.document([show]))
    (root / "doc_test.yaml").write_text(suite)
    return root


def test_any_catalogue_makes_a_database(tmp_path: Path) -> None:
    """SQL's words as names, two joins of one table, a key that is a field, and each kind of filler."""
    assert failing(run(odd(tmp_path, ODD_SUITE))) == {}
    shown = ODD_SUITE.replace("[where, code, high, sure, day, at]", "[where]")
    [[mismatch]] = failing(run(odd(tmp_path, shown))).values()
    assert [(d.what, d.got) for d in mismatch.differences] == [
        ("code", "b"),
        ("high", "7"),
        ("sure", "false"),
        ("day", "2000-01-01"),
        ("at", "2000-01-01T12:00:00+00:00"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("number: 5, link: 8, on: x", "link: 8, on: x", "a row of 'select' needs its key 'number'"),
        ("number: 5, link: 8", "number: -5, link: 8", "a number from 1 on"),
        ("link: 8, on: x", "on: x", "without 'link' there is no row of 'group'"),
        ("where_again: whe, other", "where_again: who, other", "'where_again' shares its column"),
        ("  one:", "  zero: {number: 5, where_again: whe}\n  one:", "'one' has the key of 'zero'"),
        (
            "  one:",
            "  zero: {number: 4, link: 8, on: y, where_again: whe}\n  one:",
            "'one' and a record before it share a row of 'group'",
        ),
    ],
)
def test_records_that_no_table_could_hold_are_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    """A record that its tables can't keep as it is written is an error, not another record."""
    with pytest.raises(FileError, match=r"^doc_test\.yaml:[34]:") as refused:
        run(odd(tmp_path, ODD_SUITE.replace(old, new, 1)))
    assert why in str(refused.value)


def test_without_a_record_nothing_can_be_expected(tmp_path: Path) -> None:
    """An answer over no records is empty, and would prove nothing."""
    asked = "subject: {agency: A, mission: looking}, purpose: looking, on: 2014-05-01, expect: nothing"
    with pytest.raises(FileError, match=r"^doc_test\.yaml:2:.*needs a record"):
        read(directory(tmp_path, f"tests: doc\ncases: [{{case: c, {asked}}}]\n"))


def test_a_deny_of_an_act_is_judged_like_any(tmp_path: Path) -> None:
    """A deny for all rows refuses the act; one with a condition takes rows away where it is not false."""
    directory(tmp_path)
    denied = {"id": "none", "deny": "detainer-hold", "resource": "cases", "because": "So."}
    (tmp_path / "doc.yaml").write_text(small.document([*RULES, denied]))
    assert {m.differences[0].got for [m] in failing(run(tmp_path)).values()} == {"deny: denied-by-rule"}
    (tmp_path / "doc.yaml").write_text(small.document([*RULES, denied | {"rows": "record.grade == 'F1'"}]))
    held = failing(run(tmp_path))
    assert {m.about for [m] in held.values()} == {"first"}
    (tmp_path / "doc_test.yaml").write_text(changed("    code: x\n", "    code: x\n    grade: M1\n"))
    assert failing(run(tmp_path)) == {}


def test_whatever_else_an_answers_record_holds_is_compared_too(tmp_path: Path) -> None:
    """What no field has the name of does not slip through unseen."""
    resource = read(directory(tmp_path)).bundle.catalogue.resources["cases"]
    assert answered(shown({"name": "N", "source_defects": ["name"]}), resource) == {
        "name": "N",
        "source_defects[1]": "name",
    }


def test_a_file_of_tests_that_cant_be_read_is_refused(tmp_path: Path) -> None:
    """A directory of that name is no file."""
    directory(tmp_path)
    (tmp_path / "doc_test.yaml").unlink()
    (tmp_path / "doc_test.yaml").mkdir()
    with pytest.raises(FileError, match=r"^doc_test\.yaml:1:1: the file can't be read"):
        run(tmp_path)


def test_records_of_one_person_must_say_the_same_of_the_person(tmp_path: Path) -> None:
    """Two records that share a row of a joined table can't differ in it, and the reader is told where."""
    shutil.copytree(POLICIES, tmp_path / "policies")
    suite = tmp_path / "policies" / "ph-2010_test.yaml"
    text = suite.read_text()
    suite.write_text(text.replace("records:\n", "records:\n  other: {person: 1, family_name: ROE}\n", 1))
    with pytest.raises(FileError, match=r"^ph-2010_test\.yaml:.*share a row of 'person' and differ in 'family_name'"):
        run(tmp_path / "policies", ["ph-2010"])


def test_two_readings_that_differ_fail_whatever_is_expected(tmp_path: Path) -> None:
    """A catalogue that keeps a field in the column that joins makes SQL and the evaluator see different records."""
    directory(tmp_path)
    catalogue = tmp_path / "catalogue.yaml"
    number = "          number: {column: id, type: integer, class: open}\n"
    text = catalogue.read_text().replace(
        "        match: id\n        fields:\n", f"        match: id\n        fields:\n{number}"
    )
    catalogue.write_text(text)
    rule = {**small.EVERYTHING, "rows": "record.verdict.number == 7", "show": ["code"]}
    (tmp_path / "doc.yaml").write_text(small.document([rule]))
    asked = "subject: {agency: A, mission: looking}, purpose: looking, on: 2014-05-01, expect: nothing"
    suite = f"tests: doc\nrecords: {{r: {{verdict: {{number: 7}}}}}}\ncases: [{{case: c, {asked}}}]\n"
    (tmp_path / "doc_test.yaml").write_text(suite)
    [[mismatch]] = failing(run(tmp_path)).values()
    assert mismatch.differences == (Difference("(two readings)", "shown by the evaluator", "hidden by SQL"),)


FAULTS = [
    (
        "hold-standard-on-data",
        "show: [identity, charges, custody, arrested_at]",
        "show: [identity, charges, custody, arrested_at, district]",
    ),
    ("hold-standard-on-data", "    mask: {date_of_birth: year}\n", ""),
    ("hold-standard-on-data", '"F1", "F2"]', '"F1", "F2", "F3"]'),
    ("hold-standard-on-data", '["H1", ', "["),
    ("hold-standard-on-data", ' && i.kind == "judicial"', ""),
    ("hold-standard-on-data", "lists.pa_f1f2_violent_broad", '["18.3701.A1I"]'),
    ("ph-2014-02-draft", 'c.grade in ["H1", "H2", "F1", "F2"] && ', ""),
    ("ph-2008", "until: 2010-09-01", "until: 2010-08-31"),
    ("ph-2008", "victim, witness]", "victim]"),
    ("ph-2010", "charges, custody]", "charges, custody, investigative]"),
    ("ph-2018", "from: 2018-09-01", "from: 2018-09-02"),
    ("ph-2018", 'subjects: subject.agency == "ICE"', 'subjects: "true"'),
    ("pa-expunged", '["expunged", "sealed"]', '["expunged"]'),
    ("pa-expunged", '["expunged", "sealed"]', '["expunged", "sealed", "limited_access"]'),
    ("ph-federal-partners", "[identity, identifier,", "[identity, contact, identifier,"),
    ("ph-federal-partners", " && subject.criminal_justice_agency", ""),
    ("ph-2026-ice-out", 'subject.mission == "immigration-enforcement"', 'subject.agency == "ICE"'),
    ("ph-eo-1-14", ' && i.kind == "judicial"', ""),
    ("ph-eo-2015", "until: 2016-01-04", "until: 2016-01-03"),
    ("ph-eo-5-16", '"F1", "F2"]', '"F1", "F2", "F3"]'),
]


@pytest.mark.parametrize(("document", "old", "new"), FAULTS)
def test_a_fault_planted_in_a_document_fails_its_tests(tmp_path: Path, document: str, old: str, new: str) -> None:
    """One field, day, grade, kind of warrant or agency too many or too few does not pass unnoticed."""
    shutil.copytree(POLICIES, tmp_path / "policies")
    path = tmp_path / "policies" / f"{document}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert not run(tmp_path / "policies", [document]).passed


EXAMPLE_FAULTS = [
    ("new-york-green-light/ny-vtl-201-12-a", '["article-iii-judge"]', '["article-iii-judge", "federal-magistrate"]'),
    ("new-york-green-light/ny-vtl-201-12-a", ' && i.kind == "judicial"', ""),
    ("new-york-green-light/ny-vtl-201-12-a", "subject.mission == ", "subject.mission != "),
    ("new-york-green-light/ny-vtl-201-12-a", "report: green-light-request", "report: other-request"),
    ("new-york-green-light/ny-recipients-certify", "    certification: no-onward-disclosure\n", ""),
    ("new-york-green-light/ny-recipients-certify", "disclose nothing", "disclose something"),
    ("california-clets/ca-clets-2019", "    certification: clets-2019\n", ""),
    ("california-clets/ca-clets-2019", "[contact, registration]", "[registration]"),
    ("california-clets/ca-clets-2019", "    purposes: [immigration-enforcement]\n", ""),
    ("california-clets/ca-clets-2019", "    rows: has(record.history)\n", ""),
    ("california-clets/ca-clets-2019", "from: 2019-10-15", "from: 2019-10-16"),
]


@pytest.mark.parametrize(("document", "old", "new"), EXAMPLE_FAULTS)
def test_a_fault_planted_in_an_example_fails_its_tests(tmp_path: Path, document: str, old: str, new: str) -> None:
    """A judge of another kind, a class or purpose too many or too few, a certification that is not asked for."""
    directory, _, name = document.partition("/")
    shutil.copytree(POLICIES / "examples" / directory, tmp_path / "policies")
    path = tmp_path / "policies" / f"{name}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert not run(tmp_path / "policies", [name]).passed


def test_a_catalogue_with_several_resources_wants_them_named(tmp_path: Path) -> None:
    """Records and cases name their resource, and a case is given the records of its own."""
    directory(tmp_path)
    catalogue = tmp_path / "catalogue.yaml"
    fields = "{number: {column: id, type: key, class: open}}"
    other = f"  others:\n    table: o\n    key: id\n    person: id\n    fields: {fields}\n"
    catalogue.write_text(catalogue.read_text() + other)
    with pytest.raises(FileError, match=r"^doc_test\.yaml:6:5: 'resource' must be one of cases, others"):
        read(tmp_path)
    asked = "subject: {agency: A, mission: looking}, purpose: looking, on: 2014-05-01, resource: others"
    records = "records: {r: {resource: others, number: 5}, s: {resource: cases}}"
    (tmp_path / "doc.yaml").write_text(small.document([{**small.EVERYTHING, "resource": "others", "show": ["number"]}]))
    suite = f"tests: doc\n{records}\ncases: [{{case: c, {asked}, expect: [{{record: r, body: {{number: 5}}}}]}}]\n"
    (tmp_path / "doc_test.yaml").write_text(suite)
    assert failing(run(tmp_path)) == {}
    (tmp_path / "doc_test.yaml").write_text(
        suite.replace("resource: others, expect", "resource: others, given: [s], expect")
    )
    with pytest.raises(FileError, match="'s' is not of others"):
        read(tmp_path)


# --- the command ------------------------------------------------------------------------------------------------


def said(root: Path, *arguments: str, status: int) -> str:
    """Run the command; return what it said."""
    done = CliRunner().invoke(program, ["policy", "test", "--policies", str(root), *arguments])
    assert done.exit_code == status, done.output
    return done.output


def test_the_command_tells_each_case_the_difference_and_the_coverage(tmp_path: Path) -> None:
    """One line a case; a failing one with its place, both sides and what came as expected."""
    directory(tmp_path, changed("born: 1984\n", "born: 1985\n"))
    notice = {"id": "notice", "permit": "release-notice", "resource": "cases", "because": "So."}
    (tmp_path / "bare.yaml").write_text(small.document([notice], name="bare"))
    told = said(tmp_path, status=1)
    assert "FAIL  doc: what is shown\n      doc_test.yaml:20:5\n" in told
    assert (
        "        first  expected  got\n        born   1985      1984\n        as expected: person, name, code, at"
        in told
    )
    assert "ok    doc: who is held (2014-05-02)\n" in told
    assert "4 of 4 rules were seen to match and not to match\nbare has no tests\n4 cases, 1 failed\n" in told


def test_the_command_lists_rules_that_no_case_exercises(tmp_path: Path) -> None:
    """A rule that cases see from one side only, or not at all, is named with its place."""
    reading = SUITE[: SUITE.index("  - case: who is held")].replace(
        "    expect:", "    given: [first, second]\n    expect:"
    )
    told = said(directory(tmp_path, reading), status=0)
    for rule, lack in (
        ("graded", "no case sees it not match"),
        ("no-flags", "no case sees it not match"),
        ("not-zero", "no case sees it match"),
        ("hold", "no case exercises it"),
    ):
        assert f"rule doc/{rule}: {lack} (doc.yaml:1:" in told
    assert "0 of 4 rules" in told


def test_the_command_speaks_to_machines(tmp_path: Path) -> None:
    """The same as JSON."""
    told = json.loads(said(directory(tmp_path, changed("born: 1984\n", "born: 1985\n")), "--json", "doc", status=1))
    assert told["passed"] is False
    assert [case["passed"] for case in told["cases"]] == [False, True, True, True]
    [mismatch] = told["cases"][0]["mismatches"]
    assert mismatch["differences"] == [{"what": "born", "expected": "1985", "got": "1984"}]
    assert told["rules"][0] == {"rule": "doc/graded", "matched": True, "not_matched": True}
    assert told["without_tests"] == []


def test_names_without_tests_are_refused(tmp_path: Path) -> None:
    """To test nothing is no success."""
    directory(tmp_path)
    assert "'other' is not one of doc" in said(tmp_path, "other", status=2)
    (tmp_path / "doc_test.yaml").unlink()
    assert "'doc' has no tests" in said(tmp_path, "doc", status=2)
    with pytest.raises(ConfigurationError, match="no document has tests"):
        run(tmp_path)
