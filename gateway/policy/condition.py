"""Conditions: what a policy can ask of a record, as a tree of values.

`evaluate` says what each part means on one record, `sql` says the same to a database.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from zoneinfo import ZoneInfo

from gateway.access import Instrument
from gateway.domains import Domain, Kind, Scalar
from gateway.policy.statutes import Statute

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
class Literal:
    """A value that the document states."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Ago:
    """The day that lies so many days before the day of the decision; as a timestamp, its first moment in the city."""

    days: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Constant:
    """True or false, whatever the record."""

    value: bool


@dataclass(frozen=True, slots=True)
class Compare:
    """A reference against a literal or another reference."""

    operator: Operator
    left: Reference
    right: Reference | Literal | Ago


@dataclass(frozen=True, slots=True)
class Years:
    """The whole years from one day to another, as a person's age is counted, against a number.

    A timestamp counts by its day in the zone.
    """

    operator: Operator
    start: Reference
    end: Reference | Ago
    years: int
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Member:
    """Whether the reference is one of the values, or starts with one of the prefixes."""

    reference: Reference
    values: tuple[Scalar, ...]
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cited:
    """Whether the reference is one of the statutes, in whatever spelling, or lies in one of the sections.

    A text that is no statute in any spelling is unknown.
    """

    reference: Reference
    statutes: tuple[Statute, ...]
    sections: tuple[Statute, ...] = ()


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
    """Whether a related row, called `item`, makes the body true.

    Until `complete` is true, further rows may come, and that none does is not known.
    """

    relation: str
    item: str
    body: "Condition"
    complete: Reference | None = None


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


Condition = (
    Constant | Compare | Years | Member | Cited | Truth | Present | RelationPresent | Not | And | Or | Exists | Covered
)

TRUE = Constant(value=True)
FALSE = Constant(value=False)


def any_of(conditions: Iterable[Condition]) -> Condition:
    """Join by `||`, in halves: a thousand rules in a row would be deeper than can be walked through. Of none, false."""
    given = tuple(conditions)
    if len(given) < 2:  # noqa: PLR2004 -- nothing to join
        return given[0] if given else FALSE
    middle = len(given) // 2
    return Or(any_of(given[:middle]), any_of(given[middle:]))


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


def mapped(condition: Condition, leaf: Callable[[Condition], Condition]) -> Condition:
    """Replace the parts that hold no others."""
    match condition:
        case Not(part):
            return Not(mapped(part, leaf))
        case And(left, right):
            return And(mapped(left, leaf), mapped(right, leaf))
        case Or(left, right):
            return Or(mapped(left, leaf), mapped(right, leaf))
        case Exists(_, _, body):
            return replace(condition, body=mapped(body, leaf))
        case _:
            return leaf(condition)
