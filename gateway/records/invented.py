"""The mark of an invented arrest database: a table that says so by its name, and how many rows were invented of each.

The name alone tells: whoever may see that a table exists sees it, whatever they may read of it.
"""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Inspector
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import ConfigurationError

TABLE = sa.Table(
    "all_records_are_invented",
    sa.MetaData(),
    sa.Column("table_name", sa.String(60), primary_key=True),
    sa.Column("row_count", sa.BigInteger, nullable=False),
)
_ANEW = "what is in the database may be real; make the invented database anew with 'gateway seed'"


def mark(connection: Connection, counts: Mapping[str, int]) -> None:
    """Mark a database, in the transaction that fills it, with the number of rows of each table."""
    TABLE.create(connection)
    connection.execute(TABLE.insert(), [{"table_name": name, "row_count": count} for name, count in counts.items()])


def contradiction(inspector: Inspector, only_invented: str | None) -> str | None:
    """Say why a gateway can't be over this database: it is invented, or it is not; None where they agree.

    `only_invented` says what the gateway is or does that it may over invented records only; without, it may not be.
    """
    match inspector.has_table(TABLE.name), only_invented:
        case True, None:
            return (
                f"the arrest database is invented, by its table '{TABLE.name}', and this gateway is no sandbox: is "
                "GATEWAY_ARREST_URL right? See GATEWAY_SANDBOX"
            )
        case False, str():
            return (
                f"the arrest database has no table '{TABLE.name}', so its records may be real, and this gateway "
                f"{only_invented}: 'gateway seed' makes an invented database"
            )
        case _:
            return None


def check(engine: Engine, only_invented: str | None) -> None:
    """Refuse to start over a database of the other kind, or over an invented one to which rows were added since."""
    try:
        against = contradiction(sa.inspect(engine), only_invented)
        if against is None and only_invented:
            against = _changed(engine)
    except SQLAlchemyError:
        raise ConfigurationError("the arrest database can't be read; is GATEWAY_ARREST_URL right?") from None
    if against is not None:
        raise ConfigurationError(against)


def _changed(engine: Engine) -> str | None:
    """Say in which tables other rows stand than the mark counts; a mark that counts none says nothing of any."""
    with engine.connect() as connection:
        marked = {row.table_name: row.row_count for row in connection.execute(sa.select(TABLE))}
        if not marked:
            return f"the table '{TABLE.name}' is empty: {_ANEW}"
        present = set(sa.inspect(connection).get_table_names()) - {TABLE.name}
        changed = [name for name in sorted(present | marked.keys()) if _rows(connection, name) != marked.get(name, 0)]
    if not changed:
        return None
    return f"the tables {', '.join(changed)} have other numbers of rows than were invented: {_ANEW}"


def _rows(connection: Connection, table: str) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(sa.table(table))).scalar_one()
