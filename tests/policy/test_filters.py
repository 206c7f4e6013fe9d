"""What a filter means on a null, a masked and a withheld cell, on related rows and on names; on both databases."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import keys
from gateway.access import AllOf, AnyOf, Compare, Filter, Named, Not, Quantifier, Related, SortKey
from gateway.catalogue import Catalogue
from gateway.errors import Code, Malformed
from gateway.opaque import Cursors
from gateway.paging import Paging
from gateway.plan.folding import fold, ranges
from gateway.policy.compose import Permit
from gateway.policy.view import View
from tests.policy import small
from tests.policy.conftest import Bench
from tests.policy.samples import INSTRUMENTS, opens
from tests.policy.small import Case, Defect, Row
from tests.policy.test_decisions import ask, bundle
from tests.policy.test_two_readings import search
from tests.world import passphrase

ANY, NONE, ALL = Quantifier.ANY, Quantifier.NONE, Quantifier.ALL
SHOWN = ["name", "code", "grade", "amount", "flag", "counts.grade", "counts.amount"]


def denies(name: str, rows: str, **what: object) -> dict[str, object]:
    """A denial of rows, fields or precision."""
    return {"id": name, "deny": "read", "resource": "cases", "because": "So.", "rows": rows, **what}


# What is withheld and masked depends on the record: its grade, and whether it is flagged.
RULES = [
    opens("seen", show=SHOWN, mask={"born": "year", "name": "first-letter"}),
    denies("no-amount", 'record.grade == "F2"', fields=["amount"]),
    denies("coarse", 'record.grade == "M1"', mask={"name": "first-letter"}),
    denies("no-counts", "record.flag == true", fields=["counts"]),
    denies("hidden", 'record.code == "hidden"'),
]


def record(number: int, counts: tuple[Row, ...] = (), **values: Any) -> Case:
    """A record; what is not given is null, but the grade and the flag."""
    empty = dict.fromkeys(("name", "cite", "amount", "born", "at")) | {"code": "c", "grade": "F1", "flag": False}
    return Case(number, number, {**empty, **values}, None, counts)


def count(grade: object = None, amount: object = None) -> Row:
    """A related row."""
    return {"grade": grade, "amount": amount, "name": None, "cite": None, "flag": None}


@pytest.fixture
def view(tmp_path: Path) -> View:
    """A view in which a cell can be null, in a form, or withheld."""
    permit = ask(bundle(tmp_path, small.document(RULES)))
    assert isinstance(permit, Permit)
    return permit.view


def found(bench: Bench, view: View, asked: Filter) -> list[int]:
    """Return the records that a filter finds."""
    plan = bench.planner.search(view, replace(search(), filter=asked), INSTRUMENTS, None)
    return [row.key for row in bench.records.query(plan)]


CELLS = (
    record(1, amount=1, born=date(1984, 2, 29), name="ab"),
    record(2, amount=None, born=None, name=None),
    record(3, amount=1, born=date(1984, 12, 31), name="ab", grade="F2"),
    record(4, amount=None, born=date(1985, 1, 1), name="ab", grade="F2"),
    record(5, amount=2, born=date(1985, 1, 1), name="ac", grade="M1"),
    record(6, amount=Defect(0), born=Defect(0), name=Defect(0)),
    record(7, amount=1, born=date(1984, 1, 1), name="ab", code="hidden"),
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # Of a null nothing is known: neither that it is equal, nor that it is not.
        (Compare("amount", "eq", 1), [1]),
        (Compare("amount", "ne", 1), [5]),
        (Not(Compare("amount", "eq", 1)), [5]),
        (Not(Compare("amount", "ne", 1)), [1]),
        (Compare("amount", "in", [1, 2]), [1, 5]),
        (Not(Compare("amount", "in", [1, 2])), []),
        (Not(Compare("amount", "lt", 2)), [5]),
        # A withheld cell (3, 4) is compared like a null, whatever it holds; so is a defect of the source (6).
        (Compare("amount", "is_null", True), [2, 3, 4, 6]),
        (Compare("amount", "is_null", False), [1, 5]),
        (Not(Compare("amount", "is_null", True)), [1, 5]),
        (AnyOf((Compare("amount", "ne", 1), Compare("amount", "is_null", True))), [2, 3, 4, 5, 6]),
        # A masked cell is compared in its form.
        (Compare("born", "eq", 1984), [1, 3]),
        (Compare("born", "ne", 1984), [4, 5]),
        (Not(Compare("born", "gte", 1985)), [1, 3]),
        (Compare("born", "is_null", True), [2, 6]),
        # Where some rows show a form, all are compared in it.
        (Compare("name", "eq", "a"), [1, 3, 4, 5]),
        (Compare("name", "ne", "a"), []),
        (Compare("name", "starts", "A"), [1, 3, 4, 5]),
        (Not(Compare("name", "starts", "b")), [1, 3, 4, 5]),
        # Unknown and false is false, unknown or true is true.
        (Not(AllOf((Compare("amount", "eq", 1), Compare("grade", "eq", "F2")))), [1, 2, 5, 6]),
        (Not(AnyOf((Compare("amount", "eq", 1), Compare("grade", "eq", "F2")))), [5]),
    ],
)
def test_a_comparison_speaks_of_what_is_shown(
    asked: Filter, expected: list[int], bench: Bench, view: View, catalogue: Catalogue
) -> None:
    """Null, masked and withheld cells under `ne`, `not` and `is_null`."""
    small.fill(bench.engine, catalogue, CELLS)
    assert found(bench, view, asked) == expected


TOO_MANY = tuple(count("F1", n) for n in range(4))
RELATED = (
    record(1, (count("F1", 1), count("F2", 2))),
    record(2, (count("F2", 2), count(None, 3))),
    record(3, ()),
    record(4, (count("F1", 1),), flag=True),
    record(5, TOO_MANY),
    record(6, (count(Defect(0), None),)),
    record(7, (count("F1", 1),), code="hidden"),
    record(8, (count("F2", 2), count("F2", 1))),
)


@pytest.mark.parametrize(
    ("quantifier", "part", "expected"),
    [
        (ANY, Compare("grade", "eq", "F1"), [1]),
        (NONE, Compare("grade", "eq", "F1"), [3, 8]),
        (ALL, Compare("grade", "eq", "F2"), [3, 8]),
        (ANY, Not(Compare("grade", "eq", "F1")), [1, 2, 8]),
        (ANY, Compare("grade", "is_null", True), [2, 6]),
        (NONE, Compare("grade", "is_null", True), [1, 3, 8]),
        (ALL, Compare("grade", "is_null", False), [1, 3, 8]),
        # The negation of a list is unknown of a null, too.
        (NONE, Compare("grade", "in", ["F1", "M1"]), [3, 8]),
        (ALL, Compare("grade", "in", ["F2"]), [3, 8]),
        (ALL, Not(Compare("grade", "in", ["F1"])), [3, 8]),
        # In one and the same row, or in two.
        (ANY, AllOf((Compare("grade", "eq", "F2"), Compare("amount", "eq", 1))), [8]),
        (ALL, AnyOf((Compare("grade", "eq", "F1"), Compare("amount", "gte", 2))), [1, 2, 3]),
    ],
)
def test_related_rows_are_asked_as_the_record_shows_them(
    quantifier: Quantifier, part: Filter, expected: list[int], bench: Bench, view: View, catalogue: Catalogue
) -> None:
    """Where none of them is shown (4) or they are too many (5), nothing is known of them."""
    small.fill(bench.engine, catalogue, RELATED)
    asked = Related("counts", quantifier, part)
    assert found(bench, view, asked) == expected
    every = AnyOf((asked, Not(asked)))
    assert not {4, 5, 7} & set(found(bench, view, every))
    assert found(bench, view, Not(Not(asked))) == expected


def test_a_field_of_related_rows_can_be_withheld_by_record(tmp_path: Path, bench: Bench, catalogue: Catalogue) -> None:
    """Then it is null in every row of that record, and the other fields are asked as ever."""
    rules = [
        opens("seen", show=["counts.amount", "counts.grade"]),
        denies("no", "record.flag", fields=["counts.grade"]),
    ]
    permit = ask(bundle(tmp_path, small.document(rules)))
    assert isinstance(permit, Permit)
    small.fill(bench.engine, catalogue, RELATED)
    assert found(bench, permit.view, Related("counts", ANY, Compare("amount", "eq", 1))) == [1, 4, 7, 8]
    assert found(bench, permit.view, Related("counts", ANY, Compare("grade", "eq", "F1"))) == [1, 7]
    assert found(bench, permit.view, Related("counts", NONE, Compare("grade", "eq", "F2"))) == [3, 7]
    assert found(bench, permit.view, Related("counts", ALL, Compare("grade", "is_null", True))) == [3, 4, 6]


# --- names ------------------------------------------------------------------------------------------------------

PEOPLE = (
    record(1, name="Pérez", code="Ana", born=date(1984, 2, 29)),
    record(2, name="PEREZ", code="ANA", born=date(1985, 2, 28)),
    record(3, name="Pe\u0301rezin", code="ÁNA", born=date(1986, 1, 1)),
    record(4, name="Ana", code="perez", born=date(1983, 2, 28)),
    record(5, name="Perret", code="Ana", born=None),
    record(6, name="Strauß", code="Ægir", born=date(1983, 2, 27)),
    record(7, name="O'Neil", code="Đurđa", born=date(1984, 6, 1)),
    record(8, name="Жуков", code="Łukasz", born=date(1850, 1, 1)),
    record(9, name=Defect(0), code="Ana", born=date(2199, 12, 31)),
)


@pytest.fixture
def names(tmp_path: Path) -> View:
    """A view that shows names and dates of birth."""
    permit = ask(bundle(tmp_path, small.document([opens("a", show=["name", "code", "born"])])))
    assert isinstance(permit, Permit)
    return permit.view


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Compare("name", "starts", "perez"), [1, 2, 3]),
        (Compare("name", "starts", "PÉR"), [1, 2, 3, 5]),
        (Compare("name", "prefix", "Pér"), [1]),
        (Compare("name", "starts", "strauss"), [6]),
        (Compare("name", "starts", "STRAUẞ"), [6]),
        (Compare("name", "starts", "straus"), [6]),
        (Compare("code", "starts", "ae"), [6]),
        (Compare("code", "starts", "durda"), [7]),
        (Compare("code", "starts", "lukasz"), [8]),
        (Compare("name", "starts", "o'n"), [7]),
        (Compare("name", "starts", "oneil"), []),
        (Compare("name", "starts", "Жук"), [8]),
        (Compare("name", "starts", "жук"), []),
        (Not(Compare("name", "starts", "p")), [4, 6, 7, 8]),
        (Named("perez", None, None), [1, 2, 3]),
        (Named(None, "ana", None), [1, 2, 3, 5, 9]),
        (Named("perez", "ana", None), [1, 2, 3, 4]),
        (Named("ana", "Pérez", None), [1, 2, 3, 4]),
        (Named("perez", "ana", "1984-02-29"), [1, 2, 4]),
        (Named("perez", "ana", "1985-03-01"), [2, 3]),
        (Named("perez", "ana", 1985), [1, 2, 3]),
        (Named("perez", "ana", 1850), []),
        (Named("Жук", None, 1850), [8]),
        (Named(None, "ana", 2199), [9]),
        (Named(None, "ana", "2199-12-31"), [9]),
        (Not(Named("perez", "ana", None)), [5, 6, 7, 8]),
    ],
)
def test_names_are_found_as_officers_write_them(
    asked: Filter, expected: list[int], bench: Bench, names: View, catalogue: Catalogue
) -> None:
    """By how they start, without case and accents, either way round, born within a year."""
    people = [replace(each, values={**each.values, "code": each.values["code"][:6]}) for each in PEOPLE]
    small.fill(bench.engine, catalogue, people)
    assert found(bench, names, asked) == expected


def test_a_year_of_birth_is_enough(tmp_path: Path, bench: Bench, catalogue: Catalogue) -> None:
    """Where the view shows the year alone, a year either way is by years."""
    permit = ask(bundle(tmp_path, small.document([opens("a", show=["name", "code"], mask={"born": "year"})])))
    assert isinstance(permit, Permit)
    small.fill(bench.engine, catalogue, PEOPLE[:5])
    assert found(bench, permit.view, Named("perez", "ana", "1985-03-01")) == [1, 2, 3]


def test_ranges_hold_every_spelling(bench: Bench, names: View, catalogue: Catalogue) -> None:
    """By the ranges alone no text is lost whose folded form starts so, and their number depends on the length alone."""
    texts = [
        "Pérez",
        "perez",
        "pÉrez",
        "\uff50erez",
        "P\u0301erez",
        "ßa",
        "SSa",
        "ssa",
        "sßa",
        "a",
        "\u0301a",
        "~",
        "Ãa",
        "Z",
    ]
    small.fill(bench.engine, catalogue, [record(n, name=text) for n, text in enumerate(texts, 1)])
    for asked in ("p", "pe", "pere", "perez", "s", "ss", "ssa", "a", "aa", "~", "z", "\uff50"):
        within = [n for n, t in enumerate(texts, 1) if any(low <= t < high for low, high in ranges(fold(asked)))]
        expected = [n for n, text in enumerate(texts, 1) if fold(text).startswith(fold(asked))]
        assert set(expected) <= set(within)
        assert found(bench, names, Compare("name", "starts", asked)) == expected
    assert {len(ranges(text)) for text in ("abcd", "a'cd", "ж'xy", "abcdefgh")} == {31}


# --- what a source may do ---------------------------------------------------------------------------------------


def test_a_key_that_the_source_holds_twice_opens_no_hidden_row(bench: Bench, view: View, catalogue: Catalogue) -> None:
    """A visible row and a hidden one under one key: what is shown of the page is judged by the rules again."""
    small.C.drop(bench.engine)
    columns = (sa.Column(column.name, column.type) for column in small.C.columns)
    sa.Table("c", sa.MetaData(), *columns).create(bench.engine)
    small.fill(bench.engine, catalogue, [record(1, amount=1), record(1, amount=42, code="hidden"), record(2)])
    page = bench.planner.search(view, search(), INSTRUMENTS, None)
    lookup = bench.planner.lookup(view, 1, INSTRUMENTS)
    for plan in (page, lookup):
        assert [row.cells["amount"] for row in bench.records.query(plan) if row.key == 1] == [1]


def test_a_cursor_is_stale_where_the_view_shows_the_sorted_field_otherwise(
    tmp_path: Path, bench: Bench, catalogue: Catalogue
) -> None:
    """At midnight another document may apply, and show a year in the place of a day."""
    keys.create(tmp_path / "keys", passphrase(tmp_path / "keys"))
    cursors = Cursors(keys.read(tmp_path / "keys", passphrase(tmp_path / "keys")).cursors)
    views = []
    in_two_forms: tuple[dict[str, Any], ...] = ({"show": ["born"]}, {"mask": {"born": "year"}})
    for number, shown in enumerate(in_two_forms):
        permit = ask(bundle(tmp_path / str(number), small.document([opens("a", **shown)])))
        assert isinstance(permit, Permit)
        views.append(permit.view)
    small.fill(bench.engine, catalogue, CELLS)
    question = search(sort=(SortKey("born", False),))
    (row, *_) = bench.records.query(bench.planner.search(views[0], question, INSTRUMENTS, None))
    resource = catalogue.resources["cases"]
    cursor = Paging(cursors, "one", "sha256:0", resource, views[0], question).after(row)
    again = replace(question, cursor=cursor)
    assert Paging(cursors, "one", "sha256:0", resource, views[0], again).start() is not None
    with pytest.raises(Malformed) as refused:
        Paging(cursors, "one", "sha256:0", resource, views[1], again).start()
    assert refused.value.code is Code.CURSOR_STALE
