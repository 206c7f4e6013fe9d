"""What each day's rules would show: one row a day, with the documents behind it."""

from dataclasses import dataclass
from datetime import date, datetime

import click
from rich.console import Console
from rich.table import Table

from gateway.access import AccessRequest, Action, Subject
from gateway.cli.demo.cast import agreement_of
from gateway.cli.demo.step import expect
from gateway.policy.bundle import Bundle
from gateway.policy.check import load_checked
from gateway.policy.compose import Deny, Permit
from gateway.policy.decide import applicable, decide
from gateway.settings import Settings
from gateway.survey import Survey

CLOSING = "hold-standard-on-data"
RESOURCE = "arrests"
DAYS = (
    (date(2009, 1, 1), frozenset[str]()),
    (date(2011, 1, 1), frozenset[str]()),
    (date(2014, 4, 15), frozenset[str]()),
    (date(2014, 4, 17), frozenset[str]()),
    (date(2014, 4, 17), frozenset({CLOSING})),
    (date(2016, 2, 1), frozenset[str]()),
    (date(2018, 8, 31), frozenset[str]()),
    (date(2018, 9, 1), frozenset[str]()),
)
BEFORE, AFTER, CLOSED, ENDED = 2, 3, 4, 7


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client would see on a day: numbers of records, persons and fields; the deciding code, if none."""

    records: int
    persons: int
    shown: frozenset[str]
    masked: frozenset[str]
    withheld: frozenset[str]
    denied: str = ""

    def cells(self) -> tuple[str, str, str]:
        """Write it for the table."""
        if self.denied:
            return "0", "0", self.denied
        fields = f"{len(self.shown)} / {len(self.masked)} / {len(self.withheld)}"
        return f"{self.records:,}", f"{self.persons:,}", fields


def show(settings: Settings, records: int, persons: int) -> None:
    """Print the table, and stop if it is not the history that the documents tell."""
    bundle = load_checked(settings.policies)
    survey = Survey(settings, bundle.catalogue)
    seen = {name: [_seen(survey, bundle, name, *day) for day in DAYS] for name in ("ice-ero", "fbi-phl")}
    survey.close()
    click.echo(f"Of {records:,} arrests of {persons:,} persons. Fields are shown / masked / withheld.")
    click.echo("The FBI's columns: terms unknown: assumed.\n")
    _print_table(bundle, seen)
    _print_documents(bundle)
    ice = seen["ice-ero"]
    click.echo("")
    expect(
        "2014-04-15 and 2014-04-17 are the same: the order's text does not mention the database",
        holds=ice[BEFORE] == ice[AFTER] and ice[AFTER].records > 0,
    )
    closed = ice[CLOSED]
    expect(
        f"with the gap closed {closed.records} of {ice[AFTER].records:,} records remain",
        holds=0 < closed.records < ice[AFTER].records // 100,
    )
    expect(
        "and they carry no home address and no place of birth",
        holds={"home_address", "place_of_birth"} <= closed.withheld,
    )
    expect(
        "on 2018-09-01 ICE sees nothing, and the FBI what it saw before",
        holds=ice[ENDED].records == 0 and seen["fbi-phl"][ENDED] == seen["fbi-phl"][ENDED - 1],
    )


def _seen(survey: Survey, bundle: Bundle, name: str, day: date, named: frozenset[str]) -> Seen:
    agreement = agreement_of(name)
    moment = datetime(day.year, day.month, day.day, 12, tzinfo=bundle.catalogue.time_zone)
    request = AccessRequest(Subject(name, agreement), Action.READ, RESOURCE, min(agreement.purposes), moment)
    decision = decide(request, bundle, named)
    match decision:
        case Deny(code):
            return Seen(0, 0, frozenset(), frozenset(), frozenset(), f"denied: {code}")
        case Permit(view):
            instruments = survey.instruments(agreement.agency, request.purpose, day)
            records, persons = survey.count(bundle.catalogue.resources[RESOURCE], view, instruments)
            return Seen(records, persons, view.shown, view.masked, frozenset(view.withheld))


def _print_table(bundle: Bundle, seen: dict[str, list[Seen]]) -> None:
    table = Table(show_lines=True, expand=False)
    table.add_column("day", no_wrap=True)
    table.add_column("documents that apply to ICE")
    for heading in ("ICE ERO: records", "persons", "fields"):
        table.add_column(heading, justify="right")
    for heading in ("FBI (assumed): records", "persons", "fields"):
        table.add_column(heading, justify="right")
    attributes = Subject("ice-ero", agreement_of("ice-ero")).attributes()
    for (day, named), ice, fbi in zip(DAYS, seen["ice-ero"], seen["fbi-phl"], strict=True):
        applying = applicable(bundle.live(day, named), attributes)
        label = f"{day}" + "".join(f"\nwith {name}\n(hypothetical)" for name in sorted(named))
        table.add_row(label, "\n".join(document.name for document in applying), *ice.cells(), *fbi.cells())
    Console(width=150).print(table)


def _print_documents(bundle: Bundle) -> None:
    click.echo("The documents, with source and confidence:")
    live = {document.name for day, named in DAYS for document in bundle.live(day, named)}
    for name in sorted(live, key=lambda name: (bundle.documents[name].starts, name)):
        document = bundle.documents[name]
        until = f" until {document.until}" if document.until else ""
        authority = document.authority
        click.echo(f"  {name}, {document.status}, from {document.starts}{until}")
        click.echo(
            f"    {authority.instrument}.\n    Source: {authority.source}\n    Confidence: {authority.confidence}"
        )
