"""The cells of a view in SQL: which step decides them, and what they show.

What a row does not show is null in the subquery that the client's filter and order are written over. Where rows show a
field partly in full and partly in its form, it is compared in its form.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

import sqlalchemy as sa

from gateway.catalogue import Resource
from gateway.domains import Domain, Kind
from gateway.plan.masking import masked
from gateway.policy.masks import Form
from gateway.policy.sql import Bindings, Compiler
from gateway.policy.tables import Bool, Dialect, Guarded, ResourceSource, Value, resource_source
from gateway.policy.view import Cell, Standing, Step, Test, View


def label(path: str) -> str:
    """Name the column of a path."""
    return path.replace(".", "__")


def shown_domain(resource: Resource, view: View, path: str) -> Domain:
    """Return what the database gives for a path: the view's domain, or for a pseudonym what it is made of."""
    cell = view.cells[path]
    if cell.mask is None or cell.mask.form is Form.PSEUDONYM:
        return resource.field(path).domain
    return cell.mask.domain(resource)


def cells_of(resource: Resource, dialect: Dialect, view: View) -> "Cells":
    """Prepare the cells of a view over a source of their own."""
    return Cells(resource, dialect, view, Bindings({}), resource_source(resource, dialect))


@dataclass(frozen=True, slots=True)
class Cells:
    """Writes the rows and cells of one view over the resource's source."""

    resource: Resource
    dialect: Dialect
    view: View
    bindings: Bindings
    source: ResourceSource

    def rows(self) -> Bool:
        """Write the condition of the view's rows."""
        compiler = self._compiler()
        return sa.and_(compiler.is_true(self.view.rows), *(compiler.is_false(denial) for denial in self.view.denials))

    def pointer(self) -> Value:
        """Number the pointer that stands for a row, from 1; 0 where the row is opened."""
        compiler = self._compiler()
        numbered = [(compiler.is_true(self.view.opened), _number(0))]
        numbered += [(compiler.is_true(each.rows), _number(n)) for n, each in enumerate(self.view.pointers, 1)]
        return sa.case(*numbered)

    def state(self, path: str) -> Value:
        """Number the step that decides a cell."""
        steps = self.view.cells[path].steps
        tests = [(self._test(step), _number(n)) for n, step in enumerate(steps[:-1])]
        return sa.case(*tests, else_=_number(len(steps) - 1))

    def value(self, path: str) -> Value:
        """Write what is shown and compared of a path."""
        cell, guarded = self.view.cells[path], self.source.guarded(path)
        value = guarded.value() if cell.mask is None else self._masked(cell, guarded)
        return value if path not in self.view.varying else _where(self.state(path), cell, value)

    def told(self, path: str) -> Iterator[tuple[str, Value]]:
        """Yield what is told beside a path's value: its state, the value in full, whether the source's is a defect."""
        cell, guarded = self.view.cells[path], self.source.guarded(path)
        varies = path in self.view.varying
        if varies:
            yield "state", self.state(path)
        if varies and cell.mask is not None and cell.shown_at():
            yield "full", _in(self.state(path), cell.shown_at(), guarded.value())
        defect = self._defect(path, cell, guarded)
        if defect is not None:
            yield "defect", defect

    def of_related(self, path: str, guarded: Guarded, state: Value | None) -> tuple[Value, Value]:
        """Write the value of a field of related rows, and whether it is a defect; `state` is that of the record."""
        cell = self.view.cells[path]
        shown = self._told(guarded.value(), guarded.domain.kind)
        form = (
            shown
            if cell.mask is None
            else self._told(self._masked(cell, guarded), shown_domain(self.resource, self.view, path).kind)
        )
        defect = guarded.defect()
        sound: Value = sa.false() if defect is None else defect
        if state is None:
            return form, sound
        return self._mixed(cell, state, shown, form), _where(state, cell, sound)

    def _mixed(self, cell: Cell, state: Value, shown: Value, form: Value) -> Value:
        """Choose by row; JSON holds a value and its form in one place, whatever their kinds."""
        if cell.mask is None:
            return _where(state, cell, shown)
        if self.dialect is Dialect.POSTGRESQL:
            shown, form = sa.func.to_json(shown), sa.func.to_json(form)
        return _by_standing(state, cell, {Standing.SHOWN: shown, Standing.MASKED: form})

    def _told(self, column: Value, kind: Kind) -> Value:
        return text_of(column, kind, self.dialect)

    def _masked(self, cell: Cell, guarded: Guarded) -> Value:
        if cell.mask is None:
            return guarded.value()
        other = self.source.guarded(cell.mask.field) if cell.mask.field else guarded
        return masked(cell.mask, guarded, other, self.resource.zone, self.dialect)

    def _defect(self, path: str, cell: Cell, guarded: Guarded) -> Value | None:
        """Say whether the source's value is none; of a field that stands in another's place, that field's own."""
        own, told = guarded.defect(), guarded.defect()
        if cell.mask is not None and cell.mask.form is Form.OTHER_FIELD:
            told = self.source.guarded(cell.mask.field).defect()
        if path not in self.view.varying or (own is None and told is None):
            return told
        sound: Value = sa.false()
        by = {Standing.SHOWN: sound if own is None else own, Standing.MASKED: sound if told is None else told}
        return _by_standing(self.state(path), cell, by)

    def _test(self, step: Step) -> Bool:
        compiler = self._compiler()
        match step.test:
            case Test.ANY_TRUE:
                return sa.or_(*(compiler.is_true(condition) for condition in step.conditions))
            case Test.NONE_TRUE:
                return sa.or_(*(compiler.is_true(condition) for condition in step.conditions)).is_not(sa.true())
            case Test.NOT_FALSE:
                return sa.or_(*(compiler.is_false(condition).is_not(sa.true()) for condition in step.conditions))
            case Test.ALWAYS:
                return sa.true()
            case _:
                assert_never(step.test)

    def _compiler(self) -> Compiler:
        return Compiler(self.resource, self.source, self.bindings)


def text_of(column: Value, kind: Kind, dialect: Dialect) -> Value:
    """Read dates and times as text: the driver can't represent all that a column holds, and text can't fail."""
    if dialect is Dialect.POSTGRESQL and kind in (Kind.DATE, Kind.TIMESTAMP):
        return sa.cast(column, sa.Text)
    return column


def _by_standing(state: Value, cell: Cell, values: Mapping[Standing, Value]) -> Value:
    """Choose by how the cell stands; where it is withheld, nothing."""
    standings = enumerate(step.outcome.standing for step in cell.steps)
    return sa.case(*((state == _number(n), values[standing]) for n, standing in standings if standing in values))


def _where(state: Value, cell: Cell, value: Value) -> Value:
    seen = [n for n, step in enumerate(cell.steps) if step.outcome.standing is not Standing.WITHHELD]
    return _in(state, seen, value)


def _in(state: Value, numbers: Iterable[int], value: Value) -> Value:
    return sa.case((state.in_([_number(n) for n in sorted(numbers)]), value))


def _number(value: int) -> Value:
    return sa.literal_column(str(value))
