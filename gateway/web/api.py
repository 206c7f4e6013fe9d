"""The data API, /v1, and its description: each request walks one road, and only what the door gave may be sent."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from flask import Blueprint, Response, g, request
from werkzeug.routing import BaseConverter

from gateway.access import Circumstances, Subject
from gateway.bounds import MAX_BODY
from gateway.disclosure import Answer, Custodian, LoggedRefusal
from gateway.errors import Code, Malformed, Throttled, Unauthenticated
from gateway.identity.tokens import AccessTokens, SuspendedClient
from gateway.notices import Notices
from gateway.web import parse
from gateway.web.grid import Grid
from gateway.web.problems import SentAnswer, send, unavailable
from gateway.web.throttle import Throttle

_BEARER = "bearer "

Ask = Callable[[Subject, Circumstances], Answer]


class RecordConverter(BaseConverter):
    """An id in a path: any text but the one that is an address of its own, or each would answer for the other."""

    regex = r"(?!search\Z)[^/]+"
    part_isolating = True


def circumstances() -> Circumstances:
    """Return how this request came."""
    # What the client says of its length may be any number; no more than this is read.
    announced = min(request.content_length or 0, MAX_BODY + 1)
    return Circumstances(request.remote_addr or "unknown", g.began, announced)


def blueprint(
    custodian: Custodian, notices: Notices, tokens: AccessTokens, throttle: Throttle, grid: Grid
) -> Blueprint:
    """Build the routes of /v1, and of the document that describes them."""
    api = Blueprint("api", __name__)
    road = _Road(custodian, tokens, throttle, grid)

    @api.get("/openapi.json")
    def openapi() -> Response:
        return road.walk("describe", lambda: partial(custodian.disclose, parse.specify(request)))

    @api.get("/v1/resources")
    def resources() -> Response:
        return road.walk("read", lambda: partial(custodian.disclose, parse.describe(request)))

    @api.post("/v1/<resource>/search")
    def search(resource: str) -> Response:
        return road.walk("read", lambda: partial(custodian.disclose, parse.search(request, resource)))

    @api.get("/v1/entries/<identifier>")
    def receipt(identifier: str) -> Response:
        return road.walk("receipt", lambda: _without_body(partial(custodian.receipt, identifier)))

    @api.get("/v1/notices")
    def owed() -> Response:
        return road.walk("notices", lambda: _without_body(partial(custodian.serve, "notices", notices.listed)))

    @api.post("/v1/notices/<identifier>/acknowledge")
    def acknowledge(identifier: str) -> Response:
        heard = partial(custodian.serve, "notice-acknowledge", partial(notices.acknowledged, identifier))
        return road.walk("notice-acknowledge", lambda: _without_body(heard))

    @api.get("/v1/<resource>/<record:identifier>")
    def record(resource: str, identifier: str) -> Response:
        return road.walk("read", lambda: partial(custodian.disclose, parse.lookup(request, resource, identifier)))

    @api.after_request
    def only_from_the_door(response: Response) -> Response:
        """A route that forgot the road answers nothing."""
        return response if isinstance(response, SentAnswer) else unavailable()

    return api


def _without_body(ask: Ask) -> Ask:
    parse.nothing(request)
    return ask


class _Road:
    """Authenticate, throttle, parse, disclose; in this order, so that a stranger's JSON is never read."""

    def __init__(self, custodian: Custodian, tokens: AccessTokens, throttle: Throttle, grid: Grid) -> None:
        self._custodian = custodian
        self._tokens = tokens
        self._throttle = throttle
        self._grid = grid

    def walk(self, action: str, read: Callable[[], Ask]) -> Response:
        """Answer a request; `read` gives what to ask of the door, `action` names what is refused before."""
        answer = self._answer(action, read)
        return self._throttle.told(send(answer), answer.refusal if isinstance(answer, LoggedRefusal) else None)

    def _answer(self, action: str, read: Callable[[], Ask]) -> Answer:
        came = circumstances()
        try:
            subject = self._tokens.subject(_bearer())
        except SuspendedClient as refusal:
            return self._custodian.refuse_counted(refusal, refusal.subject, came, action=action)
        except Unauthenticated as refusal:
            return self._custodian.refuse_unknown(refusal, came, action=action)
        g.subject = subject
        try:
            self._throttle.check_client(subject.client)
        except Throttled as refusal:
            return self._custodian.refuse_counted(refusal, subject, came, action=action)
        try:
            ask = read()
            # A body in chunks has no length before it is read.
            came = replace(came, bytes_in=len(parse.content(request)))
        except Malformed as refusal:
            stated = _stated_purpose()
            return self._custodian.refuse(refusal, subject, came, action=action, purpose=stated)
        return self._grid.hold(lambda: ask(subject, came))


def _bearer() -> str:
    """Return the access token (RFC 6750, section 2.1)."""
    header = request.headers.get("Authorization", "")
    token = header[len(_BEARER) :]
    if not header.lower().startswith(_BEARER) or not token.isascii() or " " in token or not token:
        raise Unauthenticated(Code.UNAUTHENTICATED, "Send the header Authorization: Bearer with an access token.")
    return token


def _stated_purpose() -> str | None:
    try:
        return parse.purpose(request)
    except Malformed:
        return None


def begin() -> None:
    """Note when a request began."""
    g.began = time.monotonic()
