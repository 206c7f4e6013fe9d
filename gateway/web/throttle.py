"""Throttles: by peer address over every request, and by verified client after authentication."""

import ipaddress
import threading
from collections.abc import Callable, Sequence
from typing import Any

import redis
from flask import Flask, Request, Response, request
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage

from gateway.errors import Code, Refusal, Throttled
from gateway.settings import Settings

# Counts one under each key, which is forgotten so many seconds after it was first counted; returns the new counts.
Count = Callable[[Sequence[tuple[str, int]]], list[int]]


class Throttle:
    """The limits of an app, on one storage."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._peers = parse_many(settings.peer_limit)
        self._clients = parse_many(settings.client_limit)
        memory = settings.limiter_storage.startswith("memory")
        self._count: Count = _Own().count if memory else _Shared(settings.limiter_storage).count
        self._policy = ", ".join(f'"client";q={limit.amount};w={limit.get_expiry()}' for limit in self._clients)
        # Also before those that match no route.
        app.before_request(self._check_peer)

    def _check_peer(self) -> None:
        self._check(self._peers, "peer", peer_network(request))

    def check_client(self, client: str) -> None:
        """Count a request of a verified client against the limits of clients; raise Throttled."""
        self._check(self._clients, "client", client)

    def _check(self, limits: Sequence[RateLimitItem], scope: str, who: str) -> None:
        # Every limit is counted, so that the order of limits does not matter.
        counts = self._count([(limit.key_for(scope, who), limit.get_expiry()) for limit in limits])
        if any(count > limit.amount for count, limit in zip(counts, limits, strict=True)):
            raise throttled()

    def told(self, response: Response, refusal: Refusal | None) -> Response:
        """Say in an answer how much is allowed (draft-ietf-httpapi-ratelimit-headers), and when to come again."""
        response.headers["RateLimit-Policy"] = self._policy
        if refusal is not None and refusal.code is Code.THROTTLED:
            response.headers["Retry-After"] = str(max(limit.get_expiry() for limit in self._clients))
        return response


class _Own:
    """Counters in the memory of one process."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()

    def count(self, asked: Sequence[tuple[str, int]]) -> list[int]:
        return [self._storage.incr(key, seconds) for key, seconds in asked]


class _Shared:
    """Counters in Redis or Valkey, which processes share: one exchange for all limits, a connection for each thread."""

    def __init__(self, url: str) -> None:
        self._pool = redis.ConnectionPool.from_url(url)
        self._thread = threading.local()

    def count(self, asked: Sequence[tuple[str, int]]) -> list[int]:
        """Raise redis.RedisError where it can't be counted."""
        told = b"".join(
            _command(b"INCR", b"LIMITS:%b" % key.encode())
            # At each time: a key whose end a crash has left out would count for ever.
            + _command(b"EXPIRE", b"LIMITS:%b" % key.encode(), b"%d" % seconds, b"NX")
            for key, seconds in asked
        )
        connection = self._connection()
        try:
            answers = _exchanged(connection, told, 2 * len(asked))
        except redis.ConnectionError:
            # The server may have closed it long ago; what is counted twice harms nobody else.
            answers = _exchanged(connection, told, 2 * len(asked))
        return answers[::2]

    def _connection(self) -> Any:
        if not hasattr(self._thread, "connection"):
            self._thread.connection = self._pool.make_connection()
        return self._thread.connection


def _exchanged(connection: Any, told: bytes, answers: int) -> list[int]:
    try:
        connection.send_packed_command([told], check_health=False)
        return [int(connection.read_response()) for _ in range(answers)]
    except redis.RedisError:
        # What is left unread would answer the next.
        connection.disconnect()
        raise


def _command(*words: bytes) -> bytes:
    """Write a command as RESP has it."""
    return b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))


def throttled() -> Throttled:
    """Refuse for coming too often."""
    return Throttled(Code.THROTTLED, "Slow down; the field RateLimit-Policy says how much is allowed.")


def peer_network(asked: Request) -> str:
    """Name whom a request comes from: an IPv4 address, or the /64 of an IPv6 one, which one peer holds whole."""
    try:
        address = ipaddress.ip_address(asked.remote_addr or "")
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
