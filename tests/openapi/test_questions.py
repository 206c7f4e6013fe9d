"""What the document lets a client ask is what the gateway reads and plans: no more, and no less."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from gateway.access import AccessRequest, Action, Subject
from gateway.domains import DATES, MOMENT, MOMENTS, Domain, Kind, OutOfDomainError
from gateway.errors import Refusal
from gateway.openapi.document import Addresses, specify
from gateway.plan.planner import Planner
from gateway.policy.bundle import load
from gateway.policy.compose import Permit
from gateway.policy.decide import decide
from gateway.policy.tables import Dialect
from gateway.rendering import Policy
from gateway.web import parse
from tests.openapi import city
from tests.world import IMMIGRATION, ISSUER, POLICIES, agreement

OPERATORS = ("eq", "ne", "in", "lt", "lte", "gt", "gte", "prefix", "starts", "is_null", "any", "none", "all", "like")
VALUES: tuple[Any, ...] = (
    "",
    "A",
    "A\0",
    "A" * 61,
    "\u0301",
    "held",
    "F1",
    "2014-04-16",
    "2014-04-16T00:00:00Z",
    "30-39",
    1980,
    1980.0,
    1980.5,
    -1,
    10**30,
    True,
    None,
    [],
    ["F1"],
    ["F1", None],
    ["18.2702"] * 100,
    ["18.2702"] * 101,
    {},
    {"grade": {"eq": "F1"}},
    {"not": {"given_name": {"starts": "a"}}},
    {"charges": {"any": {"grade": {"eq": "F1"}}}},
)


class Asked:
    """A view, the document's schema of a search in it, and the gateway's own reading of a body."""

    def __init__(self, root: Path, day: date, agency: str, purpose: str) -> None:
        bundle = load(root)
        self.resource = bundle.catalogue.resources["arrests"]
        subject = Subject("one", agreement("one", agency))
        moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        permit = decide(AccessRequest(subject, Action.READ, "arrests", purpose, moment), bundle)
        assert isinstance(permit, Permit)
        self.view = permit.view
        self._planner = Planner(self.resource, Dialect.SQLITE)
        addresses, policy = Addresses(ISSUER, ISSUER), Policy(bundle.digest, (), (), None)
        content = specify(addresses, {"arrests": (self.resource, permit)}, purpose, policy)
        document = json.loads(content)
        schema = document["components"]["schemas"]["arrests.search"]
        self._schema = Draft202012Validator(schema | {"components": document["components"]})

    def paths(self) -> Iterator[str]:
        """Yield every field of the catalogue, the relations, and names of nothing."""
        yield from (path for path, _ in self.resource.paths())
        yield from self.resource.relations
        yield from ("id", "nothing", "and", "or", "not", "named", "")

    def same(self, body: object) -> bool:
        """Return whether a body is read and planned, and hold the document to it."""
        accepted = self._accepts(body)
        assert self._schema.is_valid(body) == accepted, body
        return accepted

    def _accepts(self, body: object) -> bool:
        try:
            search = parse.search_in(json.dumps(body).encode(), "arrests", "purpose", None)
            self._planner.search(self.view, search, (), None)
        except Refusal:
            return False
        return True


@pytest.fixture(params=["every form", "all"])
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> Asked:
    """What clients see in the city of these tests, and saw in 2009 of the real one."""
    if request.param == "all":
        return Asked(POLICIES, date(2009, 1, 1), "ICE", IMMIGRATION)
    return Asked(city.policies(tmp_path / "policies"), date(2014, 1, 1), "FBI", city.PURPOSE)


def test_every_comparison_is_accepted_if_and_only_if_the_document_has_it(asked: Asked) -> None:
    """Each field of the catalogue with each operator and values of each kind."""
    accepted = [
        (path, operator)
        for path in asked.paths()
        for operator in OPERATORS
        for value in VALUES
        if asked.same({"filter": {path: {operator: value}}, "fields": ["sex"]})
    ]
    assert len(accepted) > 200


def test_every_order_and_field_is_accepted_if_and_only_if_the_document_has_it(asked: Asked) -> None:
    """Each field of the catalogue, alone, twice, and both ways."""
    accepted = 0
    for path in asked.paths():
        for names in ([path], [path, path], [f"-{path}"], [path, f"-{path}"], [f"--{path}"], [None]):
            accepted += asked.same({"sort": names, "fields": ["sex"]}) + asked.same({"fields": names})
    assert accepted > 20
    assert asked.same({"sort": ["sex", "-bail_amount", "arrested_at"]})
    assert not asked.same({"sort": ["sex", "-bail_amount", "arrested_at", "given_name"]})


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"nothing": 1},
        {"sort": None},
        {"sort": []},
        {"sort": "sex"},
        {"fields": None},
        {"fields": []},
        {"limit": 0},
        {"limit": 1},
        {"limit": 1.0},
        {"limit": 1.5},
        {"limit": 200},
        {"limit": 201},
        {"limit": True},
        {"limit": "1"},
        {"limit": None},
        {"cursor": None},
        {"cursor": 1},
        {"filter": None},
        {"filter": {}},
        {"filter": []},
        {"filter": {"and": []}},
        {"filter": {"and": {}}},
        {"filter": {"or": [{}]}},
        {"filter": {"or": [None]}},
        {"filter": {"not": {}}},
        {"filter": {"not": [{"sex": {"eq": "F"}}]}},
        {"filter": {"not": {"sex": {}}}},
        {"filter": {"not": {"sex": {"eq": "F"}}}},
        {"filter": {"sex": {"eq": "F", "ne": "M"}, "bail_amount": {"gte": 1, "lt": 5}}},
        {"filter": {"and": [{"sex": {"eq": "F"}}, {"not": {"or": [{"bail_amount": {"gte": 1.0}}]}}]}},
        {"filter": {"and": [{"sex": {"eq": "F"}}] * 50}},
        {"filter": {"charges": {}}},
        {"filter": {"charges": {"any": {}}}},
        {"filter": {"charges": {"any": {"grade": {"in": ["F1", "F2"]}}, "none": {"not": {"sequence": {"gt": 1}}}}}},
        {"filter": {"charges": {"some": {"grade": {"eq": "F1"}}}}},
        {"filter": {"charges": {"all": {"or": [{"sequence": {"eq": 1}}, {"and": [{"grade": {"is_null": True}}]}]}}}},
        {"filter": {"not": {"victims": {"any": {"given_name": {"starts": "é"}}}}}},
        {"filter": {"victims": {"any": {"named": {"given": "A"}}}}},
        {"filter": {"named": {}}},
        {"filter": {"named": {"born": 1980}}},
        {"filter": {"named": {"given": "A"}}},
        {"filter": {"named": {"family": "A"}}},
        {"filter": {"named": {"given": "", "born": 1980}}},
        {"filter": {"named": {"given": "\u0301"}}},
        {"filter": {"named": {"given": "A" * 61}}},
        {"filter": {"named": {"given": None}}},
        {"filter": {"named": {"given": 1}}},
        {"filter": {"named": {"given": "A", "family": "B"}}},
        {"filter": {"named": {"given": "A", "born": 1980}}},
        {"filter": {"named": {"given": "A", "born": 1849}}},
        {"filter": {"named": {"given": "A", "born": True}}},
        {"filter": {"named": {"given": "A", "born": "1980-02-29"}}},
        {"filter": {"named": {"given": "A", "born": "1981-02-29"}}},
        {"filter": {"named": {"given": "A", "born": "1980"}}},
        {"filter": {"named": {"given": "A", "age": 1}}},
        {"filter": {"named": ["A"]}},
        {"filter": {"and": [{"sex": {"eq": "F"}}] * 51}},
    ],
    ids=json.dumps,
)
def test_every_form_of_a_question_is_accepted_if_and_only_if_the_document_has_it(asked: Asked, body: object) -> None:
    """Members, joins, bounds and nulls."""
    asked.same(body)


def test_the_days_that_the_document_shows_are_those_of_the_calendar() -> None:
    """Every text that looks like a day of three and a half centuries is one, or is none, as the calendar has it."""
    domain, first = Domain(Kind.DATE), date(1840, 1, 1)
    known = {(first + timedelta(days=n)).isoformat() for n in range(137_000)}
    assert max(known) > "2214"
    for year in range(1840, 2215):
        for month in range(14):
            for day in range(33):
                text = f"{year}-{month:02}-{day:02}"
                right = text in known and DATES[0].isoformat() <= text <= DATES[1].isoformat()
                assert _takes(domain, text) == right, text


def _takes(domain: Domain, text: str) -> bool:
    try:
        domain.parse(text)
    except OutOfDomainError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("2014-04-16T00:00:00Z", True),
        ("2014-04-16T23:59:59.123456789-23:59", True),
        ("2014-04-16T24:00:00Z", False),
        ("2014-04-16T00:00:60Z", False),
        ("2014-04-16T00:00:00", False),
        ("2014-04-16T00:00Z", False),
        ("2014-04-16t00:00:00z", False),
        ("2014-04-16T00:00:00+24:00", False),
        ("2014-04-16T00:00:00+00:60", False),
        ("2014-02-29T00:00:00Z", False),
        ("2016-02-29T00:00:00Z", True),
        ("1900-02-29T00:00:00Z", False),
        ("1899-12-31T23:59:59-05:00", False),
        ("1900-01-01T00:00:00Z", True),
        ("1900-01-01T00:00:00-05:00", True),
        ("1900-01-01T00:00:00+05:00", False),
        ("2199-12-31T23:59:59.999999999Z", True),
        ("2199-12-31T23:59:59+05:00", True),
        ("2199-12-31T23:59:59-05:00", False),
        ("2200-01-01T00:00:00+05:00", False),
        ("2014-04-16T00:00:00Z\n", False),
    ],
)
def test_the_moments_that_the_document_shows_are_those_that_are_read(text: str, right: bool) -> None:  # noqa: FBT001
    """RFC 3339 with offset, in whole years, and never beyond them in UTC."""
    domain = Domain(Kind.TIMESTAMP)
    assert _takes(domain, text) == right
    assert Draft202012Validator({"pattern": f"^{MOMENT}$"}).is_valid(text) == right
    if right:
        parsed = domain.parse(text)
        assert isinstance(parsed, datetime)
        assert MOMENTS[0] <= parsed <= MOMENTS[1]
