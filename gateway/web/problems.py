"""Turns answers of the door into HTTP: disclosures as JSON, receipts as text, refusals as problems (RFC 9457)."""

from flask import Response

from gateway.audit.log import LoggedEntry
from gateway.disclosure import Answer, Disclosure, LoggedReceipt, LoggedRefusal
from gateway.errors import Code, Refusal, Unavailable
from gateway.problem import problem

JSON = "application/json"
PROBLEM = "application/problem+json"
TEXT = "text/plain; charset=utf-8"
RETRY_AFTER = {Code.UNAVAILABLE: "5", Code.ENTRY_NOT_SEALED: "1"}


class Sent(Response):
    """A response that carries the code of the refusal that it tells, if it tells one: requests are counted by it."""

    code: Code | None = None


class SentAnswer(Sent):
    """A response that stands on an entry of the log; on /v1 no other kind leaves."""


def send(answer: Answer) -> SentAnswer:
    """Write an answer as HTTP."""
    match answer:
        case Disclosure(body, entry):
            response = SentAnswer(body, 200, content_type=JSON)
        case LoggedReceipt(text, entry):
            response = SentAnswer(text, 200, content_type=TEXT)
        case LoggedRefusal(refusal, body, entry):
            response = SentAnswer(body, refusal.status, content_type=PROBLEM)
            response.code = refusal.code
            challenge(response, refusal)
            if refusal.code in RETRY_AFTER:
                response.headers["Retry-After"] = RETRY_AFTER[refusal.code]
    note(response, entry)
    return response


def note(response: Response, entry: LoggedEntry) -> None:
    """Name the entry that tells of an answer, and hand over the promise that it will be sealed."""
    response.headers["Log-Entry"] = entry.id
    response.headers["Log-Promise"] = entry.promise


def told(refusal: Refusal) -> Response:
    """Write a refusal that has no entry."""
    response = Sent(problem(refusal), refusal.status, content_type=PROBLEM)
    response.code = refusal.code
    return response


def unavailable() -> Response:
    """Write the one answer without an entry: the constant 503 of a gateway that can't log."""
    response = told(Unavailable())
    response.headers["Retry-After"] = RETRY_AFTER[Code.UNAVAILABLE]
    return response


def challenge(response: Response, refusal: Refusal) -> None:
    """Add what RFC 6750, section 3, asks of a 401."""
    if refusal.status != 401:  # noqa: PLR2004 -- HTTP's own number
        return
    known = refusal.code is Code.UNAUTHENTICATED
    response.headers["WWW-Authenticate"] = "Bearer" if known else 'Bearer error="invalid_token"'
