"""What a question asks of a view: its fields, filter and order, with the values taken out.

A field that the view does not hold can't be named in any of them: hidden, misspelt and nonexistent are refused alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.catalogue import Resource
from gateway.domains import Domain, Kind
from gateway.errors import Code, Unplannable
from gateway.policy.masks import Form
from gateway.policy.view import View

_OPERATORS: dict[Kind, frozenset[str]] = {
    Kind.TEXT: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "prefix", "starts", "is_null"}),
    Kind.STATUTE: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "prefix", "is_null"}),
    Kind.CODE: frozenset({"eq", "ne", "in", "is_null"}),
    Kind.INTEGER: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"}),
    Kind.BOOLEAN: frozenset({"eq", "ne", "is_null"}),
    Kind.DATE: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"}),
    Kind.TIMESTAMP: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"}),
    Kind.KEY: frozenset(),
}
# By these an index finds rows: they give bounds to a column's values.
INDEXED = frozenset({"eq", "in", "lt", "lte", "gt", "gte", "prefix", "starts"})


def operators(domain: Domain) -> frozenset[str]:
    """Return the operators that a client may use on values of a domain."""
    return _OPERATORS[domain.kind]


def scalar_paths(resource: Resource, view: View) -> tuple[str, ...]:
    """Return, in the catalogue's order, the view's paths that hold one value for each record."""
    return tuple(path for path, _ in resource.paths() if path in view.cells and not _of_many(resource, path))


def related_paths(resource: Resource, view: View) -> dict[str, tuple[str, ...]]:
    """Return the view's relations to many, each with the names of the fields that it shows in some form."""
    shown: dict[str, tuple[str, ...]] = {}
    for name, relation in resource.relations.items():
        fields = tuple(field for field in relation.fields if f"{name}.{field}" in view.cells)
        if relation.many and fields:
            shown[name] = fields
    return shown


def _of_many(resource: Resource, path: str) -> bool:
    relation, _, _ = path.rpartition(".")
    return bool(relation) and resource.relations[relation].many


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison of a path; `values` numbers its parameters, `null` answers is_null.

    The first two values of `starts` bound the folded text, each further pair the text itself.
    """

    path: str
    operator: str
    values: tuple[int, ...] = ()
    null: bool = False


@dataclass(frozen=True, slots=True)
class Negated:
    """The contrary of a part."""

    part: "Shape"


@dataclass(frozen=True, slots=True)
class Joined:
    """All of the parts, or any of them."""

    every: bool
    parts: "tuple[Shape, ...]"


@dataclass(frozen=True, slots=True)
class Some:
    """At least one row of a relation to many, of which the part is true; its paths are those of the relation."""

    relation: str
    part: "Shape"


Shape = Test | Negated | Joined | Some


def unknown_field() -> Unplannable:
    """Refuse a field: one text for hidden, misspelt and nonexistent, and what the client wrote is not repeated."""
    return Unplannable(
        Code.UNKNOWN_FIELD,
        "A field that the request names is not part of your view, or can't stand there. See GET /openapi.json.",
    )


def scalar_domain(resource: Resource, view: View, path: str) -> Domain:
    """Return the domain of a path of the view that holds one value a record; raise Unplannable for any other."""
    domain = view.domain(resource, path) if path in scalar_paths(resource, view) else None
    if domain is None:
        raise unknown_field()
    return domain


def name_parts(resource: Resource, view: View) -> dict[str, str]:
    """Return the parts of a name that can be searched for, each with its field.

    Of the names the view must show the texts themselves, of the day of birth at least the year.
    """
    names = resource.names
    if names is None:
        return {}
    enough: dict[str, tuple[str, tuple[Form | None, ...]]] = {
        "family": (names.family, (None,)),
        "given": (names.given, (None,)),
        "born": (names.born, (None, Form.YEAR)),
    }
    cells = {part: (field, view.cells.get(field), forms) for part, (field, forms) in enough.items()}
    return {
        part: field
        for part, (field, cell, forms) in cells.items()
        if cell is not None and (cell.mask.form if cell.mask else None) in forms
    }


def paths_in(shape: Shape) -> Iterator[str]:
    """Yield the record's own paths that a filter tests."""
    match shape:
        case Test(path):
            yield path
        case Negated(part):
            yield from paths_in(part)
        case Joined(_, parts):
            for part in parts:
                yield from paths_in(part)
        case Some():
            return


def operators_in(shape: Shape) -> Iterator[str]:
    """Yield the operators of a filter's tests."""
    match shape:
        case Test():
            yield shape.operator
        case Negated(part) | Some(_, part):
            yield from operators_in(part)
        case Joined(_, parts):
            for part in parts:
                yield from operators_in(part)


def relations_in(shape: Shape) -> Iterator[str]:
    """Yield the relations to many whose rows a filter tests."""
    match shape:
        case Test():
            return
        case Negated(part):
            yield from relations_in(part)
        case Joined(_, parts):
            for part in parts:
                yield from relations_in(part)
        case Some(relation):
            yield relation
