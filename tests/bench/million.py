"""Makes many arrests of few inside PostgreSQL, which takes a fraction of the time of inventing each."""

import click
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from sqlalchemy import Column, Date, DateTime, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from gateway.seed.schema import metadata, person
from tests.services import Postgres

# Above every key that is invented, so that no two copies meet.
APART = 10_000_000
# Prime, so that a person's copies borrow from different persons.
_STRIDE = 7919
# A copy happened so many days before the one that it follows: it is a further piece of the past.
_DAYS = 28
# So many copies share the family names; later ones join two names into one. A name then has as many namesakes among
# ten millions as among one, and a lookup that grows does not grow because it finds more.
NAMESAKES = 20
_LENDERS = """
    CREATE TEMPORARY TABLE lender AS
    SELECT person_id, family_name, given_name, sex, place_of_birth,
        row_number() OVER alike - 1 AS number, count(*) OVER (PARTITION BY sex, place_of_birth) AS among
    FROM person WINDOW alike AS (PARTITION BY sex, place_of_birth ORDER BY person_id)
"""
_BORROWED = f"""
    JOIN lender AS own ON own.person_id = original.person_id
    JOIN lender ON lender.number = (own.number + %(copy)s * {_STRIDE}) %% own.among
    AND lender.sex IS NOT DISTINCT FROM own.sex AND lender.place_of_birth IS NOT DISTINCT FROM own.place_of_birth
"""
_FAMILY = f"""
    CASE WHEN %(copy)s < {NAMESAKES} THEN original.family_name
    ELSE original.family_name || '-' || lender.family_name END
"""


def multiplied(server: Postgres, template: str, times: int) -> str:
    """Copy a database of invented arrests so that it holds each row so many times; return its name.

    Keys and references are shifted, and so are all days. A copy of a person borrows the given name of another person
    of the same sex and origin. The tables are not logged: what is measured only reads them.
    """
    name = server.create(template)
    with psycopg.connect(server.url(name), autocommit=True) as connection:
        # The copies are as whole as what they are copied from; looking each reference up takes most of the time.
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute(_LENDERS)
        connection.execute("ANALYZE lender")
        for table in reversed(metadata.sorted_tables):
            connection.execute(f"ALTER TABLE {table.name} SET UNLOGGED".encode())
            for index in table.indexes:
                connection.execute(f"DROP INDEX {index.name}".encode())
        with click.progressbar(range(1, times), label="copying", show_pos=True) as copies:
            for copy in copies:
                _copy(connection, copy)
        for table in metadata.sorted_tables:
            for index in table.indexes:
                connection.execute(str(CreateIndex(index).compile(dialect=postgresql.dialect())).encode())  # type: ignore[no-untyped-call]
        connection.execute("VACUUM ANALYZE")
    return name


def _copy(connection: Connection[TupleRow], copy: int) -> None:
    """Append a copy of each table, in the order of its keys, so that the index of each grows at its end."""
    for table in metadata.sorted_tables:
        connection.execute(_copying(table), {"copy": copy})


def _copying(table: Table) -> bytes:
    names = ", ".join(table.columns.keys())
    values = ", ".join(_value(column) for column in table.columns)
    borrowed = _BORROWED if table is person else ""
    keys = ", ".join(f"original.{column.name}" for column in table.primary_key)
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {table.name} AS original {borrowed} "
        f"WHERE {keys} < {APART} ORDER BY {keys}"
    ).encode()


def _value(column: Column[object]) -> str:
    if column is person.c.given_name:
        return "lender.given_name"
    if column is person.c.family_name:
        return _FAMILY
    if column.primary_key or column.foreign_keys:
        return f"original.{column.name} + %(copy)s * {APART}"
    if isinstance(column.type, Date | DateTime):
        return f"original.{column.name} - %(copy)s * interval '{_DAYS} days'"
    return f"original.{column.name}"
