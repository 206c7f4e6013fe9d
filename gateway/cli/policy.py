"""`gateway policy`: check the documents, explain what they come to for a subject, and describe them to editors."""

import json
import textwrap
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import click

from gateway import catalogue as catalogues
from gateway.access import Action
from gateway.cli.client import DAY
from gateway.errors import ConfigurationError
from gateway.policy import json_schema, lists
from gateway.policy.bundle import Bundle
from gateway.policy.check import load_checked
from gateway.policy.compose import Deny, Occasion, compose
from gateway.policy.decide import applicable
from gateway.policy.document import Document

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
    """Check and explain the data-sharing policy."""


@policy.command()
@ROOT
def check(policies: Path) -> None:
    """Read everything, type-check every condition, and find rules that can't be joined."""
    bundle = load_checked(policies)
    for document in bundle.documents.values():
        until = f" until {document.until}" if document.until else ""
        authority = document.authority
        click.echo(f"{document.name:24} {document.status:10} from {document.starts}{until}  {authority.confidence}")
    click.echo(f"{len(bundle.documents)} documents, {bundle.digest}")


@policy.command()
@ROOT
def schema(policies: Path) -> None:
    """Print a JSON Schema of policy documents for the catalogue and the lists, from which editors complete and explain.

    For the policy that ships it is kept as policies/schema.json; each document names it in its first line.
    """
    catalogue, _ = catalogues.load(policies / "catalogue.yaml", policies)
    names = [lists.load(path, policies)[0].name for path in sorted((policies / "lists").glob("*.yaml"))]
    click.echo(json.dumps(json_schema.schema(catalogue, names), indent=2, ensure_ascii=False))


@policy.command()
@ROOT
@click.option("--agency", required=True)
@click.option("--component", default="", help="the part of the agency")
@click.option("--ori", default="")
@click.option("--mission", required=True)
@click.option("--criminal-justice-agency/--no-criminal-justice-agency", default=False)
@click.option("--purpose", required=True)
@click.option("--resource", default="arrests", show_default=True)
@click.option("--action", type=click.Choice([action.value for action in Action]), default="read", show_default=True)
@click.option("--as-of", type=DAY, default=lambda: datetime.now().astimezone(), show_default="today")
@click.option("--with", "proposed", multiple=True, help="a proposed document to apply; repeatable")
def explain(
    policies: Path,
    agency: str,
    component: str,
    ori: str,
    mission: str,
    criminal_justice_agency: bool,  # noqa: FBT001 -- click passes it by name
    purpose: str,
    resource: str,
    action: str,
    as_of: datetime,
    proposed: tuple[str, ...],
) -> None:
    """Say which documents apply to a subject, which rules decide, and why each field is shown, masked or withheld."""
    bundle = load_checked(policies)
    _known(bundle, purpose, resource, mission, proposed)
    attributes = {
        "agency": agency,
        "component": component,
        "ori": ori,
        "mission": mission,
        "criminal_justice_agency": criminal_justice_agency,
    }
    live = bundle.live(as_of.date(), frozenset(proposed))
    applying = applicable(live, attributes)
    click.echo(f"live on {as_of.date()}:")
    for document in live:
        _print_document(document, applies=document in applying)
    decision = compose(applying, Occasion(Action(action), resource, purpose, frozenset(), as_of.date()), bundle)
    if isinstance(decision, Deny):
        click.echo(f"DENY ({decision.code})")
        for reason in decision.reasons:
            click.echo(f"  {reason.rule}: {reason.because} [{reason.basis}]")
        return
    click.echo("PERMIT by " + ", ".join(decision.rules))
    view = decision.view
    for path, _ in bundle.catalogue.resources[resource].paths():
        if path in view.shown:
            click.echo(f"  {path:32} shown")
        elif path in view.masked:
            click.echo(f"  {path:32} masked")
        else:
            reason = view.withheld[path]
            click.echo(f"  {path:32} withheld by {reason.rule}: {reason.because}")
    for budget in decision.budgets:
        click.echo(f"  at most {budget.at_most} persons a {budget.per} ({budget.document})")


def _known(bundle: Bundle, purpose: str, resource: str, mission: str, proposed: tuple[str, ...]) -> None:
    """Refuse a misspelt word, which would otherwise read as a denial."""
    words: tuple[tuple[str, Iterable[str]], ...] = (
        (purpose, bundle.catalogue.purposes),
        (mission, bundle.catalogue.missions),
        (resource, bundle.catalogue.resources),
        *((name, bundle.documents) for name in proposed),
    )
    for word, vocabulary in words:
        if word not in vocabulary:
            raise ConfigurationError(f"'{word}' is not one of {', '.join(vocabulary)}")


def _print_document(document: Document, *, applies: bool) -> None:
    mark = "applies" if applies else "-"
    authority = document.authority
    click.echo(f"  {document.name:24} {mark:8} {authority.instrument} (confidence: {authority.confidence})")
    if applies and authority.interpretation:
        click.echo(textwrap.fill(authority.interpretation, 110, initial_indent=" " * 36, subsequent_indent=" " * 36))
