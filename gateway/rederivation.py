"""Derives the decision of an entry again, from the entry and the bundle that it names, and says if it is the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from gateway.access import Action
from gateway.accounting import permitted
from gateway.errors import Code, ConfigurationError
from gateway.policy.bundle import Bundle
from gateway.policy.compose import Deny, Occasion, Permit, compose
from gateway.policy.decide import applicable
from gateway.policy.explain import Explanation, explain

# Decided before the bundle is asked, by what the city has agreed or stopped.
NOT_BY_THE_BUNDLE = (Code.AGREEMENT_NOT_IN_FORCE, Code.PURPOSE_NOT_AGREED, Code.AGENCY_STOPPED)
_ATTRIBUTES = ("agency", "component", "ori", "mission", "criminal_justice_agency")

Leaf = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rederived:
    """What the bundle decides for what the entry says, and where the entry says otherwise."""

    day: date
    explanation: Explanation
    differences: tuple[str, ...]


def rederive(leaf: Leaf, bundle: Bundle) -> Rederived:
    """Decide again for an entry; raise ConfigurationError for one whose decision was not a bundle's."""
    if leaf.get("action") != "read" or "bundle" not in leaf or not {"purpose", "resource"} <= leaf.keys():
        raise ConfigurationError(f"the entry {leaf['id']} is of no decision about a resource: {leaf.get('action')}")
    if leaf["outcome"] in NOT_BY_THE_BUNDLE:
        raise ConfigurationError(f"the entry {leaf['id']} was not decided by a bundle: {leaf['outcome']}")
    day = _day(leaf, bundle)
    decision, explanation = under(leaf, bundle, day)
    return Rederived(day, explanation, tuple(_differences(leaf, decision)))


def under(leaf: Leaf, bundle: Bundle, day: date) -> tuple[Permit | Deny, Explanation]:
    """Decide for what an entry says under any bundle that has its resource, on any day of the city."""
    attributes = {name: leaf[name] for name in _ATTRIBUTES}
    occasion = Occasion(Action.READ, leaf["resource"], leaf["purpose"], frozenset(leaf.get("certified", ())), day)
    live = bundle.live(day, frozenset(leaf.get("with", ())))
    decision = compose(applicable(live, attributes), occasion, bundle)
    return decision, explain(live, attributes, occasion, bundle, None)


def _day(leaf: Leaf, bundle: Bundle) -> date:
    if "rehearsal" in leaf:
        return date.fromisoformat(leaf["rehearsal"])
    return datetime.fromisoformat(leaf["time"]).astimezone(bundle.catalogue.time_zone).date()


def _differences(leaf: Leaf, decision: Permit | Deny) -> list[str]:
    derived = "permit" if isinstance(decision, Permit) else f"deny ({decision.code})"
    if leaf["decision"] == "deny":
        rules = [reason.rule for reason in decision.reasons] if isinstance(decision, Deny) else []
        said = f"deny ({leaf['outcome']})"
        differing = [] if said == derived else [f"decision: the entry says {said}, the bundle {derived}"]
        return differing if rules == leaf["rules"] else [*differing, f"rules: {leaf['rules']} and {rules}"]
    if not isinstance(decision, Permit):
        if leaf["outcome"] == Code.UNAVAILABLE:
            # What is not there is refused before the bundle is asked.
            return []
        return [f"decision: the entry says {leaf['decision']}, the bundle {derived}"]
    if leaf["decision"] != "permit":
        # Refused after the permit: what the view did not hold, or could not be given.
        return []
    expected = {name: value for name, value in permitted(decision).items() if value is not None}
    told = {name: leaf[name] for name in permitted(decision) if name in leaf}
    return [
        f"{name}: the entry says {told.get(name)}, the bundle {expected.get(name)}"
        for name in dict.fromkeys((*expected, *told))
        if told.get(name) != expected.get(name)
    ]
