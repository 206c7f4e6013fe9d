"""Whoever has spent the day's budget asks on: whether a question is refused tells of records that are not shown."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from gateway.access import Circumstances, Compare, Lookup, Question, Search, Subject
from gateway.disclosure import LoggedRefusal
from gateway.errors import Code
from gateway.identity.clients import Clients
from gateway.limits import REFUSALS
from gateway.tables import budget_refusal, entry
from tests.attacks.city import AT_MOST, PLAIN, RULES, City, case, code_of, said
from tests.attacks.conftest import FoundCity
from tests.policy import small

SPENT = "disclosure-budget-spent"
LETTERS = "abcdef"
SECRETS = ("abcdef", "badcfe", "cdefab", "dcbafe")
SEEN = {"code": {"eq": "z"}}
NOBODY = {"code": {"eq": "zzz"}}
UNSEEN = range(100, 100 + len(SECRETS))


def spend(city: City) -> None:
    """Fill the city with as many as the budget allows, have them shown, and put some beside them that are not."""
    city.fill(*(case(n, code="z") for n in range(1, AT_MOST + 1)), *map(_unseen, UNSEEN, SECRETS))
    assert len(city.keys(filter=SEEN)) == AT_MOST


def _unseen(number: int, secret: str) -> Any:
    return case(number, code=secret)


def end(city: City) -> None:
    """Ask until the day is over."""
    assert [code_of(city.search(limit=200)) for _ in range(REFUSALS)] == [SPENT] * REFUSALS


def left(city: City) -> int | None:
    """Return how many more pages may be refused, as the store has it."""
    with city.world.gateway.store.reading() as connection:
        return connection.scalar(sa.select(budget_refusal.c.refusals_left))


def whatever(city: City) -> list[TestResponse]:
    """Ask for what was seen, for what was not, for what is nowhere, and for what can't be asked."""
    return [
        city.search(filter=SEEN),
        city.search(filter=SEEN, limit=1),
        city.search(filter={"code": {"eq": SECRETS[0]}}),
        city.search(filter=NOBODY),
        city.search(filter={"cite": {"eq": "18.2702.A1"}}),
        city.search(cursor="AAAA"),
        *(city.lookup(key) for key in (1, UNSEEN[0], 999)),
        city.asker.get("/v1/cases/no-id-at-all"),
    ]


Probe = Callable[[City, dict[str, Any]], bool]


def _alone(city: City, question: dict[str, Any]) -> bool:
    return code_of(city.search(filter=question)) == SPENT


def _beside_one_seen(city: City, question: dict[str, Any]) -> bool:
    """Ask for a record that costs nothing, or else: the page is never empty."""
    seen = {"and": [SEEN, {"amount": {"eq": 1}}]}
    return code_of(city.search(filter={"or": [seen, question]})) == SPENT


def _by_what_follows(city: City, question: dict[str, Any]) -> bool:
    """Ask for a page that costs nothing, and look whether another is said to follow it."""
    answer = city.search(filter={"or": [SEEN, question]}, sort=["-code"], limit=AT_MOST)
    return code_of(answer) == SPENT or answer.get_json()["next"] is not None


def read_on(city: City, probe: Probe) -> Iterator[str]:
    """Read the unseen codes letter by letter; yield each beginning that an answer seems to confirm."""
    begun = [""]
    while begun:
        known = begun.pop()
        for letter in LETTERS:
            if probe(city, {"code": {"prefix": known + letter}}):
                yield known + letter
                begun += [known + letter] if len(known) + 1 < len(SECRETS[0]) else []


@pytest.mark.parametrize(
    "probe", [_alone, _beside_one_seen, _by_what_follows], ids=["alone", "beside one seen", "by what follows"]
)
def test_a_spent_budget_is_asked_letter_by_letter(city: City, probe: Probe) -> None:
    """B, own: refusals spell out values that are not shown; after so many of them there is nothing to be read."""
    spend(city)
    told = read_on(city, probe)
    true = [next(told) for _ in range(REFUSALS)]
    assert all(any(secret.startswith(each) for secret in SECRETS) for each in true)
    assert left(city) == 0
    # From here on each guess is confirmed, also those that are wrong.
    guessed = [next(told) for _ in range(30)]
    assert not all(any(secret.startswith(each) for secret in SECRETS) for each in guessed)
    assert {str(said(answer)) for answer in whatever(city)} == {str(said(city.search(limit=200)))}


def test_before_the_last_refusal_all_is_as_it_was(city: City) -> None:
    """Shown before, nothing found and refused questions keep their answers; none of them is counted."""
    spend(city)
    for _ in range(REFUSALS - 3):
        assert code_of(city.search(limit=200)) == SPENT
    codes = [code_of(answer) for answer in whatever(city)]
    assert left(city) == 1
    assert codes == ["ok", "ok", SPENT, "ok", "unknown-field", "cursor-invalid", "ok", SPENT, *["record-not-found"] * 2]


def test_only_refusals_for_the_budget_are_counted(city: City) -> None:
    """What else is refused, and what is answered, ends no day."""
    spend(city)
    for _ in range(REFUSALS):
        answers = (city.search(filter=NOBODY), city.lookup(999), city.search(sort=["cite"]), city.search(filter=SEEN))
        assert SPENT not in [code_of(answer) for answer in answers]
    assert left(city) is None


def test_the_days_end_is_the_agreements_own(city: City) -> None:
    """Another agreement is answered, and what says nothing of records; refusals are alike, each with its entry."""
    spend(city)
    end(city)
    answers = [*whatever(city), *whatever(city)]
    assert {answer.status_code for answer in answers} == {429}
    assert len({answer.data for answer in answers}) == 1
    assert len({answer.headers["Log-Entry"] for answer in answers}) == len(answers)
    assert city.other.search({"limit": 10}, "cases").status_code == 200
    for path in ("/v1/resources", "/openapi.json", "/v1/notices", f"/v1/entries/{answers[0].headers['Log-Entry']}"):
        assert city.asker.get(path).status_code in (200, 404)


def test_the_citys_next_day_is_a_new_one(city: City) -> None:
    """What was refused yesterday counts nothing today."""
    spend(city)
    end(city)
    with city.world.gateway.store.transaction() as connection:
        today: date | None = connection.scalar(sa.select(budget_refusal.c.day))
        assert today is not None
        connection.execute(budget_refusal.update().values(day=today - timedelta(days=1)))
    assert code_of(city.search(filter=SEEN)) == "ok"
    assert code_of(city.search(limit=200)) == SPENT
    assert code_of(city.search(filter=NOBODY)) == "ok"


def test_a_permit_without_a_budget_knows_no_such_end(found_city: FoundCity) -> None:
    """The rows that tell of the day's end bind whom a budget binds."""
    city = found_city(small.document([PLAIN | rule for rule in RULES]))
    city.fill(case(1))
    stated = {"agreement_id": "one-agreement", "day": date.today(), "refusals_left": 0}  # noqa: DTZ011 -- any day
    with city.world.gateway.store.transaction() as connection:
        days = [stated | {"day": date.today() + timedelta(days=n)} for n in (-1, 0, 1)]  # noqa: DTZ011
        connection.execute(budget_refusal.insert(), days)
    assert [code_of(answer) for answer in (city.search(), city.lookup(1), city.lookup(9))] == [
        "ok",
        "ok",
        "record-not-found",
    ]


def test_the_arrest_database_is_not_asked_any_more(city: City) -> None:
    """So time tells nothing either: without the table the answer is the same."""
    spend(city)
    end(city)
    before = said(city.search(filter=SEEN))
    city.run("ALTER TABLE c RENAME TO elsewhere")
    try:
        assert said(city.search(filter=SEEN)) == before
    finally:
        city.run("ALTER TABLE elsewhere RENAME TO c")


def _search(question: Compare) -> Search:
    return Search("cases", "looking", None, question, (), (), 50, None)


LATE: dict[str, Callable[[City], Question]] = {
    "seen": lambda _: _search(Compare("code", "eq", "z")),
    "unseen": lambda _: _search(Compare("code", "eq", SECRETS[0])),
    "nobody": lambda _: _search(Compare("code", "eq", "zzz")),
    "seen, by id": lambda city: Lookup("cases", "looking", None, city.id_of(1)),
    "nobody, by id": lambda city: Lookup("cases", "looking", None, city.id_of(999)),
}


@pytest.mark.parametrize("asked", LATE)
def test_a_request_under_way_does_not_slip_past(city: City, asked: str) -> None:
    """One that came before the last refusal, and would be answered after it, is refused like all."""
    spend(city)
    client = Clients(city.world.gateway.store).find("one")
    assert client is not None
    came = Subject("one", client.agreement, None, client.over)
    assert came.over is None
    end(city)
    told = city.world.gateway.custodian.disclose(LATE[asked](city), came, Circumstances("127.0.0.1", 0.0, 0))
    assert isinstance(told, LoggedRefusal)
    assert told.refusal.code is Code.BUDGET_SPENT
    assert told.body == city.search(filter=SEEN).data


def test_many_at_once_are_refused_no_more_often(city: City) -> None:
    """Threads that ask together for seen, unseen and nobody: once the day is over, none of them gets anything else."""
    spend(city)
    client = Clients(city.world.gateway.store).find("one")
    assert client is not None
    came = Subject("one", client.agreement)
    custodian = city.world.gateway.custodian
    questions = [make(city) for make in LATE.values()] * (2 * REFUSALS)

    def ask(question: Question) -> tuple[str, str]:
        told = custodian.disclose(question, came, Circumstances("127.0.0.1", 0.0, 0))
        return (told.refusal.code if isinstance(told, LoggedRefusal) else "ok"), told.entry.id

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, questions))
    assert left(city) == 0
    assert {code for code, _ in answers[-len(LATE) :]} == {SPENT}
    with city.world.gateway.store.reading() as connection:
        assert {identifier for _, identifier in answers} <= set(connection.scalars(sa.select(entry.c.entry_id)))


@contextmanager
def _uncountable(city: City) -> Iterator[None]:
    """Let the store refuse to count."""
    engine = city.world.gateway.store.engine
    make: tuple[str, ...]
    undo: tuple[str, ...]
    if engine.dialect.name == "postgresql":
        make = (
            "CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'full'; END $$",
            "CREATE TRIGGER strike BEFORE INSERT ON budget_refusal FOR EACH ROW EXECUTE FUNCTION strike()",
        )
        undo = ("DROP TRIGGER strike ON budget_refusal", "DROP FUNCTION strike()")
    else:
        make = ("CREATE TRIGGER strike BEFORE INSERT ON budget_refusal BEGIN SELECT RAISE(ABORT, 'full'); END",)
        undo = ("DROP TRIGGER strike",)
    _run(engine, make)
    yield
    _run(engine, undo)


def _run(engine: sa.Engine, statements: tuple[str, ...]) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_a_refusal_that_can_not_be_counted_is_not_told(city: City) -> None:
    """Entry and count are one: without the count there is no entry and no answer but the constant one."""
    spend(city)
    count = sa.select(sa.func.count()).select_from(entry)
    with city.world.gateway.store.reading() as connection:
        before = connection.scalar(count)
    with _uncountable(city):
        refused = city.search(limit=200)
    assert code_of(refused) == "temporarily-unavailable"
    assert "Log-Entry" not in refused.headers
    with city.world.gateway.store.reading() as connection:
        assert (connection.scalar(count), left(city)) == (before, None)
    assert (code_of(city.search(limit=200)), left(city)) == (SPENT, REFUSALS - 1)
