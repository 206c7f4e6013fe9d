"""`gateway audit`: show the log's leaves, verify the log, and declare what a restored store has lost."""

import json
from collections.abc import Mapping
from typing import Any

import click

from gateway import app as composition
from gateway import settings as configuration
from gateway.audit import loss
from gateway.audit.show import latest
from gateway.cli import erasure, recall
from gateway.cli.officer import by_officer, written_down
from gateway.cli.verify import verify


@click.group()
def audit() -> None:
    """Show and verify the log."""


audit.add_command(verify)


@audit.command()
@click.option("--last", type=click.IntRange(1, 10_000), default=20, show_default=True, help="how many leaves")
@click.option("--json", "as_json", is_flag=True, help="whole leaves, one JSON object a line")
@by_officer
def show(last: int, as_json: bool, by: str) -> None:  # noqa: FBT001 -- click passes it by name
    """Show the newest leaves; that they were shown is in the log as well. Nothing sealed is opened."""
    with composition.open_log(configuration.read()) as opened:
        written_down(opened.log, "audit-show", by, {"last": last})
        leaves = latest(opened.store, last)
    for leaf in leaves:
        click.echo(json.dumps(leaf) if as_json else line(leaf))


@audit.command("declare-loss")
@click.option("--because", required=True, help="why entries are lost; kept in the sealed part")
@by_officer
def declare_loss(because: str, by: str) -> None:
    """Let a log go on whose store was restored from an older copy; that entries were lost stays in the log for ever.

    The leaves that the store lacks keep their places, by the hashes that are public in GATEWAY_LOG_PUBLIC. Run it on
    the machine whose public checkpoint covers the most leaves, over the newest copy of the store that is left.
    """
    with composition.open_log(configuration.read()) as opened:
        opened.store.check()
        declared = loss.declare(opened.store, opened.log, opened.public, because, by, composition.now())
    click.echo(f"Declared: the entries of leaves {declared.first} to {declared.last} are lost; their hashes stay.")


def line(leaf: Mapping[str, Any]) -> str:
    """Write a leaf in one line."""
    subject = leaf.get("client", "-")
    counts = f" {leaf['records']} records, {leaf['persons']} persons" if "records" in leaf else ""
    purpose = f" for {leaf['purpose']}" if "purpose" in leaf else ""
    further = f" +{leaf['further']} more" if "further" in leaf else ""
    told = "".join(f", {name} {_told(leaf[name])}" for name in _OF_OFFICERS if name in leaf and "client" not in leaf)
    return (
        f"{leaf['time']} {leaf['id'][:8]} {subject} {leaf['action']}: {leaf['outcome']}{counts}{purpose}{further}{told}"
    )


_OF_OFFICERS = ("statement", "bundle", "from", "signers", "stopped", "agreement", "instrument", "agency")


def _told(value: object) -> str:
    match value:
        case {"id": name, "version": version, "state": state}:
            return f"{name} version {version} {state}"
        case [*names]:
            return " and ".join(map(str, names))
        case _:
            return str(value)


for command in (*recall.COMMANDS, *erasure.COMMANDS):
    audit.add_command(command)
