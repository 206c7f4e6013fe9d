"""Explains a decision: which documents applied, how each rule fell, and why each field is shown, masked or withheld."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.policy.bundle import Bundle
from gateway.policy.compose import Deny, Occasion, Permit, certified, compose, concerned
from gateway.policy.days import on_day
from gateway.policy.decide import applicable
from gateway.policy.document import Document, Rule
from gateway.policy.evaluate import Facts, evaluate
from gateway.policy.view import Outcome, Standing, View, pointed, visible

TRUTH = {True: "true", False: "false", None: "unknown"}


@dataclass(frozen=True, slots=True)
class Applied:
    """A document that was live, and whether it applied to the subject."""

    name: str
    title: str
    applies: bool
    instrument: str
    source: str
    confidence: str
    interpretation: str


@dataclass(frozen=True, slots=True)
class Fallen:
    """How a rule fell on a record; without a record, only that it takes part."""

    rule: str
    effect: str
    rows: str
    because: str


@dataclass(frozen=True, slots=True)
class FieldExplained:
    """How a field stands, in which form, by which rule and on what basis; without a record, it may depend on it."""

    field: str
    standing: str
    form: str
    rule: str
    basis: str
    because: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, explained; `record` says whether one that was asked about is shown, pointed at or hidden."""

    decision: str
    code: str
    record: str
    documents: tuple[Applied, ...]
    rules: tuple[Fallen, ...]
    fields: tuple[FieldExplained, ...]
    reasons: tuple[str, ...]
    obligations: tuple[str, ...]


def explain(
    live: tuple[Document, ...],
    attributes: Mapping[str, object],
    occasion: Occasion,
    bundle: Bundle,
    facts: Facts | None,
) -> Explanation:
    """Explain what a bundle decides for a subject on an occasion, and on a record where one is given."""
    applying = applicable(live, attributes)
    decision = compose(applying, occasion, bundle)
    permit = decision if isinstance(decision, Permit) else None
    reasons = decision.reasons if isinstance(decision, Deny) else ()
    record = "" if facts is None or permit is None else _record(permit.view, facts)
    paths = [path for path, _ in bundle.catalogue.resources[occasion.resource].paths()]
    return Explanation(
        decision="deny" if permit is None else "permit",
        code=decision.code.value if isinstance(decision, Deny) else "",
        record=record,
        documents=tuple(_applied(document, document in applying) for document in live),
        rules=tuple(_fallen(rule, occasion, bundle, facts) for rule in concerned(applying, occasion)),
        fields=() if permit is None or record == "hidden" else tuple(_fields(permit.view, paths, facts)),
        reasons=tuple(f"{reason.rule}: {reason.because} [{reason.basis}]" for reason in reasons),
        obligations=() if permit is None else _obligations(permit),
    )


def _record(view: View, facts: Facts) -> str:
    if not visible(view, facts):
        return "hidden"
    return "shown" if pointed(view, facts) is None else "pointed at"


def _applied(document: Document, applies: bool) -> Applied:  # noqa: FBT001 -- what is told
    authority = document.authority
    return Applied(
        name=document.name,
        title=document.title,
        applies=applies,
        instrument=authority.instrument,
        source=authority.source,
        confidence=authority.confidence,
        interpretation=authority.interpretation,
    )


def _fallen(rule: Rule, occasion: Occasion, bundle: Bundle, facts: Facts | None) -> Fallen:
    effect = (
        "permit" if rule.permits else "deny rows" if rule.denies_rows else "deny fields" if rule.fields else "deny mask"
    )
    if not certified(rule, occasion):
        effect += f" (not certified: {rule.certification})"
    if facts is None:
        return Fallen(rule.name, effect, "", rule.because)
    rows = on_day(rule.rows, occasion.day, bundle.catalogue.time_zone)
    return Fallen(rule.name, effect, TRUTH[evaluate(rows, facts)], rule.because)


def _fields(view: View, paths: list[str], facts: Facts | None) -> list[FieldExplained]:
    found = []
    for path in paths:
        if path not in view.cells:
            found.append(_field(path, Outcome(Standing.WITHHELD, view.withheld[path]), ""))
            continue
        cell = view.cells[path]
        form = "" if cell.mask is None else cell.mask.name
        outcomes = [step.outcome for step in cell.steps] if facts is None else [cell.outcome(facts)]
        found += [
            _field(path, outcome, form if outcome.standing is Standing.MASKED else "")
            for outcome in dict.fromkeys(outcomes)
        ]
    return found


def _field(path: str, outcome: Outcome, form: str) -> FieldExplained:
    reason = outcome.reason
    return FieldExplained(path, outcome.standing.value, form, reason.rule, reason.basis, reason.because)


def _obligations(permit: Permit) -> tuple[str, ...]:
    return (
        *(f"at most {budget.at_most} persons a {budget.per} ({budget.document})" for budget in permit.budgets),
        *(f"notice: {notice}" for notice in permit.notices),
        *(f"report: {report}" for report in permit.reports),
    )
