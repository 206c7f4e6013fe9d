"""`gateway audit search`: find entries by what their leaves say, and by persons, officers and records."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import app as composition
from gateway import settings as configuration
from gateway.cli.arguments import DATA_KEY
from gateway.cli.audit import line
from gateway.cli.officer import by_officer
from gateway.cli.output import plain, say
from gateway.domains import KEYS
from gateway.inspection import criteria, spreadsheet
from gateway.inspection.criteria import Criterion
from gateway.inspection.inspector import Inspector, Reason
from gateway.inspection.search import MOST, Found, Page
from gateway.inspection.search import search as searched

BECAUSE = click.option("--because", help="why, in a sentence without names; it is sealed, and shown to other auditors")
FORMATS = ("table", "json", "csv", "ndjson")
# What a column of CSV holds; lists are joined by spaces.
COLUMNS = (
    *("index", "id", "time", "action", "decision", "outcome", "client", "agency", "component", "ori", "agreement"),
    *("resource", "purpose", "rules", "shown", "masked", "varying", "withheld", "filtered", "sorted_by"),
    *("records", "persons", "bundle"),
)
_TABLE = ("index", "id", "time", "agency", "action", "outcome", "purpose", "records")


@click.command()
@click.option("--client", help="the client's id")
@click.option("--agency", help="such as ICE, FBI, ATF")
@click.option("--officer", help="as a client named one, or as one of the city's acted; exactly  [needs --because]")
@click.option("--purpose", help="a purpose of the catalogue")
@click.option("--decision", type=click.Choice(["permit", "deny", "refuse"]))
@click.option("--outcome", help="disclosed, done, or the code of a refusal")
@click.option("--action", help="such as read, token, client-add, audit-open")
@click.option("--rule", help="a rule that took part, as DOCUMENT/RULE")
@click.option("--from", "since", help="a day of the city, or a moment with its offset such as 2026-11-23T05:00:00Z")
@click.option("--until", help="the same; exclusive")
@click.option(
    "--field", help=f"a field that the entry names in any way, or WAY:FIELD with a way of {', '.join(criteria.WAYS)}"
)
@click.option("--person", type=DATA_KEY, help="the person's key  [needs --because]")
@click.option("--record", help="RESOURCE:KEY, such as arrests:17  [needs --because]")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True, help="of a page")
@click.option("--after", type=click.IntRange(0, KEYS[1]), help="the index after which the page begins")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@BECAUSE
@by_officer
def search(limit: int, after: int | None, form: str, because: str | None, by: str, **asked: Any) -> None:
    """Find entries, the newest first; what is asked for is in the log before anything is shown.

    Several options together must all hold. Entries that wait for their place in the tree are not searched.
    """
    with composition.open_inspection(configuration.read(), by) as inspector:
        reason = None if because is None else Reason(because)
        found = searched(inspector, list(_criteria(inspector, **asked)), Page(limit, after), reason)
    _WRITERS[form](found)
    for hint in found.hints:
        click.echo(f"gateway: {plain(hint)}", err=True)
    if form != "json" and found.following is not None:
        click.echo(f"more: --after {found.following}", err=True)
    if form == "table":
        waiting = f"; {found.waiting} more wait for their place and were not searched" if found.waiting else ""
        click.echo(f"{len(found.leaves)} entries{waiting}", err=True)


def _criteria(
    inspector: Inspector,
    rule: str | None,
    since: str | None,
    until: str | None,
    field: str | None,
    person: int | None,
    officer: str | None,
    record: str | None,
    **words: str | None,
) -> Iterator[Criterion]:
    yield from (criteria.Word(name, value) for name, value in words.items() if value is not None)
    if rule is not None:
        yield criteria.Ruled(rule)
    if field is not None:
        yield criteria.touched(field)
    if since is not None:
        yield criteria.Since(criteria.moment(since, _zone(inspector)))
    if until is not None:
        yield criteria.Before(criteria.moment(until, _zone(inspector)))
    if person is not None:
        yield criteria.person(person)
    if officer is not None:
        yield criteria.officer(officer)
    if record is not None:
        yield criteria.record(record)


def _zone(inspector: Inspector) -> ZoneInfo:
    return inspector.bundle_in_force().catalogue.time_zone


def _as_json(found: Found) -> None:
    entries = [{"index": index, **leaf} for index, leaf in found.leaves]
    told = {"entries": entries, "after": found.following, "waiting": found.waiting, "hints": found.hints}
    click.echo(json.dumps(told, indent=2))


def _as_ndjson(found: Found) -> None:
    for index, leaf in found.leaves:
        click.echo(json.dumps({"index": index, **leaf}))


def _as_csv(found: Found) -> None:
    rows = [[_cell(name, index, leaf) for name in COLUMNS] for index, leaf in found.leaves]
    click.echo(spreadsheet.written(COLUMNS, rows), nl=False)


def _as_table(found: Found) -> None:
    if not sys.stdout.isatty():
        for index, leaf in found.leaves:
            say(f"{index} {line(leaf)}")
        return
    table = Table(box=None)
    for name in _TABLE:
        table.add_column(name, overflow="fold")
    for index, leaf in found.leaves:
        short = {**leaf, "id": leaf["id"][:8], "time": leaf["time"][:19]}
        table.add_row(*(Text(plain(str(_cell(name, index, short)))) for name in _TABLE))
    Console().print(table)


def _cell(name: str, index: int, leaf: dict[str, Any]) -> object:
    if name == "index":
        return index
    match leaf.get(name, ""):
        case {"id": identifier, "version": version, "state": state}:
            return f"{identifier} version {version} {state}"
        case dict() as masks:
            return " ".join(f"{path}:{form}" for path, form in masks.items())
        case list() as words:
            return " ".join(map(str, words))
        case value:
            return value


_WRITERS: dict[str, Callable[[Found], None]] = {
    "table": _as_table,
    "json": _as_json,
    "csv": _as_csv,
    "ndjson": _as_ndjson,
}
