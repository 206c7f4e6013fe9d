"""A text in the place of any text: it changes no result, reaches no table, and comes back in no answer.

A request is walked whole, and each name and text in it is replaced. What comes of a text with a meaning somewhere (SQL,
drivers, formats, templates, CEL, HTTP) must be what comes of a plain text in that place.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from joserfc import jwt
from werkzeug.test import TestResponse

from gateway.access import Quantifier
from gateway.domains import Kind
from gateway.identity import tokens
from gateway.plan.shape import operators
from gateway.web import parse
from tests.attacks.city import City, case, count, hidden, said
from tests.policy import small
from tests.world import ASSERTION_TYPE, ISSUER

# The short ones are values that a field can hold; the long ones are more than most can.
SHORT = (
    "'Q7--",
    '"Q7"',
    "%(Q)s",
    ":Q7",
    "{Q7}",
    "$1Q7",
    "\\Q7'",
    "?Q7",
    "%sQ7",
    "`Q7`",
    "Q7;",
    "/*Q7",
    "\u2019Q7",
    "\uff07Q7",
    "Q%_7",
    "{{Q7",
    "${Q7",
    "Q\r\n7",
    "Q\t7",
    "\u202eQ7",
)
LONG = (
    "' OR 'Q7'='Q7' -- ",
    "'; DROP TABLE c; SELECT 'Q7",
    '" UNION SELECT cite FROM c WHERE "Q7"="Q7',
    "%(value_0)s %(limit)s %(Q7)s",
    ":value_0 :key :limit :Q7",
    "{0.__class__.__mro__} {Q7!r}",
    "{{ config.items() }}{% Q7 %}",
    "${jndi:ldap://Q7.example/a}",
    "record.flag == true || 'Q7' == 'Q7'",
    "'||(SELECT pg_sleep(9))||'Q7",
    "\u02bc OR \uff071\uff07=\uff071 Q7 \u2014\u2014",
    "Q7\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200",
    "x'51 37'::bytea || E'\\x27Q7",
    "../../../../etc/passwd Q7",
    "Q7\u0000' OR 1=1 --",
    "\ud800Q7 surrogate ends",
)
# Plain texts of the same kinds: letters, a sign, letters beyond ASCII, and what no text may hold.
PLAIN = (
    "zzzzz",
    "z z!z",
    "zé",
    "z" * 26,
    "z z!" * 7,
    "zé" * 12,
    "z\nz",
    "z\u0000z",
    "z\ud800z",
    "zz/zz",
    "z\u3000" * 9,
)

FULL: dict[str, Any] = {
    "filter": {
        "and": [
            {"code": {"eq": "c", "ne": "x", "in": ["c", "d"], "lt": "zz", "lte": "zz", "gt": "a", "gte": "a"}},
            {"or": [{"code": {"prefix": "c"}}, {"code": {"starts": "C"}}, {"born": {"eq": 1984}}]},
            {"not": {"verdict.grade": {"eq": "M1"}}},
            {"counts": {"any": {"grade": {"in": ["F1", "F2"]}}, "none": {"amount": {"is_null": True}}}},
            {"counts": {"all": {"grade": {"ne": "M1"}}}},
            {"named": {"given": "c", "born": "1984-02-29"}},
        ],
        "amount": {"gte": 1},
    },
    "sort": ["-code", "amount"],
    "fields": ["code", "counts", "verdict.grade", "counts.grade"],
    "limit": 5,
    "cursor": None,
}

Put = Callable[[Any], Any]


def places(value: Any, put: Put, trail: str = "") -> Iterator[tuple[str, Put]]:
    """Yield each name and text of a JSON value, and how to write another in its place."""
    match value:
        case dict():
            for name, inner in value.items():
                yield f"{trail}/{name} (name)", partial(_renamed, value, name, put)
                yield from places(inner, partial(_changed, value, name, put), f"{trail}/{name}")
        case list():
            for number, inner in enumerate(value):
                yield from places(inner, partial(_changed, dict(enumerate(value)), number, put), f"{trail}/{number}")
        case str():
            yield trail, put
        case _:
            pass


def _renamed(whole: dict[str, Any], name: str, put: Put, text: str) -> Any:
    return put({text if each == name else each: value for each, value in whole.items()})


def _changed(whole: dict[Any, Any], at: str | int, put: Put, new: Any) -> Any:
    changed = {**whole, at: new}
    return put(list(changed.values()) if isinstance(at, int) else changed)


@pytest.fixture(scope="module")
def filled(city: City) -> Iterator[City]:
    """A city with something to lose; its tables are the same afterwards."""
    city.fill(*(case(n, code="cdcdcd"[n], counts=(count(), count(grade="F2"))) for n in range(5)[1:]), hidden(9))
    before = content(city)
    yield city
    assert content(city) == before


def content(city: City) -> list[Any]:
    """Return all rows, and the names of all tables."""
    with city.engine.connect() as connection:
        rows = [[tuple(row) for row in connection.execute(table.select())] for table in small.metadata.sorted_tables]
    return [*rows, sorted(sa.inspect(city.engine).get_table_names())]


def is_plain(ask: Callable[[str], TestResponse], texts: Iterable[str], place: str) -> None:
    """Ask with texts that mean something somewhere; each answer must be one that a plain text gets, and repeat none."""
    plain: set[str] = set()
    left = iter(PLAIN)
    for text in texts:
        answer = ask(text)
        while str(said(answer)) not in plain:
            other = next(left, None)
            assert other is not None, (place, text, answer.status_code, answer.text[:200])
            plain.add(str(said(ask(other))))
        whole = answer.text + str(answer.headers)
        shown = {text, json.dumps(text)[1:-1], quote(text, errors="surrogatepass")}
        assert not [form for form in shown if len(form) > 3 and form in whole], (place, text)


def some(number: int, texts: tuple[str, ...], share: int = 10) -> tuple[str, ...]:
    """Take one text of so many, others at each place."""
    return texts[number % share :: share]


def test_the_request_that_is_walked_is_a_whole_one() -> None:
    """A new member, operator, quantifier or part of a name must stand in the request, or it would not be attacked."""
    names = {place.rpartition("/")[2].removesuffix(" (name)") for place, _ in places(FULL, lambda text: text)}
    assert FULL.keys() == parse._MEMBERS  # noqa: SLF001 -- what a body may hold
    known = {operator for kind in Kind for operator in operators_of(kind)}
    assert known | {each.value for each in Quantifier} | {"and", "or", "not", "named", "given", "born"} <= names


def operators_of(kind: Kind) -> frozenset[str]:
    """Return the operators of a kind."""
    from gateway.domains import Domain

    return operators(Domain(kind))


def test_a_text_in_the_place_of_any_text_of_a_body(filled: City) -> None:
    """Names of members, fields, relations and operators; operands; orders; fields; cursors."""
    first = filled.asker.search({**FULL, "limit": 1}, "cases")
    assert first.status_code == 200, first.text
    body = {**FULL, "limit": 1, "cursor": first.get_json()["next"]}
    assert filled.asker.search(body, "cases").status_code == 200
    walked = list(places(body, lambda new: new))
    assert len(walked) > 60
    for number, (place, put) in enumerate(walked):

        def ask(text: str, put: Put = put) -> TestResponse:
            return filled.asker.search(json.dumps(put(text)), "cases")

        is_plain(ask, (*some(number, SHORT), *some(number, LONG)), place)


PATHS = (
    ("GET", "/v1/cases/{}"),
    ("GET", "/v1/{}/AAAA"),
    ("GET", "/v1/{}"),
    ("GET", "/{}/resources"),
    ("GET", "/v1/entries/{}"),
    ("GET", "/v1/cases/AAAA?{}=1"),
    ("GET", "/v1/cases/AAAA?fields={}"),
    ("GET", "/v1/resources?{}"),
    ("GET", "/log/tile/{}"),
    ("GET", "/log/tile/0/{}"),
    ("POST", "/v1/{}/search"),
    ("POST", "/v1/cases/{}"),
    ("POST", "/v1/notices/{}/acknowledge"),
)


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_text_in_the_place_of_a_part_of_the_address(filled: City, method: str, path: str) -> None:
    """Resources, ids of records, entries and notices, tiles, parameters."""

    def ask(text: str) -> TestResponse:
        there = path.format(quote(text, safe="", errors="surrogatepass"))
        sent = {"headers": filled.asker.headers()}
        if path.endswith("search") or method == "POST":
            sent["headers"] |= {"Content-Type": "application/json"} if "notices" not in path else {}
        return filled.world.request(method, there, data="{}" if "cases" in path and method == "POST" else None, **sent)

    number = PATHS.index((method, path))
    is_plain(ask, (*some(number, SHORT, 2), *some(number, LONG, 2)), path)


HEADERS = (
    "Access-Purpose",
    "Access-Case",
    "Authorization",
    "Host",
    "Content-Type",
    "Content-Encoding",
    "Accept",
    "Accept-Language",
    "User-Agent",
    "Referer",
    "Origin",
    "Cookie",
    "Range",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Request-Id",
    "Traceparent",
    "Prefer",
)


@pytest.mark.parametrize("name", HEADERS)
def test_a_text_in_the_place_of_a_header(filled: City, name: str) -> None:
    """Alone, behind a true value and before it."""
    true = {"Authorization": f"Bearer {filled.asker.token}", "Access-Purpose": "looking", "Access-Case": "A-1"}
    true |= {"Content-Type": "application/json", "Host": "localhost"}
    key = name.upper().replace("-", "_")
    key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"

    def asking(form: str) -> Callable[[str], TestResponse]:
        def ask(text: str) -> TestResponse:
            # As a server hands a field over: bytes as Latin-1. No server hands over the ends of lines.
            field = form.format(text.encode("utf-8", "surrogatepass").decode("latin-1"))
            return filled.world.request(
                "POST",
                "/v1/cases/search",
                data="{}",
                headers=filled.asker.headers() | {"Content-Type": "application/json"},
                environ_overrides={key: field.replace("\r", "").replace("\n", "").replace("\0", "")},
            )

        return ask

    value = true.get(name, "a").replace("{", "{{").replace("}", "}}")
    forms = ("{}", value + "{}", value + "; {}", "{} " + value) if name in true else ("{}",)
    for number, form in enumerate(forms):
        at = number + HEADERS.index(name)
        texts = (*some(at, SHORT, 4), *some(at, LONG, 4))
        is_plain(asking(form), texts, f"{name}: {form}")


FORM = ("grant_type", "client_assertion_type", "client_assertion", "client_id", "scope", "resource", "audience")
CLAIMS = ("iss", "sub", "aud", "jti", "iat", "exp", "officer", "nbf", "nonsense")


def form(city: City, **claims: str) -> dict[str, str]:
    """Return a token request as the client sends it, with claims of another making."""
    plain = jwt.decode(tokens.assertion("one", ISSUER, city.asker.key), tokens.jwk(city.asker.key)).claims
    # What JSON can't write is no claim.
    made = plain | {name: text.encode("utf-8", "replace").decode() for name, text in claims.items()}
    text = jwt.encode({"alg": "ES256", "typ": "JWT"}, made, tokens.jwk(city.asker.key), algorithms=["ES256"])
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": text,
        "client_id": "one",
    }


def test_a_text_in_the_place_of_a_form_field(filled: City) -> None:
    """Names and values of the token request, and the claims of an assertion that the client has really signed."""
    assert filled.world.request("POST", "/oauth/token", data=form(filled)).status_code == 200

    def told(answer: TestResponse) -> TestResponse:
        if answer.status_code == 200:
            # A token is another each time; what it says is the client's own.
            assert answer.get_json().keys() == {"access_token", "token_type", "expires_in"}
            answer.set_data(b"")
        return answer

    def asking(field: str, *, name: bool, claim: bool) -> Callable[[str], TestResponse]:
        def ask(text: str) -> TestResponse:
            sent = form(filled, **{field: text}) if claim else form(filled)
            if not claim:
                sent = {n: v for n, v in sent.items() if n != field} | {
                    text if name else field: "one" if name else text
                }
            encoded = "&".join(
                f"{quote(n, safe='', errors='surrogatepass')}={quote(v, safe='', errors='surrogatepass')}"
                for n, v in sent.items()
            )
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            return told(filled.world.request("POST", "/oauth/token", data=encoded, headers=kind))

        return ask

    for number, field in enumerate((*FORM, *CLAIMS)):
        claim = field in CLAIMS
        texts = (*some(number, SHORT), *some(number, LONG))
        for name in (False,) if claim else (True, False):
            is_plain(asking(field, name=name, claim=claim), texts, f"{field} {name}")


def test_no_text_reaches_the_log_or_telemetry_in_the_open(filled: City) -> None:
    """What was sent in all these places stands in no leaf and no line of telemetry."""
    for text in LONG[:3]:
        filled.search(filter={"code": {"eq": text}})
        filled.search(**{text: 1})
        filled.asker.get(f"/v1/cases/{quote(text)}")
    told = json.dumps(filled.world.leaves()) + filled.world.lines.getvalue()
    assert not [text for text in LONG if json.dumps(text)[1:-1] in told]
