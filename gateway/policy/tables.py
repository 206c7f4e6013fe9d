"""The catalogue's resources as SQL sources: tables, joins, and columns that hold only what their domain allows.

Databases keep values that the gateway can't show or compare alike: `infinity`, `0044 BC`, a BLOB in a text column.
Every read of a column is guarded so that such a value is null here, and so that no expression over it can fail.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ColumnElement, visitors

from gateway.catalogue import Field, Join, Relation, Resource
from gateway.domains import DATES, KEYS, MOMENTS, TEXTUAL, Domain, Kind, Scalar
from gateway.policy.days import YEAR
from gateway.policy.statutes import READABLE

Bool = ColumnElement[bool]
Value = ColumnElement[Any]
Parameter = str | int | bool | date | datetime | list[Any] | None


class Dialect(StrEnum):
    """The databases that the gateway speaks to."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


_POSTGRESQL_TYPES: dict[Kind, sa.types.TypeEngine[Any]] = {
    Kind.TEXT: sa.Text(),
    Kind.STATUTE: sa.Text(),
    Kind.CODE: sa.Text(),
    Kind.INTEGER: sa.BigInteger(),
    Kind.KEY: sa.BigInteger(),
    Kind.BOOLEAN: sa.Boolean(),
    Kind.DATE: sa.Date(),
    Kind.TIMESTAMP: sa.DateTime(timezone=True),
}

_DATE_SHAPE = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_MOMENT_SHAPE = _DATE_SHAPE + " [0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]"


def encode(value: Scalar, dialect: Dialect) -> Parameter:
    """Turn a value into what the driver binds; SQLite keeps dates and UTC moments as text of one spelling."""
    if dialect is Dialect.POSTGRESQL:
        return value
    match value:
        case bool():
            return int(value)
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        case date():
            return value.isoformat()
        case _:
            return value


def encode_many(values: Iterable[Scalar], dialect: Dialect) -> Parameter:
    """Turn values into one array parameter; SQLite reads it as JSON."""
    encoded = [encode(value, dialect) for value in values]
    return encoded if dialect is Dialect.POSTGRESQL else json.dumps(encoded)


def literal(value: int | str) -> Value:
    """Write a number or text of the gateway's own, or of the catalogue, into the statement."""
    return sa.literal_column(str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'")


def parameter(name: str, kind: Kind, dialect: Dialect) -> Value:
    """Name a parameter of a kind."""
    return sa.bindparam(name, type_=_POSTGRESQL_TYPES[kind] if dialect is Dialect.POSTGRESQL else sa.types.NullType())


def constant(value: Scalar, kind: Kind, dialect: Dialect) -> Value:
    """Bind a value that the policy states."""
    kept = _POSTGRESQL_TYPES[kind] if dialect is Dialect.POSTGRESQL else sa.types.NullType()
    return _stated(encode(value, dialect), kind, kept)


def is_among(value: Value, stated: Iterable[Scalar], kind: Kind, dialect: Dialect) -> Bool:
    """Compare a value with those that the policy states."""
    if dialect is Dialect.POSTGRESQL:
        return value == sa.any_(_array(stated, kind))
    return value.in_([constant(each, kind, dialect) for each in stated])


def is_none_of(value: Value, stated: Iterable[Scalar], kind: Kind, dialect: Dialect) -> Bool:
    """Compare a value with those that the policy states; of a null, null."""
    if dialect is Dialect.POSTGRESQL:
        return value != sa.all_(_array(stated, kind))
    return value.not_in([constant(each, kind, dialect) for each in stated])


def _array(stated: Iterable[Scalar], kind: Kind) -> Value:
    return _stated(list(stated), kind, postgresql.ARRAY(_POSTGRESQL_TYPES[kind]))


def _stated(encoded: Parameter, kind: Kind, kept: sa.types.TypeEngine[Any]) -> Value:
    """Name a constant by what it is, so that one which many cells and rules compare with is bound once."""
    name = hashlib.sha256(f"{kind}:{encoded!r}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return sa.bindparam(f"policy_{name}", encoded, type_=kept)


def is_one_of(value: Value, name: str, kind: Kind, dialect: Dialect) -> Bool:
    """Compare a value with the array parameter of that name."""
    if dialect is Dialect.POSTGRESQL:
        return value == sa.any_(sa.bindparam(name, type_=postgresql.ARRAY(_POSTGRESQL_TYPES[kind])))
    listed = sa.func.json_each(sa.bindparam(name)).table_valued("value")
    return value.in_(sa.select(listed.c.value))


def ordered(value: Value, kind: Kind, dialect: Dialect) -> Value:
    """Give a value the one order that both databases share: texts by code point."""
    if kind not in TEXTUAL:
        return value
    return sa.collate(value, "C" if dialect is Dialect.POSTGRESQL else "BINARY")


@dataclass(frozen=True, slots=True)
class Guarded:
    """A column and the predicate under which its value is in the domain; None where the source enforces it."""

    raw: Value
    within: Bool | None
    domain: Domain

    def value(self) -> Value:
        """Return the value where it is in the domain, else null."""
        return self.raw if self.within is None else sa.case((self.within, self.raw))

    def where(self, predicate: Bool) -> Bool:
        """Hold a predicate on the raw column, which keeps its index, to values of the domain."""
        return predicate if self.within is None else sa.and_(predicate, self.within)

    def defect(self) -> Bool | None:
        """Whether the source holds a value outside the domain."""
        if self.within is None:
            return None
        return sa.and_(self.raw.is_not(None), self.value().is_(None))


def is_statute(value: Value, dialect: Dialect) -> Bool:
    """Whether a text is a statute in one of its spellings, as `statutes.parse` reads them."""
    if dialect is Dialect.POSTGRESQL:
        return sa.collate(value, "C").regexp_match(literal(READABLE))
    digits, inner = literal("0123456789"), literal("0123456789.-")
    after_title = sa.func.ltrim(value, digits)
    dotted = sa.func.ltrim(after_title, inner)
    signs = sa.func.ltrim(sa.func.substr(after_title, literal(4)), inner)
    short = sa.func.ltrim(sa.func.substr(value, literal(3)), inner)
    return sa.or_(
        sa.and_(
            value.op("GLOB")(literal("[0-9]*")),
            sa.or_(
                sa.and_(after_title.op("GLOB")(literal(".[0-9]*")), _ends(value, dotted, "[0-9].", "[A-Z]*")),
                sa.and_(after_title.op("GLOB")(literal(" § [0-9]*")), _ends(value, signs, "*[0-9]", " §§ [A-Z]*")),
            ),
        ),
        sa.and_(value.op("GLOB")(literal("CC[0-9]*")), _ends(value, short, "*[0-9]", "[A-Z]*")),
    )


def _ends(value: Value, rest: Value, before: str, subsection: str) -> Bool:
    """Whether a text ends after its section, in a digit, or goes on with a subsection; `before` is what parts them."""
    last_two = sa.func.substr(value, sa.func.length(value) - sa.func.length(rest) - literal(1), literal(2))
    whole = sa.and_(rest == literal(""), value.op("GLOB")(literal("*[0-9]")))
    return sa.or_(whole, sa.and_(rest.op("GLOB")(literal(subsection)), last_two.op("GLOB")(literal(before))))


def day_number(column: Guarded, zone: ZoneInfo, dialect: Dialect) -> Value:
    """Write a column's local day as a number, YYYYMMDD; null where it has no value."""
    timestamp = column.domain.kind is Kind.TIMESTAMP
    value = column.value()
    if dialect is Dialect.SQLITE:
        local = sa.func.local_day(value, literal(zone.key)) if timestamp else value
        return sa.cast(sa.func.replace(local, literal("-"), literal("")), sa.Integer)
    local = sa.func.timezone(literal(zone.key), value) if timestamp else value
    year, month, day = (sa.func.date_part(literal(part), local) for part in ("year", "month", "day"))
    return year * literal(YEAR) + month * literal(100) + day


@dataclass(frozen=True, slots=True)
class Source:
    """A table with its to-one joins, under names of its own."""

    key: Value
    tables: dict[str, sa.TableClause | sa.FromClause]
    joined: sa.FromClause
    fields: dict[str, Field]
    dialect: Dialect

    def guarded(self, name: str) -> Guarded:
        """Return a field's guarded column."""
        field = self.fields[name]
        raw: Value = self.tables[field.column.table].c[field.column.name]
        if field.domain.kind in TEXTUAL and self.dialect is Dialect.SQLITE:
            raw = sa.collate(raw, "BINARY")
        return Guarded(raw, _within(raw, field, self.dialect), field.domain)


def source(
    table: str,
    key: str,
    joins: tuple[Join, ...],
    fields: dict[str, Field],
    name: str,
    dialect: Dialect,
    extra: tuple[str, ...] = (),
    among: sa.FromClause | None = None,
) -> Source:
    """Build a source, of all rows or of those whose keys `among` holds as `_key`; its aliases start with `name`."""
    wanted = {table: {key, *extra, *(join.on for join in joins)}} | {join.alias: {join.key} for join in joins}
    for field in fields.values():
        wanted[field.column.table].add(field.column.name)
    base = _aliased(table, wanted[table], name)
    tables: dict[str, sa.TableClause | sa.FromClause] = {table: base}
    # What narrows the rows comes first: PostgreSQL reorders only so many joins, and must not begin with the rest.
    joined: sa.FromClause = base if among is None else among.join(base, among.c["_key"] == base.c[key])
    for join in joins:
        tables[join.alias] = _aliased(join.table, wanted[join.alias], f"{name}_{join.alias}")
        joined = joined.outerjoin(tables[join.alias], tables[join.alias].c[join.key] == base.c[join.on])
    return Source(base.c[key], tables, joined, fields, dialect)


@dataclass(frozen=True, slots=True)
class ResourceSource:
    """A resource with its to-one relations joined: what a row rule and a view select from."""

    base: Source
    person: Value
    ones: dict[str, Source]
    joined: sa.FromClause
    dialect: Dialect

    def guarded(self, path: str) -> Guarded:
        """Return the guarded column of a path, `field` or `relation.field`."""
        relation, _, name = path.rpartition(".")
        return self.ones[relation].guarded(name) if relation else self.base.guarded(name)

    def identified(self) -> Bool:
        """Whether a row has a key that an id can stand for, and its person too, if there is one."""
        key, person = _key_within(self.base.key, self.dialect), _key_within(self.person, self.dialect)
        return sa.and_(key, sa.or_(self.person.is_(None), person))


def resource_source(resource: Resource, dialect: Dialect, among: sa.FromClause | None = None) -> ResourceSource:
    """Join a resource, its to-one joins and its to-one relations; each adds no row and removes none.

    The rows are all, or those whose keys `among` holds as `_key`.
    """
    base = source(
        resource.table,
        resource.key,
        resource.joins,
        resource.fields,
        resource.name,
        dialect,
        (resource.person,),
        among,
    )
    joined = base.joined
    ones = {}
    for relation in resource.relations.values():
        if not relation.many:
            one = related_source(relation, f"{resource.name}_{relation.name}", dialect)
            joined = joined.outerjoin(one.joined, one.key == base.key)
            ones[relation.name] = one
    return ResourceSource(base, base.tables[resource.table].c[resource.person], ones, joined, dialect)


def joined_for(joined: sa.FromClause, used: Iterable[sa.ClauseElement]) -> sa.FromClause:
    """Leave out the outer joins of which nothing is used; the database can't do that where it knows no unique key."""
    parts = list(_parts(joined))
    inner = (part.right for part in parts if not part.isouter)
    columns = (each for clause in (*used, *inner) for each in visitors.iterate(clause))
    tables = {column.table for column in columns if isinstance(column, sa.ColumnClause)}
    kept: sa.FromClause = parts[-1].left if parts else joined
    for part in reversed(parts):
        if not part.isouter or tables.intersection(_tables(part.right)):
            kept = sa.join(kept, part.right, part.onclause, isouter=part.isouter)
    return kept


def _parts(joined: sa.FromClause) -> Iterator[sa.Join]:
    """Yield the joins of a chain, the last first."""
    while isinstance(joined, sa.Join):
        yield joined
        joined = joined.left


def _tables(joined: sa.FromClause) -> set[sa.FromClause]:
    return {joined} if not isinstance(joined, sa.Join) else _tables(joined.left) | _tables(joined.right)


def related_source(relation: Relation, name: str, dialect: Dialect) -> Source:
    """Build the source of a relation; its key is the column that names the record."""
    extra = (relation.key, relation.order)
    return source(relation.table, relation.match, relation.joins, relation.fields, name, dialect, extra)


def _aliased(table: str, columns: set[str], name: str) -> sa.FromClause:
    return sa.table(table, *(sa.column(column) for column in sorted(columns))).alias(name)


def _within(raw: Value, field: Field, dialect: Dialect) -> Bool | None:
    if dialect is Dialect.POSTGRESQL:
        return None if field.enforced else _within_postgresql(raw, field.domain)
    return _within_sqlite(raw, field.domain)


def _key_within(raw: Value, dialect: Dialect) -> Bool:
    bounded = raw.between(literal(KEYS[0]), literal(KEYS[1]))
    return bounded if dialect is Dialect.POSTGRESQL else sa.and_(sa.func.typeof(raw) == literal("integer"), bounded)


def _codes(raw: Value, domain: Domain) -> Bool:
    return raw.in_([literal(code) for code in domain.codes])


def _within_postgresql(raw: Value, domain: Domain) -> Bool | None:
    match domain.kind:
        case Kind.TEXT | Kind.STATUTE:
            return sa.func.char_length(raw) <= literal(domain.most)
        case Kind.CODE:
            return _codes(raw, domain)
        case Kind.INTEGER | Kind.KEY:
            return raw.between(literal(domain.low), literal(domain.high))
        case Kind.DATE:
            return raw.between(literal(DATES[0].isoformat()), literal(DATES[1].isoformat()))
        case Kind.TIMESTAMP:
            return raw.between(literal(MOMENTS[0].isoformat()), literal(MOMENTS[1].isoformat()))
        case Kind.BOOLEAN:
            return None


def _within_sqlite(raw: Value, domain: Domain) -> Bool:
    """SQLite columns hold any type: ask for the storage class first, then the range."""
    kind = sa.func.typeof(raw)
    match domain.kind:
        case Kind.TEXT | Kind.STATUTE:
            short = sa.func.length(raw) <= literal(domain.most)
            return sa.and_(kind == literal("text"), short, _without_nul(raw), _in_utf8(raw))
        case Kind.CODE:
            return _codes(raw, domain)
        case Kind.INTEGER | Kind.KEY:
            return sa.and_(kind == literal("integer"), raw.between(literal(domain.low), literal(domain.high)))
        case Kind.BOOLEAN:
            return sa.and_(kind == literal("integer"), raw.in_([literal(0), literal(1)]))
        case Kind.DATE:
            low, high = (str(encode(bound, Dialect.SQLITE)) for bound in DATES)
            real = sa.and_(_in_calendar(raw), _without_nul(raw))
            return sa.and_(raw.op("GLOB")(literal(_DATE_SHAPE)), real, raw.between(literal(low), literal(high)))
        case Kind.TIMESTAMP:
            low, high = (str(encode(bound, Dialect.SQLITE)) for bound in MOMENTS)
            clock = (_part(raw, 12) <= literal("23"), _part(raw, 15) <= literal("59"), _part(raw, 18) <= literal("59"))
            real = sa.and_(_in_calendar(sa.func.substr(raw, literal(1), literal(10))), *clock, _without_nul(raw))
            return sa.and_(raw.op("GLOB")(literal(_MOMENT_SHAPE)), real, raw.between(literal(low), literal(high)))


def _without_nul(raw: Value) -> Bool:
    """Whether a text goes on to its end: most of SQLite's functions stop at a NUL."""
    return sa.func.instr(raw, sa.func.char(literal(0))) == literal(0)


def _in_utf8(raw: Value) -> Bool:
    """Whether a text is UTF-8: SQLite keeps the bytes that it was given, and JSON of others can't be read."""
    plain = sa.not_(raw.op("GLOB")(literal("*[^ -~]*")))
    decodes: Value = sa.func.is_utf8(sa.cast(raw, sa.LargeBinary))
    return sa.case((plain, literal(1)), else_=decodes) == literal(1)


def _in_calendar(text: Value) -> Bool:
    """Whether a text of a date's shape is a day: SQLite carries 30 February over to March only when it reckons."""
    return sa.func.date(text, literal("+0 days")) == text


def _part(raw: Value, at: int) -> Value:
    return sa.func.substr(raw, literal(at), literal(2))
