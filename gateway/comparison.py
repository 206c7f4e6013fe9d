"""Compares two policies: which documents came, went or changed, and what each registered client would see."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from gateway.access import AccessRequest, Action, Instrument, Subject
from gateway.identity.clients import Client
from gateway.plan.difference import Difference
from gateway.policy.bundle import Bundle
from gateway.policy.compose import Deny, Permit
from gateway.policy.condition import Condition
from gateway.policy.decide import decide
from gateway.policy.view import View
from gateway.survey import Survey

# What the rows of a view depend on; None where there is no view.
_Rows = tuple[Condition, tuple[Condition, ...]] | None
_Counted = tuple[str, _Rows, _Rows, tuple[Instrument, ...]]


@dataclass(frozen=True, slots=True)
class Situation:
    """A registered client that would ask for a resource for a purpose."""

    client: Client
    purpose: str
    resource: str


@dataclass(frozen=True, slots=True)
class Change:
    """What changes for a client, a purpose and a resource; `numbers` are None where they can't be compared."""

    client: str
    purpose: str
    resource: str
    before: str
    after: str
    fields: dict[str, tuple[str, str]]
    numbers: Difference | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two bundles on one day, over one database."""

    old: Bundle
    new: Bundle
    day: date
    proposed: frozenset[str]
    survey: Survey

    def documents(self) -> dict[str, str]:
        """Return which files came, went or changed."""
        before, after = self.old.files, self.new.files
        return {
            name: "removed" if name not in after else "added" if name not in before else "changed"
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        }

    def situations(self, clients: tuple[Client, ...]) -> tuple[Situation, ...]:
        """Return everything that is to be compared."""
        return tuple(
            Situation(client, purpose, name)
            for client in clients
            for purpose in sorted(client.agreement.purposes)
            for name in self.new.catalogue.resources
        )

    def changes(self, situations: Iterable[Situation]) -> Iterator[Change]:
        """Yield what changes in a situation; what is the same is left out."""
        counted: dict[_Counted, Difference] = {}
        for situation in situations:
            change = self._change(situation, counted)
            if change is not None:
                yield change

    def _change(self, situation: Situation, counted: dict[_Counted, Difference]) -> Change | None:
        client, purpose, name = situation.client, situation.purpose, situation.resource
        decisions = [self._decide(bundle, situation) for bundle in (self.old, self.new)]
        views = [decision.view if isinstance(decision, Permit) else None for decision in decisions]
        fields = {
            path: (before, after)
            for path in dict(self.new.catalogue.resources[name].paths())
            if (before := _standing(views[0], path)) != (after := _standing(views[1], path))
        }
        resource = self.new.catalogue.resources[name]
        numbers = None
        if self.old.catalogue.resources.get(name) == resource:
            # Views of the same rows hold the same numbers, whosever they are.
            instruments = self.survey.instruments(client.agreement.agency, purpose, self.day)
            key = (name, _rows(views[0]), _rows(views[1]), instruments)
            if key not in counted:
                counted[key] = self.survey.difference(resource, views[0], views[1], instruments)
            numbers = counted[key]
        words = [_word(decision) for decision in decisions]
        same = words[0] == words[1] and not fields and (numbers is None or not _moved(numbers))
        return None if same else Change(client.id, purpose, name, words[0], words[1], fields, numbers)

    def _decide(self, bundle: Bundle, situation: Situation) -> Permit | Deny | None:
        if situation.resource not in bundle.catalogue.resources:
            return None
        noon = datetime(self.day.year, self.day.month, self.day.day, 12, tzinfo=bundle.catalogue.time_zone)
        subject = Subject(situation.client.id, situation.client.agreement)
        request = AccessRequest(subject, Action.READ, situation.resource, situation.purpose, noon)
        return decide(request, bundle, self.proposed.intersection(bundle.documents))


def _word(decision: Permit | Deny | None) -> str:
    match decision:
        case Permit():
            return "permit"
        case Deny(code):
            return f"deny ({code})"
        case None:
            return "no such resource"


def _rows(view: View | None) -> _Rows:
    return None if view is None else (view.rows, view.denials)


def _standing(view: View | None, path: str) -> str:
    """Say how a field stands: shown, masked in a form, by row, or withheld."""
    cell = None if view is None else view.cells.get(path)
    if cell is None or view is None:
        return "withheld"
    form = "" if cell.mask is None else f" as {cell.mask.name}"
    if path in view.shown:
        return "shown"
    return f"masked{form}" if path in view.masked else f"by row{form}"


def _moved(numbers: Difference) -> bool:
    return any((numbers.records.gained, numbers.records.lost, numbers.persons.gained, numbers.persons.lost))
