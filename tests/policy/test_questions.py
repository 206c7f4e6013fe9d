"""Questions: what a view can't be asked is refused with its code, and a hidden field like one that never was."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.access import Compare, Filter, Named, Quantifier, Related, SortKey
from gateway.bounds import MAX_SORT, MAX_VALUES
from gateway.catalogue import Catalogue
from gateway.domains import Kind
from gateway.errors import Code, Unplannable
from gateway.plan.planner import Plan, Planner
from gateway.plan.shape import operators
from gateway.policy.compose import Permit
from gateway.policy.sql import prefix_range
from gateway.policy.tables import Dialect
from gateway.policy.view import View
from tests.policy import small
from tests.policy.samples import INSTRUMENTS, opens
from tests.policy.test_decisions import ask, bundle
from tests.policy.test_two_readings import search


@pytest.fixture
def view(tmp_path: Path) -> View:
    """A view that hides `flag` and `verdict.flag`, and shows a date as a year."""
    shown = ["person", "name", "cite", "code", "grade", "amount", "at", "verdict.grade", "verdict.born", "counts.grade"]
    permit = ask(bundle(tmp_path, small.document([opens("a", show=shown, mask={"born": "year"})])))
    assert isinstance(permit, Permit)
    return permit.view


def plan(catalogue: Catalogue, view: View, **asked: Any) -> Plan:
    """Plan a question."""
    planner = Planner(catalogue.resources["cases"], Dialect.SQLITE)
    return planner.search(view, replace(search(), **asked), INSTRUMENTS, None)


def refused(catalogue: Catalogue, view: View, **asked: Any) -> tuple[Code, str]:
    """Return the code and the words of a refusal."""
    with pytest.raises(Unplannable) as caught:
        plan(catalogue, view, **asked)
    return caught.value.code, str(caught.value)


UNKNOWN = (
    Code.UNKNOWN_FIELD,
    "A field that the request names is not part of your view, or can't stand there. See GET /openapi.json.",
)


@pytest.mark.parametrize(
    "path", ["flag", "verdict.flag", "nothing", "verdict", "verdict.", ".flag", "", "counts.name", "counts.nope"]
)
def test_a_hidden_field_is_refused_like_one_that_never_was(path: str, view: View, catalogue: Catalogue) -> None:
    """In the filter, in the order and among the fields, in the same words."""
    assert refused(catalogue, view, filter=Compare(path, "eq", True)) == UNKNOWN
    assert refused(catalogue, view, sort=(SortKey(path, False),)) == UNKNOWN
    assert refused(catalogue, view, fields=("name", path)) == UNKNOWN


@pytest.mark.parametrize("path", ["counts", "counts.grade"])
def test_related_rows_are_no_value_of_the_record(path: str, view: View, catalogue: Catalogue) -> None:
    """A relation to many can be shown, as a whole or by field, and not compared or sorted by."""
    assert refused(catalogue, view, filter=Compare(path, "eq", "F1")) == UNKNOWN
    assert refused(catalogue, view, sort=(SortKey(path, False),)) == UNKNOWN
    assert plan(catalogue, view, fields=(path, "name")).fields == ("name", path)


@pytest.mark.parametrize(
    "asked",
    [
        Related("counts", Quantifier.ANY, Compare("name", "eq", "a")),
        Related("counts", Quantifier.NONE, Compare("counts.grade", "eq", "F1")),
        Related("counts", Quantifier.ALL, Compare("code", "eq", "a")),
        Related("counts", Quantifier.ANY, Related("counts", Quantifier.ANY, Compare("grade", "eq", "F1"))),
        Related("counts", Quantifier.ANY, Named("a", None, None)),
        Related("verdict", Quantifier.ANY, Compare("grade", "eq", "F1")),
        Related("cases", Quantifier.ANY, Compare("grade", "eq", "F1")),
        Related("", Quantifier.ANY, Compare("grade", "eq", "F1")),
    ],
)
def test_what_the_view_does_not_hold_of_a_relation_was_never_there(
    asked: Filter, view: View, catalogue: Catalogue
) -> None:
    """Hidden fields, fields of the record, relations to one, of relations and of none: all in the same words."""
    assert refused(catalogue, view, filter=asked) == UNKNOWN


@pytest.mark.parametrize(
    ("show", "mask"),
    [
        ([], {}),
        (["name"], {}),
        (["name"], {"born": "age-band"}),
        (["born"], {"name": "first-letter"}),
        (["born"], {"name": "code"}),
        (["born", "name"], {"name": "pseudonym"}),
    ],
)
def test_a_name_is_searched_where_the_view_shows_enough(
    show: list[str], mask: dict[str, str], tmp_path: Path, catalogue: Catalogue
) -> None:
    """The names themselves, and at least the year of birth."""
    permit = ask(bundle(tmp_path, small.document([opens("a", show=["code", *show], mask=mask)])))
    assert isinstance(permit, Permit)
    assert refused(catalogue, permit.view, filter=Named("a", "b", 1984)) == UNKNOWN


def test_a_name_is_searched_in_a_resource_that_has_one(view: View, catalogue: Catalogue) -> None:
    """The catalogue names the fields; a person's given name alone is enough."""
    assert plan(catalogue, view, filter=Named(None, "b", 1984)).fields
    resources = {"cases": replace(catalogue.resources["cases"], names=None)}
    nameless = replace(catalogue, resources=resources)
    assert refused(nameless, view, filter=Named("a", None, None)) == UNKNOWN


OPERATORS = {
    Kind.TEXT: {"eq", "ne", "in", "lt", "lte", "gt", "gte", "prefix", "starts", "is_null"},
    Kind.STATUTE: {"eq", "ne", "in", "lt", "lte", "gt", "gte", "prefix", "is_null"},
    Kind.CODE: {"eq", "ne", "in", "is_null"},
    Kind.INTEGER: {"eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"},
    Kind.BOOLEAN: {"eq", "ne", "is_null"},
    Kind.DATE: {"eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"},
    Kind.TIMESTAMP: {"eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"},
    Kind.KEY: set(),
}


def test_each_kind_has_its_operators(view: View, catalogue: Catalogue) -> None:
    """No order of codes, none of truth values; an opaque id is compared with nothing."""
    resource = catalogue.resources["cases"]
    for path, field in resource.paths():
        assert operators(field.domain) == OPERATORS[field.domain.kind], path
    for path, operator in (("person", "eq"), ("grade", "lt"), ("name", "like"), ("born", "prefix")):
        code, _ = refused(catalogue, view, filter=Compare(path, operator, "F1"))
        assert code is Code.UNKNOWN_OPERATOR, path


@pytest.mark.parametrize(
    "asked",
    [
        Compare("name", "is_null", 1),
        Compare("name", "is_null", "true"),
        Compare("name", "is_null", None),
        Compare("name", "in", "a"),
        Compare("name", "in", []),
        Compare("name", "in", ["a"] * (MAX_VALUES + 1)),
        Compare("name", "in", ["a", 1]),
        Compare("name", "eq", ["a"]),
        Compare("name", "eq", None),
        Compare("name", "eq", "x" * 13),
        Compare("name", "prefix", ""),
        Compare("name", "starts", ""),
        Compare("name", "starts", "\u0301"),
        Compare("name", "starts", "x" * 13),
        Compare("name", "starts", 1),
        Named("", None, None),
        Named("a", 1, None),
        Named("a", None, "1984"),
        Named("a", None, "1984-02-30"),
        Named("a", None, 1849),
        Named("a", None, True),
        Named("a", None, 1984.5),
        Compare("name", "prefix", 1),
        Compare("grade", "eq", "F9"),
        Compare("amount", "eq", 51),
        Compare("born", "eq", "1984-02-29"),
        Compare("born", "eq", 1849),
        Compare("at", "eq", "now"),
    ],
)
def test_a_value_outside_the_view_is_refused(asked: Filter, view: View, catalogue: Catalogue) -> None:
    """A masked field takes the values of its form, and no other."""
    code, _ = refused(catalogue, view, filter=asked)
    assert code is Code.OUT_OF_DOMAIN


def test_a_form_is_no_longer_than_it_is(tmp_path: Path, catalogue: Catalogue) -> None:
    """What is longer than a first letter, or than the last four, could never be found."""
    permit = ask(bundle(tmp_path, small.document([opens("a", mask={"name": "first-letter", "code": "last-four"})])))
    assert isinstance(permit, Permit)
    for path, most in (("name", "b"), ("code", "1234")):
        assert plan(catalogue, permit.view, filter=Compare(path, "eq", most)).fields == ("name", "code")
        assert refused(catalogue, permit.view, filter=Compare(path, "eq", most + "x"))[0] is Code.OUT_OF_DOMAIN


def test_the_most_values_and_the_most_keys_are_planned(view: View, catalogue: Catalogue) -> None:
    """As many as a request can hold; opaque ids have no order."""
    assert plan(catalogue, view, filter=Compare("name", "in", ["a"] * MAX_VALUES)).limit == search().limit
    keys = tuple(SortKey(path, False) for path in ("name", "code", "grade", "amount"))
    order = plan(catalogue, view, sort=keys[:MAX_SORT]).statement.sql.rpartition("ORDER BY")[2]
    assert [name for name in re.findall(r"\w+", order) if name in view.cells] == ["name", "code", "grade"]
    assert refused(catalogue, view, sort=(SortKey("person", False),))[0] is Code.UNKNOWN_OPERATOR


def test_fields_are_those_that_are_named_or_all(view: View, catalogue: Catalogue) -> None:
    """In the catalogue's order; of a relation to many, the name."""
    every = (
        "person",
        "name",
        "cite",
        "code",
        "grade",
        "amount",
        "born",
        "at",
        "verdict.grade",
        "verdict.born",
        "counts",
    )
    assert plan(catalogue, view).fields == every
    assert plan(catalogue, view, fields=("at", "name")).fields == ("name", "at")


@pytest.mark.parametrize(
    ("prefix", "high"),
    [
        ("a", "b"),
        ("az", "a{"),
        ("a\U0010ffff", "b"),
        ("a\ud7ff", "a\ue000"),
        ("a\ue000", "a\ue001"),
    ],
)
def test_a_prefix_is_a_range_of_code_points(prefix: str, high: str) -> None:
    """No surrogate stands at an end, and the last character of all is raised in the one before it."""
    assert prefix_range(prefix) == (prefix, high)


def test_a_prefix_of_last_characters_has_an_end_beyond_every_text() -> None:
    """No text of the longest field reaches it."""
    low, high = prefix_range("\U0010ffff")
    assert low == "\U0010ffff"
    assert low * 63 < high
