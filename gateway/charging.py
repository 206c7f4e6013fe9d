"""What an answer costs of the budget that binds: a mark for each of whom it tells."""

from datetime import date

from gateway.accounting import Found, Inquiry
from gateway.audit.entry import person, record
from gateway.audit.openings import Openings
from gateway.limits import Charge
from gateway.policy.compose import Deny, Permit


def day_of(inquiry: Inquiry) -> date:
    """Return the day of the city, by which budgets count; no rehearsal changes it."""
    return inquiry.now.astimezone(inquiry.bundle.catalogue.time_zone).date()


def of_page(inquiry: Inquiry, found: Found, openings: Openings) -> Charge | None:
    """Count what a page costs: persons in records that show the person's id, else records.

    A name is not enough: whether two records are of one person would be felt through the budget. The first record of
    the page that follows counts too: that there is one is told, and behind a record that costs nothing any more it
    would tell for nothing whether another meets a filter.
    """
    if found.permit is None or found.resource is None or not found.permit.budgets:
        return None
    view, resource = found.permit.view, found.resource
    marks = []
    for row in found.counted:
        # Records of an unknown person are not of one.
        if row.person is not None and any(view.shows(path, row.states) for path in resource.person_paths()):
            counted = person(row.person)
        else:
            counted = record(resource.name, row.key)
        marks.append(openings.index_of(counted).hex())
    return _charge(inquiry, found.permit, tuple(marks))


def of_nobody(inquiry: Inquiry, decision: Permit | Deny | None) -> Charge | None:
    """Count what an answer costs that shows nobody: nothing, if the budget still gives answers today."""
    return _charge(inquiry, decision, ()) if isinstance(decision, Permit) and decision.budgets else None


def _charge(inquiry: Inquiry, permit: Permit, marks: tuple[str, ...]) -> Charge:
    at_most = min(budget.at_most for budget in permit.budgets)
    return Charge(inquiry.subject.agreement.id, day_of(inquiry), at_most, marks)
