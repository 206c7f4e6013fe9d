"""What a database can't read, reckon with or finish in time stands in hidden rows: no answer changes, and none tells.

Each value is one at which a plainer statement would fail: it is put where no client may see it, and the same session is
asked as over a sound row. Then it is put where clients do see, and is told as a defect of the source, not as a 503.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from tests.attacks.city import PLAIN, POLICY, City, case, code_of, found, hidden, said, searches
from tests.policy import small
from tests.policy.small import Case

HARD = small.document(
    [
        PLAIN
        | {
            "id": "open",
            "permit": "read",
            "rows": "record.flag == false",
            "show": ["person", "grade", "amount", "verdict.grade", "at", "cite", "counts"],
            "mask": {"born": "age-band", "name": "last-four", "code": "first-letter", "verdict.born": "year"},
        },
        # Nothing meets it, and every part of it has to be reckoned out on hidden rows.
        PLAIN
        | {
            "id": "reckoned",
            "permit": "read",
            "rows": "years_between(record.born, record.at) > 149 || record.at > midnight(today) && record.amount > 49"
            ' || record.cite in lists.offences && record.name.startsWith("zzzz")'
            ' || record.counts.exists(n, n.cite in lists.offences && n.amount > 49 && n.name == "zz")'
            " || years_between(record.born, today) < 0 && has(record.verdict.born)",
            "show": ["code"],
        },
        PLAIN | {"id": "young", "deny": "read", "rows": "years_between(record.born, today) < 18", "fields": ["cite"]},
    ]
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city whose rules and forms reckon with what rows hold."""
    with found(request.param, request, tmp_path_factory.mktemp("hard"), HARD) as made:
        made.run("CREATE INDEX n_of ON n (id)")
        yield made


# What a column can be made to hold, as the database's own expression; on SQLite any column holds anything.
SQLITE = (
    "CAST(x'61ff62' AS TEXT)",
    "CAST(x'eda080' AS TEXT)",
    "CAST(x'c080' AS TEXT)",
    "CAST(x'f4908080' AS TEXT)",
    "x'ff00'",
    "'a' || char(0) || 'b'",
    "hex(zeroblob(250000))",
    "9223372036854775807",
    "-9223372036854775808",
    "9e999",
    "-9e999",
    "1e308",
    "'unknown'",
    "'infinity'",
    "'0044-03-15 BC'",
    "'10000-01-01'",
    "'2014-02-30'",
    "'24:00'",
    "''",
    "-1",
)
NOT_UTF8 = 4
TEXTS = ("repeat('x', 300000)", "U&'\\+10FFFF'", "''", "E'\\x01\\x7f'", "'%'", "repeat(U&'\\0301', 12)")
POSTGRESQL: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("name", "cite", "grade"), TEXTS),
    "born": ("'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'", "'10000-01-01'", "'0044-03-15 BC'"),
    "at": ("'infinity'", "'-infinity'", "'4713-11-25 00:00:00+00 BC'", "'294276-12-31 23:59:59+00'", "'10000-01-01'"),
    "amount": ("9223372036854775807", "-9223372036854775808", "2147483648", "51"),
}
COLUMNS = {
    "c": ("name", "cite", "grade", "amount", "born", "at"),
    "v": ("grade", "born"),
    "n": ("grade", "amount", "name", "cite"),
}
WORST = 20
BODIES: tuple[dict[str, Any], ...] = (
    {},
    {"sort": ["amount", "-at", "cite"], "limit": 2},
    {"sort": ["verdict.born", "name", "-born"], "limit": 2},
    {
        "filter": {
            "or": [
                {"name": {"gte": "a"}},
                {"born": {"ne": "20-29"}},
                {"cite": {"prefix": "18"}},
                {"at": {"lt": "2014-03-09T07:00:00Z"}},
                {"amount": {"lt": 50}},
                {"verdict.born": {"lt": 2000}},
                {
                    "counts": {
                        "any": {"or": [{"cite": {"prefix": "1"}}, {"name": {"starts": "A"}}, {"amount": {"gt": 0}}]}
                    }
                },
            ]
        }
    },
)


def poisoned(city: City, keys: range) -> None:
    """Put into each row of these keys, and into its related ones, what nothing can be done with."""
    for number, key in enumerate(keys):
        for table, columns in COLUMNS.items():
            if city.dialect == "sqlite":
                values = [f"{column} = {SQLITE[number % len(SQLITE)]}" for column in columns]
            else:
                values = [f"{c} = {POSTGRESQL[c][number % len(POSTGRESQL[c])]}" for c in columns]
            # A colon would name a parameter.
            city.run(f"UPDATE {table} SET {', '.join(values)} WHERE id = {key}".replace(":", "\\:"))


def session(city: City, *keys: int) -> list[TestResponse]:
    """Ask with every operator and order over whatever the rows hold, and for records by id."""
    looked = [city.lookup(key) for key in keys]
    return [*searches(*BODIES)(city.asker), *looked, city.asker.get("/v1/resources")]


def test_what_a_hidden_row_holds_cannot_be_reckoned_with(hard: City) -> None:
    """Bad dates and texts, NUL, BLOBs, infinities, overflow: with them behind the view every answer is as without."""
    shown, behind = [case(1), case(2), case(3, amount=7)], range(10, 10 + WORST)
    hard.fill(*shown, *(hidden(key) for key in behind))
    before = [said(answer) for answer in session(hard, 1, 10, 11, 99)]
    poisoned(hard, behind)
    assert [said(answer) for answer in session(hard, 1, 10, 11, 99)] == before
    hard.fill(*shown)
    assert [said(answer) for answer in session(hard, 1, 10, 11, 99)] == before


def test_what_a_shown_row_holds_is_told_as_a_defect(hard: City) -> None:
    """The same in rows that are seen: each page is answered, such a cell is null, and the record says so."""
    rows = range(10, 10 + WORST)
    hard.fill(*(case(key) for key in rows))
    poisoned(hard, rows)
    assert {answer.status_code for answer in session(hard, 10, 29)} == {200}
    shown = {hard.key_of(record["id"]): record for record in hard.search().get_json()["records"]}
    assert list(shown) == list(rows)
    for record in shown.values():
        assert "source_defects" in record
        assert all(each["name"] is None or len(each["name"]) <= 12 for each in record["counts"])
    texts = {"name", "counts.name", "counts.cite", "counts.grade", "verdict.grade"}
    for key in rows[:NOT_UTF8] if hard.dialect == "sqlite" else rows[:1]:
        assert texts <= set(shown[key]["source_defects"])
        assert (shown[key]["name"], shown[key]["counts"][0]["name"]) == (None, None)


def test_a_text_that_is_no_text_is_compared_by_its_bytes(hard: City) -> None:
    """What is told as null is null to filters and orders: the bytes behind it are not to be guessed one by one."""
    if hard.dialect == "sqlite":
        values = ("CAST(x'61ff62' AS TEXT)", "CAST(x'7aff7a' AS TEXT)")
    else:
        values = ("repeat('a', 25)", "repeat('z', 26)")
    answers = []
    for value in values:
        hard.fill(case(1), case(2))
        hard.run(f"UPDATE c SET cite = {value} WHERE id = 2")
        hard.run(f"UPDATE n SET cite = {value} WHERE id = 2")
        tests: list[dict[str, Any]] = [{o: "a"} for o in ("gte", "lt", "ne", "prefix")] + [{"is_null": True}]
        bodies = [{"filter": {"cite": test}} for test in tests]
        bodies += [{"filter": {"counts": {"any": {"cite": test}}}} for test in tests]
        answers.append(
            [said(answer) for answer in searches(*bodies, {"sort": ["cite"]}, {"sort": ["-cite"]})(hard.asker)]
        )
    assert answers[0] == answers[1]
    assert hard.keys(filter={"cite": {"is_null": True}}) == [2]


@pytest.mark.parametrize("key", [0, -1, -(2**63)])
def test_a_record_whose_key_is_none_takes_its_page_with_it(hard: City, key: int) -> None:
    """What has no key that could be told is in no page, and no made-up id leads to it; all others are answered."""
    hard.fill(case(1), case(2))
    before = [said(answer) for answer in session(hard, 1, 99)]
    missing = said(hard.asker.get("/v1/cases/none"))
    hard.fill(case(1), case(2), case(key, 3))
    assert [said(answer) for answer in session(hard, 1, 99)] == before
    assert said(hard.asker.get("/v1/cases/none")) == missing
    hard.fill(case(1), case(2), case(4, key))
    assert [said(answer) for answer in session(hard, 1, 99)] == before
    assert said(hard.lookup(4)) == missing


@pytest.mark.parametrize("make", [hidden, case])
def test_a_record_has_a_hundred_thousand_related_rows(hard: City, make: Callable[[int], Case]) -> None:
    """A hidden record's crowd changes no answer; a shown record's is not shown, and told as a defect."""
    shown = [case(1), case(2)]
    hard.fill(*shown, make(3))
    before = [said(answer) for answer in session(hard, 1, 3)]
    numbers = (
        "SELECT g, 3, 'F1', g % 50, 'zz', '18.2702.A1' FROM generate_series(10, 100009) AS g"
        if hard.dialect == "postgresql"
        else "WITH RECURSIVE g(g) AS (SELECT 10 UNION ALL SELECT g + 1 FROM g WHERE g < 100009) "
        "SELECT g, 3, 'F1', g % 50, 'zz', '18.2702.A1' FROM g"
    )
    hard.run(f"INSERT INTO n (n_id, id, grade, amount, name, cite) {numbers}")
    after = [said(answer) for answer in session(hard, 1, 3)]
    if make is hidden:
        assert after == before
    else:
        record = hard.lookup(3).get_json()["record"]
        assert (record["counts"], record["source_defects"]) == (None, ["counts"])
        assert {answer[0] for answer in after} == {200}
    hard.run("DELETE FROM n WHERE id = 3")


# --- where the database itself gives up -----------------------------------------------------------------------------

# Expressions that fail on the row with the key 3; what the database says of it would hold the canary.
FAILING = {
    "postgresql": {
        "cast": "('CANARY-' || id)::date",
        "division": "DATE '2000-01-01' + (1 / (id - 3))::int",
        "overflow": "DATE '2000-01-01' + (9223372036854775807 + id)::int",
        "out of range": "DATE '5874897-12-31' + id::int",
        "memory": "DATE '2000-01-01' + length(repeat('CANARY', 300000000) || id)",
        "regular expression": "DATE '2000-01-01' + length(regexp_replace('CANARY' || id, repeat('(', id::int), ''))",
        "timeout": "DATE '2000-01-01' + length(pg_sleep(id * 10)::text)",
    },
    "sqlite": {
        "json": "json_extract('CANARY-' || id, '$.a')",
        "overflow": "abs(-9223372036854775807 - (id - 2))",
        "memory": "hex(zeroblob(1000000000 + id))",
        "pattern": "'a' LIKE replace(hex(zeroblob(40000)), '0', 'CANARY' || id)",
    },
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def failing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city whose cases are a view over a table, so that one row of it can fail while it is read."""
    place = tmp_path_factory.mktemp("failing")
    with found(request.param, request, place, POLICY, query_timeout="1") as made:
        made.fill(case(1), case(2), hidden(3), case(4))
        assert made.search().status_code == 200
        made.run("ALTER TABLE c RENAME TO c_rows")
        yield made


def viewed(city: City, expression: str) -> None:
    """Make the cases a view in which the birth of case 3 is an expression, reckoned before any condition is asked."""
    city.run("DROP VIEW IF EXISTS c")
    born = f"CASE WHEN id = 3 THEN {expression} ELSE born END AS born"
    columns = f"id, person, name, cite, code, grade, amount, flag, {born}, at"
    city.run(f"CREATE VIEW c AS SELECT {columns} FROM c_rows LIMIT 1000".replace(":", "\\:"))


def test_a_row_fails_while_it_is_read(failing: City) -> None:
    """Whatever the database says, of a hidden row or a shown one, the client gets one constant 503 with an entry.

    That a question failed can't be kept from whoever asked it; what it failed of is not to be seen.
    """
    viewed(failing, "born")
    page = {"sort": ["born"]}
    assert failing.asker.search(page, "cases").status_code == 200
    said_of: dict[tuple[str, bool], object] = {}
    for name, expression in FAILING[failing.dialect].items():
        for flag in (True, False):
            failing.run("UPDATE c_rows SET flag = :flag WHERE id = 3", flag=flag)
            viewed(failing, expression)
            answer = failing.search(sort=["born"], filter={"born": {"gte": 1900}})
            assert code_of(answer) == "temporarily-unavailable", name
            assert "Log-Entry" in answer.headers
            said_of[name, flag] = said(answer)
    assert len({str(answer) for answer in said_of.values()}) == 1
    viewed(failing, "born")
    failing.run("UPDATE c_rows SET flag = :flag WHERE id = 3", flag=True)
    assert failing.search(sort=["born"]).status_code == 200


def test_a_statement_runs_out_of_time(failing: City) -> None:
    """While the table can't be read, a shown, a hidden and a missing record are one constant 503, in the same bytes."""
    viewed(failing, "born")
    asks: list[Callable[[], TestResponse]] = [lambda: failing.lookup(1)]
    if failing.dialect == "postgresql":
        asks += [lambda: failing.lookup(3), lambda: failing.lookup(99), lambda: failing.search(sort=["-born"])]
    answers = [said(ask()) for ask in asks]
    assert {answer[0] for answer in answers} == {200, 404} if len(answers) > 1 else {200}
    with failing.engine.connect() as connection:
        lock = "LOCK TABLE c_rows IN ACCESS EXCLUSIVE MODE" if failing.dialect == "postgresql" else "BEGIN EXCLUSIVE"
        connection.exec_driver_sql(lock)
        refused = [ask() for ask in asks]
        connection.rollback()
    assert {code_of(answer) for answer in refused} == {"temporarily-unavailable"}
    assert len({str(said(answer)) for answer in refused}) == 1
    assert [said(ask()) for ask in asks] == answers


@pytest.mark.parametrize("failing", ["postgresql"], indirect=True)
def test_a_connection_is_cut_in_the_middle(failing: City) -> None:
    """The question that waits is refused in the constant words, and the next one is answered."""
    viewed(failing, "born")
    before = said(failing.lookup(1))
    waits = sa.text("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
    with failing.engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        connection.exec_driver_sql("LOCK TABLE c_rows IN ACCESS EXCLUSIVE MODE")
        asked = pool.submit(failing.lookup, 1)
        with failing.engine.connect() as other:
            while (waiting := other.scalar(waits)) is None:
                time.sleep(0.01)
            other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": waiting})
        answer = asked.result(10)
        connection.rollback()
    assert (answer.status_code, code_of(answer)) == (503, "temporarily-unavailable")
    assert answer.get_json()["detail"] == "Try again later."
    assert said(failing.lookup(1)) == before
