"""`gateway policy diff`: what a change of the policy comes to, in words and in numbers, and never in values."""

import json
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
from rich.progress import Progress

from gateway import app as composition
from gateway import settings as configuration
from gateway.cli.arguments import DAY
from gateway.comparison import Change, Comparison
from gateway.identity.clients import Clients
from gateway.plan.difference import Numbers
from gateway.policy.check import load_checked
from gateway.survey import Survey

DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


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
    with closing(Survey(settings, bundles[1].catalogue)) as survey, Progress(transient=True) as progress:
        comparison = Comparison(*bundles, day, frozenset(proposed), survey)
        situations = progress.track(comparison.situations(clients), description="comparing")
        changes = list(comparison.changes(situations))
    documents = comparison.documents()
    if as_json:
        told = {"documents": documents, "changes": [asdict(change) for change in changes]}
        click.echo(json.dumps(told, indent=2))
        return
    for name, what in documents.items():
        click.echo(f"{what:8} {name}")
    for change in changes:
        _tell(change)
    if not changes:
        click.echo("no registered client would see anything else")


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
