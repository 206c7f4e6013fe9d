"""Attacks of class A on filters over related rows, and on the search by name, case and accents aside."""

from datetime import date
from itertools import pairwise
from typing import Any

import pytest

from gateway.access import Quantifier
from tests.attacks.city import PLAIN, City, case, code_of, count, hidden, said, searches
from tests.attacks.conftest import FoundCity
from tests.policy import small
from tests.policy.small import Case, Defect, Row

QUANTIFIERS = tuple(quantifier.value for quantifier in Quantifier)


def related(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask each quantifier, and its contrary, about parts of related rows."""
    asked = [{"counts": {quantifier: part}} for quantifier in QUANTIFIERS for part in parts]
    return [{"filter": each} for each in asked] + [{"filter": {"not": each}} for each in asked]


EVERY_PART: tuple[dict[str, Any], ...] = ({"grade": {"is_null": True}}, {"not": {"amount": {"eq": 1}}})


@pytest.mark.parametrize("quantifier", QUANTIFIERS)
def test_a_withheld_field_of_a_relation_is_filtered(city: City, quantifier: str) -> None:
    """A5: Strapi CVE-2023-34235. In related rows too a hidden field is refused like one that never was."""
    city.fill(case(1), case(2))
    unknown = said(city.search(filter={"nonsense": {"eq": 1}}))
    tests: tuple[dict[str, Any], ...] = ({"eq": "Ada"}, {"starts": "a"}, {"is_null": True})
    for field in ("name", "cite", "flag", "nonsense", "n_id", "counts.name", "code"):
        parts: list[dict[str, Any]] = [{field: test} for test in tests]
        parts += [{"not": parts[0]}, {"and": [{"grade": {"eq": "F1"}}, parts[0]]}, {"grade": {"eq": "F1"}, **parts[0]}]
        for part in parts:
            assert said(city.search(filter={"counts": {quantifier: part}})) == unknown, part


CHAINS: tuple[dict[str, Any], ...] = (
    {"counts": {"any": {"counts": {"any": {"grade": {"eq": "F1"}}}}}},
    {"counts": {"any": {"verdict": {"any": {"grade": {"eq": "F1"}}}}}},
    {"counts": {"any": {"named": {"given": "c"}}}},
    {"verdict": {"any": {"grade": {"eq": "F1"}}}},
    {"verdict": {"eq": "F1"}},
    {"counts": {"eq": "F1"}},
    {"counts": {"is_null": True}},
    {"counts.grade": {"eq": "F1"}},
    {"counts.grade": {"any": {"grade": {"eq": "F1"}}}},
    {"code": {"any": {"grade": {"eq": "F1"}}}},
    {"cases": {"any": {"cite": {"eq": "18.2702.A1"}}}},
    {"n": {"any": {"grade": {"eq": "F1"}}}},
    {"person": {"any": {"cite": {"is_null": False}}}},
)


def test_a_chain_of_relations_is_filtered(city: City) -> None:
    """A5: HAPI #6065. No relation leads on from another, back to the records, or from one that is to one."""
    city.fill(case(1), case(2))
    unknown = said(city.search(filter={"nonsense": {"eq": 1}}))
    for asked in CHAINS:
        assert said(city.search(filter=asked)) == unknown, asked
        assert said(city.search(filter={"or": [{"code": {"is_null": False}}, asked]})) == unknown, asked
    for sort in ("counts", "counts.grade", "-counts.amount"):
        assert said(city.search(sort=[sort])) == unknown


def test_the_related_rows_of_a_record_that_withholds_them_are_filtered(city: City) -> None:
    """A5, own: where a record withholds all of a relation, nothing is known of it: not even that there is no row."""
    others = [case(2), case(3, counts=())]
    crowds: tuple[tuple[Row, ...], ...] = ((), (count(),), (count(grade="F2", amount=-5), count(grade=None)))
    before: list[object] = []
    for left, right in pairwise(crowds):
        one, two = ([case(1, code="apart", counts=counts), *others] for counts in (left, right))
        answers = city.is_alike(one, two, searches(*related(*EVERY_PART)))
        before = before or [said(answer) for answer in answers]
        assert [said(answer) for answer in answers] == before
    for body in related(*EVERY_PART):
        assert 1 not in city.keys(**body)


def test_a_relation_with_too_many_rows_is_filtered(city: City) -> None:
    """A5, own: rows that the record does not show, because they are too many, are in no filter either."""
    many = tuple(count(amount=n) for n in range(4))
    other = tuple(count(amount=50, grade=grade) for grade in ("M1", None, "F2", "F1", "F2"))
    answers = []
    for counts in (many, other):
        city.fill(case(1, counts=counts), case(2))
        answers.append([said(answer) for answer in searches(*related(*EVERY_PART))(city.asker)])
        assert city.lookup(1).get_json()["record"]["counts"] is None
        assert not [body for body in related(*EVERY_PART) if 1 in city.keys(**body)]
    assert answers[0] == answers[1]


def test_related_rows_of_hidden_records_are_filtered(city: City) -> None:
    """A5, own: a filter over related rows finds records of the view, by rows of their own."""
    shown = [case(1, 7, counts=(count(grade="F2"),)), case(2, counts=())]
    left = [*shown, hidden(3, 7, counts=(count(grade="F1"), count(grade="M1")))]
    city.is_alike(left, shown, searches(*related(*EVERY_PART)))
    assert city.keys(filter={"counts": {"any": {"grade": {"eq": "M1"}}}}) == []
    assert city.keys(filter={"counts": {"none": {"grade": {"eq": "F1"}}}}) == [1, 2]


def test_a_defect_in_related_rows_is_filtered(city: City) -> None:
    """A, own: a related value outside of its domain is null to a filter, as it is told."""
    parts = ({"amount": {"gt": 10}}, {"amount": {"lt": 10}}, {"amount": {"is_null": True}}, {"grade": {"ne": "F1"}})
    answers = []
    for number in (0, 1):
        bad: Row = count(amount=Defect(number), grade=Defect(number))
        city.fill(case(1, counts=(bad,)), case(2))
        answers.append([said(answer) for answer in searches(*related(*parts))(city.asker)])
    assert answers[0] == answers[1]
    assert city.keys(filter={"counts": {"any": {"amount": {"is_null": True}}}}) == [1]


def test_a_masked_field_of_related_rows_is_filtered_finely(found_city: FoundCity) -> None:
    """A11, own: related rows that show a first letter are found by it, and the rest of the name is not to be felt."""
    rule = {
        "id": "p",
        "permit": "read",
        "rows": "true",
        "show": ["code", "counts.grade"],
        "mask": {"counts.name": "first-letter"},
    }
    city = found_city(small.document([PLAIN | rule]))
    left = [case(1, counts=(count(name="Ada"),)), case(2, counts=(count(name="Bea"),))]
    right = [case(1, counts=(count(name="Azz"),)), case(2, counts=(count(name="Baa"),))]
    tests = (("ne", "B"), ("gte", "A"), ("starts", "a"), ("eq", "Ad"))
    parts: list[dict[str, Any]] = [{"name": {operator: value}} for operator, value in tests]
    city.is_alike(left, right, searches(*related(*parts)))
    assert city.keys(filter={"counts": {"any": {"name": {"eq": "A"}}}}) == [1]
    assert code_of(city.search(filter={"counts": {"any": {"name": {"starts": "Ad"}}}})) == "value-out-of-domain"


# --- by name --------------------------------------------------------------------------------------------------------


def test_a_masked_name_is_searched_by_its_start(city: City) -> None:
    """A4, own: `starts` finds a first letter as it is shown; `named` wants the name itself, and is refused."""
    left = [case(1, name="Ada"), case(2, name="\u00c1bel"), case(3, name="Bea")]
    right = [case(1, name="Azz"), case(2, name="\u00c1zz"), case(3, name="Bzz")]
    bodies = [{"filter": {"name": {"starts": text}}} for text in ("a", "A", "\u00e1", "b", "ad", "Ada", "az")]
    city.is_alike(left, right, searches(*bodies))
    assert city.keys(filter={"name": {"starts": "a"}}) == [1, 2]
    unknown = said(city.search(filter={"nonsense": {"eq": 1}}))
    for named in ({"family": "Ada"}, {"family": "Azz", "given": "c"}, {"family": 1}, {"family": "A", "born": 1984}):
        assert said(city.search(filter={"named": named})) == unknown, named
    assert city.keys(filter={"named": {"given": "C"}}) == [1, 2, 3]


@pytest.mark.parametrize("mask", [{}, {"born": "age-band"}])
def test_a_hidden_date_of_birth_is_searched_for_with_the_name(found_city: FoundCity, mask: dict[str, str]) -> None:
    """A11, own: where the birth is withheld, or a band of ages, no name is searched for together with it."""
    rule: dict[str, Any] = {"id": "p", "permit": "read", "rows": "true", "show": ["name", "code"]}
    city = found_city(small.document([PLAIN | rule | ({"mask": mask} if mask else {})]))
    city.fill(case(1), case(2, born=date(1960, 1, 1)))
    unknown = said(city.search(filter={"nonsense": {"eq": 1}}))
    for born in ("1984-02-29", "1984-03-01", "1960-01-01", 1984, 1800, "30-39", True, "x"):
        assert said(city.search(filter={"named": {"family": "Ada", "born": born}})) == unknown, born
    assert city.keys(filter={"named": {"family": "ADA"}}) == [1, 2]


def test_a_year_of_birth_is_searched_for_by_the_day(city: City) -> None:
    """A11, own: where the year is shown, a day of birth finds what its year finds; no day of a year is told."""
    years = (1982, 1983, 1984, 1985, 1986)
    left = [case(n, born=date(year, 1, 1)) for n, year in enumerate(years, 1)]
    right = [case(n, born=date(year, 12, 31)) for n, year in enumerate(years, 1)]
    bodies = [
        {"filter": {"named": {"given": "c", "born": born}}}
        for born in ("1984-01-01", "1984-06-15", "1984-12-31", "1984-02-29", 1984, 1983, "1850-01-01", 2199)
    ]
    city.is_alike(left, right, searches(*bodies))
    for born in ("1984-01-01", "1984-12-31", 1984):
        assert city.keys(filter={"named": {"given": "c", "born": born}}) == [2, 3, 4]


ECHO = "echo-9"
WRONG: tuple[dict[str, Any], ...] = (
    {"counts": {"any": {"grade": {"eq": ECHO}}}},
    {"counts": {"any": {"amount": {"gt": ECHO}}}},
    {"counts": {"any": {ECHO: {"eq": 1}}}},
    {"counts": {ECHO: {"grade": {"eq": "F1"}}}},
    {"counts": {"any": {"grade": {ECHO: "F1"}}}},
    {ECHO: {"any": {"grade": {"eq": "F1"}}}},
    {"code": {"starts": ECHO * 3}},
    {"named": {"given": "c", "born": ECHO}},
    {"named": {"given": ECHO * 3}},
    {"named": {"given": "c", ECHO: 1}},
)


@pytest.mark.parametrize("asked", WRONG, ids=str)
def test_a_refused_operand_comes_back_in_the_error(city: City, asked: dict[str, Any]) -> None:
    """C26, own: a refusal says what is expected, and neither what was sent nor what the rows hold."""
    answers = []
    for grade in ("F1", "F2"):
        city.fill(case(1, code=ECHO[:6], counts=(count(grade=grade),)))
        answers.append(city.search(filter=asked))
        assert answers[-1].status_code == 400
        assert ECHO not in answers[-1].text
    assert said(answers[0]) == said(answers[1])


def test_the_cost_of_a_filter_is_felt(city: City) -> None:
    """C, own: how much a filter may ask is the filter's own measure, whatever the tables hold."""
    some: list[Case] = [case(1, counts=tuple(count() for _ in range(3)))]
    test = {"counts": {"any": {"grade": {"eq": "F1"}}}}
    bodies = [{"filter": {"and": [test] * number}} for number in (8, 9)]
    answers = city.is_alike([*some, hidden(2)], some, searches(*bodies))
    assert [code_of(answer) for answer in answers] == ["ok", "filter-too-complex"]
