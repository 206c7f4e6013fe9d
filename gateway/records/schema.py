"""Holds the catalogue against the live database: a resource whose tables or columns are not there is refused."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine, Inspector
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

from gateway.catalogue import Catalogue, Field, Join, Relation, Resource
from gateway.domains import Kind
from gateway.errors import ConfigurationError, Unavailable
from gateway.records import invented

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


def check_encoding(engine: Engine) -> None:
    """Refuse a PostgreSQL database whose texts are not UTF-8: what can't be written in another would fail a question.

    SQLite keeps bytes; a text that is no UTF-8 is a defect there, cell by cell.
    """
    if engine.dialect.name == "sqlite":
        return
    try:
        with engine.connect() as connection:
            encoding = connection.scalar(sa.text("SHOW server_encoding"))
    except SQLAlchemyError:
        raise ConfigurationError("the arrest database can't be read; is GATEWAY_ARREST_URL right?") from None
    if encoding != "UTF8":
        raise ConfigurationError(
            f"the arrest database keeps texts in {encoding}; only UTF8 can be compared with questions"
        )


class _Live:
    """The live tables' columns and checks, each read once."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._columns: dict[str, dict[str, sa.engine.interfaces.ReflectedColumn]] = {}
        self._checks: dict[str, list[str]] = {}

    def column(self, table: str, column: str, place: str) -> sa.engine.interfaces.ReflectedColumn:
        if table not in self._columns:
            try:
                self._columns[table] = {c["name"]: c for c in self._inspector.get_columns(table)}
            except NoSuchTableError:
                raise ConfigurationError(f"{place}: the arrest database has no table '{table}'") from None
        if column not in self._columns[table]:
            raise ConfigurationError(f"{place}: the table '{table}' has no column '{column}'")
        return self._columns[table][column]

    def follows(self, table: str, join: Join) -> bool:
        """Whether each row of a table has its row of a join: by a foreign key that is not null."""
        keys = self._inspector.get_foreign_keys(table)
        led = any(
            key["constrained_columns"] == [join.on]
            and key["referred_table"] == join.table
            and key["referred_columns"] == [join.key]
            for key in keys
        )
        return led and not self.column(table, join.on, "")["nullable"]

    def checked(self, table: str, column: str) -> bool:
        if table not in self._checks:
            self._checks[table] = [str(check["sqltext"]) for check in self._inspector.get_check_constraints(table)]
        return any(re.search(rf"\b{re.escape(column)}\b", check) for check in self._checks[table])


# Seconds between two looks at the live database.
INTERVAL = 10


class Fitting:
    """Knows which resources of the catalogue in force do not fit the live database, and looks again and again."""

    def __init__(
        self,
        engine: Engine,
        changed: Callable[[Mapping[str, str]], None],
        monotonic: Callable[[], float],
        only_invented: str | None,
    ) -> None:
        self._engine = engine
        self._only_invented = only_invented
        self._changed = changed
        self._monotonic = monotonic
        self._looked = float("-inf")
        self.unfit: Mapping[str, str] = {}

    def accept(self, catalogue: Catalogue) -> None:
        """Look at a catalogue that is to take force; refuse one of which no resource fits."""
        found = fitting(catalogue, self._engine, self._only_invented)
        self._looked = self._monotonic()
        self._tell(found)

    def refresh(self, catalogue: Catalogue) -> None:
        """Look again, when it is time: what has vanished is refused, and what has come back is answered."""
        if self._monotonic() - self._looked < INTERVAL:
            return
        self._looked = self._monotonic()
        try:
            self._tell(unfit(catalogue, self._engine, self._only_invented))
        except Unavailable:
            # Without the database every query is refused, and nothing is known of its columns.
            return

    def check(self) -> None:
        """Raise Unavailable where a resource does not fit."""
        if self.unfit:
            raise Unavailable

    def _tell(self, found: Mapping[str, str]) -> None:
        if found != self.unfit:
            self._changed(found)
        self.unfit = found


def fitting(catalogue: Catalogue, engine: Engine, only_invented: str | None) -> Mapping[str, str]:
    """Return what is wrong with the resources that do not fit; raise ConfigurationError where none fits."""
    try:
        found = unfit(catalogue, engine, only_invented)
    except Unavailable:
        raise ConfigurationError("the arrest database can't be read; is GATEWAY_ARREST_URL right?") from None
    if len(found) == len(catalogue.resources):
        raise ConfigurationError("; ".join(dict.fromkeys(found.values())))
    return found


def unfit(catalogue: Catalogue, engine: Engine, only_invented: str | None) -> Mapping[str, str]:
    """Return, by resource, which table or column is not there or not as the catalogue says; none where all fits.

    Nothing fits a database that has come to be of the other kind: invented, or not.
    """
    found = {}
    try:
        inspector = sa.inspect(engine)
        against = invented.contradiction(inspector, only_invented)
        if against is not None:
            return dict.fromkeys(catalogue.resources, against)
        live = _Live(inspector)
        for resource in catalogue.resources.values():
            try:
                _check_resource(resource, live, enforceable=engine.dialect.name == "postgresql")
            except ConfigurationError as error:
                found[resource.name] = str(error)
    except SQLAlchemyError:
        raise Unavailable from None
    return found


def _check_resource(resource: Resource, live: _Live, *, enforceable: bool) -> None:
    place = f"catalogue: resource '{resource.name}'"
    for column in (resource.key, resource.person):
        live.column(resource.table, column, place)
    _check_joins(resource.table, resource.joins, live, place)
    _check_fields(resource.table, resource.joins, resource.fields, live, place, enforceable=enforceable)
    _check_required(resource, live, place)
    for relation in resource.relations.values():
        _check_relation(relation, live, f"{place}, relation '{relation.name}'", enforceable=enforceable)


def _check_required(resource: Resource, live: _Live, place: str) -> None:
    """Refuse a field that is said never to be null, and can be: pages sorted by it would leave records out."""
    joins = {join.alias: join for join in resource.joins}
    for field in resource.fields.values():
        join = joins.get(field.column.table)
        table = resource.table if join is None else join.table
        if not field.required:
            continue
        where = f"{place}, field '{field.name}': 'required'"
        if live.column(table, field.column.name, where)["nullable"]:
            raise ConfigurationError(f"{where}, and '{table}.{field.column.name}' can be null")
        if join is not None and not live.follows(resource.table, join):
            raise ConfigurationError(
                f"{where}, and no NOT NULL foreign key leads from '{resource.table}.{join.on}' to it"
            )


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
