"""Finds conditions that no record can make true, or none can make false.

The answers are safe, not complete: a condition is called impossible only where each way of meeting it contradicts
itself in what it asks of one field. Conditions that are too wide to be taken apart are called possible.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from gateway.domains import Kind, Scalar
from gateway.policy.condition import (
    And,
    Compare,
    Condition,
    Constant,
    Exists,
    Literal,
    Member,
    Not,
    Operator,
    Or,
    Present,
    Reference,
    RelationPresent,
    Truth,
)
from gateway.policy.days import NEGATION

MAX_WAYS = 500

# A part of a condition, and whether it must be true or false.
Demand = tuple[Condition, bool]


def never_true(condition: Condition) -> bool:
    """Whether no record can make the condition true."""
    return _impossible(condition, wanted=True)


def never_false(condition: Condition) -> bool:
    """Whether no record can make the condition false."""
    return _impossible(condition, wanted=False)


def _impossible(condition: Condition, *, wanted: bool) -> bool:
    try:
        return not any(_consistent(way) for way in _ways(condition, wanted=wanted))
    except _TooWideError:
        return False


class _TooWideError(Exception):
    """There are more ways of meeting a condition than are looked at."""


def _ways(condition: Condition, *, wanted: bool) -> list[tuple[Demand, ...]]:
    """Return the ways of making a condition true (or false), each a set of demands on its parts."""
    match condition:
        case Constant(value):
            return [()] if value is wanted else []
        case Not(part):
            return _ways(part, wanted=not wanted)
        case And(left, right) | Or(left, right):
            ways = _ways(left, wanted=wanted), _ways(right, wanted=wanted)
            both = isinstance(condition, And) is wanted
            joined = [one + other for one, other in product(*ways)] if both else ways[0] + ways[1]
            if len(joined) > MAX_WAYS:
                raise _TooWideError
            return joined
        case Exists(_, _, body) if wanted and never_true(body):
            return []
        case _:
            return [((condition, wanted),)]


def _consistent(way: Iterable[Demand]) -> bool:
    """Whether the demands of one way don't contradict each other, field by field."""
    demands = dict.fromkeys(way)
    fields: dict[Reference, _Range] = {}
    for part, wanted in demands:
        if (part, not wanted) in demands:
            return False
        for reference in _references(part):
            fields.setdefault(reference, _Range(reference)).demand(part, wanted=wanted)
    absent = {part.relation for part, wanted in demands if isinstance(part, RelationPresent) and not wanted}
    if any(reference.relation in absent and asked.needs_value() for reference, asked in fields.items()):
        return False
    return all(asked.possible() for asked in fields.values())


def _references(part: Condition) -> Iterator[Reference]:
    match part:
        case Compare(_, left, right):
            yield left
            if isinstance(right, Reference):
                yield right
        case Member(reference) | Truth(reference) | Present(reference):
            yield reference
        case _:
            pass


@dataclass(slots=True)
class _Range:
    """What is asked of one field: bounds, a choice of values, values that are out, presence or absence."""

    reference: Reference
    choice: set[Scalar] | None = None
    out: set[Scalar] = field(default_factory=set)
    bounds: list[tuple[Operator, Scalar]] = field(default_factory=list)
    present: bool = False
    absent: bool = False

    def demand(self, part: Condition, *, wanted: bool) -> None:
        """Add a demand; both a comparison and its contrary need a value."""
        if isinstance(part, Present):
            self.present, self.absent = self.present or wanted, self.absent or not wanted
            return
        self.present = True
        match part:
            case Compare(operator, _, Literal(value)):
                self._compare(operator if wanted else NEGATION[operator], value)
            case Truth():
                self._choose({wanted})
            case Member(_, values, ()) if wanted:
                self._choose(set(values))
            case Member(_, values, _) if not wanted:
                self.out |= set(values)
            case _:
                pass

    def needs_value(self) -> bool:
        """Whether the field must hold something."""
        return self.present

    def possible(self) -> bool:
        """Whether some value meets all that is asked."""
        if self.absent:
            return not self.present
        domain = self.reference.domain
        choice = self.choice
        if choice is None and domain.kind is Kind.CODE:
            choice = set(domain.codes)
        if choice is None and domain.kind is Kind.BOOLEAN:
            choice = {True, False}
        if choice is not None:
            return any(value not in self.out and self._within(value) for value in choice)
        return self._overlap()

    def _compare(self, operator: Operator, value: Scalar) -> None:
        match operator:
            case Operator.EQ:
                self._choose({value})
            case Operator.NE:
                self.out.add(value)
            case _:
                self.bounds.append((operator, value))

    def _choose(self, values: set[Scalar]) -> None:
        self.choice = values if self.choice is None else self.choice & values

    def _within(self, value: Scalar) -> bool:
        return all(_meets(value, operator, bound) for operator, bound in self.bounds)

    def _overlap(self) -> bool:
        """Whether the lower bounds leave room below the upper ones, and within the domain of a number."""
        lower = [(v, op is Operator.GT) for op, v in self.bounds if op in (Operator.GT, Operator.GE)]
        upper = [(v, op is Operator.LT) for op, v in self.bounds if op in (Operator.LT, Operator.LE)]
        domain = self.reference.domain
        if domain.kind is Kind.INTEGER:
            lower.append((domain.low, False))
            upper.append((domain.high, False))
        return all(
            low < high or (low == high and not strict and not strictly)  # type: ignore[operator] # of one domain
            for low, strict in lower
            for high, strictly in upper
        )


def _meets(value: Scalar, operator: Operator, bound: Scalar) -> bool:
    match operator:
        case Operator.LT:
            return value < bound  # type: ignore[operator] # both come from one ordered domain
        case Operator.LE:
            return value <= bound  # type: ignore[operator] # as above
        case Operator.GT:
            return value > bound  # type: ignore[operator] # as above
        case _:
            return value >= bound  # type: ignore[operator] # as above
