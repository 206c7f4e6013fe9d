"""Planted leaks: faults of the kinds that systems like this one have had, each put into the real code of the gateway.

docs/non-interference.md lists them; `test_plants` holds that the property notices each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Response

from gateway import charging, limits
from gateway.access import Compare, Filter, Instrument, Search
from gateway.audit.receipts import Receipts
from gateway.disclosure import Custodian
from gateway.errors import Code, Denied, NotFound, Refusal, Unplannable
from gateway.instruments import Instruments
from gateway.opaque import Cursors, Holder, Ids
from gateway.plan import cells, filtering, implied, reader, statement
from gateway.plan.cells import Cells
from gateway.plan.comparison import compare
from gateway.plan.planner import Plan, Planner
from gateway.plan.shape import Test
from gateway.policy.condition import TRUE
from gateway.policy.masks import Form
from gateway.policy.sql import Compiler
from gateway.policy.view import View
from gateway.records.query import Records, Row
from gateway.rendering import Renderer
from gateway.web import api, problems
from gateway.web.throttle import Throttle

Put = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Plant:
    """A leak of one of the classes of attack, in words, how it is planted, and an example that shows it."""

    attack: str
    leak: str
    shown_by: int
    put: Put


PLANTS: list[Plant] = []


def plant(attack: str, leak: str, *, shown_by: int) -> Callable[[Put], Put]:
    """Put a plant on the list."""

    def listed(put: Put) -> Put:
        PLANTS.append(Plant(attack, leak, shown_by, put))
        return put

    return listed


# --- A. a hidden column, in another clause -------------------------------------------------------------------------


@plant("A", "records are sorted by the raw column behind a cell", shown_by=4)
def _raw_sort(patch: pytest.MonkeyPatch) -> None:
    told = Cells.told

    def with_raw(self: Cells, path: str) -> Iterator[tuple[str, Any]]:
        yield from told(self, path)
        yield "raw", self.source.guarded(path).value()

    patch.setattr(Cells, "told", with_raw)
    patch.setattr(statement.Writer, "_sorted", lambda _self, rows, key: rows.c[f"_raw_{cells.label(key.field)}"])


@plant("A", "a cell that is withheld in a record is compared there all the same: CASE … ELSE the column", shown_by=4)
def _else_column(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cells, "_where", lambda _state, _cell, value: value)


@plant("A", "a filter on a withheld field is dropped, and every record comes back", shown_by=13)
def _dropped_filter(patch: pytest.MonkeyPatch) -> None:
    read = reader.Reader.read

    def lenient(self: reader.Reader, asked: Filter) -> Any:
        try:
            return read(self, asked)
        except Unplannable:
            if not isinstance(asked, Compare) or self.relation:
                raise
            return read(self, Compare("code", "is_null", False))

    patch.setattr(reader.Reader, "read", lenient)


@plant("A", "a filter on related rows looks at fields that the record withholds", shown_by=34)
def _hidden_related(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Cells, "compared_related", lambda _self, _path, guarded, _state: guarded.value())


@plant(
    "A", "a filter on related rows answers also where there are more than a record shows, or none is shown", shown_by=23
)
def _unknown_related(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(filtering.Filtering, "_known", lambda _self, _name: [])


@plant("A", "what a filter on a masked text implies is held against the text behind the mask", shown_by=10)
def _implied_raw(patch: pytest.MonkeyPatch) -> None:
    of = implied._of  # noqa: SLF001

    def behind(test: Test, cells: Cells) -> Iterator[Any]:
        yield from of(test, cells)
        cell, guarded = cells.view.cells[test.path], cells.source.guarded(test.path)
        if (
            cell.mask is not None
            and cell.mask.form in (Form.FIRST_LETTER, Form.LAST_FOUR)
            and test.operator != "is_null"
        ):
            yield compare(test, guarded.raw, guarded.domain.kind, cells.dialect)

    patch.setattr(implied, "_of", behind)


@plant("A", "related rows come in the order of a hidden column", shown_by=6)
def _raw_order(patch: pytest.MonkeyPatch) -> None:
    def in_order(self: statement.Writer, name: str, related: Any) -> list[Any]:
        relation = self.resource.relations[name]
        columns = related.tables[relation.table].c
        return [columns[relation.order].asc().nulls_last(), columns[relation.key]]

    patch.setattr(statement.Writer, "_related_order", in_order)


@plant("A", "of a relation whose fields are all withheld, the number of rows is told", shown_by=5)
def _number_of_rows(patch: pytest.MonkeyPatch) -> None:
    put = Renderer._put_related  # noqa: SLF001

    def counted(
        self: Renderer, record: dict[str, Any], relation: str, paths: dict[str, str], row: Row, *rest: Any
    ) -> None:
        put(self, record, relation, paths, row, *rest)
        record.setdefault(relation, [{} for _ in row.related[relation] or ()])

    patch.setattr(Renderer, "_put_related", counted)


# --- B. row rules --------------------------------------------------------------------------------------------------


@plant("B", "a denial of rows that is unknown is taken for false", shown_by=18)
def _unknown_denial(patch: pytest.MonkeyPatch) -> None:
    def rows_of(view: View, compiler: Compiler) -> Any:
        denied = (sa.func.coalesce(compiler.is_true(denial), sa.false()) for denial in view.denials)
        return sa.and_(compiler.is_true(view.rows), *(sa.not_(each) for each in denied))

    patch.setattr(cells, "rows_of", rows_of)


@plant("B", "the rules of rows are left out where one record is asked for", shown_by=1)
def _by_key(patch: pytest.MonkeyPatch) -> None:
    _without_rows(patch, lambda asked: asked.by_key)


@plant("B", "the rules of rows are left out from the second page on", shown_by=5)
def _page_two(patch: pytest.MonkeyPatch) -> None:
    _without_rows(patch, lambda asked: asked.after is not None)


def _open(view: View) -> View:
    return replace(view, rows=TRUE, denials=())


def _without_rows(patch: pytest.MonkeyPatch, where: Callable[[statement.Asked], bool]) -> None:
    page = statement.Writer.page

    def opened(self: statement.Writer, asked: statement.Asked) -> statement.Statement:
        return page(replace(self, view=_open(self.view)) if where(asked) else self, asked)

    patch.setattr(statement.Writer, "page", opened)


@plant(
    "B", "the rules of rows are applied to a page that was cut before: short pages tell of hidden records", shown_by=5
)
def _limit_first(patch: pytest.MonkeyPatch) -> None:
    search, query = Planner.search, Records.query
    twins: dict[int, tuple[Plan, Plan]] = {}

    def cut_first(self: Planner, view: View, asked: Search, instruments: Any, after: Any) -> Plan:
        right = search(self, view, replace(asked, limit=200), instruments, after)
        cut = search(self, _open(view), asked, instruments, after)
        twins[id(cut)] = cut, right
        return cut

    def filtered(self: Records, plan: Plan) -> tuple[Row, ...]:
        rows = query(self, plan)
        if id(plan) not in twins:
            return rows
        visible = {row.key for row in query(self, twins[id(plan)][1])}
        return tuple(row for row in rows if row.key in visible)

    patch.setattr(Planner, "search", cut_first)
    patch.setattr(Records, "query", filtered)


@plant("B", "instruments of other agencies count", shown_by=4)
def _foreign_instruments(patch: pytest.MonkeyPatch) -> None:
    in_force = Instruments.in_force

    def everyone(self: Instruments, _agency: str, purpose: str, day: Any) -> tuple[Instrument, ...]:
        return tuple(each for agency in ("ICE", "FBI", "ATF") for each in in_force(self, agency, purpose, day))

    patch.setattr(Instruments, "in_force", everyone)


# --- C. counts, cursors, ids, errors -------------------------------------------------------------------------------


def _counted(records: Records) -> int:
    """Count all records of the small city."""
    with records.engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM c").scalar_one())


@plant("C", "a header tells how many records there are", shown_by=1)
def _total(patch: pytest.MonkeyPatch) -> None:
    query, send = Records.query, problems.send
    total = [0]

    def counting(self: Records, plan: Plan) -> tuple[Row, ...]:
        total[0] = _counted(self)
        return query(self, plan)

    def told(answer: Any) -> Response:
        response = send(answer)
        response.headers["X-Total-Count"] = str(total[0])
        return response

    patch.setattr(Records, "query", counting)
    patch.setattr(api, "send", told)


@plant("C", "a cursor is as long as the values in it", shown_by=4)
def _long_cursor(patch: pytest.MonkeyPatch) -> None:
    seal = Cursors.seal
    patch.setattr(Cursors, "seal", lambda self, cursor, bound, _room: seal(self, cursor, bound, 0))


@plant("C", "a cursor of another client, or for another question, is taken", shown_by=4)
def _free_cursor(patch: pytest.MonkeyPatch) -> None:
    seal, opened = Cursors.seal, Cursors.open
    patch.setattr(Cursors, "seal", lambda self, cursor, _bound, room: seal(self, cursor, (), room))
    patch.setattr(Cursors, "open", lambda self, text, _bound: opened(self, text, ()))


@plant("C", "ids are the keys of the records", shown_by=0)
def _serial_ids(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ids, "conceal", lambda _self, key, _holder: str(key))
    patch.setattr(Ids, "reveal", lambda _self, text, _holder: int(text) if text.isdigit() else None)


@plant("C", "ids are those of all clients and purposes", shown_by=5)
def _shared_ids(patch: pytest.MonkeyPatch) -> None:
    conceal, reveal = Ids.conceal, Ids.reveal
    patch.setattr(Ids, "conceal", lambda self, key, holder: conceal(self, key, replace(holder, client="", purpose="")))
    patch.setattr(Ids, "reveal", lambda self, text, holder: reveal(self, text, replace(holder, client="", purpose="")))


@plant("C", "a hidden record is forbidden, a missing one is not found", shown_by=1)
def _forbidden(patch: pytest.MonkeyPatch) -> None:
    _lookup_refused(patch, lambda _values: Denied(Code.DENIED_BY_RULE, "It is not part of your view.", ()))


@plant("C", "the refusal of a hidden record tells a value of it", shown_by=1)
def _telling(patch: pytest.MonkeyPatch) -> None:
    _lookup_refused(patch, lambda code: NotFound(Code.RECORD_NOT_FOUND, f"The record {code} is not part of your view."))


def _lookup_refused(patch: pytest.MonkeyPatch, refusal: Callable[[str], Refusal]) -> None:
    lookup = Custodian._lookup  # noqa: SLF001

    def refused(self: Custodian, inquiry: Any, asked: Any, reading: Any) -> Any:
        try:
            return lookup(self, inquiry, asked, reading)
        except NotFound:
            holder = Holder(inquiry.subject.client, asked.purpose, reading.resource.name)
            key = self._ids.reveal(asked.id, holder) or 0
            with self._records.engine.connect() as connection:
                found = connection.exec_driver_sql(f"SELECT code FROM c WHERE id = {key}").scalar()
            if found is None:
                raise
            raise refusal(found) from None

    patch.setattr(Custodian, "_lookup", refused)


@plant("C", "the budget is charged for hidden records", shown_by=4)
def _charged(patch: pytest.MonkeyPatch) -> None:
    find, charge = Custodian._find, charging.of_page  # noqa: SLF001
    asked: list[Records] = []

    def noting(self: Custodian, inquiry: Any) -> Any:
        asked[:] = [self._records]
        return find(self, inquiry)

    def with_hidden(inquiry: Any, found: Any, openings: Any) -> limits.Charge | None:
        due = charge(inquiry, found, openings)
        hidden = tuple(f"hidden {number}" for number in range(_counted(*asked) - len(found.rows)))
        return None if due is None else replace(due, marks=(*due.marks, *hidden))

    patch.setattr(Custodian, "_find", noting)
    patch.setattr(charging, "of_page", with_hidden)


@plant("C", "the field RateLimit counts the requests of all clients", shown_by=0)
def _shared_limit(patch: pytest.MonkeyPatch) -> None:
    told, asked = Throttle.told, {"left": 10**6}

    def counting(self: Throttle, response: Response, *rest: Any) -> Response:
        asked["left"] -= 1
        response = told(self, response, *rest)
        response.headers["RateLimit"] = f'"client";r={asked["left"]}'
        return response

    patch.setattr(Throttle, "told", counting)


@plant("C", "an ETag is made of all records", shown_by=1)
def _etag(patch: pytest.MonkeyPatch) -> None:
    query, send = Records.query, problems.send
    newest = [""]

    def reading(self: Records, plan: Plan) -> tuple[Row, ...]:
        with self.engine.connect() as connection:
            newest[0] = str(connection.exec_driver_sql("SELECT max(id) FROM c").scalar())
        return query(self, plan)

    def told(answer: Any) -> Response:
        response = send(answer)
        response.set_etag(newest[0])
        return response

    patch.setattr(Records, "query", reading)
    patch.setattr(api, "send", told)


@plant("C", "another client's receipt is given out", shown_by=5)
def _foreign_receipt(patch: pytest.MonkeyPatch) -> None:
    own = Receipts.of

    def of(self: Receipts, entry_id: str, client: str) -> str:
        for each in (client, "two", "three"):
            try:
                return own(self, entry_id, each)
            except NotFound as refusal:
                if refusal.code is Code.ENTRY_NOT_SEALED:
                    raise
        return own(self, entry_id, client)

    patch.setattr(Receipts, "of", of)
