"""What an answer's body holds and what a case expects of it, in one form: the non-null values, by path."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from gateway.cases.record import NamedRecord, refuse_null, scalar
from gateway.catalogue import Catalogue, Field, Resource
from gateway.domains import Domain, Kind, Scalar
from gateway.strict_yaml import FileError, Text, as_mapping
from gateway.strict_yaml import Mapping as Written

# `release_conviction.grade`, `charges[2].statute`; a related row that shows nothing of itself is there as `{}`.
Body = dict[str, object]
EMPTY = "{}"
_DATE_OR_LESS = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")


def expected(spec: Written, record: NamedRecord, resource: Resource) -> Body:
    """Read the body and the fillers that a case expects of a record."""
    written = spec.mapping("body")
    written.closed(required=(), optional=(*resource.fields, *resource.relations))
    body: Body = {}
    for name in written.items:
        if name in resource.fields:
            body[name] = _written(written.text(name), resource.fields[name].domain)
        elif resource.relations[name].many:
            rows = [as_mapping(item) for item in written.sequence(name)]
            for number, row in enumerate(rows, 1):
                body |= _row(f"{name}[{number}]", row, resource.relations[name].fields)
        else:
            body |= _row(name, written.mapping(name), resource.relations[name].fields)
    for filler in spec.texts("fillers"):
        if filler.value not in record.filled or filler.value in body:
            why = "is no required field that the record leaves out, or stands in the body"
            raise FileError(filler.place, f"'{filler.value}' {why}")
        body[filler.value] = _plain(record.values[filler.value])
    return body


def withheld(names: tuple[Text, ...], resource: Resource, catalogue: Catalogue) -> tuple[str, ...]:
    """Read what must not be there at all: fields, relations, or classes, which stand for their fields."""
    found: dict[str, None] = {}
    paths = dict(resource.paths())
    for name in names:
        if name.value in catalogue.classes:
            found |= dict.fromkeys(path for path, field in paths.items() if field.sensitivity == name.value)
        elif name.value in paths or name.value in resource.relations:
            found[name.value] = None
        else:
            raise FileError(name.place, f"'{name.value}' is no class, relation or field of {resource.name}")
    return tuple(found)


def answered(record: Mapping[str, Any], keys: Mapping[str, int | None], resource: Resource) -> Body:
    """Read a record of an answer; `keys` are the numbers behind its opaque ids."""
    body: Body = {}
    for name, value in record.items():
        if name in keys:
            body[name] = keys[name]
        elif name in resource.fields:
            body[name] = _shown(value, resource.fields[name].domain)
        elif name not in resource.relations:
            body[name] = value
        elif isinstance(value, list):
            for number, row in enumerate(value, 1):
                body |= _shown_row(f"{name}[{number}]", row, resource.relations[name].fields)
        elif value is not None:
            body |= _shown_row(name, value, resource.relations[name].fields)
    return {path: value for path, value in body.items() if value is not None}


def present(path: str, record: Mapping[str, Any]) -> bool:
    """Whether a path stands in a record of an answer, be it null; in any of its rows, for a relation to many."""
    relation, _, name = path.rpartition(".")
    if not relation:
        return name in record
    related = record.get(relation)
    rows = related if isinstance(related, list) else [related or {}]
    return any(name in row for row in rows)


def _row(path: str, spec: Written, fields: Mapping[str, Field]) -> Body:
    spec.closed(required=(), optional=tuple(fields))
    return {f"{path}.{name}": _written(spec.text(name), fields[name].domain) for name in spec.items} or {path: EMPTY}


def _shown_row(path: str, row: Mapping[str, Any], fields: Mapping[str, Field]) -> Body:
    shown = {f"{path}.{name}": _shown(value, fields[name].domain) for name, value in row.items() if value is not None}
    return shown or {path: EMPTY}


def _written(text: Text, domain: Domain) -> object:
    """Read a value as an answer would show it: a date may be masked to its year."""
    refuse_null(text)
    match domain.kind:
        case Kind.INTEGER | Kind.KEY:
            return text.integer()
        case Kind.BOOLEAN:
            return text.boolean()
        case Kind.DATE if not _DATE_OR_LESS.fullmatch(text.value):
            raise FileError(text.place, f"'{text.value}' is no date, nor a year")
        case Kind.DATE:
            return int(text.value) if text.value.isdecimal() else text.value
        case Kind.TIMESTAMP:
            return _plain(scalar(text, domain))
        case _:
            return text.value


def _shown(value: object, domain: Domain) -> object:
    """Bring moments, which can be written in several ways, to one form."""
    return _plain(domain.parse(value)) if domain.kind is Kind.TIMESTAMP and value is not None else value


def _plain(value: Scalar | None) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case _:
            return value
