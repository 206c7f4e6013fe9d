"""What data exists: resources, fields with their value domains and classes of sensitivity, relations.

The catalogue maps the names that policies and clients use to the tables and columns of one city's arrest database.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.domains import DAYS, KEYS, MAX_TEXT, SMALL_INTEGERS, Domain, Kind
from gateway.strict_yaml import FileError, Mapping, Place, Text, read

MAX_RELATED = 500
# Words that a question or an answer uses itself.
RESERVED = frozenset({"and", "or", "not", "named", "id", "source_defects", "redacted", "pointer"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `table` is the alias under which the table is joined."""

    table: str
    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """One named value of a record: where it is kept, what it can hold, and how sensitive it is.

    `enforced`: the source's own column type or CHECK keeps the values in the domain. `required`: never null.
    `coarser`: fields of the record that may be shown in this one's place. `age_at`: for a date of birth, the field on
    whose day an age is counted, so that a band of ages never moves with the calendar.
    """

    name: str
    column: Column
    domain: Domain
    sensitivity: str
    enforced: bool
    required: bool
    coarser: tuple[str, ...] = ()
    age_at: str = ""


@dataclass(frozen=True, slots=True)
class Join:
    """A table with at most one row for each row of the base: `alias.key = base.on`."""

    alias: str
    table: str
    key: str
    on: str


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows of another table that belong to a record: `table.match = record's key`; to one, or to many in an order.

    `complete_when` names the record's own field that is true once no further rows can come; until then, that no row
    meets a condition is not known.
    """

    name: str
    table: str
    match: str
    key: str
    many: bool
    at_most: int
    order: str
    joins: tuple[Join, ...]
    fields: dict[str, Field]
    complete_when: str = ""


@dataclass(frozen=True, slots=True)
class Names:
    """The fields by which a person is searched for: two texts and a date of the record."""

    family: str
    given: str
    born: str


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of record that may be asked for; its days are those of the zone.

    `names` is None where no person's names are kept.
    """

    name: str
    zone: ZoneInfo
    table: str
    key: str
    person: str
    joins: tuple[Join, ...]
    fields: dict[str, Field]
    relations: dict[str, Relation]
    names: Names | None = None

    def paths(self) -> Iterator[tuple[str, Field]]:
        """Yield every field with its path: `name`, or `relation.name`."""
        yield from self.fields.items()
        for relation in self.relations.values():
            for name, field in relation.fields.items():
                yield f"{relation.name}.{name}", field

    def person_paths(self) -> tuple[str, ...]:
        """Return the fields that tell which person a record is about."""
        return tuple(
            name
            for name, field in self.fields.items()
            if field.domain.kind is Kind.KEY and field.column == Column(self.table, self.person)
        )

    def field(self, path: str) -> Field:
        """Return the field at a path."""
        relation, _, name = path.rpartition(".")
        return self.relations[relation].fields[name] if relation else self.fields[name]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The whole of one city's data as the gateway knows it."""

    name: str
    time_zone: ZoneInfo
    purposes: dict[str, str]
    missions: dict[str, str]
    classes: dict[str, str]
    resources: dict[str, Resource]


def load(content: bytes, name: str) -> Catalogue:
    """Read a catalogue; raise FileError."""
    top = read(content, name)
    top.closed(
        required=(
            "catalogue",
            "title",
            "time_zone",
            "purposes",
            "missions",
            "classes",
            "resources",
        ),
    )
    classes = _vocabulary(top, "classes")
    zone = _zone(top.text("time_zone"))
    _refuse_taken(top)
    resources = {
        name: _resource(name, spec.closed(required=_RESOURCE, optional=("joins", "relations", "names")), classes, zone)
        for name, spec in top.mappings("resources")
    }
    return Catalogue(
        name=top.string("catalogue"),
        time_zone=zone,
        purposes=_vocabulary(top, "purposes"),
        missions=_vocabulary(top, "missions"),
        classes=classes,
        resources=resources,
    )


_TAKEN = frozenset({"resources", "entries", "notices"})
_RESOURCE = ("table", "key", "person", "fields")
_FIELD_OPTIONS = ("most", "codes", "low", "high", "enforced", "required", "coarser", "age_at")
_RELATION_OPTIONS = ("key", "order", "at_most", "joins", "complete_when")


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


def _refuse_taken(top: Mapping) -> None:
    """Refuse resources whose addresses the API uses for something else."""
    for name, place in top.mapping("resources").keys.items():
        if name in _TAKEN:
            raise FileError(place, f"'{name}' can't be the name of a resource: the API has it for something else")


def _resource(name: str, spec: Mapping, classes: dict[str, str], zone: ZoneInfo) -> Resource:
    _identifier(spec.text("table"))
    fields = _fields(spec, spec.string("table"), classes)
    for name_of, body in spec.mappings("fields"):
        _other_fields(fields[name_of], body, fields)
    return Resource(
        name=_public(name, spec.place),
        zone=zone,
        table=spec.string("table"),
        key=_identifier(spec.text("key")),
        person=_identifier(spec.text("person")),
        joins=_joins(spec),
        fields=fields,
        relations={
            relation: _relation(relation, body, classes, fields) for relation, body in spec.mappings("relations")
        },
        names=_names(spec.mapping("names"), fields) if "names" in spec.items else None,
    )


def _names(spec: Mapping, fields: dict[str, Field]) -> Names:
    spec.closed(required=("family", "given", "born"))

    def field(part: str, kind: Kind) -> str:
        text = spec.text(part)
        if fields[text.one_of(tuple(fields))].domain.kind is not kind:
            raise FileError(text.place, f"'{part}' must name a field of the type {kind}")
        return text.value

    return Names(field("family", Kind.TEXT), field("given", Kind.TEXT), field("born", Kind.DATE))


def _other_fields(field: Field, body: Mapping, fields: dict[str, Field]) -> None:
    """Check the fields that a field refers to."""
    for other in body.texts("coarser"):
        if other.one_of(tuple(fields)) == field.name or fields[other.value].domain.kind is Kind.KEY:
            raise FileError(other.place, f"'{other.value}' can't be shown in the place of '{field.name}'")
    if field.age_at:
        at = body.text("age_at")
        if field.domain.kind is not Kind.DATE or fields[at.one_of(tuple(fields))].domain.kind not in DAYS:
            raise FileError(at.place, "'age_at' belongs to a date, and names a date or timestamp")


def _relation(name: str, spec: Mapping, classes: dict[str, str], record: dict[str, Field]) -> Relation:
    spec.closed(required=("table", "match", "fields", "many"), optional=_RELATION_OPTIONS)
    if "complete_when" in spec.items:
        when = spec.text("complete_when")
        if record[when.one_of(tuple(record))].domain.kind is not Kind.BOOLEAN:
            raise FileError(when.place, f"'{when.value}' is not a boolean field of the record")
    many = spec.boolean("many")
    if many and not {"key", "order", "at_most"} <= spec.items.keys():
        raise FileError(spec.place, "a relation to many needs 'key', 'order' and 'at_most'")
    at_most = spec.text("at_most").integer() if many else 1
    if not 1 <= at_most <= MAX_RELATED:
        raise FileError(spec.place, f"'at_most' must be from 1 to {MAX_RELATED}")
    fields = _fields(spec, spec.string("table"), classes)
    for field, body in spec.mappings("fields"):
        _refuse_own(field, body)
    return Relation(
        name=_public(name, spec.place),
        table=_identifier(spec.text("table")),
        match=_identifier(spec.text("match")),
        key=_identifier(spec.text("key")) if many else spec.string("match"),
        many=many,
        at_most=at_most,
        order=_identifier(spec.text("order")) if many else spec.string("match"),
        joins=_joins(spec),
        fields=fields,
        complete_when=spec.string("complete_when"),
    )


def _refuse_own(name: str, body: Mapping) -> None:
    """Refuse what only a record's own field can be: a key would be shown as it is, and would join records."""
    if body.text("type").value == Kind.KEY:
        raise FileError(body.keys["type"], f"'{name}' is a field of a relation, and can't be a key")
    for option in ("coarser", "age_at"):
        if option in body.items:
            raise FileError(body.keys[option], f"'{option}' belongs to a field of the record itself")


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
            coarser=tuple(other.value for other in body.texts("coarser")),
            age_at=body.string("age_at"),
        )
    if not fields:
        raise FileError(spec.place, "'fields' must not be empty")
    return fields


def _domain(body: Mapping) -> Domain:
    kind = Kind(body.text("type").one_of(tuple(Kind)))
    match kind:
        case Kind.TEXT | Kind.STATUTE:
            most = body.text("most").integer() if "most" in body.items else 0
            if not 1 <= most <= MAX_TEXT:
                raise FileError(body.place, f"a text needs 'most', from 1 to {MAX_TEXT}")
            return Domain(kind, most=most)
        case Kind.CODE:
            codes = tuple(code.value for code in body.texts("codes"))
            if not codes:
                raise FileError(body.place, "a code needs 'codes', the values that it can take")
            most = max(map(len, codes))
            if most > MAX_TEXT:
                raise FileError(body.keys["codes"], f"a code has at most {MAX_TEXT} characters")
            return Domain(kind, most=most, codes=codes)
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
