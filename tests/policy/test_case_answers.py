"""Cases about what stands beside values: forms, redactions, pointers, certifications, notices; and the two readings."""

from pathlib import Path
from typing import Any

import pytest

from gateway.cases.verdict import Difference
from gateway.policy import view
from gateway.policy.evaluate import Facts
from gateway.policy.view import Standing
from gateway.strict_yaml import FileError
from tests.policy import small
from tests.policy.test_cases import failing, read, run

PLAIN = {"resource": "cases", "because": "So."}
RULES: list[dict[str, Any]] = [
    PLAIN
    | {
        "id": "graded",
        "permit": "read",
        "rows": 'record.grade == "F1"',
        "show": ["code", "amount", "flag", "at", "verdict", "counts"],
        "mask": {"born": "age-band", "name": "pseudonym", "counts.name": "first-letter"},
    },
    PLAIN | {"id": "exists", "permit": "read", "rows": 'record.grade == "F2"', "pointer": "Ask the  clerk"},
    PLAIN | {"id": "certified", "permit": "read", "certification": "no-misuse", "rows": "true", "show": ["grade"]},
    PLAIN | {"id": "few", "deny": "read", "rows": "record.amount < 5", "fields": ["flag", "counts.grade"]},
    PLAIN | {"id": "hold", "permit": "detainer-hold", "certification": "no-misuse", "rows": "record.flag"},
    PLAIN | {"id": "none-open", "deny": "detainer-hold", "rows": "record.amount > 5"},
]
OBLIGATIONS = [{"notice": "Give it to nobody."}, {"report": "to-the-council"}]

SUITE = """tests: doc
subjects:
  looker: {agency: A, mission: looking}
  signer: {agency: A, mission: looking, certified: [no-misuse, another]}
records:
  first:
    code: x
    name: Nora
    grade: F1
    amount: 4
    flag: true
    born: 1984-03-10
    at: 2014-03-09T02:30:00-05:00
    verdict: {grade: F1}
    counts: [{amount: 9, grade: F2, name: Olga}, {amount: 2, name: P}, {grade: M1}]
  second: {code: y, grade: F2, amount: 9, flag: true}
  third: {code: z, flag: true}
  fourth: {code: w, amount: 4}
cases:
  - case: what is shown
    subject: looker
    purpose: looking
    on: 2014-05-01
    expect:
      - record: first
        body:
          code: x
          name: {pseudonym: Nora}
          amount: 4
          born: 20-29
          at: 2014-03-09T07:30:00Z
          verdict: {grade: F1}
          counts: [{amount: 9, name: O}, {amount: 2}, {}]
        redacted:
          flag: doc/few
          counts.grade: doc/few
          counts.name: doc/graded
          name: doc/graded
          born: doc/graded
        withheld: [flag, counts.grade, grade]
      - record: second
        pointer: Ask the clerk
        redacted:
          code: default
          name: default
          amount: default
          flag: default
          born: default
          at: default
          verdict: default
          counts: default
    notices: [Give it to nobody.]
    reports: [to-the-council]
  - case: with what was certified, the grade of every record is shown
    subject: signer
    purpose: looking
    on: 2014-05-01
    given: [third]
    expect:
      - record: third
        body: {}
        redacted:
          {code: default, name: default, amount: default, flag: default, born: default, at: default, verdict: default,
           counts.amount: default, counts.grade: default, counts.name: default, counts.cite: default,
           counts.flag: default}
  - case: who is held
    action: detainer-hold
    subject: signer
    purpose: looking
    on: 2014-05-01
    expect: [first]
  - case: nobody is held for who has not certified
    action: detainer-hold
    subject: looker
    purpose: looking
    on: 2014-05-01
    deny: certification-missing
"""


def directory(root: Path, suite: str = SUITE) -> Path:
    """Write the small city with one document and its tests."""
    small.write(root, small.document(RULES, OBLIGATIONS))
    (root / "doc_test.yaml").write_text(suite, encoding="utf-8")
    return root


def changed(old: str, new: str) -> str:
    """Change the good file of tests in one place."""
    assert old in SUITE
    return SUITE.replace(old, new, 1)


def test_a_right_expectation_passes(tmp_path: Path) -> None:
    """Forms of values, pseudonyms, redactions with their rules, pointers, certifications, notices, reports."""
    report = run(directory(tmp_path))
    assert failing(report) == {}
    assert [cover.rule.id for cover in report.coverage if not cover.whole] == []


WRONG = [
    ("name: {pseudonym: Nora}", "name: {pseudonym: Cora}", "first", "name"),
    ("name: {pseudonym: Nora}", "name: Nora", "first", "name"),
    ("born: 20-29", "born: 30-39", "first", "born"),
    ("born: 20-29", "born: 1984", "first", "born"),
    ("name: O}", "name: Olga}", "first", "counts[1].name"),
    ("          flag: doc/few\n", "", "first", "redacted.flag"),
    ("flag: doc/few", "flag: doc/graded", "first", "redacted.flag"),
    ("          flag: doc/few\n", "          flag: doc/few\n          grade: default\n", "first", "redacted.grade"),
    ("pointer: Ask the clerk", "pointer: Ask the mayor", "second", "pointer"),
    ("pointer: Ask the clerk", "body: {}", "second", "pointer"),
    ("certified: [no-misuse, another]", "certified: [another]", "the decision", "(the decision)"),
    ("notices: [Give it to nobody.]", "notices: [Give it to all.]", "the answer's notices", "Give it to all."),
    ("reports: [to-the-council]", "reports: [to-the-mayor]", "the entry's reports", "to-the-mayor"),
    ("expect: [first]", "expect: [first, second]", "second", "(the record)"),
    ("deny: certification-missing", "deny: no-rule-permits", "the decision", "(the decision)"),
]


@pytest.mark.parametrize(("old", "new", "about", "what"), WRONG)
def test_a_wrong_expectation_fails(tmp_path: Path, old: str, new: str, about: str, what: str) -> None:
    """What is redacted or pointed at, and is not expected so, fails like any value."""
    found = failing(run(directory(tmp_path, changed(old, new))))
    assert what in {
        d.what for mismatches in found.values() for m in mismatches if m.about == about for d in m.differences
    }


REFUSED = [
    ("name: {pseudonym: Nora}", "name: {alias: Nora}", "unknown key 'alias'"),
    ("amount: 4\n          born", "amount: {pseudonym: 4}\n          born", "never shown by a pseudonym"),
    ("born: 20-29", "born: 20-30", "nor a form of it (year, age-band)"),
    ("flag: doc/few", "flag: doc/fewer", "'doc/fewer' is not one of default, doc/certified"),
    ("          flag: doc/few\n", "          flags: doc/few\n", "no class, relation or field"),
    (
        "          name: doc/graded\n",
        "          name: doc/graded\n          open: doc/few\n",
        "'name' stands here twice",
    ),
    ("    expect: [first]", "    expect: [first]\n    notices: [So.]", "'notices' belong to an answer"),
    ("    deny: cert", "    reports: [So.]\n    deny: cert", "'reports' belong to an answer"),
    ("        body: {}\n", "", "the key 'body' is missing"),
]


@pytest.mark.parametrize(("old", "new", "why"), REFUSED)
def test_what_no_answer_could_hold_is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    """A misspelt rule, field or form is an error of the file, with its place."""
    with pytest.raises(FileError, match=r"^doc_test\.yaml:") as refused:
        read(directory(tmp_path, changed(old, new)))
    assert why in str(refused.value)


def test_a_cell_that_the_two_readings_show_differently_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluator that forgets to mask, or to withhold, disagrees with the answer in each such cell."""
    forgetful = view.Cell.outcome

    def outcome(self: view.Cell, facts: Facts) -> view.Outcome:
        told = forgetful(self, facts)
        return view.Outcome(Standing.SHOWN, told.reason)

    directory(tmp_path)
    monkeypatch.setattr(view.Cell, "outcome", outcome)
    found = failing(run(tmp_path))["what is shown"]
    differences = {d.what: d for m in found if m.about == "first" for d in m.differences}
    assert differences["born (two readings)"] == Difference(
        "born (two readings)", "1984-03-10 by the evaluator", "20-29 by SQL"
    )
    assert differences["flag (two readings)"] == Difference(
        "flag (two readings)", "true by the evaluator", "absent by SQL"
    )
