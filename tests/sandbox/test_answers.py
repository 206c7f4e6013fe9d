"""Whatever leaves a sandbox says that it does: every response, whatever came of it, every leaf, every key file."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from gateway import app as composition
from gateway import tables
from gateway.errors import ConfigurationError
from gateway.identity import tokens
from gateway.inspection.explanation import explained
from gateway.inspection.sight import look
from gateway.records import invented
from gateway.seed import schema
from tests.audit.logs import verify
from tests.sandbox.conftest import Place, Places, placed
from tests.web.test_throttle import nowhere
from tests.world import Asker, World

HEADER = ("Sandbox", "invented-records")


class Here(Asker):
    """A client whose assertions name the gateway that it asks."""

    def get_token(self, assertion: str | None = None) -> TestResponse:
        """Ask for a token."""
        issuer = self.world.settings.issuer
        return super().get_token(assertion or tokens.assertion(self.id, issuer, self.key, self.officer))


def here(served: World) -> Here:
    """Register a client."""
    made = served.asker("fbi", "FBI", officer="B. Officer")
    return Here(served, made.id, made.key, made.purpose, made.officer)


def answers(served: World) -> Iterator[tuple[str, TestResponse]]:
    """Ask for everything that can be asked, rightly and wrongly."""
    client = here(served)
    yield "token", client.get_token()
    yield "refused token", client.get_token("e30.e30.e30")
    yield "unreadable token request", served.request("POST", "/oauth/token", json={"a": 1})
    page = client.search({"limit": 2})
    yield "page", page
    yield "record", client.get(f"/v1/arrests/{page.get_json()['records'][0]['id']}")
    yield "no record", client.get("/v1/arrests/AAAA")
    yield "description", client.get("/v1/resources")
    yield "document", client.get("/openapi.json")
    yield "notices", client.get("/v1/notices")
    yield "no notice", client.world.request("POST", f"/v1/notices/{'0' * 32}/acknowledge", headers=client.headers())
    yield "malformed", client.search("{")
    yield "unknown field", client.search({"filter": {"nowhere": {"eq": 1}}})
    yield "unknown purpose", client.get("/v1/resources", **{"Access-Purpose": "curiosity"})
    yield "stranger", served.request("GET", "/v1/resources")
    yield "no route", served.request("GET", "/nowhere")
    yield "no method", served.request("PUT", "/v1/resources")
    served.gateway.log.seal_all()
    yield "receipt", client.get(f"/v1/entries/{page.headers['Log-Entry']}")
    yield "no receipt", client.get(f"/v1/entries/{'0' * 32}")
    for path in (
        "/healthz",
        "/readyz",
        "/metrics",
        "/log/checkpoint",
        "/log/tile/0/x999/999",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/.well-known/jwks.json",
    ):
        yield path, served.request("GET", path)


def says_so(response: TestResponse) -> tuple[bool, bool]:
    """Whether the header says so, and whether the body does, if it is an object of JSON; OpenAPI has it its own way."""
    told = response.get_json() if response.is_json else {"sandbox": True}
    member = "x-sandbox" if "openapi" in told else "sandbox"
    return response.headers.get(HEADER[0]) == HEADER[1], told.get(member) is True


@dataclass(frozen=True, slots=True)
class Asked:
    """A gateway of which everything was asked, and what it answered."""

    place: Place
    served: World
    answers: Mapping[str, TestResponse]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Asked, Asked]]:
    """The real gateway and the sandbox on each database, asked once."""
    with placed(request.param, request, tmp_path_factory.mktemp("asked")) as places:
        yield tuple(  # type: ignore[misc] # of two
            Asked(place, served := place.start(), dict(answers(served))) for place in (places.real, places.sandbox)
        )


def test_every_response_of_a_sandbox_says_so(both: tuple[Asked, Asked]) -> None:
    """In a header, and in a member of each body that is JSON, on every route and for every refusal."""
    found = {name: (response.status_code, *says_so(response)) for name, response in both[1].answers.items()}
    assert {name: told for name, told in found.items() if told[1:] != (True, True)} == {}
    assert {status for status, *_ in found.values()} == {200, 400, 401, 404, 405}


def test_no_response_of_a_real_gateway_says_so(both: tuple[Asked, Asked]) -> None:
    """Neither in a header nor anywhere in a body or an entry."""
    real = both[0]
    for name, response in real.answers.items():
        assert HEADER[0] not in response.headers, name
        assert b"sandbox" not in response.data.lower(), name
    assert not [leaf for leaf in real.served.leaves() if "sandbox" in json.dumps(leaf).lower()]


def test_every_entry_of_a_sandbox_says_so(both: tuple[Asked, Asked]) -> None:
    """From the making of its keys on; the log verifies, and its name stands in the checkpoint."""
    served, asked = both[1].served, both[1].answers.values()
    leaves = served.leaves()
    assert [leaf["action"] for leaf in leaves if leaf.get("sandbox") is not True] == []
    assert {"keys-create", "policy-activate", "policy", "token", "read", "receipt"} <= {
        leaf["action"] for leaf in leaves
    }
    assert len(leaves) > len({each.headers.get("Log-Entry") for each in asked}) > 10
    assert verify(served.gateway.store, served.gateway.log).note.startswith("sandbox.gateway.city.example/log\n")


def test_entries_tell_of_the_bytes_that_were_sent(both: tuple[Asked, Asked]) -> None:
    """The mark is part of the body before it is written down."""
    told = set[str]()
    for name, response in both[1].answers.items():
        # A refusal that is counted with an earlier one stands on the entry of that.
        if "Log-Entry" not in response.headers or response.headers["Log-Entry"] in told:
            continue
        told.add(response.headers["Log-Entry"])
        opened = _opened(both[1].place, response.headers["Log-Entry"])
        assert opened["circumstances"]["bytes_out"] == len(response.data), name  # type: ignore[index]
        if "body" in opened:
            assert opened["body"] == hashlib.sha256(response.data).hexdigest(), name


def test_an_auditor_is_told_that_an_entry_is_of_a_sandbox(both: tuple[Asked, Asked]) -> None:
    """In the explanation of an entry."""
    for asked, expected in zip(both, (False, True), strict=True):
        with composition.open_inspection(asked.place.settings(), "Auditor A") as inspector:
            told = explained(inspector, look(inspector, asked.answers["page"].headers["Log-Entry"]))
        assert ("It is of a sandbox: every record is invented." in told.asked) is expected


def _opened(place: Place, entry: str) -> dict[str, object]:
    statement = sa.select(tables.opening).where(tables.opening.c.entry_id == entry)
    with composition.open_log(place.settings()) as log, log.store.reading() as connection:
        told = [
            log.openings.open(row.sealed, row.wrapped, row.entry_id, row.position)
            for row in connection.execute(statement)
        ]
    return {each.kind: each.value for each in told}


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=False)
def test_the_constant_answer_without_an_entry_says_so(dialect: str, places: Places) -> None:
    """Also of a sandbox that can't count or log."""
    del dialect  # which database it is makes no difference to a constant
    places.sandbox.start()
    served = places.sandbox.compose(places.sandbox.settings(limiter_storage=nowhere()))
    response = served.request("GET", "/v1/resources")
    assert (response.status_code, *says_so(response)) == (503, True, True)


def test_the_mark_counts_what_was_invented(places: Places) -> None:
    """Each table of the invented database stands in the mark, with its number of rows."""
    engine = sa.create_engine(places.sandbox.databases.arrests)
    with engine.connect() as connection:
        marked = {row.table_name: row.row_count for row in connection.execute(sa.select(invented.TABLE))}
        counted = {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table))
            for table in schema.metadata.sorted_tables
        }
    engine.dispose()
    assert marked == counted


@pytest.mark.parametrize("statement", ["DROP TABLE witness", "ALTER TABLE all_records_are_invented DROP row_count"])
def test_a_mark_that_can_not_be_read_is_refused(places: Places, statement: str) -> None:
    """A mark without its figures, or of a table that is gone, is no mark to rely on."""
    engine = sa.create_engine(places.sandbox.databases.arrests)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
    with pytest.raises(ConfigurationError, match="can't be read"):
        places.sandbox.start()
