"""Two implementations of CEL judge the same text alike: random conditions, and every rule that ships."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import event, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gateway.access import Action, Instrument, Search, Subject
from gateway.catalogue import Catalogue, Resource
from gateway.plan.planner import Planner
from gateway.policy.archive import read_directory
from gateway.policy.bundle import Bundle, load, vocabulary
from gateway.policy.cel import Reader
from gateway.policy.compose import Deny, Occasion, Permit, compose
from gateway.policy.condition import RECORD, SUBJECT
from gateway.policy.days import on_day
from gateway.policy.document import Document
from gateway.policy.evaluate import Facts, evaluate
from gateway.policy.statutes import parse
from gateway.policy.tables import Dialect
from gateway.policy.view import View
from gateway.records.query import Records, Row
from gateway.seed import seed
from gateway.strict_yaml import Place, Text
from tests.policy import reference, small
from tests.policy.second_judge import Judge, ListFile, statute
from tests.world import POLICIES, agreement

INSTRUMENTS = (
    Instrument("1", 1, "judicial", "state-judge"),
    Instrument("2", 2, "subpoena", "state-judge"),
    Instrument("3", 3, "administrative", "dhs-officer"),
)
DAYS = st.sampled_from([date(2020, 1, 1), date(2020, 2, 29), date(2019, 2, 28), date(2014, 11, 2)])


def written(text: str) -> Any:
    """Read YAML as anyone would."""
    return YAML(typ="safe", pure=True).load(text)


# --- random conditions on random records ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Small:
    """The small city's records, and what reads conditions on them."""

    resource: Resource
    reader: Reader


@pytest.fixture(scope="session")
def little(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The small city."""
    root = tmp_path_factory.mktemp("lists")
    small.write(root)
    named = vocabulary(read_directory(root))[1]
    return Small(catalogue.resources["cases"], Reader(catalogue, {each.name: each for each in named}))


SMALL_LISTS: dict[str, ListFile] = {"words": written(small.WORDS), "offences": written(small.OFFENCES)}


def both_judge_alike(sources: Iterable[str], records: list[small.Case], city: Small, day: date) -> None:
    """Hold the evaluator and celpy to each other."""
    resource = city.resource
    given = [reference.facts(case, INSTRUMENTS) for case in records]
    judge = Judge(resource, SMALL_LISTS, day)
    for source in sources:
        condition = on_day(city.reader.rows(Text(Place("t", 1, 1), source), resource), day, resource.zone)
        ours = [evaluate(condition, facts) for facts in given]
        event(f"{sorted(map(str, set(ours)))}")
        assert list(zip(ours, given, strict=True)) == list(zip(judge.judge(source, given), given, strict=True)), source


@pytest.mark.property
@given(data=st.data())
def test_the_evaluator_and_celpy_judge_alike(data: st.DataObject, catalogue: Catalogue, little: Small) -> None:
    """With nulls, absent parents, incomplete relations, statutes, days and instruments: true, false and unknown."""
    records = data.draw(small.cases(catalogue, least=6, most=12))
    sources = data.draw(st.lists(small.conditions(catalogue), min_size=3, max_size=6))
    both_judge_alike(sources, records, little, data.draw(DAYS))


OPERATORS = ("==", "!=", "<", "<=", ">", ">=")
# What chance may leave out: each operator on each kind, from both sides; each list; each way to speak of a day.
CONSTRUCTS = (
    *(f"{left} {operator} {right}" for left, right in (
        ("record.name", '"b"'), ('"b"', "record.name"), ("record.name", "record.code"), ("2", "record.amount"),
        ("record.born", '"1984-02-29"'), ('"2001-12-31"', "record.born"), ("record.born", "record.verdict.born"),
        ('timestamp("2014-03-09T07:00:00Z")', "record.at"), ("record.at", "midnight(today)"),
        ("days_ago(7306)", "record.born"), ("years_between(record.born, today)", "18"),
        ("17", "years_between(record.born, record.at)"), ("years_between(record.at, days_ago(30))", "5"),
    ) for operator in OPERATORS),
    *(f"{path} {asked}" for path in ("record.cite",) for asked in (
        '== "CC2702A1"', '!= "18 § 2702 §§ A1"', 'in ["75 § 3802", "CC2503B"]', "in lists.offences",
    )),
    "record.counts.exists(n, n.cite in lists.offences)",
    "record.counts.all(n, n.cite in lists.offences)",
    'record.counts.all(n, n.cite != "18.2702.A1" || record.verdict.flag)',
    "record.counts.exists(n, n.grade == record.grade && n.name in lists.words)",
    "has(record.counts)", "!has(record.counts)", "has(record.verdict)", "has(record.verdict.grade)",
    'record.verdict.grade in ["F1", "M1"]', 'record.name.startsWith("x\'")', "record.flag != true",
    'instruments.exists(i, i.kind in ["judicial", "subpoena"] && i.person == record.person)',
)  # fmt: skip


@pytest.mark.property
@settings(max_examples=5)
@given(data=st.data())
def test_every_construct_is_judged_alike(data: st.DataObject, catalogue: Catalogue, little: Small) -> None:
    """None is left to chance; a leap day is the hardest to count years from."""
    both_judge_alike(CONSTRUCTS, data.draw(small.cases(catalogue, least=20, most=30)), little, date(2020, 2, 29))


@pytest.mark.property
@given(text=small.CITED | st.text("18. §2C-A[a\n", max_size=16))
def test_two_readers_of_statutes_read_alike(text: str) -> None:
    """One by patterns, one by splitting the text."""
    found = parse(text)
    assert statute(text) == (found and (found.title, found.section, found.subsection or ""))


# --- the rules that ship, on the invented arrests ---------------------------------------------------------------

ARRESTS = 200
DAY = date(2014, 6, 1)
SHIPPED_LISTS: dict[str, ListFile] = {
    path.stem.replace("-", "_"): written(path.read_text()) for path in (POLICIES / "lists").glob("*.yaml")
}
# What the invented database never holds: a conviction whose statute is missing, or can't be read.
GAPS = (
    "UPDATE release_conviction SET statute = NULL WHERE arrest_id % 8 = 3",
    "UPDATE release_conviction SET statute = 'ARREST PRIOR TO REQ' WHERE arrest_id % 8 = 1",
)


class Celpy:
    """Judges a rule's text once: celpy is slow, and the records are the same on both databases."""

    def __init__(self, resource: Resource) -> None:
        self._judge = Judge(resource, SHIPPED_LISTS, DAY)
        self._found: dict[str, tuple[tuple[Facts, ...], list[bool | None]]] = {}

    def judge(self, source: str, facts: tuple[Facts, ...]) -> list[bool | None]:
        """Return what celpy says of each record."""
        before, found = self._found.get(source, ((), []))
        if before != facts:
            found = self._judge.judge(source, facts)
            self._found[source] = facts, found
        return found


@dataclass(frozen=True, slots=True)
class City:
    """The policy that ships over an invented database, of which every record is known."""

    bundle: Bundle
    resource: Resource
    records: Records
    planner: Planner
    everything: View
    facts: tuple[Facts, ...]
    instruments: tuple[Instrument, ...]
    celpy: Celpy

    def count(self, view: View) -> int:
        """Ask the database how many records a view holds."""
        return self.records.row(self.planner.count(view, self.instruments))[0]


@pytest.fixture(scope="session")
def shipped() -> Bundle:
    """The policy that ships."""
    return load(POLICIES)


@pytest.fixture(scope="session")
def celpy(shipped: Bundle) -> Celpy:
    """The second judge of the invented arrests."""
    return Celpy(shipped.catalogue.resources["arrests"])


@pytest.fixture
def city(dialect: str, request: pytest.FixtureRequest, tmp_path: Path, shipped: Bundle, celpy: Celpy) -> Iterator[City]:
    """The invented arrests, with judicial warrants for half of those who were convicted."""
    server = request.getfixturevalue("postgres") if dialect == "postgresql" else None
    name = server.create() if server else ""
    url = server.url(name) if server else f"sqlite:///{tmp_path / 'arrests.db'}"
    seed(url, year=2014, arrests=ARRESTS, seed=7)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in GAPS:
            connection.execute(sa.text(statement))
    engine.dispose()
    records = Records(url, 5)
    resource = shipped.catalogue.resources["arrests"]
    planner = Planner(resource, Dialect(dialect))
    everything = opened((shipped.documents["ph-2008"],), shipped, Action.READ, "immigration-enforcement")
    assert isinstance(everything, Permit)
    question = Search("arrests", "immigration-enforcement", None, None, (), (), 2 * ARRESTS, None)
    rows = records.query(planner.search(everything.view, question, (), None))
    convicted = sorted({row.person or 0 for row in rows if row.present["release_conviction"]})
    instruments = tuple(
        Instrument(str(person), person, ("judicial", "administrative")[number % 2], "state-judge")
        for number, person in enumerate(convicted)
    )
    facts = tuple(known(row, resource, instruments) for row in rows)
    assert len(facts) == ARRESTS
    yield City(shipped, resource, records, planner, everything.view, facts, instruments, celpy)
    records.engine.dispose()
    if server:
        server.drop(name)


def opened(documents: tuple[Document, ...], bundle: Bundle, action: Action, purpose: str) -> Permit | Deny:
    """Join documents as if all applied, with whatever they want certified."""
    certified = frozenset(rule.certification for document in documents for rule in document.rules)
    return compose(documents, Occasion(action, "arrests", purpose, certified, DAY), bundle)


def known(row: Row, resource: Resource, instruments: tuple[Instrument, ...]) -> Facts:
    """Tell a row of the view that shows everything as a record."""
    record: dict[str, object] = {**{name: row.cells.get(name) for name in resource.fields}, "person": row.person}
    for name, relation in resource.relations.items():
        if relation.many:
            record[name] = row.related[name] or ()
        else:
            cells = {field: row.cells[f"{name}.{field}"] for field in relation.fields}
            record[name] = cells if row.present[name] else None
    return Facts({RECORD: record}, instruments)


def rules_of(document: Document) -> list[Mapping[str, Any]]:
    """Read a document's rules from its file, as anyone would."""
    rules: list[Mapping[str, Any]] = written((POLICIES / document.place.file).read_text())["rules"]
    return rules


def judged(city: City, rule: Mapping[str, Any]) -> list[bool | None]:
    """Let celpy judge a rule's rows; a rule without is for all."""
    return city.celpy.judge(rule.get("rows", "true"), city.facts)


def test_every_rule_that_ships_is_judged_alike_by_all(city: City) -> None:
    """Evaluator, celpy and the database say the same of each invented arrest: true, false or unknown."""
    seen: set[bool | None] = set()
    for document in city.bundle.documents.values():
        for rule, raw in zip(document.rules, rules_of(document), strict=True):
            condition = on_day(rule.rows, DAY, city.resource.zone)
            ours = [evaluate(condition, facts) for facts in city.facts]
            assert ours == judged(city, raw), rule.name
            seen.update(ours)
            # A permit counts where it is true, a denial spares what is false: two counts tell the three judgements.
            permitted = replace(city.everything, rows=condition, opened=condition)
            spared = replace(city.everything, denials=(condition,))
            assert (city.count(permitted), city.count(spared)) == (ours.count(True), ours.count(False)), rule.name
    assert seen == {True, False, None}


def test_every_document_that_ships_opens_what_its_text_says(city: City) -> None:
    """For each operation and purpose, the database counts what celpy finds in the files' own words."""
    expunged = city.bundle.documents["pa-expunged"]
    opens = 0
    for document in city.bundle.documents.values():
        for together in ((document,), (document, expunged)):
            rules = [(rule, judged(city, rule)) for each in together for rule in rules_of(each)]
            for action, purpose in product(Action, city.bundle.catalogue.purposes):
                visible = seen_by(rules, action, purpose)
                decision = opened(together, city.bundle, action, purpose)
                assert visible == (0 if isinstance(decision, Deny) else city.count(decision.view)), document.name
                opens += visible
    assert opens > 0


def seen_by(rules: list[tuple[Mapping[str, Any], list[bool | None]]], action: str, purpose: str) -> int:
    """Count the records that a permit's rows are true of, and every denial's rows are false of."""
    concerned = [
        (rule, found)
        for rule, found in rules
        if rule.get("permit", rule.get("deny")) == action and purpose in rule.get("purposes", [purpose])
    ]
    permits = [found for rule, found in concerned if "permit" in rule]
    denials = [found for rule, found in concerned if denies_rows(rule)]
    records = range(len(rules[0][1]))
    return sum(
        any(found[n] is True for found in permits) and all(found[n] is False for found in denials) for n in records
    )


def denies_rows(rule: Mapping[str, Any]) -> bool:
    """Whether a rule withholds whole records."""
    return "deny" in rule and not rule.keys() & {"fields", "mask"}


def test_both_judges_find_the_same_subjects(shipped: Bundle) -> None:
    """Which documents apply to whom."""
    judge = Judge(shipped.catalogue.resources["arrests"], {}, DAY)
    asking = [
        Facts({SUBJECT: Subject("x", agreement("x", agency, mission=mission)).attributes()})
        for agency in ("ICE", "FBI", "ATF", "PPD")
        for mission in shipped.catalogue.missions
    ]
    for document in shipped.documents.values():
        subjects = written((POLICIES / document.place.file).read_text())["subjects"]
        assert [evaluate(document.subjects, facts) for facts in asking] == judge.judge(subjects, asking)
