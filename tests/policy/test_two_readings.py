"""One language, two readings: what SQL returns is what the record-side evaluator permits, cell by cell."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cel_expr_python import cel
from hypothesis import event, given
from hypothesis import strategies as st

from gateway.access import (
    AccessRequest,
    Action,
    AllOf,
    AnyOf,
    Compare,
    Filter,
    Instrument,
    Not,
    Search,
    SortKey,
    Subject,
)
from gateway.catalogue import Catalogue, Kind
from gateway.opaque import Cursor
from gateway.plan.planner import Planner, Position
from gateway.policy.bundle import load
from gateway.policy.cel import Reader
from gateway.policy.condition import evaluate
from gateway.policy.decide import Deny, Permit, View, decide
from gateway.policy.lists import load as load_list
from gateway.policy.tables import Dialect
from gateway.records.query import Records
from gateway.strict_yaml import Place, Text
from tests.policy import small
from tests.world import agreement

MOMENT = datetime(2020, 1, 1, tzinfo=UTC)
INSTRUMENTS = (
    Instrument("1", 1, "judicial", "judge"),
    Instrument("2", 2, "subpoena", "judge"),
    Instrument("3", 3, "administrative", "officer"),
)


@dataclass(frozen=True, slots=True)
class Bench:
    """A database with its planner."""

    engine: sa.Engine
    records: Records
    planner: Planner


@pytest.fixture
def bench(small_url: str, dialect: str, catalogue: Catalogue) -> Any:
    """The small city behind a planner."""
    engine = sa.create_engine(small_url)
    records = Records(small_url, 5)
    yield Bench(engine, records, Planner(catalogue.resources["cases"], Dialect(dialect)))
    records.engine.dispose()
    engine.dispose()


def permit(document: str) -> Permit | Deny:
    """Load a document as a whole policy, and decide by it."""
    with tempfile.TemporaryDirectory() as directory:
        small.write(Path(directory), document)
        bundle = load(Path(directory))
    subject = Subject("one", agreement("one", mission="looking", purposes=frozenset({"looking"})))
    return decide(AccessRequest(subject, Action.READ, "cases", "looking", MOMENT), bundle)


def search(filter_: Filter | None = None, sort: tuple[SortKey, ...] = (), limit: int = 200) -> Search:
    """A question."""
    return Search("cases", "looking", None, filter_, sort, (), limit, None)


def got(bench: Bench, view: View, question: Search, after: Position | None = None) -> list[small.Seen]:
    """Ask the database."""
    plan = bench.planner.search(view, question, INSTRUMENTS, after)
    return [
        small.Seen(
            row.key,
            row.person,
            dict(row.cells),
            {k: tuple(map(dict, v or ())) for k, v in row.related.items()},
            dict(row.present),
        )
        for row in bench.records.query(plan)
    ]


def comparable(seen: small.Seen) -> tuple[object, ...]:
    """Compare related rows as multisets: their order is by a column that may be null."""
    related = {name: sorted(map(repr, rows)) for name, rows in seen.related.items()}
    return seen.id, seen.person, seen.cells, related, seen.present


@pytest.mark.property
@given(data=st.data())
def test_rows_and_cells_of_sql_are_those_of_the_evaluator(
    data: st.DataObject, bench: Bench, catalogue: Catalogue
) -> None:
    """For random policies and random records with nulls and defects, both readings give the same view."""
    decision = permit(data.draw(small.policies(catalogue)))
    if isinstance(decision, Deny):
        event("denied as a whole")
        return
    records = data.draw(small.cases(catalogue))
    small.fill(bench.engine, catalogue, records)
    expected = small.see(decision.view, records, INSTRUMENTS, catalogue)
    event(f"{bool(expected)} rows seen, {len(expected) < len(records)} rows hidden")
    assert [comparable(seen) for seen in got(bench, decision.view, search())] == [comparable(seen) for seen in expected]
    counted = bench.records.count(bench.planner.count(decision.view, INSTRUMENTS))
    assert counted == (len(expected), len({seen.person for seen in expected}))
    for record in records:
        plan = bench.planner.lookup(decision.view, record.id, INSTRUMENTS)
        found = [row.key for row in bench.records.query(plan)]
        assert found == [seen.id for seen in expected if seen.id == record.id]


@pytest.mark.property
@given(data=st.data())
def test_filter_order_and_pages_speak_of_the_view_alone(
    data: st.DataObject, bench: Bench, catalogue: Catalogue
) -> None:
    """A client's filter, order and pages give what they would on the rows of the view, taken as a table."""
    decision = permit(data.draw(small.policies(catalogue)))
    if isinstance(decision, Deny):
        return
    view = decision.view
    records = data.draw(small.cases(catalogue))
    small.fill(bench.engine, catalogue, records)
    seen = small.see(view, records, INSTRUMENTS, catalogue)
    paths = [p for p in (*seen[0].cells,) if p != "person"] if seen else []
    if not paths:
        return
    asked = data.draw(filters(view, catalogue, paths))
    keys = data.draw(
        st.lists(st.builds(SortKey, st.sampled_from(paths), st.booleans()), max_size=3, unique_by=lambda k: k.field)
    )
    expected = [row.id for row in in_order(seen, tuple(keys)) if holds(asked, row) is True]
    assert [row.id for row in got(bench, view, search(asked, tuple(keys)))] == expected
    assert paged(bench, view, search(asked, tuple(keys), limit=2)) == expected


def paged(bench: Bench, view: View, question: Search) -> list[int]:
    """Read page by page, as cursors do."""
    found: list[int] = []
    after = None
    while True:
        rows = got(bench, view, question, after)
        found += [row.id for row in rows[: question.limit]]
        if len(rows) <= question.limit:
            return found
        last = rows[question.limit - 1]
        cursor = Cursor("bundle", last.id, tuple(last.cells[key.field] for key in question.sort))
        after = Position(cursor.values, cursor.key)


# --- the reference for questions --------------------------------------------------------------------------------


def filters(view: View, catalogue: Catalogue, paths: list[str]) -> st.SearchStrategy[Filter]:
    """Random filters over a view."""

    @st.composite
    def compare(draw: st.DrawFn) -> Filter:
        path = draw(st.sampled_from(paths))
        kind = small.domain_of(catalogue, path).kind
        values = st.sampled_from([1850, 1984, 1990]) if path in view.masked else small.VALUES[kind]
        told = draw(values.map(lambda v: v.isoformat() if hasattr(v, "isoformat") else v))
        forms = ["eq", "ne", "is_null"]
        forms += [] if kind is Kind.BOOLEAN else ["in"]
        forms += ["lt", "lte", "gt", "gte"] if kind not in (Kind.CODE, Kind.BOOLEAN) else []
        forms += ["prefix"] if kind is Kind.TEXT and told else []
        form = draw(st.sampled_from(forms))
        operand: object = draw(st.booleans()) if form == "is_null" else [told] if form == "in" else told
        return Compare(path, form, operand)

    return st.recursive(
        compare(),
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(AllOf, st.lists(inner, min_size=1, max_size=2).map(tuple)),
            st.builds(AnyOf, st.lists(inner, min_size=1, max_size=2).map(tuple)),
        ),
        max_leaves=4,
    )


def holds(asked: Filter, row: small.Seen) -> bool | None:
    """Judge a filter on a row of the view; a comparison with null is unknown."""
    match asked:
        case Not(part):
            inner = holds(part, row)
            return None if inner is None else not inner
        case AllOf(parts):
            judged = [holds(part, row) for part in parts]
            return False if False in judged else None if None in judged else True
        case AnyOf(parts):
            judged = [holds(part, row) for part in parts]
            return True if True in judged else None if None in judged else False
        case Compare(path, operator, operand):
            return compared(told(row.cells[path]), operator, operand)


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "in": lambda a, b: a in b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "prefix": lambda a, b: a.startswith(b),
}


def compared(value: object, operator: str, operand: object) -> bool | None:
    """Compare a cell; ISO texts of one zone compare as the times that they tell."""
    if operator == "is_null":
        return (value is None) == operand
    return None if value is None else COMPARISONS[operator](value, operand)


def told(value: object) -> object:
    """Write dates and times as a client does."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def in_order(rows: list[small.Seen], keys: tuple[SortKey, ...]) -> list[small.Seen]:
    """Sort by the keys, nulls last; ties by id, in the last key's direction."""
    ordered = sorted(rows, key=lambda row: row.id, reverse=bool(keys) and keys[-1].descending)
    for key in reversed(keys):
        known = [row for row in ordered if row.cells[key.field] is not None]
        known.sort(key=lambda row: row.cells[key.field], reverse=key.descending)  # type: ignore[arg-type, return-value]
        ordered = known + [row for row in ordered if row.cells[key.field] is None]
    return ordered


# --- a second judge ---------------------------------------------------------------------------------------------


@pytest.mark.property
@given(data=st.data())
def test_on_records_without_nulls_the_evaluator_agrees_with_cel_itself(
    data: st.DataObject, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Where nothing is unknown, the strict dialect means what CEL means; has() of a list means another on maps."""
    small.write(tmp_path, small.document([small.EVERYTHING]))
    named, _ = load_list(tmp_path / "lists" / "words.yaml", tmp_path)
    source = data.draw(
        small.conditions(catalogue, instruments=False).filter(
            lambda text: "lists" not in text and "has(record.counts)" not in text
        )
    )
    record = data.draw(small.cases(catalogue, least=1, most=1, whole=True))[0]
    resource = catalogue.resources["cases"]
    condition = Reader(catalogue, {"words": named}).rows(Text(Place("t", 1, 1), source), resource)
    facts = small.facts(record, ())
    plain = {name: dated(value) for name, value in facts.variables["record"].items()}
    # Times are given to CEL as texts of one form, which compare alike.
    program = cel.NewEnv(variables={"record": cel.Type.DYN}).compile(source.replace("timestamp(", "("))
    judged = program.eval(data={"record": plain})
    assert judged.type() == cel.Type.BOOL
    assert evaluate(condition, facts) is judged.value()


def dated(value: object) -> object:
    """Give dates and times to CEL as the texts that conditions write."""
    match value:
        case dict():
            return {name: dated(inner) for name, inner in value.items()}
        case tuple():
            return [dated(inner) for inner in value]
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else value
