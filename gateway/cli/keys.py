"""`gateway keys`: list the gateway's keys, make new ones, and retire old ones; each change is in the log."""

from functools import partial

import click
from sqlalchemy.engine import Connection

from gateway import app as composition
from gateway import keys as key_files
from gateway import settings as configuration
from gateway.app import OpenLog
from gateway.audit import inventory
from gateway.audit.checkpoint import signers
from gateway.audit.entry import Entry, Opening
from gateway.audit.inventory import RETIRABLE, Known
from gateway.canonical import Json
from gateway.cli.arguments import REASON
from gateway.cli.officer import by_officer
from gateway.errors import ConfigurationError
from gateway.keys import SECRETS, SIGNING, USES, KeyFile

KINDS = dict.fromkeys(SIGNING, "Ed25519") | {"token": "P-256"} | dict.fromkeys(SECRETS, "secret")
because_ = click.option("--because", type=REASON, required=True, help="why; sealed in the log")


@click.group()
def keys() -> None:
    """List the gateway's keys, make new ones, and retire old ones."""


@keys.command("list")
def list_() -> None:
    """List the keys that the log knows; refuse where the files here are not those keys."""
    with composition.open_inventory(configuration.read()) as held:
        held.keys()
        known = held.known()
    newest = {key.use: key.number for key in known}
    for key in known:
        state = "writes" if key.number == newest[key.use] else "reads"
        state = state if key.retired is None else f"retired {key.retired}"
        columns = (key.use, str(key.number), KINDS[key.use], key.id, key.since, state, key.public or "-")
        click.echo("\t".join(columns))


@keys.command()
@click.argument("use", type=click.Choice(USES))
@because_
@by_officer
def rotate(use: str, because: str, by: str) -> None:
    """Make the next key of a use, which writes from each process's next start; the older ones go on reading."""
    settings = configuration.read()
    with composition.open_rotation(settings, use) as (opened, file):
        opened.log.perform(partial(_rotated, file=file, origin=settings.log_origin, officer=_officer(by, because)))
        # By the keys of before: whoever trusts those learns of this one.
        opened.log.seal_all()
    path = key_files.file_of(settings.keys, use, file.number)
    click.echo(f"{path} is the key '{use}' {file.number}, {file.id}")
    click.echo("copy it to every machine, run 'gateway keys list' there, then let all of them read their keys again")


@keys.command()
@click.argument("use", type=click.Choice(RETIRABLE))
@click.argument("number", type=click.IntRange(1))
@because_
@by_officer
def retire(use: str, number: int, because: str, by: str) -> None:
    """Give up an older key and remove its file; what it made is read no longer."""
    settings = configuration.read()
    with composition.open_inventory(settings) as held:
        key = inventory.retirable(held.known(), use, number)
    with composition.open_log(settings) as opened:
        if use == "checkpoint":
            _handed_over(opened, settings.log_origin)
        opened.log.perform(partial(_retired, key=key, officer=_officer(by, because)))
        opened.log.seal_all()
        # What is public must not rest on the key that goes.
        opened.log.publish()
    # A crash before this leaves a file that the next start refuses, by name.
    path = key_files.file_of(settings.keys, use, number)
    path.unlink()
    click.echo(f"the key '{use}' {number} is retired, and {path} is removed")
    click.echo("remove it on every other machine, then let all of them read their keys again")


def _handed_over(opened: OpenLog, origin: str) -> None:
    """Refuse while the newest key has signed nothing: its first checkpoint must be signed by the key before it too."""
    if opened.log.verifier.key_id() not in signers(opened.log.checkpoint(), origin):
        raise ConfigurationError("no checkpoint is signed by the newest key yet: let the gateway serve with it first")


def _officer(by: str, because: str) -> tuple[Opening, ...]:
    return Opening("officer", by), Opening("reason", because)


def _rotated(
    connection: Connection, entry_id: str, file: KeyFile, origin: str, officer: tuple[Opening, ...]
) -> tuple[Entry, None]:
    inventory.record(connection, entry_id, [file], origin)
    return _entry("key-rotate", inventory.told([file], origin), officer), None


def _retired(connection: Connection, entry_id: str, key: Known, officer: tuple[Opening, ...]) -> tuple[Entry, None]:
    inventory.retire(connection, entry_id, key)
    named: list[Json] = [{"use": key.use, "number": key.number, "id": key.id, "public": key.public}]
    return _entry("key-retire", named, officer), None


def _entry(action: str, named: list[Json], officer: tuple[Opening, ...]) -> Entry:
    return Entry(action, "permit", "done", composition.now(), None, {"keys": named}, officer)
