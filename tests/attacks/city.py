"""A small city under attack: a gateway over tables that a test fills as it likes, and clients who try what they can.

The policy shows open cases: some fields as they are, some in a form, one by row, the rest never. A test says what is
hidden in two ways and asks the same of both: whatever differs behind the view, nothing may differ in the answers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from gateway import keys as key_files
from gateway.access import AccessRequest, Action, Subject
from gateway.app import now
from gateway.catalogue import Catalogue
from gateway.opaque import Holder, Ids
from gateway.policy.check import load_checked
from gateway.policy.decide import local_day
from gateway.tables import budget_mark, budget_refusal
from tests import world
from tests.policy import small
from tests.policy.reference import Law, Seen, law, see
from tests.policy.small import Case, Row
from tests.services import Postgres
from tests.world import Asker, Databases, World, agreement

PURPOSES = frozenset({"looking", "counting"})
AT_MOST = 40
PLAIN: dict[str, Any] = {"resource": "cases", "because": "So."}
RULES: tuple[dict[str, Any], ...] = (
    {
        "id": "open",
        "permit": "read",
        "rows": "record.flag == false",
        "show": ["person", "code", "amount", "verdict.grade", "counts.grade", "counts.amount"],
        "mask": {"born": "year", "name": "first-letter", "verdict.born": "year"},
    },
    {"id": "gone", "deny": "read", "rows": 'record.grade == "M1"'},
    {"id": "apart", "deny": "read", "rows": 'record.code == "apart"', "fields": ["amount", "counts"]},
)
POLICY = small.document([PLAIN | rule for rule in RULES], [{"persons": {"at-most": AT_MOST, "per": "day"}}])

# What the policy never shows, and names that were never there; in each clause they are one.
HIDDEN = ("cite", "grade", "flag", "at", "verdict.flag", "counts.name", "counts.cite", "counts.flag")
NEVER = ("nonsense", "cite2", "verdict.nonsense", "counts.nonsense", "nonsense.cite")

Session = Callable[[Asker], Iterable[TestResponse]]


def count(**changed: Any) -> Row:
    """A related row, some of it changed."""
    return {"grade": "F1", "amount": 1, "name": "Ada", "cite": "18.2702.A1", "flag": True, **changed}


def case(number: int, person: int | None = None, **changed: Any) -> Case:
    """An open case of a person of its own, some of it changed."""
    values = {
        "name": "Ada",
        "cite": "18.2702.A1",
        "code": "c",
        "grade": "F1",
        "amount": 1,
        "flag": False,
        "born": date(1984, 2, 29),
        "at": datetime(2014, 3, 9, 7, tzinfo=UTC),
        **{name: value for name, value in changed.items() if name not in ("verdict", "counts")},
    }
    verdict = changed.get("verdict", {"grade": "F2", "born": date(1990, 12, 31), "flag": True})
    return Case(number, number if person is None else person, values, verdict, changed.get("counts", (count(),)))


def hidden(number: int, person: int | None = None, **changed: Any) -> Case:
    """A case that no one sees, because its flag is set."""
    return case(number, person, **{"flag": True, **changed})


def said(answer: TestResponse) -> tuple[object, ...]:
    """Everything that a client gets, but what is random or the time; of that, how long it is."""
    headers = sorted(
        (name, len(value) if name in ("Log-Entry", "Log-Promise") else value)
        for name, value in answer.headers
        if name != "Date"
    )
    return answer.status_code, answer.data, headers


def code_of(answer: TestResponse) -> str:
    """Return a refusal's code, or `ok`."""
    return str(answer.get_json()["code"]) if answer.status_code >= 400 else "ok"


@dataclass(frozen=True, slots=True)
class City:
    """A gateway over the small city, and its tables."""

    world: World
    engine: sa.Engine
    catalogue: Catalogue
    law: Law | None
    ids: Ids
    asker: Asker
    other: Asker

    @property
    def dialect(self) -> str:
        """Which of the two databases it is."""
        return self.engine.dialect.name

    def fill(self, *records: Case) -> None:
        """Put these records into the tables, and forget what the day's budget holds."""
        small.fill(self.engine, self.catalogue, records)
        with self.world.gateway.store.transaction() as connection:
            for table in (budget_mark, budget_refusal):
                connection.execute(table.delete())

    def run(self, statement: str, **values: object) -> None:
        """Change the tables."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def seen(self, records: Sequence[Case]) -> list[Seen]:
        """Return what the view holds of records, by the evaluator that knows nothing of SQL."""
        assert self.law is not None
        return see(self.law, records, ())

    def id_of(self, key: int, client: str = "one", purpose: str = "looking", kind: str = "cases") -> str:
        """Return the id that a client would have for a key, whether or not the record is there."""
        return self.ids.conceal(key, Holder(client, purpose, kind))

    def search(self, **body: Any) -> TestResponse:
        """Search as the client."""
        return self.asker.search(body, "cases")

    def keys(self, **body: Any) -> list[int]:
        """Return the keys of the records of all pages, in their order."""
        found, asked = [], dict(body)
        while True:
            answer = self.search(**asked)
            assert answer.status_code == 200, answer.text
            page = answer.get_json()
            found += [self.key_of(record["id"]) for record in page["records"]]
            if page["next"] is None:
                return found
            asked["cursor"] = page["next"]

    def key_of(self, identifier: str, client: str = "one") -> int:
        """Return the key behind an id."""
        key = self.ids.reveal(identifier, Holder(client, "looking", "cases"))
        assert key is not None
        return key

    def lookup(self, key: int) -> TestResponse:
        """Look a record up by the id that the client would have for its key."""
        return self.asker.get(f"/v1/cases/{self.id_of(key)}")

    def is_alike(self, left: Sequence[Case], right: Sequence[Case], *sessions: Session) -> list[TestResponse]:
        """Ask the same over two databases whose views are equal, and find every answer equal; return the first's."""
        assert self.seen(left) == self.seen(right)
        assert left != right
        answers = []
        for records in (left, right):
            self.fill(*records)
            answers.append([answer for session in sessions for answer in session(self.asker)])
        assert [said(answer) for answer in answers[0]] == [said(answer) for answer in answers[1]]
        return answers[0]


def searches(*bodies: dict[str, Any]) -> Session:
    """Ask for all pages of each search."""

    def ask(asker: Asker) -> Iterator[TestResponse]:
        for body in bodies:
            asked: dict[str, Any] = dict(body)
            while True:
                answer = asker.search(asked, "cases")
                yield answer
                cursor = answer.get_json().get("next")
                if cursor is None:
                    break
                asked["cursor"] = cursor

    return ask


@contextmanager
def found(dialect: str, request: pytest.FixtureRequest, place: Path, *documents: str, **changed: str) -> Iterator[City]:
    """Compose a gateway over an empty small city under these documents."""
    policies = place / "policies"
    small.write(policies, *documents)
    server: Postgres | None = None
    if dialect == "sqlite":
        databases = Databases(f"sqlite:///{place / 'cases.db'}", f"sqlite:///{place / 'store.db'}")
    else:
        server = request.getfixturevalue("postgres")
        databases = Databases(*(server.url(server.create()) for _ in range(2)))
    engine = sa.create_engine(databases.arrests)
    small.metadata.create_all(engine)
    made = world.build(databases, place / "keys", policies=str(policies), **changed)
    ids = Ids(key_files.read(place / "keys", place / "passphrase").ids)
    one, two = (made.asker(name, mission="looking", purposes=PURPOSES) for name in ("one", "two"))
    one.purpose = two.purpose = "looking"
    bundle = load_checked(policies)
    asked = AccessRequest(
        Subject("one", agreement("one", mission="looking", purposes=PURPOSES)), Action.READ, "cases", "looking", now()
    )
    only = law(bundle, local_day(asked, bundle)) if len(documents) == 1 else None
    yield City(made, engine, bundle.catalogue, only, ids, one, two)
    made.close()
    engine.dispose()


def with_counts(record: Case, *counts: Row) -> Case:
    """Return a record with other related rows."""
    return replace(record, counts=counts)
