"""`gateway audit review`: the weekly queue, questions, answers, and the signature under a week."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from gateway import app as composition
from gateway import settings as configuration
from gateway.activation.register import Register
from gateway.cli.officer import by_officer
from gateway.cli.output import plain
from gateway.review.reviewing import Item, Queue, Review, overdue
from gateway.review.standing import ANSWER, ASK, Said
from gateway.review.week import Week

# Entries that stand under an item in the table; --json gives all of them.
_SHOWN = 5


@click.group(invoke_without_command=True)
@click.option("--week", "name", help="such as 2026-W47  [default: the last week that has ended]")
@click.option("--json", "as_json", is_flag=True, help="for machines, with every entry")
@by_officer
@click.pass_context
def review(context: click.Context, name: str | None, as_json: bool, by: str) -> None:  # noqa: FBT001 -- click's way
    """List what stands out in a week by the stated risk rules, with what was asked and answered of it.

    Searches for names and districts are opened for it; that, and how many, is in the log.
    """
    if context.invoked_subcommand is not None:
        return
    with _opened() as opened:
        queue = opened.queue(opened.last_week if name is None else Week.named(name), by)
        late = overdue(opened.store, opened.catalogue.time_zone, opened.clock())
    click.echo(json.dumps(written(queue)) if as_json else told(queue))
    if late:
        click.echo(f"OVERDUE: not signed within 7 days: {', '.join(map(str, late))}", err=True)


@review.command()
@click.argument("item")
@click.option("--question", required=True, help="kept in the sealed part of its entry")
@by_officer
def ask(item: str, question: str, by: str) -> None:
    """Ask about an item."""
    with _opened() as opened:
        opened.ask(item, question, by)
    click.echo(f"asked about {item}")


@review.command()
@click.argument("item")
@click.option("--text", required=True, help="kept in the sealed part of its entry")
@by_officer
def answer(item: str, text: str, by: str) -> None:
    """Answer what was asked of an item; or say of one that nobody asked about how it is to be explained."""
    with _opened() as opened:
        opened.answer(item, text, by)
    click.echo(f"answered for {item}")


@review.command()
@click.option("--week", "name", required=True, help="such as 2026-W47")
@by_officer
def sign(name: str, by: str) -> None:
    """Sign a week off, once each of its items has an answer; whoever answered can't sign."""
    with _opened() as opened:
        queue = opened.sign(Week.named(name), by)
    click.echo(f"signed {queue.week}; items {len(queue.items)}, all answered")


@contextmanager
def _opened() -> Iterator[Review]:
    with composition.open_log(configuration.read()) as opened:
        register = Register(opened.store, opened.log, composition.now)
        # Its classes and its city's days are what the rules go by.
        catalogue = register.in_force(composition.now()).catalogue
        yield Review(opened.store, opened.log, opened.openings, catalogue, composition.now)


def written(queue: Queue) -> dict[str, Any]:
    """Write a queue as JSON."""
    signed = queue.standing.signed
    return {
        "week": str(queue.week),
        "signed": None if signed is None else {"by": signed.by, "time": signed.time, "entry": signed.entry},
        "items": [_item(item, queue) for item in queue.items],
    }


def _item(item: Item, queue: Queue) -> dict[str, Any]:
    found = item.finding
    return {
        "item": item.id,
        "points": found.rule.points,
        "rule": found.rule.name,
        "looks_for": found.rule.looks_for,
        "client": found.client,
        "agency": found.agency,
        "reason": found.reason,
        "entries": list(found.entries),
        "answered": queue.standing.answered(item.id),
        "said": [
            {"action": said.action, "by": said.by, "time": said.time, "text": said.text, "entry": said.entry}
            for said in queue.standing.of(item.id)
        ],
    }


def told(queue: Queue) -> str:
    """Write a queue as text."""
    signed = queue.standing.signed
    state = "not signed" if signed is None else f"signed by {signed.by} at {signed.time}"
    lines = [f"{queue.week}: items {len(queue.items)}, not answered {len(queue.unanswered)}; {state}"]
    for item in queue.items:
        found = item.finding
        shown = " ".join(entry[:8] for entry in found.entries[:_SHOWN])
        more = f" and {len(found.entries) - _SHOWN} more" if len(found.entries) > _SHOWN else ""
        lines += ["", f"{found.rule.points:>2} points  {item.id}  {found.rule.name}: {found.client} ({found.agency})"]
        lines.append(f"   {found.reason}")
        lines.append(f"   entries {shown}{more}")
        lines.extend(_said(said) for said in queue.standing.of(item.id))
    # Search terms are the clients' own text: none may steer the auditor's terminal.
    return "\n".join(map(plain, lines))


def _said(said: Said) -> str:
    return f"   {said.time[:10]} {said.by} {_VERBS[said.action]}: {said.text}"


_VERBS = {ASK: "asks", ANSWER: "answers"}
