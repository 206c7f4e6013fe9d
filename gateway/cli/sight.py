"""`gateway audit show` and `gateway audit explain`: entries as they stand, opened for a reason, and in words."""

import json
import sys
from dataclasses import asdict

import click

from gateway import app as composition
from gateway import settings as configuration
from gateway.cli.audit import line
from gateway.cli.officer import by_officer
from gateway.cli.output import say, say_json
from gateway.cli.search import BECAUSE
from gateway.inspection import sight
from gateway.inspection.explanation import DIFFERS, Explained, explained
from gateway.inspection.inspector import Inspector, Reason
from gateway.inspection.sight import Condition, Sight

OPEN = click.option("--open", "opening", is_flag=True, help="open the sealed part; needs --because")
_OPENED = "audit-open"


@click.command()
@click.argument("entry", required=False)
@click.option(
    "--last", type=click.IntRange(1, 10_000), default=20, show_default=True, help="how many leaves, without ENTRY"
)
@click.option("--json", "as_json", is_flag=True, help="for machines; of several leaves, one JSON object a line")
@OPEN
@BECAUSE
@by_officer
def show(entry: str | None, last: int, as_json: bool, opening: bool, because: str | None, by: str) -> None:  # noqa: FBT001 -- click passes them by name
    """Show ENTRY, or the newest leaves; that they were shown is in the log as well.

    ENTRY is an id, as the header Log-Entry gives it, or its first eight characters or more. Of it is shown where it
    stands in the tree, what of its sealed part is left, and who has opened that, when and why. With --open, the sealed
    part is opened.
    """
    if entry is None and opening:
        raise click.UsageError("--open needs ENTRY")
    with composition.open_inspection(configuration.read(), by) as inspector:
        if entry is not None:
            seen = _seen(inspector, entry, because, opening=opening)
            say_json(asdict(seen)) if as_json else tell(seen)
            return
        leaves = sight.newest(inspector, last)
    for leaf in leaves:
        click.echo(json.dumps(leaf)) if as_json else say(line(leaf))


@click.command()
@click.argument("entry")
@click.option("--json", "as_json", is_flag=True, help="for machines")
@OPEN
@BECAUSE
@by_officer
def explain(entry: str, as_json: bool, opening: bool, because: str | None, by: str) -> None:  # noqa: FBT001 -- as above
    """Say in words what was asked, what decided, what was given, and whether it would be so today.

    The decision is derived again from the entry and the bundle that it names; exits with 1 if it differs.
    """
    with composition.open_inspection(configuration.read(), by) as inspector:
        told = explained(inspector, _seen(inspector, entry, because, opening=opening))
    if as_json:
        say_json(asdict(told))
    else:
        _tell_explained(told)
    sys.exit(1 if told.verdict == DIFFERS else 0)


def _seen(inspector: Inspector, entry: str, because: str | None, *, opening: bool) -> Sight:
    if not opening:
        return sight.look(inspector, entry)
    if because is None:
        raise click.UsageError("--open needs --because")
    return sight.open_(inspector, entry, Reason(because))


def tell(seen: Sight) -> None:
    """Print what is to be seen of an entry."""
    for name, value in seen.leaf.items():
        say(f"{name:24} {value if isinstance(value, str | int) else json.dumps(value, ensure_ascii=False)}")
    say(_place(seen))
    counts = {kind: sum(part.condition is kind for part in seen.parts) for kind in Condition}
    say("sealed part: " + (", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "nothing"))
    for part in seen.parts:
        if part.condition is Condition.OPENED:
            say(f"  {part.position:3} {part.kind:14} {json.dumps(part.value, ensure_ascii=False)}")
        elif part.condition is not Condition.SEALED:
            say(f"  {part.position:3} ({part.condition})")
    for mention in seen.mentions:
        what = "opened" if mention.action == _OPENED else mention.action
        say(f"{what} by {mention.officer} at {mention.time} because {mention.because} (entry {mention.entry})")


def _place(seen: Sight) -> str:
    place = seen.place
    if place.index is None:
        return "place: waits to be sealed into the tree"
    if not place.whole:
        return f"place: leaf {place.index}, BUT ITS BYTES WERE CHANGED: run 'gateway audit verify'"
    covered = f"under the checkpoint of {place.covered} leaves" if place.index < place.covered else "not yet signed"
    return f"place: leaf {place.index} of the tree, {covered}"


def _tell_explained(told: Explained) -> None:
    parts = {
        "What was asked": told.asked,
        "What decided": told.decided,
        "What was given": told.given,
        "Derived again, under the bundle that the entry names": (told.verdict, *told.differences),
        "Today": told.today,
    }
    for title, lines in parts.items():
        if lines:
            say(title)
        for each in lines:
            say(f"  {each}")
