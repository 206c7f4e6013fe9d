"""Where a part is broken the gateway refuses: with an entry while it can write one, else with one constant text."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from psycopg import sql
from werkzeug.test import TestResponse

from gateway import app as composition
from gateway import keys as key_files
from gateway import settings as configuration
from gateway import tables
from gateway.errors import ConfigurationError
from gateway.store import Store
from tests import arrests, world
from tests.conftest import MakeWorld
from tests.services import Postgres
from tests.world import POLICIES, Asker, Databases, World

DAY = "2011-01-01"
CODE = "temporarily-unavailable"
INTERNALS = ("select", "insert", "sqlite", "psycopg", "sqlalchemy", "traceback", "store", "entry", "pending")


def answers_to_all(asker: Asker, identifier: str) -> dict[str, TestResponse]:
    """Ask everything that stands on the road, well and badly."""
    asked = asker.world
    return {
        "search": asker.search({"limit": 5}),
        "another search": asker.search({"filter": {"district": {"eq": "24"}}, "fields": ["ssn"]}),
        "lookup": asker.get(f"/v1/arrests/{identifier}"),
        "missing": asker.get("/v1/arrests/AAAA"),
        "hidden field": asker.search({"fields": ["narrative"]}),
        "malformed": asker.search("{"),
        "unknown resource": asker.search({}, "nonsense"),
        "resources": asker.get("/v1/resources"),
        "no purpose": asked.request("GET", "/v1/resources", headers={"Authorization": f"Bearer {asker.token}"}),
        "no token": asked.request("GET", "/v1/resources"),
        "bad token": asked.request("GET", "/v1/resources", headers={"Authorization": "Bearer a.b.c"}),
        "token": asker.get_token(),
        "bad assertion": asker.get_token("a.b.c"),
    }


def is_constant(response: TestResponse) -> None:
    """Hold an answer against the one that may leave without an entry."""
    assert response.status_code == 503, response.text[:300]
    assert response.content_type == "application/problem+json"
    problem = response.get_json()
    assert problem.keys() == {"type", "title", "status", "code", "detail"}
    assert problem["code"] == CODE
    assert "Log-Entry" not in response.headers
    assert response.headers["Retry-After"]
    said = response.text.lower()
    assert not [word for word in INTERNALS if word in said]


def entries(store: Store) -> list[dict[str, Any]]:
    """Return all entries, sealed or not."""
    with store.reading() as connection:
        return [msgspec.json.decode(leaf) for leaf in connection.scalars(sa.select(tables.entry.c.leaf))]


# --- the arrest database ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Doomed:
    """A world whose arrest database is its own, and the way to destroy it."""

    world: World
    destroy: Callable[[], None]


@pytest.fixture
def doomed(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Compose a gateway over an arrest database that nobody else needs."""
    if dialect == "sqlite":
        path = tmp_path / "arrests.db"
        shutil.copy(request.getfixturevalue("sqlite_arrests").removeprefix("sqlite:///"), path)
        databases = Databases(f"sqlite:///{path}", f"sqlite:///{tmp_path / 'store.db'}")
    else:
        server: Postgres = request.getfixturevalue("postgres")
        names = server.create(), server.create()
        databases = Databases(server.url(names[0]), server.url(names[1]))
        arrests.build(databases.arrests)
    made = world.build(databases, tmp_path / "keys", rehearsal_day=DAY)

    def destroy() -> None:
        if dialect == "sqlite":
            made.gateway.custodian.close()
            path.write_bytes(b"This is no database. " * 500)
        else:
            server.drop(names[0])

    yield Doomed(made, destroy)
    made.close()
    if dialect != "sqlite":
        for name in names:
            server.drop(name)


def test_without_the_arrest_database_every_question_is_refused_with_an_entry(doomed: Doomed) -> None:
    """Reads become one constant 503 that is logged; what needs no record is answered as before."""
    asked = doomed.world
    asker = asked.asker()
    identifier = asker.records({"limit": 1})[0]["id"]
    assert asked.request("GET", "/readyz").status_code == 200
    doomed.destroy()
    answers = [
        asker.search({"limit": 5}),
        asker.search({"filter": {"family_name": {"prefix": "A"}}, "sort": ["ssn"]}),
        asker.get(f"/v1/arrests/{identifier}"),
        asker.get("/v1/arrests/AAAA"),
    ]
    assert {response.status_code for response in answers} == {503}
    assert len({response.data for response in answers}) == 1
    leaves = {leaf["id"]: leaf for leaf in asked.leaves()}
    for response in answers:
        assert response.headers["Retry-After"]
        leaf = leaves[response.headers["Log-Entry"]]
        assert (leaf["client"], leaf["decision"], leaf["outcome"], leaf["records"]) == (
            asker.id,
            "refuse",
            CODE,
            0,
        )
    said = answers[0].text.lower()
    assert not [word for word in INTERNALS if word in said]
    assert asker.get("/v1/resources").status_code == 200
    assert asker.search({"fields": ["narrative"]}).status_code == 400
    ready = asked.request("GET", "/readyz")
    assert (ready.status_code, ready.get_json()["parts"]["arrests"]) == (503, False)
    assert asked.request("GET", "/healthz").status_code == 200


# --- the gateway's store ----------------------------------------------------------------------------------------

Break = Callable[[World, Databases, pytest.FixtureRequest], None]


def _gone(asked: World, databases: Databases, request: pytest.FixtureRequest) -> None:
    if asked.gateway.store.sqlite:
        asked.gateway.store.close()
        path = Path(databases.store.removeprefix("sqlite:///"))
        for beside in ("-wal", "-shm"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
        path.write_bytes(b"This is no database. " * 500)
        return
    server: Postgres = request.getfixturevalue("postgres")
    server.drop(str(sa.make_url(databases.store).database))


def _read_only(asked: World, databases: Databases, request: pytest.FixtureRequest) -> None:
    if asked.gateway.store.sqlite:

        @sa.event.listens_for(asked.gateway.store.engine, "checkout")
        def _checkout(connection: Any, _record: Any, _proxy: Any) -> None:
            connection.execute("PRAGMA query_only=ON")

        return
    server: Postgres = request.getfixturevalue("postgres")
    name = str(sa.make_url(databases.store).database)
    server.run(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(sql.Identifier(name)))
    _cut(server, name)


def _cut(server: Postgres, name: str) -> None:
    """End every connection to a database, as a restart of the server does."""
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
    server.run(sql.SQL(ended).format(sql.Literal(name)))


def _without(table: str) -> Break:
    def rename(asked: World, _: Databases, __: pytest.FixtureRequest) -> None:
        with asked.gateway.store.engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {table}_away")

    return rename


FAULTS: dict[str, Break] = {
    "gone": _gone,
    "read-only": _read_only,
    "without entries": _without("entry"),
    "without pending": _without("pending"),
    "without openings": _without("opening"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_entry_no_rows(
    make_world: MakeWorld, databases: Databases, request: pytest.FixtureRequest, fault: str
) -> None:
    """Where the log can't be written, whatever was asked has one answer, byte for byte, and no rows are in it."""
    asked = make_world(rehearsal_day=DAY)
    asker = asked.asker()
    identifier = asker.records({"limit": 1})[0]["id"]
    FAULTS[fault](asked, databases, request)
    answers = answers_to_all(asker, identifier)
    for question, response in answers.items():
        assert response.status_code == 503, question
        is_constant(response)
    assert len({response.data for response in answers.values()}) == 1
    headers = [sorted(response.headers.items()) for response in answers.values() if response.headers]
    assert all("Set-Cookie" not in dict(each) for each in headers)


@pytest.mark.parametrize("fault", ["gone", "read-only", "without entries"])
def test_no_entry_no_refusal_beside_the_routes(
    make_world: MakeWorld, databases: Databases, request: pytest.FixtureRequest, fault: str
) -> None:
    """What matches no route, or comes too often, is the same constant 503 when it can't be logged."""
    asked = make_world(rehearsal_day=DAY, peer_limit="4/minute")
    FAULTS[fault](asked, databases, request)
    for method, path in (("GET", "/nowhere"), ("PUT", "/v1/resources"), ("GET", "/v1/a/b/c")):
        is_constant(asked.request(method, path))
    asked.request("GET", "/healthz")
    is_constant(asked.request("GET", "/healthz"))


def test_what_nobody_expected_is_the_constant_refusal_too(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the gateway's own, also where its refusal is written down, is told by the same constant text."""
    asked = make_world(rehearsal_day=DAY)
    identifier = asked.asker().records({"limit": 1})[0]["id"]
    asker = asked.asker("fbi", "FBI")
    assert asker.token

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a hidden value")

    monkeypatch.setattr("gateway.audit.log.seal", broken)
    for response in (asker.search({"limit": 5}), asker.get(f"/v1/arrests/{identifier}"), asked.request("GET", "/v1/x")):
        is_constant(response)


def test_a_known_clients_failed_question_is_its_own_in_the_log(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody expected after the token was read is no stranger's."""
    asker = make_world(rehearsal_day=DAY).asker()
    assert asker.token

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.disclosure.decide", broken)
    response = asker.search({"limit": 5})
    assert response.status_code == 503
    (leaf,) = [leaf for leaf in asker.world.leaves() if leaf["id"] == response.headers["Log-Entry"]]
    assert (leaf["client"], leaf["outcome"]) == (asker.id, "temporarily-unavailable")


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_full_disk_stops_answers_and_not_entries(make_world: MakeWorld, dialect: str) -> None:
    """When the store can't grow, answers stop with the last entry that fitted: as many entries as answers."""
    assert dialect == "sqlite"
    asked = make_world(rehearsal_day=DAY)
    asker = asked.asker()
    assert asker.token
    store = asked.gateway.store

    @sa.event.listens_for(store.engine, "checkout")
    def _checkout(connection: Any, _record: Any, _proxy: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    given: list[str] = []
    for _ in range(200):
        response = asker.search({"limit": 100, "fields": ["district"]})
        if response.status_code == 200:
            given.append(response.headers["Log-Entry"])
        else:
            # The entry of a refusal is small, and may fit where that of a page did not.
            assert (response.status_code, response.get_json()["code"]) == (503, CODE)
            if "Log-Entry" not in response.headers:
                break
    is_constant(response)
    disclosed = [leaf["id"] for leaf in entries(store) if leaf["outcome"] == "disclosed"]
    assert sorted(disclosed) == sorted(given)


def test_the_gateway_answers_again_when_the_store_is_back(make_world: MakeWorld) -> None:
    """An outage ends without a restart, and leaves no entry of what was refused in it."""
    asked = make_world(rehearsal_day=DAY)
    asker = asked.asker()
    assert asker.search({"limit": 1}).status_code == 200
    before = len(entries(asked.gateway.store))
    engine = asked.gateway.store.engine
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE pending RENAME TO pending_away")
    is_constant(asker.search({"limit": 1}))
    asked.gateway.sealer._once()  # noqa: SLF001 -- what its thread does again and again
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE pending_away RENAME TO pending")
    assert len(entries(asked.gateway.store)) == before
    response = asker.search({"limit": 1})
    assert response.status_code == 200
    assert response.headers["Log-Entry"] in {leaf["id"] for leaf in asked.leaves()}


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_the_gateway_outlives_a_restart_of_its_store(
    make_world: MakeWorld, databases: Databases, postgres: Postgres, dialect: str
) -> None:
    """Connections that were cut are replaced: at most the questions on the way are refused."""
    assert dialect == "postgresql"
    asker = make_world(rehearsal_day=DAY).asker()
    assert asker.search({"limit": 1}).status_code == 200
    _cut(postgres, str(sa.make_url(databases.store).database))
    answers = [asker.search({"limit": 1}) for _ in range(3)]
    for response in answers[:2]:
        assert response.status_code in {200, 503}
        if response.status_code == 503:
            assert response.get_json()["code"] == "temporarily-unavailable"
    assert answers[2].status_code == 200


def test_readiness_tells_of_a_store_that_is_gone(
    make_world: MakeWorld, databases: Databases, request: pytest.FixtureRequest
) -> None:
    """The process lives and says that it is not ready."""
    asked = make_world(rehearsal_day=DAY)
    assert asked.request("GET", "/readyz").get_json()["ready"] is True
    _gone(asked, databases, request)
    ready = asked.request("GET", "/readyz")
    assert (ready.status_code, ready.get_json()["ready"], ready.get_json()["parts"]["log"]) == (503, False, False)
    assert asked.request("GET", "/healthz").status_code == 200


# --- settings ---------------------------------------------------------------------------------------------------

GOOD = {
    "GATEWAY_ARREST_URL": "postgresql://reader:arrest-s3cret@db/arrests",
    "GATEWAY_STORE_URL": "postgresql://gateway:store-s3cret@db/gateway",
    "GATEWAY_KEYS": "/etc/gateway/keys",
    "GATEWAY_KEYS_PASSPHRASE": "/run/credentials/gateway/keys-passphrase",
    "GATEWAY_APPROVERS": "/etc/gateway/approvers",
    "GATEWAY_ISSUER": "https://arrests.example",
    "GATEWAY_LOG_ORIGIN": "arrests.example/log",
    "GATEWAY_LOG_PUBLIC": "/var/lib/gateway/public",
}


def refusal(**changed: str) -> str:
    """Return why settings are refused; no secret of a URL may stand in it."""
    given = GOOD | {f"GATEWAY_{name.upper()}": value for name, value in changed.items()}
    with pytest.raises(ConfigurationError) as caught:
        configuration.read(given)
    assert "s3cret" not in str(caught.value)
    return str(caught.value)


def test_good_settings_are_read() -> None:
    """The control of what follows; what is no variable of the gateway is not looked at."""
    assert configuration.read({**GOOD, "PATH": "/bin", "HOME": "/"}).issuer == "https://arrests.example"


@pytest.mark.parametrize("name", ["nonsense", "issuers", "_env_file", "_cli_parse_args", "_secrets_dir", "debug"])
def test_an_unknown_variable_is_refused_by_name(name: str) -> None:
    """A misspelt variable is an error, and its value is not repeated."""
    said = refusal(**{name: "some-value"})
    assert f"GATEWAY_{name.upper()}" in said
    assert "some-value" not in said


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_missing_variable_is_refused_by_name(name: str) -> None:
    """What has no default must be set, and an empty text is not a setting."""
    without = {key: value for key, value in GOOD.items() if key != name}
    with pytest.raises(ConfigurationError, match=name):
        configuration.read(without)
    with pytest.raises(ConfigurationError, match=name):
        configuration.read({**GOOD, name: ""})


def test_every_wrong_variable_is_named() -> None:
    """Whoever starts the gateway need not find one mistake after the other."""
    said = refusal(workers="many", query_timeout="0", nonsense="x")
    for name in ("GATEWAY_WORKERS", "GATEWAY_QUERY_TIMEOUT", "GATEWAY_NONSENSE"):
        assert name in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("issuer", "http://evil.example"),
        ("issuer", "http://localhost.evil.example"),
        ("issuer", "http://127.0.0.1.evil.example"),
        ("issuer", "http://localhost@evil.example"),
        ("issuer", "https://"),
        ("issuer", "ftp://arrests.example"),
        ("issuer", "arrests.example"),
        ("issuer", "https://arrests.example/?a=b"),
        ("issuer", "https://arrests.example/#part"),
        ("audience", "http://evil.example"),
        ("audience", "http://localhost.evil.example"),
        ("log_origin", "two words"),
        ("log_origin", "one+two"),
        ("log_origin", "new\nline"),
        ("workers", "0"),
        ("workers", "65"),
        ("workers", "many-workers"),
        ("threads", "0"),
        ("threads", "100000"),
        ("peer_limit", "lots-of-them"),
        ("peer_limit", "600"),
        ("peer_limit", ""),
        ("client_limit", "lots-of-them"),
        ("client_limit", "10/fortnight"),
        ("client_limit", "-5/minute"),
        ("trusted_proxies", "-1"),
        ("trusted_proxies", "9"),
        ("query_timeout", "0"),
        ("query_timeout", "86400"),
        ("rehearsal_day", "tomorrow"),
        ("rehearsal_day", "2014-02-30"),
        ("limiter_storage", "memcached://cache.example"),
        ("limiter_storage", "nowhere-at-all"),
        ("arrest_url", "no-url-at-all"),
        ("arrest_url", "mysql://root:arrest-s3cret@db/arrests"),
        ("store_url", "no-url-at-all"),
        ("store_url", "mysql://root:store-s3cret@db/gateway"),
        ("store_url", "sqlite://"),
        ("store_url", "sqlite:///:memory:"),
    ],
)
def test_an_unsafe_value_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    """The message says which variable is wrong, and never what it holds."""
    said = refusal(**{name: value})
    assert f"GATEWAY_{name.upper()}" in said
    assert len(value) < 10 or value not in said


def test_several_processes_can_not_count_in_memory() -> None:
    """Each worker would grant the whole limit; the message names what to change."""
    said = refusal(workers="2", limiter_storage="memory://")
    assert "GATEWAY_LIMITER_STORAGE" in said
    shared = {"GATEWAY_WORKERS": "2", "GATEWAY_LIMITER_STORAGE": "redis://127.0.0.1:6379/0"}
    assert configuration.read(GOOD | shared).workers == 2


def test_several_processes_can_not_share_sqlite() -> None:
    """SQLite is for one process; the message names what to change."""
    said = refusal(workers="2", limiter_storage="redis://127.0.0.1:6379/0", store_url="sqlite:////var/lib/gateway.db")
    assert "GATEWAY_STORE_URL" in said
    assert "gateway.db" not in said


# --- refusing to start ------------------------------------------------------------------------------------------


def test_a_second_process_that_counts_in_memory_is_refused(databases: Databases, tmp_path: Path) -> None:
    """Over one store only one process counts in its own memory, until it ends."""
    first = world.build(databases, tmp_path / "keys", rehearsal_day=DAY)
    with pytest.raises(ConfigurationError, match="GATEWAY_LIMITER_STORAGE"):
        composition.build(first.settings)
    first.close()
    second = world.build(databases, tmp_path / "keys", rehearsal_day=DAY)
    assert second.asker().search({"limit": 1}).status_code == 200
    second.close()


KEY_FILES = tuple(f"{use}-1.pem" for use in key_files.USES)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A directory of good keys."""
    key_files.create(tmp_path / "keys", world.passphrase(tmp_path / "keys"))
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == sorted(KEY_FILES)
    return tmp_path / "keys"


@pytest.mark.parametrize("name", KEY_FILES)
def test_a_key_that_others_can_read_is_refused(keys: Path, name: str) -> None:
    """Any right of group or others is refused, with the file's name."""
    for mode in (0o640, 0o604, 0o660, 0o610, 0o777):
        (keys / name).chmod(mode)
        with pytest.raises(ConfigurationError, match=name):
            key_files.read(keys, world.passphrase(keys))
    (keys / name).chmod(0o400)
    key_files.read(keys, world.passphrase(keys))


@pytest.mark.parametrize("name", KEY_FILES)
def test_a_key_that_is_missing_or_broken_is_refused(keys: Path, name: str) -> None:
    """A key is whole or the gateway does not start, and no byte of it is said."""
    good = (keys / name).read_bytes()
    for content in (b"", b"nonsense-nonsense", good[:-5], b"-----BEGIN"):
        (keys / name).write_bytes(content)
        with pytest.raises(ConfigurationError, match=name) as caught:
            key_files.read(keys, world.passphrase(keys))
        assert "nonsense" not in str(caught.value)
    (keys / name).unlink()
    with pytest.raises(ConfigurationError, match=name.removesuffix("-1.pem")):
        key_files.read(keys, world.passphrase(keys))


def test_keys_have_one_use_each(keys: Path) -> None:
    """A key of another kind in a key's place is refused."""
    shutil.copy(keys / "checkpoint-1.pem", keys / "token-1.pem")
    with pytest.raises(ConfigurationError, match=r"token-1\.pem"):
        key_files.read(keys, world.passphrase(keys))


def test_the_gateway_does_not_start_with_an_open_key(databases: Databases, tmp_path: Path) -> None:
    """The composition reads the keys before anything else."""
    chosen = world.settings(databases, tmp_path / "keys")
    world.prepare(chosen)
    (tmp_path / "keys" / "index-1.pem").chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"index-1\.pem"):
        composition.build(chosen)


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_store_that_acknowledges_too_early_is_refused(
    databases: Databases, tmp_path: Path, postgres: Postgres, dialect: str
) -> None:
    """A PostgreSQL that may lose what it has committed is no place for the log."""
    assert dialect == "postgresql"
    chosen = world.settings(databases, tmp_path / "keys")
    world.prepare(chosen)
    name = sql.Identifier(str(sa.make_url(databases.store).database))
    postgres.run(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))
    with pytest.raises(ConfigurationError, match="synchronous_commit"):
        composition.build(chosen)
    postgres.run(sql.SQL("ALTER DATABASE {} RESET synchronous_commit").format(name))
    composition.build(chosen).close()


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_sqlite_writes_through(databases: Databases, tmp_path: Path, dialect: str) -> None:
    """Every connection waits for the disk, and a store whose connections do not is refused."""
    assert dialect == "sqlite"
    world.prepare(world.settings(databases, tmp_path / "keys"))
    store = Store(databases.store)
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() >= 2
    store.check()
    for level in ("NORMAL", "OFF"):
        store = Store(databases.store)

        @sa.event.listens_for(store.engine, "checkout")
        def _checkout(connection: Any, _record: Any, _proxy: Any, level: str = level) -> None:
            connection.execute(f"PRAGMA synchronous={level}")

        with pytest.raises(ConfigurationError, match="synchronous"):
            store.check()
        store.close()


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_arrests_in_another_encoding_are_refused(databases: Databases, postgres: Postgres, tmp_path: Path) -> None:
    """A question in letters that the database can't write would fail, and so be felt."""
    made = sql.SQL("CREATE DATABASE {} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    postgres.run(made.format(sql.Identifier("latin")))
    try:
        chosen = world.settings(Databases(postgres.url("latin"), databases.store), tmp_path / "keys")
        world.prepare(chosen)
        with pytest.raises(ConfigurationError, match="LATIN1"):
            composition.build(chosen)
    finally:
        postgres.drop("latin")


def test_a_store_that_was_not_made_is_refused(databases: Databases, keys: Path) -> None:
    """An empty database is no store."""
    with pytest.raises(ConfigurationError, match="GATEWAY_STORE_URL"):
        composition.build(world.settings(databases, keys))


def test_a_store_of_another_version_is_refused(databases: Databases, tmp_path: Path) -> None:
    """What another version has written is not touched."""
    chosen = world.settings(databases, tmp_path / "keys")
    world.prepare(chosen)
    store = Store(databases.store)
    with store.transaction() as connection:
        connection.execute(tables.schema_version.update().values(version=99))
    store.close()
    with pytest.raises(ConfigurationError, match="99"):
        composition.build(chosen)


def test_a_store_with_another_log_is_refused(databases: Databases, tmp_path: Path) -> None:
    """A log keeps its name and its key."""
    world.prepare(world.settings(databases, tmp_path / "keys"))
    with pytest.raises(ConfigurationError, match=r"gateway\.test/log"):
        composition.build(world.settings(databases, tmp_path / "keys", log_origin="another.test/log"))


def test_a_store_that_can_not_be_reached_is_refused(keys: Path, databases: Databases, tmp_path: Path) -> None:
    """The message names the variable, and neither URL nor driver."""
    nowhere = f"sqlite:///{tmp_path}/no/such/directory/store.db"
    if databases.store.startswith("postgresql"):
        nowhere = "postgresql://gateway:s3cret@127.0.0.1:1/gateway"
    with pytest.raises(ConfigurationError, match="GATEWAY_STORE_URL") as caught:
        composition.build(world.settings(Databases(databases.arrests, nowhere), keys))
    assert nowhere not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("stands", "written", "named"),
    [
        ("{column: dc_number,", "{column: no_such_column,", "no_such_column"),
        ("{column: custody.facility,", "{column: custody.no_such_column,", "no_such_column"),
        ("        table: victim\n", "        table: no_such_table\n", "no_such_table"),
        ("{table: bail, key: arrest_id,", "{table: no_such_table, key: arrest_id,", "no_such_table"),
        ("        key: charge_id\n", "        key: no_such_key\n", "no_such_key"),
        ("custody.released_at, type: timestamp", "custody.released_at, type: date", "released_at"),
        ("{column: bail.amount, type: integer", "{column: bail.bail_type, type: integer", "bail_type"),
        # What is said never to be null must be so, or pages sorted by it would leave records out.
        ("most: 2, class: arrest, enforced: true}", "most: 2, class: arrest, required: true}", "can be null"),
        ("most: 8, class: arrest, enforced: true}", "most: 8, class: arrest, required: true}", "foreign key"),
    ],
)
def test_a_catalogue_that_does_not_fit_the_database_is_refused(
    databases: Databases, tmp_path: Path, stands: str, written: str, named: str
) -> None:
    """A table, column or type that the arrest database does not have is named before anything is served."""
    policies = tmp_path / "policies"
    shutil.copytree(POLICIES, policies)
    catalogue = policies / "catalogue.yaml"
    text = catalogue.read_text()
    assert text.count(stands) == 1
    catalogue.write_text(text.replace(stands, written))
    chosen = world.settings(databases, tmp_path / "keys", policies=str(policies))
    world.prepare(chosen)
    with pytest.raises(ConfigurationError, match=named):
        composition.build(chosen)
