"""Random regimes: what a client is allowed by policy documents and its agreement, and what the rules come to."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from random import Random
from typing import Any

from hypothesis import given, settings

from gateway.access import Agreement, Certification
from gateway.catalogue import Catalogue, Resource
from gateway.domains import Domain, Kind
from gateway.policy.bundle import Bundle, vocabulary
from gateway.policy.cel import Reader
from gateway.policy.check import check
from gateway.policy.condition import TRUE
from gateway.policy.document import Rule, Status, load
from gateway.policy.lists import NamedList
from gateway.policy.masks import Form
from gateway.strict_yaml import FileError
from tests.policy import small
from tests.policy.reference import ZONE, Law
from tests.world import agreement

# In the city it is still the evening of the day before, and of the year before.
MOMENT = datetime(2020, 1, 1, tzinfo=UTC)
DAY = MOMENT.astimezone(ZONE).date()
PURPOSES = ("looking", "counting")
CERTIFIED = "text/1"

ROWS = (
    *("true", "true", "record.flag", "!record.flag", 'record.grade in ["F1", "F2"]', "record.amount >= 1"),
    *('record.counts.exists(n, n.grade == "F1")', "record.counts.all(n, n.amount > 0)", "has(record.verdict)"),
    *('record.verdict.grade == "F1"', 'record.code < "b"', "years_between(record.born, today) < 30"),
    'instruments.exists(i, i.person == record.person && i.kind == "judicial")',
    'instruments.exists(i, i.person == record.person && i.kind == "judicial") || record.code < "b"',
)
DENIED = (
    *('record.name == "b"', "record.flag", "record.cite in lists.offences", "record.amount > 1"),
    *("record.counts.exists(n, n.cite in lists.offences)", "!has(record.verdict)"),
)
SUBJECTS: dict[str, Callable[[Agreement], bool]] = {
    "true": lambda _: True,
    'subject.agency == "ICE"': lambda agreed: agreed.agency == "ICE",
    'subject.mission == "looking" && !subject.criminal_justice_agency': lambda a: not a.criminal_justice_agency,
}


@dataclass(frozen=True, slots=True, eq=False)
class Regime:
    """A bundle, the agreement of the client that asks, and the law for each purpose that was agreed.

    `at_most` is the budget of the agreement, if there is one.
    """

    bundle: Bundle
    agreement: Agreement
    laws: Mapping[str, Law]
    at_most: int | None
    notices: tuple[str, ...]


@cache
def _vocabulary() -> tuple[Catalogue, list[NamedList]]:
    files = {"catalogue.yaml": small.CATALOGUE, "lists/words.yaml": small.WORDS, "lists/offences.yaml": small.OFFENCES}
    return vocabulary({name: text.encode() for name, text in files.items()})


def catalogue() -> Catalogue:
    """The small city's catalogue."""
    return _vocabulary()[0]


def cases() -> Resource:
    """The small city's one resource."""
    return catalogue().resources["cases"]


def regime(chance: Random) -> Regime:
    """Random documents that load, and an agreement under which some of them may apply."""
    masks = {path: chance.choice(forms) for path, forms in small.MASKS.items()}
    while True:
        stated = [_document(chance, "doc", masks)]
        if chance.random() < 0.3:
            stated.append(_document(chance, "other", masks) | chance.choice(_SPANS))
        try:
            bundle = _loaded(stated)
        except FileError:
            continue
        return _regime(bundle, {document["policy"]: document["subjects"] for document in stated}, _agreement(chance))


def _loaded(stated: list[dict[str, Any]]) -> Bundle:
    """Load and check documents, as `bundle.load_files` does, over a catalogue that is read but once."""
    known, lists = _vocabulary()
    reader = Reader(known, {each.name: each for each in lists})
    contents = {document["policy"]: json.dumps(document, ensure_ascii=False).encode() for document in stated}
    found = {name: load(content, f"{name}.yaml", known, reader) for name, content in contents.items()}
    digest = hashlib.sha256(b"".join(contents.values())).hexdigest()
    bundle = Bundle(known, found, {}, f"sha256:{digest}")
    check(bundle)
    return bundle


# What keeps a document from applying, or does not.
_SPANS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"status": "proposed"},
    {"effective": {"from": "2000-01-01", "until": DAY.isoformat()}},
    {"effective": {"from": "2000-01-01", "until": MOMENT.date().isoformat()}},
    {"replaces": ["doc"]},
)


@cache
def _conditions() -> tuple[str, ...]:
    """Some hundreds of the random conditions by which the two readings are held equal."""
    found: dict[str, None] = {}

    @settings(max_examples=400)
    @given(text=small.conditions(catalogue()))
    def collect(text: str) -> None:
        found[text] = None

    collect()
    return tuple(found)


def _rows(chance: Random, written: tuple[str, ...]) -> str:
    return chance.choice(_conditions() if chance.random() < 0.3 else written)


def _some(chance: Random, among: Sequence[str], least: int, most: int) -> list[str]:
    return chance.sample(among, chance.randint(least, most))


def _rules(chance: Random, masks: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """One to three permits, of fields in full and in a form, and some denials of rows, of fields and of precision."""

    def masked(least: int) -> dict[str, str]:
        return {path: masks[path] for path in _some(chance, sorted(masks), least, 2)}

    for number in range(chance.randint(1, 3)):
        rule = {"id": f"p{number}", "permit": "read", "rows": _rows(chance, ROWS), "mask": masked(0)}
        rule |= {"show": _some(chance, small.SHOWABLE, 2, 9)}
        if chance.random() < 0.1:
            rule["pointer"] = f"Ask office {number}"
        if chance.random() < 0.1:
            rule["certification"] = CERTIFIED
        yield rule
    if chance.random() < 0.3:
        yield {"id": "gone", "deny": "read", "rows": _rows(chance, DENIED)}
    for number in range(chance.choice((0, 0, 1, 2))):
        rule = {"id": f"f{number}", "deny": "read", "rows": _rows(chance, (*DENIED, "true"))}
        if chance.random() < 0.5:
            yield rule | {"fields": _some(chance, small.SHOWABLE[1:], 1, 3)}
        else:
            yield rule | {"mask": masked(1)}


def _document(chance: Random, name: str, masks: Mapping[str, str]) -> dict[str, Any]:
    rules = []
    for rule in _rules(chance, masks):
        purposes = {"purposes": [chance.choice(PURPOSES)]} if chance.random() < 0.1 else {}
        stated = {member: value for member, value in rule.items() if value != {}}
        rules.append({"resource": "cases", "because": "So."} | stated | purposes)
    obligations: list[dict[str, Any]] = []
    if chance.random() < 0.4:
        obligations.append({"persons": {"at-most": chance.randint(1, 5), "per": "day"}})
    if chance.random() < 0.3:
        obligations.append({"notice": "Tell nobody."})
    made: dict[str, Any] = json.loads(small.document(rules, obligations, name))
    return made | {"subjects": chance.choice(("true", "true", *SUBJECTS))}


def _agreement(chance: Random) -> Agreement:
    purposes = chance.choice(({"looking"}, {"looking"}, {"looking", "counting"}))
    signed = Certification("looking", CERTIFIED, "A. Signer", "0" * 64, date(2019, 1, 1), date(2021, 1, 1))
    return agreement(
        "one",
        chance.choice(("ICE", "ICE", "FBI")),
        mission="looking",
        purposes=frozenset(purposes),
        version=2,
        certifications=chance.choice(((), (signed,))),
    )


# --- what the rules come to -------------------------------------------------------------------------------------


def _regime(bundle: Bundle, subjects: Mapping[str, str], agreed: Agreement) -> Regime:
    live = [
        document
        for document in bundle.documents.values()
        if document.status is not Status.PROPOSED
        and document.starts <= DAY
        and (document.until is None or document.until > DAY)
    ]
    replaced = {name for document in live for name in document.replaces}
    applying = [d for d in live if d.name not in replaced and SUBJECTS[subjects[d.name]](agreed)]
    rules = [rule for document in applying for rule in document.rules]
    budgets = [budget.at_most for document in applying for budget in document.obligations.budgets]
    return Regime(
        bundle=bundle,
        agreement=agreed,
        laws={purpose: _law(rules, agreed, purpose) for purpose in sorted(agreed.purposes)},
        at_most=min(budgets, default=None),
        notices=tuple(notice for document in applying for notice in document.obligations.notices),
    )


def _law(rules: list[Rule], agreed: Agreement, purpose: str) -> Law:
    certified = {each.text for each in agreed.certifications if each.purpose == purpose}
    return Law(
        tuple(
            rule
            for rule in rules
            if (rule.purposes is None or purpose in rule.purposes) and rule.certification in ("", *certified)
        ),
        catalogue(),
        DAY,
    )


def opens(law: Law) -> bool:
    """Whether the law gives any view: some field of some rows, or where to ask about them."""
    total = any(rule.denies_rows and rule.rows == TRUE for rule in law.denials)
    shows = any(law.holds(path) for path, _ in cases().paths())
    return bool(law.permits) and not total and (shows or any(rule.pointer for rule in law.permits))


def domain(law: Law, path: str) -> Domain:
    """Return the values by which a field of the view is compared; a pseudonym has none that can be named."""
    mask = law.mask_of(path)
    field = cases().field(path)
    if mask is None or not law.masks(path):
        return field.domain
    return Domain(Kind.KEY) if mask.form is Form.PSEUDONYM else mask.domain(cases())
