"""Throttles: by peer address over every request, and by verified client after authentication."""

import ipaddress

from flask import Flask, Request, Response, request
from flask_limiter import Limiter
from limits import RateLimitItem, parse_many

from gateway.errors import Code, Refusal, Throttled
from gateway.settings import Settings


class _EveryRequest(Limiter):
    """A limiter that leaves out no request; Flask-Limiter passes over those that match no route."""

    def identify_request(self) -> str:
        return super().identify_request() or "unmatched"


class Throttle:
    """The limits of an app, on one storage."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        # A sandbox that shares a storage with a real gateway shares no count with it.
        self._name = settings.log_origin
        self._clients = parse_many(settings.client_limit)
        self._peers = parse_many(settings.peer_limit)
        self._limiter = _EveryRequest(
            lambda: peer_network(request),
            app=app,
            application_limits=[settings.peer_limit],
            storage_uri=settings.limiter_storage,
            key_prefix=self._name,
            headers_enabled=False,
            swallow_errors=False,
        )

    def check_client(self, client: str) -> None:
        """Count a request of a verified client against the limits of clients; raise Throttled."""
        # Every limit is counted, so that the order of limits does not matter.
        within = [self._limiter.limiter.hit(limit, self._name, "client", client) for limit in self._clients]
        if not all(within):
            raise throttled()

    def told(self, response: Response, refusal: Refusal | None) -> Response:
        """Say in an answer how much is allowed (draft-ietf-httpapi-ratelimit-headers), and when to come again."""
        return self._told(response, refusal, self._clients)

    def told_peer(self, response: Response, refusal: Refusal) -> Response:
        """Say the same in a refusal of a request that no client is known for."""
        return self._told(response, refusal, self._peers)

    def _told(self, response: Response, refusal: Refusal | None, counted: list[RateLimitItem]) -> Response:
        policy = ", ".join(f'"client";q={limit.amount};w={limit.get_expiry()}' for limit in self._clients)
        response.headers["RateLimit-Policy"] = policy
        if refusal is not None and refusal.code is Code.THROTTLED:
            response.headers["Retry-After"] = str(max(limit.get_expiry() for limit in counted))
        return response


def throttled() -> Throttled:
    """Refuse for coming too often."""
    return Throttled(Code.THROTTLED, "Slow down; the field RateLimit-Policy says how much is allowed.")


def peer_network(asked: Request) -> str:
    """Name whom a request comes from: an IPv4 address, or the /64 of an IPv6 one, which one peer holds whole."""
    try:
        address = ipaddress.ip_address(asked.remote_addr or "")
    except ValueError:
        return "peer unknown"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return f"peer {ipaddress.ip_network((address, 64), strict=False)}"
    return f"peer {address}"
