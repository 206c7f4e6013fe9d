"""Plans questions: a statement is compiled once for a view and a shape of question; then only values are bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from gateway.access import Instrument, Search, SortKey
from gateway.bounds import DEFAULT_PAGE
from gateway.catalogue import Resource
from gateway.domains import Kind, Scalar
from gateway.errors import Code, Unplannable
from gateway.plan.difference import select
from gateway.plan.reader import Reader, Values
from gateway.plan.shape import Shape, operators_in, related_paths, scalar_domain, scalar_paths, unknown_field
from gateway.plan.statement import Asked, Statement, Writer, counting
from gateway.policy.sql import bind
from gateway.policy.tables import Dialect, Parameter, encode, encode_many
from gateway.policy.view import View

_RANGES = frozenset({"lt", "lte", "gt", "gte", "prefix", "starts"})


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next page starts: after the row with these sort values and this key."""

    values: tuple[Scalar | None, ...]
    key: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement with its parameters, the length of a page, and the names under which fields stand in a record."""

    statement: Statement
    parameters: Mapping[str, Parameter]
    limit: int
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields to show: of the record and its relations to one, and of each relation to many."""

    named: tuple[str, ...]
    own: tuple[str, ...]
    related: tuple[tuple[str, tuple[str, ...]], ...]


class Planner:
    """Plans questions about one resource for one database."""

    def __init__(self, resource: Resource, dialect: Dialect) -> None:
        self._resource = resource
        self._dialect = dialect
        self._statement = lru_cache(maxsize=512)(self._compile)

    def search(self, view: View, search: Search, instruments: tuple[Instrument, ...], after: Position | None) -> Plan:
        """Plan a page; raise Unplannable for what the view does not hold."""
        values: Values = []
        shape = Reader(self._resource, view, values).read(search.filter) if search.filter else None
        sort = self._sort(view, search.sort)
        fields = self._fields(view, search.fields)
        asked = Asked(
            paths=tuple(dict.fromkeys((*fields.own, *(key.field for key in sort)))),
            related=fields.related,
            filter=shape,
            sort=sort,
            after=None if after is None else tuple(value is None for value in after.values),
            by_key=False,
            most=_most(search.limit, shape),
        )
        statement = self._statement(view, asked)
        parameters = self._parameters(statement, values, instruments) | {"limit": search.limit + 1}
        if after is not None:
            parameters |= {
                f"after_{i}": None if v is None else encode(v, self._dialect) for i, v in enumerate(after.values)
            }
            parameters["after_key"] = after.key
        used = {k: v for k, v in parameters.items() if v is not None}
        return Plan(statement, used, search.limit, fields.named)

    def lookup(self, view: View, key: int, instruments: tuple[Instrument, ...]) -> Plan:
        """Plan the reading of one record."""
        fields = self._fields(view, ())
        statement = self._statement(view, Asked(fields.own, fields.related, None, (), None, by_key=True, most=1))
        parameters = self._parameters(statement, [], instruments) | {"key": key, "limit": 1}
        return Plan(statement, parameters, 1, fields.named)

    def count(self, view: View, instruments: tuple[Instrument, ...]) -> Plan:
        """Plan the city's own count of visible records and persons; no client's question leads here."""
        statement = Writer(self._resource, self._dialect, view).count()
        return Plan(statement, self._parameters(statement, [], instruments), 1, ())

    def difference(self, old: View | None, new: View | None, instruments: tuple[Instrument, ...]) -> Plan:
        """Plan the city's own comparison of two views."""
        selected, bindings = select(self._resource, self._dialect, old, new)
        statement = counting(selected, bindings, self._dialect)
        return Plan(statement, self._parameters(statement, [], instruments), 1, ())

    def _parameters(
        self,
        statement: Statement,
        values: Values,
        instruments: tuple[Instrument, ...],
    ) -> dict[str, Parameter]:
        client = {
            f"value_{i}": encode_many(v, self._dialect) if isinstance(v, tuple) else encode(v, self._dialect)
            for i, (v, _) in enumerate(values)
        }
        return {**statement.constants, **bind(statement.covered, instruments, self._dialect), **client}

    def _sort(self, view: View, sort: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
        for key in sort:
            if scalar_domain(self._resource, view, key.field).kind is Kind.KEY:
                raise Unplannable(Code.UNKNOWN_OPERATOR, "Opaque ids have no order.")
        return sort

    def _fields(self, view: View, asked: tuple[str, ...]) -> _Fields:
        """Return what is asked for, in the catalogue's order, a relation to many as a whole or by its fields."""
        own, many = scalar_paths(self._resource, view), related_paths(self._resource, view)
        wanted = asked or (*own, *many)
        each = {relation: {f"{relation}.{name}": name for name in names} for relation, names in many.items()}
        known = (*own, *many, *(path for paths in each.values() for path in paths))
        if not set(wanted) <= set(known):
            raise unknown_field()
        chosen = {
            relation: tuple(name for path, name in paths.items() if relation in wanted or path in wanted)
            for relation, paths in each.items()
        }
        return _Fields(
            named=tuple(path for path in known if path in wanted),
            own=tuple(path for path in own if path in wanted),
            related=tuple((relation, names) for relation, names in chosen.items() if names),
        )

    # --- compiling ----------------------------------------------------------------------------------------------

    def _compile(self, view: View, asked: Asked) -> Statement:
        return Writer(self._resource, self._dialect, view).page(asked)


def _most(limit: int, filtered: Shape | None) -> int | None:
    """Round the rows that are read for a page up, so that a few statements serve all lengths.

    None where a range stands in the filter: how many rows it finds depends on its values, and so should the plan.
    """
    if filtered is not None and not _RANGES.isdisjoint(operators_in(filtered)):
        return None
    most = DEFAULT_PAGE
    while most < limit:
        most *= 4
    return most + 1
