"""What can't be read or isn't in the view is refused with a stable code, is logged, and tells nothing."""

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from gateway import tables
from tests import world
from tests.conftest import MakeWorld
from tests.services import Postgres
from tests.world import POLICIES, Asker, Databases, World

# ICE sees neither victims, witnesses nor narratives on this day.
DAY = "2011-01-01"
MAX_QUESTION = 64 * 1024
MAX_BODY = 160 * 1024
HIDDEN, NONEXISTENT = "narrative", "nonsense"
CRIMINAL, IMMIGRATION = "criminal-investigation", "immigration-enforcement"
# What only a statement, a driver or the schema could have said.
INTERNALS = (
    "select ",
    "where ",
    "sqlite",
    "psycopg",
    "sqlalchemy",
    "traceback",
    "gateway/",
    "person_id",
    "arrest_id",
    "release_conviction",
    "tree_head",
    "budget_mark",
    "budget_refusal",
)
INJECTIONS = (
    "' OR 1=1 --",
    "'; DROP TABLE arrest; --",
    '" OR ""="',
    "x') OR ('1'='1",
    "1; SELECT pg_sleep(9)",
    "\\'; --",
    "%(limit)s",
    ":limit",
    "%s",
    "?",
    "$1",
    "%",
    "_",
    "{0}",
    "/* x */",
)


@dataclass(frozen=True, slots=True)
class Shared:
    """A world that all tables of bad input share, with a client that may read in it."""

    world: World
    asker: Asker


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Compose one gateway for the module, on each database."""
    place = tmp_path_factory.mktemp("shared")
    if request.param == "sqlite":
        databases = Databases(request.getfixturevalue("sqlite_arrests"), f"sqlite:///{place / 'store.db'}")
    else:
        server: Postgres = request.getfixturevalue("postgres")
        arrests = request.getfixturevalue("postgres_arrests")
        databases = Databases(server.url(arrests), server.url(server.create()))
    made = world.build(databases, place / "keys", rehearsal_day=DAY)
    yield Shared(made, made.asker(purposes=frozenset({IMMIGRATION, CRIMINAL})))
    made.close()


@pytest.fixture
def asker(shared: Shared) -> Asker:
    """The client of the shared world, which states immigration enforcement as its purpose."""
    shared.asker.purpose = IMMIGRATION
    return shared.asker


def leaf_of(asked: World, response: TestResponse) -> dict[str, Any]:
    """Seal the log, and return the leaf that an answer names."""
    while asked.gateway.log.seal():
        pass
    found = (
        sa.select(tables.entry.c.leaf)
        .join(tables.leaf, tables.leaf.c.entry_id == tables.entry.c.entry_id)
        .where(tables.entry.c.entry_id == response.headers["Log-Entry"])
    )
    with asked.gateway.store.reading() as connection:
        leaf: dict[str, Any] = msgspec.json.decode(connection.execute(found).scalar_one())
    return leaf


def is_refused(asked: World, response: TestResponse, status: int, code: str) -> None:
    """Hold an answer against what every refusal must be."""
    assert (response.status_code, _code(response)) == (status, code), response.text[:300]
    assert response.content_type == "application/problem+json"
    problem = response.get_json()
    assert problem.keys() - {"reasons"} == {"type", "title", "status", "code", "detail"}
    assert problem["status"] == status
    assert problem["type"].endswith(f":{code}")
    assert problem["title"]
    assert problem["detail"]
    said = response.text.lower()
    assert not [word for word in INTERNALS if word in said]
    leaf = leaf_of(asked, response)
    assert leaf["outcome"] == code
    assert leaf["decision"] in {"refuse", "deny"}


def _code(response: TestResponse) -> str:
    problem = response.get_json(silent=True)
    return str(problem.get("code")) if isinstance(problem, dict) else "(no problem)"


def compared(field: str, operator: str, operand: object) -> str:
    """Write a search with one comparison; what JSON can't write is written as Python's json writes it."""
    return json.dumps({"filter": {field: {operator: operand}}})


def related(relation: str, field: str, operator: str = "eq", operand: object = "F1") -> str:
    """Write a search with one comparison in the rows of a relation."""
    return json.dumps({"filter": {relation: {"any": {field: {operator: operand}}}}})


def each(field: str, operator: str, *operands: object) -> list[str]:
    """Write a search for each operand."""
    return [compared(field, operator, operand) for operand in operands]


def nested(levels: int) -> str:
    """Write a filter of so many levels, the comparison being the last."""
    around = levels - 1
    return '{"filter":' + '{"not":' * around + '{"district":{"eq":"24"}}' + "}" * around + "}"


NO_FILTERS: tuple[object, ...] = ({}, [], "F1", None)
NO_NAMES: tuple[object, ...] = (*NO_FILTERS, {"born": 1984}, {"family": "a", "sex": "F"})
MALFORMED: list[str | bytes] = [
    *(json.dumps({"filter": {"charges": {word: part}}}) for word in ("any", "none", "all") for part in NO_FILTERS),
    *(json.dumps({"filter": {"named": part}}) for part in NO_NAMES),
    "",
    " ",
    "{",
    "{}{}",
    "limit=3",
    "{'limit': 3}",
    '{"limit": 3,}',
    '{"limit": 03}',
    '{"limit": 3} //',
    b'{"sort": ["\xff"]}',
    b"\xff\xfe{\x00}\x00",
    "[]",
    "null",
    "3",
    '"limit"',
    # A member twice, at any depth and in any spelling.
    '{"limit": 1, "limit": 1}',
    '{"limit": 1, "l\\u0069mit": 2}',
    '{"filter": {"district": {"eq": "24"}, "district": {"eq": "25"}}}',
    '{"filter": {"district": {"eq": "24", "eq": "25"}}}',
    '{"filter": {"or": [{"not": {"district": {"eq": "24", "eq": "24"}}}]}}',
    '{"filter": {"district": {"eq": {"a": 1, "a": 1}}}}',
    # Numbers that JSON does not know.
    '{"filter": {"bail_amount": {"eq": NaN}}}',
    '{"filter": {"bail_amount": {"lt": Infinity}}}',
    '{"limit": -Infinity}',
    # Filters of another shape, the vacuous ones among them.
    '{"filter": []}',
    '{"filter": "district=24"}',
    '{"filter": {}}',
    '{"filter": {"district": "24"}}',
    '{"filter": {"district": null}}',
    '{"filter": {"district": {}}}',
    '{"filter": {"district": [{"eq": "24"}]}}',
    '{"filter": {"and": []}}',
    '{"filter": {"or": []}}',
    '{"filter": {"and": {"district": {"eq": "24"}}}}',
    '{"filter": {"and": [{}]}}',
    '{"filter": {"and": [1]}}',
    '{"filter": {"not": {}}}',
    '{"filter": {"not": [{"district": {"eq": "24"}}]}}',
    # Lists of names of another shape.
    '{"sort": "district"}',
    '{"sort": [1]}',
    '{"sort": [["district"]]}',
    '{"sort": {"district": "asc"}}',
    '{"sort": ["district", "district"]}',
    '{"sort": ["district", "-district"]}',
    '{"sort": ["district", "category", "offence", "sex"]}',
    '{"fields": "district"}',
    '{"fields": [null]}',
    '{"fields": ["district", "district"]}',
    '{"fields": {"district": 1}}',
    # Names that no database can hold.
    '{"fields": ["\\u0000"]}',
    '{"fields": ["distri\\ud800ct"]}',
    '{"sort": ["\\u0000"]}',
    '{"sort": ["-\\udfff"]}',
]
UNKNOWN_MEMBER = [
    '{"filters": {}}',
    '{"Limit": 3}',
    '{"": 1}',
    '{"where": {"ssn": {"prefix": "1"}}}',
    '{"limit": 3, "expand": ["victims"]}',
    '{"group_by": ["place_of_birth"]}',
    '{"count": true}',
]
UNKNOWN_FIELD = [
    *(compared(name, "eq", "a") for name in (HIDDEN, NONEXISTENT, "", "*", "id", "District", "district ")),
    *(compared(name, "is_null", True) for name in ("victims.phone", "victims", "witnesses.family_name")),
    *(compared(name, "prefix", "a") for name in ("arrest.narrative", "person.ssn", "charges.statute", ".", "a.b.c")),
    *(json.dumps({"sort": [name]}) for name in (HIDDEN, f"-{HIDDEN}", "--district", "-", "", "victims.phone")),
    *(json.dumps({"fields": ["district", name]}) for name in (HIDDEN, "*", "victims", "-district", "__class__")),
    # A hidden field behind an operator that does not exist is first of all no part of the view.
    compared(HIDDEN, "like", "%"),
    compared(HIDDEN, "eq", 2**70),
    # Nor can it be reached through a relation, which must be one to many, and one of the view.
    *(related("charges", name) for name in ("ssn", "family_name", "charges.grade", "disposition.outcome", "", "*")),
    *(related(name, "family_name") for name in ("victims", "witnesses", "person", "release_conviction", "arrests", "")),
    '{"filter": {"charges": {"any": {"charges": {"any": {"grade": {"eq": "F1"}}}}}}}',
    '{"filter": {"charges": {"none": {"named": {"family": "a"}}}}}',
    '{"filter": {"charges": {"eq": "F1"}}}',
]
UNKNOWN_OPERATOR = [
    *(compared("family_name", operator, "a") for operator in ("like", "EQ", "", "=", "$ne", "contains", "regex")),
    compared("sex", "prefix", "F"),
    compared("sex", "gt", "F"),
    compared("bail_amount", "prefix", "1"),
    compared("date_of_birth", "prefix", "1987"),
    compared("arrested_at", "prefix", "2014"),
    # Opaque ids can neither be compared nor ordered.
    compared("person", "eq", 1),
    compared("sex", "starts", "F"),
    *each("district", "eq", {"a": "24"}),
    *each("district", "in", {"0": "24"}),
    *each("charges", "some", {"grade": {"eq": "F1"}}),
    *each("release_conviction", "grade", {"eq": "F1"}),
    related("charges", "grade", "prefix"),
    compared("person", "gt", "A"),
    '{"sort": ["person"]}',
]
NOT_DATES = (
    "",
    "1987-13-01",
    "1987-02-30",
    "1849-12-31",
    "2200-01-01",
    "10000-01-01",
    "19870605",
    "1987-6-5",
    " 1987-06-05",
    "1987-06-05 ",
    "1987-06-05T00:00:00Z",
    "infinity",
    "now",
    "0044-03-15",
    # ISO 8601 knows weeks and days of the year; YYYY-MM-DD is neither.
    "2014-W16-3",
    "2014-106",
)
NOT_MOMENTS = (
    "",
    "2014-04-16",
    "2014-04-16 10:00:00Z",
    "2014-04-16T10:00:00",
    "2014-04-16T25:00:00Z",
    "2014-04-16T10:60:00Z",
    "2014-04-31T10:00:00Z",
    "1899-12-31T23:59:59Z",
    "2200-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "infinity",
    # RFC 3339 asks for hours, minutes and seconds, a point, and an offset of hours and minutes.
    "2014-W16-3T10:00:00Z",
    "2014-04-16T10Z",
    "2014-04-16T10:00Z",
    "2014-04-16T100000Z",
    "2014-04-16T10:00:00,5Z",
    "2014-04-16T10:00:00+00:00:30",
)
NOT_NAMES: tuple[dict[str, Any], ...] = (
    {"family": ""},
    {"family": None},
    {"family": 1},
    {"given": ["a"]},
    {"given": {"starts": "a"}},
    {"family": "a\0"},
    {"family": "a" * 61},
    *({"family": "a", "born": born} for born in ("1984", "1984-02-30", 1849, 2200, True, 1984.5, [1984], None)),
)
OUT_OF_DOMAIN = [
    *each("district", "eq", None, 24, 24.0, True, ["24"], "245"),
    *each("family_name", "eq", "\0", "a\0", "\ud800", "\udc00\ud800", "a" * 61, "é" * 61),
    *each("family_name", "starts", "", "\u0301", "\0", "a" * 61, None, ["a"], 1),
    *(json.dumps({"filter": {"named": asked}}) for asked in NOT_NAMES),
    related("charges", "grade", "eq", "F9"),
    *each("family_name", "prefix", "", "\0", "\udbff", "a" * 61, None, ["a"]),
    *each("district", "in", "24", [], [24], [None], ["24", "\0"], [["\ud800"]]),
    compared("district", "in", [f"{n:02d}"[:2] for n in range(101)]),
    *each("district", "is_null", "true", 1, 0, None, ""),
    *each("bail_amount", "gte", "5", 5.5, True, None, -1, 2**31, 2**63, 2**70, 10**400),
    '{"filter": {"bail_amount": {"gte": 1e400}}}',
    '{"filter": {"bail_amount": {"eq": -1e400}}}',
    *each("sex", "eq", "f", "Q", "", "FM", None, 1),
    *each("date_of_birth", "eq", *NOT_DATES, 1987, None),
    *each("arrested_at", "gte", *NOT_MOMENTS, 1397642400, None),
    # A key that no database can hold.
    compared("distri\0ct", "eq", "24"),
    compared("\ud800", "eq", "24"),
    compared("district", "e\0q", "24"),
    '{"\\ud800": 1}',
    '{"cursor": "A\\u0000"}',
    *(json.dumps({"limit": value}) for value in (0, -1, 201, 2**70, "10", 1.5, True, None, [3])),
    '{"limit": 1e400}',
]
TOO_COMPLEX = [
    nested(9),
    nested(1000),
    nested(8000),
    '{"filter": ' + "[" * 60_000,
    '{"filter":' + '{"and":[' * 8 + '{"district":{"eq":"24"}}' + "]}" * 8 + "}",
    '{"filter": {"district": {"eq": ' + "[" * 30_000 + "]" * 30_000 + "}}}",
    json.dumps({"filter": {"or": [{"district": {"eq": "24"}}] * 51}}),
    json.dumps({"filter": {"and": [{"bail_amount": {"gte": 1, "lte": 9}}] * 26}}),
    json.dumps({"filter": {"or": [{"charges": {"any": {"grade": {"eq": "F1"}}}}] * 9}}),
    json.dumps({"filter": {"or": [{"family_name": {"starts": "a"}}] * 9}}),
    json.dumps({"filter": {"or": [{"named": {"family": "a", "given": "b"}}] * 3}}),
    json.dumps({"filter": {"charges": {"any": {"or": [{"description": {"starts": "a"}}] * 2}}}}),
    json.dumps({"filter": {"charges": {"all": {"or": [{"grade": {"eq": "F1"}}] * 51}}}}),
    '{"filter": {"charges": {"any": ' + nested(8)[len('{"filter":') : -1] + "}}}",
]
BAD_CURSORS: tuple[object, ...] = ("", "A", "AAAA", "A" * 300, "é", "A" * 8193, 3, [], True)
NOT_CURSORS = [json.dumps({"cursor": value}) for value in BAD_CURSORS]


def _table() -> Iterator[Any]:
    bad: list[tuple[str, list[Any]]] = [
        ("malformed-request", MALFORMED),
        ("unknown-parameter", UNKNOWN_MEMBER),
        ("unknown-field", UNKNOWN_FIELD),
        ("unknown-operator", UNKNOWN_OPERATOR),
        ("value-out-of-domain", OUT_OF_DOMAIN),
        ("filter-too-complex", TOO_COMPLEX),
        ("cursor-invalid", NOT_CURSORS),
    ]
    for code, bodies in bad:
        for number, body in enumerate(bodies):
            yield pytest.param(body, code, id=f"{code}-{number}")


@pytest.mark.parametrize(("body", "code"), list(_table()))
def test_a_question_that_cannot_be_answered_is_refused_with_its_code(
    asker: Asker, body: str | bytes, code: str
) -> None:
    """Each bad body is a 400 of its own stable code, with an entry and without a word of what lies behind."""
    response = asker.search(body)
    is_refused(asker.world, response, 400, code)
    leaf = leaf_of(asker.world, response)
    assert (leaf["client"], leaf["action"], leaf.get("records", 0)) == (asker.id, "read", 0)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"filter": null, "cursor": null}',
        nested(8),
        json.dumps({"filter": {"or": [{"district": {"eq": "24"}}] * 50}}),
        compared("district", "in", [f"{n:02d}" for n in range(100)]),
        compared("family_name", "eq", "é" * 60),
        *each("family_name", "prefix", "\ud7ff", "\U0010ffff", "\ue000", "'", "%"),
        *each("date_of_birth", "gte", "1850-01-01", "2199-12-31", "2012-02-29"),
        compared("arrested_at", "gte", "1900-01-01T00:00:00Z"),
        compared("arrested_at", "lt", "2199-12-31T23:59:59.999999Z"),
        compared("arrested_at", "lt", "2014-04-16T10:00:00.5-04:00"),
        compared("bail_amount", "lte", 1_000_000_000),
        '{"limit": 200, "sort": ["district", "-category", "offence"]}',
        json.dumps({"limit": 1}).ljust(MAX_QUESTION),
    ],
)
def test_what_lies_just_inside_the_bounds_is_answered(asker: Asker, body: str) -> None:
    """The bounds are where they are said to be: the table of refusals is not one of everything."""
    response = asker.search(body)
    assert response.status_code == 200, response.text[:300]


def test_hidden_and_nonexistent_fields_are_refused_in_the_same_bytes(asker: Asker) -> None:
    """Whether a field is hidden or was never there can't be told, in whatever clause it is named."""
    clauses: tuple[dict[str, Any], ...] = (
        {"filter": {"FIELD": {"eq": "a"}}},
        {"filter": {"not": {"or": [{"district": {"eq": "24"}}, {"FIELD": {"is_null": True}}]}}},
        {"filter": {"FIELD": {"like": "%"}}},
        {"filter": {"FIELD": {"in": []}}},
        {"sort": ["FIELD"]},
        {"sort": ["-FIELD", "district"]},
        {"fields": ["district", "FIELD"]},
    )
    pairs = ((HIDDEN, NONEXISTENT), ("victims.phone", "victims.nonsense"), ("witnesses", "neighbours"))
    for clause in clauses:
        for hidden, nonexistent in pairs:
            written = json.dumps(clause)
            one = asker.search(written.replace("FIELD", hidden))
            other = asker.search(written.replace("FIELD", nonexistent))
            assert one.status_code == 400
            assert one.data == other.data
            assert _headers(one) == _headers(other)
            assert leaf_of(asker.world, one)["outcome"] == leaf_of(asker.world, other)["outcome"] == "unknown-field"


def _headers(response: TestResponse) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in response.headers if name not in ("Log-Entry", "Log-Promise"))


def test_an_operand_of_any_depth_is_refused_and_logged(asker: Asker) -> None:
    """However deep an operand is nested, and however deep it stands, the refusal is a 400 with an entry."""
    for around, end in (("", ""), ('{"not":' * 7, "}" * 7), ('{"and":[' * 7, "]}" * 7)):
        for depth in (*range(60, 900, 120), *range(900, 1000, 3)):
            operand = "[" * depth + "]" * depth
            response = asker.search(f'{{"filter": {around}{{"district": {{"eq": {operand}}}}}{end}}}')
            assert response.status_code == 400, f"depth {depth} within {around}: {response.text}"
            assert "Log-Entry" in response.headers


# --- the request around the body ----------------------------------------------------------------------------


def search_with(asker: Asker, *pairs: tuple[str, str], without: str = "", **asked: Any) -> TestResponse:
    """Search with other headers."""
    headers = Headers(asker.headers() | {"Content-Type": "application/json"})
    for name, _ in pairs:
        headers.remove(name)
    if without:
        headers.remove(without)
    for name, value in pairs:
        headers.add(name, value)
    asked.setdefault("data", "{}")
    return asker.world.request("POST", "/v1/arrests/search", headers=headers, **asked)


def test_a_body_beyond_the_bound_is_refused(asker: Asker) -> None:
    """One byte more than 64 KiB is too large, or 160 with a cursor; what is nested too deeply is too complex."""
    beside = '{"cursor": null}'.ljust(MAX_QUESTION + 1)
    longest = '{"cursor": "A"}'.ljust(MAX_BODY + 1)
    for body in ("{}".ljust(MAX_QUESTION + 1), beside, longest, nested(200_000), "[" * 200_000):
        is_refused(asker.world, asker.search(body), 413, "request-too-large")
    for body in (nested(5_000), "[" * 60_000):
        is_refused(asker.world, asker.search(body), 400, "filter-too-complex")


class Endless(io.RawIOBase):
    """A body that never ends, and counts what is read of it."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Give spaces."""
        buffer[:] = b" " * len(buffer)
        self.taken += len(buffer)
        return len(buffer)


def test_a_chunked_body_is_cut_at_the_bound(asker: Asker) -> None:
    """A body whose length is not said is read to the bound and no further."""
    body = Endless()
    response = search_with(
        asker,
        ("Transfer-Encoding", "chunked"),
        environ_overrides={"wsgi.input": body, "wsgi.input_terminated": True},
    )
    is_refused(asker.world, response, 413, "request-too-large")
    assert body.taken <= 2 * MAX_BODY


def test_a_chunked_body_is_not_answered_by_its_beginning(asker: Asker) -> None:
    """A question that is whole before the bound, with more behind it, is refused and not answered."""
    body = io.BytesIO(b'{"limit": 1}'.ljust(MAX_BODY) + b', "limit": 2}')
    response = search_with(
        asker,
        ("Transfer-Encoding", "chunked"),
        environ_overrides={"wsgi.input": body, "wsgi.input_terminated": True},
    )
    is_refused(asker.world, response, 413, "request-too-large")


def test_a_length_that_no_number_holds_is_refused_with_an_entry(asker: Asker) -> None:
    """What a client says of its length is written down no further than is read."""
    for method, path in (("POST", "/v1/arrests/search"), ("GET", "/nowhere")):
        response = asker.world.request(
            method,
            path,
            headers=asker.headers() | {"Content-Type": "application/json"},
            environ_overrides={"CONTENT_LENGTH": str(2**53)},
        )
        assert response.status_code in {404, 413}
        assert response.headers["Log-Entry"]


def test_a_number_without_end_is_malformed(asker: Asker) -> None:
    """An exponent beyond what is reckoned with; written out it would fill the memory."""
    for number in ("1e9999999999999999999", "1e-9999999999999999999", "0e99999999999999999999"):
        is_refused(asker.world, asker.search(f'{{"limit": {number}}}'), 400, "malformed-request")


def test_a_small_chunked_body_is_answered(asker: Asker) -> None:
    """A body in chunks is as good as one with its length."""
    response = search_with(
        asker,
        ("Transfer-Encoding", "chunked"),
        environ_overrides={"wsgi.input": io.BytesIO(b'{"limit": 1}'), "wsgi.input_terminated": True},
    )
    assert len(response.get_json()["records"]) == 1


def test_a_body_without_length_and_chunks_is_no_question(asker: Asker) -> None:
    """Where neither a length nor chunks are said there is no body, and nothing is read."""
    response = search_with(asker, environ_overrides={"wsgi.input": io.BytesIO(b'{"limit": 1}'), "CONTENT_LENGTH": ""})
    is_refused(asker.world, response, 400, "malformed-request")


def test_a_body_that_ends_early_is_malformed(asker: Asker) -> None:
    """A body shorter than its stated length was cut off; it is not too large."""
    response = search_with(
        asker, environ_overrides={"wsgi.input": io.BytesIO(b'{"limit": 1}'), "CONTENT_LENGTH": "1000"}
    )
    is_refused(asker.world, response, 400, "malformed-request")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonp", ""]
)
def test_a_body_of_another_type_is_refused(asker: Asker, kind: str) -> None:
    """Only application/json is read."""
    response = search_with(asker, ("Content-Type", kind)) if kind else search_with(asker, without="Content-Type")
    is_refused(asker.world, response, 415, "unsupported-media-type")


def test_the_purpose_is_stated_once_and_from_the_vocabulary(asker: Asker) -> None:
    """A purpose that is missing, unknown, doubled or written otherwise is refused."""
    name = "Access-Purpose"
    is_refused(asker.world, search_with(asker, without=name), 400, "purpose-missing")
    for value in (
        "deportation",
        IMMIGRATION.title(),
        f"{IMMIGRATION},{CRIMINAL}",
        "*",
        "",
        "-",
        "x" * 61,
        "é",
    ):
        is_refused(asker.world, search_with(asker, (name, value)), 400, "purpose-unknown")
    for second in (IMMIGRATION, CRIMINAL):
        doubled = search_with(asker, (name, IMMIGRATION), (name, second))
        is_refused(asker.world, doubled, 400, "purpose-unknown")


def test_a_purpose_outside_the_agreement_is_denied(asker: Asker) -> None:
    """The client's word does not widen its agreement."""
    is_refused(asker.world, search_with(asker, ("Access-Purpose", "prosecution")), 403, "purpose-not-agreed")


def test_what_is_no_purpose_stays_out_of_the_leaf(asker: Asker) -> None:
    """A leaf can't be erased: of the client's own words it holds only those of the vocabulary."""
    response = search_with(asker, ("Access-Purpose", "jane-doe-of-tasker-street"))
    assert "jane-doe" not in json.dumps(leaf_of(asker.world, response))


@pytest.mark.parametrize("number", ["", "a;b", "'1'", "x" * 61, "é", "<b>", "-1", "1\t2"])
def test_a_case_number_of_other_characters_is_refused(asker: Asker, number: str) -> None:
    """A case number is 1 to 60 letters, digits, spaces and a few signs."""
    is_refused(asker.world, search_with(asker, ("Access-Case", number)), 400, "malformed-request")


def test_a_case_number_is_stated_once(asker: Asker) -> None:
    """Two case numbers are refused."""
    doubled = search_with(asker, ("Access-Case", "2011-1"), ("Access-Case", "2011-2"))
    is_refused(asker.world, doubled, 400, "malformed-request")


def test_query_parameters_are_unknown_everywhere(asker: Asker) -> None:
    """No parameter in the address is passed over in silence."""
    record = asker.records({"limit": 1})[0]["id"]
    for path in (
        "/v1/resources?fields=ssn",
        f"/v1/arrests/{record}?expand=victims",
        "/v1/resources?",
        "/v1/resources?x",
    ):
        response = asker.get(path)
        if path.endswith("?"):
            assert response.status_code == 200
        else:
            is_refused(asker.world, response, 400, "unknown-parameter")
    response = search_with(asker, query_string={"limit": "1"})
    is_refused(asker.world, response, 400, "unknown-parameter")


def test_a_method_that_does_not_fit_is_refused_with_those_that_do(asker: Asker) -> None:
    """Each address names its methods in Allow, and answers no other."""
    asked = (
        ("PUT", "/v1/arrests/search", {"POST"}),
        ("GET", "/v1/arrests/search", {"POST"}),
        ("DELETE", "/v1/arrests/AAAA", {"GET", "HEAD"}),
        ("PATCH", "/v1/arrests/AAAA", {"GET", "HEAD"}),
        ("POST", "/v1/resources", {"GET", "HEAD"}),
        ("OPTIONS", "/v1/resources", {"GET", "HEAD"}),
        ("POST", "/openapi.json", {"GET", "HEAD"}),
        ("TRACE", "/v1/resources", {"GET", "HEAD"}),
        ("GET", "/oauth/token", {"POST"}),
        ("POST", "/healthz", {"GET", "HEAD"}),
    )
    for method, path, allowed in asked:
        response = asker.world.request(method, path, headers=asker.headers())
        is_refused(asker.world, response, 405, "method-not-allowed")
        assert {name.strip() for name in response.headers["Allow"].split(",")} == allowed


NOT_ROUTES = (
    "/",
    "/v1",
    "/v1/",
    "/V1/resources",
    "/v1/resources/",
    "/v1/arrests/a/b",
    "/v1/arrests/search/x",
    "/v1/arrests%2Fsearch/x/y",
    "/v2/arrests/search",
    "/oauth",
    "/admin",
    "/static/app.py",
)


def test_an_address_that_is_no_route_is_refused(asker: Asker) -> None:
    """Nothing answers beside the routes, and nothing is redirected there."""
    for method in ("GET", "POST"):
        for path in NOT_ROUTES:
            response = asker.world.request(method, path, headers=asker.headers())
            is_refused(asker.world, response, 404, "route-unknown")
            assert "Location" not in response.headers


def test_doubled_slashes_are_no_route(asker: Asker) -> None:
    """An address that is almost a route is refused and logged like any other; no redirect repeats it."""
    for method, path in (
        ("GET", "/v1//resources"),
        ("POST", "/v1//arrests//search"),
        ("GET", "/v1///arrests/AAAA"),
    ):
        response = asker.world.request(method, path, headers=asker.headers())
        is_refused(asker.world, response, 404, "route-unknown")


def test_an_unknown_resource_is_refused(asker: Asker) -> None:
    """Tables and made-up names are no resources."""
    for name in (
        "persons",
        "person",
        "arrest",
        "Arrests",
        "entry",
        "%00",
        "arrests;",
        "..",
        "%F0%9F%91%AE",
        "a" * 1000,
    ):
        is_refused(asker.world, asker.search("{}", name), 404, "resource-unknown")
        is_refused(asker.world, asker.get(f"/v1/{name}/AAAA"), 404, "resource-unknown")


# --- ids and cursors ----------------------------------------------------------------------------------------


NOT_IDS = (
    "%00",
    "%0A",
    "%27",
    "%C3%A9",
    "%FF",
    "%ED%A0%80",
    "%F0%9F%91%AE",
    "-1",
    "0",
    "1",
    "null",
    "..",
)


def test_ids_that_were_not_made_for_the_asker_are_missing_records(asker: Asker) -> None:
    """Forged, foreign and edited ids, and those for another purpose, are one answer in the same bytes."""
    page = asker.search({"limit": 1, "fields": ["person"]}).get_json()
    real, person, cursor = page["records"][0]["id"], page["records"][0]["person"], page["next"]
    assert asker.get(f"/v1/arrests/{real}").status_code == 200
    foreign = asker.world.asker(f"ids-{id(asker)}").records({"limit": 1})[0]["id"]
    elsewhere = _for_the_other_purpose(asker)
    spelt = {real[:at] + ("A" if real[at] != "A" else "B") + real[at + 1 :] for at in range(len(real))}
    shapes = {"A" * length for length in (1, 2, 3, 4, 16, 33, 34, 35, 36, 68, 2000)}
    edited = {f"{real}=", f"{real}%3D", f"{real}A", f"A{real}", f"%20{real}", f"{real}%0A", real[:-1]}
    forged = {foreign, elsewhere, person, cursor} | spelt | edited | shapes | set(NOT_IDS)
    missing = asker.get("/v1/arrests/AbCd")
    is_refused(asker.world, missing, 404, "record-not-found")
    for identifier in sorted(forged - {real}):
        response = asker.get(f"/v1/arrests/{identifier}")
        assert response.data == missing.data, identifier
        assert _headers(response) == _headers(missing)
        assert response.status_code == 404
    is_refused(asker.world, asker.get(f"/v1/arrests/{elsewhere}"), 404, "record-not-found")


def _for_the_other_purpose(asker: Asker) -> str:
    """Return an id that was given to the same client for criminal investigation."""
    asker.purpose = CRIMINAL
    records = asker.records({"limit": 1, "fields": ["district"]})
    asker.purpose = IMMIGRATION
    return str(records[0]["id"])


QUERY: dict[str, Any] = {
    "limit": 2,
    "filter": {"district": {"is_null": False}},
    "sort": ["family_name"],
    "fields": ["district"],
}


def test_a_cursor_serves_only_the_query_that_it_was_given_for(asker: Asker) -> None:
    """Another filter, order, choice of fields or resource, client or purpose makes it invalid."""
    cursor = asker.search(QUERY).get_json()["next"]
    assert asker.search({**QUERY, "cursor": cursor, "limit": 3}).status_code == 200
    others: tuple[dict[str, Any], ...] = (
        {"filter": {"district": {"is_null": True}}},
        {"filter": {"not": {"district": {"is_null": True}}}},
        {"filter": None},
        {"sort": ["-family_name"]},
        {"sort": []},
        {"sort": ["given_name"]},
        {"fields": ["district", "family_name"]},
        {"fields": []},
    )
    for other in others:
        response = asker.search({**QUERY, **other, "cursor": cursor})
        is_refused(asker.world, response, 400, "cursor-invalid")
    stranger = asker.world.asker(f"cursors-{id(asker)}")
    is_refused(asker.world, stranger.search({**QUERY, "cursor": cursor}), 400, "cursor-invalid")
    asker.purpose = CRIMINAL
    is_refused(asker.world, asker.search({**QUERY, "cursor": cursor}), 400, "cursor-invalid")


def test_an_edited_cursor_is_invalid(asker: Asker) -> None:
    """No character of a cursor can be changed, added or left out."""
    cursor = asker.search(QUERY).get_json()["next"]
    edited = {cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(0, len(cursor), 7)}
    edited |= {
        cursor[:-1],
        cursor[1:],
        f"{cursor}A",
        f"{cursor}=",
        cursor * 2,
        cursor.swapcase(),
        f" {cursor}",
    }
    for text in sorted(edited):
        response = asker.search({**QUERY, "cursor": text})
        assert (response.status_code, _code(response)) == (400, "cursor-invalid"), text
        assert "Log-Entry" in response.headers


def test_a_cursor_is_stale_after_the_policy_has_changed(make_world: MakeWorld, tmp_path: Path) -> None:
    """After an activation the client starts again from the first page, and a forged cursor stays invalid."""
    policies = tmp_path / "policies"
    shutil.copytree(POLICIES, policies)
    asked = make_world(rehearsal_day=DAY, policies=str(policies))
    asker = asked.asker()
    cursor = asker.search(QUERY).get_json()["next"]
    document = policies / "ph-2010.yaml"
    document.write_text(document.read_text().replace("title: ", "title: Again, ", 1))
    world.activate(asked.settings, policies)
    asked.gateway.sealer._once()  # noqa: SLF001 -- what its thread does again and again
    is_refused(asked, asker.search({**QUERY, "cursor": cursor}), 400, "cursor-stale")
    is_refused(asked, asker.search({**QUERY, "cursor": cursor[:-2]}), 400, "cursor-invalid")
    fresh = asker.search(QUERY).get_json()["next"]
    assert fresh != cursor
    assert asker.search({**QUERY, "cursor": fresh}).status_code == 200


# --- injection ----------------------------------------------------------------------------------------------


def test_statements_in_values_are_only_values(asker: Asker) -> None:
    """A piece of SQL equals no name, is unequal to all, starts none, and changes nothing."""
    whole = asker.every({"limit": 200, "fields": ["home_address"]})
    known = [record for record in whole if record["home_address"] is not None]
    for text in INJECTIONS:
        nothing: tuple[dict[str, Any], ...] = ({"eq": text}, {"in": [text, text + text]}, {"prefix": text})
        for test in nothing:
            assert asker.records({"filter": {"home_address": test}}) == []
        unequal = asker.every({"limit": 200, "fields": ["home_address"], "filter": {"home_address": {"ne": text}}})
        assert len(unequal) == len(known)
    assert asker.every({"limit": 200, "fields": ["home_address"]}) == whole


def test_statements_in_names_are_unknown_names(asker: Asker) -> None:
    """A piece of SQL in the place of a name is refused, and the refusal does not repeat it."""
    before = asker.records({"limit": 5})
    for text in INJECTIONS:
        refused = (
            (asker.search(compared(text, "eq", "24")), 400, "unknown-field"),
            (asker.search(compared(f"district{text}", "eq", "24")), 400, "unknown-field"),
            (asker.search(compared("district", text, "24")), 400, "unknown-operator"),
            (asker.search({"sort": [f"district {text}"]}), 400, "unknown-field"),
            (asker.search({"sort": [f"-{text}"]}), 400, "unknown-field"),
            (asker.search({"fields": [text]}), 400, "unknown-field"),
            (asker.search({"cursor": text}), 400, "cursor-invalid"),
            (asker.search({text: 1}), 400, "unknown-parameter"),
            (search_with(asker, ("Access-Purpose", text)), 400, "purpose-unknown"),
            (search_with(asker, query_string={text: text}), 400, "unknown-parameter"),
        )
        for response, status, code in refused:
            assert (response.status_code, _code(response)) == (status, code), text
            assert "Log-Entry" in response.headers
            assert len(text) < 3 or text not in response.get_json()["detail"]
    assert asker.records({"limit": 5}) == before


def test_search_terms_stay_out_of_leaves_and_telemetry(make_world: MakeWorld) -> None:
    """What was searched for is personal: it stands in the sealed part alone, refused or not."""
    asked = make_world(rehearsal_day=DAY)
    asker = asked.asker()
    term = "Zzyzx-Tasker"
    bodies: tuple[dict[str, Any], ...] = (
        {"filter": {"family_name": {"eq": term}}},
        {"filter": {"family_name": {"like": term}}},
        {"filter": {term: {"eq": term}}},
        {"sort": [term]},
        {"fields": [term]},
        {"cursor": term},
        {term: term},
    )
    for body in bodies:
        asker.search(body)
    asker.get(f"/v1/arrests/{term}")
    asker.get(f"/v1/{term}/AAAA")
    asker.get(f"/v1/resources?{term}={term}")
    asked.request("GET", f"/{term}/{term}/{term}")
    assert term not in json.dumps(asked.leaves())
    assert term not in asked.lines.getvalue()
