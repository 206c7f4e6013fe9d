"""Statements: one SELECT over a subquery that holds the visible rows and cells, and nothing else.

The client's filter, order and page are written over that subquery, so that what is hidden can't be reached by them. It
holds no other cells than they name; what is shown is read afterwards, of the page's rows alone, in the same snapshot.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect as Compiling

from gateway.access import SortKey
from gateway.catalogue import Resource
from gateway.domains import Domain, Kind
from gateway.plan.cells import Cells, cells_of, label, shown_domain, text_of
from gateway.plan.filtering import Filtering
from gateway.plan.implied import implied
from gateway.plan.shape import Shape, paths_in, related_paths, relations_in
from gateway.policy.condition import Covered
from gateway.policy.sql import Bindings
from gateway.policy.tables import (
    Bool,
    Dialect,
    Parameter,
    Source,
    Value,
    joined_for,
    literal,
    ordered,
    parameter,
    related_source,
)
from gateway.policy.view import View


@dataclass(frozen=True, slots=True)
class Asked:
    """A question without its values: what a statement is compiled from.

    A page has no more than `most` rows, if that is said. PostgreSQL then plans a statement once for all values; of a
    bound that is a parameter it assumes a tenth of all rows, and plans each use anew.
    """

    paths: tuple[str, ...]
    related: tuple[tuple[str, tuple[str, ...]], ...]
    filter: Shape | None
    sort: tuple[SortKey, ...]
    after: tuple[bool, ...] | None
    by_key: bool
    most: int | None


@dataclass(frozen=True, slots=True)
class InFull:
    """Where a value itself stands that other rows show in a form: at which steps it counts, and with which domain.

    `number` is its own column's; in related rows the value and its form share one place.
    """

    number: int
    state: int
    steps: frozenset[int]
    domain: Domain

    def holds(self, values: Sequence[object]) -> bool:
        """Whether a row of the result shows the value itself."""
        return values[self.state] in self.steps


@dataclass(frozen=True, slots=True)
class CellColumn:
    """A column of the result that holds a cell of the view, and the numbers of the columns that say more of it.

    `full` is where the value itself stands, if other rows show a form. `defect` is where it stands that the source's
    value is none.
    """

    path: str
    number: int
    domain: Domain
    defect: int | None
    full: InFull | None


@dataclass(frozen=True, slots=True)
class RelatedField:
    """A field of related rows; `state` is the record's column that numbers the step which decided the field."""

    name: str
    domain: Domain
    state: int | None
    full: InFull | None


@dataclass(frozen=True, slots=True)
class RelatedColumn:
    """A column of the result that holds, as JSON, the rows of a relation to many.

    Each row is an array: its place in the order, the shown fields, then for each whether it is a defect.
    """

    relation: str
    number: int
    fields: tuple[RelatedField, ...]
    at_most: int


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One compiled SELECT: columns 0 and 1 are the record's and the person's keys, then presence, the rest."""

    sql: str
    constants: Mapping[str, Parameter]
    covered: dict[str, Covered]
    presence: tuple[str, ...]
    cells: tuple[CellColumn, ...]
    states: Mapping[str, int]
    pointer: int | None
    related: tuple[RelatedColumn, ...]
    digest: str


class _Columns:
    """The columns of the outermost SELECT, numbered as they are added."""

    def __init__(self, rows: sa.Subquery, first: list[Value], dialect: Dialect) -> None:
        self._rows = rows
        self._dialect = dialect
        self.states: dict[str, int] = {}
        self.selected = first

    def add(self, column: Value) -> int:
        """Add a column, and return its number."""
        self.selected.append(column)
        return len(self.selected) - 1

    def state(self, path: str) -> int | None:
        """Add the number of the step that decided a path, where that depends on the row."""
        if path not in self.states:
            number = self.told("state", path)
            if number is None:
                return None
            self.states[path] = number
        return self.states[path]

    def told(self, name: str, path: str, kind: Kind = Kind.INTEGER) -> int | None:
        """Add what the view tells beside a cell, if it does."""
        column = f"_{name}_{label(path)}"
        return self.add(text_of(self._rows.c[column], kind, self._dialect)) if column in self._rows.c else None


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the statements of one view of a resource, for one database."""

    resource: Resource
    dialect: Dialect
    view: View

    def page(self, asked: Asked) -> Statement:
        """Write the statement that a question asks for: its page of the view, with related rows."""
        bindings = Bindings({})
        found = self._found(asked, bindings)
        shown = (*asked.paths, *_related_in(asked))
        cells = cells_of(self.resource, self.dialect, self.view, shown, bindings, found)
        presence = tuple(sorted({path.rpartition(".")[0] for path in asked.paths} - {""}))
        rows = self._page(asked, cells, presence)
        columns = _Columns(
            rows, [rows.c["_key"], rows.c["_person"], *(rows.c[f"_has_{name}"] for name in presence)], self.dialect
        )
        own = tuple(self._cell(path, rows, columns) for path in asked.paths)
        pointer = columns.add(rows.c["_pointer"]) if self.view.pointers else None
        related = tuple(self._related(name, names, rows, columns, cells) for name, names in asked.related)
        for path in asked.paths:
            columns.state(path)
        sql, constants = _text(sa.select(*columns.selected).order_by(*self._order(rows, asked.sort)), self.dialect)
        return Statement(
            sql=sql,
            constants=constants,
            covered=bindings.covered,
            presence=presence,
            cells=own,
            states=columns.states,
            pointer=pointer,
            related=related,
            digest=_digest(sql, constants),
        )

    def count(self) -> Statement:
        """Write the statement that counts the view's records and persons."""
        bindings = Bindings({})
        _, visible = self._visible(Asked((), (), None, (), None, by_key=False, most=None), bindings)
        statement = sa.select(sa.func.count(), sa.func.count(visible.c["_person"].distinct())).select_from(visible)
        return counting(statement, bindings, self.dialect)

    def _found(self, asked: Asked, bindings: Bindings) -> sa.Subquery:
        """Select the keys of the page: filter, order and bound, written over the view."""
        cells, visible = self._visible(asked, bindings)
        page = sa.select(visible).order_by(*self._order(visible, asked.sort)).limit(self._most(asked))
        if asked.filter is not None:
            page = page.where(Filtering(self.resource, cells, visible).is_true(asked.filter))
        if asked.after is not None:
            page = page.where(self._after(visible, asked))
        if asked.by_key:
            page = page.where(visible.c["_key"] == parameter("key", Kind.KEY, self.dialect))
        bounded = page.subquery("bounded")
        found = sa.select(bounded.c["_key"]).order_by(*self._order(bounded, asked.sort)).limit(sa.bindparam("limit"))
        return found.subquery("found")

    def _most(self, asked: Asked) -> Value:
        return sa.bindparam("limit") if asked.most is None else literal(asked.most)

    def _visible(self, asked: Asked, bindings: Bindings) -> tuple[Cells, sa.Subquery]:
        """Select the view: its rows, and of its cells those that the question filters and sorts by."""
        filtered = paths_in(asked.filter) if asked.filter else ()
        used = tuple(dict.fromkeys((*filtered, *(key.field for key in asked.sort))))
        many = tuple(self._of_many(asked))
        cells = cells_of(self.resource, self.dialect, self.view, (*used, *many), bindings)
        source = cells.source
        selected: list[Value] = [source.base.key.label("_key"), source.person.label("_person")]
        selected += [cells.value(path).label(label(path)) for path in used]
        selected += self._states(many, cells)
        conditions = [cells.rows()]
        if asked.filter is not None:
            conditions += implied(asked.filter, cells)
        joined = joined_for(cells.judged.joined, (*selected, *conditions))
        return cells, sa.select(*selected).select_from(joined).where(*conditions).subquery("visible")

    def _of_many(self, asked: Asked) -> Iterator[str]:
        """Yield the paths of the relations to many that the question filters by.

        All of them are used: whether anything of a relation is shown says if it is known.
        """
        shown = related_paths(self.resource, self.view)
        for relation in dict.fromkeys(relations_in(asked.filter) if asked.filter else ()):
            yield from (f"{relation}.{name}" for name in shown[relation])

    def _states(self, paths: Iterable[str], cells: Cells) -> list[Value]:
        return [cells.state(path).label(f"_state_{label(path)}") for path in paths if path in self.view.varying]

    def _page(self, asked: Asked, cells: Cells, presence: tuple[str, ...]) -> sa.Subquery:
        """Select the cells of the rows that were found."""
        source = cells.source
        selected: list[Value] = [source.base.key.label("_key"), source.person.label("_person")]
        selected += [source.ones[name].key.is_not(None).label(f"_has_{name}") for name in presence]
        for path in asked.paths:
            selected.append(cells.value(path).label(label(path)))
            selected += [column.label(f"_{name}_{label(path)}") for name, column in cells.told(path)]
        selected += self._states(_related_in(asked), cells)
        if self.view.pointers:
            selected.append(cells.pointer().label("_pointer"))
        # Once more: a key that the source holds twice must not open its other row.
        rows = cells.rows()
        joined = joined_for(cells.judged.joined, (*selected, rows))
        return sa.select(*selected).select_from(joined).where(rows).subquery("page")

    def _cell(self, path: str, rows: sa.Subquery, columns: "_Columns") -> CellColumn:
        domain, own = shown_domain(self.resource, self.view, path), self.resource.field(path).domain
        number = columns.add(text_of(rows.c[label(path)], domain.kind, self.dialect))
        full = columns.told("full", path, own.kind)
        defect = columns.told("defect", path)
        return CellColumn(path, number, domain, defect, self._in_full(path, full, columns.state(path)))

    def _in_full(self, path: str, number: int | None, state: int | None) -> InFull | None:
        if number is None or state is None:
            return None
        return InFull(number, state, self.view.cells[path].shown_at(), self.resource.field(path).domain)

    def _related(
        self, name: str, names: tuple[str, ...], page: sa.Subquery, columns: "_Columns", cells: Cells
    ) -> RelatedColumn:
        relation = self.resource.relations[name]
        related = related_source(relation, f"{name}_rows", self.dialect)
        fields = tuple(self._related_field(f"{name}.{field}", columns) for field in names)
        in_order = self._related_order(name, related)
        selected = [sa.func.row_number().over(order_by=in_order).label("_order")]
        defects = []
        for field in fields:
            guarded, path = related.guarded(field.name), f"{name}.{field.name}"
            state = None if field.state is None else page.c[f"_state_{label(path)}"]
            value, defect = cells.of_related(path, guarded, state)
            selected.append(value.label(field.name))
            defects.append(defect.label(f"_defect_{field.name}"))
        rows = (
            sa.select(*selected, *defects)
            .select_from(related.joined)
            .where(related.key == page.c["_key"])
            .correlate(page)
            .order_by(*in_order)
            .limit(literal(relation.at_most + 1))
            .subquery(f"{name}_bounded")
        )
        array: Value
        if self.dialect is Dialect.POSTGRESQL:
            array = sa.cast(sa.func.json_agg(sa.func.json_build_array(*rows.c)), sa.Text)
        else:
            array = sa.func.json_group_array(sa.func.json_array(*rows.c))
        number = columns.add(sa.select(array).select_from(rows).scalar_subquery())
        return RelatedColumn(name, number, fields, relation.at_most)

    def _related_order(self, name: str, related: Source) -> list[sa.ColumnElement[Any]]:
        """Order related rows by the catalogue's column if every record shows it; else by key, for order would tell."""
        relation = self.resource.relations[name]
        columns = related.tables[relation.table].c
        placed = (relation.table, relation.order)
        fields = [f for f, each in relation.fields.items() if (each.column.table, each.column.name) == placed]
        if not fields:
            return [columns[relation.order].asc().nulls_last(), columns[relation.key]]
        shown = [related.guarded(field).value() for field in fields if f"{name}.{field}" in self.view.shown]
        return [*(value.asc().nulls_last() for value in shown), columns[relation.key]]

    def _related_field(self, path: str, columns: "_Columns") -> RelatedField:
        cell, state = self.view.cells[path], columns.state(path)
        mixed = cell.mask is not None and cell.shown_at()
        return RelatedField(
            name=path.rpartition(".")[2],
            domain=shown_domain(self.resource, self.view, path),
            state=state,
            full=self._in_full(path, state, state) if mixed else None,
        )

    def _kind(self, path: str) -> Kind:
        return shown_domain(self.resource, self.view, path).kind

    def _order(self, rows: sa.Subquery, sort: tuple[SortKey, ...]) -> Iterator[sa.UnaryExpression[object]]:
        """Order totally, nulls last; the record's key breaks ties in the direction of the last field."""
        for key in sort:
            column = self._sorted(rows, key)
            direction = column.desc() if key.descending else column.asc()
            yield direction if self._required(key.field) else direction.nulls_last()
        last = rows.c["_key"]
        yield last.desc() if sort and sort[-1].descending else last.asc()

    def _sorted(self, rows: sa.Subquery, key: SortKey) -> Value:
        return ordered(rows.c[label(key.field)], self._kind(key.field), self.dialect)

    def _required(self, path: str) -> bool:
        field = self.resource.fields.get(path)
        return (
            field is not None
            and field.required
            and field.enforced
            and path in self.view.shown
            and (self.dialect is Dialect.POSTGRESQL)
        )

    def _after(self, rows: sa.Subquery, asked: Asked) -> Bool:
        """Continue after a row: later in the first field, or equal in it and later in the rest; nulls are last."""
        backwards = bool(asked.sort) and asked.sort[-1].descending
        key, last = rows.c["_key"], parameter("after_key", Kind.KEY, self.dialect)
        later: Bool = key < last if backwards else key > last
        for index, sort in reversed(list(enumerate(asked.sort))):
            column = self._sorted(rows, sort)
            bound = parameter(f"after_{index}", self._kind(sort.field), self.dialect)
            if asked.after is not None and asked.after[index]:
                later = sa.and_(column.is_(None), later)
                continue
            beyond = column < bound if sort.descending else column > bound
            if self._required(sort.field):
                # The first conjunct says nothing new; it is the range by which an index is entered.
                reach = column <= bound if sort.descending else column >= bound
                later = sa.and_(reach, sa.or_(beyond, later))
            else:
                later = sa.or_(beyond, column.is_(None), sa.and_(column == bound, later))
        return later


def _related_in(asked: Asked) -> Iterator[str]:
    return (f"{relation}.{name}" for relation, names in asked.related for name in names)


def counting(statement: sa.SelectBase, bindings: Bindings, dialect: Dialect) -> Statement:
    """Compile a statement whose columns are numbers and no cells."""
    sql, constants = _text(statement, dialect)
    return Statement(sql, constants, bindings.covered, (), (), {}, None, (), _digest(sql, constants))


def _text(statement: sa.SelectBase, dialect: Dialect) -> tuple[str, dict[str, Parameter]]:
    """Compile to the driver's own text, and the constants that the policy binds."""
    compiled = statement.compile(dialect=_compiling(dialect))
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), constants


def _compiling(dialect: Dialect) -> Compiling:
    if dialect is Dialect.POSTGRESQL:
        return postgresql.psycopg.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves it untyped
    return sqlite.dialect(paramstyle="named")


def _digest(sql: str, constants: Mapping[str, Parameter]) -> str:
    stated = "\n".join(f"{name}={constants[name]!r}" for name in sorted(constants))
    return "sha256:" + hashlib.sha256(f"{sql}\n{stated}".encode()).hexdigest()
