"""Random sessions: what one client asks, step by step, good and bad; and how bad requests are refused."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from gateway.errors import Code
from tests.disclosure import questions
from tests.disclosure.questions import Knowledge
from tests.disclosure.regimes import PURPOSES, Regime, opens
from tests.disclosure.stage import NOTICES
from tests.disclosure.worlds import MOST_KEYS, Sight, compared


@dataclass(frozen=True, slots=True)
class Pages:
    """Ask a question, and for every further page."""

    purpose: str
    body: dict[str, Any]
    case: str | None


@dataclass(frozen=True, slots=True)
class ById:
    """Ask for a record by its id: the client's own for a key, or one that is no id of the client's for this purpose."""

    purpose: str
    kind: str
    key: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Use a cursor that was given before: as it is, edited, for another question, or one that another client got."""

    kind: str
    number: int
    limit: int


@dataclass(frozen=True, slots=True)
class Plain:
    """A request that needs no more than its words, and the code of its refusal; None where it is answered."""

    method: str
    path: str
    headers: tuple[tuple[str, str | None], ...]
    content: bytes | None
    code: Code | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Ask for the receipt of an earlier entry: the client's own, another client's, or none."""

    kind: str
    number: int


@dataclass(frozen=True, slots=True)
class Seal:
    """Let the log be sealed and published."""


@dataclass(frozen=True, slots=True)
class Others:
    """Let other clients ask, in each world what they ask there."""


Step = Pages | ById | Resume | Plain | Receipt | Seal | Others

IDS = ("own", "own", "own", "own", "another client's", "for another purpose", "edited", "of a person", "no id")
CURSORS = ("again", "edited", "for another question", "another client's", "no cursor")
RECEIPTS = ("own", "own", "another client's", "none")


def session(chance: Random, regime: Regime, seen: Mapping[str, list[Sight]]) -> Iterator[Step]:
    """Yield some steps of each kind, in a random order; `seen` is what the client may see, by its purposes."""
    steps: list[Step] = [_pages(chance, regime, seen) for _ in range(chance.randint(2, 4))]
    steps += [_by_id(chance, regime) for _ in range(chance.randint(2, 4))]
    steps += [chance.choice(PLAIN) for _ in range(chance.randint(2, 4))]
    steps += [Others(), *([Seal()] if chance.random() < 0.3 else [])]
    steps.append(chance.choice(ANSWERED))
    chance.shuffle(steps)
    for step in steps:
        yield step
        if isinstance(step, Pages) and chance.random() < 0.5:
            yield Resume(chance.choice(CURSORS), chance.randint(0, 99), chance.choice((1, 2, 3)))
    for _ in range(chance.randint(0, 2)):
        yield Receipt(chance.choice(RECEIPTS), chance.randint(0, 99))


def _purpose(chance: Random, regime: Regime) -> str:
    return chance.choice(PURPOSES) if chance.random() < 0.1 else chance.choice(sorted(regime.agreement.purposes))


def _by_id(chance: Random, regime: Regime) -> ById:
    return ById(_purpose(chance, regime), chance.choice(IDS), chance.randint(1, MOST_KEYS))


def _pages(chance: Random, regime: Regime, seen: Mapping[str, list[Sight]]) -> Pages:
    purpose = _purpose(chance, regime)
    law = regime.laws.get(purpose)
    body: dict[str, Any] = {}
    if law is not None and opens(law):
        body = questions.search(chance, Knowledge(law, compared(seen[purpose])))
    return Pages(purpose, body, chance.choice((None, None, "DC 24-1/7")))


# --- requests that are answered alike whatever the databases hold --------------------------------------------------

_SEARCH = "/v1/cases/search"


def _posted(body: Any, code: Code, **headers: str | None) -> Plain:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Plain("POST", _SEARCH, given, content, code)


def _got(path: str, code: Code | None, method: str = "GET", **headers: str | None) -> Plain:
    return Plain(method, path, tuple((name.replace("_", "-"), value) for name, value in headers.items()), None, code)


def _deep(levels: int) -> dict[str, Any]:
    return {"not": _deep(levels - 1)} if levels else {"code": {"eq": "a"}}


_NO_FILTERS: tuple[object, ...] = ({}, [], {"and": []}, {"named": {"born": 1984}})
PLAIN: tuple[Plain, ...] = (
    *(_posted(text, Code.MALFORMED) for text in (b"", b"{", b"[]", b"\xff", b'{"limit": 1, "limit": 2}')),
    *(_posted({"filter": asked}, Code.MALFORMED) for asked in _NO_FILTERS),
    *(_posted({"sort": named}, Code.MALFORMED) for named in ("code", ["code", "-code"], [1])),
    *(_posted({"limit": limit}, Code.OUT_OF_DOMAIN) for limit in (0, 201, True, "1", None)),
    _posted(b'{"limit": NaN}', Code.MALFORMED),
    _posted({"total": True}, Code.UNKNOWN_PARAMETER),
    _posted({"filter": {"code": {"eq": "\0"}}}, Code.OUT_OF_DOMAIN),
    _posted({"filter": {"code": {"eq": {"or": 1}}}}, Code.UNKNOWN_OPERATOR),
    _posted({"filter": _deep(8)}, Code.TOO_COMPLEX),
    _posted({"filter": {"or": [{"code": {"eq": "a"}}] * 51}}, Code.TOO_COMPLEX),
    _posted({"cursor": 1}, Code.CURSOR_INVALID),
    _posted(b"{}".ljust(70_000), Code.TOO_LARGE),
    _posted({}, Code.NOT_JSON, Content_Type="text/plain"),
    _posted({}, Code.NOT_JSON, Content_Encoding="gzip"),
    _posted({}, Code.PURPOSE_MISSING, Access_Purpose=None),
    _posted({}, Code.PURPOSE_UNKNOWN, Access_Purpose="Looking around"),
    _posted({}, Code.PURPOSE_UNKNOWN, Access_Purpose="sleeping"),
    _posted({}, Code.UNAUTHENTICATED, Authorization=None),
    _posted({}, Code.TOKEN_INVALID, Authorization="Bearer e30.e30.e30"),
    Plain("POST", _SEARCH + "?limit=1", (), b"{}", Code.UNKNOWN_PARAMETER),
    Plain("POST", "/v1/nope/search", (), b"{}", Code.RESOURCE_UNKNOWN),
    _got("/v1/nope/" + "A" * 34, Code.RESOURCE_UNKNOWN),
    _got(_SEARCH, Code.METHOD_NOT_ALLOWED),
    _got("/v1/cases/1", Code.RECORD_NOT_FOUND),
    _got("/v1/cases/1/counts", Code.ROUTE_UNKNOWN),
    _got("/v1/cases", Code.ROUTE_UNKNOWN),
    _got("/v1/resources?fields=name", Code.UNKNOWN_PARAMETER),
    _got("/v1/resources", Code.METHOD_NOT_ALLOWED, "PUT"),
    _got(_SEARCH, Code.METHOD_NOT_ALLOWED, "DELETE"),
    _got(_SEARCH, Code.METHOD_NOT_ALLOWED, "OPTIONS"),
    _got("/v1/resources", Code.PURPOSE_MISSING, Access_Purpose=None),
    _got("/openapi.json", Code.PURPOSE_MISSING, Access_Purpose=None),
    _got(f"/v1/notices/{NOTICES['three'][0]}/acknowledge", Code.NOTICE_NOT_FOUND, "POST"),
    _got(f"/v1/notices/{'9' * 32}/acknowledge", Code.NOTICE_NOT_FOUND, "POST"),
)
# What is answered, and says nothing of records.
ANSWERED: tuple[Plain, ...] = (
    *(_got(path, None) for path in ("/v1/resources", "/v1/resources", "/v1/notices", "/v1/notices")),
    *(_got("/openapi.json", None) for _ in range(3)),
    _got("/v1/resources", None, "HEAD"),
    _got(f"/v1/notices/{NOTICES['one'][0]}/acknowledge", None, "POST"),
    _got("/.well-known/oauth-protected-resource", None),
    _got("/healthz", None),
)
