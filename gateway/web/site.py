"""The WSGI application: routes, what stands before all of them, and what becomes of errors."""

import time

from flask import Flask, Response, g, request
from flask_limiter import RateLimitExceeded
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway import sandbox
from gateway.audit.public import PublicPart
from gateway.bounds import MAX_QUESTION
from gateway.disclosure import Custodian, LoggedRefusal
from gateway.errors import Code, Malformed, NotFound, Refusal, Unavailable
from gateway.identity.tokens import AccessTokens, Assertions
from gateway.notices import Notices
from gateway.settings import Settings
from gateway.telemetry import RequestLine, Telemetry
from gateway.web import api, oauth, operations
from gateway.web.grid import Grid
from gateway.web.operations import Readiness
from gateway.web.problems import JSON, PROBLEM, Sent, send, unavailable
from gateway.web.throttle import Throttle, throttled


def build(
    settings: Settings,
    custodian: Custodian,
    notices: Notices,
    assertions: Assertions,
    tokens: AccessTokens,
    public: PublicPart,
    telemetry: Telemetry,
    readiness: Readiness,
) -> Flask:
    """Build the application."""
    app = Flask("gateway", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_QUESTION + 1, MAX_FORM_MEMORY_SIZE=MAX_QUESTION, PROVIDE_AUTOMATIC_OPTIONS=False
    )
    # A redirect would be an answer without an entry.
    app.url_map.merge_slashes = False
    app.url_map.converters["record"] = api.RecordConverter
    app.before_request(api.begin)
    throttle = Throttle(app, settings)
    app.register_blueprint(api.blueprint(custodian, notices, tokens, throttle, Grid(settings.answer_grid)))
    app.register_blueprint(oauth.blueprint(app, settings, custodian, assertions, tokens))
    app.register_blueprint(operations.blueprint(telemetry, public, readiness))
    _handle_errors(app, custodian, telemetry, throttle)
    _finish(app, telemetry)
    if settings.sandbox:
        _mark(app, settings.log_origin)
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=0, x_host=0)  # type: ignore[method-assign]
    return app


def _handle_errors(app: Flask, custodian: Custodian, telemetry: Telemetry, throttle: Throttle) -> None:
    def refused(refusal: Refusal) -> LoggedRefusal:
        came = api.circumstances()
        if "subject" in g:
            return custodian.refuse_counted(refusal, g.subject, came, action="any")
        return custodian.refuse_unknown(refusal, came, action="any")

    def logged(refusal: Refusal) -> Response:
        """Refuse with an entry, or as a gateway that can't log: what is raised in a handler would reach the server."""
        try:
            return throttle.told_peer(send(refused(refusal)), refusal)
        except Unavailable:
            return unavailable()
        except Exception as error:  # noqa: BLE001 -- the outermost edge, as below
            telemetry.failure(error)
            return unavailable()

    @app.errorhandler(RateLimitExceeded)
    def too_many(_: RateLimitExceeded) -> Response:
        """Refuse a peer that comes too often, whatever it asks for."""
        return logged(throttled())

    @app.errorhandler(HTTPException)
    def unmatched(error: HTTPException) -> Response:
        """Refuse what matches no route; nobody is authenticated there."""
        sent = logged(_refusal(error))
        for name, value in error.get_headers():
            if name == "Allow":
                sent.headers[name] = value
        return sent

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        """The outermost edge: say nothing of what went wrong, least of all to the client."""
        if isinstance(error, Unavailable):
            return unavailable()
        telemetry.failure(error)
        return logged(Unavailable())


def _refusal(error: HTTPException) -> Refusal:
    match error.code:
        case 404:
            return NotFound(Code.ROUTE_UNKNOWN, "See GET /openapi.json for the addresses.")
        case 405:
            return NotFound(Code.METHOD_NOT_ALLOWED, "See the field Allow.")
        case 413:
            return Malformed(Code.TOO_LARGE, f"A body may have {MAX_QUESTION} bytes.")
        case _:
            return Malformed(Code.MALFORMED, "The request can't be read.")


def _finish(app: Flask, telemetry: Telemetry) -> None:
    @app.after_request
    def finish(response: Response) -> Response:
        # Tiles alone have said otherwise.
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        telemetry.request(
            RequestLine(
                route=request.url_rule.rule if request.url_rule else "(none)",
                method=request.method if request.method in _METHODS else "(other)",
                status=response.status_code,
                code=_code(response),
                client=g.subject.client if "subject" in g else None,
                entry=response.headers.get("Log-Entry"),
                seconds=time.monotonic() - g.began if "began" in g else 0.0,
            )
        )
        return response


def _mark(app: Flask, log: str) -> None:
    """Let every response say that it is a sandbox's: in a header, and, where it is an object of JSON, in a member."""
    marked = sandbox.marked(log)

    @app.after_request
    def mark(response: Response) -> Response:
        name, value = sandbox.HEADER
        response.headers[name] = value
        # What stands on an entry was marked before it was written down.
        if "Log-Entry" not in response.headers and response.mimetype in (JSON, PROBLEM):
            response.set_data(marked(response.get_data()))
        return response


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _code(response: Response) -> str:
    if isinstance(response, Sent) and response.code is not None:
        return response.code.value
    return "ok" if response.status_code < 400 else "error"  # noqa: PLR2004 -- HTTP's own number
