"""A real webhook on this machine, which notes what it is sent and answers as it is told."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Within a minute, the design says; nothing here takes so long.
SOON = 20.0


@dataclass(slots=True)
class Hook:
    """What a webhook got, and how it answers."""

    url: str = ""
    status: int = 204
    seconds: float = 0.0
    location: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def kinds(self) -> list[str]:
        """Return the kinds of the alerts that came, in their order."""
        return [body["kind"] for body in self.bodies]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the alerts of a kind."""
        return [body for body in self.bodies if body["kind"] == kind]

    def await_one(self, kind: str) -> dict[str, Any]:
        """Wait for an alert of a kind."""
        await_that(lambda: bool(self.of(kind)), f"no alert {kind} came, only {self.kinds()}")
        return self.of(kind)[0]


def await_that(happened: Callable[[], bool], otherwise: str, within: float = SOON) -> None:
    """Wait until something has happened."""
    deadline = time.monotonic() + within
    while not happened():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


@contextlib.contextmanager
def running() -> Iterator[Hook]:
    """Run a webhook for a block."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.bodies.append(body | {"path": self.path})
            hook.headers.append(dict(self.headers))
            hook.released.wait(hook.seconds)
            with contextlib.suppress(OSError):
                self.send_response(hook.status)
                if hook.location:
                    self.send_header("Location", hook.location)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.url = f"http://127.0.0.1:{server.server_port}/alerts"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hook
    finally:
        hook.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
