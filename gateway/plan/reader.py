"""Reads a client's filter into its shape, as far as the view holds what it names; the values are taken out."""

from dataclasses import dataclass, replace
from datetime import date

from gateway.access import AllOf, AnyOf, Compare, Filter, Named, Not, Quantifier, Related
from gateway.bounds import MAX_VALUES
from gateway.catalogue import Resource
from gateway.domains import DATES, YEARS, Domain, Kind, OutOfDomainError, Scalar
from gateway.errors import Code, Unplannable
from gateway.plan.folding import fold, ranges
from gateway.plan.shape import (
    Joined,
    Negated,
    Shape,
    Some,
    Test,
    name_parts,
    operators,
    related_paths,
    scalar_domain,
    unknown_field,
)
from gateway.policy.sql import prefix_range
from gateway.policy.view import View

Values = list[tuple[Scalar | tuple[Scalar, ...], Kind]]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads filters, putting their values aside in the order in which they are met; raises Unplannable.

    `relation` is the one in whose rows a filter is asked; empty for the record itself.
    """

    resource: Resource
    view: View
    values: Values
    relation: str = ""

    def read(self, asked: Filter) -> Shape:
        """Read a filter."""
        match asked:
            case Not(part):
                return Negated(self.read(part))
            case AllOf(parts):
                return Joined(True, tuple(self.read(part) for part in parts))
            case AnyOf(parts):
                return Joined(False, tuple(self.read(part) for part in parts))
            case Compare(field, operator, operand):
                return self._test(field, operator, operand)
            case Related(relation, quantifier, part):
                return self._related(relation, quantifier, part)
            case Named():
                return self.read(self._by_name(asked))

    def _related(self, relation: str, quantifier: Quantifier, part: Filter) -> Shape:
        if self.relation or relation not in related_paths(self.resource, self.view):
            raise unknown_field()
        inner = replace(self, relation=relation).read(part)
        match quantifier:
            case Quantifier.ANY:
                return Some(relation, inner)
            case Quantifier.NONE:
                return Negated(Some(relation, inner))
            case Quantifier.ALL:
                return Negated(Some(relation, Negated(inner)))

    def _domain(self, field: str) -> tuple[str, Domain]:
        if not self.relation:
            return field, scalar_domain(self.resource, self.view, field)
        path = f"{self.relation}.{field}"
        shown = field in related_paths(self.resource, self.view)[self.relation]
        domain = self.view.domain(self.resource, path) if shown else None
        if domain is None:
            raise unknown_field()
        return path, domain

    def _test(self, field: str, operator: str, operand: object) -> Test:
        path, domain = self._domain(field)
        if operator not in operators(domain):
            raise Unplannable(Code.UNKNOWN_OPERATOR, "An operator is unknown, or does not fit the field's kind.")
        if operator == "is_null":
            if not isinstance(operand, bool):
                raise Unplannable(Code.OUT_OF_DOMAIN, "is_null takes true or false.")
            return Test(path, operator, null=operand)
        first = len(self.values)
        self.values.extend((value, domain.kind) for value in _operands(operator, operand, domain))
        return Test(path, operator, tuple(range(first, len(self.values))))

    # --- by name ------------------------------------------------------------------------------------------------

    def _by_name(self, asked: Named) -> Filter:
        """Write a search by name as the comparisons that it stands for."""
        stated = {part: said for part in ("family", "given", "born") if (said := getattr(asked, part)) is not None}
        fields = {} if self.relation else name_parts(self.resource, self.view)
        if not stated.keys() <= fields.keys():
            raise unknown_field()
        born = stated.pop("born", None)
        ways = [_start([(fields[part], said) for part, said in stated.items()])]
        if len(stated) > 1:
            ways.append(_start([(fields["family"], asked.given), (fields["given"], asked.family)]))
        named = AnyOf(tuple(ways))
        return named if born is None else AllOf((named, self._born(fields["born"], born)))

    def _born(self, field: str, born: object) -> Filter:
        """Ask for a birth within a year of a day or year, as precisely as the view shows it."""
        first, last = _around(born)
        if scalar_domain(self.resource, self.view, field).kind is not Kind.DATE:
            return _between(field, first.year, last.year)
        return _between(field, first.isoformat(), last.isoformat())


def _start(names: list[tuple[str, object]]) -> Filter:
    return AllOf(tuple(Compare(field, "starts", said) for field, said in names))


def _between(field: str, low: object, high: object) -> Filter:
    return AllOf((Compare(field, "gte", low), Compare(field, "lte", high)))


def _around(born: object) -> tuple[date, date]:
    """Return the days a year before and after a day, or before and after a whole year; none is outside the calendar."""
    domain = YEARS if isinstance(born, int) else Domain(Kind.DATE)
    try:
        match domain.parse(born):
            case date() as day:
                first, last = day, day
            case year:
                first, last = (date.fromisoformat(f"{year}-{ends}") for ends in ("01-01", "12-31"))
    except OutOfDomainError:
        raise Unplannable(Code.OUT_OF_DOMAIN, "'born' takes a date, YYYY-MM-DD, or a year.") from None
    return max(_moved(first, -1), DATES[0]), min(_moved(last, 1), DATES[1])


def _moved(day: date, years: int) -> date:
    """Return the same day of another year; of 29 February, the 28th."""
    year = day.year + years
    return date(year, 2, 28) if (day.month, day.day) == (2, 29) else day.replace(year=year)


def _operands(operator: str, operand: object, domain: Domain) -> tuple[Scalar | tuple[Scalar, ...], ...]:
    if operator == "in" and not (isinstance(operand, list) and 1 <= len(operand) <= MAX_VALUES):
        raise Unplannable(Code.OUT_OF_DOMAIN, f"'in' takes a list of 1 to {MAX_VALUES} values.")
    try:
        if isinstance(operand, list) and operator == "in":
            return (tuple(domain.parse(value) for value in operand),)
        value = domain.parse(operand)
    except OutOfDomainError as error:
        raise Unplannable(Code.OUT_OF_DOMAIN, f"A value does not fit its field: {error}.") from None
    match operator:
        case "prefix":
            return prefix_range(_not_empty(str(value)))
        case "starts":
            start = _not_empty(fold(str(value)))
            return (*prefix_range(start), *(end for pair in ranges(start) for end in pair))
        case _:
            return (value,)


def _not_empty(prefix: str) -> str:
    if not prefix:
        raise Unplannable(Code.OUT_OF_DOMAIN, "A prefix must not be empty.")
    return prefix
