"""`gateway audit`: verify the log; declare what a restored store has lost; how a leaf is told in a line."""

from collections.abc import Mapping
from typing import Any

import click

from gateway import app as composition
from gateway import settings as configuration
from gateway.audit import loss
from gateway.cli.arguments import REASON
from gateway.cli.officer import by_officer


@click.group()
def audit() -> None:
    """Search, show, explain and verify the log; account for disclosures, recall them, and erase by order."""


@audit.command("declare-loss")
@click.option("--because", type=REASON, required=True, help="why entries are lost; kept in the sealed part")
@by_officer
def declare_loss(because: str, by: str) -> None:
    """Let a log go on whose store was restored from an older copy; that entries were lost stays in the log for ever.

    The leaves that the store lacks keep their places, by the hashes that are public in GATEWAY_LOG_PUBLIC. Run it on
    the machine whose public checkpoint covers the most leaves, over the newest copy of the store that is left.
    """
    with composition.open_log(configuration.read()) as opened:
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
