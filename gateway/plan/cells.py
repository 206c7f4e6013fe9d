"""The cells of a view in SQL: which step decides them, and what they show.

What a row does not show is null in the subquery that the client's filter and order are written over. Where rows show a
field partly in full and partly in its form, it is compared in its form.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from gateway.catalogue import Resource
from gateway.domains import DAYS, Domain, Kind
from gateway.plan.judging import Judged, judge
from gateway.plan.masking import masked
from gateway.policy.masks import Form
from gateway.policy.sql import Bindings, Compiler
from gateway.policy.tables import Bool, Dialect, Guarded, ResourceSource, Value, literal, resource_source
from gateway.policy.view import Cell, Standing, View


def label(path: str) -> str:
    """Name the column of a path."""
    return path.replace(".", "__")


def shown_domain(resource: Resource, view: View, path: str) -> Domain:
    """Return what the database gives for a path: the view's domain, or for a pseudonym what it is made of."""
    cell = view.cells[path]
    if cell.mask is None or cell.mask.form is Form.PSEUDONYM:
        return resource.field(path).domain
    return cell.mask.domain(resource)


def rows_of(view: View, compiler: Compiler) -> Bool:
    """Write the condition of a view's rows; what has no key that could be told is part of no view."""
    return sa.and_(
        compiler.source.identified(),
        compiler.is_true(view.rows),
        *(compiler.is_false(denial) for denial in view.denials),
    )


def cells_of(
    resource: Resource,
    dialect: Dialect,
    view: View,
    paths: Iterable[str],
    bindings: Bindings,
    among: sa.FromClause | None = None,
) -> "Cells":
    """Prepare a view's cells at some paths over a source of their own: of all rows, or of those that `among` names."""
    compiler = Compiler(resource, resource_source(resource, dialect, among), bindings)
    return Cells(resource, view, compiler, judge(view, paths, compiler))


@dataclass(frozen=True, slots=True)
class Cells:
    """Writes the rows and cells of one view over the resource's source."""

    resource: Resource
    view: View
    compiler: Compiler
    judged: Judged

    @property
    def source(self) -> ResourceSource:
        """The columns that the cells are made of."""
        return self.compiler.source

    @property
    def dialect(self) -> Dialect:
        """The database that is spoken to."""
        return self.source.dialect

    def rows(self) -> Bool:
        """Write the condition of the view's rows."""
        return rows_of(self.view, self.compiler)

    def pointer(self) -> Value:
        """Number the pointer that stands for a row, from 1; 0 where the row is opened."""
        pointers = enumerate(self.view.pointers, 1)
        numbered = [(self.judged.is_true(each.rows), literal(n)) for n, each in pointers]
        return sa.case((self.judged.is_true(self.view.opened), literal(0)), *numbered)

    def state(self, path: str) -> Value:
        """Number the step that decides a cell."""
        return self.judged.state(self.view.cells[path])

    def value(self, path: str) -> Value:
        """Write what is shown and compared of a path."""
        cell, guarded = self.view.cells[path], self.source.guarded(path)
        value = self._masked(cell, guarded)
        if path not in self.view.varying:
            return value
        if cell.mask is not None and cell.mask.field:
            # A form that another field has a part in tells of that field: it is compared only where it is shown.
            return _by_standing(self.state(path), cell, {Standing.MASKED: value})
        return _where(self.state(path), cell, value)

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
        form = self._told(self._masked(cell, guarded), shown_domain(self.resource, self.view, path).kind)
        defect = guarded.defect()
        sound: Value = sa.false() if defect is None else defect
        if state is None:
            return form, sound
        return self._mixed(cell, state, shown, form), _where(state, cell, sound)

    def compared_related(self, path: str, guarded: Guarded, state: Value | None) -> Value:
        """Write what is compared of a field of related rows; `state` is that of the record."""
        cell = self.view.cells[path]
        value = self._masked(cell, guarded)
        return value if state is None else _where(state, cell, value)

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


def text_of(column: Value, kind: Kind, dialect: Dialect) -> Value:
    """Read dates and times as text: the driver can't represent all that a column holds, and text can't fail."""
    if dialect is Dialect.POSTGRESQL and kind in DAYS:
        return sa.cast(column, sa.Text)
    return column


def _by_standing(state: Value, cell: Cell, values: Mapping[Standing, Value]) -> Value:
    """Choose by how the cell stands; where it is withheld, nothing."""
    standings = enumerate(step.outcome.standing for step in cell.steps)
    return sa.case(*((state == literal(n), values[standing]) for n, standing in standings if standing in values))


def seen_in(state: Value, cell: Cell) -> Bool:
    """Write where a record shows a cell in some form."""
    return _is_one_of(state, (n for n, step in enumerate(cell.steps) if step.outcome.standing is not Standing.WITHHELD))


def _where(state: Value, cell: Cell, value: Value) -> Value:
    return sa.case((seen_in(state, cell), value))


def _in(state: Value, numbers: Iterable[int], value: Value) -> Value:
    return sa.case((_is_one_of(state, numbers), value))


def _is_one_of(state: Value, numbers: Iterable[int]) -> Bool:
    return state.in_([literal(n) for n in sorted(numbers)])
