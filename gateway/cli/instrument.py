"""`gateway instrument`: record warrants and orders; two officers, or it counts for nothing."""

import hashlib
from datetime import datetime
from functools import partial
from pathlib import Path

import click

from gateway import app as composition
from gateway import instruments
from gateway import settings as configuration
from gateway.access import INSTRUMENTS, SIGNERS
from gateway.audit.entry import Opening
from gateway.cli.arguments import AGENCY, DATA_KEY, DAY
from gateway.cli.officer import by_officer, written_down
from gateway.errors import ConfigurationError
from gateway.identity.clients import Clients
from gateway.instruments import Filed, Instruments
from gateway.policy.bundle import load


@click.group()
def instrument() -> None:
    """Record, confirm and list warrants and orders that the city has verified."""


@instrument.command()
@click.option("--person", type=DATA_KEY, required=True, help="the person's key in the arrest database")
@click.option("--agency", type=AGENCY, required=True, help="the agency that may rely on it")
@click.option("--purpose", required=True, help="the purpose for which it was issued")
@click.option("--kind", type=click.Choice(INSTRUMENTS), required=True)
@click.option("--signer", type=click.Choice(SIGNERS), required=True)
@click.option(
    "--document", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="the scan"
)
@click.option("--issued", type=DAY, required=True)
@click.option("--expires", type=DAY, required=True, help="the first day on which it counts no more")
@by_officer
def add(
    person: int,
    agency: str,
    purpose: str,
    kind: str,
    signer: str,
    document: Path,
    issued: datetime,
    expires: datetime,
    by: str,
) -> None:
    """Record an instrument that you have read; another officer must confirm it."""
    settings = configuration.read()
    purposes = load(settings.policies).catalogue.purposes
    if purpose not in purposes:
        raise ConfigurationError(f"'{purpose}' is no purpose of the catalogue: {', '.join(purposes)}")
    digest = hashlib.sha256(document.read_bytes()).hexdigest()
    filed = Filed(person, agency, purpose, kind, signer, digest, issued.date(), expires.date())
    identifier = instruments.new_id()
    facts = {"instrument": identifier, "agency": agency, "purpose": purpose, "kind": kind, "signer": signer}
    named = Opening("instrument", {"instrument": identifier, "person": str(person)})
    with composition.open_log(settings) as opened:
        also = partial(instruments.add, identifier=identifier, filed=filed, officer=by)
        written_down(opened.log, "instrument-add", by, dict(facts), named, also=also)
        agencies = sorted({client.agreement.agency for client in Clients(opened.store).all()})
    if agency not in agencies:
        click.echo(f"no client is of the agency '{agency}'; there are: {', '.join(agencies) or 'none'}", err=True)
    click.echo(identifier)


@instrument.command()
@click.argument("identifier")
@by_officer
def confirm(identifier: str, by: str) -> None:
    """Confirm, as a second officer, that an instrument is what it was recorded as."""
    with composition.open_log(configuration.read()) as opened:
        also = partial(instruments.confirm, identifier=identifier, officer=by)
        written_down(opened.log, "instrument-confirm", by, {"instrument": identifier}, also=also)
    click.echo(f"{identifier} is confirmed")


@instrument.command("list")
@by_officer
def list_(by: str) -> None:
    """List the register, which names persons: that it was listed is in the log."""
    with composition.open_log(configuration.read()) as opened:
        listed = Instruments(opened.store).listed()
        written_down(opened.log, "instrument-list", by, {"count": len(listed)})
    for found in listed:
        confirmed = f"confirmed by {found['confirmed_by']}" if found["confirmed_by"] else "NOT CONFIRMED"
        click.echo(
            f"{found['instrument_id']}\tperson {found['person_id']}\t{found['agency']}\t{found['purpose']}\t"
            f"{found['kind']}, {found['signer']}\t{found['issued_on']} to {found['expires_on']}\t"
            f"added by {found['added_by']}, {confirmed}"
        )
