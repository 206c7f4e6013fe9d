"""What an answer says of one record, and what it obliges to: redactions with their rules, pointers, notices, tags."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.access import Certification
from gateway.policy.bundle import load
from tests import world
from tests.policy import small
from tests.policy.small import Case
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
