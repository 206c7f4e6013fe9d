"""The document says exactly what can be asked and what is answered: no more, and no less."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31

from gateway.errors import Code
from tests.conftest import MakeWorld
from tests.openapi import city
from tests.world import IMMIGRATION, Asker, World

# What clients see on days of the city's history, and of the city of these tests.
DAYS: dict[str, dict[str, str]] = {
    "all": {"rehearsal_day": "2009-01-01"},
    "without victims": {"rehearsal_day": "2011-01-01"},
    "masked": {"rehearsal_day": "2014-04-17", "rehearsal_with": "hold-standard-on-data"},
    "nothing": {"rehearsal_day": "2018-09-01"},
}


@pytest.fixture
def dialect() -> str:
    """The document is the same on both."""
    return "sqlite"


@pytest.fixture
def every_form(make_world: MakeWorld, tmp_path: Path) -> World:
    """The city that shows fields in every form."""
    return make_world(policies=str(city.policies(tmp_path / "policies")))


@pytest.fixture
def client(every_form: World) -> Asker:
    """A client of that city."""
    return every_form.asker(city.CLIENT, "FBI")


def document(asker: Asker) -> dict[str, Any]:
    """Return the document as a client gets it."""
    response = asker.get("/openapi.json")
    assert response.status_code == 200, response.text
    assert response.content_type == "application/json"
    found: dict[str, Any] = response.get_json()
    return found


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """Return a validator of a schema that stands in a document."""
    return Draft202012Validator(schema | {"components": document["components"]})


def closed(node: Any) -> Any:
    """Return a schema that allows no member which it does not name."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {name: closed(each) for name, each in node.items()}
    if found.get("type") == "object" and "properties" in found and "additionalProperties" not in found:
        found["additionalProperties"] = False
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path and operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def described(document: dict[str, Any], path: str, method: str, status: int) -> dict[str, Any]:
    """Return the schema of an answer, which names every member."""
    answer = document["paths"][path][method]["responses"][str(status)]
    (content,) = answer["content"].values()
    found: dict[str, Any] = content["schema"]
    return found


@pytest.mark.parametrize("day", DAYS)
def test_the_document_is_open_api_3_1(make_world: MakeWorld, day: str) -> None:
    """By the specification's own schema, and every schema in it is one."""
    found = document(make_world(**DAYS[day]).asker())
    assert found["openapi"].startswith("3.1.")
    assert list(Draft202012Validator(OPENAPI_31).iter_errors(found)) == []
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    names = [operation["operationId"] for _, _, operation in operations(found)]
    assert len(names) == len(set(names))


def test_the_document_says_where_the_api_is_and_where_tokens_come_from(make_world: MakeWorld) -> None:
    """By the URLs of the settings: a client needs to be told no address but the document's own."""
    world = make_world(audience="https://api.city.example/arrests")
    found = document(world.asker())
    metadata = world.request("GET", "/.well-known/oauth-authorization-server").get_json()
    assert found["servers"] == [{"url": "https://api.city.example/arrests"}]
    schemes = found["components"]["securitySchemes"]
    assert found["security"] == [{"token": []}]
    assert schemes["token"]["scheme"] == "bearer"
    assert schemes["credentials"]["flows"]["clientCredentials"] == {
        "tokenUrl": metadata["token_endpoint"],
        "scopes": {},
    }


def test_a_denied_resource_has_no_address(make_world: MakeWorld) -> None:
    """What is left is what concerns the client itself."""
    found = document(make_world(**DAYS["nothing"]).asker())
    assert set(found["paths"]) == {
        "/openapi.json",
        "/v1/resources",
        "/v1/entries/{id}",
        "/v1/notices",
        "/v1/notices/{id}/acknowledge",
    }


def test_a_withheld_field_is_not_in_the_document(make_world: MakeWorld) -> None:
    """Neither as a member nor as a word of a list; and a field that is shown is there."""
    asker = make_world(**DAYS["masked"]).asker()
    (resource,) = asker.get("/v1/resources").get_json()["resources"]
    text = asker.get("/openapi.json").text
    withheld = resource["view"]["withheld"]
    assert {"home_address", "place_of_birth", "victims.phone"} <= set(withheld)
    assert [path for path in withheld if f'"{path}"' in text] == []
    assert '"date_of_birth"' in text
    assert '"victims"' not in text


@pytest.mark.parametrize("day", [*DAYS, "every form"])
def test_every_example_works(make_world: MakeWorld, day: str, tmp_path: Path) -> None:
    """Each body that the document shows is answered with 200, with the headers that it shows."""
    every_form = {"policies": str(city.policies(tmp_path / "policies"))}
    world = make_world(**DAYS.get(day, every_form))
    asker = world.asker() if day in DAYS else world.asker(city.CLIENT, "FBI")
    found = document(asker)
    headers = {name: shown["example"] for name, shown in found["components"]["parameters"].items()}
    assert set(headers) == {"Access-Purpose", "Access-Case"}
    tried = 0
    for method, path, operation in operations(found):
        if method == "GET" and "{" not in path:
            assert asker.get(path, **headers).status_code == 200
        for example in (
            operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {}).values()
        ):
            assert asker.search(example["value"]).status_code == 200, example
            tried += 1
    assert tried >= (0 if day == "nothing" else 5)


@pytest.mark.parametrize("day", ["all", "masked", "every form"])
def test_answers_hold_what_the_document_says_and_nothing_else(make_world: MakeWorld, day: str, tmp_path: Path) -> None:
    """Pages, records and what stands around them, with every member named."""
    every_form = {"policies": str(city.policies(tmp_path / "policies"))}
    world = make_world(**DAYS.get(day, every_form))
    asker = world.asker() if day in DAYS else world.asker(city.CLIENT, "FBI")
    found = closed(document(asker))
    page = asker.search({"limit": 200}).get_json()
    search = validator(found, described(found, "/v1/arrests/search", "post", 200))
    assert [error.message for error in search.iter_errors(page)] == []
    one = validator(found, described(found, "/v1/arrests/{id}", "get", 200))
    for record in page["records"][:40]:
        answer = asker.get(f"/v1/arrests/{record['id']}").get_json()
        assert [error.message for error in one.iter_errors(answer)] == []
    for path in ("/v1/resources", "/v1/notices"):
        schema = validator(found, described(found, path, "get", 200))
        assert [error.message for error in schema.iter_errors(asker.get(path).get_json())] == []


def test_refusals_have_the_codes_that_the_document_gives_their_status(client: Asker) -> None:
    """Each code that can be provoked by what is asked stands under its address and status; all codes do."""
    found = closed(document(client))
    searches: tuple[dict[str, Any] | str, ...] = (
        "{",
        {"nothing": 1},
        {"filter": {"ssn": {"eq": "1"}}},
        {"filter": {"sex": {"lt": "F"}}},
        {"filter": {"sex": {"eq": "?"}}},
        {"filter": {"or": [{"sex": {"eq": "F"}}] * 51}},
        {"cursor": "AAAA"},
        " " * (64 * 1024 + 1),
    )
    answers = [("post", "/v1/arrests/search", client.search(asked)) for asked in searches]
    for path, shown in (
        ("/v1/arrests/AAAA", "/v1/arrests/{id}"),
        ("/v1/entries/AAAA", "/v1/entries/{id}"),
        ("/openapi.json?a=1", "/openapi.json"),
    ):
        answers.append(("get", shown, client.get(path)))
    for method, shown, response in answers:
        schema = described(found, shown, method, response.status_code)
        assert validator(found, schema).is_valid(response.get_json()), response.text
        _, told = schema["allOf"]
        assert response.get_json()["code"] in told["properties"]["code"]["examples"]
        # The guide promises that codes may be added: a client that was made of this document must take them.
        assert validator(found, schema).is_valid(response.get_json() | {"code": "added-later"})
        assert not validator(found, schema).is_valid(response.get_json() | {"code": 1})
    text = json.dumps(found)
    # The document shows no method that is not allowed.
    assert {code for code in Code if f'"{code}"' not in text} == {Code.METHOD_NOT_ALLOWED}


def test_no_two_schemas_have_one_name(make_world: MakeWorld, tmp_path: Path) -> None:
    """Not of a code that is compared in the form of another, nor of resources that are called as schemas are."""
    policies = city.policies(tmp_path / "policies")
    catalogue = (policies / "catalogue.yaml").read_text()
    status = "codes: [held, released, transferred], class: custody"
    head, name, resource = catalogue.replace(status, f"{status}, coarser: [record_status]").partition("  arrests:\n")
    assert status in resource
    (policies / "catalogue.yaml").write_text(f"{head}{name}{resource}\n  Text120:\n{resource}")
    policy = (policies / "every-form.yaml").read_text().replace("mask: {", "mask: {custody_status: record_status, ")
    both = policy + policy[policy.index("  - id: active") :].replace("arrests", "Text120").replace("id: ", "id: also-")
    (policies / "every-form.yaml").write_text(both)
    asker = make_world(policies=str(policies)).asker(city.CLIENT, "FBI")
    found = document(asker)
    asked = {"filter": {"custody_status": {"eq": "active"}}, "limit": 1}
    for name in ("arrests", "Text120"):
        search = found["components"]["schemas"][f"{name}.search"]
        assert validator(found, search).is_valid(asked)
        assert not validator(found, search).is_valid({"filter": {"custody_status": {"eq": "held"}}})
        assert asker.search(asked, name).status_code == 200


def test_the_document_takes_the_road_of_every_question(make_world: MakeWorld) -> None:
    """Without a token 401, without a purpose 400, with an unknown one 400; and an entry tells of it."""
    world = make_world(**DAYS["without victims"])
    asker = world.asker()
    assert world.request("GET", "/openapi.json").status_code == 401
    bearer = {"Authorization": f"Bearer {asker.token}"}
    assert world.request("GET", "/openapi.json", headers=bearer).get_json()["code"] == "purpose-missing"
    assert asker.get("/openapi.json", **{"Access-Purpose": "curiosity"}).get_json()["code"] == "purpose-unknown"
    answered = asker.get("/openapi.json")
    leaf = next(leaf for leaf in world.leaves() if leaf["id"] == answered.headers["Log-Entry"])
    assert (leaf["action"], leaf["outcome"], leaf["purpose"]) == ("describe", "disclosed", IMMIGRATION)
    assert leaf["records"] == 0


def test_the_document_is_made_for_the_stated_purpose(make_world: MakeWorld) -> None:
    """It offers that purpose alone; for one that is not agreed it has no records."""
    world = make_world()
    asker = world.asker("fbi", "FBI", purposes=frozenset({"criminal-investigation", "prosecution"}))
    for purpose, addresses in (("criminal-investigation", 7), ("prosecution", 7), ("national-security", 5)):
        found = asker.get("/openapi.json", **{"Access-Purpose": purpose}).get_json()
        assert found["components"]["parameters"]["Access-Purpose"]["schema"]["enum"] == [purpose]
        assert len(found["paths"]) == addresses
