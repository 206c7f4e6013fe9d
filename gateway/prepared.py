"""Prepared statements, sent to PostgreSQL by libpq itself: for the few that every request makes.

SQLAlchemy and the driver's cursors take several times as long over such a statement as the database does.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq
from sqlalchemy.engine import Engine

# PostgreSQL's numbers of the types that arrays are made of.
BYTEA, INTEGER, TEXT, DOUBLE = 17, 23, 25, 701
_NULL = struct.pack("!i", -1)
_PREPARED = "prepared"


class ConnectionLostError(Exception):
    """A connection that has ended; what ended it has probably ended those that wait in the pool, too."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement with numbered parameters, each of which it casts to its type; its name is its own on a connection."""

    name: bytes
    text: bytes


def run(engine: Engine, statement: Prepared, parameters: Sequence[bytes]) -> list[tuple[bytes | None, ...]]:
    """Run a statement over a connection that commits each by itself, and return its rows as PostgreSQL writes them.

    Parameters are in the binary form of their types, results in the textual one. Raise psycopg.Error,
    ConnectionLostError, or SQLAlchemyError where no connection can be had.
    """
    lent = engine.raw_connection()
    try:
        libpq: pq.abc.PGconn = _driver(lent).pgconn
        # Kept with the connection, and forgotten with it.
        known: set[bytes] = lent.info.setdefault(_PREPARED, set())
        try:
            if statement.name not in known:
                _sound(libpq.prepare(statement.name, statement.text))
                known.add(statement.name)
            done = _sound(libpq.exec_prepared(statement.name, parameters, [pq.Format.BINARY] * len(parameters)))
        except psycopg.Error:
            if libpq.status == pq.ConnStatus.OK:
                raise
            lent.invalidate()
            raise ConnectionLostError from None
        return [tuple(done.get_value(row, n) for n in range(done.nfields)) for row in range(done.ntuples)]
    finally:
        lent.close()


def array(kind: int, items: Sequence[bytes | None]) -> bytes:
    """Write an array in PostgreSQL's binary form, of items that are in the binary form of their type."""
    if not items:
        return struct.pack("!iii", 0, 0, kind)
    head = struct.pack("!iiiii", 1, 1, kind, len(items), 1)
    return head + b"".join(_NULL if item is None else struct.pack("!i", len(item)) + item for item in items)


def texts(items: Sequence[str | None]) -> bytes:
    """Write an array of texts."""
    return array(TEXT, [None if item is None else item.encode() for item in items])


def integers(items: Sequence[int]) -> bytes:
    """Write an array of 32-bit integers."""
    return array(INTEGER, [struct.pack("!i", item) for item in items])


def doubles(items: Sequence[float]) -> bytes:
    """Write an array of double-precision numbers."""
    return array(DOUBLE, [struct.pack("!d", item) for item in items])


def _driver(lent: Any) -> psycopg.Connection[Any]:
    connection: psycopg.Connection[Any] = lent.driver_connection
    return connection


def _sound(result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        raise psycopg.errors.error_from_result(result)
    return result
