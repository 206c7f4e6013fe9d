"""What a question asks of a view: its fields, filter and order, with the values taken out.

A field that the view does not hold can't be named in any of them: hidden, misspelt and nonexistent are refused alike.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.access import AllOf, AnyOf, Compare, Filter, Not
from gateway.bounds import MAX_VALUES
from gateway.catalogue import Resource
from gateway.domains import Domain, Kind, OutOfDomainError, Scalar
from gateway.errors import Code, Unplannable
from gateway.policy.sql import prefix_range
from gateway.policy.view import View

_OPERATORS: dict[Kind, frozenset[str]] = {
    Kind.TEXT: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "prefix", "is_null"}),
    Kind.STATUTE: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "prefix", "is_null"}),
    Kind.CODE: frozenset({"eq", "ne", "in", "is_null"}),
    Kind.INTEGER: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"}),
    Kind.BOOLEAN: frozenset({"eq", "ne", "is_null"}),
    Kind.DATE: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"}),
    Kind.TIMESTAMP: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"}),
    Kind.KEY: frozenset(),
}


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
    """A comparison of a path; `values` numbers its parameters, `null` answers is_null."""

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


Shape = Test | Negated | Joined


def unknown_field() -> Unplannable:
    """Refuse a field: one text for hidden, misspelt and nonexistent, and what the client wrote is not repeated."""
    return Unplannable(Code.UNKNOWN_FIELD, "A field that the request names is not part of your view.")


def scalar_domain(resource: Resource, view: View, path: str) -> Domain:
    """Return the domain of a path of the view that holds one value a record; raise Unplannable for any other."""
    domain = view.domain(resource, path) if path in scalar_paths(resource, view) else None
    if domain is None:
        raise unknown_field()
    return domain


def read_filter(
    asked: Filter, domain_of: Callable[[str], Domain], values: list[tuple[Scalar | tuple[Scalar, ...], Kind]]
) -> Shape:
    """Read a filter, putting its values aside in the order in which they are met; raise Unplannable."""
    match asked:
        case Not(part):
            return Negated(read_filter(part, domain_of, values))
        case AllOf(parts):
            return Joined(True, tuple(read_filter(part, domain_of, values) for part in parts))
        case AnyOf(parts):
            return Joined(False, tuple(read_filter(part, domain_of, values) for part in parts))
        case Compare(path, operator, operand):
            return _read_test(path, operator, operand, domain_of(path), values)


def _read_test(
    path: str,
    operator: str,
    operand: object,
    domain: Domain,
    values: list[tuple[Scalar | tuple[Scalar, ...], Kind]],
) -> Shape:
    if operator not in operators(domain):
        raise Unplannable(Code.UNKNOWN_OPERATOR, "An operator is unknown, or does not fit the field's kind.")
    if operator == "is_null":
        if not isinstance(operand, bool):
            raise Unplannable(Code.OUT_OF_DOMAIN, "is_null takes true or false.")
        return Test(path, operator, null=operand)
    first = len(values)
    values.extend((value, domain.kind) for value in _operands(operator, operand, domain))
    return Test(path, operator, tuple(range(first, len(values))))


def _operands(operator: str, operand: object, domain: Domain) -> tuple[Scalar | tuple[Scalar, ...], ...]:
    if operator == "in" and not (isinstance(operand, list) and 1 <= len(operand) <= MAX_VALUES):
        raise Unplannable(Code.OUT_OF_DOMAIN, f"'in' takes a list of 1 to {MAX_VALUES} values.")
    try:
        if isinstance(operand, list) and operator == "in":
            return (tuple(domain.parse(value) for value in operand),)
        value = domain.parse(operand)
    except OutOfDomainError as error:
        raise Unplannable(Code.OUT_OF_DOMAIN, f"A value does not fit its field: {error}.") from None
    if operator != "prefix":
        return (value,)
    if not value:
        raise Unplannable(Code.OUT_OF_DOMAIN, "A prefix must not be empty.")
    return prefix_range(str(value))


def paths_in(shape: Shape) -> Iterator[str]:
    """Yield the paths that a filter tests."""
    match shape:
        case Test(path):
            yield path
        case Negated(part):
            yield from paths_in(part)
        case Joined(_, parts):
            for part in parts:
                yield from paths_in(part)
