"""`gateway policy`: check the documents, describe them to editors, and say which were live when."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from gateway.policy import check as checks
from gateway.policy import json_schema
from gateway.policy import timeline as timelines
from gateway.policy.archive import read_directory
from gateway.policy.bundle import load, vocabulary
from gateway.policy.check import load_checked

ROOT = click.option(
    "--policies",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="GATEWAY_POLICIES",
    default=Path("policies"),
    show_default=True,
    help="the directory of the policy",
)


@click.group()
def policy() -> None:
    """Write, test, compare, put in force and explain the data-sharing policy."""


@policy.command()
@ROOT
@click.option("--strict", is_flag=True, help="exit with 1 where there are warnings")
def check(policies: Path, strict: bool) -> None:  # noqa: FBT001 -- click passes it by name
    """Read everything, type-check every condition, find rules that can't be joined, and warn of useless ones."""
    bundle = load(policies)
    warnings = checks.check(bundle)
    for document in bundle.documents.values():
        until = f" until {document.until}" if document.until else ""
        authority = document.authority
        click.echo(f"{document.name:24} {document.status:10} from {document.starts}{until}  {authority.confidence}")
    click.echo(f"{len(bundle.documents)} documents, {bundle.digest}")
    for warning in warnings:
        click.echo(f"warning: {warning.place}: {warning.message}", err=True)
    if warnings and strict:
        sys.exit(1)


@policy.command()
@ROOT
def schema(policies: Path) -> None:
    """Print a JSON Schema of policy documents for the catalogue and the lists, from which editors complete and explain.

    For the policy that ships it is kept as policies/schema.json; each document names it in its first line.
    """
    catalogue, named = vocabulary(read_directory(policies))
    names = [each.name for each in named]
    click.echo(json.dumps(json_schema.schema(catalogue, names), indent=2, ensure_ascii=False))


@policy.command()
@ROOT
@click.option("--json", "as_json", is_flag=True, help="for machines")
def timeline(policies: Path, as_json: bool) -> None:  # noqa: FBT001 -- click passes it by name
    """Say which documents were live when, and name the gaps and overlaps of what they rule on."""
    bundle = load_checked(policies)
    spans, findings = timelines.spans(bundle), timelines.findings(bundle)
    if as_json:
        click.echo(
            json.dumps(
                {"spans": [_span(span) for span in spans], "findings": [asdict(f) for f in findings]}, default=str
            )
        )
        return
    for span in spans:
        until = f"until {span.until}" if span.until else "on"
        click.echo(f"from {span.starts} {until}")
        for document in span.documents:
            click.echo(f"  {document.name:24} {document.status:10} {document.authority.confidence:12} {document.title}")
    for finding in findings:
        click.echo(str(finding))
    if not findings:
        click.echo("no gaps, no overlaps")


def _span(span: timelines.Span) -> dict[str, object]:
    return {"from": span.starts, "until": span.until, "documents": [document.name for document in span.documents]}
