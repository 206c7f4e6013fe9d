"""What entries hold: enough to answer for each access in the leaf, and nothing personal outside the sealed parts."""

import dataclasses
import hashlib
import io
import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import rfc8785
import sqlalchemy as sa
from werkzeug.test import TestResponse

from gateway import __version__, tables
from gateway import app as composition
from gateway import keys as key_files
from gateway.audit.entry import QUESTION, Entry, new_id, person, record, seal, seen, subjects
from gateway.errors import ConfigurationError
from gateway.identity import clients
from gateway.opaque import Holder, Ids
from tests import world as worlds
from tests.arrests import FIRST_CANARY
from tests.audit import logs
from tests.conftest import MakeWorld
from tests.world import Asker, Databases, World

OFFICER = "Officer Distinctive"
CASE = "CASE-77"
TERM = "ZZDISTINCTIVE"
SOURCE = "203.0.113.77"
# Every member that a leaf of the data API may have; what is not named here needs a reason.
MEMBERS = {
    "action",
    "agency",
    "agreement",
    "bundle",
    "catalogue",
    "changed",
    "changed_files",
    "client",
    "commitments",
    "component",
    "criminal_justice_agency",
    "decision",
    "digest",
    "documents",
    "filtered",
    "first",
    "further",
    "gateway",
    "id",
    "keys",
    "masked",
    "mission",
    "ori",
    "outcome",
    "persons",
    "plan",
    "purpose",
    "records",
    "rehearsal",
    "resource",
    "rules",
    "shown",
    "sorted_by",
    "signers",
    "statement",
    "stopped",
    "time",
    "version",
    "with",
    "withheld",
}


def asked(asker: Asker, method: str, path: str, body: object = None, **headers: str) -> TestResponse:
    """Ask from a distinctive address, with a distinctive case."""
    given = asker.headers() | {"Access-Case": CASE, "Content-Type": "application/json"} | headers
    content = body if isinstance(body, str | bytes) else json.dumps(body or {})
    return asker.world.request(
        method,
        path,
        headers=given,
        data=content if method == "POST" else None,
        environ_overrides={"REMOTE_ADDR": SOURCE},
    )


def leaves(world: World) -> dict[str, bytes]:
    """Return the bytes of every leaf, by entry."""
    with world.gateway.store.reading() as connection:
        return {row.entry_id: row.leaf for row in connection.execute(sa.select(tables.entry))}


def leaf(world: World, response: TestResponse) -> dict[str, Any]:
    """Return the leaf of the entry that an answer names."""
    found: dict[str, Any] = json.loads(leaves(world)[response.headers["Log-Entry"]])
    return found


def opened(world: World, databases: Databases, response: TestResponse) -> dict[str, list[Any]]:
    """Open an entry's sealed part: values by kind."""
    found: dict[str, list[Any]] = {}
    statement = sa.select(tables.opening).where(tables.opening.c.entry_id == response.headers["Log-Entry"])
    with logs.opened(databases, world.settings.keys) as log, log.store.reading() as connection:
        for row in connection.execute(statement.order_by(tables.opening.c.position)):
            told = log.openings.open(row.sealed, row.wrapped, row.entry_id, row.position)
            found.setdefault(told.kind, []).append(told.value)
    return found


# --- leaves -------------------------------------------------------------------------------------------------


def test_every_leaf_is_canonical_json_and_small(make_world: MakeWorld) -> None:
    """Leaves are RFC 8785, and even that of the greatest page stays far below the 65,535 bytes of C2SP."""
    world = make_world(rehearsal_day="2009-01-01")
    asker = world.asker(officer=OFFICER)
    assert len(asker.records({"limit": 200})) == 200
    for body in ({}, {"filter": {"nowhere": {"eq": 1}}}, {"limit": 0}, {"fields": ["district"]}):
        asker.search(body)
    asker.get("/v1/resources")
    asker.get("/v1/arrests/AAAA")
    world.request("GET", "/v1/resources")
    found = leaves(world)
    assert len(found) >= 9
    for name, content in found.items():
        assert rfc8785.dumps(json.loads(content)) == content
        assert json.loads(content)["id"] == name
        assert len(content) < 8_192
        assert json.loads(content).keys() <= MEMBERS


def test_a_leaf_says_all_that_a_stranger_needs(make_world: MakeWorld) -> None:
    """Subject, agreement, moment, bundle, gateway, plan, rules and fields stand in the leaf of a disclosure."""
    world = make_world()
    before = datetime.now(UTC)
    response = world.asker("fbi", "FBI", officer=OFFICER).search({"limit": 3})
    page, entry = response.get_json(), leaf(world, response)
    expected = {
        "action": "read",
        "decision": "permit",
        "outcome": "disclosed",
        "client": "fbi",
        "agency": "FBI",
        "component": "Philadelphia",
        "ori": "PATEST000",
        "mission": "criminal-investigation",
        "criminal_justice_agency": True,
        "agreement": {"id": "fbi-agreement", "version": 1, "state": "in-force"},
        "purpose": "criminal-investigation",
        "resource": "arrests",
        "gateway": __version__,
        "records": 3,
        "bundle": page["policy"]["bundle"],
        "rules": page["policy"]["rules"],
    }
    assert {name: entry[name] for name in expected} == expected
    assert 1 <= entry["persons"] <= 3
    assert set(entry["withheld"]) == page["view"]["withheld"].keys()
    assert set(entry["shown"]).isdisjoint(entry["withheld"])
    assert re.fullmatch(r"[0-9a-f]{32}", entry["id"])
    assert re.fullmatch(r"(sha256:)?[0-9a-f]{64}", entry["plan"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{2,6}Z", entry["time"])
    assert before - timedelta(seconds=1) < datetime.fromisoformat(entry["time"]) <= datetime.now(UTC)


def test_a_leaf_commits_to_as_many_openings_as_there_are(make_world: MakeWorld, databases: Databases) -> None:
    """Source, officer, question, case, body and each record have an opening of their own, and no more."""
    world = make_world()
    response = asked(world.asker("fbi", "FBI", officer=OFFICER), "POST", "/v1/arrests/search", {"limit": 3})
    found = opened(world, databases, response)
    assert leaf(world, response)["commitments"]["count"] == sum(len(values) for values in found.values())
    assert {kind: len(values) for kind, values in found.items()} == {
        "circumstances": 1,
        "officer": 1,
        "question": 1,
        "case": 1,
        "body": 1,
        "record": 3,
    }


def test_the_sealed_part_holds_who_asked_what(make_world: MakeWorld, databases: Databases) -> None:
    """With the key of the openings, an auditor reads officer, case, source and question again."""
    world = make_world()
    asker = world.asker("fbi", "FBI", officer=OFFICER)
    filtered = {"filter": {"family_name": {"eq": TERM}}}
    response = asked(asker, "POST", "/v1/arrests/search", filtered)
    found = opened(world, databases, response)
    assert found["officer"] == [OFFICER]
    assert found["case"] == [CASE]
    (came,) = found["circumstances"]
    assert came["source"] == SOURCE
    assert came["duration_ms"] > 0
    assert came["bytes_in"] == len(json.dumps(filtered))
    assert came["bytes_out"] == len(response.data)
    assert found["question"][0]["filter"] == {"family_name": {"eq": TERM}}


@pytest.mark.parametrize("officer", [None, OFFICER], ids=["nobody named", "an officer named"])
def test_a_question_stands_where_its_readers_look(
    make_world: MakeWorld, databases: Databases, officer: str | None
) -> None:
    """The review and accountings open the question by its place."""
    asker = make_world(rehearsal_day="2009-01-01").asker(officer=officer)
    response = asker.search({"limit": 1})
    placed = list(opened(asker.world, databases, response))
    assert placed.index("question") in QUESTION


def test_the_sealed_part_commits_to_the_very_bytes_that_were_sent(make_world: MakeWorld, databases: Databases) -> None:
    """The opening of the body is the digest of what the client received."""
    world = make_world()
    asker = world.asker("fbi", "FBI")
    record = asker.records({"limit": 1})[0]["id"]
    for response in (asker.search({"limit": 2}), asker.get(f"/v1/arrests/{record}")):
        assert response.status_code == 200
        assert opened(world, databases, response)["body"] == [hashlib.sha256(response.data).hexdigest()]


def test_salts_and_ids_do_not_repeat(make_world: MakeWorld) -> None:
    """The same question twice has other salts, other commitments and another id: entries can't be compared."""
    world = make_world()
    asker = world.asker("fbi", "FBI")
    for _ in range(3):
        asker.search({"limit": 5})
    with world.gateway.store.reading() as connection:
        rows = connection.execute(sa.select(tables.opening)).all()
    assert len({row.wrapped for row in rows}) == len({row.commitment for row in rows}) == len(rows)
    assert len({row.sealed for row in rows}) == len(rows)


# --- nothing personal outside ------------------------------------------------------------------------------------


def test_a_disclosure_says_nothing_of_whom_in_leaf_or_telemetry(make_world: MakeWorld) -> None:
    """Neither leaf nor telemetry holds a value that was shown, but for names of fields and counts."""
    world = make_world()
    asker = world.asker("fbi", "FBI", officer=OFFICER)
    response = asked(asker, "POST", "/v1/arrests/search", {"limit": 200})
    said = _said(world)
    personal = ("id", "person", "family_name", "given_name", "date_of_birth", "ssn", "state_id", "dc_number")
    values = {str(record[name]) for record in response.get_json()["records"] for name in personal}
    shown = sorted(value for value in values if len(value) > 3 and re.search(rf"\b{re.escape(value)}\b", said))
    assert len(values) > 500
    assert shown == []
    for secret in (OFFICER, CASE, SOURCE):
        assert secret not in said


def _said(world: World) -> str:
    """Return all that stands in leaves and telemetry."""
    return b"\n".join(leaves(world).values()).decode() + world.lines.getvalue()


PLACES: dict[str, Callable[[Asker], TestResponse]] = {
    "a filter's value": lambda a: asked(a, "POST", "/v1/arrests/search", {"filter": {"family_name": {"eq": TERM}}}),
    "a list of values": lambda a: asked(
        a, "POST", "/v1/arrests/search", {"filter": {"family_name": {"in": [TERM, "x"]}}}
    ),
    "a value outside its domain": lambda a: asked(
        a, "POST", "/v1/arrests/search", {"filter": {"date_of_birth": {"eq": TERM}}}
    ),
    "a field's name": lambda a: asked(a, "POST", "/v1/arrests/search", {"filter": {TERM: {"eq": "x"}}}),
    "an operator": lambda a: asked(a, "POST", "/v1/arrests/search", {"filter": {"sex": {TERM: "F"}}}),
    "a sort": lambda a: asked(a, "POST", "/v1/arrests/search", {"sort": [TERM]}),
    "a list of fields": lambda a: asked(a, "POST", "/v1/arrests/search", {"fields": [TERM]}),
    "a cursor": lambda a: asked(a, "POST", "/v1/arrests/search", {"cursor": TERM}),
    "a member": lambda a: asked(a, "POST", "/v1/arrests/search", {TERM: 1}),
    "a body that is no JSON": lambda a: asked(a, "POST", "/v1/arrests/search", f"{{{TERM}"),
    "a body that is no UTF-8": lambda a: asked(a, "POST", "/v1/arrests/search", TERM.encode() + b"\xff"),
    "an id": lambda a: asked(a, "GET", f"/v1/arrests/{TERM}"),
    "a resource": lambda a: asked(a, "POST", f"/v1/{TERM}/search"),
    "a path": lambda a: asked(a, "GET", f"/{TERM}"),
    "a query": lambda a: asked(a, "GET", f"/v1/resources?name={TERM}"),
    "a method": lambda a: asked(a, TERM, "/v1/resources"),
    "a case number": lambda a: asked(a, "GET", "/v1/resources", **{"Access-Case": TERM}),
    "a case number that is none": lambda a: asked(a, "GET", "/v1/resources", **{"Access-Case": f"!{TERM}"}),
    "a purpose": lambda a: asked(a, "GET", "/v1/resources", **{"Access-Purpose": TERM}),
    "a purpose that looks like one": lambda a: asked(a, "GET", "/v1/resources", **{"Access-Purpose": TERM.lower()}),
    "a purpose beside what is malformed": lambda a: asked(
        a, "POST", "/v1/arrests/search", "{", **{"Access-Purpose": TERM.lower()}
    ),
    "a token": lambda a: asked(a, "GET", "/v1/resources", Authorization=f"Bearer {TERM}"),
    "a program's name": lambda a: asked(a, "GET", "/v1/resources", **{"User-Agent": TERM}),
    "a client's id at the token endpoint": lambda a: a.world.request(
        "POST", "/oauth/token", data={"grant_type": "client_credentials", "client_id": TERM}
    ),
    "an assertion": lambda a: a.get_token(TERM),
    "a scope": lambda a: a.world.request(
        "POST", "/oauth/token", data={"grant_type": TERM, "scope": TERM, "client_assertion": TERM}
    ),
}


def test_what_a_client_writes_stands_in_no_leaf_and_no_line(make_world: MakeWorld, subtests: pytest.Subtests) -> None:
    """Wherever a client writes a name, on a good or a bad road, leaves and telemetry do not repeat it."""
    world = make_world()
    asker = world.asker("fbi", "FBI", officer=OFFICER)
    for where, ask in PLACES.items():
        known = leaves(world).keys()
        spoken = len(world.lines.getvalue())
        ask(asker)
        new = [content for name, content in leaves(world).items() if name not in known]
        told = world.lines.getvalue()[spoken:] + b"\n".join(new).decode()
        with subtests.test(where):
            for secret in (TERM, TERM.lower(), OFFICER, CASE, SOURCE):
                assert secret not in told


def test_what_is_personal_is_sealed_in_the_store_too(make_world: MakeWorld) -> None:
    """In the whole store, table by table, no personal text stands open."""
    world = make_world()
    asker = world.asker("fbi", "FBI", officer=OFFICER)
    for ask in PLACES.values():
        ask(asker)
    names = {record["family_name"] for record in asker.records({"limit": 50})}
    with world.gateway.store.reading() as connection:
        for table in tables.metadata.sorted_tables:
            told = repr(connection.execute(sa.select(table)).all())
            for secret in (TERM, OFFICER, CASE, SOURCE, *names):
                assert secret not in told, table.name


# --- hidden and missing -----------------------------------------------------------------------------------------


def test_a_hidden_record_and_a_missing_one_leave_the_same_entry(make_world: MakeWorld, databases: Databases) -> None:
    """Answer and entry differ in nothing that is not random, a time, or sealed."""
    world = make_world()
    asker = world.asker("fbi", "FBI")
    ids = Ids(key_files.read(world.settings.keys, world.settings.keys_passphrase).ids)
    holder = Holder("fbi", asker.purpose, "arrests")
    hidden, missing = ids.conceal(FIRST_CANARY, holder), ids.conceal(FIRST_CANARY - 1, holder)
    asker.records({"limit": 1})
    answers = {
        name: asker.get(f"/v1/arrests/{identifier}")
        for name, identifier in (("hidden", hidden), ("missing", missing), ("made up", "A" * 34))
    }
    entries = {name: _comparable(leaf(world, answer)) for name, answer in answers.items()}
    assert {answer.status_code for answer in answers.values()} == {404}
    assert len({answer.data for answer in answers.values()}) == 1
    headers = [{**answer.headers, "Log-Entry": "", "Log-Promise": "", "Date": ""} for answer in answers.values()]
    assert headers[0] == headers[1] == headers[2]
    assert entries["hidden"] == entries["missing"] == entries["made up"]
    kinds = {name: list(opened(world, databases, answer)) for name, answer in answers.items()}
    assert kinds["hidden"] == kinds["missing"] == kinds["made up"]


def _comparable(entry: dict[str, Any]) -> dict[str, Any]:
    different = {"id": "", "time": ""}
    return entry | different | {"commitments": entry["commitments"] | {"root": ""}}


# --- refusals ---------------------------------------------------------------------------------------------------

REFUSALS: dict[str, tuple[int, Callable[[Asker], TestResponse]]] = {
    "malformed-request": (400, lambda a: asked(a, "POST", "/v1/arrests/search", "{")),
    "unsupported-media-type": (
        415,
        lambda a: asked(a, "POST", "/v1/arrests/search", "{}", **{"Content-Type": "text/plain"}),
    ),
    "request-too-large": (413, lambda a: asked(a, "POST", "/v1/arrests/search", "{}".ljust(70_000))),
    "unknown-parameter": (400, lambda a: asked(a, "POST", "/v1/arrests/search", {"x": 1})),
    "unknown-field": (400, lambda a: asked(a, "POST", "/v1/arrests/search", {"fields": ["home_address"]})),
    "value-out-of-domain": (400, lambda a: asked(a, "POST", "/v1/arrests/search", {"limit": 0})),
    "cursor-invalid": (400, lambda a: asked(a, "POST", "/v1/arrests/search", {"cursor": "x"})),
    "purpose-unknown": (400, lambda a: asked(a, "GET", "/v1/resources", **{"Access-Purpose": "curiosity"})),
    "purpose-not-agreed": (
        403,
        lambda a: asked(a, "POST", "/v1/arrests/search", **{"Access-Purpose": "immigration-enforcement"}),
    ),
    "record-not-found": (404, lambda a: asked(a, "GET", "/v1/arrests/AAAA")),
    "resource-unknown": (404, lambda a: asked(a, "POST", "/v1/nothing/search")),
    "route-unknown": (404, lambda a: asked(a, "GET", "/nowhere")),
    "method-not-allowed": (405, lambda a: asked(a, "DELETE", "/v1/resources")),
    "invalid-token": (401, lambda a: asked(a, "GET", "/v1/resources", Authorization="Bearer x")),
    "unauthenticated": (401, lambda a: asked(a, "GET", "/v1/resources", Authorization="Basic x")),
}


def test_every_refusal_is_in_the_log_with_its_code(make_world: MakeWorld, subtests: pytest.Subtests) -> None:
    """The entry that a refusal names tells its code, no records, and who was refused where that is known."""
    world = make_world()
    asker = world.asker("fbi", "FBI", officer=OFFICER)
    for code, (status, ask) in REFUSALS.items():
        response = ask(asker)
        with subtests.test(code):
            assert (response.status_code, response.get_json()["code"]) == (status, code)
            entry = leaf(world, response)
            assert entry["outcome"] == code
            assert entry["decision"] in ("deny", "refuse")
            assert entry.get("records", 0) == 0
            known = code not in ("route-unknown", "method-not-allowed", "invalid-token", "unauthenticated")
            assert entry.get("client") == ("fbi" if known else None)


def test_a_denial_is_in_the_log_with_its_rule(make_world: MakeWorld) -> None:
    """The entry of a denial names the rule that the answer names, and the bundle."""
    world = make_world()
    response = world.asker(officer=OFFICER).search()
    assert response.status_code == 403
    entry = leaf(world, response)
    assert (entry["decision"], entry["outcome"]) == ("deny", "denied-by-rule")
    assert entry["rules"] == [reason["rule"] for reason in response.get_json()["reasons"]]
    assert entry["rules"] == ["ph-2018/access-ended"]
    assert re.fullmatch(r"(sha256:)?[0-9a-f]{64}", entry["bundle"])


def test_a_token_that_was_given_is_in_the_log(make_world: MakeWorld, databases: Databases) -> None:
    """Getting a token is an entry of its own, and not getting one too; each tells how much was sent."""
    world = make_world()
    asker = world.asker("fbi", "FBI")
    given, refused = asker.get_token(), asker.get_token("x.y.z")
    with world.gateway.store.transaction() as connection:
        clients.set_state(connection, "fbi", clients.SUSPENDED)
    suspended = asker.get_token()
    assert (given.status_code, refused.status_code, suspended.status_code) == (200, 401, 401)
    for response in (given, refused, suspended):
        (came,) = opened(world, databases, response)["circumstances"]
        assert came["bytes_out"] == len(response.data)
    assert {name: leaf(world, given)[name] for name in ("action", "decision", "client")} == {
        "action": "token",
        "decision": "permit",
        "client": "fbi",
    }
    assert {name: leaf(world, refused)[name] for name in ("action", "decision")} == {
        "action": "token",
        "decision": "refuse",
    }


# --- floods -----------------------------------------------------------------------------------------------------


class Clock:
    """A clock that the test turns on."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        """Return the moment."""
        return datetime.now(UTC) + self.offset


@pytest.fixture
def clock() -> Clock:
    """A clock that the test turns on."""
    return Clock()


@pytest.fixture
def make_timed(databases: Databases, tmp_path: Path, clock: Clock) -> Callable[..., World]:
    """Compose a gateway that lives by the test's clock."""

    def make(**changed: str) -> World:
        chosen = worlds.settings(databases, tmp_path / "keys", **changed)
        worlds.prepare(chosen, clock)
        return World(composition.build(chosen, clock), chosen)

    return make


def knock(world: World, peer: str, **headers: str) -> TestResponse:
    """Ask without a token."""
    return world.request("GET", "/v1/resources", headers=headers, environ_overrides={"REMOTE_ADDR": peer})


def test_a_flood_of_strangers_is_one_entry_and_a_count(make_timed: Callable[..., World], clock: Clock) -> None:
    """The first refusal of a peer is an entry at once, the rest of the minute one count."""
    world = make_timed()
    before = leaves(world).keys()
    answers = [knock(world, SOURCE) for _ in range(40)]
    assert {answer.status_code for answer in answers} == {401}
    new = leaves(world).keys() - before
    assert {answer.headers["Log-Entry"] for answer in answers} == new
    assert len(new) == 1
    clock.offset += timedelta(seconds=61)
    flush(world)
    counts = [json.loads(leaves(world)[name]) for name in leaves(world).keys() - before - new]
    assert [(c["outcome"], c["further"], c["first"]) for c in counts] == [("unauthenticated", 39, *new)]
    knock(world, SOURCE)
    assert len(leaves(world).keys() - before) == 3
    world.close()


def flush(world: World) -> None:
    """Let the sealer do its works once, as its thread does before it ends."""
    world.gateway.sealer.start()
    world.gateway.sealer.stop()


def test_a_flood_from_many_peers_leaves_a_bounded_number_of_entries(
    make_timed: Callable[..., World],
) -> None:
    """However many addresses ask, the entries of a minute are bounded, and every answer names one of them."""
    world = make_timed()
    before = leaves(world).keys()
    answers = [knock(world, f"198.18.{number // 250}.{number % 250}") for number in range(400)]
    new = leaves(world).keys() - before
    assert {answer.headers["Log-Entry"] for answer in answers} == new
    assert 1 < len(new) <= 260
    world.close()


def test_strangers_of_another_kind_are_counted_apart(make_timed: Callable[..., World]) -> None:
    """A peer without a token and the same peer with a wrong one are two kinds, each with its first entry."""
    world = make_timed()
    codes = [
        leaf(world, answer)["outcome"]
        for answer in (
            knock(world, SOURCE),
            knock(world, SOURCE, Authorization="Bearer x"),
            knock(world, SOURCE),
            knock(world, SOURCE, Authorization="Bearer y"),
        )
    ]
    assert codes == ["unauthenticated", "invalid-token"] * 2
    world.close()


def test_a_throttled_officer_is_told_by_its_own_name(make_timed: Callable[..., World], databases: Databases) -> None:
    """Two officers of one client that come too often have each an entry."""
    world = make_timed(client_limit="2/minute")
    asker = world.asker(officer="Officer A")
    asked_as = [asker, dataclasses.replace(asker, officer="Officer B", _token=None)]
    assert all(each.token for each in asked_as)
    for _ in range(2):
        asker.get("/v1/resources")
    answers = [each.get("/v1/resources") for each in asked_as]
    assert [opened(world, databases, answer)["officer"] for answer in answers] == [["Officer A"], ["Officer B"]]
    world.close()


def test_a_throttled_client_is_one_entry_and_a_count(make_timed: Callable[..., World], clock: Clock) -> None:
    """A client that comes too often is named once at once, and counted after."""
    world = make_timed(client_limit="3/minute")
    asker = world.asker("fbi", "FBI")
    assert asker.token
    before = leaves(world).keys()
    answers = [asker.get("/v1/resources") for _ in range(20)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 17
    assert len({answer.headers["Log-Entry"] for answer in answers[3:]}) == 1
    assert leaf(world, answers[3])["client"] == "fbi"
    clock.offset += timedelta(seconds=61)
    flush(world)
    new = [json.loads(leaves(world)[name]) for name in leaves(world).keys() - before]
    counts = [entry for entry in new if "further" in entry]
    assert [(c["outcome"], c["further"], c["client"]) for c in counts] == [("too-many-requests", 16, "fbi")]
    assert len(new) == 5
    world.close()


# --- bounds -------------------------------------------------------------------------------------------------------


def test_a_refused_question_does_not_fill_the_log(make_world: MakeWorld, databases: Databases) -> None:
    """What is refused and long is kept as its digest; what is answered is kept as it was asked."""
    world = make_world()
    asker = world.asker("fbi", "FBI")
    long = {"in": ["\ue000" * 40] * 50}
    refused = asked(asker, "POST", "/v1/arrests/search", {"filter": {"home_address": long}})
    assert refused.status_code == 400
    (kept,) = opened(world, databases, refused)["question"]
    assert kept.keys() == {"bytes", "sha256"}
    answered = asked(asker, "POST", "/v1/arrests/search", {"filter": {"family_name": {"in": ["Smith", "Jones"]}}})
    assert answered.status_code == 200
    (kept,) = opened(world, databases, answered)["question"]
    assert kept["filter"] == {"family_name": {"in": ["Smith", "Jones"]}}


def test_a_leaf_is_no_larger_than_the_verifier_reads() -> None:
    """Before it is written: in the tree it would make the log unreadable for ever."""
    for size, fits in ((60_000, True), (70_000, False)):
        entry = Entry("test", "permit", "done", datetime.now(UTC), None, {"long": "a" * size})
        with nullcontext() if fits else pytest.raises(ConfigurationError, match="65535"):
            seal(entry, new_id())


def test_a_record_of_an_unknown_person_is_no_persons() -> None:
    """It can be found by its own name; no person is made up for it, whom all such records would share."""
    of_nobody, of_somebody = seen("arrests", 7, None), seen("arrests", 7, 8)
    assert subjects(of_nobody.kind, of_nobody.value) == (None, record("arrests", 7))
    assert subjects(of_somebody.kind, of_somebody.value) == (person(8), record("arrests", 7))


def test_a_question_is_kept_as_it_was_asked(make_world: MakeWorld, databases: Databases) -> None:
    """A number is no text that looks like one, and nothing is no word; what canonical JSON can't hold is a text."""
    asker = make_world(rehearsal_day="2009-01-01").asker()
    for asked_for, written in ((5, 5), ("5", "5"), (None, None), (2**60, str(2**60)), (0.5, "0.5")):
        answered = asker.search({"filter": {"dc_number": {"eq": asked_for}}})
        (kept,) = opened(asker.world, databases, answered)["question"]
        assert kept["filter"] == {"dc_number": {"eq": written}}


def test_the_bytes_of_a_body_in_chunks_are_counted(make_world: MakeWorld, databases: Databases) -> None:
    """It has no length before it is read."""
    asker = make_world(rehearsal_day="2009-01-01").asker()
    body = b'{"limit": 1}'
    answered = asker.world.request(
        "POST",
        "/v1/arrests/search",
        headers=asker.headers() | {"Transfer-Encoding": "chunked", "Content-Type": "application/json"},
        environ_overrides={"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True},
    )
    (came,) = opened(asker.world, databases, answered)["circumstances"]
    assert came["bytes_in"] == len(body)


def test_a_receipt_is_no_opening_of_the_entry(make_world: MakeWorld, databases: Databases) -> None:
    """Whoever fetches its own receipt stands in no auditor's list of who has opened the entry."""
    world = make_world()
    asker = world.asker("fbi", "FBI", officer=OFFICER)
    entry = asker.search({"limit": 1}).headers["Log-Entry"]
    world.leaves()
    receipt = asker.get(f"/v1/entries/{entry}")
    (kept,) = opened(world, databases, receipt)["question"]
    assert kept == {"receipt_of": entry}
    with logs.opened(databases, world.settings.keys) as log, log.store.reading() as connection:
        about = tables.opening.c.about.in_(log.openings.indexes_of(f"entry:{entry}"))
        assert connection.scalar(sa.select(sa.func.count()).where(about)) == 0
