"""A client's filter in SQL, over the rows of the view and the related rows that it shows.

A filter is written with its polarity, as the conditions of a policy are: `is_true` is true exactly where the filter is,
`is_false` where it is false, and elsewhere both are false or null. So that what is not known is never taken for absent.
"""

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from gateway.catalogue import Resource
from gateway.plan.cells import Cells, label, seen_in, shown_domain
from gateway.plan.comparison import compare
from gateway.plan.shape import Joined, Negated, Shape, Some, Test, related_paths
from gateway.policy.tables import Bool, Source, Value, literal, related_source

_Column = Callable[[str], Value]


@dataclass(frozen=True, slots=True)
class Filtering:
    """Writes filters over the subquery that holds the view's rows."""

    resource: Resource
    cells: Cells
    visible: sa.Subquery

    def is_true(self, shape: Shape) -> Bool:
        """Write where a filter is true of a record."""
        return self._true(shape, self._own)

    def _own(self, path: str) -> Value:
        return self.visible.c[label(path)]

    def _true(self, shape: Shape, column: _Column) -> Bool:
        match shape:
            case Test():
                return self._test(shape, column)
            case Negated(part):
                return self._false(part, column)
            case Joined(every, parts):
                joined = [self._true(part, column) for part in parts]
                return sa.and_(*joined) if every else sa.or_(*joined)
            case Some(relation, part):
                rows, of_row = self._rows(relation)
                return sa.and_(rows.where(self._true(part, of_row)).exists(), *self._known(relation))

    def _false(self, shape: Shape, column: _Column) -> Bool:
        match shape:
            case Test():
                return sa.not_(self._test(shape, column))
            case Negated(part):
                return self._true(part, column)
            case Joined(every, parts):
                joined = [self._false(part, column) for part in parts]
                return sa.or_(*joined) if every else sa.and_(*joined)
            case Some(relation, part):
                rows, of_row = self._rows(relation)
                # Not `IS NOT TRUE`, which binds more tightly than the NOT that PostgreSQL is given before `= ANY`.
                otherwise = rows.where(sa.not_(sa.func.coalesce(self._false(part, of_row), sa.false())))
                return sa.and_(~otherwise.exists(), *self._known(relation))

    def _test(self, test: Test, column: _Column) -> Bool:
        kind = shown_domain(self.resource, self.cells.view, test.path).kind
        return compare(test, column(test.path), kind, self.cells.dialect)

    # --- related rows -------------------------------------------------------------------------------------------

    def _rows(self, name: str) -> tuple[sa.Select[int], _Column]:
        """Select a record's related rows; return them, and what the view shows of a row.

        An OFFSET keeps PostgreSQL from beginning with the related rows of all records, which it would where it expects
        few of them to fit: it can't know how many do, and a page needs those of a few records.
        """
        source = related_source(self.resource.relations[name], f"{name}_asked", self.cells.dialect)

        def column(path: str) -> Value:
            guarded = source.guarded(path.rpartition(".")[2])
            return self.cells.compared_related(path, guarded, self._state(path))

        return self._select(source).offset(literal(0)), column

    def _select(self, source: Source) -> sa.Select[int]:
        rows = sa.select(literal(1)).select_from(source.joined).where(source.key == self.visible.c["_key"])
        return rows.correlate(self.visible)

    def _known(self, name: str) -> list[Bool]:
        """Write where a record shows its related rows: some field of them, and not more rows than it can."""
        relation = self.resource.relations[name]
        source = related_source(relation, f"{name}_counted", self.cells.dialect)
        beyond = self._select(source).limit(literal(1)).offset(literal(relation.at_most))
        return [~beyond.exists(), *self._shown(name)]

    def _shown(self, name: str) -> list[Bool]:
        view = self.cells.view
        paths = [f"{name}.{field}" for field in related_paths(self.resource, view)[name]]
        states = [(self._state(path), view.cells[path]) for path in paths]
        if any(state is None for state, _ in states):
            return []
        return [sa.or_(*(seen_in(state, cell) for state, cell in states if state is not None))]

    def _state(self, path: str) -> Value | None:
        """Return the column that says how a related field stands in the record, where that depends on the record."""
        return self.visible.c[f"_state_{label(path)}"] if path in self.cells.view.varying else None
