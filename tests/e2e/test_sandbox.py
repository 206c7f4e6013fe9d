"""A real gateway and its sandbox as two processes, as deploy/README.md sets them up, and each way to mix them up."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app as composition
from gateway.keys import PrivateKey, public_pem
from gateway.settings import read
from tests import arrests, world
from tests.e2e import servers
from tests.e2e.test_two_processes import psql
from tests.services import Postgres
from tests.world import POLICIES, agreement, passphrase, prepare_over

CLIENT, PURPOSE = "fbi", "criminal-investigation"


@pytest.fixture
def urls(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, tuple[str, str]]]:
    """The arrest database and the store of each; on PostgreSQL the arrests by the role that may only SELECT."""
    made: dict[str, tuple[str, str]] = {}
    with ExitStack() as stack:
        for kind in ("real", "sandbox"):
            if dialect == "sqlite":
                made[kind] = (f"sqlite:///{tmp_path / kind}.db", f"sqlite:///{tmp_path / kind}-store.db")
                owner = made[kind][0]
            else:
                server: Postgres = request.getfixturevalue("postgres")
                names = (server.create(), server.create())
                for name in names:
                    stack.callback(server.drop, name)
                reader = f"reader_of_{names[0]}"
                owner = server.url(names[0])
                made[kind] = (server.url(names[0], reader), server.url(names[1]))
            done = servers.run(["seed", "--arrests", "300", "--url", owner], {})
            assert done.returncode == 0, done.stderr
            if dialect == "postgresql":
                psql(server, names[0], "part=arrests", f"database={names[0]}", f"reader={reader}")
            if kind == "real":
                arrests.stand_for_real(owner)
        yield made


@pytest.fixture
def key() -> PrivateKey:
    """The client's key, which it uses at both."""
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def both(urls: Mapping[str, tuple[str, str]], key: PrivateKey, tmp_path: Path) -> dict[str, dict[str, str]]:
    """The settings of the real gateway and of the sandbox, each with the client registered."""
    made = {}
    for kind, (arrest_url, store_url) in urls.items():
        directory = tmp_path / kind
        directory.mkdir()
        address = f"127.0.0.1:{servers.free_port()}"
        made[kind] = {
            "arrest_url": arrest_url,
            "store_url": store_url,
            "keys": str(directory / "keys"),
            "keys_passphrase": str(passphrase(directory / "keys")),
            "policies": str(POLICIES),
            "approvers": str(directory / "approvers"),
            "issuer": f"http://{address}",
            "bind": address,
            "log_origin": "gateway.city.example/log" if kind == "real" else "sandbox.gateway.city.example/log",
            "log_public": str(directory / "public"),
            **({"sandbox": "true"} if kind == "sandbox" else {}),
        }
        chosen = read({f"GATEWAY_{name.upper()}": value for name, value in made[kind].items()})
        prepare_over(chosen)
        with composition.open_log(chosen) as opened:
            world.register(opened.store, CLIENT, public_pem(key), agreement(CLIENT, "FBI"))
    return made


def test_both_serve_beside_each_other_and_neither_takes_what_is_the_others(
    both: dict[str, dict[str, str]], key: PrivateKey, tmp_path: Path
) -> None:
    """The same question to both: one answer says that it is a sandbox's; tokens and ids are good at one only."""
    with ExitStack() as stack:
        served = {
            kind: stack.enter_context(servers.running(servers.program("serve"), both[kind], tmp_path / f"{kind}.log"))
            for kind in both
        }
        tokens = {kind: server.token(CLIENT, key) for kind, server in served.items()}
        pages = {}
        for kind, server in served.items():
            status, headers, body = server.search(tokens[kind], PURPOSE, limit=2)
            pages[kind] = json.loads(body)
            said = (status, headers.get("Sandbox"), pages[kind].get("sandbox"))
            assert said == ((200, None, None) if kind == "real" else (200, "invented-records", True))
            ready = json.loads(server.ask("GET", "/readyz")[2])
            assert (ready["ready"], ready.get("sandbox")) == (True, None if kind == "real" else True)
            note = server.ask("GET", "/log/checkpoint")[2]
            assert note.startswith(b"sandbox.") is (kind == "sandbox")
        for kind, other in (("real", "sandbox"), ("sandbox", "real")):
            refused = served[kind].search(tokens[other], PURPOSE, limit=2)
            assert (refused[0], json.loads(refused[2])["code"]) == (401, "invalid-token")
            asked = {"Authorization": f"Bearer {tokens[kind]}", "Access-Purpose": PURPOSE}
            foreign = served[kind].ask("GET", f"/v1/arrests/{pages[other]['records'][0]['id']}", headers=asked)
            assert (foreign[0], json.loads(foreign[2])["code"]) == (404, "record-not-found")


def test_each_mixture_refuses_to_start_with_one_line(both: dict[str, dict[str, str]]) -> None:
    """The other's database, store, keys or name, or the setting forgotten: the server ends, and says why."""
    real, sandbox = both["real"], both["sandbox"]
    mixtures = {
        "the arrest database is invented": real | {"arrest_url": sandbox["arrest_url"]},
        "its records may be real": sandbox | {"arrest_url": real["arrest_url"]},
        "this gateway rehearses": real | {"rehearsal_day": "2011-01-01"},
        "GATEWAY_LOG_ORIGIN must name it": sandbox | {"store_url": real["store_url"]},
        "key of a sandbox": real | {"keys": sandbox["keys"], "keys_passphrase": sandbox["keys_passphrase"]},
        "must begin with 'sandbox.'": real | {"sandbox": "true"},
        "must not begin with 'sandbox.'": sandbox | {"sandbox": "false"},
    }
    for why, settings in mixtures.items():
        done = servers.run(["serve"], settings)
        assert done.returncode != 0, why
        assert why in done.stderr, (why, done.stderr)
        assert "Traceback" not in done.stderr


def test_a_sandbox_whose_database_was_filled_up_does_not_start(both: dict[str, dict[str, str]], dialect: str) -> None:
    """Rows that nobody invented may be anyone's."""
    url = sa.make_url(both["sandbox"]["arrest_url"])
    engine = sa.create_engine(url if dialect == "sqlite" else url.set(username="postgres"))
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO officer VALUES (99, 'B', 'REAL', 'U')")
    engine.dispose()
    done = servers.run(["serve"], both["sandbox"])
    assert (done.returncode != 0, "other numbers of rows than were invented" in done.stderr) == (True, True)
