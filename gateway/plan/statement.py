"""Statements: one SELECT over a subquery that holds the visible rows and cells, and nothing else.

The client's filter, order and page are written over that subquery, so that what is hidden can't be reached by them.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect as Compiling

from gateway.access import SortKey
from gateway.catalogue import YEARS, Domain, Kind, Resource
from gateway.plan.shape import Joined, Negated, Shape, Test, paths_in, related_paths, view_domain
from gateway.policy.condition import Covered
from gateway.policy.decide import View
from gateway.policy.document import Mask
from gateway.policy.sql import Bindings, Compiler
from gateway.policy.tables import (
    Bool,
    Dialect,
    Guarded,
    Parameter,
    ResourceSource,
    Value,
    is_one_of,
    ordered,
    parameter,
    related_source,
    resource_source,
)

_ORDERING: dict[str, Callable[[Value, Value], Bool]] = {
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question without its values: what a statement is compiled from."""

    paths: tuple[str, ...]
    related: tuple[str, ...]
    filter: Shape | None
    sort: tuple[SortKey, ...]
    after: tuple[bool, ...] | None
    by_key: bool


@dataclass(frozen=True, slots=True)
class CellColumn:
    """A column of the result that holds a cell of the view."""

    path: str
    domain: Domain
    defect: int | None


@dataclass(frozen=True, slots=True)
class RelatedColumn:
    """A column of the result that holds, as JSON, the rows of a relation to many.

    Each row is an array: its place in the order, the shown fields, then for each whether it is a defect.
    """

    relation: str
    fields: tuple[tuple[str, Domain], ...]
    at_most: int


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One compiled SELECT: columns 0 and 1 are the record's and the person's keys, then presence, cells, related."""

    sql: str
    constants: Mapping[str, Parameter]
    covered: dict[str, Covered]
    presence: tuple[str, ...]
    cells: tuple[CellColumn, ...]
    related: tuple[RelatedColumn, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the statements of one view of a resource, for one database."""

    resource: Resource
    dialect: Dialect
    view: View

    def page(self, asked: Asked) -> Statement:
        """Write the statement that a question asks for: its page of the view, with related rows."""
        bindings = Bindings({})
        source = resource_source(self.resource, self.dialect)
        presence = tuple(sorted({path.rpartition(".")[0] for path in asked.paths} - {""}))
        visible, columns = self._visible(asked, source, bindings, presence)
        page = sa.select(visible).order_by(*self._order(visible, asked.sort)).limit(sa.bindparam("limit"))
        if asked.filter is not None:
            page = page.where(self._filter(visible, asked.filter))
        if asked.after is not None:
            page = page.where(self._after(visible, asked))
        if asked.by_key:
            page = page.where(visible.c["_key"] == parameter("key", Kind.KEY, self.dialect))
        rows = page.subquery("page")
        related = [self._related(name, rows) for name in asked.related]
        cells = self._cells(columns, len(presence))
        outer = sa.select(
            rows.c["_key"],
            rows.c["_person"],
            *(rows.c[f"_has_{name}"] for name in presence),
            *(self._shown(rows.c[_label(c.path)], c.domain.kind) for c in cells),
            *(rows.c[f"_defect_{_label(c.path)}"] for c in cells if c.defect is not None),
            *(column for _, column in related),
        ).order_by(*self._order(rows, asked.sort))
        sql, constants = _text(outer, self.dialect)
        return Statement(
            sql=sql,
            constants=constants,
            covered=bindings.covered,
            presence=presence,
            cells=cells,
            related=tuple(column for column, _ in related),
            digest=_digest(sql, constants),
        )

    def count(self) -> Statement:
        """Write the statement that counts the view's records and persons."""
        bindings = Bindings({})
        source = resource_source(self.resource, self.dialect)
        visible, _ = self._visible(Asked((), (), None, (), None, by_key=False), source, bindings, ())
        statement = sa.select(sa.func.count(), sa.func.count(visible.c["_person"].distinct())).select_from(visible)
        sql, constants = _text(statement, self.dialect)
        return Statement(sql, constants, bindings.covered, (), (), (), _digest(sql, constants))

    def _visible(
        self, asked: Asked, source: ResourceSource, bindings: Bindings, presence: tuple[str, ...]
    ) -> tuple[sa.Subquery, dict[str, tuple[Domain, Guarded]]]:
        """Select the view: its rows, and of its columns those that the question uses."""
        compiler = Compiler(self.resource, source, bindings)
        used = dict.fromkeys((*asked.paths, *(paths_in(asked.filter) if asked.filter else ())))
        columns: dict[str, tuple[Domain, Guarded]] = {}
        selected: list[Value] = [source.base.key.label("_key"), source.person.label("_person")]
        selected += [source.ones[name].key.is_not(None).label(f"_has_{name}") for name in presence]
        for path in used:
            guarded = source.guarded(path)
            mask = self.view.masked.get(path)
            shown = guarded.value() if mask is None else self._masked(guarded, mask)
            columns[path] = (guarded.domain if mask is None else YEARS, guarded)
            selected.append(shown.label(_label(path)))
            defect = guarded.defect()
            if defect is not None and path in asked.paths:
                selected.append(defect.label(f"_defect_{_label(path)}"))
        conjuncts = [compiler.is_true(self.view.rows), *(compiler.is_false(denial) for denial in self.view.denials)]
        inner = sa.select(*selected).select_from(source.joined).where(*conjuncts)
        return inner.subquery("visible"), {path: columns[path] for path in asked.paths}

    def _masked(self, guarded: Guarded, mask: Mask) -> Value:
        """Compute the form in SQL, so that the value behind it never leaves the database; total on every value."""
        match mask:
            case Mask.YEAR:
                year = _year(guarded.raw, self.dialect)
        # An enforced domain has no predicate of its own, and `infinity` has no year: a check is not trusted with it.
        finite = guarded.raw.between(*_year_bounds()) if guarded.within is None else guarded.within
        return sa.case((finite, sa.cast(year, sa.Integer)))

    def _cells(self, columns: dict[str, tuple[Domain, Guarded]], before: int) -> tuple[CellColumn, ...]:
        defect = 2 + before + len(columns)
        cells = []
        for path, (domain, guarded) in columns.items():
            guards = guarded.within is not None
            cells.append(CellColumn(path, domain, defect if guards else None))
            defect += guards
        return tuple(cells)

    def _shown(self, column: Value, kind: Kind) -> Value:
        """Read dates and times as text: the driver can't represent all that a column holds, and text can't fail."""
        if self.dialect is Dialect.POSTGRESQL and kind in (Kind.DATE, Kind.TIMESTAMP):
            return sa.cast(column, sa.Text)
        return column

    def _related(self, name: str, page: sa.Subquery) -> tuple[RelatedColumn, Value]:
        relation = self.resource.relations[name]
        related = related_source(relation, f"{name}_rows", self.dialect)
        shown = related_paths(self.resource, self.view)[name]
        table = related.tables[relation.table]
        guards = {field: related.guarded(field) for field in shown}
        in_order = (table.c[relation.order].asc().nulls_last(), table.c[relation.key])
        columns = [sa.func.row_number().over(order_by=in_order).label("_order")]
        columns += [self._shown(g.value(), g.domain.kind).label(field) for field, g in guards.items()]
        defects = {field: g.defect() for field, g in guards.items()}
        columns += [(sa.false() if d is None else d).label(f"_defect_{field}") for field, d in defects.items()]
        rows = (
            sa.select(*columns)
            .select_from(related.joined)
            .where(related.key == page.c["_key"])
            .correlate(page)
            .order_by(*in_order)
            .limit(sa.literal_column(str(relation.at_most + 1)))
            .subquery(f"{name}_bounded")
        )
        array: Value
        if self.dialect is Dialect.POSTGRESQL:
            array = sa.cast(sa.func.json_agg(sa.func.json_build_array(*rows.c)), sa.Text)
        else:
            array = sa.func.json_group_array(sa.func.json_array(*rows.c))
        fields = tuple((field, relation.fields[field].domain) for field in shown)
        return RelatedColumn(name, fields, relation.at_most), sa.select(array).select_from(rows).scalar_subquery()

    def _filter(self, visible: sa.Subquery, shape: Shape) -> Bool:
        match shape:
            case Negated(part):
                return sa.not_(self._filter(visible, part))
            case Joined(every, parts):
                joined = [self._filter(visible, part) for part in parts]
                return sa.and_(*joined) if every else sa.or_(*joined)
            case Test():
                return self._test(visible, shape)

    def _test(self, visible: sa.Subquery, test: Test) -> Bool:
        domain = view_domain(self.resource, self.view, test.path)
        kind = Kind.TEXT if domain is None else domain.kind
        column: Value = visible.c[_label(test.path)]
        bound = [parameter(f"value_{i}", kind, self.dialect) for i in test.values]
        in_order = ordered(column, kind, self.dialect)
        match test.operator:
            case "is_null":
                return column.is_(None) if test.null else column.is_not(None)
            case "eq":
                return column == bound[0]
            case "ne":
                return column != bound[0]
            case "in":
                return is_one_of(column, f"value_{test.values[0]}", kind, self.dialect)
            case "prefix":
                return sa.and_(in_order >= bound[0], in_order < bound[1])
            case _:
                return _ORDERING[test.operator](in_order, bound[0])

    def _order(self, rows: sa.Subquery, sort: tuple[SortKey, ...]) -> Iterator[sa.UnaryExpression[object]]:
        """Order totally, nulls last; the record's key breaks ties in the direction of the last field."""
        for key in sort:
            column = self._sorted(rows, key)
            direction = column.desc() if key.descending else column.asc()
            yield direction if self._required(key.field) else direction.nulls_last()
        last = rows.c["_key"]
        yield last.desc() if sort and sort[-1].descending else last.asc()

    def _sorted(self, rows: sa.Subquery, key: SortKey) -> Value:
        domain = view_domain(self.resource, self.view, key.field)
        kind = Kind.TEXT if domain is None else domain.kind
        return ordered(rows.c[_label(key.field)], kind, self.dialect)

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
            domain = view_domain(self.resource, self.view, sort.field)
            bound = parameter(f"after_{index}", Kind.TEXT if domain is None else domain.kind, self.dialect)
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


def _label(path: str) -> str:
    return path.replace(".", "__")


def _year(raw: Value, dialect: Dialect) -> Value:
    if dialect is Dialect.POSTGRESQL:
        return sa.func.date_part(sa.literal_column("'year'"), raw)
    return sa.func.substr(raw, sa.literal_column("1"), sa.literal_column("4"))


def _year_bounds() -> tuple[Value, Value]:
    return (sa.literal_column(f"'{YEARS.low}-01-01'"), sa.literal_column(f"'{YEARS.high}-12-31'"))


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
