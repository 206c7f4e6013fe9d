"""A view: what a permit opens, as rows and cells, and what it holds of one record.

The functions here judge one record at a time; `plan` asks the same of the database.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never
from zoneinfo import ZoneInfo

from gateway.catalogue import Resource
from gateway.domains import Domain
from gateway.errors import Reason
from gateway.policy.condition import RECORD, And, Condition, Covered, Not, parts
from gateway.policy.evaluate import Facts, Record, evaluate
from gateway.policy.masks import Mask, shown_as


class Standing(StrEnum):
    """How a cell stands in a row."""

    SHOWN = "shown"
    MASKED = "masked"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a cell, and which rule says so."""

    standing: Standing
    reason: Reason


class Test(StrEnum):
    """When a step holds: a permit counts where it is true, a denial where it is not false."""

    ALWAYS = "always"
    ANY_TRUE = "any-true"
    NONE_TRUE = "none-true"
    NOT_FALSE = "not-false"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a cell's decision."""

    test: Test
    conditions: tuple[Condition, ...]
    outcome: Outcome

    def holds(self, facts: Facts) -> bool:
        """Whether the step decides a record."""
        judged = [evaluate(condition, facts) for condition in self.conditions]
        match self.test:
            case Test.ALWAYS:
                return True
            case Test.ANY_TRUE:
                return True in judged
            case Test.NONE_TRUE:
                return True not in judged
            case Test.NOT_FALSE:
                return judged != [False]
            case _:
                assert_never(self.test)


@dataclass(frozen=True, slots=True)
class Cell:
    """How a field is shown: the first step that holds decides, and the last one always does.

    A cell has at most one mask, so that its values in different rows can be compared at the precision of the mask.
    """

    steps: tuple[Step, ...]
    mask: Mask | None

    def outcome(self, facts: Facts) -> Outcome:
        """Decide the cell of a record."""
        return next(step.outcome for step in self.steps if step.holds(facts))

    def shown_at(self) -> frozenset[int]:
        """Return the numbers of the steps at which the value itself is shown."""
        return frozenset(n for n, step in enumerate(self.steps) if step.outcome.standing is Standing.SHOWN)

    def standings(self) -> frozenset[Standing]:
        """Return how the cell can stand."""
        return frozenset(step.outcome.standing for step in self.steps)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A record exists, and an office can be asked about it: where the condition is true and nothing else opens it."""

    rows: Condition
    ask: str
    reason: Reason


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a permit gives: rows by a condition, and the cells that can be seen in some of them.

    A row is in the view where `rows` is true and every condition of `denials` is false. It is but pointed at where
    `opened` is not true. Of the fields that are seen at all, `shown` and `masked` are so in every row, and the standing
    of the `varying` depends on the row; for some, pseudonyms stand. `withheld` are those that are seen in no row.
    """

    rows: Condition
    denials: tuple[Condition, ...]
    cells: Mapping[str, Cell]
    shown: frozenset[str]
    masked: frozenset[str]
    varying: frozenset[str]
    pseudonyms: frozenset[str]
    withheld: Mapping[str, Reason]
    opened: Condition
    pointers: tuple[Pointer, ...]

    def domain(self, resource: Resource, path: str) -> Domain | None:
        """Return the values that a field has for who looks through the view; None where it shows nothing there."""
        cell = self.cells.get(path)
        if cell is None:
            return None
        return resource.field(path).domain if cell.mask is None else cell.mask.domain(resource)

    def shows(self, path: str, states: Mapping[str, int]) -> bool:
        """Whether a record is known to show a field, in whatever form; `states` are those of its cells that were read.

        Of a field that varies by record, that was not read, nothing is known.
        """
        if path not in states:
            return path in self.cells and path not in self.varying
        return self.cells[path].steps[states[path]].outcome.standing is not Standing.WITHHELD

    def needs_instruments(self) -> bool:
        """Whether what is seen depends on the instruments in force."""
        return any(isinstance(part, Covered) for condition in self._conditions() for part in parts(condition))

    def _conditions(self) -> Iterator[Condition]:
        yield from (self.rows, *self.denials, self.opened, *(pointer.rows for pointer in self.pointers))
        for cell in self.cells.values():
            for step in cell.steps:
                yield from step.conditions


def visible(view: View, facts: Facts) -> bool:
    """Whether the view holds the record."""
    condition = view.rows
    for denial in view.denials:
        condition = And(condition, Not(denial))
    return evaluate(condition, facts) is True


def pointed(view: View, facts: Facts) -> Pointer | None:
    """Return the pointer that stands for a visible record of which nothing else is opened."""
    if not view.pointers or evaluate(view.opened, facts) is True:
        return None
    return next(pointer for pointer in view.pointers if evaluate(pointer.rows, facts) is True)


def cell_value(view: View, path: str, facts: Facts, owner: Record, zone: ZoneInfo) -> tuple[Outcome, object]:
    """Return how a path stands in a visible record, and its value in `owner`: the record itself or a related row."""
    cell, name = view.cells[path], path.rpartition(".")[2]
    outcome, value = cell.outcome(facts), owner[name]
    match outcome.standing:
        case Standing.SHOWN:
            return outcome, value
        case Standing.MASKED if cell.mask is not None:
            return outcome, shown_as(cell.mask, value, facts.variables[RECORD], zone)
        case _:
            return outcome, None
