"""The gateway's own database: its connections, and what it must promise before it is trusted."""

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Protocol

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from gateway import prepared
from gateway.errors import ConfigurationError, Unavailable
from gateway.prepared import ConnectionLostError, Prepared
from gateway.tables import metadata, schema_version, tree_head

SCHEMA_VERSION = 4
# A transaction of SQLite that only reads, and so takes no lock of writers.
_DEFERRED = "deferred"
# A network that splits leaves connections that nobody closes. Either side of one gives up by itself: the gateway, so
# that no thread waits for ever; PostgreSQL, so that what a session had locked is free again, its transaction undone.
_CLIENT = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_SERVER = {
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
    # As prepared statements read dates.
    "DateStyle": "ISO",
}


class Claim(Protocol):
    """A place that one process at a time can have; it is held until it is closed, or its process ends."""

    def held(self) -> bool:
        """Whether it is still held: a connection that broke has lost it."""

    def close(self) -> None:
        """Let it go."""


@dataclass(frozen=True, slots=True)
class _Session:
    """A claim by an advisory lock of a session, which has a connection of its own."""

    connection: Connection

    def held(self) -> bool:
        try:
            self.connection.execute(sa.select(1))
        except SQLAlchemyError:
            return False
        return True

    def close(self) -> None:
        # The end of a session lets its locks go too, but some time after this returns.
        with suppress(SQLAlchemyError):
            self.connection.execute(sa.select(sa.func.pg_advisory_unlock_all()))
        self.connection.close()


@dataclass(frozen=True, slots=True)
class _Locked:
    """A claim by a lock on a file beside the store."""

    file: TextIOWrapper

    def held(self) -> bool:
        return True

    def close(self) -> None:
        self.file.close()


class Store:
    """Connections to the gateway's database; any failure of it is the constant refusal `Unavailable`."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._autocommit = _reading(self.engine)
        self.sqlite = self.engine.dialect.name == "sqlite"
        self._snapshot = (
            self.engine.execution_options(**{_DEFERRED: True})
            if self.sqlite
            else self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run a block in one transaction; it is durable when the block has been left without an error."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise Unavailable from error

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Read as of one moment, however long it takes, and keep nobody from writing."""
        try:
            with self._snapshot.begin() as connection:
                if not self.sqlite:
                    # It locks nothing that others wait for, and whoever reads it may stop to think.
                    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '1h'")
                yield connection
        except SQLAlchemyError as error:
            raise Unavailable from error

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """Run single statements, each a transaction of its own: durable as soon as it has been executed."""
        try:
            with self._autocommit.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise Unavailable from error

    def run(self, statement: Prepared, parameters: Sequence[bytes]) -> list[tuple[bytes | None, ...]]:
        """Run a prepared statement, a transaction of its own, on PostgreSQL; durable when it returns."""
        try:
            return prepared.run(self._autocommit, statement, parameters)
        except ConnectionLostError as error:
            self.close()
            raise Unavailable from error
        except (SQLAlchemyError, psycopg.Error) as error:
            raise Unavailable from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read single statements, each of its own snapshot."""
        with self.statement() as connection:
            yield connection

    def hurry(self, connection: Connection) -> None:
        """Let PostgreSQL end this transaction once its client has been silent for seconds: others wait behind it."""
        if not self.sqlite:
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '3s'")

    def close(self) -> None:
        """Let the connections go."""
        self.engine.dispose()
        self._autocommit.dispose()

    def create(self, origin: str) -> None:
        """Make the tables of a new store; an existing one is left as it is."""
        metadata.create_all(self.engine)
        with self.transaction() as connection:
            if connection.scalar(sa.select(sa.func.count()).select_from(schema_version)):
                return
            connection.execute(schema_version.insert().values(version=SCHEMA_VERSION))
            connection.execute(tree_head.insert().values(only=1, origin=origin, size=0, frontier=b""))

    def check(self) -> None:
        """Refuse a store of another version, and one that may lose what it has acknowledged."""
        try:
            with self.engine.connect() as connection:
                version = connection.scalar(sa.select(schema_version.c.version))
                unsafe = _unsafe_sqlite(connection) if self.sqlite else _unsafe_postgresql(connection)
        except SQLAlchemyError as error:
            raise ConfigurationError(
                "the gateway's store can't be read; is GATEWAY_STORE_URL right, and was 'gateway init' run?"
            ) from error
        if version != SCHEMA_VERSION:
            raise ConfigurationError(
                f"the store has schema version {version}, this gateway needs {SCHEMA_VERSION}; no release has written "
                "an older one: make a new store with 'gateway init'"
            )
        if unsafe:
            raise ConfigurationError(f"the store may lose commits: {unsafe}")

    def claim_only_process(self) -> "Claim":
        """Hold, until the returned claim is closed, the place of the only process that counts requests in its memory.

        Two such processes would each grant the whole limit.
        """
        claim = self.claim("limiter")
        if claim is None:
            raise ConfigurationError(
                "another process counts requests in its own memory over the same store: with several processes set "
                "GATEWAY_LIMITER_STORAGE to a Redis or Valkey URL"
            )
        return claim

    def claim(self, name: str) -> "Claim | None":
        """Take a place by its name; return None where another process has it."""
        if self.sqlite:
            file = Path(f"{self.engine.url.database}.{name}-lock").open("w")  # noqa: SIM115 -- the claim closes it
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                return None
            return _Locked(file)
        try:
            connection = self._autocommit.connect()
            if connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_number(name)))):
                # The pool would keep the session after its end, and with it the lock.
                connection.detach()
                return _Session(connection)
            connection.close()
        except SQLAlchemyError as error:
            raise Unavailable from error
        return None


def _number(name: str) -> int:
    """Return the number by which a lock is known: PostgreSQL's advisory locks have no names."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def _reading(engine: Engine) -> Engine:
    """Return an engine for single statements; on PostgreSQL of its own connections, which are never switched over."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(isolation_level="AUTOCOMMIT")
    # Nothing is left open on them that their return would have to undo.
    return _postgresql(engine.url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)


def _postgresql(url: sa.URL, **options: str | None) -> Engine:
    """Open an engine for PostgreSQL; what the URL sets of its own goes before."""
    asked = url.query.get("options", "")
    stated = " ".join(f"-c {name}={value}" for name, value in _SERVER.items())
    given = {name: value for name, value in _CLIENT.items() if name not in url.query}
    return sa.create_engine(
        url,
        hide_parameters=True,
        pool_size=16,
        max_overflow=0,
        pool_timeout=5,
        connect_args={**given, "options": f"{stated} {asked}"},
        **options,
    )


def _engine(url: str) -> Engine:
    """Open an engine whose errors never carry a bound value."""
    if not url.startswith("sqlite"):
        return _postgresql(sa.make_url(url))
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": 10})

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN" if options.get(_DEFERRED) else "BEGIN IMMEDIATE")

    return engine


def _unsafe_sqlite(connection: Connection) -> str | None:
    full = 2
    synchronous: Any = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    return None if synchronous >= full else "PRAGMA synchronous is below FULL"


def _unsafe_postgresql(connection: Connection) -> str | None:
    for setting in ("synchronous_commit", "fsync", "full_page_writes"):
        if connection.exec_driver_sql(f"SHOW {setting}").scalar() == "off":
            return f"{setting} is off"
    return None
