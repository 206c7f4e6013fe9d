"""Plans: from a permit and a question to one SELECT over the view that the permit gives.

The client's filter, order and page are written over a subquery that holds the visible rows and cells and nothing else,
so that what is hidden can't be named. A statement is compiled once for a view and a shape of question, and kept.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect as Compiling

from gateway.access import AllOf, AnyOf, Compare, Filter, Instrument, Not, Search, SortKey
from gateway.catalogue import YEARS, Domain, Kind, OutOfDomainError, Resource, Scalar
from gateway.errors import Code, Unplannable
from gateway.policy.condition import Covered
from gateway.policy.decide import View
from gateway.policy.document import Mask
from gateway.policy.sql import Bindings, Compiler, bind, prefix_range
from gateway.policy.tables import (
    Bool,
    Dialect,
    Guarded,
    Parameter,
    ResourceSource,
    Value,
    encode,
    encode_many,
    is_one_of,
    ordered,
    parameter,
    related_source,
    resource_source,
)

MAX_VALUES = 100
MAX_TESTS = 50
MAX_SORT = 3

_ORDERING: dict[str, Callable[[Value, Value], Bool]] = {
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
}
_OPERATORS: dict[Kind, frozenset[str]] = {
    Kind.TEXT: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "prefix", "is_null"}),
    Kind.CODE: frozenset({"eq", "ne", "in", "is_null"}),
    Kind.INTEGER: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"}),
    Kind.BOOLEAN: frozenset({"eq", "ne", "is_null"}),
    Kind.DATE: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"}),
    Kind.TIMESTAMP: frozenset({"eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"}),
    Kind.KEY: frozenset(),
}


def operators(domain: Domain) -> frozenset[str]:
    """Return the operators that a client may use on values of a domain."""
    return _OPERATORS[domain.kind]


# --- the view's columns -----------------------------------------------------------------------------------------


def view_domain(resource: Resource, view: View, path: str) -> Domain | None:
    """Return the domain of what the view shows at a path, or None where it shows nothing there."""
    if path in view.masked:
        return YEARS
    if path not in view.shown:
        return None
    relation, _, name = path.rpartition(".")
    fields = resource.relations[relation].fields if relation else resource.fields
    return fields[name].domain


def scalar_paths(resource: Resource, view: View) -> tuple[str, ...]:
    """Return, in the catalogue's order, the view's paths that hold one value for each record."""
    return tuple(
        path
        for path, _ in resource.paths()
        if (path in view.shown or path in view.masked) and not _of_many(resource, path)
    )


def related_paths(resource: Resource, view: View) -> dict[str, tuple[str, ...]]:
    """Return the view's relations to many, each with the names of its shown fields."""
    shown: dict[str, tuple[str, ...]] = {}
    for name, relation in resource.relations.items():
        fields = tuple(field for field in relation.fields if f"{name}.{field}" in view.shown)
        if relation.many and fields:
            shown[name] = fields
    return shown


def _of_many(resource: Resource, path: str) -> bool:
    relation, _, _ = path.rpartition(".")
    return bool(relation) and resource.relations[relation].many


# --- what a question asks of the view ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison of a path; `values` numbers its parameters, `null` answers is_null."""

    path: str
    operator: str
    values: tuple[int, ...] = ()
    null: bool = False


@dataclass(frozen=True, slots=True)
class Negated:
    """The contrary of a part."""

    part: "Shape"


@dataclass(frozen=True, slots=True)
class Joined:
    """All of the parts, or any of them."""

    every: bool
    parts: "tuple[Shape, ...]"


Shape = Test | Negated | Joined


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next page starts: after the row with these sort values and this key."""

    values: tuple[Scalar | None, ...]
    key: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question without its values: what a statement is compiled from."""

    paths: tuple[str, ...]
    related: tuple[str, ...]
    filter: Shape | None
    sort: tuple[SortKey, ...]
    after: tuple[bool, ...] | None
    by_key: bool


# --- statements and plans ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CellColumn:
    """A column of the result that holds a cell of the view."""

    path: str
    domain: Domain
    defect: int | None


@dataclass(frozen=True, slots=True)
class RelatedColumn:
    """A column of the result that holds, as JSON, the rows of a relation to many.

    Each row is an array: key, order, the shown fields, then for each field whether the source's value is a defect.
    """

    relation: str
    fields: tuple[tuple[str, Domain], ...]
    at_most: int


@dataclass(frozen=True, slots=True)
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
class Plan:
    """A statement with its parameters; `sort` names the paths that the next cursor must hold."""

    statement: Statement
    parameters: Mapping[str, Parameter]
    limit: int
    sort: tuple[str, ...]
    fields: tuple[str, ...]


class Planner:
    """Plans questions about one resource for one database."""

    def __init__(self, resource: Resource, dialect: Dialect) -> None:
        self._resource = resource
        self._dialect = dialect
        self._statement = lru_cache(maxsize=512)(self._compile)
        self._counting = lru_cache(maxsize=64)(self._compile_count)

    def search(self, view: View, search: Search, instruments: tuple[Instrument, ...], after: Position | None) -> Plan:
        """Plan a page; raise Unplannable for what the view does not hold."""
        values: list[tuple[Scalar | tuple[Scalar, ...], Kind]] = []
        shape = _shape(search.filter, self._reader(view), values) if search.filter else None
        sort = self._sort(view, search.sort)
        fields = self._fields(view, search.fields)
        selected = tuple(dict.fromkeys((*(f for f in fields if f not in self._many()), *(k.field for k in sort))))
        asked = _Asked(
            paths=selected,
            related=tuple(f for f in fields if f in self._many()),
            filter=shape,
            sort=sort,
            after=None if after is None else tuple(value is None for value in after.values),
            by_key=False,
        )
        statement = self._statement(view, asked)
        parameters = self._parameters(statement, values, instruments) | {"limit": search.limit + 1}
        if after is not None:
            parameters |= {
                f"after_{i}": None if v is None else encode(v, self._dialect) for i, v in enumerate(after.values)
            }
            parameters["after_key"] = after.key
        used = {k: v for k, v in parameters.items() if v is not None}
        return Plan(statement, used, search.limit, tuple(key.field for key in sort), fields)

    def lookup(self, view: View, key: int, instruments: tuple[Instrument, ...]) -> Plan:
        """Plan the reading of one record."""
        fields = self._fields(view, ())
        many = tuple(f for f in fields if f in self._many())
        scalars = tuple(f for f in fields if f not in many)
        statement = self._statement(view, _Asked(scalars, many, None, (), None, by_key=True))
        parameters = self._parameters(statement, [], instruments) | {"key": key, "limit": 1}
        return Plan(statement, parameters, 1, (), fields)

    def count(self, view: View, instruments: tuple[Instrument, ...]) -> Plan:
        """Plan the city's own count of visible records and persons; no client's question leads here."""
        statement = self._counting(view)
        return Plan(statement, self._parameters(statement, [], instruments), 1, (), ())

    def _parameters(
        self,
        statement: Statement,
        values: list[tuple[Scalar | tuple[Scalar, ...], Kind]],
        instruments: tuple[Instrument, ...],
    ) -> dict[str, Parameter]:
        client = {
            f"value_{i}": encode_many(v, self._dialect) if isinstance(v, tuple) else encode(v, self._dialect)
            for i, (v, _) in enumerate(values)
        }
        return {**statement.constants, **bind(statement.covered, instruments, self._dialect), **client}

    def _many(self) -> frozenset[str]:
        return frozenset(name for name, relation in self._resource.relations.items() if relation.many)

    def _reader(self, view: View) -> "Callable[[str], Domain]":
        def domain_of(path: str) -> Domain:
            domain = None if _of_many_or_unknown(self._resource, path) else view_domain(self._resource, view, path)
            if domain is None:
                raise unknown_field(path)
            return domain

        return domain_of

    def _sort(self, view: View, sort: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
        if len(sort) > MAX_SORT or len({key.field for key in sort}) != len(sort):
            raise Unplannable(Code.MALFORMED, f"Sort by at most {MAX_SORT} different fields.")
        domain_of = self._reader(view)
        for key in sort:
            if domain_of(key.field).kind is Kind.KEY:
                raise Unplannable(Code.UNKNOWN_OPERATOR, "Opaque ids have no order.")
        return sort

    def _fields(self, view: View, fields: tuple[str, ...]) -> tuple[str, ...]:
        every = (*scalar_paths(self._resource, view), *related_paths(self._resource, view))
        for field in fields:
            if field not in every:
                raise unknown_field(field)
        return tuple(field for field in every if not fields or field in fields)

    # --- compiling ----------------------------------------------------------------------------------------------

    def _compile(self, view: View, asked: _Asked) -> Statement:
        bindings = Bindings({})
        source = resource_source(self._resource, self._dialect)
        presence = tuple(sorted({path.rpartition(".")[0] for path in asked.paths} - {""}))
        visible, columns = self._visible(view, asked, source, bindings, presence)
        page = sa.select(visible).order_by(*self._order(visible, view, asked.sort)).limit(sa.bindparam("limit"))
        if asked.filter is not None:
            page = page.where(self._filter(visible, view, asked.filter))
        if asked.after is not None:
            page = page.where(self._after(visible, view, asked))
        if asked.by_key:
            page = page.where(visible.c["_key"] == parameter("key", Kind.KEY, self._dialect))
        rows = page.subquery("page")
        related = [self._related(name, view, rows) for name in asked.related]
        cells = self._cells(columns, len(presence))
        outer = sa.select(
            rows.c["_key"],
            rows.c["_person"],
            *(rows.c[f"_has_{name}"] for name in presence),
            *(self._shown(rows.c[_label(c.path)], c.domain.kind) for c in cells),
            *(rows.c[f"_defect_{_label(c.path)}"] for c in cells if c.defect is not None),
            *(column for _, column in related),
        ).order_by(*self._order(rows, view, asked.sort))
        sql, constants = _text(outer, self._dialect)
        return Statement(
            sql=sql,
            constants=constants,
            covered=bindings.covered,
            presence=presence,
            cells=cells,
            related=tuple(column for column, _ in related),
            digest=_digest(sql, constants),
        )

    def _compile_count(self, view: View) -> Statement:
        bindings = Bindings({})
        source = resource_source(self._resource, self._dialect)
        visible, _ = self._visible(view, _Asked((), (), None, (), None, by_key=False), source, bindings, ())
        statement = sa.select(sa.func.count(), sa.func.count(visible.c["_person"].distinct())).select_from(visible)
        sql, constants = _text(statement, self._dialect)
        return Statement(sql, constants, bindings.covered, (), (), (), _digest(sql, constants))

    def _visible(
        self, view: View, asked: _Asked, source: ResourceSource, bindings: Bindings, presence: tuple[str, ...]
    ) -> tuple[sa.Subquery, dict[str, tuple[Domain, Guarded]]]:
        """Select the view: its rows, and of its columns those that the question uses."""
        compiler = Compiler(self._resource, source, bindings)
        used = dict.fromkeys((*asked.paths, *(_paths(asked.filter) if asked.filter else ())))
        columns: dict[str, tuple[Domain, Guarded]] = {}
        selected: list[Value] = [source.base.key.label("_key"), source.person.label("_person")]
        selected += [source.ones[name].key.is_not(None).label(f"_has_{name}") for name in presence]
        for path in used:
            guarded = source.guarded(path)
            mask = view.masked.get(path)
            shown = guarded.value() if mask is None else self._masked(guarded, mask)
            columns[path] = (guarded.domain if mask is None else YEARS, guarded)
            selected.append(shown.label(_label(path)))
            defect = guarded.defect()
            if defect is not None and path in asked.paths:
                selected.append(defect.label(f"_defect_{_label(path)}"))
        conjuncts = [compiler.is_true(view.rows), *(compiler.is_false(denial) for denial in view.denials)]
        inner = sa.select(*selected).select_from(source.joined).where(*conjuncts)
        return inner.subquery("visible"), {path: columns[path] for path in asked.paths}

    def _masked(self, guarded: Guarded, mask: Mask) -> Value:
        """Compute the form in SQL, so that the value behind it never leaves the database; total on every value."""
        match mask:
            case Mask.YEAR:
                year = _year(guarded.raw, self._dialect)
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
        if self._dialect is Dialect.POSTGRESQL and kind in (Kind.DATE, Kind.TIMESTAMP):
            return sa.cast(column, sa.Text)
        return column

    def _related(self, name: str, view: View, page: sa.Subquery) -> tuple[RelatedColumn, Value]:
        relation = self._resource.relations[name]
        related = related_source(relation, f"{name}_rows", self._dialect)
        shown = related_paths(self._resource, view)[name]
        table = related.tables[relation.table]
        guards = {field: related.guarded(field) for field in shown}
        columns = [table.c[relation.key].label("_key"), table.c[relation.order].label("_order")]
        columns += [self._shown(g.value(), g.domain.kind).label(field) for field, g in guards.items()]
        defects = {field: g.defect() for field, g in guards.items()}
        columns += [(sa.false() if d is None else d).label(f"_defect_{field}") for field, d in defects.items()]
        rows = (
            sa.select(*columns)
            .select_from(related.joined)
            .where(related.key == page.c["_key"])
            .correlate(page)
            .order_by(table.c[relation.order], table.c[relation.key])
            .limit(sa.literal_column(str(relation.at_most + 1)))
            .subquery(f"{name}_bounded")
        )
        array: Value
        if self._dialect is Dialect.POSTGRESQL:
            array = sa.cast(sa.func.json_agg(sa.func.json_build_array(*rows.c)), sa.Text)
        else:
            array = sa.func.json_group_array(sa.func.json_array(*rows.c))
        fields = tuple((field, relation.fields[field].domain) for field in shown)
        return RelatedColumn(name, fields, relation.at_most), sa.select(array).select_from(rows).scalar_subquery()

    def _filter(self, visible: sa.Subquery, view: View, shape: Shape) -> Bool:
        match shape:
            case Negated(part):
                return sa.not_(self._filter(visible, view, part))
            case Joined(every, parts):
                joined = [self._filter(visible, view, part) for part in parts]
                return sa.and_(*joined) if every else sa.or_(*joined)
            case Test():
                return self._test(visible, view, shape)

    def _test(self, visible: sa.Subquery, view: View, test: Test) -> Bool:
        domain = view_domain(self._resource, view, test.path)
        kind = Kind.TEXT if domain is None else domain.kind
        column: Value = visible.c[_label(test.path)]
        bound = [parameter(f"value_{i}", kind, self._dialect) for i in test.values]
        in_order = ordered(column, kind, self._dialect)
        match test.operator:
            case "is_null":
                return column.is_(None) if test.null else column.is_not(None)
            case "eq":
                return column == bound[0]
            case "ne":
                return column != bound[0]
            case "in":
                return is_one_of(column, f"value_{test.values[0]}", kind, self._dialect)
            case "prefix":
                return sa.and_(in_order >= bound[0], in_order < bound[1])
            case _:
                return _ORDERING[test.operator](in_order, bound[0])

    def _order(self, rows: sa.Subquery, view: View, sort: tuple[SortKey, ...]) -> Iterator[sa.UnaryExpression[object]]:
        """Order totally, nulls last; the record's key breaks ties in the direction of the last field."""
        for key in sort:
            column = self._sorted(rows, view, key)
            direction = column.desc() if key.descending else column.asc()
            yield direction if self._required(view, key.field) else direction.nulls_last()
        last = rows.c["_key"]
        yield last.desc() if sort and sort[-1].descending else last.asc()

    def _sorted(self, rows: sa.Subquery, view: View, key: SortKey) -> Value:
        domain = view_domain(self._resource, view, key.field)
        kind = Kind.TEXT if domain is None else domain.kind
        return ordered(rows.c[_label(key.field)], kind, self._dialect)

    def _required(self, view: View, path: str) -> bool:
        field = self._resource.fields.get(path)
        return (
            field is not None
            and field.required
            and field.enforced
            and path in view.shown
            and (self._dialect is Dialect.POSTGRESQL)
        )

    def _after(self, rows: sa.Subquery, view: View, asked: _Asked) -> Bool:
        """Continue after a row: later in the first field, or equal in it and later in the rest; nulls are last."""
        backwards = bool(asked.sort) and asked.sort[-1].descending
        key, last = rows.c["_key"], parameter("after_key", Kind.KEY, self._dialect)
        later: Bool = key < last if backwards else key > last
        for index, sort in reversed(list(enumerate(asked.sort))):
            column = self._sorted(rows, view, sort)
            domain = view_domain(self._resource, view, sort.field)
            bound = parameter(f"after_{index}", Kind.TEXT if domain is None else domain.kind, self._dialect)
            if asked.after is not None and asked.after[index]:
                later = sa.and_(column.is_(None), later)
                continue
            beyond = column < bound if sort.descending else column > bound
            if self._required(view, sort.field):
                # The first conjunct says nothing new; it is the range by which an index is entered.
                reach = column <= bound if sort.descending else column >= bound
                later = sa.and_(reach, sa.or_(beyond, later))
            else:
                later = sa.or_(beyond, column.is_(None), sa.and_(column == bound, later))
        return later


# --- reading a filter -------------------------------------------------------------------------------------------


def unknown_field(path: str) -> Unplannable:
    """Refuse a field: one text for hidden, misspelt and nonexistent."""
    del path  # what the client wrote is not repeated
    return Unplannable(Code.UNKNOWN_FIELD, "A field that the request names is not part of your view.")


def _of_many_or_unknown(resource: Resource, path: str) -> bool:
    relation, dot, name = path.rpartition(".")
    if not dot:
        return path not in resource.fields
    found = resource.relations.get(relation)
    return found is None or found.many or name not in found.fields


def _shape(
    asked: Filter, domain_of: Callable[[str], Domain], values: list[tuple[Scalar | tuple[Scalar, ...], Kind]]
) -> Shape:
    match asked:
        case Not(part):
            return Negated(_shape(part, domain_of, values))
        case AllOf(parts):
            return Joined(True, tuple(_shape(part, domain_of, values) for part in parts))
        case AnyOf(parts):
            return Joined(False, tuple(_shape(part, domain_of, values) for part in parts))
        case Compare(path, operator, operand):
            return _read_test(path, operator, operand, domain_of(path), values)


def _read_test(
    path: str,
    operator: str,
    operand: object,
    domain: Domain,
    values: list[tuple[Scalar | tuple[Scalar, ...], Kind]],
) -> Shape:
    if operator not in operators(domain):
        raise Unplannable(Code.UNKNOWN_OPERATOR, "An operator is unknown, or does not fit the field's kind.")
    if operator == "is_null":
        if not isinstance(operand, bool):
            raise Unplannable(Code.OUT_OF_DOMAIN, "is_null takes true or false.")
        return Test(path, operator, null=operand)
    first = len(values)
    values.extend((value, domain.kind) for value in _operands(operator, operand, domain))
    return Test(path, operator, tuple(range(first, len(values))))


def _operands(operator: str, operand: object, domain: Domain) -> tuple[Scalar | tuple[Scalar, ...], ...]:
    if operator == "in" and not (isinstance(operand, list) and 1 <= len(operand) <= MAX_VALUES):
        raise Unplannable(Code.OUT_OF_DOMAIN, f"'in' takes a list of 1 to {MAX_VALUES} values.")
    try:
        if isinstance(operand, list) and operator == "in":
            return (tuple(domain.parse(value) for value in operand),)
        value = domain.parse(operand)
    except OutOfDomainError as error:
        raise Unplannable(Code.OUT_OF_DOMAIN, f"A value does not fit its field: {error}.") from None
    if operator != "prefix":
        return (value,)
    if not value:
        raise Unplannable(Code.OUT_OF_DOMAIN, "A prefix must not be empty.")
    return prefix_range(str(value))


def _paths(shape: Shape) -> Iterator[str]:
    match shape:
        case Test(path):
            yield path
        case Negated(part):
            yield from _paths(part)
        case Joined(_, parts):
            for part in parts:
                yield from _paths(part)


# --- text -------------------------------------------------------------------------------------------------------


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
