"""One language, two readings: what SQL returns is what the record-side evaluator permits, cell by cell."""

import tempfile
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unicodedata import combining

import pytest
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
    Named,
    Not,
    Quantifier,
    Related,
    Search,
    SortKey,
    Subject,
)
from gateway.catalogue import Catalogue
from gateway.domains import Kind
from gateway.plan.planner import Position
from gateway.policy.bundle import load
from gateway.policy.compose import Deny, Permit
from gateway.policy.decide import decide, local_day
from gateway.policy.masks import Form, Mask
from gateway.policy.view import Standing, View, cell_value, pointed, visible
from gateway.records.query import Row
from tests.policy import reference, small
from tests.policy.conftest import Bench
from tests.policy.reference import Law, Seen
from tests.world import agreement

MOMENT = datetime(2020, 1, 1, tzinfo=UTC)
INSTRUMENTS = (
    Instrument("1", 1, "judicial", "state-judge"),
    Instrument("2", 2, "subpoena", "state-judge"),
    Instrument("3", 3, "administrative", "dhs-officer"),
)


def permit(document: str) -> tuple[Permit | Deny, Law]:
    """Load a document as a whole policy, and decide by it; return its rules for the reference too."""
    with tempfile.TemporaryDirectory() as directory:
        small.write(Path(directory), document)
        bundle = load(Path(directory))
    subject = Subject("one", agreement("one", mission="looking", purposes=frozenset({"looking"})))
    request = AccessRequest(subject, Action.READ, "cases", "looking", MOMENT)
    return decide(request, bundle), reference.law(bundle, local_day(request, bundle))


def search(filter_: Filter | None = None, sort: tuple[SortKey, ...] = (), limit: int = 200) -> Search:
    """A question."""
    return Search("cases", "looking", None, filter_, sort, (), limit, None)


def got(bench: Bench, view: View, question: Search, after: Position | None = None) -> list[Seen]:
    """Ask the database."""
    plan = bench.planner.search(view, question, INSTRUMENTS, after)
    return [seen(row, view) for row in bench.records.query(plan)]


def seen(row: Row, view: View) -> Seen:
    """Leave out what the row says is withheld from it."""
    steps = {path: view.cells[path].steps[number] for path, number in row.states.items()}
    withheld = {path for path, step in steps.items() if step.outcome.standing is Standing.WITHHELD}
    assert all(row.cells.get(path) is None for path in withheld)
    related: dict[str, tuple[dict[str, Any], ...] | None] = {}
    for name, rows in row.related.items():
        fields = [path.partition(".")[2] for path in view.cells if path.startswith(f"{name}.") and path not in withheld]
        if fields:
            related[name] = None if rows is None else tuple({f: each[f] for f in fields} for each in rows)
    cells = {path: value for path, value in row.cells.items() if path not in withheld}
    present = {name: has for name, has in row.present.items() if any(path.startswith(f"{name}.") for path in cells)}
    pointer = view.pointers[row.pointer - 1].ask if row.pointer else ""
    because = {
        path: step.outcome.reason.rule for path, step in steps.items() if step.outcome.standing is not Standing.SHOWN
    }
    return Seen(row.key, row.person, cells, {}, related, present, pointer, because)


def comparable(row: Seen, view: View) -> tuple[object, ...]:
    """Compare related rows as multisets: their order is by a column that may be null."""
    related = {name: None if rows is None else sorted(map(repr, rows)) for name, rows in row.related.items()}
    because = {path: rule for path, rule in row.because.items() if path in view.varying}
    return row.id, row.person, row.cells, related, row.present, row.pointer, because


@pytest.mark.property
@given(data=st.data())
def test_rows_and_cells_of_sql_are_those_of_the_rules(data: st.DataObject, bench: Bench, catalogue: Catalogue) -> None:
    """For random policies and random records with nulls and defects, SQL, views and rules say the same of each cell."""
    decision, law = permit(data.draw(small.policies(catalogue)))
    if isinstance(decision, Deny):
        event("denied as a whole")
        return
    view = decision.view
    records = data.draw(small.cases(catalogue))
    small.fill(bench.engine, catalogue, records)
    expected = reference.see(law, records, INSTRUMENTS)
    event(f"{bool(expected)} rows seen, {len(expected) < len(records)} rows hidden")
    event(f"{bool(view.varying)} cells vary")
    assert [comparable(row, view) for row in got(bench, view, search())] == [comparable(row, view) for row in expected]
    assert [comparable(row, view) for row in by_view(view, records, catalogue)] == [
        comparable(row, view) for row in expected
    ]
    counted = bench.records.row(bench.planner.count(view, INSTRUMENTS))
    assert counted == (len(expected), len({row.person for row in expected}))
    for record in records:
        plan = bench.planner.lookup(view, record.id, INSTRUMENTS)
        found = [comparable(seen(row, view), view) for row in bench.records.query(plan)]
        assert found == [comparable(row, view) for row in expected if row.id == record.id]


def by_view(view: View, records: list[small.Case], catalogue: Catalogue) -> list[Seen]:
    """Read the view one record at a time, as `policy explain` does."""
    found = []
    resource = catalogue.resources["cases"]
    for record in records:
        given = reference.facts(record, INSTRUMENTS)
        if not visible(view, given):
            continue
        pointer = pointed(view, given)
        row = Seen(record.id, record.person, pointer=pointer.ask if pointer else "")
        related: dict[str, list[dict[str, Any]]] = {}
        for path, cell in view.cells.items():
            outcome = cell.outcome(given)
            if outcome.standing is not Standing.SHOWN:
                row.because[path] = outcome.reason.rule
            if outcome.standing is Standing.WITHHELD:
                continue
            relation, _, name = path.rpartition(".")
            owner: Any = given.variables["record"]
            if relation and resource.relations[relation].many:
                rows = related.setdefault(relation, [{} for _ in owner[relation]])
                for each, source in zip(rows, owner[relation], strict=True):
                    each[name] = cell_value(view, path, given, source, resource.zone)[1]
                continue
            if relation:
                row.present[relation] = owner[relation] is not None
                owner = owner[relation] or dict.fromkeys(resource.relations[relation].fields)
            row.cells[path] = cell_value(view, path, given, owner, resource.zone)[1]  # type: ignore[assignment]
        for name, rows in related.items():
            row.related[name] = tuple(rows) if len(rows) <= resource.relations[name].at_most else None
        found.append(row)
    return found


@pytest.mark.property
@given(data=st.data())
def test_filter_order_and_pages_speak_of_the_view_alone(
    data: st.DataObject, bench: Bench, catalogue: Catalogue
) -> None:
    """A client's filter, order and pages give what they would on the rows of the view, taken as a table."""
    decision, law = permit(data.draw(small.policies(catalogue)))
    if isinstance(decision, Deny):
        return
    view = decision.view
    records = data.draw(small.cases(catalogue))
    small.fill(bench.engine, catalogue, records)
    rows = reference.see(law, records, INSTRUMENTS)
    paths = [p for p in view.cells if p != "person" and not p.startswith("counts.") and p not in view.pseudonyms]
    if not rows or not paths:
        return
    asked = data.draw(filters(view, catalogue, paths))
    event(f"{type(asked).__name__} asked")
    keys = data.draw(
        st.lists(st.builds(SortKey, st.sampled_from(paths), st.booleans()), max_size=3, unique_by=lambda k: k.field)
    )
    expected = [row.id for row in in_order(rows, tuple(keys)) if holds(asked, row) is True]
    assert [row.id for row in got(bench, view, search(asked, tuple(keys)))] == expected
    assert paged(bench, view, search(asked, tuple(keys), limit=2)) == expected


def paged(bench: Bench, view: View, question: Search) -> list[int]:
    """Read page by page, as cursors do."""
    found: list[int] = []
    after = None
    while True:
        plan = bench.planner.search(view, question, INSTRUMENTS, after)
        rows = bench.records.query(plan)
        found += [row.key for row in rows[: question.limit]]
        if len(rows) <= question.limit:
            return found
        last = rows[question.limit - 1]
        after = Position(tuple(last.compared[key.field] for key in question.sort), last.key)


# --- the reference for questions --------------------------------------------------------------------------------


def filters(view: View, catalogue: Catalogue, paths: list[str]) -> st.SearchStrategy[Filter]:
    """Random filters over a view, on the record's own fields and on rows of its relation to many."""
    resource = catalogue.resources["cases"]
    own = compound(comparisons(view, catalogue, paths, ""))
    counts = [p for p in view.cells if p.startswith("counts.") and p not in view.pseudonyms]
    asked = [own]
    if counts:
        inner = compound(comparisons(view, catalogue, counts, "counts."))
        asked.append(st.builds(Related, st.just("counts"), st.sampled_from(Quantifier), inner))
    if all(name in view.cells and view.cells[name].mask is None for name in ("name", "code")):
        asked.append(st.builds(Named, _start, st.none() | _start, st.just(None) | _births(view)))
    assert resource.names is not None
    return compound(st.one_of(*asked))


_start = st.sampled_from(["a", "A", "É", "eb", "ss", "æ", "x'", "ж"])


def _births(view: View) -> st.SearchStrategy[object]:
    mask = view.cells["born"].mask if "born" in view.cells else None
    if "born" not in view.cells or (mask is not None and mask.form is not Form.YEAR):
        return st.none()
    return st.sampled_from([1984, "1984-02-29", "2001-03-01", 1850, "2199-12-31"])


def compound(part: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    """Join filters."""
    return st.recursive(
        part,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(AllOf, st.lists(inner, min_size=1, max_size=2).map(tuple)),
            st.builds(AnyOf, st.lists(inner, min_size=1, max_size=2).map(tuple)),
        ),
        max_leaves=4,
    )


def comparisons(view: View, catalogue: Catalogue, paths: list[str], prefix: str) -> st.SearchStrategy[Filter]:
    """Comparisons of paths, by the names that they have without the prefix."""

    @st.composite
    def comparison(draw: st.DrawFn) -> Filter:
        path = draw(st.sampled_from(paths))
        domain = view.domain(catalogue.resources["cases"], path)
        assert domain is not None
        kind, mask = domain.kind, view.cells[path].mask
        values = small.VALUES[kind] if mask is None else _formed(catalogue, mask)
        said = draw(values.map(told))
        forms = ["eq", "ne", "is_null"]
        forms += [] if kind is Kind.BOOLEAN else ["in"]
        forms += ["lt", "lte", "gt", "gte"] if kind not in (Kind.CODE, Kind.BOOLEAN) else []
        forms += ["prefix"] if kind in (Kind.TEXT, Kind.STATUTE) and said else []
        forms += ["starts"] if kind is Kind.TEXT and said else []
        form = draw(st.sampled_from(forms))
        operand: object = draw(st.booleans()) if form == "is_null" else [said] if form == "in" else said
        return Compare(path.removeprefix(prefix), form, operand)

    return comparison()


def _formed(catalogue: Catalogue, mask: Mask) -> st.SearchStrategy[Any]:
    chosen: dict[Form, st.SearchStrategy[Any]] = {
        Form.YEAR: st.sampled_from([1850, 1984, 1990, 2001]),
        Form.AGE_BAND: st.sampled_from(["0-9", "10-19", "20-29", "30-39"]),
        Form.FIRST_LETTER: st.sampled_from(["a", "b", "é", "1"]),
        Form.LAST_FOUR: st.sampled_from(["100%", "x'y"]),
    }
    return chosen[mask.form] if mask.form in chosen else small.VALUES[small.domain_of(catalogue, mask.field).kind]


def holds(asked: Filter, row: Seen) -> bool | None:
    """Judge a filter on a row of the view; a comparison with null is unknown."""
    return _judge(asked, row.compared.get, row)


def _judge(asked: Filter, value: Callable[[str], Any], row: Seen) -> bool | None:
    match asked:
        case Not(part):
            return _opposite(_judge(part, value, row))
        case AllOf(parts):
            judged = [_judge(part, value, row) for part in parts]
            return False if False in judged else None if None in judged else True
        case AnyOf(parts):
            return _some([_judge(part, value, row) for part in parts])
        case Compare(path, operator, operand):
            return compared(told(value(path)), operator, operand)
        case Related(relation, quantifier, part):
            rows = row.compared_rows.get(relation)
            if rows is None:
                return None
            each = [_judge(part, related.get, row) for related in rows]
            match quantifier:
                case Quantifier.ANY:
                    return _some(each)
                case Quantifier.NONE:
                    return _opposite(_some(each))
                case Quantifier.ALL:
                    return _opposite(_some([_opposite(one) for one in each]))
        case Named(family, given, born):
            return _is_named(row, str(family), given, born)


def _opposite(judged: bool | None) -> bool | None:  # noqa: FBT001 -- truth values are the subject
    return None if judged is None else not judged


def _some(judged: list[bool | None]) -> bool | None:
    return True if True in judged else None if None in judged else False


def _is_named(row: Seen, family: str, given: object, born: object) -> bool | None:
    """Judge a name by its own reading: either way round, born within a year."""
    orders = [[("name", family)]]
    if given is not None:
        orders = [[("name", family), ("code", str(given))], [("name", str(given)), ("code", family)]]
    ways: list[Filter] = [AllOf(tuple(Compare(f, "starts", said) for f, said in order)) for order in orders]
    named = holds(AnyOf(tuple(ways)), row)
    if born is None or named is False:
        return named
    known: Any = row.compared.get("born")
    year, _, rest = str(born).partition("-")
    if known is None:
        return None
    if isinstance(known, int):
        near = abs(known - int(year)) <= 1
    else:
        first, last = (f"{int(year) - 1}-{rest or '01-01'}", f"{int(year) + 1}-{rest or '12-31'}")
        near = first.replace("02-29", "02-28") <= known.isoformat() <= last.replace("02-29", "02-28")
    return named if near else False


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "in": lambda a, b: a in b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "prefix": lambda a, b: a.startswith(b),
    "starts": lambda a, b: plainly(a).startswith(plainly(b)),
}


def compared(value: object, operator: str, operand: object) -> bool | None:
    """Compare a cell; ISO texts of one zone compare as the times that they tell."""
    if operator == "is_null":
        return (value is None) == operand
    return None if value is None else COMPARISONS[operator](value, operand)


def plainly(text: str) -> str:
    """Put case and accents aside, by Unicode's own tables; scripts that are not Latin stay as they are."""
    letters = unicodedata.normalize("NFD", text)
    plain = "".join(c.lower() if "LATIN" in unicodedata.name(c, "") else c for c in letters if not combining(c))
    return plain.replace("ß", "ss").replace("æ", "ae")


def told(value: object) -> object:
    """Write dates and times as a client does."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def in_order(rows: list[Seen], keys: tuple[SortKey, ...]) -> list[Seen]:
    """Sort by the keys, nulls last; ties by id, in the last key's direction."""
    ordered = sorted(rows, key=lambda row: row.id, reverse=bool(keys) and keys[-1].descending)
    for key in reversed(keys):
        known = [row for row in ordered if row.compared.get(key.field) is not None]
        known.sort(key=lambda row: row.compared[key.field], reverse=key.descending)
        ordered = known + [row for row in ordered if row.compared.get(key.field) is None]
    return ordered
