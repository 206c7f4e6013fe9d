"""`gateway policy diff`: what a change of the policy comes to, in words and in numbers, and never in values."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path

import click
from rich.progress import Progress

from gateway import app as composition
from gateway import settings as configuration
from gateway.access import AccessRequest, Action, Agreement, Instrument, Subject
from gateway.cli.client import DAY
from gateway.identity.clients import Client, Clients
from gateway.plan.difference import Difference, Numbers
from gateway.policy.bundle import Bundle
from gateway.policy.check import load_checked
from gateway.policy.compose import Deny, Permit
from gateway.policy.condition import Condition
from gateway.policy.decide import decide
from gateway.policy.view import View
from gateway.survey import Survey

# What the rows of a view depend on; None where there is no view.
_Rows = tuple[Condition, tuple[Condition, ...]] | None
_Counted = tuple[str, _Rows, _Rows, tuple[Instrument, ...]]

DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


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


@click.command("diff")
@click.argument("old", type=DIRECTORY)
@click.argument("new", type=DIRECTORY)
@click.option("--as-of", type=DAY, help="the city's calendar day  [default: today]")
@click.option("--with", "proposed", multiple=True, help="a proposed document to apply in both; repeatable")
@click.option("--json", "as_json", is_flag=True, help="for machines")
def command(old: Path, new: Path, as_of: datetime | None, proposed: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001 -- click passes it by name
    """Compare two directories of policies: documents, and for each registered client and purpose what it would see."""
    bundles = load_checked(old), load_checked(new)
    day = as_of.date() if as_of else composition.now().astimezone(bundles[0].catalogue.time_zone).date()
    settings = configuration.read()
    with composition.open_log(settings) as opened:
        clients = Clients(opened.store).all()
    comparison = Comparison(bundles[0], bundles[1], day, frozenset(proposed))
    survey = Survey(settings, bundles[1].catalogue)
    changes = list(comparison.changes(clients, survey))
    survey.close()
    if as_json:
        told = {"documents": comparison.documents, "changes": [asdict(change) for change in changes]}
        click.echo(json.dumps(told, indent=2))
        return
    for name, what in comparison.documents.items():
        click.echo(f"{what:8} {name}")
    for change in changes:
        _tell(change)
    if not changes:
        click.echo("no registered client would see anything else")


@dataclass(frozen=True)
class Comparison:
    """Two bundles on one day."""

    old: Bundle
    new: Bundle
    day: date
    proposed: frozenset[str]

    @cached_property
    def documents(self) -> dict[str, str]:
        """Return which files came, went or changed."""
        before, after = self.old.files, self.new.files
        return {
            name: "removed" if name not in after else "added" if name not in before else "changed"
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        }

    def changes(self, clients: tuple[Client, ...], survey: Survey) -> Iterator[Change]:
        """Yield what changes for somebody; what is the same is left out."""
        asked = [
            (client, purpose, name)
            for client in clients
            for purpose in sorted(client.agreement.purposes)
            for name in self.new.catalogue.resources
        ]
        counted: dict[_Counted, Difference] = {}
        with Progress(transient=True) as progress:
            for client, purpose, name in progress.track(asked, description="comparing"):
                change = self._change(client, purpose, name, survey, counted)
                if change is not None:
                    yield change

    def _change(
        self,
        client: Client,
        purpose: str,
        name: str,
        survey: Survey,
        counted: dict[_Counted, Difference],
    ) -> Change | None:
        decisions = [
            self._decide(bundle, client.agreement, client.id, purpose, name) for bundle in (self.old, self.new)
        ]
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
            instruments = survey.instruments(client.agreement.agency, purpose, self.day)
            key = (name, _rows(views[0]), _rows(views[1]), instruments)
            if key not in counted:
                counted[key] = survey.difference(resource, views[0], views[1], instruments)
            numbers = counted[key]
        words = [_word(decision) for decision in decisions]
        same = words[0] == words[1] and not fields and (numbers is None or not _moved(numbers))
        return None if same else Change(client.id, purpose, name, words[0], words[1], fields, numbers)

    def _decide(
        self, bundle: Bundle, agreement: Agreement, client: str, purpose: str, name: str
    ) -> Permit | Deny | None:
        if name not in bundle.catalogue.resources:
            return None
        noon = datetime(self.day.year, self.day.month, self.day.day, 12, tzinfo=bundle.catalogue.time_zone)
        request = AccessRequest(Subject(client, agreement), Action.READ, name, purpose, noon)
        return decide(request, bundle, frozenset(self.proposed & bundle.documents.keys()))


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


def _tell(change: Change) -> None:
    click.echo(f"{change.client} for {change.purpose}, {change.resource}: {change.before} -> {change.after}")
    if change.numbers is None:
        click.echo("  the catalogue maps this resource otherwise: no numbers")
    else:
        _tell_numbers("records", change.numbers.records)
        _tell_numbers("persons", change.numbers.persons)
    for path, (before, after) in change.fields.items():
        click.echo(f"  {path:32} {before} -> {after}")


def _tell_numbers(what: str, numbers: Numbers) -> None:
    click.echo(f"  {what:8} {numbers.before:,} -> {numbers.after:,}  (+{numbers.gained:,} -{numbers.lost:,})")
