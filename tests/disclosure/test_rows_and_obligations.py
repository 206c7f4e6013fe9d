"""What an answer says of one record, and what it obliges to: redactions with their rules, pointers, notices, tags."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.access import AccessRequest, Action, Certification, Search, Subject
from gateway.keys import Ring
from gateway.opaque import Holder, Ids
from gateway.plan.planner import Planner
from gateway.policy.bundle import load
from gateway.policy.check import load_checked
from gateway.policy.compose import Permit
from gateway.policy.decide import decide
from gateway.policy.tables import Dialect
from tests import world
from tests.policy import small
from tests.policy.small import Case, Defect
from tests.world import Asker, Databases, World

PLAIN: dict[str, Any] = {"resource": "cases", "because": "So."}
RULES: tuple[dict[str, Any], ...] = (
    {
        "id": "all",
        "permit": "read",
        "rows": 'record.grade != "M1"',
        "show": ["open", "born"],
        "mask": {"name": "pseudonym"},
    },
    {"id": "ask", "permit": "read", "rows": 'record.grade == "M1"', "show": ["code"], "pointer": "Ask the clerk"},
    {"id": "young", "deny": "read", "rows": "years_between(record.born, today) < 30", "fields": ["amount", "counts"]},
    {"id": "old", "deny": "read", "rows": 'record.grade == "F2"', "mask": {"born": "year"}},
    {"id": "more", "permit": "read", "certification": "text/1", "show": ["flag"]},
)
OBLIGATIONS = [{"notice": "Tell nobody."}, {"report": "cases-read"}]
BORN = date(1950, 2, 3)


def case(number: int, grade: str, **changed: Any) -> Case:
    """A record; most of its values are null."""
    values = dict.fromkeys(("name", "cite", "amount", "flag", "born", "at"))
    values |= {"code": "c", "grade": grade, "name": "ab", "amount": 3, "born": BORN} | changed
    return Case(number, 1, values, None, ({"grade": "F1", "amount": 1, "name": None, "cite": None, "flag": None},))


@pytest.fixture
def asked(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A gateway over the small city."""
    policies = tmp_path / "policies"
    small.write(policies, small.document([PLAIN | rule for rule in RULES], OBLIGATIONS))
    url, store = f"sqlite:///{tmp_path}/c.db", f"sqlite:///{tmp_path}/s.db"
    if dialect == "postgresql":
        server = request.getfixturevalue("postgres")
        url, store = server.url(server.create()), server.url(server.create())
    engine = sa.create_engine(url)
    small.metadata.create_all(engine)
    records = [
        case(1, "F1"),
        case(2, "F2"),
        case(3, "M1"),
        case(4, "F1", born=date(2015, 1, 1)),
        case(5, "F1", name="ab"),
    ]
    small.fill(engine, load(policies).catalogue, records)
    engine.dispose()
    made = world.build(Databases(url, store), tmp_path / "keys", policies=str(policies))
    yield made
    made.close()


def asker(asked: World, **changed: Any) -> Asker:
    """A client of the small city."""
    return asked.asker("one", mission="looking", purposes=frozenset({"looking"}), **changed)


def test_each_record_says_what_is_redacted_in_it_and_why(asked: World) -> None:
    """A field that is withheld here is not there; null is null; the rule is named; the view lists how it can stand."""
    answer = asker(asked).search({}, "cases").get_json()
    plain, year, pointed, young, _ = answer["records"]
    assert plain["born"] == BORN.isoformat()
    assert "redacted" not in {key for key in plain if plain[key] is None}
    assert (year["born"], year["redacted"]["born"]) == (BORN.year, "doc/old")
    assert "amount" not in young
    assert "counts" not in young
    assert {young["redacted"][field] for field in ("amount", "counts.grade")} == {"doc/young"}
    assert pointed["pointer"] == {"ask": "Ask the clerk", "rule": "doc/ask"}
    assert pointed["code"] == "c"
    assert "grade" not in pointed
    assert pointed["redacted"]["grade"] == "default"
    standings = {each["rule"]: each["standing"] for each in answer["view"]["varying"]["born"]}
    assert standings == {"default": "withheld", "doc/old": "masked", "doc/all": "shown"}


def test_a_pseudonym_is_equal_for_equal_values_and_for_one_client_only(asked: World) -> None:
    """It can't be filtered or sorted, and another client gets another."""
    first = asker(asked)
    names = [record.get("name") for record in first.search({}, "cases").get_json()["records"]]
    assert names[0] == names[4] != "ab"
    assert len(names[0]) == 43
    assert first.search({"filter": {"name": {"eq": names[0]}}}, "cases").get_json()["code"] == "unknown-operator"
    assert first.search({"sort": ["name"]}, "cases").get_json()["code"] == "unknown-operator"
    other = asked.asker("two", mission="looking", purposes=frozenset({"looking"}))
    assert other.search({}, "cases").get_json()["records"][0]["name"] != names[0]


def test_a_filter_compares_at_the_coarsest_form(asked: World) -> None:
    """Whole dates can't be tried out on a field of which some records show the year alone."""
    client = asker(asked)
    found = client.search({"filter": {"born": {"eq": BORN.year}}}, "cases").get_json()["records"]
    assert [record["born"] for record in found] == [BORN.isoformat(), BORN.year, BORN.isoformat()]
    assert (
        client.search({"filter": {"born": {"eq": BORN.isoformat()}}}, "cases").get_json()["code"]
        == "value-out-of-domain"
    )


def test_notices_are_in_answers_and_tags_in_every_entry(asked: World) -> None:
    """A report may be owed for the request, whatever comes of it."""
    client = asker(asked)
    assert client.search({}, "cases").get_json()["policy"]["notices"] == ["Tell nobody."]
    client.search({"filter": {"nothing": {"eq": 1}}}, "cases")
    client.get("/v1/cases/nothing")
    entries = [leaf for leaf in asked.leaves() if leaf["action"] == "read"]
    assert [(entry["decision"], entry["reports"]) for entry in entries] == [
        ("permit", ["cases-read"]),
        ("refuse", ["cases-read"]),
        ("refuse", ["cases-read"]),
    ]


def test_a_permit_that_asks_for_a_certification_opens_with_it_alone(asked: World) -> None:
    """Of another text, another purpose or another year it is none; the entry says what was certified."""
    assert "flag" not in asker(asked).search({}, "cases").get_json()["records"][2]
    signed = Certification("looking", "text/1", "A. Signer", "0" * 64, date(2020, 1, 1), date(2100, 1, 1))
    for number, certification in enumerate(
        (
            Certification("looking", "text/2", "A. Signer", "0" * 64, date(2020, 1, 1), date(2100, 1, 1)),
            Certification("other", "text/1", "A. Signer", "0" * 64, date(2020, 1, 1), date(2100, 1, 1)),
            Certification("looking", "text/1", "A. Signer", "0" * 64, date(2019, 1, 1), date(2020, 1, 1)),
        )
    ):
        client = asked.asker(
            f"n{number}", mission="looking", purposes=frozenset({"looking"}), certifications=(certification,)
        )
        assert "flag" not in client.search({}, "cases").get_json()["records"][2]
    client = asked.asker("yes", mission="looking", purposes=frozenset({"looking"}), certifications=(signed,))
    assert "flag" in client.search({}, "cases").get_json()["records"][2]
    assert asked.leaves()[-1]["certified"] == ["text/1"]


def shown(
    dialect: str,
    request: pytest.FixtureRequest,
    root: Path,
    rules: list[dict[str, Any]],
    *records: Case,
    obligations: tuple[dict[str, Any], ...] = (),
) -> Any:
    """Build a city of these records under these rules, and return its client's way of asking."""
    policies = root / "policies"
    small.write(policies, small.document([PLAIN | rule for rule in rules], obligations))
    url, store = f"sqlite:///{root}/c.db", f"sqlite:///{root}/s.db"
    if dialect == "postgresql":
        server = request.getfixturevalue("postgres")
        url, store = server.url(server.create()), server.url(server.create())
    engine = sa.create_engine(url)
    small.metadata.create_all(engine)
    small.fill(engine, load(policies).catalogue, list(records))
    engine.dispose()
    made = world.build(Databases(url, store), root / "keys", policies=str(policies))
    request.addfinalizer(made.close)
    client = asker(made)

    def ask(**body: Any) -> Any:
        answer = client.search(body, "cases").get_json()
        return answer.get("records", answer.get("code"))

    return ask


def test_a_field_in_full_is_not_found_by_the_hidden_one_in_its_place(
    dialect: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Where a name is shown, the code that stands for other names can't be felt through it, nor a hidden date's day."""
    rules: list[dict[str, Any]] = [
        {"id": "full", "permit": "read", "rows": 'record.grade == "F1"', "show": ["name", "born"]},
        {"id": "form", "permit": "read", "rows": 'record.grade == "F2"', "mask": {"name": "code", "born": "age-band"}},
    ]
    at = datetime(2004, 5, 6, 12, tzinfo=UTC)
    ask = shown(dialect, request, tmp_path, rules, case(1, "F1", at=at), case(2, "F2", at=at))
    assert [record["name"] for record in ask()] == ["ab", "c"]
    assert [record["name"] for record in ask(filter={"name": {"eq": "c"}})] == ["c"]
    assert [record["born"] for record in ask(filter={"born": {"eq": "50-59"}})] == ["50-59"]


def test_how_many_rows_a_withheld_relation_has_is_not_told(
    dialect: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Not even that there are more than an answer holds."""
    rules: list[dict[str, Any]] = [
        {"id": "all", "permit": "read", "show": ["code", "counts.grade"]},
        {"id": "no", "deny": "read", "rows": 'record.grade == "F1"', "fields": ["counts"]},
    ]
    many = dataclasses.replace(case(1, "F1"), counts=case(1, "F1").counts * 6)
    record, other = shown(dialect, request, tmp_path, rules, many, case(2, "F1"))()
    assert record.keys() == other.keys() == {"id", "code", "redacted"}


def test_what_no_permit_opens_does_not_name_the_denial_that_would_match(
    dialect: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A record that is but pointed at tells nothing of what a denial asks."""
    rules: list[dict[str, Any]] = [
        {"id": "all", "permit": "read", "rows": 'record.grade == "F2"', "show": ["name"]},
        {"id": "ask", "permit": "read", "rows": 'record.grade == "F1"', "pointer": "Ask"},
        {"id": "no", "deny": "read", "rows": "record.flag", "fields": ["name"]},
    ]
    first, second = shown(dialect, request, tmp_path, rules, case(1, "F1", flag=True), case(2, "F1", flag=False))()
    assert first["redacted"] == second["redacted"] == {"name": "default"}


def test_a_budget_does_not_tell_which_records_are_of_one_person(
    dialect: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Persons are counted in records that show the person's id; others count each for itself."""
    rules: list[dict[str, Any]] = [{"id": "all", "permit": "read", "show": ["code"]}]
    budget = {"persons": {"at-most": 2, "per": "day"}}
    cases = [case(key, "F1") for key in (1, 2, 3)]
    ask = shown(dialect, request, tmp_path, rules, *cases, obligations=(budget,))
    assert len(ask(limit=1)) == 1
    assert ask(limit=2) == "disclosure-budget-spent"


def test_a_budget_counts_records_where_it_is_not_asked_who_they_are_and_some_do_not_show_it(
    dialect: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Else a question that leaves the person out would tell whether two records are of one hidden person."""
    rules: list[dict[str, Any]] = [
        {"id": "all", "permit": "read", "show": ["code"]},
        {"id": "who", "permit": "read", "rows": 'record.grade == "F2"', "show": ["person"]},
    ]
    budget = {"persons": {"at-most": 2, "per": "day"}}
    records = [dataclasses.replace(case(key, "F1"), person=7) for key in (1, 2, 3)]
    ask = shown(dialect, request, tmp_path, rules, *records, obligations=(budget,))
    assert ask(fields=["code"]) == "disclosure-budget-spent"
    assert len(ask(fields=["code"], limit=1)) == 1


@pytest.mark.parametrize("hidden", ["withheld", "withheld by row", "a defect"])
def test_the_order_of_related_rows_tells_nothing_that_they_hide(
    hidden: str, dialect: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Where the column by which they are ordered is not always shown, they come as they were entered."""
    fields = ["counts.grade", *([] if hidden == "withheld" else ["counts.amount"])]
    rules: list[dict[str, Any]] = [{"id": "all", "permit": "read", "show": fields}]
    if hidden == "withheld by row":
        rules.append({"id": "no", "deny": "read", "rows": 'record.grade == "F1"', "fields": ["counts.amount"]})
    amounts: list[Any] = [Defect(0), Defect(1)] if hidden == "a defect" else [2, 1]
    row = {"grade": "F1", "amount": 1, "name": "n", "cite": "18.2702", "flag": True}
    counts = tuple(row | {"grade": g, "amount": a} for g, a in zip(("F1", "F2"), amounts, strict=True))
    ask = shown(dialect, request, tmp_path, rules, dataclasses.replace(case(1, "F1"), counts=counts))
    assert [count["grade"] for count in ask()[0]["counts"]] == ["F1", "F2"]


def test_a_pseudonym_is_of_one_resource() -> None:
    """The same name has another pseudonym in another kind of record."""
    ids = Ids(Ring({1: b"k" * 64}))
    assert ids.pseudonym("ab", Holder("one", "looking", "cases.name")) != ids.pseudonym(
        "ab", Holder("one", "looking", "others.name")
    )


def test_a_thousand_rules_are_joined(tmp_path: Path) -> None:
    """Conditions are joined in halves, so that none is deeper than can be walked through."""
    rules = [
        PLAIN | {"id": f"r{n}", "permit": "read", "rows": f'record.name == "{n}"', "show": ["code"]}
        for n in range(1500)
    ]
    small.write(tmp_path, small.document(rules))
    bundle = load_checked(tmp_path)
    subject = Subject("one", world.agreement("one", mission="looking", purposes=frozenset({"looking"})))
    permit = decide(AccessRequest(subject, Action.READ, "cases", "looking", datetime(2020, 1, 1, tzinfo=UTC)), bundle)
    assert isinstance(permit, Permit)
    planner = Planner(bundle.catalogue.resources["cases"], Dialect.POSTGRESQL)
    plan = planner.search(permit.view, Search("cases", "looking", None, None, (), (), 1, None), (), None)
    assert len(plan.parameters) < 2000
