"""A throw-away arrest database for one case: tables made from the catalogue's mapping, rows from the case's records."""

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from gateway.cases.record import OWN_KEYS, NamedRecord, Values
from gateway.catalogue import Field, Join, Relation, Resource
from gateway.domains import Scalar
from gateway.policy.tables import Dialect, encode
from gateway.records.query import Records
from gateway.strict_yaml import FileError

_TIMEOUT = 5
# The keys of rows that no record numbers itself; the records' own fillers lie below.
_FIRST_KEY = OWN_KEYS + 2**32


@contextmanager
def database(resource: Resource, given: Sequence[NamedRecord]) -> Iterator[tuple[Records, Mapping[Scalar | None, str]]]:
    """Build the database, and open it as the gateway opens any; tell which key is whose record."""
    tables = _Tables(resource)
    for record in given:
        tables.add(record)
    with tempfile.TemporaryDirectory(prefix="gateway-case-") as directory:
        path = Path(directory) / "arrests.db"
        tables.write(path)
        records = Records(f"sqlite:///{path}", _TIMEOUT)
        try:
            yield records, tables.names
        finally:
            records.engine.dispose()


class _Tables:
    """Rows by table and key; a row that several records share must be the same for each of them."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._columns = _columns(resource)
        self._rows: dict[tuple[str, str, int], dict[str, Scalar | None]] = {}
        self._keys = count(_FIRST_KEY)
        self.names: dict[Scalar | None, str] = {}

    def add(self, record: NamedRecord) -> None:
        """Add a record with its joined and related rows."""
        resource = self._resource
        own = _own(record, resource.table, resource.fields, record.values)
        row = {resource.key: next(self._keys), resource.person: next(self._keys), **own}
        if row[resource.key] in self.names:
            raise FileError(record.place, f"'{record.name}' has the key of '{self.names[row[resource.key]]}'")
        key = self._put(record, resource.table, resource.key, row, resource.joins, resource.fields, record.values)
        for name, values in record.ones.items():
            if values is not None:
                self._relate(record, resource.relations[name], key, values)
        for name, rows in record.many.items():
            for values in rows:
                self._relate(record, resource.relations[name], key, values)
        self.names[key] = record.name

    def write(self, path: Path) -> None:
        """Write everything; columns have no type, so that each value is kept as it is."""
        with closing(sqlite3.connect(path)) as connection, connection:
            for table, columns in self._columns.items():
                connection.execute(f"CREATE TABLE {_quoted(table)} ({', '.join(map(_quoted, sorted(columns)))})")
            for (table, _, _), row in self._rows.items():
                marks = ", ".join("?" for _ in row)
                names = ", ".join(map(_quoted, row))
                values = [None if value is None else encode(value, Dialect.SQLITE) for value in row.values()]
                connection.execute(f"INSERT INTO {_quoted(table)} ({names}) VALUES ({marks})", values)

    def _relate(self, record: NamedRecord, relation: Relation, key: int, values: Values) -> None:
        own = _own(record, relation.table, relation.fields, values)
        row = {relation.key: next(self._keys), **own, relation.match: key}
        self._put(record, relation.table, relation.key, row, relation.joins, relation.fields, values)

    def _put(
        self,
        record: NamedRecord,
        table: str,
        key: str,
        row: dict[str, Scalar | None],
        joins: tuple[Join, ...],
        fields: Mapping[str, Field],
        values: Values,
    ) -> int:
        """Put a row, and for each join the row of its own, whose key the first names."""
        for join in joins:
            joined = _own(record, join.alias, fields, values)
            reference = row.setdefault(join.on, next(self._keys))
            if isinstance(reference, int):
                self._merge(record, join.table, join.key, {**joined, join.key: reference})
            elif any(value is not None for value in joined.values()):
                raise FileError(record.place, f"without '{join.on}' there is no row of '{join.table}' for its fields")
        return self._merge(record, table, key, row)

    def _merge(self, record: NamedRecord, table: str, key: str, row: dict[str, Scalar | None]) -> int:
        number = row[key]
        if not isinstance(number, int) or number < 1:
            raise FileError(record.place, f"a row of '{table}' needs its key '{key}', a number from 1 on")
        kept = self._rows.setdefault((table, key, number), {})
        for column, value in row.items():
            if kept.setdefault(column, value) != value:
                raise FileError(
                    record.place,
                    f"'{record.name}' and a record before it share a row of '{table}' and differ in '{column}'; "
                    "what is said of the one must be said of the other",
                )
        return number


def _own(record: NamedRecord, alias: str, fields: Mapping[str, Field], values: Values) -> Values:
    """Return the values by column that are kept in one table."""
    kept: Values = {}
    for name, field in fields.items():
        if field.column.table == alias and kept.setdefault(field.column.name, values[name]) != values[name]:
            raise FileError(record.place, f"'{name}' shares its column with another field, and must say the same")
    return kept


def _columns(resource: Resource) -> dict[str, set[str]]:
    columns: dict[str, set[str]] = {}

    def note(table: str, *names: str) -> None:
        columns.setdefault(table, set()).update(names)

    def note_all(table: str, joins: tuple[Join, ...], fields: Mapping[str, Field]) -> None:
        tables = {table: table} | {join.alias: join.table for join in joins}
        for join in joins:
            note(table, join.on)
            note(join.table, join.key)
        for field in fields.values():
            note(tables[field.column.table], field.column.name)

    note(resource.table, resource.key, resource.person)
    note_all(resource.table, resource.joins, resource.fields)
    for relation in resource.relations.values():
        note(relation.table, relation.match, relation.key, relation.order)
        note_all(relation.table, relation.joins, relation.fields)
    return columns


def _quoted(name: str) -> str:
    return f'"{name}"'
