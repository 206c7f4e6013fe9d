"""Two worker processes on PostgreSQL follow what is activated while they are asked, and drop no request."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app as composition
from gateway.activation.statement import Lift, Rollback, Stop
from gateway.audit import sealed
from gateway.keys import public_pem
from gateway.settings import Settings, read
from tests import world
from tests.activation.city import directory
from tests.audit.logs import verify
from tests.e2e import servers
from tests.policy import small
from tests.services import Postgres

PURPOSE = "looking"
# Seconds in which every process must have followed.
SOON = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request: when it was sent and answered, its status, and the bundle or code that it names."""

    sent: float
    got: float
    status: int
    named: str


@dataclass(slots=True)
class Siege:
    """Several clients that ask without a pause until they are told to end."""

    server: servers.Server
    token: str
    answers: list[Answer] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Ask until the end; each answer is noted."""
        headers = {"Authorization": f"Bearer {self.token}", "Access-Purpose": PURPOSE}
        headers["Content-Type"] = "application/json"
        while not self.ending.is_set():
            sent = time.monotonic()
            status, _, body = self.server.ask("POST", "/v1/cases/search", '{"limit": 1}', headers)
            read = json.loads(body)
            named = read["policy"]["bundle"] if status == 200 else read["code"]
            self.answers.append(Answer(sent, time.monotonic(), status, named))

    def follows(self, change: Callable[[], object], named: str) -> None:
        """Make a change; soon after it, every answer names what it brought."""
        time.sleep(0.5)
        change()
        done = time.monotonic()
        time.sleep(SOON + 1)
        late = [answer for answer in self.answers if answer.sent > done + SOON]
        assert len(late) > 20
        assert {answer.named for answer in late} == {named}


@pytest.fixture
def settings(postgres: Postgres, valkey: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Prepare the small city on PostgreSQL, with a policy in force, for two workers."""
    names = postgres.create(), postgres.create()
    engine = sa.create_engine(postgres.url(names[0]))
    small.metadata.create_all(engine)
    engine.dispose()
    port = servers.free_port()
    given = {
        "arrest_url": postgres.url(names[0]),
        "store_url": postgres.url(names[1]),
        "keys": str(tmp_path / "keys"),
        "keys_passphrase": str(world.passphrase(tmp_path / "keys")),
        "policies": str(directory(tmp_path / "first", "first")),
        "approvers": str(tmp_path / "approvers"),
        "issuer": f"http://127.0.0.1:{port}",
        "log_origin": "live.gateway.test/log",
        "log_public": str(tmp_path / "public"),
        "bind": f"127.0.0.1:{port}",
        "workers": "2",
        "limiter_storage": valkey,
        "client_limit": "1000000/minute",
        "peer_limit": "1000000/minute",
    }
    world.prepare(composed(given))
    yield given
    for name in names:
        postgres.drop(name)


def composed(given: dict[str, str]) -> Settings:
    """Read settings."""
    return read({f"GATEWAY_{name.upper()}": value for name, value in given.items()})


def test_processes_follow_while_they_are_asked(settings: dict[str, str], tmp_path: Path) -> None:
    """Activation, rollback, stop and lift hold within two seconds; no request is dropped; each names one bundle."""
    chosen = composed(settings)
    key = ec.generate_private_key(ec.SECP256R1())
    with composition.open_log(chosen) as log:
        world.register(log.store, "ask", public_pem(key), world.agreement("ask", purposes=frozenset({PURPOSE})))
    with composition.open_register(chosen) as register:
        (first,) = [turn.bundle for turn in register.history().turns(composition.now())]
    second = directory(tmp_path / "second", "second")
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py"]
    with servers.running(command, settings, tmp_path / "log") as server, ThreadPoolExecutor(6) as pool:
        siege = Siege(server, server.token("ask", key))
        asking = [pool.submit(siege.ask) for _ in range(6)]
        try:
            brought = world.activate(chosen, second)
            digest = brought.deed.bundle  # type: ignore[union-attr] # an activation names its bundle
            siege.follows(lambda: None, digest)
            siege.follows(lambda: world.state(chosen, Rollback(first)), first)
            siege.follows(lambda: world.state(chosen, Stop("ICE")), "agency-stopped")
            siege.follows(lambda: world.state(chosen, Lift("ICE")), first)
        finally:
            siege.ending.set()
            for each in asking:
                each.result(30)
    expected = {(200, first), (200, digest), (403, "agency-stopped")}
    assert {(answer.status, answer.named) for answer in siege.answers} == expected
    told = [line for line in (tmp_path / "log").read_text().splitlines() if '"event": "policy-in-force"' in line]
    assert len(told) == 2 + 2 + 2, "each of two processes took three bundles into force"
    with composition.open_log(chosen) as log:
        log.log.seal_all()
        verify(log.store, log.log)
        sealed.check(log.store, log.openings)
