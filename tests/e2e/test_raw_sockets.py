"""What only a real server and a raw socket show: odd hosts, broken chunks, peers that send nothing."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app as composition
from gateway.cli.serve import PATIENCE
from gateway.identity import tokens
from gateway.keys import public_pem
from gateway.settings import read
from tests.e2e import servers
from tests.e2e.servers import Server
from tests.world import ASSERTION_TYPE, POLICIES, agreement, passphrase, prepare, register

KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def server(sqlite_arrests: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server with two threads."""
    directory = tmp_path_factory.mktemp("raw")
    port = servers.free_port()
    given = {
        "arrest_url": sqlite_arrests,
        "store_url": f"sqlite:///{directory / 'store.db'}",
        "keys": str(directory / "keys"),
        "keys_passphrase": str(passphrase(directory / "keys")),
        "policies": str(POLICIES),
        "approvers": str(directory / "approvers"),
        "issuer": f"http://127.0.0.1:{port}",
        "log_origin": "raw.gateway.test/log",
        "log_public": str(directory / "public"),
        "bind": f"127.0.0.1:{port}",
        "threads": "2",
    }
    settings = read({f"GATEWAY_{name.upper()}": value for name, value in given.items()})
    prepare(settings)
    with composition.open_log(settings) as log:
        register(log.store, "fbi", public_pem(KEY), agreement("fbi", "FBI"))
    with servers.running(servers.program("serve"), given, directory / "log") as running:
        yield running


@pytest.mark.parametrize("host", ["gateway.city.example", "127.0.0.1", "[::1]"])
def test_a_token_does_not_depend_on_the_host_that_the_client_names(server: Server, host: str) -> None:
    """The server's address is the settings' to say; a header decides nothing."""
    form = f"grant_type=client_credentials&client_assertion_type={ASSERTION_TYPE}&client_assertion="
    form += tokens.assertion("fbi", f"http://{server.address}", KEY)
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Host": host}
    status, _, body = server.ask("POST", "/oauth/token", form, kind)
    assert (status, json.loads(body)["token_type"]) == (200, "Bearer")


def exchange(server: Server, request: bytes, wait: float = PATIENCE + 5) -> bytes:
    """Send bytes, and read until the server closes."""
    address, _, port = server.address.partition(":")
    with socket.create_connection((address, int(port)), timeout=wait) as peer:
        peer.sendall(request)
        answer = b""
        while part := peer.recv(65536):
            answer += part
    return answer


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-5\r\n"])
def test_chunks_that_are_none_are_the_clients_fault(server: Server, chunk: bytes) -> None:
    """A malformed body is a 400 of RFC 6749 or a problem, and no failure of the gateway."""
    head = b"Host: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    form = b"POST /oauth/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n" + head + b"\r\n" + chunk
    answer = exchange(server, form)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"invalid_request" in answer
    token = server.token("fbi", KEY).encode()
    known = b"Authorization: Bearer " + token + b"\r\nAccess-Purpose: criminal-investigation\r\n"
    search = b"POST /v1/arrests/search HTTP/1.1\r\nContent-Type: application/json\r\n" + known + head + b"\r\n" + chunk
    answer = exchange(server, search)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"malformed-request" in answer


@pytest.mark.parametrize(
    "start", [b"", b"GET /healthz HT", b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\ng"]
)
def test_peers_that_send_nothing_do_not_hold_the_server_for_ever(server: Server, start: bytes) -> None:
    """With every thread waiting for a silent peer, another is served when their time is over."""
    address, _, port = server.address.partition(":")
    silent = [socket.create_connection((address, int(port))) for _ in range(4)]
    try:
        for peer in silent:
            peer.sendall(start)
        time.sleep(0.5)
        began = time.monotonic()
        answer = exchange(server, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 3 * PATIENCE)
        assert answer.startswith(b"HTTP/1.1 200")
        assert time.monotonic() - began < 3 * PATIENCE
    finally:
        for peer in silent:
            peer.close()
