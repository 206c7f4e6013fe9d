"""The records that cases are about: typed by the catalogue, with fillers for required fields that don't matter."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from gateway.access import Instrument
from gateway.catalogue import Catalogue, Field, Relation, Resource
from gateway.domains import Domain, Kind, OutOfDomainError, Scalar
from gateway.policy.condition import RECORD
from gateway.policy.evaluate import Facts
from gateway.strict_yaml import FileError, Place, Text, as_mapping
from gateway.strict_yaml import Mapping as Written

Values = dict[str, Scalar | None]

# Keys of the tests' own: above every number that a file can state, which has at most 18 digits.
OWN_KEYS = 2**62


@dataclass(frozen=True, slots=True)
class NamedRecord:
    """One record: its fields, null where left out, and its related rows; `filled` names the fields with fillers."""

    name: str
    place: Place
    resource: str
    values: Values
    ones: Mapping[str, Values | None]
    many: Mapping[str, tuple[Values, ...]]
    filled: frozenset[str]

    def facts(self, instruments: tuple[Instrument, ...]) -> Facts:
        """Return what a condition is judged on."""
        return Facts({RECORD: {**self.values, **self.ones, **self.many}}, instruments)

    def at(self, path: str) -> list[Scalar | None]:
        """Return the values at a path: one, or as many as there are related rows."""
        relation, _, name = path.rpartition(".")
        if not relation:
            return [self.values[name]]
        one = self.ones.get(relation)
        return [row[name] for row in self.many.get(relation, (one,) if one else ())]


def read_records(spec: Written, catalogue: Catalogue) -> dict[str, NamedRecord]:
    """Read the records by name; raise FileError for what the catalogue does not know or a field can't hold."""
    return {
        name: _record(name, body, resource_of(body, catalogue), OWN_KEYS + number)
        for number, (name, body) in enumerate(spec.mappings("records"))
    }


def resource_of(spec: Written, catalogue: Catalogue) -> Resource:
    """Return the resource that is named, or the only one."""
    if "resource" in spec.items:
        return catalogue.resources[spec.text("resource").one_of(tuple(catalogue.resources))]
    if len(catalogue.resources) > 1:
        raise FileError(spec.place, f"'resource' must be one of {', '.join(catalogue.resources)}")
    return next(iter(catalogue.resources.values()))


def scalar(text: Text, domain: Domain) -> Scalar:
    """Read a value of a domain."""
    refuse_null(text)
    try:
        match domain.kind:
            case Kind.INTEGER | Kind.KEY:
                return domain.parse(text.integer())
            case Kind.BOOLEAN:
                return text.boolean()
            case _:
                return domain.parse(text.value)
    except OutOfDomainError as error:
        raise FileError(text.place, str(error)) from None


def refuse_null(text: Text) -> None:
    """Refuse a bare null, which would be four letters in one field and out of its domain in another."""
    if text.value in ("null", "~"):
        raise FileError(text.place, "a null is written by leaving the field out")


def _record(name: str, spec: Written, resource: Resource, own_key: int) -> NamedRecord:
    spec.closed(required=(), optional=("resource", *resource.fields, *resource.relations))
    required = [field for field in resource.fields.values() if field.required and field.name not in spec.items]
    fillers: Values = {field.name: _filler(field, own_key) for field in required}
    ones, many = {}, {}
    for relation in resource.relations.values():
        if relation.many:
            many[relation.name] = _rows(spec, relation)
        else:
            ones[relation.name] = _row(spec.mapping(relation.name), relation) if relation.name in spec.items else None
    return NamedRecord(
        name=name,
        place=spec.place,
        resource=resource.name,
        values=_values(spec, resource.fields.values()) | fillers,
        ones=ones,
        many=many,
        filled=frozenset(fillers),
    )


def _rows(spec: Written, relation: Relation) -> tuple[Values, ...]:
    rows = tuple(_row(as_mapping(item), relation) for item in spec.sequence(relation.name))
    if len(rows) > relation.at_most:
        raise FileError(spec.keys[relation.name], f"'{relation.name}' holds at most {relation.at_most} rows")
    return rows


def _row(spec: Written, relation: Relation) -> Values:
    required = tuple(field.name for field in relation.fields.values() if field.required)
    spec.closed(required=required, optional=tuple(name for name in relation.fields if name not in required))
    return _values(spec, relation.fields.values())


def _values(spec: Written, fields: Iterable[Field]) -> Values:
    return {f.name: scalar(spec.text(f.name), f.domain) if f.name in spec.items else None for f in fields}


def _filler(field: Field, own_key: int) -> Scalar:
    """Return a plain value for a required field: one that a reader knows for a filler, and the same in each record."""
    domain = field.domain
    match domain.kind:
        case Kind.TEXT | Kind.STATUTE:
            return field.name[: domain.most]
        case Kind.CODE:
            return domain.codes[0]
        case Kind.INTEGER:
            return max(domain.low, min(domain.high, 0))
        case Kind.BOOLEAN:
            return False
        case Kind.DATE:
            return date(2000, 1, 1)
        case Kind.TIMESTAMP:
            return datetime(2000, 1, 1, 12, tzinfo=UTC)
        case Kind.KEY:
            return own_key
