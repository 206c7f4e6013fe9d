"""A running gateway takes new keys by a reload: one process after the other is replaced, and it goes on serving."""

import json
import signal
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.keys import public_pem
from tests import world
from tests.e2e import servers
from tests.e2e.servers import Server
from tests.keys.city import DAY, Machine
from tests.services import Postgres
from tests.world import IMMIGRATION, Databases


@pytest.fixture
def machine(postgres: Postgres, postgres_arrests: str, valkey: str, tmp_path: Path) -> Machine:
    """A machine with two workers over PostgreSQL."""
    port = servers.free_port()
    chosen = world.settings(
        Databases(postgres.url(postgres_arrests), postgres.url(postgres.create())),
        tmp_path / "keys",
        bind=f"127.0.0.1:{port}",
        issuer=f"http://127.0.0.1:{port}",
        workers="2",
        limiter_storage=valkey,
        rehearsal_day=DAY,
    )
    world.prepare(chosen)
    return Machine(chosen)


def published(server: Server) -> int:
    """Return how many token keys a process publishes."""
    status, _, body = server.ask("GET", "/.well-known/jwks.json")
    assert status == 200
    return len(json.loads(body)["keys"])


def test_a_reload_takes_new_keys_and_drops_nobody(machine: Machine, tmp_path: Path) -> None:
    """After HUP both processes know both keys, each has said so in the log, and what a client holds is good."""
    key = ec.generate_private_key(ec.SECP256R1())
    with machine.store() as store:
        world.register(store, "ice-ero", public_pem(key), world.agreement("ice-ero"))
    given = world.given(machine.settings)
    with servers.running(servers.program("serve"), given, tmp_path / "log") as server:
        token = server.token("ice-ero", key)
        status, _, first = server.search(token, IMMIGRATION, limit=1)
        assert status == 200
        for use in ("token", "ids", "cursors", "checkpoint"):
            machine.rotate(use)
        assert [published(server) for _ in range(8)] == [1] * 8
        server.process.send_signal(signal.SIGHUP)
        deadline, known = time.monotonic() + 60, 0
        while known < 20 and time.monotonic() < deadline:
            known = known + 1 if published(server) == 2 else 0
            time.sleep(0.05)
        assert known == 20, (tmp_path / "log").read_text()[-2000:]
        identifier = json.loads(first)["records"][0]["id"]
        headers = {"Authorization": f"Bearer {token}", "Access-Purpose": IMMIGRATION}
        assert server.ask("GET", f"/v1/arrests/{identifier}", headers=headers)[0] == 200
        cursor = json.loads(first)["next"]
        assert server.search(server.token("ice-ero", key), IMMIGRATION, limit=1, cursor=cursor)[0] == 200
    begun = [leaf["keys"]["token"]["number"] for leaf in machine.leaves("gateway-start")]
    assert begun == [1, 1, 2, 2]


def test_a_reload_with_strange_keys_stops_the_server(machine: Machine, tmp_path: Path) -> None:
    """Keys that were exchanged under a running gateway serve nobody: it ends, and says which file is wrong."""
    given = world.given(machine.settings)
    log = tmp_path / "log"
    with servers.running(servers.program("serve"), given, log) as server:
        (machine.keys / "ids-1.pem").write_bytes((machine.keys / "cursors-1.pem").read_bytes())
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(60) != 0
    assert f"gateway: {machine.keys}/ids-1.pem is not the key that the log knows" in log.read_text()
