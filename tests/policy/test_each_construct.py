"""Each construct of conditions by itself: what it says of every kind of value, against a meaning written beside it.

The property tests find what nobody thought of; here nothing is left to chance, so that no construct changes unseen.
"""

import operator
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gateway.catalogue import Catalogue
from gateway.policy.bundle import load
from gateway.policy.condition import Condition
from gateway.policy.days import on_day
from gateway.policy.evaluate import Facts, evaluate
from gateway.policy.sql import Bindings, Compiler, bind
from gateway.policy.tables import Dialect, resource_source
from gateway.records.query import Records
from tests.policy import small
from tests.policy.reference import ZONE, facts
from tests.policy.samples import CITED, INSTRUMENTS, SAMPLES, opens

# Eighteen and nineteen years before a 29 February there is none.
DAY = date(2020, 2, 29)

Meaning = Callable[[dict[str, Any]], bool | None]

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# What conditions depend on without naming it: whether all related rows are known, and the grade beside a statute.
UNNAMED = ("flag", "grade")
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
EQUALITY = ("==", "!=")


def known(test: Callable[..., bool], *values: object) -> bool | None:
    """Judge values; a null among them leaves it unknown."""
    return None if None in values else test(*values)


def at(record: dict[str, Any], path: str) -> Any:
    """Take a value; through an absent relation there is none."""
    relation, _, name = path.rpartition(".")
    owner = record[relation] if relation else record
    return None if owner is None else owner[name]


def negated(value: bool | None) -> bool | None:  # noqa: FBT001 -- truth values are the subject
    """Turn a truth value round."""
    return None if value is None else not value


def some(values: list[bool | None]) -> bool | None:
    """Join by or."""
    return True if True in values else None if None in values else False


def every(values: list[bool | None]) -> bool | None:
    """Join by and."""
    return False if False in values else None if None in values else True


STATED = [
    ("amount", "2", 2, tuple(OPERATORS)),
    ("name", '"b"', "b", tuple(OPERATORS)),
    ("code", '"b"', "b", tuple(OPERATORS)),
    ("born", '"1984-03-01"', date(1984, 3, 1), tuple(OPERATORS)),
    ("at", 'timestamp("2014-03-09T07:00:00Z")', datetime(2014, 3, 9, 7, tzinfo=UTC), tuple(OPERATORS)),
    ("verdict.born", '"1990-12-31"', date(1990, 12, 31), tuple(OPERATORS)),
    ("grade", '"F1"', "F1", EQUALITY),
    ("flag", "true", True, EQUALITY),
    ("verdict.flag", "false", False, EQUALITY),
    ("verdict.grade", '"F2"', "F2", EQUALITY),
    ("born", "today", DAY, tuple(OPERATORS)),
    ("born", "days_ago(30)", date(2020, 1, 30), tuple(OPERATORS)),
    ("at", "midnight(today)", datetime(2020, 2, 29, 5, tzinfo=UTC), tuple(OPERATORS)),
    ("at", "midnight(days_ago(60))", datetime(2019, 12, 31, 5, tzinfo=UTC), tuple(OPERATORS)),
]


def stated() -> Iterator[tuple[str, Meaning]]:
    """Every comparison of a field with what the document states, and the other way round."""
    for path, written, value, forms in STATED:
        for form in forms:
            yield f"record.{path} {form} {written}", _against(path, form, value)
            yield f"{written} {FLIPPED[form]} record.{path}", _against(path, form, value)


def _against(path: str, form: str, value: object) -> Meaning:
    return lambda r: known(lambda held: OPERATORS[form](held, value), at(r, path))


def between_fields() -> Iterator[tuple[str, Meaning]]:
    """Every comparison of two fields."""
    pairs = [("name", "code"), ("born", "verdict.born"), ("grade", "verdict.grade"), ("flag", "verdict.flag")]
    for left, right in pairs:
        for form in OPERATORS if left in ("name", "born") else EQUALITY:
            yield f"record.{left} {form} record.{right}", _both(left, right, OPERATORS[form])


def _both(left: str, right: str, test: Callable[[Any, Any], bool]) -> Meaning:
    return lambda r: known(test, at(r, left), at(r, right))


def members() -> Iterator[tuple[str, Meaning]]:
    """Lists that are written out, lists with names, prefixes, statutes."""
    yield "record.amount in [0, 2]", lambda r: known(lambda v: v in (0, 2), r["amount"])
    yield 'record.grade in ["F1", "M1"]', lambda r: known(lambda v: v in ("F1", "M1"), r["grade"])
    yield 'record.born in ["1984-02-29"]', lambda r: known(lambda v: v == date(1984, 2, 29), r["born"])
    yield "record.name in lists.words", lambda r: known(lambda v: v in ("ab", "x'y"), r["name"])
    for prefix in ("a", "b", "é", "x'"):
        yield f'record.name.startsWith("{prefix}")', _starts(prefix)
    for path in ("cite", "counts"):
        for source, place in (('{} == "18 § 2702 §§ A1"', 0), ('{} in ["CC2702A1", "18.2503"]', 1)):
            if path == "cite":
                yield source.format("record.cite"), _cited(place)
    yield 'record.cite != "CC2702A1"', lambda r: negated(CITED.get(r["cite"], (None,))[0])
    yield "record.cite in lists.offences", lambda r: _offence(r["cite"], r["grade"])
    yield (
        "record.counts.exists(n, n.cite in lists.offences)",
        lambda r: _quantified(r, [_offence(n["cite"], n["grade"]) for n in r["counts"]]),
    )


def _starts(prefix: str) -> Meaning:
    return lambda r: known(lambda v: v.startswith(prefix), r["name"])


def _cited(place: int) -> Meaning:
    return lambda r: CITED.get(r["cite"], (None, None))[place]


def _offence(cite: str | None, grade: str | None) -> bool | None:
    """Judge the list: some of it counts at grade F1 only."""
    told = CITED.get(cite or "")
    if told is None:
        return None
    return some([told[2], every([told[3], known(lambda v: v == "F1", grade)])])


def truths() -> Iterator[tuple[str, Meaning]]:
    """Truth values, absence, and what joins conditions: on every pair of true, false and unknown."""
    for path in ("flag", "verdict.flag"):
        yield f"record.{path}", _held(path)
        yield f"!record.{path}", lambda r, path=path: negated(at(r, path))  # type: ignore[misc]
    yield "record.flag && record.verdict.flag", lambda r: every([r["flag"], at(r, "verdict.flag")])
    yield "record.flag || record.verdict.flag", lambda r: some([r["flag"], at(r, "verdict.flag")])
    yield "!(record.flag && record.verdict.flag)", lambda r: negated(every([r["flag"], at(r, "verdict.flag")]))
    yield "!(record.flag || record.verdict.flag)", lambda r: negated(some([r["flag"], at(r, "verdict.flag")]))
    yield "true", lambda _: True
    yield "false", lambda _: False
    for path in ("name", "cite", "grade", "amount", "flag", "born", "at", "verdict.grade", "verdict.born"):
        yield f"has(record.{path})", lambda r, path=path: at(r, path) is not None  # type: ignore[misc]
    yield "has(record.verdict)", lambda r: r["verdict"] is not None
    yield "has(record.counts)", lambda r: _quantified(r, [True for _ in r["counts"]])


def _held(path: str) -> Meaning:
    return lambda r: at(r, path)


def quantified() -> Iterator[tuple[str, Meaning]]:
    """What is asked of related rows, which may not all be known yet."""
    yield "record.counts.exists(n, n.flag)", lambda r: _quantified(r, [n["flag"] for n in r["counts"]])
    yield (
        "record.counts.all(n, n.flag)",
        lambda r: negated(_quantified(r, [negated(n["flag"]) for n in r["counts"]])),
    )
    yield (
        'record.counts.exists(n, n.amount > 0 && record.grade == "F1")',
        lambda r: _quantified(
            r,
            [every([known(lambda v: v > 0, n["amount"]), known(lambda v: v == "F1", r["grade"])]) for n in r["counts"]],
        ),
    )
    yield (
        'record.counts.exists(n, instruments.exists(i, i.person == record.person && i.kind == "judicial"))',
        lambda r: _quantified(r, [r["person"] == 1 for _ in r["counts"]]),
    )


def _quantified(record: dict[str, Any], judged: list[bool | None]) -> bool | None:
    found = some(judged)
    return found if found or record["flag"] is True else None


def covered() -> Iterator[tuple[str, Meaning]]:
    """Instruments, by person, kind and signer."""
    asked = "instruments.exists(i, i.person == record.person{})"
    yield asked.format(""), lambda r: r["person"] in (1, 2, 3)
    yield asked.format(' && i.kind == "judicial"'), lambda r: r["person"] == 1
    yield asked.format(' && i.signer == "state-judge"'), lambda r: r["person"] in (1, 2)
    yield (
        asked.format(' && i.signer == "state-judge" && i.kind in ["subpoena", "administrative"]'),
        lambda r: r["person"] == 2,
    )


def years() -> Iterator[tuple[str, Meaning]]:
    """Ages on the day of the decision, thirty days before it, and on the day of another field."""
    ends: list[tuple[str, Callable[[dict[str, Any]], date | None]]] = [
        ("today", lambda _: DAY),
        ("days_ago(30)", lambda _: date(2020, 1, 30)),
        ("record.at", lambda r: local(r["at"])),
        ("record.born", lambda r: r["born"]),
        ("record.verdict.born", lambda r: at(r, "verdict.born")),
    ]
    for start in ("born", "at"):
        for written, end in ends:
            for form in OPERATORS:
                for number in (0, 18):
                    yield f"years_between(record.{start}, {written}) {form} {number}", _aged(start, end, form, number)


def _aged(start: str, end: Callable[[dict[str, Any]], date | None], form: str, number: int) -> Meaning:
    return lambda r: known(lambda a, b: OPERATORS[form](age(a, b), number), local(r[start]), end(r))


def local(value: date | datetime | None) -> date | None:
    """Return a day as the city counts it."""
    return value.astimezone(ZONE).date() if isinstance(value, datetime) else value


def age(first: date, last: date) -> int:
    """Count birthdays."""
    return last.year - first.year - ((last.month, last.day) < (first.month, first.day))


CONDITIONS: list[tuple[str, Meaning]] = [
    *stated(),
    *between_fields(),
    *members(),
    *truths(),
    *quantified(),
    *covered(),
    *years(),
]


def conditions(root: Path) -> list[Condition]:
    """Read the conditions as the rules of a document, and put the day into them."""
    plain = {"permit": "read", "resource": "cases", "show": ["open"], "because": "So."}
    rules = [plain | {"id": f"c{number}", "rows": source} for number, (source, _) in enumerate(CONDITIONS)]
    small.write(root, small.document(rules))
    return [on_day(rule.rows, DAY, ZONE) for rule in load(root).documents["doc"].rules]


def test_each_construct_means_on_a_record_and_in_sql_what_is_written_beside_it(
    tmp_path: Path, catalogue: Catalogue, small_url: str, dialect: str
) -> None:
    """True, false and unknown: by the evaluator, and by both polarities of the SQL, on every sample."""
    resource, kind = catalogue.resources["cases"], Dialect(dialect)
    compiler = Compiler(resource, resource_source(resource, kind), Bindings({}))
    read = conditions(tmp_path)
    columns = [
        sa.case((test, 1), else_=0) for part in read for test in (compiler.is_true(part), compiler.is_false(part))
    ]
    statement = sa.select(compiler.source.base.key, *columns).select_from(compiler.source.joined)
    records = Records(small_url, 30)
    engine = sa.create_engine(small_url)
    small.fill(engine, catalogue, SAMPLES)
    with records.engine.connect() as connection:
        rows = connection.execute(statement, bind(compiler.bindings.covered, INSTRUMENTS, kind)).all()
    records.engine.dispose()
    engine.dispose()
    in_sql = {key: list(zip(flags[::2], flags[1::2], strict=True)) for key, *flags in rows}
    told = {True: (1, 0), False: (0, 1), None: (0, 0)}
    given = {sample.id: facts(sample, INSTRUMENTS) for sample in SAMPLES}
    for number, (source, meaning) in enumerate(CONDITIONS):
        judged: dict[str, bool | None] = {}
        for key, each in given.items():
            record: Any = each.variables["record"]
            # Records that are alike in all that the condition depends on are judged once; the database answers for all.
            alike = repr([value for name, value in record.items() if name in source or name in UNNAMED])
            if alike not in judged:
                judged[alike] = evaluate(read[number], each)
                assert judged[alike] is meaning(record), (source, record)
            assert in_sql[key][number] == told[judged[alike]], (source, record)


def test_without_a_person_it_is_unknown_whether_an_instrument_names_them(
    tmp_path: Path, catalogue: Catalogue, small_url: str, dialect: str
) -> None:
    """Also where there is no instrument at all, when no list holds anything."""
    resource, kind = catalogue.resources["cases"], Dialect(dialect)
    small.write(
        tmp_path, small.document([opens("a", "instruments.exists(i, i.person == record.person)", show=["open"])])
    )
    (rule,) = load(tmp_path).documents["doc"].rules
    compiler = Compiler(resource, resource_source(resource, kind), Bindings({}))
    flags = [sa.case((test, 1), else_=0) for test in (compiler.is_true(rule.rows), compiler.is_false(rule.rows))]
    engine = sa.create_engine(small_url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE c"))
        loose = small.C.to_metadata(sa.MetaData())
        loose.c.person.nullable = True
        loose.create(connection)
        connection.execute(
            loose.insert(), [{"id": 1, "person": None, "code": "a"}, {"id": 2, "person": 1, "code": "a"}]
        )
        statement = sa.select(*flags).select_from(compiler.source.joined).order_by(compiler.source.base.key)
        for instruments, second in ((INSTRUMENTS, (1, 0)), ((), (0, 1))):
            rows = connection.execute(statement, bind(compiler.bindings.covered, instruments, kind)).all()
            assert [tuple(row) for row in rows] == [(0, 0), second]
    engine.dispose()
    assert evaluate(rule.rows, Facts({"record": {"person": None}}, ())) is None
