"""`gateway client`: register agencies' programs with their agreements; stop and resume them."""

import json
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from http.client import HTTPException
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway import app as composition
from gateway import keys as key_files
from gateway import settings as configuration
from gateway.access import Agreement, AgreementState
from gateway.canonical import Json
from gateway.cli.arguments import ADDRESS, AGENCY, COMPONENT, DAY
from gateway.cli.officer import by_officer, written_down
from gateway.errors import ConfigurationError
from gateway.identity import clients, tokens
from gateway.identity.clients import ACTIVE, SUSPENDED, Clients
from gateway.policy.bundle import load

# The longest that a command waits because a gateway says so, in seconds.
_PATIENCE = 300


@click.group()
def client() -> None:
    """Register clients with their agreements; suspend and resume them."""


@client.command()
@click.argument("client_id")
@click.option("--agency", type=AGENCY, required=True, help="such as ICE, FBI, ATF")
@click.option("--component", type=COMPONENT, required=True, help="the part of the agency, such as ERO or HSI")
@click.option("--ori", required=True, help="the agency's originating agency identifier, nine characters")
@click.option(
    "--address", type=ADDRESS, required=True, help="where to write to the agency; accountings of disclosures name it"
)
@click.option("--mission", required=True, help="a mission of the catalogue")
@click.option("--criminal-justice-agency/--no-criminal-justice-agency", required=True)
@click.option("--purpose", "purposes", multiple=True, required=True, help="a purpose of the catalogue; repeatable")
@click.option("--from", "starts", type=DAY, required=True, help="the agreement's first day")
@click.option("--until", type=DAY, help="the first day after the agreement")
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="public, PEM")
@by_officer
def add(
    client_id: str,
    agency: str,
    component: str,
    ori: str,
    address: str,
    mission: str,
    criminal_justice_agency: bool,  # noqa: FBT001 -- click passes it by name
    purposes: tuple[str, ...],
    starts: datetime,
    until: datetime | None,
    key: Path,
    by: str,
) -> None:
    """Register a client under a new agreement."""
    settings = configuration.read()
    catalogue = load(settings.policies).catalogue
    for purpose in purposes:
        if purpose not in catalogue.purposes:
            raise ConfigurationError(f"'{purpose}' is no purpose of the catalogue: {', '.join(catalogue.purposes)}")
    if mission not in catalogue.missions:
        raise ConfigurationError(f"'{mission}' is no mission of the catalogue: {', '.join(catalogue.missions)}")
    try:
        public_key = tokens.public_jwk(key.read_bytes())
    except ValueError:
        raise ConfigurationError(f"{key} must be a PEM public key on P-256 or Ed25519") from None
    agreement = Agreement(
        id=f"{client_id}-agreement",
        version=1,
        agency=agency,
        component=component,
        ori=ori,
        mission=mission,
        criminal_justice_agency=criminal_justice_agency,
        purposes=frozenset(purposes),
        starts=starts.date(),
        until=None if until is None else until.date(),
        state=AgreementState.IN_FORCE,
        address=address,
    )
    facts: dict[str, Json] = {"client": client_id, "agency": agency, "component": component, "address": address}
    with composition.open_log(settings) as opened:
        also = partial(clients.register, client_id=client_id, public_key=public_key, agreement=agreement)
        written_down(opened.log, "client-add", by, facts, also=also)
    click.echo(f"registered {client_id}")


@client.command("list")
def list_() -> None:
    """List the clients."""
    with composition.open_log(configuration.read()) as opened:
        listed = Clients(opened.store).all()
    for found in listed:
        agreement = found.agreement
        state = "active" if found.active else "suspended"
        days = _days(agreement.starts, agreement.until)
        purposes = ", ".join(sorted(agreement.purposes))
        click.echo(
            f"{found.id}\t{agreement.agency} {agreement.component}\t{state}\t{agreement.state} {days}\t{purposes}"
        )


@client.command()
@click.argument("client_id")
@by_officer
def suspend(client_id: str, by: str) -> None:
    """Refuse a client from its next request on."""
    _set_state(client_id, SUSPENDED, by)


@client.command()
@click.argument("client_id")
@by_officer
def resume(client_id: str, by: str) -> None:
    """Let a suspended client in again."""
    _set_state(client_id, ACTIVE, by)


@client.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--algorithm", type=click.Choice(["ES256", "EdDSA"]), default="ES256", show_default=True)
def keygen(path: Path, algorithm: str) -> None:
    """Make a key pair for an agency: PATH.pem stays with it, PATH.pub.pem is registered."""
    make_key_pair(path, algorithm)
    click.echo(f"{path}.pem (keep it), {path}.pub.pem (hand it to the city)")


@client.command()
@click.argument("client_id")
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="private, PEM")
@click.option("--issuer", required=True, help="the gateway's URL")
@click.option("--officer", help="the officer for whom the program asks")
def token(client_id: str, key: Path, issuer: str, officer: str | None) -> None:
    """Get an access token, as an agency's program does, and print it."""
    private = key_files.read_private(key)
    if not issuer.startswith(("http://", "https://")):
        raise ConfigurationError("the issuer is a URL")
    try:
        click.echo(_token(issuer, lambda: tokens.assertion(client_id, issuer, private, officer)))
    except urllib.error.HTTPError as error:
        click.echo(error.read().decode(), err=True)
        sys.exit(1)
    except (OSError, HTTPException):
        raise ConfigurationError(f"{issuer} can't be reached") from None
    except (ValueError, LookupError, TypeError):
        raise ConfigurationError(f"{issuer} gave no token: is it a gateway?") from None


def _token(issuer: str, asserted: Callable[[], str], tries: int = 5) -> str:
    """Ask for a token; come again when the gateway says so, with another assertion."""
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": asserted(),
    }
    request = urllib.request.Request(f"{issuer}/oauth/token", urllib.parse.urlencode(form).encode())  # noqa: S310 -- the scheme was checked
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 -- as above
            return str(json.load(response)["access_token"])
    except urllib.error.HTTPError as error:
        wait = error.headers.get("Retry-After", "")
        if not tries or not wait.isdecimal() or int(wait) > _PATIENCE:
            raise
        error.close()
    time.sleep(int(wait))
    return _token(issuer, asserted, tries - 1)


def make_key_pair(path: Path, algorithm: str) -> None:
    """Write a private key and its public half."""
    elliptic = algorithm == "ES256"
    key = ec.generate_private_key(ec.SECP256R1()) if elliptic else ed25519.Ed25519PrivateKey.generate()
    key_files.write_private(path.with_name(f"{path.name}.pem"), key)
    path.with_name(f"{path.name}.pub.pem").write_bytes(key_files.public_pem(key))


def _set_state(client_id: str, state: str, by: str) -> None:
    with composition.open_log(configuration.read()) as opened:
        also = partial(clients.set_state, client_id=client_id, state=state)
        written_down(opened.log, f"client-{state}", by, {"client": client_id}, also=also)
    click.echo(f"{client_id} is {state}")


def _days(starts: date, until: date | None) -> str:
    return f"from {starts}" if until is None else f"from {starts} until {until}"
