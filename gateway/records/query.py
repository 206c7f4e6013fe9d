"""Runs a plan: one statement, one snapshot, a bounded tuple of rows; whatever goes wrong is one constant refusal."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.domains import DATES, DAYS, MOMENTS, Domain, Kind, OutOfDomainError, Scalar
from gateway.errors import ConfigurationError, Unavailable
from gateway.plan.folding import FUNCTION, fold_bytes
from gateway.plan.planner import Plan
from gateway.plan.statement import InFull, RelatedColumn, RelatedField, Statement

_KEYS = 2
_PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Row:
    """One record of the view: its keys, its cells by path, which to-one relations it has, and its related rows.

    Whose it is may be unknown.
    `states` numbers, for each path whose standing depends on the row, the step that decided it; what is withheld here
    has no cell. `pointer` numbers the office that is to be asked, from 1. `compared` are the cells at the precision at
    which they are filtered and sorted. `defects` are the paths where the source holds what the catalogue does not
    allow; their cells are None.
    """

    key: int
    person: int | None
    cells: Mapping[str, Scalar | None]
    present: Mapping[str, bool]
    related: Mapping[str, tuple[Mapping[str, Scalar | None], ...] | None]
    defects: tuple[str, ...]
    states: Mapping[str, int]
    pointer: int
    compared: Mapping[str, Scalar | None]


class Records:
    """Read-only connections to the arrest database."""

    def __init__(self, url: str, timeout: int) -> None:
        self.engine = _engine(url, timeout)
        self._sqlite = self.engine.dialect.name == "sqlite"

    def query(self, plan: Plan) -> tuple[Row, ...]:
        """Run a plan; one row more than the page holds tells that there is a next page."""
        reader = _reader_of(plan.statement, self._sqlite)
        return tuple(reader.row(values) for values in self._run(plan))

    def row(self, plan: Plan) -> tuple[int, ...]:
        """Run a plan whose result is one row of numbers."""
        return self._run(plan)[0]

    def explained(self, plan: Plan) -> str:
        """Let the database say how it would run a plan, which it does not run; for the city's own eyes."""
        prefix = "EXPLAIN QUERY PLAN " if self._sqlite else "EXPLAIN "
        try:
            with self.engine.connect() as connection:
                rows = connection.exec_driver_sql(prefix + plan.statement.sql, dict(plan.parameters)).all()
        except SQLAlchemyError:
            raise Unavailable from None
        return "\n".join(str(row[-1]) for row in rows)

    def ping(self) -> None:
        """Ask the database for nothing."""
        try:
            with self.engine.connect() as connection:
                # SQLite opens the file only when it is asked for something that is in it.
                table = " FROM sqlite_master LIMIT 1" if self._sqlite else ""
                connection.exec_driver_sql(f"SELECT 1{table}")
        except SQLAlchemyError:
            raise Unavailable from None

    def _run(self, plan: Plan) -> list[tuple[Any, ...]]:
        try:
            if not self._sqlite:
                return self._run_raw(plan)
            with self.engine.connect() as connection:
                found = connection.exec_driver_sql(plan.statement.sql, dict(plan.parameters)).fetchall()
                return [tuple(row) for row in found]
        except (SQLAlchemyError, psycopg.Error, UnicodeError, ArithmeticError, ValueError):
            # The driver's text may hold a statement or a value of a hidden row: it is dropped here.
            raise Unavailable from None

    def _run_raw(self, plan: Plan) -> list[tuple[Any, ...]]:
        """Run a plan on PostgreSQL by the driver alone: every request does."""
        text, names = _numbered(plan.statement.sql)
        lent = self.engine.raw_connection()
        try:
            connection: psycopg.Connection[Any] | Any = lent.driver_connection
            with psycopg.RawCursor(connection) as cursor:
                return cursor.execute(text, [plan.parameters[name] for name in names]).fetchall()
        except psycopg.OperationalError:
            if connection.closed:
                # What ended it has ended those that wait in the pool.
                lent.invalidate()
                self.engine.dispose()
            raise
        finally:
            lent.close()


def _engine(url: str, timeout: int) -> Engine:
    """Open an engine that can only read, waits a bounded time, and writes dates and times in one way."""
    if url.startswith("sqlite"):
        file = sa.make_url(url).database
        if file not in (None, "", ":memory:") and not Path(file).exists():
            # SQLite would make an empty one.
            raise ConfigurationError("there is no such arrest database; is GATEWAY_ARREST_URL right?")
        engine = sa.create_engine(
            url, hide_parameters=True, isolation_level="AUTOCOMMIT", connect_args={"timeout": timeout}
        )

        @sa.event.listens_for(engine, "connect")
        def _connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
            connection.execute("PRAGMA query_only=ON")
            connection.text_factory = _lenient
            connection.create_function("local_day", 2, _local_day, deterministic=True)
            connection.create_function("is_utf8", 1, _is_utf8, deterministic=True)
            connection.create_function(FUNCTION, 1, fold_bytes, deterministic=True)

        return engine
    # One question is one processor's work: a page must not wait for helpers to start, nor take them from others.
    options = (
        "-c max_parallel_workers_per_gather=0 -c default_transaction_read_only=on -c TimeZone=UTC -c DateStyle=ISO "
        f"-c statement_timeout={timeout * 1000} -c jit=off"
    )
    return sa.create_engine(
        url,
        hide_parameters=True,
        pool_size=16,
        max_overflow=0,
        pool_timeout=timeout,
        isolation_level="AUTOCOMMIT",
        # Nothing is left open that a connection's return would have to undo.
        pool_reset_on_return=None,
        connect_args={"options": options, "connect_timeout": timeout},
    )


def _local_day(moment: object, zone: str) -> str | None:
    """Tell the day of a UTC moment in a zone, which SQLite itself knows nothing of; null for what is no moment."""
    value, sound = decode(Domain(Kind.TIMESTAMP), moment)
    return value.astimezone(ZoneInfo(zone)).date().isoformat() if sound and isinstance(value, datetime) else None


def _is_utf8(content: bytes | None) -> bool:
    """Tell whether a text's bytes are UTF-8, which SQLite itself does not ask."""
    try:
        (content or b"").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _lenient(content: bytes) -> str:
    """Decode what may be no UTF-8; what is not becomes surrogates, which no domain holds."""
    return content.decode("utf-8", errors="surrogateescape")


@lru_cache(maxsize=512)
def _numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """Write a statement as PostgreSQL itself reads it, once: the driver would parse a long one at each use."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
    text = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", sql)
    return text.replace("%%", "%").encode(), names


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the rows of one statement: which columns are what, and which of them the driver does not give as they are.

    PostgreSQL's texts, codes, numbers and booleans come as their domain holds them, kept to it by the column or by the
    guard in the statement. Dates and times come as text, and SQLite's columns may hold anything.
    """

    statement: Statement
    paths: tuple[str, ...]
    numbers: tuple[int, ...]
    decoded: tuple[tuple[str, Domain], ...]
    defects: tuple[tuple[str, int], ...]
    states: tuple[tuple[str, int], ...]
    full: tuple[tuple[str, InFull], ...]
    sqlite: bool
    related: tuple["_RelatedReader", ...]

    def row(self, values: tuple[Any, ...]) -> Row:
        presence = self.statement.presence
        present = {name: bool(value) for name, value in zip(presence, values[_KEYS:], strict=False)}
        cells: dict[str, Scalar | None] = dict(zip(self.paths, (values[n] for n in self.numbers), strict=True))
        defects = [path for path, column in self.defects if values[column]]
        for path, domain in self.decoded:
            cells[path], sound = decode(domain, cells[path])
            if not sound:
                defects.append(path)
        compared = dict(cells) if self.full else cells
        for path, full in self.full:
            if full.holds(values):
                as_text = self.sqlite or full.domain.kind in DAYS
                cells[path] = decode(full.domain, values[full.number])[0] if as_text else values[full.number]
        states = {path: values[column] for path, column in self.states}
        related: dict[str, tuple[Mapping[str, Scalar | None], ...] | None] = {}
        for reader in self.related:
            related[reader.relation], found = reader.rows(values)
            defects += found
        pointer = 0 if self.statement.pointer is None else values[self.statement.pointer]
        return Row(values[0], values[1], cells, present, related, tuple(defects), states, pointer, compared)


@dataclass(frozen=True, slots=True)
class _RelatedReader:
    """Reads the rows of a relation to many, which come as JSON."""

    column: RelatedColumn
    sqlite: bool

    @property
    def relation(self) -> str:
        return self.column.relation

    def rows(self, values: tuple[Any, ...]) -> tuple[tuple[Mapping[str, Scalar | None], ...] | None, list[str]]:
        value = values[self.column.number]
        arrays = [] if value is None else msgspec.json.decode(value)
        if len(arrays) > self.column.at_most:
            return None, [self.relation]
        arrays.sort(key=itemgetter(0))
        names = tuple(field.name for field in self.column.fields)
        decoded = [(f.name, d) for f in self.column.fields if (d := self._decoded(f, values)) is not None]
        width = len(names)
        rows = []
        defects: set[str] = set()
        for array in arrays:
            row: dict[str, Scalar | None] = dict(zip(names, array[1 : 1 + width], strict=True))
            defects.update(name for name, defect in zip(names, array[1 + width :], strict=True) if defect)
            for name, domain in decoded:
                row[name], sound = decode(domain, row[name])
                if not sound:
                    defects.add(name)
            rows.append(row)
        return tuple(rows), [f"{self.relation}.{name}" for name in sorted(defects)]

    def _decoded(self, field: RelatedField, values: tuple[Any, ...]) -> Domain | None:
        """Return the domain by which a field's values are read in this record, where they don't come as they are."""
        domain = field.full.domain if field.full is not None and field.full.holds(values) else field.domain
        return domain if self.sqlite or domain.kind in DAYS else None


@lru_cache(maxsize=512)
def _reader_of(statement: Statement, sqlite: bool) -> _Reader:  # noqa: FBT001 -- which of the two databases
    cells = statement.cells
    return _Reader(
        statement=statement,
        paths=tuple(cell.path for cell in cells),
        numbers=tuple(cell.number for cell in cells),
        decoded=tuple((cell.path, cell.domain) for cell in cells if sqlite or cell.domain.kind in DAYS),
        defects=tuple((cell.path, cell.defect) for cell in cells if cell.defect is not None),
        states=tuple(statement.states.items()),
        full=tuple((cell.path, cell.full) for cell in cells if cell.full is not None),
        sqlite=sqlite,
        related=tuple(_RelatedReader(column, sqlite) for column in statement.related),
    )


def decode(domain: Domain, value: object) -> tuple[Scalar | None, bool]:
    """Read a cell; return it and whether it was sound. Total: what does not fit is None, and no error."""
    if value is None:
        return None, True
    try:
        match domain.kind:
            case Kind.DATE if isinstance(value, str):
                return _within(date.fromisoformat(value), DATES), True
            case Kind.TIMESTAMP if isinstance(value, str):
                return _within(_moment(value), MOMENTS), True
            case Kind.BOOLEAN:
                return bool(value), True
            case _:
                return domain.parse(value), True
    except (OutOfDomainError, ValueError, OverflowError):
        return None, False


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _within(value: Any, bounds: tuple[Any, Any]) -> Any:
    if not bounds[0] <= value <= bounds[1]:
        raise OutOfDomainError
    return value
