"""schemathesis asks a running gateway whatever its document allows and forbids, with every check, and finds nothing."""

import copy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from schemathesis.checks import CHECKS
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.hooks import HookContext

from gateway.bounds import MAX_COSTLY, MAX_TESTS
from tests.e2e.servers import Server
from tests.openapi import city
from tests.world import Databases

QUANTIFIERS = {"any", "none", "all"}
JOINS = ("and", "or", "not")
# One field of the record, which is masked, one of related rows, and names; any other multiplies the requests.
FIELDS = {"date_of_birth", "named", "charges", "grade"}


@pytest.fixture
def dialect() -> str:
    """What is asked is the same on both; here it is many requests."""
    return "sqlite"


@pytest.fixture
def server(databases: Databases, tmp_path: Path) -> Iterator[Server]:
    """A gateway that shows fields in every form; its throttles and budgets are out of reach."""
    policies = str(city.policies(tmp_path / "policies"))
    with city.serving(databases, tmp_path, policies=policies) as running:
        yield running


def within_reach(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document whose filters have few fields, and hold each other once.

    A generator that tries every bound of every operand of every field, eight levels deep, comes to no end.
    `test_questions` goes through all fields, and `tests/web/test_bad_input.py` down to the last level.
    """
    found = copy.deepcopy(document)
    schemas = found["components"]["schemas"]
    for name in [name for name in schemas if name.endswith(".filter")]:
        outer = schemas[name]["properties"]
        kept = {path: tests for path, tests in outer.items() if path in FIELDS}
        schemas[f"{name}.inner"] = schemas[name] | {"properties": dict(list(kept.items())[:1])}
        inner = {"$ref": f"#/components/schemas/{name}.inner"}
        joins = {join: outer[join] | {"items": inner} for join in ("and", "or")} | {"not": inner}
        schemas[name] |= {"properties": joins | kept}
    return found


class Bounded:
    """Takes out of a filter what goes beyond the bounds of all of it: no schema can count over a whole tree."""

    def __init__(self) -> None:
        self._tests, self._costly = MAX_TESTS, MAX_COSTLY

    def filter(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return what is left of a filter."""
        return {name: left for name, inner in asked.items() if (left := self._member(name, inner))}

    def _member(self, name: str, inner: Any) -> Any:
        if name in ("and", "or"):
            return [left for part in inner if (left := self.filter(part))]
        if name == "not":
            return self.filter(inner)
        if name == "named":
            names = len(inner.keys() & {"family", "given"}) ** 2
            return inner if self._room(names + 2, names) else None
        return {word: left for word, operand in inner.items() if (left := self._test(word, operand)) is not None}

    def _test(self, word: str, operand: Any) -> Any:
        if word in QUANTIFIERS:
            return (self.filter(operand) or None) if self._room(0, 1) else None
        return operand if self._room(1, int(word == "starts")) else None

    def _room(self, tests: int, costly: int) -> bool:
        if self._tests < tests or self._costly < costly:
            return False
        self._tests -= tests
        self._costly -= costly
        return True


def map_case(_: HookContext, case: Any) -> Any:
    """Make what should be accepted acceptable, where its schema alone can't say what is."""
    if case.meta is not None and case.meta.generation.mode.is_positive and isinstance(case.body, dict):
        if case.body.get("filter"):
            case.body["filter"] = Bounded().filter(case.body["filter"]) or None
        if case.body.get("cursor"):
            # A cursor is sealed, and can't be guessed: `refused alike` is what tests/web/test_bad_input.py holds.
            case.body["cursor"] = None
    return case


def run(server: Server) -> Iterator[events.EngineEvent]:
    """Ask in every phase: examples, each bound of each schema, whatever comes to mind, and one answer after another."""
    bearer = {"Authorization": f"Bearer {server.token(city.CLIENT, city.KEY)}"}
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "headers": bearer,
            "continue-on-failure": True,
            "generation": {"max-examples": 20, "deterministic": True, "no-shrink": True},
            "checks": {
                # Ids are sealed like cursors: one that was made up is 404, as the document says.
                "positive_data_acceptance": {"expected-statuses": [200, 404]},
                "negative_data_rejection": {"expected-statuses": [400, 401, 404, 415]},
                "max_response_time": 20,
            },
        }
    )
    address = f"http://{server.address}"
    loaded = schemathesis.openapi.from_url(
        f"{address}/openapi.json", config=config, headers=bearer | {"Access-Purpose": city.PURPOSE}
    )
    schema = schemathesis.openapi.from_dict(within_reach(loaded.raw_schema), config=config)
    schema.config.update(base_url=address)
    schema.hooks.register_hook_with_name(map_case, "map_case")
    yield from from_schema(schema).execute()


def test_schemathesis_finds_nothing(server: Server) -> None:
    """All of its checks, in all of its phases, against a server over HTTP."""
    found, checked, statuses, filters = [], Counter[str](), Counter[int](), Counter[str]()
    for event in run(server):
        assert not isinstance(event, events.NonFatalError | events.FatalError), event
        if isinstance(event, events.ScenarioFinished):
            recorder = event.recorder
            for case_id, results in recorder.checks.items():
                checked.update(result.name for result in results)
                found += [
                    (result.name, result.failure_info.failure.message, result.failure_info.code_sample)
                    for result in results
                    if result.status is not Status.SUCCESS and result.failure_info is not None
                ]
                interaction = recorder.interactions[case_id]
                if interaction.response is None:
                    continue
                statuses[interaction.response.status_code] += 1
                body = recorder.cases[case_id].value.body
                if interaction.response.status_code == 200 and isinstance(body, dict):
                    filters.update(cast("dict[str, Any]", body.get("filter") or {}).keys())
    assert found == []
    assert set(CHECKS.get_all_names()) - checked.keys() <= {"unused"}, checked
    assert {200, 400, 401, 404, 405, 415} <= statuses.keys()
    # What was accepted was no empty question.
    assert {*JOINS, "charges", "named", "date_of_birth"} <= filters.keys()
    assert statuses[200] > 200, statuses
