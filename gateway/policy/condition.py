"""What a condition means: its parts, and its truth on one record in three-valued logic.

A comparison with a null, or through an absent parent, is unknown (None); `&&`, `||`, `!` and `exists` follow Kleene;
only `Present` asks about absence. This is the reference reading; `sql` must agree with it on every record.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from gateway.access import Instrument
from gateway.catalogue import Domain, Scalar

RECORD = "record"
SUBJECT = "subject"


class Operator(StrEnum):
    """The comparisons."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True, slots=True)
class Reference:
    """A scalar: a field of a variable, or of the variable's to-one relation."""

    variable: str
    relation: str | None
    field: str
    domain: Domain


@dataclass(frozen=True, slots=True)
class Constant:
    """True or false, whatever the record."""

    value: bool


@dataclass(frozen=True, slots=True)
class Compare:
    """A reference against a literal or another reference."""

    operator: Operator
    left: Reference
    right: "Reference | Literal"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that the document states."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Member:
    """Whether the reference is one of the values, or starts with one of the prefixes."""

    reference: Reference
    values: tuple[Scalar, ...]
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Truth:
    """A boolean field, taken as the condition."""

    reference: Reference


@dataclass(frozen=True, slots=True)
class Present:
    """Whether a field is not null; false through an absent parent."""

    reference: Reference


@dataclass(frozen=True, slots=True)
class RelationPresent:
    """Whether a to-one relation has its row."""

    variable: str
    relation: str


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class And:
    """Both."""

    left: "Condition"
    right: "Condition"


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of two."""

    left: "Condition"
    right: "Condition"


@dataclass(frozen=True, slots=True)
class Exists:
    """Whether a related row, called `item`, makes the body true."""

    relation: str
    item: str
    body: "Condition"


@dataclass(frozen=True, slots=True)
class Covered:
    """Whether a verified instrument for the record's person has one of the kinds and one of the signers.

    None means any.
    """

    person: Reference
    kinds: frozenset[str] | None
    signers: frozenset[str] | None

    def persons(self, instruments: Iterable[Instrument]) -> frozenset[int]:
        """Return the persons whom fitting instruments name."""
        return frozenset(
            i.person
            for i in instruments
            if (self.kinds is None or i.kind in self.kinds) and (self.signers is None or i.signer in self.signers)
        )


Condition = Constant | Compare | Member | Truth | Present | RelationPresent | Not | And | Or | Exists | Covered
Record = Mapping[str, object]

TRUE = Constant(value=True)
FALSE = Constant(value=False)


def any_of(conditions: Iterable[Condition]) -> Condition:
    """Join by `||`; of none, false."""
    result: Condition = FALSE
    for condition in conditions:
        result = condition if result == FALSE else Or(result, condition)
    return result


def parts(condition: Condition) -> Iterator[Condition]:
    """Yield the condition and everything inside it."""
    yield condition
    match condition:
        case Not(part):
            yield from parts(part)
        case And(left, right) | Or(left, right):
            yield from parts(left)
            yield from parts(right)
        case Exists(_, _, body):
            yield from parts(body)
        case _:
            pass


@dataclass(frozen=True, slots=True)
class Facts:
    """What a condition is judged on: the records that its variables name, and the instruments in force."""

    variables: Mapping[str, Record]
    instruments: tuple[Instrument, ...] = ()


def evaluate(condition: Condition, facts: Facts) -> bool | None:
    """Return true, false, or None for unknown."""
    match condition:
        case Constant(constant):
            return constant
        case Compare(operator, left, right):
            return _compare(operator, _value(left, facts), _operand(right, facts))
        case Member(reference, values, prefixes):
            return _member(_value(reference, facts), values, prefixes)
        case Truth(reference):
            value = _value(reference, facts)
            return None if value is None else bool(value)
        case Present(reference):
            return _value(reference, facts) is not None
        case RelationPresent(variable, relation):
            return facts.variables[variable][relation] is not None
        case Not(part):
            inner = evaluate(part, facts)
            return None if inner is None else not inner
        case And(left_part, right_part):
            return _all(evaluate(left_part, facts), evaluate(right_part, facts))
        case Or(left_part, right_part):
            return _any((evaluate(left_part, facts), evaluate(right_part, facts)))
        case Exists(relation, item, body):
            rows = facts.variables[RECORD][relation]
            return _any(evaluate(body, _with(facts, item, row)) for row in _rows(rows))
        case Covered(person):
            value = _value(person, facts)
            return None if value is None else value in condition.persons(facts.instruments)
        case _:
            assert_never(condition)


def _with(facts: Facts, item: str, row: Record) -> Facts:
    return Facts({**facts.variables, item: row}, facts.instruments)


def _rows(value: object) -> tuple[Record, ...]:
    return value if isinstance(value, tuple) else ()


def _value(reference: Reference, facts: Facts) -> object:
    record: object = facts.variables[reference.variable]
    if reference.relation is not None and isinstance(record, Mapping):
        record = record[reference.relation]
    return record[reference.field] if isinstance(record, Mapping) else None


def _operand(operand: Reference | Literal, facts: Facts) -> object:
    return operand.value if isinstance(operand, Literal) else _value(operand, facts)


def _compare(operator: Operator, left: object, right: object) -> bool | None:
    if left is None or right is None:
        return None
    match operator:
        case Operator.EQ:
            return left == right
        case Operator.NE:
            return left != right
        case Operator.LT:
            return left < right  # type: ignore[operator, no-any-return] # both come from one ordered domain
        case Operator.LE:
            return left <= right  # type: ignore[operator, no-any-return] # as above
        case Operator.GT:
            return left > right  # type: ignore[operator, no-any-return] # as above
        case Operator.GE:
            return left >= right  # type: ignore[operator, no-any-return] # as above


def _member(value: object, values: tuple[Scalar, ...], prefixes: tuple[str, ...]) -> bool | None:
    if value is None:
        return None
    return value in values or (isinstance(value, str) and value.startswith(prefixes))


def _all(left: bool | None, right: bool | None) -> bool | None:  # noqa: FBT001 -- truth values are the subject
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _any(values: Iterable[bool | None]) -> bool | None:
    unknown = False
    for value in values:
        if value is True:
            return True
        unknown = unknown or value is None
    return None if unknown else False
