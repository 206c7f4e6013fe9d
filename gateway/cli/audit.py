"""`gateway audit`: verify the log; how a leaf is told in a line."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, TaskID

from gateway import app as composition
from gateway import settings as configuration
from gateway.audit.verify import VerificationError, Verified
from gateway.audit.verify import verify as verify_log


@click.group()
def audit() -> None:
    """Search, show, explain and verify the log; account for disclosures."""


@audit.command()
@click.option(
    "--against", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="a checkpoint kept before"
)
@click.option("--keep", type=click.Path(dir_okay=False, path_type=Path), help="where to keep the newest checkpoint")
def verify(against: Path | None, keep: Path | None) -> None:
    """Verify the whole log; print a checkpoint to keep."""
    settings = configuration.read()
    note = against.read_text(encoding="utf-8") if against else None
    try:
        with Progress(console=Console(file=sys.stderr), transient=True) as bar, composition.open_log(settings) as log:
            task = bar.add_task("verifying leaves", total=None)
            told_of = partial(_moved, bar, task)
            verified = verify_log(log.store, log.log.verifier, log.openings, note, told_of)
    except VerificationError as error:
        click.echo(f"NOT VERIFIED: {error}", err=True)
        sys.exit(1)
    if keep is not None:
        keep.write_text(verified.note, encoding="utf-8")
    click.echo(told(verified, against=against is not None))


def _moved(bar: Progress, task: TaskID, done: int) -> None:
    bar.update(task, completed=done)


def told(verified: Verified, *, against: bool) -> str:
    """Say what was verified, and what could not be."""
    lines = [f"verified: {verified.size} leaves, well formed, in order, and signed"]
    if verified.unsealed:
        lines.append(f"{verified.unsealed} entries wait to be sealed")
    if against:
        lines.append("the log continues the checkpoint given: nothing before it was changed, removed or reordered")
    else:
        lines.append(
            "without an earlier checkpoint (--against) a log that was rewritten and signed anew by the key's holder "
            "can't be told from this one"
        )
    lines.append(f"keep this checkpoint:\n{verified.note}")
    return "\n".join(lines)


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
