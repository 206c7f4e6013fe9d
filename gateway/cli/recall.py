"""`gateway audit recall` and `notices`: who received a record that has changed since, and who has heard of it."""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import click

from gateway import app as composition
from gateway import settings as configuration
from gateway.canonical import Json
from gateway.cli.arguments import REASON
from gateway.cli.officer import by_officer, written_down
from gateway.domains import key_of
from gateway.erasure import recall as recalls
from gateway.errors import ConfigurationError
from gateway.identity.clients import Client, Clients
from gateway.notices import KINDS, Copy, Notice, Notices
from gateway.policy.bundle import load

BECAUSE = click.option(
    "--because", type=REASON, required=True, help="why, in a sentence; it is sealed, and erased with the person"
)
DAYS = click.option(
    "--days", type=click.IntRange(1, 365), default=10, show_default=True, help="days in which clients acknowledge"
)
_RECORD = re.compile(r"([a-z][a-z0-9_]{0,59}):([0-9]+)")


class _Record(click.ParamType[tuple[str, int]]):
    name = "RESOURCE:KEY"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        match = _RECORD.fullmatch(str(value))
        if match is None or (key := key_of(match[2])) is None:
            self.fail("a record is a resource and its key in the arrest database, such as arrests:1234", param, ctx)
        return match[1], key


@click.command()
@click.option("--record", "of", type=_Record(), required=True, help="such as arrests:1234")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="what has become of it")
@BECAUSE
@DAYS
@by_officer
def recall(of: tuple[str, int], kind: str, because: str, days: int, by: str) -> None:
    """Owe a notice to every client that has received a record."""
    settings = configuration.read()
    resource, key = of
    asked = recalls.Recall(resource, key, kind, because, by, days)
    with composition.open_log(settings) as opened:
        done = recalls.recall(opened.log, opened.openings, opened.ids, asked, composition.now())
        opened.log.seal_all()
        clients = Clients(opened.store).all()
    tell_owed(done.owed, kind, done.due, clients)
    for client, number in _counted(done.already):
        click.echo(f"{client}: has {number} open already")
    if done.owed or done.already:
        click.echo("a request that is under way may disclose it yet: recall it again in a minute")
        return
    click.echo(f"no client has received {resource}:{key}")
    known = load(settings.policies).catalogue.resources
    if resource not in known:
        click.echo(f"the policy in {settings.policies} knows no '{resource}', but {', '.join(known)}", err=True)


@click.command()
@click.option("--overdue", is_flag=True, help="only those that are overdue")
@click.option("--client", help="only those of this client")
@by_officer
def notices(overdue: bool, client: str | None, by: str) -> None:  # noqa: FBT001 -- click passes it by name
    """List the notices that clients are owed, have acknowledged, or have let become overdue."""
    now = composition.now()
    facts: dict[str, Json] = {"of": client, "overdue": overdue}
    with composition.open_log(configuration.read()) as opened:
        if client is not None and Clients(opened.store).find(client) is None:
            raise ConfigurationError(f"there is no client {client}")
        written_down(opened.log, "audit-notices", by, facts)
        found = Notices(opened.store, composition.now).all()
    listed = [each for each in found if client in (None, each.client) and (each.overdue(now) or not overdue)]
    for each in listed:
        click.echo(
            f"{each.id}\t{each.client}\t{each.kind}\t{each.resource}\towed since {each.since:%Y-%m-%d}\t"
            f"due {each.due:%Y-%m-%d}\t{_state(each, each.overdue(now))}"
        )
    if not listed:
        click.echo("0 notices", err=True)


def tell_owed(owed: Iterable[Copy], kind: str, due: datetime, clients: Iterable[Client]) -> None:
    """Say what each client is owed, and which of them no request will tell."""
    known = {client.id: client for client in clients}
    for name, number in _counted(owed):
        click.echo(f"{name}: owed {number} of the kind {kind}, due {due:%Y-%m-%d}")
        if not known[name].active:
            address = known[name].agreement.address or "the agency"
            click.echo(f"{name}: is suspended and can't ask for it: write to {address}")


def _counted(copies: Iterable[Copy]) -> list[tuple[str, str]]:
    counts = Counter(copy.client for copy in copies)
    return [(client, f"{n} notice{'s'[: n > 1]}") for client, n in sorted(counts.items())]


def _state(notice: Notice, is_overdue: bool) -> str:  # noqa: FBT001 -- a state's own name
    if notice.acknowledged is not None:
        return f"acknowledged {notice.acknowledged:%Y-%m-%d}"
    return "OVERDUE" if is_overdue else "owed"


COMMANDS = (recall, notices)
