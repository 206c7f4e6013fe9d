"""Makes many arrests of few inside PostgreSQL, which takes a fraction of the time of inventing each."""

import psycopg
from sqlalchemy import Column, Table

from gateway.seed.schema import metadata, person
from tests.services import Postgres

# Above every key that is invented, so that no two copies meet.
_APART = 10_000_000
# Prime, so that a person's copies borrow from different persons.
_STRIDE = 7919
_LENDERS = """
    CREATE TEMPORARY TABLE lender AS
    SELECT person_id, given_name, sex, place_of_birth,
        row_number() OVER alike - 1 AS number, count(*) OVER (PARTITION BY sex, place_of_birth) AS among
    FROM person WINDOW alike AS (PARTITION BY sex, place_of_birth ORDER BY person_id)
"""
_BORROWED = f"""
    JOIN lender AS own ON own.person_id = original.person_id
    JOIN lender ON lender.number = (own.number + copy * {_STRIDE}) %% own.among
    AND lender.sex IS NOT DISTINCT FROM own.sex AND lender.place_of_birth IS NOT DISTINCT FROM own.place_of_birth
"""


def multiplied(server: Postgres, template: str, times: int) -> str:
    """Copy a database of invented arrests so that it holds each row so many times; return its name.

    Keys and references are shifted. A copy of a person keeps the family name and borrows the given name of another
    person of the same sex and origin: otherwise every name would have so many namesakes.
    """
    name = server.create(template)
    with psycopg.connect(server.url(name), autocommit=True) as connection:
        # The copies are as whole as what they are copied from; looking each reference up takes most of the time.
        connection.execute("SET session_replication_role = replica")
        connection.execute(_LENDERS)
        connection.execute("ANALYZE lender")
        for table in metadata.sorted_tables:
            connection.execute(_copying(table), [times - 1])
        connection.execute("VACUUM ANALYZE")
    return name


def _copying(table: Table) -> bytes:
    names = ", ".join(table.columns.keys())
    values = ", ".join(_value(column) for column in table.columns)
    borrowed = _BORROWED if table is person else ""
    source = f"{table.name} AS original CROSS JOIN generate_series(1, %s) AS copy {borrowed}"
    return f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {source}".encode()


def _value(column: Column[object]) -> str:
    if column is person.c.given_name:
        return "lender.given_name"
    shifted = column.primary_key or column.foreign_keys
    return f"original.{column.name} + copy * {_APART}" if shifted else f"original.{column.name}"
