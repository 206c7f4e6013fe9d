"""What data exists: resources, fields with their value domains and classes of sensitivity, relations.

The catalogue maps the names that policies and clients use to the tables and columns of one city's arrest database.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.strict_yaml import FileError, Mapping, Place, Text, read_file

MAX_TEXT = 4000
MAX_RELATED = 500
# Words that a question or an answer uses itself.
RESERVED = frozenset({"and", "or", "not", "id", "source_defects"})


class Kind(StrEnum):
    """The kinds of value that a field can hold, the same on SQLite and PostgreSQL."""

    TEXT = "text"
    CODE = "code"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    KEY = "key"


Scalar = str | int | bool | date | datetime

DATES = (date(1850, 1, 1), date(2199, 12, 31))
MOMENTS = (datetime(1900, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
KEYS = (1, 2**63 - 1)
SMALL_INTEGERS = (-(2**31), 2**31 - 1)


class OutOfDomainError(ValueError):
    """A value that a field can't hold."""


@dataclass(frozen=True, slots=True)
class Domain:
    """Which values a field can hold: `most` characters of text, one of `codes`, an integer from `low` to `high`."""

    kind: Kind
    most: int = 0
    codes: tuple[str, ...] = ()
    low: int = 0
    high: int = 0

    def parse(self, value: object) -> Scalar:
        """Turn a JSON value into a value of this domain; raise OutOfDomainError, whose text holds no value."""
        match self.kind, value:
            case Kind.TEXT, str() if storable(value) and len(value) <= self.most:
                return value
            case Kind.CODE, str() if value in self.codes:
                return value
            case Kind.BOOLEAN, bool():
                return value
            case ((Kind.INTEGER | Kind.KEY), int()) if not isinstance(value, bool) and self.low <= value <= self.high:
                return value
            case Kind.DATE, str():
                return _date(value)
            case Kind.TIMESTAMP, str():
                return _moment(value)
            case _:
                raise OutOfDomainError(f"expected {self.describe()}")

    def describe(self) -> str:
        """Say in words which values are accepted."""
        match self.kind:
            case Kind.TEXT:
                return f"a text of at most {self.most} characters without NUL"
            case Kind.CODE:
                return f"one of {', '.join(self.codes)}"
            case Kind.KEY:
                return "an opaque id"
            case Kind.INTEGER:
                return f"a whole number from {self.low} to {self.high}"
            case Kind.BOOLEAN:
                return "true or false"
            case Kind.DATE:
                return f"a date from {DATES[0]} to {DATES[1]}, YYYY-MM-DD"
            case Kind.TIMESTAMP:
                return "an RFC 3339 time with offset, of the years 1900 to 2199"


YEARS = Domain(Kind.INTEGER, low=DATES[0].year, high=DATES[1].year)


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

# Python's readers take all of ISO 8601: weeks, days of the year, times without seconds.
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")


def storable(value: str) -> bool:
    """Whether both databases can hold the text: no NUL, no lone surrogate."""
    return _UNSTORABLE.search(value) is None


def _date(value: str) -> date:
    try:
        parsed = date.fromisoformat(value) if _DATE.fullmatch(value) else None
    except ValueError:
        parsed = None
    if parsed is None or not DATES[0] <= parsed <= DATES[1]:
        raise OutOfDomainError(f"expected {Domain(Kind.DATE).describe()}")
    return parsed


def _moment(value: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(value) if _MOMENT.fullmatch(value) else None
        moment = None if parsed is None or parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not MOMENTS[0] <= moment <= MOMENTS[1]:
        raise OutOfDomainError(f"expected {Domain(Kind.TIMESTAMP).describe()}")
    return moment


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `table` is the alias under which the table is joined."""

    table: str
    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """One named value of a record: where it is kept, what it can hold, and how sensitive it is.

    `enforced`: the source's own column type or CHECK keeps the values in the domain. `required`: never null.
    """

    name: str
    column: Column
    domain: Domain
    sensitivity: str
    enforced: bool
    required: bool


@dataclass(frozen=True, slots=True)
class Join:
    """A table with at most one row for each row of the base: `alias.key = base.on`."""

    alias: str
    table: str
    key: str
    on: str


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows of another table that belong to a record: `table.match = record's key`; to one, or to many in an order."""

    name: str
    table: str
    match: str
    key: str
    many: bool
    at_most: int
    order: str
    joins: tuple[Join, ...]
    fields: dict[str, Field]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of record that may be asked for."""

    name: str
    table: str
    key: str
    person: str
    joins: tuple[Join, ...]
    fields: dict[str, Field]
    relations: dict[str, Relation]

    def paths(self) -> Iterator[tuple[str, Field]]:
        """Yield every field with its path: `name`, or `relation.name`."""
        yield from self.fields.items()
        for relation in self.relations.values():
            for name, field in relation.fields.items():
                yield f"{relation.name}.{name}", field


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The whole of one city's data as the gateway knows it."""

    name: str
    time_zone: ZoneInfo
    purposes: dict[str, str]
    missions: dict[str, str]
    classes: dict[str, str]
    identifying: frozenset[str]
    resources: dict[str, Resource]


def load(path: Path, root: Path) -> tuple[Catalogue, bytes]:
    """Read a catalogue; return it with the file's bytes; raise FileError."""
    top, content = read_file(path, root)
    top.closed(
        required=(
            "catalogue",
            "title",
            "time_zone",
            "purposes",
            "missions",
            "classes",
            "identifying",
            "resources",
        ),
    )
    classes = _vocabulary(top, "classes")
    resources = {
        name: _resource(name, spec.closed(required=_RESOURCE, optional=("joins", "relations")), classes)
        for name, spec in top.mappings("resources")
    }
    catalogue = Catalogue(
        name=top.string("catalogue"),
        time_zone=_zone(top.text("time_zone")),
        purposes=_vocabulary(top, "purposes"),
        missions=_vocabulary(top, "missions"),
        classes=classes,
        identifying=frozenset(text.one_of(tuple(classes)) for text in top.texts("identifying")),
        resources=resources,
    )
    return catalogue, content


_RESOURCE = ("table", "key", "person", "fields")
_FIELD_OPTIONS = ("most", "codes", "low", "high", "enforced", "required")


def _vocabulary(top: Mapping, key: str) -> dict[str, str]:
    words = top.mapping(key)
    if not words.items:
        raise FileError(top.keys[key], f"'{key}' must not be empty")
    return {word: words.text(word).value for word in words.items}


def _zone(text: Text) -> ZoneInfo:
    try:
        return ZoneInfo(text.value)
    except (ZoneInfoNotFoundError, ValueError):
        raise FileError(text.place, f"'{text.value}' is not a known time zone") from None


def _resource(name: str, spec: Mapping, classes: dict[str, str]) -> Resource:
    _identifier(spec.text("table"))
    return Resource(
        name=_public(name, spec.place),
        table=spec.string("table"),
        key=_identifier(spec.text("key")),
        person=_identifier(spec.text("person")),
        joins=_joins(spec),
        fields=_fields(spec, spec.string("table"), classes),
        relations={relation: _relation(relation, body, classes) for relation, body in spec.mappings("relations")},
    )


def _relation(name: str, spec: Mapping, classes: dict[str, str]) -> Relation:
    spec.closed(required=("table", "match", "fields", "many"), optional=("key", "order", "at_most", "joins"))
    many = spec.boolean("many")
    if many and not {"key", "order", "at_most"} <= spec.items.keys():
        raise FileError(spec.place, "a relation to many needs 'key', 'order' and 'at_most'")
    at_most = spec.text("at_most").integer() if many else 1
    if not 1 <= at_most <= MAX_RELATED:
        raise FileError(spec.place, f"'at_most' must be from 1 to {MAX_RELATED}")
    return Relation(
        name=_public(name, spec.place),
        table=_identifier(spec.text("table")),
        match=_identifier(spec.text("match")),
        key=_identifier(spec.text("key")) if many else spec.string("match"),
        many=many,
        at_most=at_most,
        order=_identifier(spec.text("order")) if many else spec.string("match"),
        joins=_joins(spec),
        fields=_fields(spec, spec.string("table"), classes),
    )


def _joins(spec: Mapping) -> tuple[Join, ...]:
    return tuple(
        Join(
            alias=_plain(alias, body.place),
            table=_identifier(body.closed(required=("table", "key", "on")).text("table")),
            key=_identifier(body.text("key")),
            on=_identifier(body.text("on")),
        )
        for alias, body in spec.mappings("joins")
    )


def _fields(spec: Mapping, table: str, classes: dict[str, str]) -> dict[str, Field]:
    aliases = {table, *spec.mapping("joins").items}
    fields: dict[str, Field] = {}
    for name, body in spec.mappings("fields"):
        body.closed(required=("column", "type", "class"), optional=_FIELD_OPTIONS)
        where = body.text("column")
        alias, _, column = where.value.rpartition(".")
        if (alias or table) not in aliases:
            raise FileError(where.place, f"'{alias}' is neither the table nor one of its joins")
        fields[_public(name, body.place)] = Field(
            name=name,
            column=Column(alias or table, _plain(column, where.place)),
            domain=_domain(body),
            sensitivity=body.text("class").one_of(tuple(classes)),
            enforced=body.boolean("enforced"),
            required=body.boolean("required"),
        )
    if not fields:
        raise FileError(spec.place, "'fields' must not be empty")
    return fields


def _domain(body: Mapping) -> Domain:
    kind = Kind(body.text("type").one_of(tuple(Kind)))
    match kind:
        case Kind.TEXT:
            most = body.text("most").integer() if "most" in body.items else 0
            if not 1 <= most <= MAX_TEXT:
                raise FileError(body.place, f"a text needs 'most', from 1 to {MAX_TEXT}")
            return Domain(kind, most=most)
        case Kind.CODE:
            codes = tuple(code.value for code in body.texts("codes"))
            if not codes:
                raise FileError(body.place, "a code needs 'codes', the values that it can take")
            return Domain(kind, most=max(map(len, codes)), codes=codes)
        case Kind.INTEGER:
            low = body.text("low").integer() if "low" in body.items else SMALL_INTEGERS[0]
            high = body.text("high").integer() if "high" in body.items else SMALL_INTEGERS[1]
            return Domain(kind, low=low, high=high)
        case Kind.KEY:
            return Domain(kind, low=KEYS[0], high=KEYS[1])
        case _:
            return Domain(kind)


def _identifier(text: Text) -> str:
    return _plain(text.value, text.place)


def _public(name: str, place: Place) -> str:
    """Names that clients use: none that a question or an answer uses itself."""
    if name in RESERVED:
        raise FileError(place, f"'{name}' is a word of the API; choose another name")
    return _plain(name, place)


def _plain(name: str, place: Place) -> str:
    """Names of tables, columns and fields: what needs no quoting in SQL, in CEL or in JSON."""
    plain = name.isascii() and name.isidentifier() and not name.startswith("_") and "__" not in name
    if not plain or len(name) > 60:  # noqa: PLR2004 -- PostgreSQL cuts names at 63 bytes
        raise FileError(place, f"'{name}' must be letters, digits and single underscores, and start with a letter")
    return name
