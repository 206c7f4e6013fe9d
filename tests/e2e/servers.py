"""Runs the real program as its users do: as a process, over HTTP."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.identity import tokens
from gateway.keys import PrivateKey
from tests.world import ASSERTION_TYPE

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Server:
    """A running gateway."""

    process: subprocess.Popen[bytes]
    address: str

    def ask(
        self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request."""
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()
        finally:
            connection.close()

    def token(self, client: str, key: PrivateKey) -> str:
        """Get a token."""
        form = f"grant_type=client_credentials&client_assertion_type={ASSERTION_TYPE}&client_assertion="
        form += tokens.assertion(client, f"http://{self.address}", key)
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        status, _, body = self.ask("POST", "/oauth/token", form, kind)
        assert status == 200, body
        token: str = json.loads(body)["access_token"]
        return token

    def search(self, token: str, purpose: str, **asked: Any) -> tuple[int, dict[str, str], bytes]:
        """Search the arrests."""
        headers = {"Authorization": f"Bearer {token}", "Access-Purpose": purpose, "Content-Type": "application/json"}
        return self.ask("POST", "/v1/arrests/search", json.dumps(asked), headers)


def free_port() -> int:
    """Find a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with these settings and no others."""
    # A command that may not keep what it compiled takes seconds to start.
    dropped = ("GATEWAY_", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return inherited | {f"GATEWAY_{name.upper()}": value for name, value in settings.items()}


@contextlib.contextmanager
def running(command: Sequence[str], settings: Mapping[str, str], log: Path) -> Iterator[Server]:
    """Run a server until the block is left; wait until it is ready."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment(settings), stderr=output, stdout=output, cwd=ROOT)
    server = Server(process, settings["bind"])
    try:
        _await(server, log)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _await(server: Server, log: Path) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError):
            if server.ask("GET", "/readyz")[0] == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"the server is not ready:\n{log.read_text()[-3000:]}")


def program(*arguments: str) -> list[str]:
    """Return the command of the program."""
    return [sys.executable, "-m", "gateway", *arguments]


def run(arguments: Sequence[str], settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        program(*arguments),
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
