"""`gateway policy explain`: what the documents come to for a subject, for one record, or for an entry of the log."""

import json
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path

import click

from gateway import app as composition
from gateway import settings as configuration
from gateway.access import Action
from gateway.audit import show
from gateway.audit.entry import Opening, seen
from gateway.cli.arguments import AGENCY, DATA_KEY, DAY
from gateway.cli.officer import by_officer, written_down
from gateway.cli.policy import ROOT
from gateway.errors import ConfigurationError
from gateway.policy.bundle import Bundle
from gateway.policy.check import load_checked
from gateway.policy.compose import Occasion
from gateway.policy.evaluate import Facts
from gateway.policy.explain import Applied, Explanation, explain
from gateway.rederivation import rederive
from gateway.survey import Survey


@click.command("explain")
@ROOT
@click.option("--entry", help="an entry of the log, by its id: its decision is derived again; no other options then")
@click.option("--agency", type=AGENCY)
@click.option("--component", default="", help="the part of the agency")
@click.option("--ori", default="")
@click.option("--mission")
@click.option("--criminal-justice-agency/--no-criminal-justice-agency", default=False)
@click.option("--purpose")
@click.option("--resource", default="arrests", show_default=True)
@click.option("--action", type=click.Choice([action.value for action in Action]), default="read", show_default=True)
@click.option("--as-of", type=DAY, help="the city's calendar day  [default: today]")
@click.option("--with", "proposed", multiple=True, help="a proposed document to apply; repeatable")
@click.option("--certified", multiple=True, help="a text that the agency has certified for the purpose; repeatable")
@click.option("--record", type=DATA_KEY, help="the key of one record in the arrest database")
@click.option("--json", "as_json", is_flag=True, help="for machines")
@by_officer
def command(
    policies: Path,
    entry: str | None,
    agency: str | None,
    component: str,
    ori: str,
    mission: str | None,
    criminal_justice_agency: bool,  # noqa: FBT001 -- click passes it by name
    purpose: str | None,
    resource: str,
    action: str,
    as_of: datetime | None,
    proposed: tuple[str, ...],
    certified: tuple[str, ...],
    record: int | None,
    as_json: bool,  # noqa: FBT001 -- as above
    by: str,
) -> None:
    """Say which documents apply to a subject, which rules decide, and why each field is shown, masked or withheld.

    With --record, say it of one record of the arrest database: how each rule falls on it (true, false or unknown). No
    value of the record is printed, and that it was asked about is in the log.

    With --entry, derive the decision of an entry again, from the entry and the bundle that it names, and say whether it
    is the same; exits with 1 if it differs.
    """
    if entry is not None:
        _explain_entry(entry, by, as_json=as_json)
        return
    if agency is None or mission is None or purpose is None:
        raise click.UsageError("give --agency, --mission and --purpose, or --entry")
    bundle = load_checked(policies)
    _known(bundle, purpose, resource, mission, proposed)
    day = as_of.date() if as_of else composition.now().astimezone(bundle.catalogue.time_zone).date()
    attributes = {
        "agency": agency,
        "component": component,
        "ori": ori,
        "mission": mission,
        "criminal_justice_agency": criminal_justice_agency,
    }
    occasion = Occasion(Action(action), resource, purpose, frozenset(certified), day)
    facts = None if record is None else _facts(bundle, agency, occasion, record, by)
    explained = explain(bundle.live(day, frozenset(proposed)), attributes, occasion, bundle, facts)
    if as_json:
        click.echo(json.dumps(asdict(explained), indent=2, ensure_ascii=False))
    else:
        tell(explained, day)


def _explain_entry(entry: str, by: str, *, as_json: bool) -> None:
    settings = configuration.read()
    with composition.open_log(settings) as opened:
        leaf = show.one(opened.store, entry)
        written_down(opened.log, "policy-explain", by, {}, Opening("explained", {"entry": leaf["id"]}))
    with composition.open_register(settings) as register:
        rederived = rederive(leaf, register.bundle(str(leaf.get("bundle"))))
    verdict = "differs" if rederived.differences else "same"
    if as_json:
        told = {"entry": leaf["id"], "verdict": verdict} | asdict(rederived)
        click.echo(json.dumps(told, indent=2, ensure_ascii=False, default=str))
    else:
        tell(rederived.explanation, rederived.day)
        click.echo(f"entry {leaf['id']}: {verdict}")
        for difference in rederived.differences:
            click.echo(f"  {difference}")
    sys.exit(1 if rederived.differences else 0)


def _facts(bundle: Bundle, agency: str, occasion: Occasion, key: int, by: str) -> Facts:
    """Read one record; write down that a city officer looked how it is judged."""
    settings = configuration.read()
    survey = Survey(settings, bundle.catalogue)
    resource = bundle.catalogue.resources[occasion.resource]
    facts, person = survey.facts(resource, key, survey.instruments(agency, occasion.purpose, occasion.day))
    survey.close()
    told = {"bundle": bundle.digest, "resource": resource.name, "agency": agency, "purpose": occasion.purpose}
    asked = seen(resource.name, key, person)
    with composition.open_log(settings) as opened:
        written_down(opened.log, "policy-explain", by, dict(told), asked)
    return facts


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


_OF_THE_RECORD = {
    "": "",
    "shown": "; this record is in the view",
    "pointed at": "; this record is pointed at",
    "hidden": "; this record is not in the view",
}


def tell(explained: Explanation, day: date) -> None:
    """Print an explanation."""
    click.echo(f"live on {day}:")
    for document in explained.documents:
        _tell_document(document)
    decided = "PERMIT" if explained.decision == "permit" else f"DENY ({explained.code})"
    click.echo(decided + _OF_THE_RECORD[explained.record])
    for reason in explained.reasons:
        click.echo(f"  {reason}")
    for rule in explained.rules:
        rows = f", rows: {rule.rows}" if rule.rows else ""
        click.echo(f"  {rule.effect:12} {rule.rule}{rows}: {rule.because}")
    for field in explained.fields:
        form = f" as {field.form}" if field.form else ""
        by = "" if field.standing == "shown" else f" by {field.rule}: {field.because} [{field.basis}]"
        click.echo(f"  {field.field:32} {field.standing}{form}{by}")
    for obligation in explained.obligations:
        click.echo(f"  {obligation}")


def _tell_document(document: Applied) -> None:
    mark = "applies" if document.applies else "-"
    click.echo(f"  {document.name:24} {mark:8} {document.instrument} (confidence: {document.confidence})")
    if document.applies and document.interpretation:
        indent = " " * 36
        click.echo(textwrap.fill(document.interpretation, 110, initial_indent=indent, subsequent_indent=indent))
