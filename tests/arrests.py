"""The arrest database of the tests: the seed's, with records that hold canaries and nulls beside it."""

from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from gateway.records import invented
from gateway.seed import schema, seed

ARRESTS = 400
CANARY = "CANARY"
FIRST_CANARY = 9_000_000


def build(url: str) -> None:
    """Seed a database that stands for a real one, and add expunged arrests whose every text is a canary."""
    seed(url, year=2014, arrests=ARRESTS, seed=7)
    stand_for_real(url)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for number in range(5):
            for table, row in canaries(FIRST_CANARY + number):
                connection.execute(table.insert(), row)
    engine.dispose()


def keep_mark(url: str, *, invented_only: bool) -> None:
    """Put the mark on a database over which a gateway is to rehearse, and take it from one over which none is to.

    It counts the rows as they are now, since tests change them.
    """
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        invented.TABLE.drop(connection, checkfirst=True)
        if invented_only:
            tables = [sa.table(name) for name in sa.inspect(connection).get_table_names()]
            rows = {each.name: connection.scalar(sa.select(sa.func.count()).select_from(each)) for each in tables}
            invented.mark(connection, {name: count or 0 for name, count in rows.items()})
    engine.dispose()


def stand_for_real(url: str) -> None:
    """Take the mark from a database that was invented, so that a gateway which is no sandbox can be tested over it."""
    keep_mark(url, invented_only=False)


def canaries(key: int) -> list[tuple[sa.Table, dict[str, Any]]]:
    """Return the rows of one expunged arrest; every text that fits says CANARY."""
    rows: list[tuple[sa.Table, dict[str, Any]]] = []
    for name in (
        "person",
        "location",
        "officer",
        "arrest",
        "charge",
        "disposition",
        "release_conviction",
        "custody",
        "bail",
        "victim",
        "witness",
    ):
        table = schema.metadata.tables[name]
        rows.append((table, {column.name: _value(column, key) for column in table.columns}))
    return rows


def _value(column: sa.Column[Any], key: int) -> object:
    if column.primary_key or column.foreign_keys:
        return key
    chosen: dict[str, object] = {
        "record_status": "expunged",
        "grade": "F1",
        "status": "held",
        "sex": "F",
        "sequence": 1,
    }
    if column.name in chosen:
        return chosen[column.name]
    match column.type:
        case sa.String(length=length):
            return (f"{CANARY}-{column.name}")[:length] if length and length >= len(CANARY) else None
        case sa.DateTime():
            return datetime(2014, 6, 1, 12, tzinfo=UTC)
        case sa.Date():
            return date(1987, 6, 5)
        case _:
            return 424_242
