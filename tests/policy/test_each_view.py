"""Each way in which rules meet, each mask, and each operator of a client: on samples of every value.

As in the property tests, the rules are judged by `reference` one record at a time, and nothing is left to chance.
"""

from dataclasses import replace
from typing import Any

import pytest

from gateway.access import AllOf, AnyOf, Compare, Filter, Not, SortKey
from gateway.catalogue import Catalogue
from gateway.domains import Kind
from gateway.plan.difference import Numbers, difference
from gateway.plan.shape import operators
from gateway.policy.compose import Permit
from gateway.policy.view import View
from tests.policy import reference, small
from tests.policy.conftest import Bench
from tests.policy.reference import Law, Seen
from tests.policy.samples import INSTRUMENTS, SAMPLES, closes, opens
from tests.policy.small import Case, Defect, Row
from tests.policy.test_two_readings import by_view, comparable, got, holds, in_order, paged, permit, search

ALL = ["open", "closed"]
MASKS = {
    "born": "year",
    "name": "first-letter",
    "code": "last-four",
    "verdict.born": "year",
    "counts.name": "last-four",
}
OTHERS = {"born": "age-band", "name": "last-four", "code": "first-letter", "counts.name": "first-letter"}
POLICIES: dict[str, list[dict[str, Any]]] = {
    "all": [opens("a", show=ALL)],
    "fields by row": [
        opens("a", "record.flag", show=["person", "name", "grade", "counts"]),
        opens("b", "record.amount >= 1", show=["born", "amount", "verdict", "counts.grade"]),
    ],
    "one by row, one always": [opens("a", show=["name"]), opens("b", "record.flag", show=["born", "counts"])],
    "alike in different rows": [
        opens("a", "record.flag", show=["name", "counts"]),
        opens("b", "record.amount > 1", show=["name", "counts"]),
    ],
    "masks": [opens("a", show=["person", "amount", "counts.grade"], mask=MASKS)],
    "other masks": [opens("a", 'record.grade != "M1"', show=["person", "amount"], mask=OTHERS)],
    "masks by row": [
        opens("a", "record.flag", show=["amount"], mask=MASKS),
        opens("b", "!record.flag", show=["amount", "counts.grade"]),
    ],
    "in full or masked": [
        opens("a", "record.flag", show=ALL),
        opens("b", show=["amount"], mask=MASKS),
    ],
    "in full or otherwise masked": [
        opens("a", "record.verdict.flag", show=ALL),
        opens("b", 'record.grade == "F1"', show=["amount"], mask=OTHERS),
        opens("c", show=["grade"], mask=OTHERS),
    ],
    "pseudonyms": [opens("a", show=["person"], mask={"name": "pseudonym", "counts.name": "pseudonym"})],
    "in full or a pseudonym": [
        opens("a", "record.flag", show=ALL),
        opens("b", show=["person"], mask={"name": "pseudonym", "counts.name": "pseudonym"}),
    ],
    "another field instead": [opens("a", show=["person", "born"], mask={"name": "code"})],
    "another field instead, by row": [
        opens("a", "record.flag", show=["person"]),
        opens("b", "record.amount >= 1", show=["person"], mask={"name": "grade"}),
        closes("c", "record.amount > 1", fields=["grade"]),
    ],
    "another field, nowhere": [
        opens("a", show=["amount"], mask={"name": "code"}),
        closes("c", "true", fields=["code"]),
    ],
    "rows denied": [opens("a", show=ALL), closes("c", "record.flag"), closes("d", 'record.verdict.grade == "F2"')],
    "fields denied": [opens("a", show=ALL), closes("c", "record.flag", fields=["born", "verdict", "counts.name"])],
    "fields denied twice": [
        opens("a", show=ALL),
        closes("c", "record.flag", fields=["born"]),
        closes("d", "record.amount > 1", fields=["born", "name"]),
    ],
    "a field denied always": [opens("a", show=ALL), closes("c", "true", fields=["born"])],
    "denials that mask": [
        opens("a", show=ALL),
        closes("c", "record.amount > 1", mask=MASKS),
        closes("d", "record.flag", fields=["name"]),
    ],
    "a denial that masks always": [opens("a", show=ALL), closes("c", "true", mask=MASKS)],
    "denials over masks": [
        opens("a", "record.flag", show=ALL),
        opens("b", show=["person"], mask=MASKS),
        closes("c", "record.amount > 1", mask=MASKS),
    ],
    "pointers": [
        opens("a", "record.flag", show=["name"]),
        opens("b", "record.amount > 0", show=["person"], pointer="Ask one"),
        opens("c", show=["grade"], pointer="Ask two"),
    ],
    "only pointers": [opens("b", "record.flag", show=["grade"], pointer="Ask one")],
    "instruments": [
        opens(
            "a",
            'instruments.exists(i, i.person == record.person && i.kind == "judicial")',
            show=["name"],
        ),
        opens("b", "instruments.exists(i, i.person == record.person)", show=["born"]),
    ],
}


def prepared(bench: Bench, catalogue: Catalogue, name: str) -> tuple[Permit, Law]:
    """Fill the tables with the samples, and decide by a policy."""
    small.fill(bench.engine, catalogue, SAMPLES)
    decision, law = permit(small.document(POLICIES[name]))
    assert isinstance(decision, Permit)
    return decision, law


@pytest.mark.parametrize("name", POLICIES)
def test_rows_and_cells_are_those_of_the_rules(name: str, bench: Bench, catalogue: Catalogue) -> None:
    """What SQL, the view and the rules show of each sample is the same."""
    decision, law = prepared(bench, catalogue, name)
    view = decision.view
    expected = [comparable(row, view) for row in reference.see(law, SAMPLES, INSTRUMENTS)]
    assert expected
    assert [comparable(row, view) for row in got(bench, view, search(limit=1000))] == expected
    assert [comparable(row, view) for row in by_view(view, SAMPLES, catalogue)] == expected
    persons = {row[1] for row in expected}
    assert bench.records.row(bench.planner.count(view, INSTRUMENTS)) == (len(expected), len(persons))
    for sample in SAMPLES[:: len(SAMPLES) // 7]:
        found = bench.records.query(bench.planner.lookup(view, sample.id, INSTRUMENTS))
        assert [row.key for row in found] == [row[0] for row in expected if row[0] == sample.id]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("all", "rows denied"),
        ("rows denied", "fields by row"),
        ("instruments", "all"),
        ("", "instruments"),
        ("masks", ""),
    ],
)
def test_what_came_and_went_between_two_views_is_counted(
    before: str, after: str, bench: Bench, catalogue: Catalogue
) -> None:
    """Records and persons, as the rules of both hold them; no rules hold nothing."""
    views: list[View | None] = []
    held: list[set[tuple[int, int | None]]] = []
    for name in (before, after):
        decision, law = prepared(bench, catalogue, name) if name else (None, None)
        views.append(decision.view if decision else None)
        held.append({(row.id, row.person) for row in reference.see(law, SAMPLES, INSTRUMENTS)} if law else set())
    numbers = difference(bench.records.row(bench.planner.difference(views[0], views[1], INSTRUMENTS)))
    for at, counted in enumerate((numbers.records, numbers.persons)):
        was, now = ({row[at] for row in rows} for rows in held)
        assert counted == Numbers(len(was), len(now), len(now - was), len(was - now))


@pytest.mark.parametrize("name", ["all", "fields by row", "masks", "in full or masked", "fields denied"])
def test_defects_are_told_of_what_is_shown_and_of_nothing_else(name: str, bench: Bench, catalogue: Catalogue) -> None:
    """A value that the catalogue does not allow is reported where its field is shown in some form, never where not."""
    decision, law = prepared(bench, catalogue, name)
    rows = bench.records.query(bench.planner.search(decision.view, search(limit=1000), INSTRUMENTS, None))
    found = {row.key: set(row.defects) for row in rows}
    for seen in reference.see(law, SAMPLES, INSTRUMENTS):
        sample = SAMPLES[seen.id - 1]
        told = {path for path in seen.cells if _defective(path, sample, bench)}
        related = seen.related.get("counts", ())
        for number, row in enumerate(related or ()):
            told |= {f"counts.{name}" for name in row if _held(sample.counts[number], name, bench)}
        told |= {"counts"} if related is None else set()
        assert found[seen.id] == told, sample


def _defective(path: str, sample: Case, bench: Bench) -> bool:
    relation, _, name = path.rpartition(".")
    row = sample.verdict if relation else sample.values
    return row is not None and _held(row, name, bench)


def _held(row: Row, name: str, bench: Bench) -> bool:
    """Whether a row holds a defect; PostgreSQL's booleans can't."""
    value = row.get(name)
    return isinstance(value, Defect) and not (name == "flag" and bench.engine.dialect.name == "postgresql")


OPERANDS: dict[Kind, Any] = {
    Kind.TEXT: "b",
    Kind.STATUTE: "18.2503",
    Kind.CODE: "F1",
    Kind.INTEGER: 1,
    Kind.BOOLEAN: True,
    Kind.DATE: "1984-03-01",
    Kind.TIMESTAMP: "2014-03-09T07:00:00+00:00",
}
MASKED: dict[str, Any] = {"born": 1984, "verdict.born": 1990, "name": "b", "code": "1"}


def comparisons(decision: Permit, catalogue: Catalogue, masked: dict[str, Any]) -> list[Filter]:
    """Every operator on every path, each with one value."""
    found: list[Filter] = []
    resource, view = catalogue.resources["cases"], decision.view
    for path in view.cells:
        domain = view.domain(resource, path)
        assert domain is not None
        if path.startswith("counts."):
            continue
        value = OPERANDS.get(domain.kind) if view.cells[path].mask is None else masked.get(path)
        plain = sorted(operators(domain) - {"is_null"})
        found += [Compare(path, operator, [value] if operator == "in" else value) for operator in plain]
        if operators(domain):
            found += [Compare(path, "is_null", True), Compare(path, "is_null", False)]
    return found


def expected_of(asked: Filter | None, keys: tuple[SortKey, ...], rows: list[Seen]) -> list[int]:
    """What the view, taken as a table, answers."""
    return [row.id for row in in_order(rows, keys) if asked is None or holds(asked, row) is True]


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("all", {}),
        ("fields by row", {}),
        ("masks", MASKED),
        ("in full or masked", MASKED),
        ("in full or otherwise masked", {"born": "30-39", "name": "1234", "code": "b"}),
    ],
)
def test_each_operator_speaks_of_the_view(
    name: str, masked: dict[str, Any], bench: Bench, catalogue: Catalogue
) -> None:
    """On each path, and negated: what is null in the view is neither found nor found by the contrary."""
    decision, law = prepared(bench, catalogue, name)
    rows = reference.see(law, SAMPLES, INSTRUMENTS)
    for asked in comparisons(decision, catalogue, masked):
        assert answered(bench, decision, asked) == expected_of(asked, (), rows), asked


def test_filters_are_joined_as_truth_values_are(bench: Bench, catalogue: Catalogue) -> None:
    """The contrary of the unknown is unknown; all, any and none, inside one another."""
    decision, law = prepared(bench, catalogue, "in full or masked")
    rows = reference.see(law, SAMPLES, INSTRUMENTS)
    small_amount, year, letter = Compare("amount", "lte", 1), Compare("born", "eq", 1984), Compare("name", "gte", "a")
    # What one alternative says of a column must not be asked of the rows that the other finds.
    assert {row.id for row in rows if holds(letter, row)} - {row.id for row in rows if holds(year, row)}
    for asked in (
        Not(small_amount),
        AllOf((year, letter)),
        AnyOf((year, letter)),
        Not(AllOf((year, Not(letter)))),
        AllOf((AllOf((year, small_amount)), AnyOf((letter, small_amount)))),
    ):
        assert answered(bench, decision, asked) == expected_of(asked, (), rows), asked


def answered(bench: Bench, decision: Permit, asked: Filter) -> list[int]:
    """Ask for the records that a filter finds, with one field of each."""
    first = next(path for path in decision.view.cells if "." not in path)
    question = replace(search(asked, limit=1000), fields=(first,))
    return [row.key for row in bench.records.query(bench.planner.search(decision.view, question, INSTRUMENTS, None))]


@pytest.mark.parametrize("name", ["all", "fields by row", "in full or masked"])
def test_each_order_and_its_pages_speak_of_the_view(name: str, bench: Bench, catalogue: Catalogue) -> None:
    """By each path, up and down, alone and before another; nulls stand last, and pages leave out no row."""
    decision, law = prepared(bench, catalogue, name)
    rows = reference.see(law, SAMPLES, INSTRUMENTS)
    paths = [path for path in decision.view.cells if path != "person" and not path.startswith("counts.")]
    for place, path in enumerate(paths):
        other = paths[place - 1]
        for keys in ((SortKey(path, False),), (SortKey(path, True), SortKey(other, False))):
            question = replace(search(None, keys, limit=120), fields=(path,))
            assert paged(bench, decision.view, question) == expected_of(None, keys, rows), keys
