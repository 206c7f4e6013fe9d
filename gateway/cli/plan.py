"""`gateway policy plan`: the SQL that a client's search would run, how the database would run it, and what it lacks."""

from datetime import datetime
from pathlib import Path

import click

from gateway import app as composition
from gateway import settings as configuration
from gateway.access import AccessRequest, Action, Subject
from gateway.cli.arguments import DAY
from gateway.cli.policy import ROOT
from gateway.errors import ConfigurationError, Refusal
from gateway.identity.clients import Clients
from gateway.policy.check import load_checked
from gateway.policy.compose import Deny
from gateway.policy.decide import decide
from gateway.survey import Survey
from gateway.web.parse import search_in


@click.command("plan")
@ROOT
@click.option("--client", "client_id", required=True, help="a registered client")
@click.option("--purpose", required=True)
@click.option("--resource", default="arrests", show_default=True)
@click.option("--search", "body", default="{}", show_default=True, help="the body of a search, as a client sends it")
@click.option("--as-of", type=DAY, help="the city's calendar day  [default: today]")
@click.option("--with", "proposed", multiple=True, help="a proposed document to apply; repeatable")
def command(
    policies: Path,
    client_id: str,
    purpose: str,
    resource: str,
    body: str,
    as_of: datetime | None,
    proposed: tuple[str, ...],
) -> None:
    """Show the statement of a client's search, the database's plan for it, and the indexes that are missing.

    Nothing is run, and the values of the search stand in the statement as parameters.
    """
    settings = configuration.read()
    bundle = load_checked(policies)
    with composition.open_log(settings) as opened:
        client = Clients(opened.store).find(client_id)
    if client is None:
        raise ConfigurationError(f"there is no client {client_id}")
    if resource not in bundle.catalogue.resources:
        raise ConfigurationError(f"'{resource}' is not one of {', '.join(bundle.catalogue.resources)}")
    zone = bundle.catalogue.time_zone
    moment = composition.now() if as_of is None else as_of.replace(hour=12, tzinfo=zone)
    request = AccessRequest(Subject(client.id, client.agreement), Action.READ, resource, purpose, moment)
    decision = decide(request, bundle, frozenset(proposed))
    if isinstance(decision, Deny):
        raise ConfigurationError(f"denied ({decision.code}): {' '.join(reason.because for reason in decision.reasons)}")
    survey = Survey(settings, bundle.catalogue)
    described = bundle.catalogue.resources[resource]
    try:
        search = search_in(body.encode(), resource, purpose, None)
        instruments = survey.instruments(client.agreement.agency, purpose, moment.astimezone(zone).date())
        plan, explained = survey.plan(described, decision.view, search, instruments)
    except Refusal as refusal:
        raise ConfigurationError(f"the search is refused ({refusal.code}): {refusal.detail}") from None
    click.echo(plan.statement.sql)
    click.echo(f"\nplan digest: {plan.statement.digest}\n\n{explained}\n")
    missing = survey.missing_indexes(described, decision.view, search)
    survey.close()
    for statement in missing:
        click.echo(f"missing: {statement}")
    if not missing:
        click.echo("no index is missing")
