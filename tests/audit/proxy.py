"""A small TCP proxy before PostgreSQL: it can part the two sides while both believe that they are connected."""

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

_CHUNK = 1 << 16
_MORE = 0.5


class Cut(Enum):
    """What befalls the connection on which the words are sent."""

    BEFORE = "nothing passes any more, the words least of all"
    AFTER = "the words still pass, and then nothing, not even the answer"
    DROPPED = "the words do not pass, and the connection ends"
    ANSWER_LOST = "the words pass, and instead of the answer the connection ends"


@dataclass(frozen=True, slots=True)
class Strike:
    """When to strike, once: as soon as a client sends these words."""

    words: bytes
    cut: Cut


class Proxy:
    """Passes bytes between clients and a server of this machine, until it strikes; `heal` lets them pass again."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._strike: Strike | None = None
        self._lock = threading.Lock()
        self._whole = threading.Event()
        self._whole.set()
        self.struck = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._run(self._accept)

    def arm(self, strike: Strike) -> None:
        """Strike when the words come."""
        self.struck.clear()
        with self._lock:
            self._strike = strike

    def heal(self) -> None:
        """Let pass what was held back, and all that comes."""
        self._whole.set()

    def close(self) -> None:
        """End every connection and every thread."""
        self.heal()
        with self._lock:
            for each in (self._listener, *self._sockets):
                _end(each)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _run(self, *work: object) -> None:
        target, *given = work
        thread = threading.Thread(target=target, args=given, daemon=True)  # type: ignore[arg-type] # one of ours
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket()
            # Little is under way at a time, so that a large answer stands still at the server.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            with self._lock:
                self._sockets += [client, server]
            try:
                server.connect(("127.0.0.1", self._target))
            except OSError:
                _end(client)
                _end(server)
                continue
            self._run(self._up, client, server)
            self._run(self._down, client, server)

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while sent := client.recv(_CHUNK):
                cut = self._struck_by(sent)
                match cut:
                    case None:
                        self._whole.wait()
                        server.sendall(sent)
                    case Cut.BEFORE:
                        self._whole.clear()
                        self.struck.set()
                        self._whole.wait()
                        server.sendall(sent)
                    case Cut.AFTER:
                        self._whole.clear()
                        server.sendall(sent + _rest(client))
                        self.struck.set()
                        self._whole.wait()
                    case Cut.DROPPED:
                        self.struck.set()
                        break
                    case Cut.ANSWER_LOST:
                        # Nothing more can be sent to the client; the words are carried out all the same.
                        client.shutdown(socket.SHUT_WR)
                        server.sendall(sent)
                        self.struck.set()
        _end(client)
        _end(server)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                self._whole.wait()
                answer = server.recv(_CHUNK)
                self._whole.wait()
                if not answer:
                    break
                client.sendall(answer)
        _end(client)
        _end(server)

    def _struck_by(self, sent: bytes) -> Cut | None:
        with self._lock:
            if self._strike is None or self._strike.words not in sent:
                return None
            cut, self._strike = self._strike.cut, None
            return cut


def _rest(client: socket.socket) -> bytes:
    """Return what a client still sends before it waits for an answer."""
    rest = b""
    client.settimeout(_MORE)
    with suppress(TimeoutError):
        while sent := client.recv(_CHUNK):
            rest += sent
    client.settimeout(None)
    return rest


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
