"""What operators and everyone may read: health, readiness, counters, the log's newest checkpoint."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flask import Blueprint, Response, jsonify, request

from gateway.audit.log import Log
from gateway.errors import Unavailable
from gateway.telemetry import Telemetry
from gateway.web.problems import unavailable

Check = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Readiness:
    """What must be ready: parts whose checks raise Unavailable, and the resources that are refused, by name."""

    checks: Mapping[str, Check]
    refused: Callable[[], Iterable[str]]


def blueprint(telemetry: Telemetry, log: Log, readiness: Readiness) -> Blueprint:
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
        """Give the newest signed checkpoint (C2SP tlog-tiles)."""
        return Response(log.checkpoint(), content_type="text/plain; charset=utf-8")

    return operations


def _ready(check: Check) -> bool:
    try:
        check()
    except Unavailable:
        return False
    return True
