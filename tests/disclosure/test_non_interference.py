"""Promise 2: of two worlds whose views for a client are equal, every answer is equal, whatever else differs."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from gateway import instruments
from gateway import keys as key_files
from gateway.access import AccessRequest, Action, Instrument, Subject
from gateway.app import now
from gateway.catalogue import Catalogue
from gateway.instruments import Filed
from gateway.opaque import Holder, Ids
from gateway.policy.check import load_checked
from gateway.policy.compose import Permit
from gateway.policy.decide import decide, local_day
from gateway.tables import budget_mark
from tests import world
from tests.policy import small
from tests.policy.reference import Law, Seen, law, see
from tests.policy.small import Case
from tests.world import Asker, Databases, World, agreement

WARRANTED = 2
ROWS = (
    "record.grade in ['F1', 'F2'] && !(record.flag == true)",
    "record.counts.exists(n, n.grade == 'F1' && n.amount > 0) || has(record.verdict)",
    "instruments.exists(i, i.person == record.person && i.kind == 'judicial') || record.code == 'a'",
)
SHOW = ["person", "code", "grade", "amount", "verdict.grade", "counts.grade", "counts.amount"]
PLAIN = {"resource": "cases", "because": "So."}
RULES: tuple[dict[str, Any], ...] = (
    {"id": "p0", "permit": "read", "rows": ROWS[0], "show": SHOW, "mask": {"born": "year"}},
    {"id": "p1", "permit": "read", "rows": ROWS[1], "show": [*SHOW, "born"], "mask": {"counts.name": "first-letter"}},
    {"id": "p2", "permit": "read", "rows": ROWS[2], "show": ["code", "verdict.grade"], "mask": {"name": "pseudonym"}},
    {"id": "ask", "permit": "read", "rows": "record.amount >= 2", "show": ["person"], "pointer": "Ask the clerk"},
    {"id": "gone", "deny": "read", "rows": "record.name == 'b'"},
    {"id": "never", "deny": "read", "fields": ["at"]},
    {"id": "young", "deny": "read", "rows": "years_between(record.born, today) < 30", "fields": ["grade", "counts"]},
    {"id": "coarse", "deny": "read", "rows": "record.cite in lists.offences", "mask": {"code": "first-letter"}},
)
POLICY = small.document(
    [
        {name: value.replace("'", '"') if name == "rows" else value for name, value in (PLAIN | rule).items()}
        for rule in RULES
    ],
    [{"persons": {"at-most": 3, "per": "day"}}, {"notice": "Tell nobody."}, {"report": "small"}],
)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two worlds, its database and its client."""

    world: World
    engine: sa.Engine
    asker: Asker


@dataclass(frozen=True, slots=True)
class Pair:
    """Two gateways under the same keys and policy, over two databases."""

    left: Side
    right: Side
    catalogue: Catalogue
    law: Law
    ids: Ids


@pytest.fixture
def pair(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """Compose two gateways."""
    policies = tmp_path / "policies"
    small.write(policies, POLICY)
    sides = [_side(name, dialect, request, tmp_path, policies) for name in ("left", "right")]
    # The same client asks in both worlds, with the same key and the same token.
    assert sides[0].asker.token
    right = dataclasses.replace(sides[1], asker=dataclasses.replace(sides[0].asker, world=sides[1].world))
    bundle = load_checked(policies)
    subject = Subject("one", agreement("one", mission="looking", purposes=frozenset({"looking"})))
    asked = AccessRequest(subject, Action.READ, "cases", "looking", now())
    assert isinstance(decide(asked, bundle), Permit)
    ids = Ids(key_files.read(tmp_path / "keys", tmp_path / "passphrase").ids)
    yield Pair(sides[0], right, bundle.catalogue, law(bundle, local_day(asked, bundle)), ids)
    for side in sides:
        side.world.close()
        side.engine.dispose()


def _side(name: str, dialect: str, request: pytest.FixtureRequest, tmp_path: Path, policies: Path) -> Side:
    if dialect == "sqlite":
        databases = Databases(f"sqlite:///{tmp_path / name}.db", f"sqlite:///{tmp_path / name}-store.db")
    else:
        server = request.getfixturevalue("postgres")
        databases = Databases(server.url(server.create()), server.url(server.create()))
    engine = sa.create_engine(databases.arrests)
    small.metadata.create_all(engine)
    public = str(tmp_path / f"public-{name}")
    made = world.build(databases, tmp_path / "keys", policies=str(policies), log_public=public)
    asker = made.asker("one", mission="looking", purposes=frozenset({"looking"}))
    filed = Filed(WARRANTED, "ICE", "looking", "judicial", "state-judge", "0" * 64, date(2000, 1, 1), date(2100, 1, 1))
    with made.gateway.store.transaction() as connection:
        instruments.add(connection, "warrant", filed, "one")
        instruments.confirm(connection, "warrant", "two")
    return Side(made, engine, asker)


def seen(pair: Pair, records: Sequence[Case]) -> list[Seen]:
    """Return the view by the reference evaluator."""
    return see(pair.law, records, (Instrument("i", WARRANTED, "judicial", "state-judge"),))


# --- a second world ---------------------------------------------------------------------------------------------


@st.composite
def elsewhere(draw: st.DrawFn, pair: Pair, records: list[Case]) -> list[Case]:
    """Change what the view does not hold: withheld values, what masks hide, whole hidden records, new hidden ones."""
    changed: list[Case] = []
    others = draw(small.cases(pair.catalogue, first=1000, least=len(records), most=len(records) + 4))
    for record, other in zip(records, others, strict=False):
        changed += _kept_equal(pair, record, dataclasses.replace(other, id=record.id, person=record.person), draw)
    changed += [record for record in others[len(records) :] if not seen(pair, [record])]
    return changed


def _kept_equal(pair: Pair, record: Case, other: Case, draw: st.DrawFn) -> list[Case]:
    """Return a record that looks the same through the view, and as different as can be behind it."""
    if not seen(pair, [record]):
        gone = draw(st.booleans())
        return [] if gone or seen(pair, [other]) else [other]
    for name in record.values:
        value = other.values[name]
        if name == "born" and isinstance(record.values["born"], date) and isinstance(value, date):
            value = record.values["born"].replace(month=1, day=draw(st.integers(1, 28)))
        record = _if_same(pair, record, dataclasses.replace(record, values={**record.values, name: value}))
    for name in ("name", "flag", "cite", "grade", "amount"):
        counts = tuple({**row, name: other.values[name]} for row in record.counts)
        record = _if_same(pair, record, dataclasses.replace(record, counts=counts))
    record = _if_same(pair, record, dataclasses.replace(record, counts=other.counts))
    if record.verdict is not None:
        verdict = {**record.verdict, "born": other.values["born"], "flag": other.values["flag"]}
        record = _if_same(pair, record, dataclasses.replace(record, verdict=verdict))
    return [_if_same(pair, record, dataclasses.replace(record, verdict=other.verdict))]


def _if_same(pair: Pair, record: Case, mixed: Case) -> Case:
    same = seen(pair, [record]) == seen(pair, [mixed]) and _defects(pair, record) == _defects(pair, mixed)
    return mixed if same else record


def _defects(pair: Pair, record: Case) -> list[object]:
    """Which values that are seen are defects of the source: the answer says so, and they are part of what is seen."""
    (view,) = seen(pair, [record])
    own = [name for name, value in record.values.items() if name in view.cells and isinstance(value, small.Defect)]
    counts = (view.related.get("counts") or ({},))[:1]
    related = [
        (number, name)
        for number, row in enumerate(record.counts)
        for name, value in row.items()
        if isinstance(value, small.Defect) and any(name in shown for shown in counts)
    ]
    verdict = [
        n for n, v in (record.verdict or {}).items() if f"verdict.{n}" in view.cells and isinstance(v, small.Defect)
    ]
    return [*own, *related, *verdict]


# --- a session --------------------------------------------------------------------------------------------------

Step = tuple[str, Any]
FIELDS = (
    "code",
    "grade",
    "amount",
    "born",
    "verdict.grade",
    "name",
    "at",
    "flag",
    "verdict.born",
    "counts.grade",
    "person",
    "cite",
    "nope",
)


def steps() -> st.SearchStrategy[list[Step]]:
    """Requests of every kind, good and bad."""
    operators = st.sampled_from(["eq", "ne", "lt", "gte", "prefix", "is_null", "like"])
    operands = st.sampled_from(["a", "F1", 1, 1984, True, "\0", None, "1984-02-29"])
    comparison = st.builds(lambda f, o, v: {f: {o: v}}, st.sampled_from(FIELDS), operators, operands)
    filters = st.one_of(
        comparison, st.builds(lambda f: {"not": f}, comparison), st.just({"person": {"is_null": False}})
    )
    body = st.fixed_dictionaries(
        {"limit": st.integers(1, 3)},
        optional={
            "filter": filters,
            "sort": st.lists(st.sampled_from([*FIELDS, "-code", "-born"]), max_size=2),
            "fields": st.lists(st.sampled_from(FIELDS), max_size=3),
            "cursor": st.sampled_from(["", "AAAA"]),
        },
    )
    step = st.one_of(
        st.tuples(st.just("pages"), body),
        st.tuples(st.just("pages"), body),
        st.tuples(st.just("key"), st.integers(1, 1010)),
    )
    return st.lists(step, min_size=3, max_size=8)


def play(side: Side, session: list[Step], ids: Ids) -> list[TestResponse]:
    """Ask the session's questions."""
    answers = [side.asker.get("/v1/resources")]
    for kind, asked in session:
        if kind == "key":
            holder = Holder("one", "looking", "cases")
            answers.append(side.asker.get(f"/v1/cases/{ids.conceal(asked, holder)}"))
        else:
            answers += _pages(side, dict(asked))
    return answers


def _pages(side: Side, asked: dict[str, Any]) -> Iterator[TestResponse]:
    while True:
        answer = side.asker.search(asked, "cases")
        yield answer
        cursor = answer.get_json().get("next")
        if cursor is None:
            return
        asked["cursor"] = cursor


def said(answer: TestResponse) -> tuple[object, ...]:
    """Everything that a client gets, but what is random or the time."""
    headers = sorted(
        (name, value) for name, value in answer.headers if name not in ("Log-Entry", "Log-Promise", "Date")
    )
    return answer.status_code, answer.data, headers


@pytest.mark.property
@given(data=st.data())
def test_what_the_view_does_not_hold_changes_no_answer(data: st.DataObject, pair: Pair) -> None:
    """Two databases with equal views give equal answers to the same session of requests."""
    records = data.draw(small.cases(pair.catalogue))
    others = data.draw(elsewhere(pair, records))
    assert seen(pair, records) == seen(pair, others)
    for side, filling in ((pair.left, records), (pair.right, others)):
        small.fill(side.engine, pair.catalogue, filling)
        with side.world.gateway.store.transaction() as connection:
            connection.execute(budget_mark.delete())
    session = data.draw(steps())
    left, right = play(pair.left, session, pair.ids), play(pair.right, session, pair.ids)
    assert [said(answer) for answer in left] == [said(answer) for answer in right]
