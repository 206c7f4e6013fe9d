"""`gateway audit account`: an accounting of disclosures, ready to hand to the person whom it is about."""

import textwrap
from dataclasses import asdict

import click

from gateway import app as composition
from gateway import settings as configuration
from gateway.cli.arguments import DATA_KEY
from gateway.cli.officer import by_officer
from gateway.cli.output import say, say_json
from gateway.inspection import spreadsheet
from gateway.inspection.account import Accounting, Disclosed
from gateway.inspection.account import account as accounted
from gateway.inspection.inspector import Reason

COLUMNS = (
    *("date", "time", "resource", "records", "shown", "masked", "shown, masked or withheld", "searched by", "purpose"),
    *("agency", "component", "ori", "address", "rules and basis", "entry"),
)


@click.command()
@click.option("--person", type=DATA_KEY, required=True, help="the person's key")
@click.option("--because", required=True, help="why, in a sentence without names; it is sealed")
@click.option("--format", "form", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
@by_officer
def account(person: int, because: str, form: str, by: str) -> None:
    """List each disclosure of a person: date, nature, purpose, recipient with address, and what it stood on.

    That it was asked for is in the log before anything is read. Nothing of other persons is told.
    """
    with composition.open_inspection(configuration.read(), by) as inspector:
        found = accounted(inspector, person, Reason(because))
    if form == "json":
        say_json(asdict(found))
    elif form == "csv":
        click.echo(spreadsheet.written(COLUMNS, map(_row, found.disclosures)), nl=False)
    else:
        _tell(found)


def _row(each: Disclosed) -> tuple[object, ...]:
    fields = (" ".join(each.shown), " ".join(each.masked), " ".join(each.varying), " ".join(each.searched_by))
    recipient = (each.agency, each.component, each.ori, each.address)
    grounds = "; ".join(each.grounds)
    return (each.day, each.time, each.resource, each.records, *fields, each.purpose, *recipient, grounds, each.entry)


def _tell(found: Accounting) -> None:
    say(f"Accounting of disclosures for the person with the key {found.person}")
    say(f"made at {found.made} from the log {found.log}, whose newest checkpoint covers {found.covered} leaves")
    for number, each in enumerate(found.disclosures, 1):
        say("")
        say(f"{number}. {each.day} ({each.time})")
        _lines("Nature", f"{each.records} of your records among the {each.resource}, {_nature(each)}")
        _lines("Purpose", each.purpose)
        _lines("Recipient", f"{each.agency}, {each.component} (ORI {each.ori})")
        _lines("Address", each.address)
        _lines("Stood on", "; ".join(each.grounds))
        _lines("Entry", each.entry)
    if not found.disclosures:
        say("The log holds no disclosure of this person.")
    say("")
    for note in found.notes:
        _lines("Note", note)


def _nature(each: Disclosed) -> str:
    parts = {
        "shown": each.shown,
        "masked": each.masked,
        "shown, masked or withheld as the record was": each.varying,
        "searched by": each.searched_by,
    }
    told = "; ".join(f"{how}: {', '.join(paths)}" for how, paths in parts.items() if paths) or "no field"
    return told if each.chosen else f"at most {told}"


def _lines(name: str, text: str) -> None:
    for each in textwrap.wrap(f"{name + ':':10} {text}", 110, initial_indent="   ", subsequent_indent=" " * 14):
        say(each)
