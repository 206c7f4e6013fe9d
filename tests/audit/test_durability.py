"""No entry, no rows: faults of the store and of the process, before and after the commit, and kill -9 for real."""

import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec
from werkzeug.test import TestResponse

from gateway import disclosure as disclosure_module
from gateway import keys as key_files
from gateway import tables
from gateway.audit import log as log_module
from gateway.identity import tokens
from gateway.identity.clients import Clients
from gateway.store import Store
from gateway.web import api as api_module
from tests import world as worlds
from tests.audit import logs
from tests.conftest import MakeWorld
from tests.services import Postgres
from tests.world import Asker, Databases, World

ONCE, ALWAYS = "once", "always"
DISCLOSED = '"outcome":"disclosed"'


# --- faults -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Fault:
    """A fault of a world: how often it strikes, and how often it has struck where that can be counted."""

    world: World
    times: str
    patch: pytest.MonkeyPatch
    url: str
    struck: int = 0

    @property
    def dialect(self) -> str:
        """The kind of database."""
        return self.store.engine.dialect.name

    def strikes(self) -> bool:
        """Say whether the fault strikes now."""
        if self.times == ONCE and self.struck:
            return False
        self.struck += 1
        return True

    @property
    def store(self) -> Store:
        """The store that fails."""
        return self.world.gateway.store


Inject = Callable[[Fault], Iterator[None]]


def commit_fails(fault: Fault) -> Iterator[None]:
    """The commit fails before it is done."""
    dialect = fault.store.engine.dialect
    commit = dialect.do_commit

    def failing(connection: Any) -> None:
        if fault.strikes():
            connection.rollback()
            raise dialect.loaded_dbapi.OperationalError("could not write to file")
        commit(connection)

    fault.patch.setattr(dialect, "do_commit", failing)
    yield


def commits_answer_is_lost(fault: Fault) -> Iterator[None]:
    """The commit is done, and the gateway hears that the connection broke."""
    dialect = fault.store.engine.dialect
    commit = dialect.do_commit

    def failing(connection: Any) -> None:
        commit(connection)
        if fault.strikes():
            raise dialect.loaded_dbapi.OperationalError("server closed the connection unexpectedly")

    fault.patch.setattr(dialect, "do_commit", failing)
    yield


def _insert_fails(fault: Fault, table: str) -> Iterator[None]:
    """The database refuses rows of a table: those of the disclosure alone, or all."""
    binary = f"'{DISCLOSED}'::bytea" if fault.dialect == "postgresql" else f"CAST('{DISCLOSED}' AS BLOB)"
    leaf = "NEW.leaf" if table == "entry" else "(SELECT leaf FROM entry WHERE entry_id = NEW.entry_id)"
    found = f"position({binary} IN {leaf})" if fault.dialect == "postgresql" else f"instr({leaf}, {binary})"
    when = f"{found} > 0" if fault.times == ONCE and table != "budget_mark" else "1 = 1"
    if fault.dialect == "postgresql":
        if fault.times == ONCE and table != "budget_mark":
            # The rows of one statement can't see each other; a sequence counts, and no rollback takes it back.
            when = "nextval('strikes') = 1"
        function = (
            "CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF {when} THEN RAISE EXCEPTION 'could not extend file: No space left on device' "
            "USING ERRCODE = '53100'; END IF; RETURN NEW; END $$"
        )
        trigger = f"CREATE TRIGGER strike BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION strike()"
        make = ["CREATE SEQUENCE strikes", function, trigger]
        undo = [f"DROP TRIGGER strike ON {table}", "DROP FUNCTION strike()", "DROP SEQUENCE strikes"]
    else:
        raised = "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        make = [f"CREATE TRIGGER strike BEFORE INSERT ON {table} WHEN {when} {raised}"]
        undo = ["DROP TRIGGER strike"]
    _run(fault.url, *make)
    try:
        yield
    finally:
        _run(fault.url, *undo)


def _run(url: str, *statements: str) -> None:
    """Run statements in the store by a connection of one's own."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def entry_is_refused(fault: Fault) -> Iterator[None]:
    """The disk is full when the entry is written."""
    yield from _insert_fails(fault, "entry")


def queue_is_refused(fault: Fault) -> Iterator[None]:
    """The disk is full when the entry is put into the sealer's queue."""
    yield from _insert_fails(fault, "pending")


def opening_is_refused(fault: Fault) -> Iterator[None]:
    """The disk is full when the openings are written, after all else."""
    yield from _insert_fails(fault, "opening")


def mark_is_refused(fault: Fault) -> Iterator[None]:
    """The disk is full when the budget is charged."""
    yield from _insert_fails(fault, "budget_mark")


@contextmanager
def _each_connection(fault: Fault, *statements: str) -> Iterator[None]:
    """Run statements on every connection that the store opens from now on."""

    def prepare(connection: Any, _: object) -> None:
        for statement in statements:
            connection.execute(statement)

    fault.store.close()
    sa.event.listen(fault.store.engine, "connect", prepare)
    try:
        yield
    finally:
        sa.event.remove(fault.store.engine, "connect", prepare)
        fault.store.close()


def store_is_full(fault: Fault) -> Iterator[None]:
    """The store has not one page more."""
    if fault.dialect == "postgresql":
        yield from _insert_fails(fault, "opening")
        return
    with sqlite3.connect(fault.url.removeprefix("sqlite:///"), isolation_level=None) as ballast:
        ballast.execute("CREATE TABLE ballast (content BLOB)")
        (pages,) = ballast.execute("PRAGMA page_count").fetchone()
        ballast.execute(f"PRAGMA max_page_count={pages}")
        with suppress(sqlite3.OperationalError):
            while True:  # until no page is free any more
                ballast.execute("INSERT INTO ballast VALUES (zeroblob(3000))")
    try:
        with _each_connection(fault, f"PRAGMA max_page_count={pages}"):
            yield
    finally:
        ballast.execute("DROP TABLE ballast")
        ballast.close()


def store_is_read_only(fault: Fault) -> Iterator[None]:
    """The store can be read and not written, as a standby or a full volume is."""
    if fault.dialect == "sqlite":
        with _each_connection(fault, "PRAGMA query_only=ON"):
            yield
        return

    # From another database: in the one that is set, the setting could not be taken back.
    store = sa.make_url(fault.url)
    other = store.set(database="postgres").render_as_string(hide_password=False)
    _run(other, f"ALTER DATABASE {store.database} SET default_transaction_read_only = on")
    fault.store.close()
    try:
        yield
    finally:
        _run(other, f"ALTER DATABASE {store.database} RESET default_transaction_read_only")
        fault.store.close()


def connection_is_cut(fault: Fault) -> Iterator[None]:
    """The connection ends in the middle of the transaction."""

    def cut(connection: sa.Connection, _: object, statement: str, *__: object) -> None:
        if "INSERT INTO opening" not in statement or not fault.strikes():
            return
        raw: Any = connection.connection.dbapi_connection
        if fault.dialect == "postgresql":
            with psycopg.connect(fault.url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [raw.info.backend_pid])
        else:
            raw.rollback()
            raise fault.store.engine.dialect.loaded_dbapi.OperationalError("disk I/O error")

    sa.event.listen(fault.store.engine, "before_cursor_execute", cut)
    try:
        yield
    finally:
        sa.event.remove(fault.store.engine, "before_cursor_execute", cut)


def _raises(fault: Fault, module: object, name: str) -> Iterator[None]:
    whole = getattr(module, name)

    def failing(*given: Any, **named: Any) -> Any:
        if fault.strikes():
            raise RuntimeError("after the commit")
        return whole(*given, **named)

    fault.patch.setattr(module, name, failing)
    yield


def proof_is_not_made(fault: Fault) -> Iterator[None]:
    """Something breaks right after the commit."""
    yield from _raises(fault, log_module, "LoggedEntry")


def disclosure_is_not_made(fault: Fault) -> Iterator[None]:
    """Something breaks between the log and the door."""
    yield from _raises(fault, disclosure_module, "Disclosure")


def answer_is_not_sent(fault: Fault) -> Iterator[None]:
    """Something breaks while the answer is written as HTTP."""
    yield from _raises(fault, api_module, "send")


@dataclass(frozen=True, slots=True)
class Case:
    """A fault, and whether it leaves the entry of the disclosure behind."""

    inject: Inject
    persisted: bool
    # Whether the refusal can be logged once the fault is over.
    refusal_is_logged: bool = True


FAULTS = (
    Case(commit_fails, persisted=False),
    Case(commits_answer_is_lost, persisted=True),
    Case(entry_is_refused, persisted=False),
    Case(queue_is_refused, persisted=False),
    Case(opening_is_refused, persisted=False),
    Case(mark_is_refused, persisted=False, refusal_is_logged=True),
    Case(store_is_full, persisted=False, refusal_is_logged=False),
    Case(connection_is_cut, persisted=False),
    Case(proof_is_not_made, persisted=True, refusal_is_logged=False),
    Case(disclosure_is_not_made, persisted=True, refusal_is_logged=False),
    Case(answer_is_not_sent, persisted=True, refusal_is_logged=False),
)
LASTING = (*FAULTS, Case(store_is_read_only, persisted=False, refusal_is_logged=False))
TABLE = [pytest.param(case, ONCE, id=f"{case.inject.__name__}-once") for case in FAULTS] + [
    pytest.param(case, ALWAYS, id=f"{case.inject.__name__}-always") for case in LASTING
]


# --- what is looked at --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store holds, read by a connection that no fault strikes."""

    entries: frozenset[str]
    disclosed: frozenset[str]
    marks: int


def look(url: str) -> Seen:
    """Read entries and marks."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        leaves = {row.entry_id: row.leaf for row in connection.execute(sa.select(tables.entry))}
        marks = connection.scalar(sa.select(sa.func.count()).select_from(tables.budget_mark)) or 0
    engine.dispose()
    disclosed = (name for name, leaf in leaves.items() if DISCLOSED.encode() in leaf)
    return Seen(frozenset(leaves), frozenset(disclosed), marks)


def assert_refused(response: TestResponse, seen: Seen, secrets: set[str]) -> None:
    """The answer is the constant 503: no record, no value of one, and no entry that is not durable."""
    assert response.status_code == 503
    problem = response.get_json()
    assert problem.keys() == {"type", "title", "status", "code", "detail"}
    assert problem["code"] == "temporarily-unavailable"
    assert not [secret for secret in secrets if secret in response.text]
    entry = response.headers.get("Log-Entry")
    assert entry is None or entry in seen.entries


@dataclass(frozen=True, slots=True)
class Shared:
    """A world whose faults are all undone, and where its databases are."""

    world: World
    databases: Databases
    number: Iterator[int]

    def asker(self) -> Asker:
        """Register a client that has asked nothing yet, with a budget of its own."""
        asker = self.world.asker(f"fbi-{next(self.number)}", "FBI")
        assert asker.token
        return asker


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A gateway for all faults, one after the other: it must outlive each of them."""
    directory = tmp_path_factory.mktemp("shared")
    if request.param == "sqlite":
        databases = Databases(request.getfixturevalue("sqlite_arrests"), f"sqlite:///{directory / 'store.db'}")
    else:
        server: Postgres = request.getfixturevalue("postgres")
        arrests = server.url(request.getfixturevalue("postgres_arrests"))
        databases = Databases(arrests, server.url(server.create()))
    world = worlds.build(databases, directory / "keys")
    yield Shared(world, databases, count())
    world.close()
    if request.param == "postgresql":
        server.drop(str(sa.make_url(databases.store).database))


@pytest.mark.parametrize(("case", "times"), TABLE)
def test_a_search_shows_rows_only_over_a_durable_entry(shared: Shared, case: Case, times: str) -> None:
    """Whatever breaks, and whether or not the entry outlived it: no rows; budget and entry stay together."""
    world, databases, asker = shared.world, shared.databases, shared.asker()
    reference = asker.search({"limit": 3})
    assert reference.status_code == 200
    before = look(databases.store)
    assert reference.headers["Log-Entry"] in before.disclosed
    with pytest.MonkeyPatch.context() as patch:
        fault = Fault(world, times, patch, databases.store)
        with contextmanager(case.inject)(fault):
            response = asker.search({"limit": 60})
    after = look(databases.store)
    secrets = {record["family_name"] for record in asker.records({"limit": 60})}
    assert_refused(response, after, secrets)
    # Marks and entry are both there, or neither is.
    assert (len(after.disclosed) > len(before.disclosed)) == case.persisted
    assert (after.marks > before.marks) == case.persisted
    if times == ONCE and case.refusal_is_logged:
        assert "Log-Entry" in response.headers
    _works_again(world, asker, databases)


def _works_again(world: World, asker: Asker, databases: Databases) -> None:
    """Nothing is left of the fault: the next search is answered, over an entry, and the log verifies."""
    response = asker.search({"limit": 60})
    assert response.status_code == 200, response.text
    assert response.headers["Log-Entry"] in look(databases.store).disclosed
    world.leaves()
    with logs.opened(databases, world.settings.keys) as log:
        assert log.verify().unsealed == 0


ROUTES: dict[str, Callable[[Asker, str], TestResponse]] = {
    "search": lambda asker, _: asker.search({"limit": 5}),
    "lookup": lambda asker, record: asker.get(f"/v1/arrests/{record}"),
    "lookup of nothing": lambda asker, _: asker.get("/v1/arrests/AAAA"),
    "resources": lambda asker, _: asker.get("/v1/resources"),
    "a malformed search": lambda asker, _: asker.search("{"),
    "without a token": lambda asker, _: asker.world.request("GET", "/v1/resources"),
    "token": lambda asker, _: asker.get_token(),
    "no route": lambda asker, _: asker.world.request("GET", "/nowhere"),
}


@pytest.mark.parametrize("inject", [store_is_read_only, entry_is_refused], ids=lambda how: how.__name__)
def test_no_route_answers_with_more_than_503_while_nothing_can_be_logged(
    shared: Shared, inject: Inject, caplog: pytest.LogCaptureFixture
) -> None:
    """Answers, refusals and tokens alike need their entry; no library's logger tells the path instead."""
    world, databases, asker = shared.world, shared.databases, shared.asker()
    record = asker.records({"limit": 1})[0]["id"]
    before = look(databases.store)
    with pytest.MonkeyPatch.context() as patch:
        fault = Fault(world, ALWAYS, patch, databases.store)
        with contextmanager(inject)(fault):
            answers = {name: ask(asker, record) for name, ask in ROUTES.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(ROUTES, 503)
    assert len({answer.data for answer in answers.values()}) == 1
    assert not [name for name, answer in answers.items() if "Log-Entry" in answer.headers]
    assert look(databases.store) == before
    assert "/nowhere" not in caplog.text
    _works_again(world, asker, databases)


def test_a_page_beyond_the_budget_leaves_no_mark(shared: Shared) -> None:
    """A page that would exceed the budget is refused whole: an entry, no marks, no rows."""
    world, databases, asker = shared.world, shared.databases, shared.asker()
    asker.records({"limit": 2})
    with world.gateway.store.transaction() as connection:
        mark = connection.execute(
            sa.select(tables.budget_mark).where(tables.budget_mark.c.agreement_id == f"{asker.id}-agreement").limit(1)
        ).one()
        day = {"agreement_id": mark.agreement_id, "day": mark.day}
        rows = [{**day, "mark": f"spent-{number}"} for number in range(990)]
        connection.execute(tables.budget_mark.insert(), rows)
    before = look(databases.store)
    response = asker.search({"limit": 200})
    after = look(databases.store)
    assert response.status_code == 429
    assert "records" not in response.get_json()
    assert response.headers["Log-Entry"] in after.entries
    assert after.disclosed == before.disclosed
    assert after.marks == before.marks
    assert asker.search({"limit": 2}).status_code == 200


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_store_that_comes_back_is_used_again(make_world: MakeWorld, databases: Databases, postgres: Postgres) -> None:
    """After a restart of the database the gateway's stale connections cost no rows, and soon answers come."""
    world = make_world()
    asker = world.asker("fbi", "FBI")
    asker.records({"limit": 1})
    database = sa.make_url(databases.store).database
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [database]
        )
    for _ in range(20):
        response = asker.search({"limit": 1})
        assert response.status_code in (200, 503)
        if response.status_code == 200:
            break
    _works_again(world, asker, databases)


# --- kill -9 ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Server:
    """A gateway in processes of its own, and what its clients have received."""

    environment: dict[str, str]
    port: int
    token: str
    received: list[str] = field(default_factory=list)
    pages: int = 0
    checkpoint: str | None = None
    unexpected: list[int] = field(default_factory=list)

    @contextmanager
    def running(self, errors: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Start it; kill its processes at the end, whatever they are doing."""
        with errors.open("ab") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve"],
                env=self.environment,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        try:
            self._await(process, errors)
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def _await(self, process: subprocess.Popen[bytes], errors: Path) -> None:
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the gateway did not start:\n{errors.read_text()}")

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """Ask once; an entry's id counts as received as soon as the headers have come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Access-Purpose": "criminal-investigation",
            "Content-Type": "application/json",
        }
        try:
            connection.request(method, path, body, headers if body else {})
            response = connection.getresponse()
            entry = response.headers.get("Log-Entry")
            if entry is not None:
                self.received.append(entry)
            content = response.read()
            if body:
                self.pages += response.status == 200
                if response.status != 200:
                    self.unexpected.append(response.status)
                assert response.status != 200 or (entry is not None and json.loads(content)["records"])
            return response.status, content
        finally:
            connection.close()

    def besiege(self) -> None:
        """Search, and keep the newest checkpoint, until the server is gone."""
        number = 0
        while True:
            number += 1
            try:
                self.ask("POST", "/v1/arrests/search", json.dumps({"limit": 1 + number % 20}))
                status, note = self.ask("GET", "/log/checkpoint")
            except (OSError, http.client.HTTPException):
                return
            if status == 200:
                self.keep(note.decode())

    def keep(self, note: str) -> None:
        """Keep a checkpoint if it is newer."""
        if self.checkpoint is None or int(note.split("\n")[1]) > int(self.checkpoint.split("\n")[1]):
            self.checkpoint = note


@pytest.fixture
def server(sqlite_arrests: str, tmp_path: Path) -> Server:
    """A gateway over SQLite that is ready to be started, with one client that has a token."""
    databases = Databases(sqlite_arrests, f"sqlite:///{tmp_path / 'store.db'}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    chosen = worlds.settings(databases, tmp_path / "keys", bind=f"127.0.0.1:{port}")
    worlds.prepare(chosen)
    key = ec.generate_private_key(ec.SECP256R1())
    clients = Clients(store := Store(databases.store))
    worlds.register(store, "fbi", key_files.public_pem(key), worlds.agreement("fbi", "FBI"))
    found = clients.find("fbi")
    assert found is not None
    signing = key_files.read(chosen.keys, chosen.keys_passphrase).token
    issuing = tokens.AccessTokens(chosen.issuer, chosen.resource_server, signing, clients, time.time)
    token = issuing.issue(tokens.Authenticated(found, "Officer One"))
    store.close()
    return Server({**os.environ, **worlds.environment(chosen)}, port, token)


def test_what_a_client_received_outlives_kill_9(server: Server, tmp_path: Path) -> None:
    """The server is killed at random moments; every entry that a client heard of is there, in a whole log."""
    chance = random.Random(20140416)  # noqa: S311 -- moments, not secrets
    for _ in range(3):
        threads = [threading.Thread(target=server.besiege) for _ in range(3)]
        with server.running(tmp_path / "errors"):
            for thread in threads:
                thread.start()
            enough, deadline = server.pages + 4, time.monotonic() + 30
            while server.pages < enough and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(chance.uniform(0.0, 0.5))
            # The block ends with SIGKILL, while the clients are asking.
        for thread in threads:
            thread.join(15)
            assert not thread.is_alive()
    with server.running(tmp_path / "errors"):
        deadline = time.monotonic() + 10
        while _waiting(server.environment["GATEWAY_STORE_URL"]):
            assert time.monotonic() < deadline, "the server that came back does not seal"
            time.sleep(0.1)
        time.sleep(0.2)
        status, note = server.ask("GET", "/log/checkpoint")
        assert status == 200
    assert server.unexpected == []
    assert server.pages > 10
    databases = Databases(server.environment["GATEWAY_ARREST_URL"], server.environment["GATEWAY_STORE_URL"])
    with logs.opened(databases, tmp_path / "keys") as log:
        held = look(databases.store)
        assert set(server.received) <= held.entries
        assert held.marks > 0
        # Sealed by the server that came back, and whole against what was published before the last crash.
        verified = log.verify(server.checkpoint)
        assert verified.unsealed == 0
        assert verified.note == note.decode()


def _waiting(url: str) -> int:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        waiting = connection.scalar(sa.select(sa.func.count()).select_from(tables.pending))
    engine.dispose()
    return waiting or 0
