"""The indexes that a plan needs: of what relates rows to records, and of what a client filters and sorts by."""

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Engine, Inspector

from gateway.access import AllOf, AnyOf, Compare, Filter, Named, Not, Related, Search
from gateway.catalogue import Names, Resource
from gateway.domains import TEXTUAL, Kind
from gateway.plan.shape import INDEXED
from gateway.policy.condition import Exists, parts
from gateway.policy.masks import Form
from gateway.policy.view import View

Wanted = tuple[str, str, bool]


def missing(resource: Resource, view: View, search: Search, engine: Engine) -> tuple[str, ...]:
    """Return the statements that would make the indexes which a search under a view needs and lacks."""
    inspector = sa.inspect(engine)
    collated = engine.dialect.name == "postgresql"
    lacking = [
        wanted for wanted in dict.fromkeys(_wanted(resource, view, search)) if not _led_by(inspector, *wanted[:2])
    ]
    return tuple(_statement(table, column, collated=collated and text) for table, column, text in lacking)


def _statement(table: str, column: str, *, collated: bool) -> str:
    order = ' COLLATE "C"' if collated else ""
    return f"CREATE INDEX ix_{table}_{column} ON {table} ({column}{order})"


def _wanted(resource: Resource, view: View, search: Search) -> Iterator[Wanted]:
    """Yield table and column of each index, and whether it orders texts."""
    for relation in resource.relations.values():
        if relation.many or any(path.startswith(f"{relation.name}.") for path in view.cells):
            yield relation.table, relation.match, False
    yield from ((resource.relations[name].table, resource.relations[name].match, False) for name in _asked_about(view))
    tables = {resource.table: resource.table} | {join.alias: join.table for join in resource.joins}
    fields = [*_filtered(search.filter, resource.names), *(key.field for key in search.sort)]
    for path in fields:
        mask = view.cells[path].mask if path in view.cells else None
        field = resource.field(path)
        if "." not in path and (mask is None or mask.form is Form.YEAR) and field.domain.kind is not Kind.BOOLEAN:
            table = tables[field.column.table]
            yield table, field.column.name, field.domain.kind in TEXTUAL
            yield from ((resource.table, j.on, False) for j in resource.joins if j.alias == field.column.table)


def _asked_about(view: View) -> frozenset[str]:
    """Return the relations that the view's rows depend on."""
    conditions = (view.rows, *view.denials)
    return frozenset(p.relation for condition in conditions for p in parts(condition) if isinstance(p, Exists))


def _filtered(asked: Filter | None, names: Names | None) -> Iterator[str]:
    """Yield the fields by which an index can find rows: those of conjuncts, with a test that has bounds."""
    match asked:
        case Compare(field, operator) if operator in INDEXED:
            yield field
        case AllOf(joined):
            for part in joined:
                yield from _filtered(part, names)
        case Named(family, given) if names is not None:
            yield from (field for field, said in ((names.family, family), (names.given, given)) if said is not None)
        case None | Compare() | Not() | AnyOf() | Related() | Named():
            return


def _led_by(inspector: Inspector, table: str, column: str) -> bool:
    """Whether an index or key of the table starts with the column."""
    keys = [inspector.get_pk_constraint(table)["constrained_columns"]]
    keys += [constraint["column_names"] for constraint in inspector.get_unique_constraints(table)]
    keys += [[name for name in index["column_names"] if name] for index in inspector.get_indexes(table)]
    return any(columns[:1] == [column] for columns in keys)
