"""Attacks of class A: a hidden column, in another clause than the one that was thought of."""

from datetime import date
from itertools import pairwise
from typing import Any

import pytest

from tests.attacks.city import HIDDEN, NEVER, City, case, code_of, count, said, searches
from tests.attacks.conftest import FoundCity
from tests.conftest import MakeWorld
from tests.policy import small
from tests.policy.small import Defect

OPERATORS = ("eq", "ne", "in", "lt", "lte", "gt", "gte", "prefix", "is_null", "like")
# What would be true of the hidden cells of `case`, read letter by letter; and what would not.
GUESSES = ("18", "F1", True)


def refused_alike(city: City, bodies: dict[str, dict[str, Any]], code: str = "unknown-field") -> None:
    """Ask all, and find one refusal in the same bytes."""
    city.fill(case(1), case(2))
    answers = {text: city.search(**body) for text, body in bodies.items()}
    first = next(iter(answers.values()))
    assert (first.status_code, code_of(first)) == (400, code)
    assert {text: said(answer) for text, answer in answers.items()} == dict.fromkeys(answers, said(first))


# --- the cases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", HIDDEN)
def test_a_hidden_field_is_filtered_prefix_by_prefix(city: City, path: str) -> None:
    """A1: Strapi CVE-2023-22894, Platformatic #5119. No operator and no guess tells a hidden field from none."""
    asked: dict[str, dict[str, Any]] = {"nonsense": {"filter": {"nonsense": {"eq": "x"}}}}
    for operator in OPERATORS:
        for guess in GUESSES:
            operand = [guess] if operator == "in" else guess
            asked[f"{operator} {guess}"] = {"filter": {path: {operator: operand}}}
        asked[f"not {operator}"] = {"filter": {"not": {path: {operator: operand}}}}
    refused_alike(city, asked)


def test_a_hidden_field_is_sorted_by(city: City) -> None:
    """A2: Elide #3415, Data API Builder #3553. First, last or descending, it is refused like a field that never was."""
    asked = {}
    for path in (*NEVER, *HIDDEN):
        for sort in ([path], [f"-{path}"], ["code", path], [f"-{path}", "-code"]):
            asked[str(sort)] = {"sort": sort}
    refused_alike(city, asked)


def test_the_order_of_equals_is_not_that_of_a_hidden_field(city: City) -> None:
    """A2: what is equal in the fields that are sorted by stands in the order of keys, whatever else its rows hold."""
    cites = ("18.2503.A1", "18.2702.A1", "75.3802.A")
    left = [case(n, cite=cite, at=None) for n, cite in enumerate(cites, 1)]
    right = [case(n, cite=cite) for n, cite in enumerate(reversed(cites), 1)]
    city.is_alike(left, right, searches(*({"sort": sort, "limit": 2} for sort in (["code"], ["-code"], [], ["born"]))))
    assert city.keys(sort=["code"]) == [1, 2, 3]
    assert city.keys(sort=["-code"]) == [3, 2, 1]


@pytest.mark.parametrize("member", ["group", "groupBy", "aggregate", "count", "min", "max", "distinct", "having"])
def test_a_hidden_field_is_aggregated(city: City, member: str) -> None:
    """A3: Directus CVE-2026-35442, Data API Builder #2776. No question can group or aggregate, by any name."""
    city.fill(case(1))
    for value in ("cite", ["cite"], {"cite": "max"}, True):
        assert code_of(city.search(**{member: value})) == "unknown-parameter"
    for name in (f"{member}(cite)", f"cite.{member}", f"cite:{member}", f"{member}.cite", f"_{member}"):
        assert code_of(city.search(fields=[name])) == "unknown-field"
        assert code_of(city.search(sort=[name])) == "unknown-field"
        assert code_of(city.search(filter={name: {"gte": 1}})) == "unknown-field"
    assert code_of(city.asker.get(f"/v1/cases/x?{member}=cite")) == "unknown-parameter"


@pytest.mark.parametrize("word", ["q", "search", "_text", "_content", "fulltext", "*", "$text", "query"])
def test_free_text_is_searched_in_hidden_columns(city: City, word: str) -> None:
    """A4: Directus CVE-2025-30352. There is no search over all fields, as a member, a field or an operator."""
    city.fill(case(1))
    for term in ("18.2702.A1", "Ada", "zzz"):
        assert code_of(city.search(**{word: term})) == "unknown-parameter"
        assert code_of(city.search(filter={word: {"eq": term}})) == "unknown-field"
        assert code_of(city.search(filter={"code": {word: term}})) == "unknown-operator"


def test_a_hit_on_a_masked_name_tells_of_its_letters(city: City) -> None:
    """A4: a field that is shown as its first letter is found by that letter, and by no more of what it stands for."""
    city.fill(case(1, name="Ada"), case(2, name="Abe"), case(3, name="Bea"))
    assert city.keys(filter={"name": {"eq": "A"}}) == city.keys(filter={"name": {"prefix": "A"}}) == [1, 2]
    for operator in ("eq", "ne", "prefix", "lt", "lte", "gt", "gte", "in"):
        answers = [
            city.search(filter={"name": {operator: [guess] if operator == "in" else guess}})
            for guess in ("Ada", "Ad", "Zzz", "Ab")
        ]
        assert len({str(said(answer)) for answer in answers}) == 1
        assert code_of(answers[0]) == "value-out-of-domain"


CHAINS = (
    "verdict.flag",
    "verdict.case.cite",
    "verdict.verdict.grade",
    "verdict.id",
    "verdict",
    "verdict.",
    "verdict.*",
    "counts.name",
    "counts.cite",
    "counts.case.cite",
    "counts.n_id",
    "counts[0].name",
    "counts/name",
    "counts->name",
    "person.name",
    "_has.counts.name",
    "_has:counts:name",
)


def test_a_chain_of_relations_reaches_a_hidden_field(city: City) -> None:
    """A5: HAPI #6065, Strapi CVE-2023-34235. No path leads beyond what the view holds, however it is written."""
    asked: dict[str, dict[str, Any]] = {"nonsense": {"filter": {"nonsense": {"eq": "F1"}}}}
    for path in CHAINS:
        asked |= {f"filter {path}": {"filter": {path: {"eq": "F1"}}}, f"sort {path}": {"sort": [path]}}
    refused_alike(city, asked)


def test_a_related_record_that_is_withheld_is_expanded(make_world: MakeWorld) -> None:
    """A6: Datasette #2178. Under the vote of 2010 nobody reaches victims and witnesses, asked for by name or not."""
    asker = make_world(rehearsal_day="2011-01-01").asker()
    unknown = said(asker.search({"fields": ["nonsense"]}))
    for path in ("victims", "victims.family_name", "witnesses", "witnesses.phone", "narrative"):
        assert said(asker.search({"fields": [path]})) == unknown
        for member in ("expand", "include", "with", "relations", "_include", "_revinclude"):
            assert code_of(asker.search({member: [path]})) == "unknown-parameter"
    shown = asker.records({"limit": 5})
    assert all(record.keys().isdisjoint({"victims", "witnesses", "narrative"}) for record in shown)


def test_related_rows_that_are_withheld_in_this_record_are_counted(city: City) -> None:
    """A6: a record that withholds all of a relation's fields does not tell how many rows there are, or of none."""
    crowd = tuple(count(amount=n) for n in range(9))
    left = [case(1, code="apart", counts=()), case(2)]
    right = [case(1, code="apart", counts=crowd), case(2)]
    answers = city.is_alike(left, right, searches({}, {"fields": ["counts"]}), lambda _: [city.lookup(1)])
    assert "counts" not in answers[-1].get_json()["record"]
    assert "counts" in city.lookup(2).get_json()["record"]


def test_a_redacted_nested_member_is_rebuilt_by_ranges(city: City) -> None:
    """A7: OpenSearch GHSA-2rjv-cv85-xhgm. Ranges over a related date that is shown as a year end at years."""
    days = [date(1990, 1, 1), date(1990, 6, 15), date(1990, 12, 31)]
    verdicts = [{"grade": "F2", "born": day, "flag": None} for day in days]
    left = [case(n, verdict=verdict) for n, verdict in enumerate(verdicts, 1)]
    right = [case(n, verdict=verdict) for n, verdict in enumerate(reversed(verdicts), 1)]
    ranges = [
        {"filter": {"verdict.born": {low: 1990 + shift, high: 1990}}}
        for low in ("gt", "gte")
        for high in ("lt", "lte")
        for shift in (-1, 0)
    ]
    city.is_alike(left, right, searches(*ranges, {"sort": ["verdict.born"]}, {"sort": ["-verdict.born"], "limit": 1}))
    for day in days:
        assert code_of(city.search(filter={"verdict.born": {"gte": day.isoformat()}})) == "value-out-of-domain"


EVERYTHING = (
    "*",
    "all",
    "cases.*",
    "c.*",
    "",
    "cases.cite",
    "c.cite",
    '"cite"',
    "cite as code",
    "code, cite",
    "(cite)",
)


def test_a_star_an_alias_or_no_list_gives_everything(city: City) -> None:
    """A8: WaveHouse #223, Data API Builder #476. Without a list the view is shown, and no list names more than it."""
    refused_alike(city, {text: {"fields": [text]} for text in ("nonsense", *EVERYTHING)})
    (seen,) = city.seen([case(1)])
    city.fill(case(1))
    bodies: tuple[dict[str, Any], ...] = ({}, {"fields": []}, {"filter": None, "fields": []})
    for body in bodies:
        (record,) = city.search(**body).get_json()["records"]
        shown = {path for path in record if path not in ("id", "redacted", "verdict", "counts")}
        shown |= {f"verdict.{name}" for name in record["verdict"]}
        assert shown == set(seen.cells)
        assert record["counts"] == [dict(row) for row in seen.related["counts"] or ()]
    (record,) = city.search(fields=["code"]).get_json()["records"]
    assert record.keys() == {"id", "code"}


MISSPELT = ("filters", "Filter", "FILTER", "filter ", " filter", "where", "sorts", "order", "select", "field", "page")


def test_a_misspelt_parameter_slips_past_the_check(city: City) -> None:
    """A9: Strapi CVE-2026-27886. What is no parameter is refused; nothing is read leniently or passed over."""
    city.fill(case(1))
    test = {"cite": {"eq": "18.2702.A1"}}
    for member in MISSPELT:
        assert code_of(city.search(**{member: test})) == "unknown-parameter", member
        assert code_of(city.search(filter={"code": {"eq": "c"}}, **{member: test})) == "unknown-parameter", member
    for operator in ("EQ", "Eq", "eq ", "$eq", "_eq", "=", "==", "eq.", "neq", "startswith", "contains", "regex"):
        assert code_of(city.search(filter={"code": {operator: "c"}})) == "unknown-operator", operator
    for name in ("AND", "And", "$and", "_or", "NOT", "nor", "xor"):
        assert code_of(city.search(filter={name: {"eq": "c"}})) == "unknown-field", name


def test_a_forbidden_filter_is_dropped_and_every_row_comes_back(city: City) -> None:
    """A10: Strapi #17001. One hidden field refuses the whole question, wherever in the filter it stands."""
    fine, forbidden = {"code": {"eq": "c"}}, {"cite": {"eq": "18.2702.A1"}}
    refused_alike(
        city,
        {
            "beside": {"filter": {**fine, **forbidden}},
            "and": {"filter": {"and": [fine, forbidden]}},
            "or": {"filter": {"or": [fine, forbidden]}},
            "not": {"filter": {"not": forbidden}},
            "deep": {"filter": {"and": [fine, {"or": [fine, {"not": {"and": [forbidden]}}]}]}},
            "true anyway": {"filter": {"or": [{"code": {"is_null": False}}, forbidden]}},
            "false anyway": {"filter": {"and": [{"code": {"eq": "none"}}, forbidden]}},
            "fields": {"filter": fine, "fields": ["code", "cite"]},
        },
    )


def test_a_masked_column_is_filtered_more_finely_than_it_is_shown(city: City) -> None:
    """A11: Snowflake projection policies. What a year or a letter hides changes no page, order, cursor or error."""
    born = [date(1984, 1, 1), date(1984, 12, 31), date(1990, 7, 4)]
    names = ["Ada", "Ab", "Bea"]
    left = [case(n, born=b, name=name) for n, (b, name) in enumerate(zip(born, names, strict=True), 1)]
    right = [
        case(n, born=b.replace(month=7), name=f"{name[0]}zz")
        for n, (b, name) in enumerate(zip(born, names, strict=True), 1)
    ]
    finer: list[dict[str, Any]] = []
    for operator in ("eq", "ne", "lt", "lte", "gt", "gte"):
        finer += [{"filter": {"born": {operator: value}}, "sort": ["-born"]} for value in (1984, 1985, "1984-06-01")]
        finer += [{"filter": {"name": {operator: value}}, "sort": ["name"]} for value in ("A", "B", "Ac", "")]
    finer += [{"sort": sort, "limit": 1} for sort in (["born"], ["-name"], ["name", "-born"])]
    city.is_alike(left, right, searches(*finer))
    assert city.keys(filter={"born": {"lte": 1984}}) == [1, 2]
    assert city.keys(filter={"name": {"gt": "A"}}) == [3]


# --- cases of our own -----------------------------------------------------------------------------------------------

SPELLINGS = ("CITE", "Cite", " cite", "cite ", "cite\n", "\tcite", "\uff43ite", "cite\u200b", "\ufeffcite", "c\u0131te")
INTERNAL = (
    "_key",
    "_person",
    "_pointer",
    "_state_amount",
    "_full_born",
    "_defect_name",
    "verdict__grade",
    "visible.cite",
)


def test_a_hidden_field_is_named_in_another_spelling(city: City) -> None:
    """A, own: case, spaces and look-alikes. A name is what it is, letter for letter."""
    asked: dict[str, dict[str, Any]] = {}
    for name in (*SPELLINGS, "CODE", "code ", "\uff43ode", "co\u00adde", "cod\u0435"):
        asked |= {f"f {name}": {"filter": {name: {"eq": "c"}}}, f"s {name}": {"sort": [name]}}
        asked[f"l {name}"] = {"fields": [name]}
    refused_alike(city, asked)


def test_a_column_of_the_statements_own_is_named(city: City) -> None:
    """A, own: the names that the statement gives to keys, standings and defects are no fields of the view."""
    asked: dict[str, dict[str, Any]] = {}
    for name in INTERNAL:
        asked |= {f"f {name}": {"filter": {name: {"gte": 0}}}, f"s {name}": {"sort": [name]}}
        asked[f"l {name}"] = {"fields": [name]}
    refused_alike(city, asked)


def test_a_cell_that_is_withheld_in_this_record_answers_a_filter(city: City) -> None:
    """A, own: a cell that the record withholds is null to every filter and order, whatever stands there."""
    left = [case(1, code="apart", amount=50), case(2, amount=3), case(3, amount=None)]
    right = [case(1, code="apart", amount=None), *left[1:]]
    tests: list[dict[str, Any]] = [{operator: 3} for operator in ("eq", "ne", "lt", "lte", "gt", "gte")]
    tests += [{"in": [3, 50]}, {"is_null": True}, {"is_null": False}]
    bodies = [{"filter": {"amount": test}} for test in tests] + [
        {"filter": {"not": {"amount": test}}} for test in tests
    ]
    city.is_alike(left, right, searches(*bodies, {"sort": ["amount"], "limit": 1}, {"sort": ["-amount"], "limit": 1}))
    assert city.keys(filter={"amount": {"is_null": True}}) == [1, 3]
    assert city.keys(filter={"not": {"amount": {"eq": 50}}}) == [2]


def test_a_value_that_is_a_defect_is_searched_for(city: City) -> None:
    """A, own: what the source holds outside of the domain is null, also to filters; what it says stays unknown."""
    texts = (Defect(0), Defect(1), Defect(2), Defect(3))
    everywhere: list[dict[str, Any]] = [
        {"filter": {"name": {operator: "x"}}} for operator in ("eq", "ne", "lt", "gte", "prefix")
    ]
    everywhere += [{"filter": {"born": {operator: 1984}}} for operator in ("eq", "ne", "lt", "gte")]
    everywhere += [{"filter": {"not": {"name": {"is_null": True}}}}, {"sort": ["born", "-name"], "limit": 1}, {}]
    for one, two in pairwise(texts):
        left = [case(1, name=one, born=one), case(2)]
        right = [case(1, name=two, born=two), case(2)]
        city.is_alike(left, right, searches(*everywhere), lambda _: [city.lookup(1)])
    record = city.lookup(1).get_json()["record"]
    assert (record["name"], record["born"]) == (None, None)
    assert {"name", "born"} <= set(record["source_defects"])


def test_a_pseudonym_is_turned_back(found_city: FoundCity) -> None:
    """A, own: a pseudonym can't be sorted, compared or made for a guess, and tells neither length nor order."""
    rule = {"id": "p", "permit": "read", "resource": "cases", "because": "So.", "show": ["code"]}
    city = found_city(
        small.document([{**rule, "rows": "true", "mask": {"name": "pseudonym", "counts.name": "pseudonym"}}])
    )
    names = ["a", "ab", "b", "zzzzzzzzzzzz"]
    city.fill(*(case(n, name=name, counts=(count(name=name),)) for n, name in enumerate(names, 1)))
    records = city.search().get_json()["records"]
    shown = [record["name"] for record in records]
    assert {len(name) for name in shown} == {43}
    assert len(set(shown)) == len(names)
    assert {record["counts"][0]["name"] for record in records}.isdisjoint(shown)
    for guess in (*names, *shown):
        for operator in OPERATORS[:-1]:
            operand = [guess] if operator == "in" else guess
            assert code_of(city.search(filter={"name": {operator: operand}})) == "unknown-operator"
    assert code_of(city.search(sort=["name"])) == "unknown-operator"


def test_a_field_that_only_the_rule_reads_is_felt(city: City) -> None:
    """A, own: two values of a field that both let the row through are one to the client (a rule is no oracle)."""
    left, right = [case(1, grade="F1"), case(2, grade="F2")], [case(1, grade="F2"), case(2, grade="F1")]
    every = [{"sort": [sort]} for sort in ("code", "-amount", "born")]
    city.is_alike(left, right, searches({}, *every), lambda _: [city.lookup(1), city.asker.get("/v1/resources")])


def test_the_words_of_a_refusal_tell_of_a_hidden_fields_kind(city: City) -> None:
    """A, own: a hidden field is refused before its operator and its operand are looked at."""
    asked: dict[str, dict[str, Any]] = {}
    for path in (*HIDDEN, *NEVER):
        for operator, operand in (("prefix", 1), ("lt", None), ("nonsense", "x"), ("in", []), ("is_null", "yes")):
            asked[f"{path} {operator}"] = {"filter": {path: {operator: operand}}}
        asked[f"{path} long"] = {"filter": {path: {"eq": "x" * 5000}}}
    refused_alike(city, asked)
