"""Write rows into a database: all of them in one transaction, or none."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, Table, create_engine, insert, inspect
from sqlalchemy.schema import CreateTable

from gateway.records import invented
from gateway.seed.errors import SeedError
from gateway.seed.rows import TABLES, Arrest, Row

_ARRESTS_A_BATCH = 2_000

Counts: TypeAlias = Counter[type[Row]]


def write(url: str, rows: Iterable[Row], wrote: Callable[[int], None]) -> Counts:
    """Create the tables at a SQLAlchemy URL and fill them; return the rows of each.

    The database is marked as invented, in the same transaction. `wrote` is called after
    every batch with the number of arrests so far. Refuse a database that has any table:
    with the mark, whatever else is in it would pass for invented.
    """
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # The driver would begin at the first insert, and leave the tables
                # behind if this process ended before the last.
                connection.exec_driver_sql("BEGIN")
            _refuse_tables(connection)
            for table in TABLES.values():
                connection.execute(CreateTable(table))
            counts = _fill(connection, rows, wrote)
            invented.mark(connection, {TABLES[kind].name: count for kind, count in counts.items()})
            for table in TABLES.values():
                for index in sorted(table.indexes, key=lambda each: str(each.name)):
                    index.create(connection)
        # Committed: a crash from here on leaves every row, and statistics to autovacuum.
        if engine.dialect.name == "postgresql":
            _analyse(engine)
    finally:
        engine.dispose()
    return counts


def _refuse_tables(connection: Connection) -> None:
    present = sorted(inspect(connection).get_table_names())
    if present:
        raise SeedError(f"the database must be empty, and has these tables: {', '.join(present)}")


def _fill(connection: Connection, rows: Iterable[Row], wrote: Callable[[int], None]) -> Counts:
    counts: Counts = Counter()
    batch: dict[type[Row], list[Row]] = {kind: [] for kind in TABLES}

    def flush() -> None:
        for kind, table in TABLES.items():
            if batch[kind]:
                _insert(connection, table, batch[kind])
                counts[kind] += len(batch[kind])
                batch[kind].clear()
        wrote(counts[Arrest])

    for row in rows:
        # An arrest comes before the rows that refer to it and after its person, so a
        # batch that ends just before one is whole but for a person without arrests.
        if type(row) is Arrest and len(batch[Arrest]) >= _ARRESTS_A_BATCH:
            flush()
        batch[type(row)].append(row)
    flush()
    return counts


def _insert(connection: Connection, table: Table, rows: list[Row]) -> None:
    if connection.dialect.driver != "psycopg":
        connection.execute(insert(table), [row._asdict() for row in rows])
        return
    columns = ", ".join(table.columns.keys())
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _analyse(engine: Engine) -> None:
    names = ", ".join(table.name for table in TABLES.values())
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"VACUUM ANALYZE {names}")
