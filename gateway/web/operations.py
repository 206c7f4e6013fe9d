"""What operators and everyone may read: health, readiness, counters, the public part of the log."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flask import Blueprint, Response, jsonify, request

from gateway.audit.public import PublicPart
from gateway.audit.tiles import NoTile, parse
from gateway.errors import Code, NotFound, Unavailable
from gateway.telemetry import Telemetry
from gateway.web.problems import TEXT, told, unavailable

Check = Callable[[], object]

# A tile never changes (tlog-tiles, "Merkle Tree").
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Readiness:
    """What must be ready: parts whose checks raise Unavailable, and the resources that are refused, by name."""

    checks: Mapping[str, Check]
    refused: Callable[[], Iterable[str]]


def blueprint(telemetry: Telemetry, public: PublicPart, readiness: Readiness) -> Blueprint:
    """Build the routes."""
    operations = Blueprint("operations", __name__)

    @operations.get("/healthz")
    def healthz() -> Response:
        """Say that the process answers."""
        return jsonify(status="alive")

    @operations.get("/readyz")
    def readyz() -> Response:
        """Say which parts are ready; nothing of their contents."""
        parts = {name: _ready(check) for name, check in readiness.checks.items()}
        refused = sorted(readiness.refused())
        response = jsonify(ready=all(parts.values()), parts=parts, refused=refused)
        response.status_code = 200 if all(parts.values()) else 503
        return response

    @operations.get("/metrics")
    def metrics() -> Response:
        """Give the counters to this machine alone: how much is refused is nobody else's to know."""
        address = ipaddress.ip_address(request.remote_addr or "::")
        if not address.is_loopback:
            return unavailable()
        return Response(telemetry.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")

    @operations.get("/log/checkpoint")
    def checkpoint() -> Response:
        """Give the newest signed checkpoint (C2SP tlog-tiles), as it stands in the public part."""
        note = public.kept()
        return unavailable() if note is None else Response(note, content_type=TEXT)

    @operations.get("/log/tile/<path:path>")
    def tile(path: str) -> Response:
        """Give a tile of the newest checkpoint's tree. That one is not there is public too, and has no entry."""
        try:
            content = public.tile(parse(path))
        except NoTile:
            content = None
        if content is None:
            return told(NotFound(Code.ROUTE_UNKNOWN, "The checkpoint's tree has no such tile, or no longer."))
        response = Response(content, content_type="application/octet-stream")
        response.headers["Cache-Control"] = _FOR_EVER
        return response

    return operations


def _ready(check: Check) -> bool:
    try:
        check()
    except Unavailable:
        return False
    return True
