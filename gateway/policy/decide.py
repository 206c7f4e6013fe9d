"""Decides: from the bundle and a request to a permit with its view, or a denial with its reason."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from gateway.access import AccessRequest, Action, Agreement, AgreementState
from gateway.errors import Code, Reason
from gateway.policy.bundle import Bundle
from gateway.policy.condition import (
    SUBJECT,
    TRUE,
    And,
    Condition,
    Covered,
    Facts,
    Not,
    any_of,
    evaluate,
    parts,
)
from gateway.policy.document import Budget, Document, Mask, Rule

DEFAULT = Reason("default", "deny is the default", "No rule shows it.")


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a permit gives: rows by a condition, fields as they are, masked or not at all, and why.

    A row is in the view where `rows` is true and every condition of `denials` is false.
    """

    rows: Condition
    denials: tuple[Condition, ...]
    shown: frozenset[str]
    masked: Mapping[str, Mask]
    withheld: Mapping[str, Reason]
    reasons: Mapping[str, Reason]
    permitting: str

    def needs_instruments(self) -> bool:
        """Whether a row's being visible depends on the instruments in force."""
        conditions = (self.rows, *self.denials)
        return any(isinstance(part, Covered) for condition in conditions for part in parts(condition))


@dataclass(frozen=True, slots=True)
class Permit:
    """A yes, with the view that it opens, the rules that gave it and what it obliges to.

    The same bundle, subject attributes, purpose and day give the very same View object, so that plans compiled for it
    can be kept.
    """

    view: View
    rules: tuple[str, ...]
    documents: tuple[str, ...]
    budgets: tuple[Budget, ...]


@dataclass(frozen=True, slots=True)
class Deny:
    """A no, with its code and its reasons."""

    code: Code
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two rules that would make a cell depend on its row, which views of today can't."""

    first: Rule
    second: Rule
    why: str


def local_day(request: AccessRequest, bundle: Bundle) -> date:
    """Return the city's calendar day of the request."""
    return request.moment.astimezone(bundle.catalogue.time_zone).date()


def decide(request: AccessRequest, bundle: Bundle, named: frozenset[str] = frozenset()) -> Permit | Deny:
    """Decide a request under a bundle, with the proposed documents that are named."""
    day = local_day(request, bundle)
    agreement = request.subject.agreement
    if not agreement.in_force(day):
        return Deny(Code.AGREEMENT_NOT_IN_FORCE, (_agreement_reason(agreement),))
    if request.purpose not in agreement.purposes:
        return Deny(Code.PURPOSE_NOT_AGREED, (_agreement_reason(agreement),))
    attributes = tuple(request.subject.attributes().items())
    return _composed(bundle, named, day, attributes, request.action, request.resource, request.purpose)


@lru_cache(maxsize=4096)
def _composed(
    bundle: Bundle,
    named: frozenset[str],
    day: date,
    attributes: tuple[tuple[str, object], ...],
    action: Action,
    resource: str,
    purpose: str,
) -> Permit | Deny:
    applying = applicable(bundle.live(day, named), dict(attributes))
    return compose(applying, action, resource, purpose, bundle)


def applicable(documents: Iterable[Document], attributes: Mapping[str, object]) -> tuple[Document, ...]:
    """Keep the documents whose `subjects` is true of a subject."""
    facts = Facts({SUBJECT: attributes})
    return tuple(document for document in documents if evaluate(document.subjects, facts) is True)


def compose(
    applying: tuple[Document, ...], action: Action, resource: str, purpose: str, bundle: Bundle
) -> Permit | Deny:
    """Join the rules of the documents that apply into one view."""
    rules = [rule for document in applying for rule in document.rules if _concerns(rule, action, resource, purpose)]
    permits = [rule for rule in rules if rule.permits]
    denials = [rule for rule in rules if not rule.permits]
    reasons = {rule.name: _reason(rule, bundle) for rule in rules}
    total = [rule for rule in denials if not rule.fields and rule.rows == TRUE]
    if total:
        return Deny(Code.DENIED_BY_RULE, tuple(reasons[rule.name] for rule in total))
    if not permits:
        return Deny(Code.NO_RULE, (DEFAULT,))
    conflict = conflict_among(permits, denials)
    if conflict is not None:
        return Deny(Code.POLICY_CONFLICT, (reasons[conflict.first.name], reasons[conflict.second.name]))
    withholding = {path: rule for rule in denials for path in sorted(rule.fields)}
    shown = permits[0].fields - withholding.keys()
    masked = {path: mask for path, mask in permits[0].masks.items() if path not in withholding}
    if not shown and not masked:
        return Deny(Code.DENIED_BY_RULE, tuple(reasons[rule.name] for rule in withholding.values()))
    withheld = {
        path: reasons[withholding[path].name] if path in withholding else DEFAULT
        for path, _ in bundle.catalogue.resources[resource].paths()
        if path not in shown and path not in masked
    }
    view = View(
        rows=any_of(rule.rows for rule in permits),
        denials=tuple(rule.rows for rule in denials if not rule.fields),
        shown=shown,
        masked=masked,
        withheld=withheld,
        reasons=reasons,
        permitting=permits[0].name,
    )
    return Permit(
        view=view,
        rules=tuple(sorted(reasons)),
        documents=tuple(document.name for document in applying),
        budgets=tuple(budget for document in applying for budget in document.budgets),
    )


def conflict_among(permits: list[Rule], denials: list[Rule]) -> Conflict | None:
    """Find two rules that can't be joined while every cell of a column must be shown alike."""
    for rule in permits[1:]:
        if (rule.fields, rule.masks) != (permits[0].fields, permits[0].masks):
            return Conflict(permits[0], rule, "two permits for the same purpose show different fields")
    for rule in denials:
        if rule.fields and rule.rows != TRUE:
            return Conflict(permits[0], rule, "a deny withholds fields in some rows only")
    return None


def visible(view: View, facts: Facts) -> bool:
    """Whether the view holds the record: the reference reading, one record at a time."""
    condition = view.rows
    for denial in view.denials:
        condition = And(condition, Not(denial))
    return evaluate(condition, facts) is True


def _concerns(rule: Rule, action: Action, resource: str, purpose: str) -> bool:
    for_purpose = rule.purposes is None or purpose in rule.purposes
    return rule.action is action and rule.resource == resource and for_purpose


def _reason(rule: Rule, bundle: Bundle) -> Reason:
    authority = bundle.documents[rule.document].authority
    return Reason(rule.name, f"{authority.instrument} (confidence: {authority.confidence})", rule.because)


def _agreement_reason(agreement: Agreement) -> Reason:
    state = {
        AgreementState.IN_FORCE: "It does not cover this day or this purpose.",
        AgreementState.SUSPENDED: "It is suspended.",
        AgreementState.TERMINATED: "It is terminated.",
    }[agreement.state]
    return Reason("agreement", f"agreement {agreement.id}, version {agreement.version}", state)
