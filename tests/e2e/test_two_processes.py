"""Two worker processes on PostgreSQL and Valkey, under the roles that deploy/roles.sql makes."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app as composition
from gateway import tables
from gateway.audit import sealed
from gateway.identity import clients
from gateway.keys import public_pem
from gateway.limits import REFUSALS
from gateway.settings import read
from gateway.store import Store
from tests.audit.logs import verify
from tests.e2e import servers
from tests.services import Postgres
from tests.watch import hooks
from tests.world import ISSUER, POLICIES, World, agreement, passphrase, prepare, register

SPENT = (429, "disclosure-budget-spent")
ROLES = servers.ROOT / "deploy" / "roles.sql"


def psql(postgres: Postgres, database: str, *variables: str) -> None:
    """Run roles.sql as the guide says."""
    given = [argument for variable in variables for argument in ("-v", variable)]
    command = [
        postgres.program("psql"),
        "-h",
        str(postgres.sockets),
        "-U",
        "postgres",
        "-q",
        *given,
        "-f",
        str(ROLES),
        database,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def settings(
    postgres: Postgres, postgres_arrests: str, valkey: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Prepare a store, its roles, and the settings of two workers."""
    tmp_path = tmp_path_factory.mktemp("two")
    arrests, store = postgres.create(postgres_arrests), postgres.create()
    port = servers.free_port()
    owner = {
        "arrest_url": postgres.url(arrests),
        "store_url": postgres.url(store),
        "keys": str(tmp_path / "keys"),
        "keys_passphrase": str(passphrase(tmp_path / "keys")),
        "policies": str(POLICIES),
        "approvers": str(tmp_path / "approvers"),
        "issuer": f"http://127.0.0.1:{port}",
        "log_origin": "e2e.gateway.test/log",
        "log_public": str(tmp_path / "public"),
        "bind": f"127.0.0.1:{port}",
        "workers": "2",
        "threads": "4",
        "limiter_storage": valkey,
        "client_limit": "60/minute",
    }
    assert servers.run(["init"], owner).returncode == 0
    prepare(read({f"GATEWAY_{name.upper()}": value for name, value in owner.items()}))
    reader, writer = f"reader_{store}", f"writer_{store}"
    psql(postgres, arrests, "part=arrests", f"database={arrests}", f"reader={reader}")
    psql(postgres, store, "part=store", f"database={store}", f"writer={writer}")
    return owner | {"arrest_url": postgres.url(arrests, reader), "store_url": postgres.url(store, writer)}


def test_two_workers_serve_one_log_and_one_limit(
    settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Both answer, the limit counts once for both, every answer has its entry, and the log verifies."""
    # Unbuffered, as containers run it: a line that is written in two parts is cut by another worker's.
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    key = ec.generate_private_key(ec.SECP256R1())
    owner = read({f"GATEWAY_{n.upper()}": v for n, v in settings.items()} | {"GATEWAY_STORE_URL": _as_owner(settings)})
    stack = ExitStack()
    request.addfinalizer(stack.close)
    log = stack.enter_context(composition.open_log(owner))
    register(log.store, "fbi", public_pem(key), agreement("fbi", "FBI"))
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py"]
    with servers.running(command, settings, tmp_path / "log") as server:
        token = server.token("fbi", key)

        def ask(_: int) -> tuple[int, dict[str, str]]:
            status, headers, body = server.search(token, "criminal-investigation", limit=3)
            assert status != 200 or len(json.loads(body)["records"]) == 3
            return status, headers

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(80)))
        metrics = server.ask("GET", "/metrics")[2].decode()
    statuses = [status for status, _ in answers]
    assert (statuses.count(200), statuses.count(429)) == (60, 20)
    assert "gateway_requests_total" in metrics
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if '"event": "request"' in line]
    assert len([line for line in lines if line["status"] == 200 and line["client"] == "fbi"]) == 60
    log.log.seal_all()
    verify(log.store, log.log)
    sealed.check(log.store, log.openings)
    with log.store.engine.connect() as connection:
        kept = set(connection.scalars(sa.text("SELECT entry_id FROM entry")))
        leaves = connection.scalar(sa.text("SELECT count(*) FROM leaf"))
    assert {headers["Log-Entry"] for status, headers in answers if status == 200} <= kept
    assert leaves == len(kept)


def test_two_workers_end_a_spent_day_together(
    settings: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Refused pages are counted, under the writer's role, whichever refuses; after the last, neither answers."""
    key = ec.generate_private_key(ec.SECP256R1())
    owner = read({f"GATEWAY_{n.upper()}": v for n, v in settings.items()} | {"GATEWAY_STORE_URL": _as_owner(settings)})
    stack = ExitStack()
    request.addfinalizer(stack.close)
    store = stack.enter_context(composition.open_log(owner)).store
    register(store, "dea", public_pem(key), agreement("dea", "FBI"))
    with servers.running(servers.program("serve"), settings, tmp_path / "log") as server:
        token = server.token("dea", key)

        def ask(limit: int) -> tuple[int, str | None]:
            status, headers, body = server.search(token, "criminal-investigation", limit=limit)
            assert "Log-Entry" in headers
            return status, json.loads(body).get("code")

        assert ask(3) == (200, None)
        mine = tables.budget_mark.c.agreement_id == "dea-agreement"
        with store.transaction() as connection:
            day = connection.scalar(sa.select(tables.budget_mark.c.day).where(mine).limit(1))
            row = {"agreement_id": "dea-agreement", "day": day}
            connection.execute(tables.budget_mark.insert(), [row | {"mark": f"spent-{n}"} for n in range(990)])
        with ThreadPoolExecutor(8) as pool:
            refused = list(pool.map(ask, [200] * (REFUSALS - 1)))
            assert (set(refused), ask(3)) == ({SPENT}, (200, None))
            assert set(pool.map(ask, [200] * 8)) == {SPENT}
            assert set(pool.map(ask, [3] * 8)) == {SPENT}
    with store.reading() as connection:
        assert connection.execute(sa.select(tables.budget_refusal)).all() == [("dea-agreement", day, 0)]


def _as_owner(settings: dict[str, str]) -> str:
    url = sa.make_url(settings["store_url"])
    return url.set(username="postgres").render_as_string(hide_password=False)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO arrest SELECT * FROM arrest",
        "UPDATE person SET ssn = '1'",
        "DELETE FROM charge",
        "CREATE TABLE mine (x int)",
        "SET default_transaction_read_only = off; DELETE FROM victim",
        "TRUNCATE arrest",
    ],
)
def test_the_reader_can_only_read(settings: dict[str, str], statement: str) -> None:
    """The role of the arrest database can change nothing, even when it turns its own settings off."""
    with psycopg.connect(_libpq(settings["arrest_url"]), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM arrest").fetchone() != (0,)
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
            connection.execute(statement.encode())


@pytest.mark.parametrize("table", ["entry", "opening", "leaf", "checkpoint", "bundle", "statement"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_writer_can_add_to_the_log_and_never_change_it(settings: dict[str, str], table: str, verb: str) -> None:
    """Not even the gateway's own role can rewrite what was logged."""
    column = {
        "entry": "leaf = ''",
        "opening": "sealed = ''",
        "leaf": "leaf_hash = ''",
        "checkpoint": "note = ''",
        "bundle": "archive = ''",
        "statement": "signatures = ''",
    }[table]
    with (
        psycopg.connect(_libpq(settings["store_url"]), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(verb.format(table, column).encode())


@pytest.mark.parametrize(
    "statement", ["INSERT INTO bundle VALUES ('x', '')", "INSERT INTO statement VALUES (2, '', '[]')"]
)
def test_the_writer_can_put_no_policy_in_force(settings: dict[str, str], statement: str) -> None:
    """The serving role reads statements and bundles, and makes none."""
    with psycopg.connect(_libpq(settings["store_url"]), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM statement, bundle").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


@pytest.fixture(scope="module")
def auditing(settings: dict[str, str], postgres: Postgres) -> dict[str, str]:
    """The settings of an auditor, who has a role of the store and none of the arrest database."""
    store = str(sa.make_url(settings["store_url"]).database)
    psql(postgres, store, "part=auditor", f"database={store}", f"auditor=auditor_{store}")
    own = {"store_url": postgres.url(store, f"auditor_{store}"), "arrest_url": "postgresql://nobody@/nothing"}
    return settings | own


def test_an_auditor_does_all_commands_in_that_role(settings: dict[str, str], auditing: dict[str, str]) -> None:
    """Search, show, open, explain, account: each ends well, and leaves its entry for the gateway to seal."""
    changed = {"store_url": _as_owner(settings), "issuer": ISSUER}
    owner = read({f"GATEWAY_{name.upper()}": value for name, value in (settings | changed).items()})
    with closing(composition.build(owner)) as gateway:
        _audit(World(gateway, owner), auditing)


def _audit(world: World, auditing: dict[str, str]) -> None:
    entry = world.asker("audited", "FBI", officer="Officer X").search({"limit": 2}).headers["Log-Entry"]
    world.gateway.log.seal_all()
    why = ["--because", "A complaint."]
    found = audited(auditing, "search", "--client", "audited", "--action", "read", "--format", "ndjson")
    assert json.loads(found)["id"] == entry
    opened = audited(auditing, "show", entry, "--open", *why, "--json")
    person = next(part["value"]["person"] for part in json.loads(opened)["parts"] if part["kind"] == "record")
    assert entry[:8] in audited(auditing, "search", "--person", person, *why)
    assert "because A complaint." in audited(auditing, "show", entry)
    assert "\n  same\n" in audited(auditing, "explain", entry)
    assert entry in audited(auditing, "account", "--person", person, *why)
    assert audited(auditing, "show", "--last", "2").count("\n") == 2
    directory = Path(auditing["keys"]).with_name("exported")
    assert "to be verified with the key" in audited(auditing, "export", str(directory))
    assert "items" in audited(auditing, "review")
    audited(auditing, "notices")
    audited(auditing, "hold", "list")
    assert "verified:" in audited(auditing, "verify")
    actions = [leaf["action"] for leaf in world.leaves()]
    done = {"audit-search": 2, "audit-open": 1, "audit-show": 3, "audit-account": 1}
    assert {action: actions.count(action) for action in done} == done


def audited(settings: dict[str, str], *arguments: str) -> str:
    """Run a command as the auditor."""
    done = servers.run(["audit", *arguments], settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "statement",
    [
        *(f"UPDATE {table} SET entry_id = ''" for table in ("entry", "opening", "pending", "leaf")),
        *(f"DELETE FROM {table}" for table in ("entry", "opening", "pending", "leaf", "checkpoint", "statement")),
        *(f"TRUNCATE {table}" for table in ("entry", "opening", "pending")),
        "UPDATE tree_head SET size = 0",
        "INSERT INTO leaf (leaf_index, leaf_hash) VALUES (1000000, '')",
        "INSERT INTO checkpoint VALUES (1000000, '')",
        "INSERT INTO bundle VALUES ('x', '')",
        "UPDATE agreement SET state = 'in-force'",
        *(
            f"SELECT * FROM {table}"
            for table in ("client", "instrument", "budget_mark", "budget_refusal", "assertion", "notice")
        ),
    ],
)
def test_the_auditor_can_add_entries_and_nothing_else(auditing: dict[str, str], statement: str) -> None:
    """Neither change nor seal what was logged, nor see what the log does not need."""
    with (
        psycopg.connect(_libpq(auditing["store_url"]), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def _libpq(url: str) -> str:
    parsed = sa.make_url(url)
    return f"host={parsed.query['host']} user={parsed.username} dbname={parsed.database}"


def test_two_workers_watch_one_log_under_the_writers_role(
    settings: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One of them raises the alert and forwards the leaves, and whichever it is, each leaf comes once and in order."""
    key = ec.generate_private_key(ec.SECP256R1())
    owner = read({f"GATEWAY_{n.upper()}": v for n, v in settings.items()} | {"GATEWAY_STORE_URL": _as_owner(settings)})
    stack = ExitStack()
    request.addfinalizer(stack.close)
    store = stack.enter_context(composition.open_log(owner)).store
    register(store, "atf", public_pem(key), agreement("atf", "ATF"))
    hook = stack.enter_context(hooks.running())
    file = tmp_path / "leaves.ndjson"
    watched = settings | {"alert_webhook": hook.url, "siem": f"file://{file}"}
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py"]
    with servers.running(command, watched, tmp_path / "log") as server:
        token = server.token("atf", key)
        with store.transaction() as connection:
            clients.set_state(connection, "atf", clients.SUSPENDED)
        for _ in range(4):
            assert server.search(token, "criminal-investigation", limit=1)[0] == 401
        assert hook.await_one("suspended-client")["client"] == "atf"
        hooks.await_that(
            lambda: file.exists() and _sealed(store) == len(file.read_bytes().splitlines()), "not all came"
        )
    indices = [json.loads(line)["index"] for line in file.read_text().splitlines()]
    assert indices == list(range(len(indices)))
    assert len(hook.of("suspended-client")) == 1


def _sealed(store: Store) -> int:
    with store.reading() as connection:
        return connection.scalar(sa.text("SELECT count(*) FROM leaf")) or 0
