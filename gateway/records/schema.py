"""Holds the catalogue against the live database: a table or column that is not there refuses to start."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine, Inspector
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

from gateway.catalogue import Catalogue, Field, Join, Relation, Resource
from gateway.domains import Kind
from gateway.errors import ConfigurationError

_TYPES: dict[Kind, tuple[type[sa.types.TypeEngine[Any]], ...]] = {
    Kind.TEXT: (sa.String,),
    Kind.STATUTE: (sa.String,),
    Kind.CODE: (sa.String,),
    Kind.INTEGER: (sa.Integer,),
    Kind.KEY: (sa.Integer,),
    Kind.BOOLEAN: (sa.Boolean,),
    Kind.DATE: (sa.Date,),
    Kind.TIMESTAMP: (sa.DateTime,),
}


class _Live:
    """The live tables' columns and checks, each read once."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._columns: dict[str, dict[str, sa.engine.interfaces.ReflectedColumn]] = {}

    def column(self, table: str, column: str, place: str) -> sa.engine.interfaces.ReflectedColumn:
        if table not in self._columns:
            try:
                self._columns[table] = {c["name"]: c for c in self._inspector.get_columns(table)}
            except NoSuchTableError:
                raise ConfigurationError(f"{place}: the arrest database has no table '{table}'") from None
        if column not in self._columns[table]:
            raise ConfigurationError(f"{place}: the table '{table}' has no column '{column}'")
        return self._columns[table][column]

    def checked(self, table: str, column: str) -> bool:
        checks = self._inspector.get_check_constraints(table)
        return any(column in str(check["sqltext"]) for check in checks)


def check(catalogue: Catalogue, engine: Engine) -> None:
    """Refuse a catalogue that does not fit the live schema, naming the table or column."""
    try:
        live = _Live(sa.inspect(engine))
        for resource in catalogue.resources.values():
            _check_resource(resource, live, enforceable=engine.dialect.name == "postgresql")
    except SQLAlchemyError:
        raise ConfigurationError("the arrest database can't be read; is GATEWAY_ARREST_URL right?") from None


def _check_resource(resource: Resource, live: _Live, *, enforceable: bool) -> None:
    place = f"catalogue: resource '{resource.name}'"
    for column in (resource.key, resource.person):
        live.column(resource.table, column, place)
    _check_joins(resource.table, resource.joins, live, place)
    _check_fields(resource.table, resource.joins, resource.fields, live, place, enforceable=enforceable)
    for relation in resource.relations.values():
        _check_relation(relation, live, f"{place}, relation '{relation.name}'", enforceable=enforceable)


def _check_relation(relation: Relation, live: _Live, place: str, *, enforceable: bool) -> None:
    for column in (relation.match, relation.key, relation.order):
        live.column(relation.table, column, place)
    _check_joins(relation.table, relation.joins, live, place)
    _check_fields(relation.table, relation.joins, relation.fields, live, place, enforceable=enforceable)


def _check_joins(table: str, joins: tuple[Join, ...], live: _Live, place: str) -> None:
    for join in joins:
        live.column(join.table, join.key, place)
        live.column(table, join.on, place)


def _check_fields(
    table: str,
    joins: tuple[Join, ...],
    fields: dict[str, Field],
    live: _Live,
    place: str,
    *,
    enforceable: bool,
) -> None:
    tables = {table: table} | {join.alias: join.table for join in joins}
    for field in fields.values():
        where = f"{place}, field '{field.name}'"
        name = tables[field.column.table]
        column = live.column(name, field.column.name, where)
        if not isinstance(column["type"], _TYPES[field.domain.kind]):
            raise ConfigurationError(
                f"{where}: '{name}.{field.column.name}' is {column['type']}, the catalogue says {field.domain.kind}"
            )
        if field.enforced and enforceable and not _enforced(field, column, live.checked(name, field.column.name)):
            raise ConfigurationError(
                f"{where}: 'enforced' needs a column type or a CHECK constraint that keeps "
                f"'{name}.{field.column.name}' to {field.domain.describe()}"
            )


def _enforced(field: Field, column: sa.engine.interfaces.ReflectedColumn, checked: bool) -> bool:  # noqa: FBT001
    """Whether the column's own type keeps to the domain; for what a type can't say, whether a CHECK names it."""
    kept = column["type"]
    match field.domain.kind:
        case Kind.TEXT | Kind.STATUTE:
            return isinstance(kept, sa.String) and kept.length is not None and kept.length <= field.domain.most
        case Kind.KEY | Kind.BOOLEAN:
            return True
        case Kind.INTEGER:
            return checked or (isinstance(kept, sa.SmallInteger) and field.domain.high >= 2**15 - 1)
        case _:
            return checked
