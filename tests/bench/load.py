"""A bounded HTTP client: keeps connections of this machine busy for some seconds, and times each answer."""

import socket
import time
from collections.abc import Sequence
from itertools import cycle
from selectors import EVENT_READ, DefaultSelector

from tests.bench.sample import Sample, sample

_PATIENCE = 60
_CHUNK = 1 << 18
_LENGTH = b"\r\ncontent-length: "


class _Connection:
    """A keep-alive connection that waits for one answer at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer = bytearray()
        self.began = 0
        self._end: int | None = None

    def ask(self, request: bytes) -> None:
        """Send a request."""
        self.answer.clear()
        self._end = None
        self.began = time.perf_counter_ns()
        self.socket.sendall(request)

    def read(self) -> bool:
        """Read what has come; return whether the answer is whole."""
        chunk = self.socket.recv(_CHUNK)
        if not chunk:
            raise RuntimeError("the server closed a connection")
        self.answer += chunk
        if self._end is None:
            self._end = _end(self.answer)
        return self._end is not None and len(self.answer) >= self._end


def _end(answer: bytearray) -> int | None:
    """Return where an answer ends; refuse any but 200, since a refusal is not what is measured."""
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return None
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"not an answer: {bytes(answer[:1000])!r}")
    start = answer[: head + 2].lower().index(_LENGTH) + len(_LENGTH)
    return head + 4 + int(answer[start : answer.index(b"\r\n", start)])


def ask(port: int, request: bytes) -> bytes:
    """Ask once; return the answer's body."""
    connection = _Connection(port)
    with connection.socket:
        connection.ask(request)
        while not connection.read():
            pass
        return bytes(connection.answer).partition(b"\r\n\r\n")[2]


def drive(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Sample:
    """Ask again and again on some connections; raise RuntimeError where an answer is missing or is none."""
    asked = cycle(requests)
    opened = [_Connection(port) for _ in range(connections)]
    latencies: list[float] = []
    with DefaultSelector() as ready:
        for connection in opened:
            ready.register(connection.socket, EVENT_READ, connection)
        began = now = time.perf_counter_ns()
        until = began + int(seconds * 1e9)
        for connection in opened:
            connection.ask(next(asked))
        busy = len(opened)
        while busy:
            found = ready.select(_PATIENCE)
            if not found:
                raise RuntimeError(f"no answer in {_PATIENCE} seconds")
            for key, _ in found:
                if not key.data.read():
                    continue
                now = time.perf_counter_ns()
                latencies.append((now - key.data.began) / 1e6)
                if now < until:
                    key.data.ask(next(asked))
                else:
                    # Its server may close it while others are still waited for.
                    ready.unregister(key.fileobj)
                    busy -= 1
    for connection in opened:
        connection.socket.close()
    return sample((now - began) / 1e9, latencies)
