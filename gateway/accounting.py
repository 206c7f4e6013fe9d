"""What is written down of an inquiry: the entry of its disclosure, or of its refusal."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from gateway.access import (
    AllOf,
    AnyOf,
    Circumstances,
    Compare,
    Describe,
    Filter,
    Lookup,
    Named,
    Not,
    Question,
    Related,
    Search,
    Specify,
    Subject,
)
from gateway.audit.entry import Entry, Opening, seen
from gateway.canonical import Json, canonical
from gateway.catalogue import Names, Resource
from gateway.errors import Code, Denied, Refusal
from gateway.notices import Told
from gateway.plan.planner import Plan
from gateway.policy.bundle import Bundle
from gateway.policy.compose import Permit
from gateway.records.query import Row

# Bytes of a refused question that are kept as they are.
MAX_REFUSED = 4000
# RFC 8785 writes numbers as doubles do, which hold every whole number up to this.
_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Answering as of another day, with proposed documents: for invented data only, and said in every answer."""

    day: date | None
    proposed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question in its context: asked by whom, when, under which bundle."""

    question: Question
    subject: Subject
    circumstances: Circumstances
    bundle: Bundle
    now: datetime
    moment: datetime
    rehearsal: Rehearsal


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be disclosed and written down of it.

    `counted` are the rows that it tells of: those that it shows, and the one by which it says that a page follows.
    """

    body: bytes
    rows: tuple[Row, ...]
    counted: tuple[Row, ...]
    permit: Permit | None
    plan: Plan | None
    resource: Resource | None


def disclosed(inquiry: Inquiry, found: Found) -> Entry:
    """Write down what is about to be disclosed, up to the digest of the body's bytes."""
    facts = _facts(inquiry)
    if found.permit is not None:
        facts |= permitted(found.permit)
    if found.plan is not None:
        facts["plan"] = found.plan.statement.digest
    facts |= {"records": len(found.rows), "persons": len({row.person for row in found.rows} - {None})}
    openings = (
        *_asked(inquiry, len(found.body)),
        Opening("body", hashlib.sha256(found.body).hexdigest()),
        *(seen(found.resource.name, row.key, row.person) for row in found.rows if found.resource is not None),
    )
    return Entry(action_of(inquiry.question), "permit", "disclosed", inquiry.now, inquiry.subject, facts, openings)


@lru_cache(maxsize=512)
def permitted(permit: Permit) -> Mapping[str, Json]:
    """Write down what a permit came to: from the bundle and the entry's other members it can be derived again."""
    view = permit.view
    return {
        "rules": list(permit.rules),
        "documents": list(permit.documents),
        "shown": sorted(view.shown),
        "masked": {path: cell.mask.name for path, cell in view.cells.items() if cell.mask is not None},
        "varying": sorted(view.varying) or None,
        "withheld": sorted(view.withheld),
        "reports": list(permit.reports) or None,
    }


def refused(inquiry: Inquiry, refusal: Refusal, reports: tuple[str, ...], bytes_out: int) -> Entry:
    """Write down a refusal; of a hidden record and of a missing one alike."""
    facts = _facts(inquiry)
    facts |= {
        "rules": [reason.rule for reason in refusal.reasons],
        "reports": list(reports) or None,
        "records": 0,
        "persons": 0,
    }
    decision = "deny" if isinstance(refusal, Denied) else "refuse"
    openings = tuple(
        Opening(each.kind, _bounded(each.value)) if each.kind == "question" else each
        for each in _asked(inquiry, bytes_out)
    )
    return Entry(action_of(inquiry.question), decision, refusal.code, inquiry.now, inquiry.subject, facts, openings)


def receipt(
    subject: Subject, circumstances: Circumstances, now: datetime, entry_id: str, sent: bytes, code: Code | None = None
) -> Entry:
    """Write down that a client asked for the receipt of an entry, and whether it got it."""
    openings = (*personal(subject, circumstances, len(sent)), Opening("question", {"receipt_of": _bounded(entry_id)}))
    decision, outcome = ("permit", "disclosed") if code is None else ("refuse", code)
    return Entry("receipt", decision, outcome, now, subject, {}, openings)


def served(action: str, subject: Subject, circumstances: Circumstances, now: datetime, told: Told) -> Entry:
    """Write down what a client was told, or did, that disclosed no record, up to the digest of the body's bytes."""
    openings = (
        *personal(subject, circumstances, len(told.body)),
        Opening("body", hashlib.sha256(told.body).hexdigest()),
    )
    return Entry(action, "permit", "done", now, subject, told.facts, openings)


def personal(subject: Subject, circumstances: Circumstances, bytes_out: int) -> tuple[Opening, ...]:
    """Return what concerns whoever asks: how the question came and was answered, and the officer."""
    came = how(circumstances, bytes_out)
    return (came,) if subject.officer is None else (came, Opening("officer", subject.officer))


def how(circumstances: Circumstances, bytes_out: int) -> Opening:
    """Tell where a question came from, how long it took up to here, and the bytes of question and answer.

    It is sealed: the leaf of a hidden record and that of a missing one must not differ, not even in time.
    """
    return Opening(
        "circumstances",
        {
            "source": circumstances.source,
            "duration_ms": round((time.monotonic() - circumstances.began) * 1000, 2),
            "bytes_in": circumstances.bytes_in,
            "bytes_out": bytes_out,
        },
    )


def _facts(inquiry: Inquiry) -> dict[str, Json]:
    question, rehearsal = inquiry.question, inquiry.rehearsal
    catalogue = inquiry.bundle.catalogue
    facts: dict[str, Json] = {"bundle": inquiry.bundle.digest}
    # Words outside the vocabulary are the client's own text, and stay in the sealed part.
    if question.purpose in catalogue.purposes:
        facts["purpose"] = question.purpose
    if isinstance(question, Search | Lookup) and question.resource in catalogue.resources:
        facts["resource"] = question.resource
    if isinstance(question, Search) and question.resource in catalogue.resources:
        facts |= _named(question, catalogue.resources[question.resource])
    day = inquiry.moment.astimezone(catalogue.time_zone).date()
    facts["certified"] = sorted(inquiry.subject.agreement.certified(question.purpose, day)) or None
    if rehearsal.day is not None:
        facts["rehearsal"] = rehearsal.day.isoformat()
    if rehearsal.proposed:
        facts["with"] = sorted(rehearsal.proposed)
    return facts


def _asked(inquiry: Inquiry, bytes_out: int) -> tuple[Opening, ...]:
    """Return what was asked, by whom and how, in an order that readers of the log know: `audit.entry.QUESTION`."""
    question = inquiry.question
    openings = (*personal(inquiry.subject, inquiry.circumstances, bytes_out), Opening("question", _told(question)))
    return openings if question.case is None else (*openings, Opening("case", question.case))


def _named(search: Search, resource: Resource) -> dict[str, Json]:
    """Tell by which fields a search filters and sorts, without the terms; what is no field is the client's own text."""
    known = {path for path, _ in resource.paths()}
    return {
        "filtered": sorted(known.intersection(_fields(search.filter, resource.names))) or None,
        "sorted_by": [key.field for key in search.sort if key.field in known] or None,
    }


def _fields(asked: Filter | None, names: Names | None) -> Iterator[str]:
    match asked:
        case None:
            return
        case Compare(field=field):
            yield field
        case Not(part):
            yield from _fields(part, names)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _fields(part, names)
        case Related(relation, _, part):
            yield from (f"{relation}.{name}" for name in _fields(part, names))
        case Named() if names is not None:
            said = {names.family: asked.family, names.given: asked.given, names.born: asked.born}
            # Each of two names is looked for in either field; of what was not stated, none.
            yield from (field for field, term in said.items() if term is not None)
        case Named():
            return


def action_of(question: Question) -> str:
    """Name what a question asks for, as entries do."""
    return "describe" if isinstance(question, Describe | Specify) else "read"


def _told(question: Question) -> Json:
    """Write a question down as it was asked; the case has an opening of its own."""
    match question:
        case Search():
            return {
                "resource": question.resource,
                "filter": None if question.filter is None else _filter(question.filter),
                "sort": [("-" if key.descending else "") + key.field for key in question.sort],
                "fields": list(question.fields),
                "limit": question.limit,
                "cursor": question.cursor,
            }
        case Lookup():
            return {"resource": question.resource, "id": question.id}
        case Describe():
            return {}
        case Specify():
            return {"form": "openapi"}


def _filter(asked: Filter) -> Json:
    match asked:
        case Compare(field, operator, operand):
            return {field: {operator: _operand(operand)}}
        case Not(part):
            return {"not": _filter(part)}
        case AllOf(parts):
            return {"and": [_filter(part) for part in parts]}
        case AnyOf(parts):
            return {"or": [_filter(part) for part in parts]}
        case Related(relation, quantifier, part):
            return {relation: {quantifier.value: _filter(part)}}
        case Named(family, given, born):
            stated = {"family": family, "given": given, "born": born}
            return {"named": {name: _operand(value) for name, value in stated.items() if value is not None}}


def _bounded(asked: Json) -> Json:
    """Keep what was refused, if it is short, else its digest: refused questions must not fill the log."""
    content = canonical(asked)
    if len(content) <= MAX_REFUSED:
        return asked
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _operand(operand: object) -> Json:
    """Write a value down; a number that canonical JSON can't hold exactly is kept as text."""
    match operand:
        case None | str() | bool():
            return operand
        case int() if abs(operand) < _EXACT:
            return operand
        case list() | tuple():
            return [_operand(each) for each in operand]
        case _:
            return str(operand)
