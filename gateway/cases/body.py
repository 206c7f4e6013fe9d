"""What an answer's body holds and what a case expects of it, in one form: the non-null values as a file writes them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from gateway.cases.record import NamedRecord, refuse_null, scalar
from gateway.catalogue import Field, Resource
from gateway.domains import Kind, OutOfDomainError
from gateway.policy.compose import DEFAULT
from gateway.policy.masks import Form, Mask, forms
from gateway.strict_yaml import FileError, Place, Text, as_mapping
from gateway.strict_yaml import Mapping as Written

# `release_conviction.grade`, `charges[2].statute`; a related row that shows nothing of itself is there as `{}`. What an
# answer tells beside a record's fields stands here too: `redacted.contact`, `pointer`.
Body = dict[str, object]
EMPTY = "{}"
NO_ROWS = "[]"
_NUMBER = re.compile(r"\[[0-9]+\]")


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """What stands for a text in an answer: as it is made anew for each, a file names the text."""

    text: str

    def __str__(self) -> str:
        return f"the pseudonym of {self.text}"


# --- what is expected -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expectations:
    """Reads what a case expects of its records: the values shown, with what is masked or withheld in them alone."""

    resource: Resource
    rules: frozenset[str]

    def body(self, spec: Written, record: NamedRecord) -> Body:
        """Read the body, the fillers, the redactions and the pointer that are expected of a record."""
        body = dict(self._written(spec.mapping("body")))
        for filler in spec.texts("fillers"):
            if filler.value not in record.filled or filler.value in body:
                why = "is no required field that the record leaves out, or stands in the body"
                raise FileError(filler.place, f"'{filler.value}' {why}")
            body[filler.value] = _plain(record.values[filler.value])
        for path, rule in self._redacted(spec.mapping("redacted")):
            body[f"redacted.{path}"] = rule
        if "pointer" in spec.items:
            body["pointer"] = " ".join(spec.string("pointer").split())
        return body

    def withheld(self, names: tuple[Text, ...]) -> tuple[str, ...]:
        """Read what must not be there at all: fields, relations, or classes, which stand for their fields."""
        return tuple(dict.fromkeys(path for name in names for path in self._paths(name.value, name.place)))

    def _written(self, spec: Written) -> Iterator[tuple[str, object]]:
        resource = self.resource
        spec.closed(required=(), optional=(*resource.fields, *resource.relations))
        for name in spec.items:
            if name in resource.fields:
                yield name, self._value(spec, name, name, resource.fields[name])
            elif resource.relations[name].many:
                for number, item in enumerate(spec.sequence(name), 1):
                    yield from self._row(f"{name}[{number}]", name, as_mapping(item))
            else:
                yield from self._row(name, name, spec.mapping(name))

    def _row(self, path: str, relation: str, spec: Written) -> Iterator[tuple[str, object]]:
        fields = self.resource.relations[relation].fields
        spec.closed(required=(), optional=tuple(fields))
        for name in spec.items:
            yield f"{path}.{name}", self._value(spec, name, f"{relation}.{name}", fields[name])
        if not spec.items:
            yield path, EMPTY

    def _redacted(self, spec: Written) -> Iterator[tuple[str, str]]:
        known = (DEFAULT.rule, *sorted(self.rules))
        seen: set[str] = set()
        for name in spec.items:
            rule = spec.text(name).one_of(known)
            paths = self._paths(name, spec.keys[name])
            if paths[0] in self.resource.relations:
                paths = tuple(f"{name}.{field}" for field in self.resource.relations[name].fields)
            for path in paths:
                if path in seen:
                    raise FileError(spec.keys[name], f"'{path}' stands here twice")
                seen.add(path)
                yield path, rule

    def _paths(self, name: str, place: Place) -> tuple[str, ...]:
        paths = dict(self.resource.paths())
        of_class = tuple(path for path, field in paths.items() if field.sensitivity == name)
        if of_class:
            return of_class
        if name not in paths and name not in self.resource.relations:
            raise FileError(place, f"'{name}' is no class, relation or field of {self.resource.name}")
        return (name,)

    def _value(self, spec: Written, name: str, path: str, field: Field) -> object:
        """Read a value as an answer would show it: in full, or in one of the forms that its field can be given."""
        masks = forms(path, field)
        if isinstance(spec.items[name], Written):
            text = spec.mapping(name).closed(required=("pseudonym",)).text("pseudonym")
            if Mask(Form.PSEUDONYM) not in masks:
                raise FileError(text.place, f"'{path}' is never shown by a pseudonym")
            return Pseudonym(_plain(scalar(text, field.domain)))
        text = spec.text(name)
        refuse_null(text)
        for domain in (field.domain, *(mask.domain(self.resource) for mask in masks)):
            try:
                return _plain(scalar(text, domain))
            except FileError:
                if not masks:
                    raise
        names = ", ".join(mask.name for mask in masks)
        raise FileError(text.place, f"'{text.value}' is not {field.domain.describe()}, nor a form of it ({names})")


# --- what came --------------------------------------------------------------------------------------------------


def flat(record: Mapping[str, Any]) -> dict[str, object]:
    """Write a record of an answer as its values by path, nulls included."""
    return {path: value for name, told in record.items() for path, value in _flat(name, told)}


def shown(record: Mapping[str, Any]) -> dict[str, object]:
    """Write a record of an answer as its values by path, without nulls and without relations that have no row."""
    return flat(_pruned(record))


def path_of(path: str) -> str:
    """Return a value's path without the numbers of rows: that of its field."""
    return _NUMBER.sub("", path)


def answered(values: Mapping[str, object], resource: Resource) -> Body:
    """Write the values of an answer's record as a file would; which rule points is for the two readings to compare."""
    fields = dict(resource.paths())
    body: Body = {}
    for path, value in values.items():
        if path == "pointer.ask":
            body["pointer"] = value
        elif path != "pointer.rule":
            body[path] = _told(value, fields.get(path_of(path)))
    return body


def present(path: str, record: Mapping[str, Any]) -> bool:
    """Whether a path stands in a record of an answer, be it null; in any of its rows, for a relation to many."""
    relation, _, name = path.rpartition(".")
    if not relation:
        return name in record
    related = record.get(relation)
    rows = related if isinstance(related, list) else [related or {}]
    return any(name in row for row in rows)


def _flat(path: str, value: object) -> Iterator[tuple[str, object]]:
    match value:
        case dict() if value:
            for name, told in value.items():
                yield from _flat(f"{path}.{name}", told)
        case dict():
            yield path, EMPTY
        case list() if value:
            for number, told in enumerate(value, 1):
                yield from _flat(f"{path}[{number}]", told)
        case list():
            yield path, NO_ROWS
        case _:
            yield path, value


def _pruned(value: Any) -> Any:
    match value:
        case dict():
            return {name: _pruned(told) for name, told in value.items() if told is not None and told != []}
        case list():
            return [_pruned(told) for told in value]
        case _:
            return value


def _told(value: object, field: Field | None) -> object:
    """Bring moments, which can be written in several ways, to one form; leave pseudonyms as they are."""
    match value:
        case Pseudonym():
            return value
        case str() if field is not None and field.domain.kind is Kind.TIMESTAMP:
            try:
                return _plain(field.domain.parse(value))
            except OutOfDomainError:
                return value
        case _:
            return _plain(value)


def _plain(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case _:
            return str(value)
