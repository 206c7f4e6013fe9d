"""Decides: from the bundle and a request to a permit with its view, or a denial with its reason."""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache

from gateway.access import AccessRequest, Agreement, AgreementState
from gateway.errors import Code, Reason
from gateway.policy.bundle import Bundle
from gateway.policy.compose import Deny, Occasion, Permit, compose
from gateway.policy.condition import SUBJECT
from gateway.policy.days import relative
from gateway.policy.document import Document
from gateway.policy.evaluate import Facts, evaluate


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
    applying = _applying(bundle, named, day, tuple(request.subject.attributes().items()))
    certified = agreement.certified(request.purpose, day)
    relevant = date.min if _lasts(applying) else day
    return _of_class(bundle, applying, Occasion(request.action, request.resource, request.purpose, certified, relevant))


@lru_cache(maxsize=4096)
def _applying(
    bundle: Bundle, named: frozenset[str], day: date, attributes: tuple[tuple[str, object], ...]
) -> tuple[Document, ...]:
    return applicable(bundle.live(day, named), dict(attributes))


@lru_cache(maxsize=4096)
def _of_class(bundle: Bundle, applying: tuple[Document, ...], occasion: Occasion) -> Permit | Deny:
    """Compose once for a class of subjects: those to whom the same documents apply, with the same texts certified.

    A class gets the very same View object each time, so that plans compiled for it can be kept.
    """
    return compose(applying, occasion, bundle)


@lru_cache(maxsize=4096)
def _lasts(applying: tuple[Document, ...]) -> bool:
    """Whether the rules come to the same on every day, so that views need not be made anew."""
    return not any(relative(rule.rows) for document in applying for rule in document.rules)


def applicable(documents: Iterable[Document], attributes: Mapping[str, object]) -> tuple[Document, ...]:
    """Keep the documents whose `subjects` is true of a subject."""
    facts = Facts({SUBJECT: attributes})
    return tuple(document for document in documents if evaluate(document.subjects, facts) is True)


def _agreement_reason(agreement: Agreement) -> Reason:
    state = {
        AgreementState.IN_FORCE: "It does not cover this day or this purpose.",
        AgreementState.SUSPENDED: "It is suspended.",
        AgreementState.TERMINATED: "It is terminated.",
    }[agreement.state]
    return Reason("agreement", f"agreement {agreement.id}, version {agreement.version}", state)
