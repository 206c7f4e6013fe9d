"""`gateway agreement`: suspend, resume, renew and terminate agreements, and record what agencies certify under them."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import click

from gateway import app as composition
from gateway import settings as configuration
from gateway.access import Certification
from gateway.audit.entry import Opening
from gateway.canonical import Json
from gateway.cli.arguments import DAY, SIGNER, TEXT
from gateway.cli.officer import by_officer, written_down
from gateway.errors import ConfigurationError
from gateway.identity import agreements
from gateway.identity.agreements import Standing
from gateway.identity.clients import Clients
from gateway.policy.bundle import load

Change = Callable[[Standing], Standing]


@click.group()
def agreement() -> None:
    """Suspend, resume, renew and terminate agreements; record certifications. Each change is a new version."""


@agreement.command("list")
def list_() -> None:
    """List the agreements with their certifications."""
    with composition.open_log(configuration.read()) as opened:
        listed = Clients(opened.store).all()
    for client in listed:
        made = client.agreement
        until = f" until {made.until}" if made.until else ""
        click.echo(
            f"{made.id}\tversion {made.version}\t{made.agency} {made.component}\t{made.state} from {made.starts}{until}"
        )
        for each in made.certifications:
            click.echo(
                f"\tcertified '{each.text}' for {each.purpose} by {each.signer}, "
                f"{each.signed_on} until {each.expires_on}"
            )


@agreement.command()
@click.argument("agreement_id")
@by_officer
def suspend(agreement_id: str, by: str) -> None:
    """Refuse the agreement's clients until it is resumed."""
    _change(agreement_id, "agreement-suspend", by, agreements.suspended)


@agreement.command()
@click.argument("agreement_id")
@by_officer
def resume(agreement_id: str, by: str) -> None:
    """End a suspension."""
    _change(agreement_id, "agreement-resume", by, agreements.resumed)


@agreement.command()
@click.argument("agreement_id")
@by_officer
def terminate(agreement_id: str, by: str) -> None:
    """End the agreement for good."""
    _change(agreement_id, "agreement-terminate", by, agreements.terminated)


@agreement.command()
@click.argument("agreement_id")
@click.option("--until", type=DAY, required=True, help="the first day after the agreement")
@by_officer
def renew(agreement_id: str, until: datetime, by: str) -> None:
    """Move the agreement's end to a later day."""
    _change(agreement_id, "agreement-renew", by, lambda standing: agreements.renewed(standing, until.date()))


@agreement.command()
@click.argument("agreement_id")
@click.option("--purpose", required=True, help="a purpose of the catalogue")
@click.option("--text", type=TEXT, required=True, help="the text that was signed, by the name that rules ask for")
@click.option("--signer", type=SIGNER, required=True, help="who signed for the agency")
@click.option("--signed", type=DAY, required=True)
@click.option("--expires", type=DAY, required=True, help="the first day on which it counts no more")
@click.option(
    "--document", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="the scan"
)
@by_officer
def certify(
    agreement_id: str,
    purpose: str,
    text: str,
    signer: str,
    signed: datetime,
    expires: datetime,
    document: Path,
    by: str,
) -> None:
    """Record that the agency has certified a text for a purpose."""
    settings = configuration.read()
    bundle = load(settings.policies)
    purposes = bundle.catalogue.purposes
    if purpose not in purposes:
        raise ConfigurationError(f"'{purpose}' is no purpose of the catalogue: {', '.join(purposes)}")
    if signed.date() > composition.now().astimezone(bundle.catalogue.time_zone).date():
        raise ConfigurationError("a text is not certified before it was signed: --signed is after today")
    digest = hashlib.sha256(document.read_bytes()).hexdigest()
    certification = Certification(purpose, text, signer, digest, signed.date(), expires.date())
    with composition.open_log(settings) as opened:
        agreed = {each.agreement.id: each.agreement.purposes for each in Clients(opened.store).all()}
    covered = agreed.get(agreement_id, frozenset())
    if covered and purpose not in covered:
        raise ConfigurationError(
            f"the agreement {agreement_id} does not cover '{purpose}': {', '.join(sorted(covered))}"
        )
    _change(agreement_id, "agreement-certify", by, lambda standing: agreements.certified(standing, certification))
    asked = {rule.certification for document in bundle.documents.values() for rule in document.rules}
    if text not in asked:
        click.echo(f"no rule of the policy in {settings.policies} asks for '{text}'", err=True)


def _change(agreement_id: str, action: str, by: str, change: Change) -> None:
    """Change an agreement, and write it down in the same transaction."""
    with composition.open_log(configuration.read()) as opened:
        changed = change(agreements.read(opened.store, agreement_id))
        facts: dict[str, Json] = {
            "agreement": {"id": changed.id, "version": changed.version, "state": changed.state.value},
            "until": None if changed.until is None else changed.until.isoformat(),
            "certified": sorted(f"{each.purpose}: {each.text}" for each in changed.certifications),
        }
        signed = Opening("certifications", [agreements.written(each) for each in changed.certifications])
        also = partial(agreements.write, changed=changed)
        written_down(opened.log, action, by, facts, signed, also=also)
    click.echo(f"{changed.id} is {changed.state}, version {changed.version}")
