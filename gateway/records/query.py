"""Runs a plan: one statement, one snapshot, a bounded tuple of rows; whatever goes wrong is one constant refusal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from operator import itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.catalogue import DATES, MOMENTS, Domain, Kind, OutOfDomainError, Scalar
from gateway.errors import Unavailable
from gateway.plan.planner import Plan
from gateway.plan.statement import RelatedColumn

_KEYS = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One record of the view: its keys, its cells by path, which to-one relations it has, and its related rows.

    `defects` are the paths where the source holds what the catalogue does not allow; their cells are None.
    """

    key: int
    person: int
    cells: Mapping[str, Scalar | None]
    present: Mapping[str, bool]
    related: Mapping[str, tuple[Mapping[str, Scalar | None], ...] | None]
    defects: tuple[str, ...]


class Records:
    """Read-only connections to the arrest database."""

    def __init__(self, url: str, timeout: int) -> None:
        self.engine = _engine(url, timeout)
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    def query(self, plan: Plan) -> tuple[Row, ...]:
        """Run a plan; one row more than the page holds tells that there is a next page."""
        return tuple(_row(plan, values) for values in self._run(plan))

    def count(self, plan: Plan) -> tuple[int, int]:
        """Run a plan that counts records and persons."""
        records, persons = self._run(plan)[0]
        return records, persons

    def ping(self) -> None:
        """Ask the database for nothing."""
        try:
            with self._autocommit.connect() as connection:
                # SQLite opens the file only when it is asked for something that is in it.
                table = " FROM sqlite_master LIMIT 1" if self.engine.dialect.name == "sqlite" else ""
                connection.exec_driver_sql(f"SELECT 1{table}")
        except SQLAlchemyError:
            raise Unavailable from None

    def _run(self, plan: Plan) -> list[tuple[Any, ...]]:
        try:
            with self._autocommit.connect() as connection:
                result = connection.exec_driver_sql(plan.statement.sql, dict(plan.parameters))
                return [tuple(row) for row in result.fetchall()]
        except (SQLAlchemyError, UnicodeError, ArithmeticError, ValueError):
            # The driver's text may hold a statement or a value of a hidden row: it is dropped here.
            raise Unavailable from None


def _engine(url: str, timeout: int) -> Engine:
    """Open an engine that can only read, waits a bounded time, and writes dates and times in one way."""
    if url.startswith("sqlite"):
        engine = sa.create_engine(url, hide_parameters=True)

        @sa.event.listens_for(engine, "connect")
        def _connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
            connection.execute("PRAGMA query_only=ON")
            connection.text_factory = _lenient

        return engine
    options = (
        "-c default_transaction_read_only=on -c TimeZone=UTC -c DateStyle=ISO "
        f"-c statement_timeout={timeout * 1000} -c jit=off"
    )
    return sa.create_engine(
        url,
        hide_parameters=True,
        pool_size=16,
        max_overflow=0,
        pool_timeout=timeout,
        connect_args={"options": options, "connect_timeout": timeout},
    )


def _lenient(content: bytes) -> str:
    """Decode what may be no UTF-8; what is not becomes surrogates, which no domain holds."""
    return content.decode("utf-8", errors="surrogateescape")


def _row(plan: Plan, values: tuple[Any, ...]) -> Row:
    statement = plan.statement
    at = _KEYS + len(statement.presence)
    present = dict(zip(statement.presence, (bool(value) for value in values[_KEYS:at]), strict=True))
    defects = []
    cells: dict[str, Scalar | None] = {}
    for column, value in zip(statement.cells, values[at:], strict=False):
        cell, sound = decode(column.domain, value)
        cells[column.path] = cell
        if not sound or (column.defect is not None and values[column.defect]):
            defects.append(column.path)
    related: dict[str, tuple[Mapping[str, Scalar | None], ...] | None] = {}
    first = len(values) - len(statement.related)
    for relation, value in zip(statement.related, values[first:], strict=True):
        rows, found = _related(relation, value)
        related[relation.relation] = rows
        defects += found
    return Row(values[0], values[1], cells, present, related, tuple(defects))


def _related(
    relation: RelatedColumn, value: str | None
) -> tuple[tuple[Mapping[str, Scalar | None], ...] | None, list[str]]:
    arrays = [] if value is None else msgspec.json.decode(value)
    if len(arrays) > relation.at_most:
        return None, [relation.relation]
    arrays.sort(key=itemgetter(0))
    rows = []
    defects = set()
    width = len(relation.fields)
    for array in arrays:
        row: dict[str, Scalar | None] = {}
        for index, (name, domain) in enumerate(relation.fields):
            row[name], sound = decode(domain, array[1 + index])
            if not sound or array[1 + width + index]:
                defects.add(f"{relation.relation}.{name}")
        rows.append(row)
    return tuple(rows), sorted(defects)


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
