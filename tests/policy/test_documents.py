"""Policy files: what is refused at load, with file, line and column; what is live when; what rules come to together."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway.access import INSTRUMENTS, SIGNERS, Action
from gateway.cases.document import DENIALS
from gateway.cases.run import run
from gateway.policy.archive import read_directory
from gateway.policy.bundle import load
from gateway.policy.cel_types import SUBJECT_FIELDS
from gateway.policy.check import check, load_checked
from gateway.policy.document import Status
from gateway.policy.lists import CONFIDENCE
from gateway.policy.masks import Form
from gateway.policy.view import Standing
from gateway.strict_yaml import FileError
from tests.policy import small
from tests.world import POLICIES

GOOD = """policy: doc
title: A document
status: in-force
authority: {instrument: none, source: invented, confidence: high}
effective: {from: 2000-01-01}
subjects: "true"
rules:
  - id: all
    permit: read
    resource: cases
    rows: |
      record.grade == "F1"
      && record.amount > 3
    show: [open]
    because: So.
"""

REFUSED = [
    ("title: A document\n", "title: A document\ntitle: Another\n", "doc.yaml:3:1", "twice"),
    ("status: in-force", "status: &a in-force", "doc.yaml:3:9", "anchors"),
    ("status: in-force", "status: !!str in-force", "doc.yaml:3:9", "tags"),
    ("status: in-force", "status: in_force", "doc.yaml:3:9", "not one of"),
    ("status: in-force", "status: [in-force", "doc.yaml:", "expected"),
    ("title: A document", 'title: "A \\ud800"', "doc.yaml:2:8", "half a character"),
    ("title: A document", 'title: "A \\ud83d\\ude00"', "doc.yaml:2:8", "half a character"),
    ("title: A document", 'title: "A \\U00110000"', "doc.yaml:2:13", "no character"),
    ("title: A document", 'title: "A \\UFFFFFFFF"', "doc.yaml:2:13", "no character"),
    ("title: A document", '"title\\udfff": A document', "doc.yaml:2:1", "half a character"),
    ('subjects: "true"', "subjects: \"subject.nation == '\\ud800'\"", "doc.yaml:6:11", "half a character"),
    ("policy: doc\n", "%YAML 1.3\n---\npolicy: doc\n", "doc.yaml:1:10", "version"),
    ("title: A document", "tittle: A document", "doc.yaml:2:1", "unknown key 'tittle'"),
    ("effective: {from: 2000-01-01}", "effective: {from: 2000-02-30}", "doc.yaml:5:19", "not a date"),
    ("effective: {from: 2000-01-01}", "effective: {from: 2000-W01-1}", "doc.yaml:5:19", "not a date"),
    ("from: 2000-01-01", "from: 2000-01-01, until: 2000-01-01", "doc.yaml:5:31", "must lie after"),
    ("confidence: high", "confidence: sure", "doc.yaml:4:61", "not one of"),
    ("    because: So.\n", "", "doc.yaml:8:5", "'because' is missing"),
    ("permit: read", "permit: write", "doc.yaml:9:13", "not one of"),
    ("resource: cases", "resource: cases\n    purposes: [peeking]", "doc.yaml:11:16", "not one of"),
    ("show: [open]", "show: [opened]", "doc.yaml:14:12", "no class, relation or field"),
    ("show: [open]", "show: []", "doc.yaml:14:5", "at least one"),
    ("show: [open]", "mask: {name: year}", "doc.yaml:14:18", "masks a date"),
    ("show: [open]", "mask: {born: decade}", "doc.yaml:14:18", "not one of"),
    ("show: [open]", "mask: {nothing: year}", "doc.yaml:14:12", "no field of cases"),
    ("show: [open]", "mask: {code: pseudonym, grade: pseudonym}", "doc.yaml:14:36", "masks a text"),
    ("show: [open]", "mask: {code: name}", "doc.yaml:14:18", "not one of"),
    ("show: [open]", "mask: {verdict.born: age-band}", "doc.yaml:14:26", "'age_at'"),
    ("show: [open]", "fields: [open]", "doc.yaml:14:5", "unknown key 'fields'"),
    ("permit: read", "permit: detainer-hold", "doc.yaml:8:5", "only 'read' shows fields"),
    ("record.amount > 3", 'record.cite > "18.2702"', "doc.yaml:13:22", "compared by ==, != or in"),
    ("record.amount > 3", 'record.cite == "robbery"', "doc.yaml:13:25", "no statute"),
    ("record.amount > 3", 'record.cite.startsWith("18")', "doc.yaml:13:32", "several spellings"),
    ("record.amount > 3", "record.cite in lists.words", "doc.yaml:13:30", "a list of statutes is for"),
    ("record.amount > 3", "record.name in lists.offences", "doc.yaml:13:30", "a list of statutes is for"),
    ("record.amount > 3", "years_between(record.born, today) < -1", "doc.yaml:13:46", "from 0 to 150"),
    ("record.amount > 3", "years_between(record.born, today) < record.amount", "doc.yaml:13:52", "a whole number"),
    ("record.amount > 3", "years_between(record.name, today) < 1", "doc.yaml:13:23", "dates and timestamps"),
    ("record.amount > 3", "record.born > days_ago(40000)", "doc.yaml:13:32", "from 0 to 36500"),
    ("record.amount > 3", "record.born > days_ago(record.amount)", "doc.yaml:13:32", "written out"),
    ("record.amount > 3", "record.name == today", "doc.yaml:13:25", "a date is compared"),
    ("record.amount > 3", "record.born == midnight(today)", "doc.yaml:13:22", "no matching overload"),
    ("record.grade", "record.grad", "doc.yaml:12:13", "undefined field 'grad'"),
    ("record.amount > 3", 'record.amount > "3"', "doc.yaml:13:24", "no matching overload"),
    ("record.amount > 3", "record.amount > 99", "doc.yaml:13:26", "can never occur"),
    ("record.amount > 3", "record.flag\n      && record.amount > 99", "doc.yaml:14:26", "can never occur"),
    ("record.amount > 3", "record.amount + 1 > 3", "doc.yaml:13:24", "a field is expected"),
    ("record.amount > 3", 'record.name.matches("a")', "doc.yaml:13:29", "can't be asked of the database"),
    ("record.amount > 3", "size(record.counts) > 3", "doc.yaml:13:14", "a field is expected"),
    ("record.amount > 3", "record.counts.exists_one(n, n.flag)", "doc.yaml:13:34", "only exists and all"),
    ("record.amount > 3", "record.grade", "doc.yaml:13:7", "no matching overload"),
    ("record.amount > 3", "record.name in lists.nothing", "doc.yaml:13:30", "undefined field 'nothing'"),
    ("record.amount > 3", "instruments.exists(i, i.kind == 'judicial')", "doc.yaml:13:39", "must be bound"),
    ("record.amount > 3", "(" * 200 + "true" + ")" * 200, "doc.yaml:", ""),
    ("record.amount > 3", " || ".join(["record.flag"] * 401), "doc.yaml:", ""),
    ("because: So.", "because: So.\nobligations:\n  - erase: {after: 1}", "doc.yaml:17:5", "unknown key 'erase'"),
    ("because: So.", "because: So.\nobligations:\n  - persons: {at-most: 0, per: day}", "doc.yaml:17:14", "at least 1"),
    (
        "because: So.",
        "because: So.\nobligations:\n  - persons: {at-most: --5, per: day}",
        "doc.yaml:17:24",
        "whole number",
    ),
    ("because: So.", "because: So.\nreplaces: [other]", "doc.yaml:1:1", "no other document"),
    ('subjects: "true"', "subjects: subject.agency < 'B'", "doc.yaml:1:1", "told apart by"),
    ('subjects: "true"', "subjects: subject.mission == 'lokking'", "doc.yaml:6:30", "can never occur"),
    ("permit: read\n", "permit: read\n    deny: read\n", "doc.yaml:10:5", "not both"),
    ("record.amount > 3", 'record.amount > "3"', "doc.yaml:13:24", "without quotes"),
    ("record.amount > 3", "record.name in lists.wrods", "doc.yaml:13:30", "there is no such list"),
    ("record.amount > 3", "record.flag and record.flag", "doc.yaml:13:22", "written &&"),
    ("because: So.", "because: So: it is.", "doc.yaml:15:16", "in quotes"),
    ('subjects: "true"', "subjects: subject.nation == 'X'", "doc.yaml:6:18", "undefined field 'nation'"),
]


@pytest.mark.parametrize(("old", "new", "place", "why"), REFUSED)
def test_a_broken_document_is_refused_with_its_place(tmp_path: Path, old: str, new: str, place: str, why: str) -> None:
    """City IT reads file, line, column, and what is wrong."""
    small.write(tmp_path)
    assert old in GOOD
    (tmp_path / "doc.yaml").write_text(GOOD)
    load_checked(tmp_path)
    (tmp_path / "doc.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(FileError) as refused:
        load_checked(tmp_path)
    assert str(refused.value).startswith(place)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("field", "column", "why"),
    [
        ("number: {column: id, type: key, class: open}", 32, "'number' is a field of a relation, and can't be a key"),
        (
            "b: {column: b, type: text, most: 9, class: open, coarser: [code]}",
            60,
            "'coarser' belongs to a field of the",
        ),
        ("b: {column: b, type: date, class: open, age_at: at}", 51, "'age_at' belongs to a field of the record itself"),
    ],
)
def test_what_only_a_records_own_field_can_be_is_refused_of_a_relations(
    tmp_path: Path, field: str, column: int, why: str
) -> None:
    """A key in related rows would be shown as it is; a form by a field of the record has no meaning in them."""
    small.write(tmp_path, small.document([small.EVERYTHING]))
    path = tmp_path / "catalogue.yaml"
    head, mark, tail = path.read_text().partition("          flag: {column: flag, type: boolean, class: open}\n")
    path.write_text(f"{head}{mark}          {field}\n{tail}")
    line = head.count("\n") + 2
    with pytest.raises(FileError, match=rf"^catalogue\.yaml:{line}:{column}: .*{why}"):
        load(tmp_path)


@pytest.mark.parametrize("taken", ["resources", "entries", "notices"])
def test_a_resource_at_an_address_that_is_taken_is_refused(tmp_path: Path, taken: str) -> None:
    """It could not be looked up by id: the API has that address for something else."""
    small.write(tmp_path, small.document([small.EVERYTHING]))
    path = tmp_path / "catalogue.yaml"
    path.write_text(path.read_text().replace("  cases:\n", f"  {taken}:\n"))
    with pytest.raises(FileError, match=rf"'{taken}' can't be the name of a resource"):
        load(tmp_path)


def test_a_code_that_no_cursor_could_hold_is_refused(tmp_path: Path) -> None:
    """A code is no longer than the longest text, or the page after it could not be asked for."""
    small.write(tmp_path, small.document([small.EVERYTHING]))
    path = tmp_path / "catalogue.yaml"
    path.write_text(small.CATALOGUE.replace("codes: [F1,", f"codes: [{'F' * 4001}, F1,", 1))
    with pytest.raises(FileError, match=r"^catalogue\.yaml:\d+:\d+: a code has at most 4000 characters"):
        load(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"- a\n", b"a: " + b"x" * (1 << 20), b"a: " + b"[" * 5000, GOOD.encode("utf-16")]
)
def test_what_is_no_document_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, truncated, oversized, too deep, of another encoding: refused, each with its file."""
    small.write(tmp_path)
    (tmp_path / "doc.yaml").write_bytes(content)
    with pytest.raises(FileError, match=r"^doc\.yaml:"):
        load_checked(tmp_path)


@pytest.mark.parametrize("file", ["catalogue.yaml", "lists/words.yaml", "doc.yaml", "doc_test.yaml"])
def test_half_a_character_is_refused_wherever_it_stands(tmp_path: Path, file: str) -> None:
    """No text of a policy may fail later: in CEL, in the database, or where an answer is written."""
    small.write(tmp_path, small.document([small.EVERYTHING]))
    (tmp_path / file).write_text('x:\n  - ["\\udc00"]\n')
    with pytest.raises(FileError, match=rf"^{file}:2:6: an escape"):
        run(read_directory(tmp_path))


def test_a_file_of_another_ending_is_refused(tmp_path: Path) -> None:
    """A denial that was saved as .yml would be in no force, and nobody would know."""
    small.write(tmp_path, small.document([small.EVERYTHING]))
    (tmp_path / "kept.yml").write_text(small.document([small.EVERYTHING], name="kept"))
    with pytest.raises(FileError, match=r"kept\.yml:1:1: .*rename it"):
        load(tmp_path)


def test_a_band_of_ages_needs_the_day_on_which_they_are_counted(tmp_path: Path) -> None:
    """A date of which the catalogue names none has no band."""
    small.write(tmp_path, small.document([rule("a", mask={"born": "age-band"})]))
    load_checked(tmp_path)
    (tmp_path / "catalogue.yaml").write_text(small.CATALOGUE.replace(", age_at: at", ""))
    with pytest.raises(FileError, match="'age_at'"):
        load_checked(tmp_path)


def test_an_empty_policy_is_refused(tmp_path: Path) -> None:
    """No documents would permit nothing, and is an error all the same: somebody forgot them."""
    small.write(tmp_path)
    with pytest.raises(FileError, match="an empty policy"):
        load(tmp_path)


def rule(name: str, **changed: Any) -> dict[str, Any]:
    """A rule."""
    return {"id": name, "permit": "read", "resource": "cases", "show": ["open"], "because": "So."} | changed


def test_a_denial_withholds_a_field_or_masks_it(tmp_path: Path) -> None:
    """Of two limits in one rule nobody could say which is meant."""
    both = DENIES_ROWS | {"fields": ["closed"], "mask": {"born": "year"}}
    small.write(tmp_path, small.document([rule("a"), both]))
    with pytest.raises(FileError, match="both withheld and masked"):
        load_checked(tmp_path)


def test_a_field_in_anothers_place_is_not_itself_masked(tmp_path: Path) -> None:
    """What one rule shows as its first letter, another would show in full under another name."""
    masked = rule("b", mask={"code": "first-letter"})
    small.write(tmp_path, small.document([rule("a", show=["grade"], mask={"name": "code"}), masked]))
    with pytest.raises(FileError, match="in full in the place of 'name'"):
        load_checked(tmp_path)


@pytest.mark.parametrize(
    "second",
    [
        rule("b", mask={"born": "age-band"}),
        {"id": "b", "deny": "read", "resource": "cases", "mask": {"born": "age-band"}, "because": "So."},
    ],
)
def test_two_forms_of_one_field_are_refused_at_load(tmp_path: Path, second: dict[str, Any]) -> None:
    """Neither a year nor a band of ages is finer than the other; the message names both rules, and what to do."""
    small.write(tmp_path, small.document([rule("a", mask={"born": "year"}), second]))
    with pytest.raises(FileError, match="neither is finer") as refused:
        load_checked(tmp_path)
    assert "doc/a" in str(refused.value)
    assert "doc/b" in str(refused.value)


OTHERS = {"subjects": 'subject.agency == "B"'}
EARLIER = {"effective": {"from": "1990-01-01", "until": "2000-01-01"}}


@pytest.mark.parametrize("apart", [OTHERS, EARLIER])
def test_rules_that_never_meet_may_differ(tmp_path: Path, apart: dict[str, Any]) -> None:
    """Other subjects or other dates keep two rules apart."""
    first = json.loads(small.document([rule("a", mask={"born": "year"})])) | {"subjects": 'subject.agency == "A"'}
    second = json.loads(small.document([], name="other")) | {
        "subjects": first["subjects"],
        "rules": [rule("b", mask={"born": "age-band"})],
    }
    small.write(tmp_path, json.dumps(first), json.dumps(second | apart))
    load_checked(tmp_path)
    small.write(tmp_path, json.dumps(second))
    with pytest.raises(FileError, match="can apply together"):
        load_checked(tmp_path)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ('record.grade == "F1" && record.grade == "F2"', "can never be true"),
        ('record.grade in ["F1", "F2"] && !(record.grade in ["F1", "F2", "M1"])', "can never be true"),
        ('record.grade != "F1" && record.grade != "F2" && record.grade != "M1"', "can never be true"),
        ("record.amount > 3 && record.amount < 3", "can never be true"),
        ("record.amount > 50", "can never be true"),
        ("!has(record.amount) && record.amount < 3", "can never be true"),
        ('!has(record.verdict) && record.verdict.grade == "F1"', "can never be true"),
        ("record.flag && !record.flag", "can never be true"),
        ('record.counts.exists(n, n.grade == "F1" && n.grade == "F2")', "can never be true"),
        ('has(record.born) && !(record.grade in ["F1"] || true)', "can never be true"),
        ("false", "can never be true"),
        ("record.amount >= 3 && record.amount < 3", "can never be true"),
        ("record.amount > 3 && record.amount <= 3", "can never be true"),
        ("record.amount < -5", "can never be true"),
        ("record.amount == 3 && record.amount > 3", "can never be true"),
        ("record.amount == 3 && record.amount < 3", "can never be true"),
        ("record.amount == 3 && record.amount >= 4", "can never be true"),
        ("record.amount == 3 && record.amount <= 2", "can never be true"),
        ("!(record.amount < 3) && record.amount < 2", "can never be true"),
        ("record.amount == 3 && record.amount != 3", "can never be true"),
        ("record.flag && record.flag != true", "can never be true"),
        ("!record.flag && record.flag == true", "can never be true"),
        ("record.flag != true && record.flag != false", "can never be true"),
        ('record.grade in ["F1"] && record.grade in ["F2"]', "can never be true"),
        ('!(record.grade in ["F1"]) && !(record.grade in ["F2"]) && !(record.grade in ["M1"])', "can never be true"),
        ("!has(record.verdict) && has(record.verdict.grade)", "can never be true"),
        ("!has(record.verdict) && record.grade == record.verdict.grade", "can never be true"),
        ("!has(record.flag) && record.flag", "can never be true"),
        ("(record.amount > 3 || record.amount > 4) && record.amount < 2", "can never be true"),
    ],
)
def test_a_permit_that_nothing_can_meet_is_refused(tmp_path: Path, rows: str, why: str) -> None:
    """What contradicts itself was meant otherwise."""
    small.write(tmp_path, small.document([rule("a", rows=rows)]))
    with pytest.raises(FileError, match=why):
        load_checked(tmp_path)


DENIES_ROWS = {"id": "d", "deny": "read", "resource": "cases", "because": "So."}


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([rule("a", rows='record.grade == "F1" || record.grade != "F1"')], "can never be false"),
        ([rule("a"), DENIES_ROWS | {"rows": "record.flag && !record.flag"}], "matches the unknown only"),
        (
            [rule("a", rows='record.grade == "F1"'), DENIES_ROWS | {"rows": 'record.grade in ["F1", "F2"]'}],
            "opens nothing",
        ),
        ([rule("a"), DENIES_ROWS], "'a' opens nothing: wherever it applies, 'doc/d' denies its rows"),
        ([rule("a", show=["name"]), DENIES_ROWS | {"fields": ["name"]}], "shows nothing"),
    ],
)
def test_what_is_useless_is_warned_of(tmp_path: Path, rules: list[dict[str, Any]], why: str) -> None:
    """A useless rule does no harm, but nobody writes one on purpose."""
    small.write(tmp_path, small.document(rules))
    warnings = check(load(tmp_path))
    assert [warning for warning in warnings if why in warning.message], warnings
    assert all(warning.place.file == "doc.yaml" for warning in warnings)


def test_the_shipped_policy_has_nothing_useless() -> None:
    """No warning stands against the documents that ship."""
    assert check(load(POLICIES)) == ()


def test_documents_are_live_by_date_status_and_replacement() -> None:
    """`until` is exclusive, a proposed document counts only when named, and then switches off what it replaces."""
    bundle = load(POLICIES)

    def live(day: str, *named: str) -> set[str]:
        found = {document.name for document in bundle.live(date.fromisoformat(day), frozenset(named))}
        return found & {"ph-2008", "ph-2010", "ph-2018", "hold-standard-on-data"}

    assert live("2007-12-31") == set()
    assert live("2008-01-01") == live("2010-08-31") == {"ph-2008"}
    assert live("2010-09-01") == live("2018-08-31") == {"ph-2010"}
    assert live("2018-09-01") == {"ph-2018"}
    assert live("2014-04-17", "hold-standard-on-data") == {"hold-standard-on-data"}
    assert live("2014-04-15", "hold-standard-on-data") == {"ph-2010"}


def test_every_change_of_a_file_changes_the_digest(tmp_path: Path) -> None:
    """Catalogue, lists and documents are digested together."""
    shutil.copytree(POLICIES, tmp_path / "p")
    digests = {load(tmp_path / "p").digest}
    for name in ("catalogue.yaml", "lists/pa-9714g-strict.yaml", "ph-2010.yaml"):
        path = tmp_path / "p" / name
        path.write_text(path.read_text() + "# A remark.\n")
        digests.add(load(tmp_path / "p").digest)
    assert len(digests) == 4


def test_the_reference_names_every_word_of_the_language() -> None:
    """What a document can say, and how a request can be refused under it, stands in docs/policy-language.md."""
    reference = (POLICIES.parent / "docs" / "policy-language.md").read_text()
    forms = [form.value for form in Form if form is not Form.OTHER_FIELD]
    words = [*forms, *Status, *Action, *Standing, *DENIALS, *CONFIDENCE, *INSTRUMENTS, *SIGNERS, *SUBJECT_FIELDS]
    assert [word for word in words if word not in reference] == []
