"""A small city of its own: a catalogue, tables that hold anything, random records, policies and questions about them.

`reference` says what a policy comes to here, one record at a time.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st

from gateway.catalogue import Catalogue, Field
from gateway.domains import DAYS, Domain, Kind

CATALOGUE = """
catalogue: small
title: A small city
time_zone: America/New_York
purposes: {looking: To look, counting: To count}
missions: {looking: To look}
classes: {open: Anyone's, closed: Nobody's}
resources:
  cases:
    table: c
    key: id
    person: person
    fields:
      person: {column: person, type: key, class: open, enforced: true, required: true}
      name: {column: name, type: text, most: 12, class: open, coarser: [code, grade]}
      cite: {column: cite, type: statute, most: 24, class: open}
      code: {column: code, type: text, most: 6, class: open, enforced: true, required: true}
      grade: {column: grade, type: code, codes: [F1, F2, M1], class: open}
      amount: {column: amount, type: integer, low: -5, high: 50, class: open}
      flag: {column: flag, type: boolean, class: open}
      born: {column: born, type: date, class: closed, age_at: at}
      at: {column: at, type: timestamp, class: closed}
    names: {family: name, given: code, born: born}
    relations:
      verdict:
        many: false
        table: v
        match: id
        fields:
          grade: {column: grade, type: code, codes: [F1, F2, M1], class: open}
          born: {column: born, type: date, class: closed}
          flag: {column: flag, type: boolean, class: open}
      counts:
        many: true
        table: n
        match: id
        key: n_id
        order: amount
        at_most: 3
        complete_when: flag
        fields:
          grade: {column: grade, type: code, codes: [F1, F2, M1], class: open}
          amount: {column: amount, type: integer, low: -5, high: 50, class: open}
          name: {column: name, type: text, most: 12, class: closed}
          cite: {column: cite, type: statute, most: 24, class: open}
          flag: {column: flag, type: boolean, class: open}
"""

WORDS = """
list: words
title: Words
kind: words
source: invented
confidence: high
members: [ab, "x'y"]
"""

OFFENCES = """
list: offences
title: Offences
kind: statutes
source: invented
confidence: high
members: ["18.2702.A1"]
sections: ["18 § 2503"]
graded:
  - {grades: [F1], members: [CC2717B2], sections: ["75.3802"]}
"""

EVERYTHING = {
    "id": "all",
    "permit": "read",
    "resource": "cases",
    "show": ["open", "closed"],
    "because": "So.",
}

metadata = sa.MetaData()
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
C = sa.Table(
    "c",
    metadata,
    sa.Column("id", _INTEGER, primary_key=True, autoincrement=False),
    sa.Column("person", _INTEGER, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("cite", sa.Text),
    sa.Column("code", sa.String(6), nullable=False),
    sa.Column("grade", sa.Text),
    sa.Column("amount", sa.BigInteger),
    sa.Column("flag", sa.Boolean),
    sa.Column("born", sa.Date),
    sa.Column("at", sa.DateTime(timezone=True)),
)
V = sa.Table(
    "v",
    metadata,
    sa.Column("id", _INTEGER, primary_key=True, autoincrement=False),
    sa.Column("grade", sa.Text),
    sa.Column("born", sa.Date),
    sa.Column("flag", sa.Boolean),
)
N = sa.Table(
    "n",
    metadata,
    sa.Column("n_id", _INTEGER, primary_key=True, autoincrement=False),
    sa.Column("id", sa.BigInteger),
    sa.Column("grade", sa.Text),
    sa.Column("amount", sa.BigInteger),
    sa.Column("name", sa.Text),
    sa.Column("cite", sa.Text),
    sa.Column("flag", sa.Boolean),
)


@dataclass(frozen=True, slots=True)
class Defect:
    """A value that its column holds and its domain does not; the number chooses which."""

    number: int


_DEFECTS: dict[str, dict[Kind, tuple[object, ...]]] = {
    "sqlite": {
        Kind.TEXT: ("x" * 13, b"\xff", "a\0b"),
        Kind.STATUTE: ("x" * 25, b"18.2702.A1\xff"),
        Kind.CODE: ("F9", "", 3),
        Kind.INTEGER: (51, -6, "many", 1.5),
        Kind.BOOLEAN: (2, "true"),
        Kind.DATE: ("unknown", "2014-02-30", "1849-12-31", 20140101, "2014-1-1"),
        Kind.TIMESTAMP: (
            "now",
            "2014-02-30 00:00:00.000000",
            "2014-01-01T00:00:00Z",
            "1899-12-31 23:59:59.999999",
        ),
    },
    "postgresql": {
        Kind.TEXT: ("x" * 13,),
        Kind.STATUTE: ("18.2702.A1" + "x" * 20,),
        Kind.CODE: ("F9", ""),
        Kind.INTEGER: (51, -6, 2**62),
        Kind.BOOLEAN: (None,),
        Kind.DATE: ("infinity", "-infinity", "0044-03-15 BC", "10000-01-01"),
        Kind.TIMESTAMP: ("infinity", "-infinity", "0044-03-15 00:00:00+00 BC", "10000-01-01 00:00:00+00"),
    },
}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A record as the tables hold it: values, None, or defects."""

    id: int
    person: int
    values: Row
    verdict: Row | None
    counts: tuple[Row, ...] = ()


# --- random values ----------------------------------------------------------------------------------------------

_TEXTS = (
    *("", "a", "ab", "AB", "b", "b.1", "b/", "ba", "x'y", "100%", "_", "é", "e\u0301b", "EB", "Ünï", "Æsir", "ßa"),
    *("SSA", "жук", "z\U0001f600", '"', "\\"),
)
_CITED = (
    *("18.2702.A1", "18 § 2702 §§ A1", "CC2702A1", "18.2702", "18.2702.1.A1", "18.2702A1", "18.2702.a"),
    *("18.2503", "18 § 2503", "CC2503B", "18.2503.A1", "18 § 2503 §§ Z", "18.2503.1.A", "CC2503.1A", "18.25031"),
    *("CC2717B2", "18.2717.B2", "75 § 3802 §§ A", "75.3802", "75.38021.A", "CC3802A"),
    *("18.2503.A\nB", "18.2503\n", "18.2503.", "18..2503.A", "18.2503-.A", " 18.2503", "18 § 2503 A", "CC", "A", ""),
    *("18.2702.Á", "18.2702.[", "٣.2702.A1", "2702A1", "cc2702a1", "18.2702.A1'", "18 § 2503 §§ ", "18.2702.A%"),
)
CHOICES: dict[Kind, tuple[Any, ...]] = {
    Kind.TEXT: _TEXTS,
    Kind.STATUTE: _CITED,
    Kind.CODE: ("F1", "F2", "M1"),
    Kind.INTEGER: (-5, 0, 1, 2, 50),
    Kind.BOOLEAN: (False, True),
    Kind.DATE: (
        *(date(1850, 1, 1), date(1984, 2, 29), date(1984, 3, 1), date(1990, 12, 31)),
        *(date(2001, 12, 31), date(2002, 3, 1), date(2019, 12, 1), date(2199, 12, 31)),
    ),
    Kind.TIMESTAMP: (
        datetime(2014, 3, 9, 6, 59, 59, tzinfo=UTC),
        datetime(2014, 3, 9, 7, tzinfo=UTC),
        datetime(2014, 11, 2, 6, 0, 0, 1, tzinfo=UTC),
        datetime(2002, 3, 1, 4, 59, 59, tzinfo=UTC),
        datetime(2002, 3, 1, 5, tzinfo=UTC),
        datetime(2019, 12, 31, 5, tzinfo=UTC),
    ),
}
VALUES = {kind: st.sampled_from(choices) for kind, choices in CHOICES.items()}
TEXTS, CITED = VALUES[Kind.TEXT], VALUES[Kind.STATUTE]


def cell(kind: Kind) -> st.SearchStrategy[Any]:
    """A value, a null or a defect."""
    return st.one_of(VALUES[kind], VALUES[kind], st.none(), st.builds(Defect, st.integers(0, 9)))


def _row(fields: Mapping[str, Field]) -> st.SearchStrategy[Row]:
    return st.fixed_dictionaries(
        {
            name: VALUES[f.domain.kind] if f.required else cell(f.domain.kind)
            for name, f in fields.items()
            if name != "person"
        }
    )


def cases(catalogue: Catalogue, first: int = 1, least: int = 2, most: int = 9) -> st.SearchStrategy[list[Case]]:
    """Random records, with few persons, so that some have several."""
    resource = catalogue.resources["cases"]
    verdict = _row(resource.relations["verdict"].fields)
    parts = st.tuples(
        st.integers(1, 4),
        _row(resource.fields),
        st.none() | verdict,
        st.lists(_row(resource.relations["counts"].fields), max_size=4).map(tuple),
    )
    return st.lists(parts, min_size=least, max_size=most).map(
        lambda made: [Case(first + i, *part) for i, part in enumerate(made)]
    )


# --- random conditions, as CEL ----------------------------------------------------------------------------------


def _literal(kind: Kind, value: Any) -> str:
    match kind:
        case Kind.TIMESTAMP:
            return f'timestamp("{value.isoformat()}")'
        case Kind.DATE:
            return f'"{value.isoformat()}"'
        case Kind.BOOLEAN:
            return "true" if value else "false"
        case _:
            return json.dumps(value, ensure_ascii=False)


_ORDERED = (Kind.TEXT, Kind.INTEGER, Kind.DATE, Kind.TIMESTAMP)


@st.composite
def _comparison(draw: st.DrawFn, variable: str, fields: Mapping[str, Field]) -> str:
    name = draw(st.sampled_from([n for n, f in fields.items() if f.domain.kind is not Kind.KEY]))
    kind, reference = fields[name].domain.kind, f"{variable}.{name}"
    forms = ["==", "!=", "in", "has", *(["<", "<=", ">", ">="] if kind in _ORDERED else [])]
    forms += ["truth"] if kind is Kind.BOOLEAN else []
    forms += ["prefix", "list"] if kind is Kind.TEXT else []
    forms += ["list", "list"] if kind is Kind.STATUTE else []
    forms += ["day", "years", "years"] if kind in DAYS else []
    same = [n for n, f in fields.items() if f.domain.kind is kind and n != name and kind is not Kind.STATUTE]
    forms += ["field"] if same else []
    form = draw(st.sampled_from(forms))
    match form:
        case "has":
            return f"has({reference})"
        case "truth":
            return reference
        case "in":
            values = draw(st.lists(_stated(kind), min_size=1, max_size=3))
            return f"{reference} in [{', '.join(_literal(kind, value) for value in values)}]"
        case "prefix":
            prefix = draw(TEXTS.filter(bool))
            return f"{reference}.startsWith({json.dumps(prefix, ensure_ascii=False)})"
        case "list":
            return f"{reference} in lists.{'words' if kind is Kind.TEXT else 'offences'}"
        case "day":
            day = draw(st.sampled_from(["today", "days_ago(30)", "days_ago(6574)"]))
            stated = f"midnight({day})" if kind is Kind.TIMESTAMP else day
            return f"{reference} {draw(st.sampled_from(['==', '<', '>=']))} {stated}"
        case "years":
            until = draw(st.sampled_from(["today", "record.at", "record.born", "days_ago(30)"]))
            operator = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
            return f"years_between({reference}, {until}) {operator} {draw(st.sampled_from([0, 1, 17, 18, 30]))}"
        case "field":
            return f"{reference} == {variable}.{draw(st.sampled_from(same))}"
        case _:
            return f"{reference} {form} {_literal(kind, draw(_stated(kind)))}"


def _stated(kind: Kind) -> st.SearchStrategy[Any]:
    """Values that a document can state: a statute must be one."""
    return st.sampled_from(["18.2702.A1", "CC2503B", "75 § 3802"]) if kind is Kind.STATUTE else VALUES[kind]


def conditions(catalogue: Catalogue) -> st.SearchStrategy[str]:
    """Random conditions on a record, as a lawyer would write them."""
    resource = catalogue.resources["cases"]
    counts, verdict = resource.relations["counts"].fields, resource.relations["verdict"].fields
    one = _comparison("record", resource.fields)
    leaves = [
        one,
        one,
        _comparison("record.verdict", verdict),
        st.sampled_from(["has(record.verdict)", "has(record.counts)", "true", "false"]),
        st.sampled_from(
            [
                'instruments.exists(i, i.person == record.person && i.kind == "judicial")',
                (
                    'instruments.exists(i, record.person == i.person && i.signer == "state-judge" '
                    '&& i.kind in ["judicial"])'
                ),
            ]
        ),
    ]
    inner = _joined(
        st.one_of(_comparison("n", counts), _comparison("n", counts), _comparison("record", resource.fields))
    )
    leaves.append(st.builds("record.counts.{}(n, {})".format, st.sampled_from(["exists", "all"]), inner))
    return _joined(st.one_of(*leaves))


def _joined(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds("!({})".format, inner),
            st.builds("({} && {})".format, inner, inner),
            st.builds("({} || {})".format, inner, inner),
        ),
        max_leaves=5,
    )


# --- random policies --------------------------------------------------------------------------------------------

SHOWABLE = (
    "person",
    "name",
    "code",
    "grade",
    "amount",
    "flag",
    "born",
    "at",
    "verdict",
    "counts",
    "counts.grade",
    "verdict.flag",
)


MASKS = {
    "born": ("year", "age-band"),
    "name": ("first-letter", "last-four", "pseudonym", "code", "grade"),
    "code": ("first-letter", "last-four"),
    "verdict.born": ("year",),
    "counts.name": ("first-letter", "last-four", "pseudonym"),
}


@st.composite
def policies(draw: st.DrawFn, catalogue: Catalogue) -> str:
    """A random document: permits of different fields, denials of rows, denials and masks of fields in some rows."""
    condition = conditions(catalogue).filter(lambda text: text != "false")
    masks = {path: draw(st.sampled_from(forms)) for path, forms in MASKS.items()}
    shown = st.lists(st.sampled_from(SHOWABLE), min_size=1, unique=True)
    masked = st.dictionaries(st.sampled_from(sorted(masks)), st.none(), max_size=2).map(
        lambda chosen: {path: masks[path] for path in chosen}
    )
    plain: dict[str, Any] = {"resource": "cases", "because": "So."}
    alike = draw(st.booleans())
    first = {"show": draw(shown), "mask": draw(masked)}
    rules = []
    for number in range(draw(st.integers(1, 3))):
        gives = first if alike else {"show": draw(shown), "mask": draw(masked)}
        rule = plain | gives | {"id": f"p{number}", "permit": "read", "rows": draw(condition)}
        if draw(st.integers(0, 5)) == 0:
            rule["pointer"] = f"Ask office {number}"
        rules.append(rule)
    if draw(st.booleans()):
        rules.append(plain | {"id": "gone", "deny": "read", "rows": draw(condition)})
    for number in range(draw(st.integers(0, 2))):
        fields = draw(st.lists(st.sampled_from(SHOWABLE[1:]), min_size=1, max_size=3, unique=True))
        rows = draw(st.one_of(condition, condition, st.just("true")))
        limit = {"fields": fields} if draw(st.booleans()) else {"mask": draw(masked)}
        rules.append(plain | {"id": f"f{number}", "deny": "read", "rows": rows} | limit)
    # An empty `mask` would say nothing; a denial without fields would deny rows.
    return document([{k: v for k, v in rule.items() if v != {}} for rule in rules])


def document(
    rules: Sequence[Mapping[str, Any]], obligations: Sequence[Mapping[str, Any]] = (), name: str = "doc"
) -> str:
    """Write a document; JSON is YAML."""
    made: dict[str, Any] = {
        "policy": name,
        "title": "A document",
        "status": "in-force",
        "authority": {"instrument": "none", "source": "invented", "confidence": "high"},
        "effective": {"from": "2000-01-01"},
        "subjects": "true",
        "rules": list(rules),
    }
    if obligations:
        made["obligations"] = list(obligations)
    return json.dumps(made, ensure_ascii=False)


def write(root: Path, *documents: str) -> None:
    """Write a directory of policies."""
    (root / "lists").mkdir(parents=True, exist_ok=True)
    (root / "catalogue.yaml").write_text(CATALOGUE, encoding="utf-8")
    (root / "lists" / "words.yaml").write_text(WORDS, encoding="utf-8")
    (root / "lists" / "offences.yaml").write_text(OFFENCES, encoding="utf-8")
    for text in documents:
        name = json.loads(text)["policy"]
        (root / f"{name}.yaml").write_text(text, encoding="utf-8")


# --- the tables -------------------------------------------------------------------------------------------------


def fill(engine: sa.Engine, catalogue: Catalogue, records: Sequence[Case]) -> None:
    """Put the records, defects and all, into empty tables."""
    resource = catalogue.resources["cases"]
    dialect = engine.dialect.name
    with engine.begin() as connection:
        if dialect == "sqlite":
            for table in (C, V, N):
                connection.execute(table.delete())
        else:
            connection.execute(sa.text("TRUNCATE c, v, n"))
        rows: dict[str, list[Row]] = {"c": [], "v": [], "n": []}
        for record in records:
            own = _columns(record.values, resource.fields, dialect)
            rows["c"].append({"id": record.id, "person": record.person} | own)
            if record.verdict is not None:
                verdict = _columns(record.verdict, resource.relations["verdict"].fields, dialect)
                rows["v"].append({"id": record.id} | verdict)
            for each in record.counts:
                number = {"n_id": len(rows["n"]) + 1, "id": record.id}
                rows["n"].append(number | _columns(each, resource.relations["counts"].fields, dialect))
        for name, filled in rows.items():
            if filled:
                connection.execute(_insertion(name, dialect), filled)


def _columns(row: Row, fields: Mapping[str, Field], dialect: str) -> Row:
    return {name: _stored(value, fields[name].domain.kind, dialect) for name, value in row.items()}


@lru_cache
def _insertion(name: str, dialect: str) -> sa.TextClause:
    """Write an insertion that lets a text stand for any value of its column, as defects do."""
    columns = metadata.tables[name].columns
    speaking = sa.create_mock_engine(f"{dialect}://", lambda *_: None).dialect
    cast = dialect == "postgresql"
    marks = [f"CAST(:{c.name} AS {c.type.compile(speaking)})" if cast else f":{c.name}" for c in columns]
    return sa.text(f"INSERT INTO {name} ({', '.join(c.name for c in columns)}) VALUES ({', '.join(marks)})")


def _stored(value: Any, kind: Kind, dialect: str) -> object:
    if isinstance(value, Defect):
        choices = _DEFECTS[dialect][kind]
        return choices[value.number % len(choices)]
    if dialect == "sqlite" and isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")
    if dialect == "sqlite" and isinstance(value, date):
        return value.isoformat()
    return value


def domain_of(catalogue: Catalogue, path: str) -> Domain:
    """Return a path's domain."""
    return catalogue.resources["cases"].field(path).domain
