"""What city officers do is in the log too, with the officer's name in the sealed part."""

import getpass
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import click

from gateway import app as composition
from gateway.audit.entry import Entry, Opening
from gateway.audit.log import Log, With
from gateway.canonical import Json
from gateway.cli.arguments import OFFICER
from gateway.errors import Unavailable

F = TypeVar("F", bound=Callable[..., object])


def by_officer(command: F) -> F:
    """Add the option that names the officer who acts."""
    option = click.option(
        "--by", type=OFFICER, default=getpass.getuser, show_default="your login", help="the city officer who acts"
    )
    return option(command)


def written_down(
    log: Log, action: str, by: str, facts: dict[str, Json], *openings: Opening, also: With | None = None
) -> None:
    """Append what an officer did, with what `also` writes in the same transaction, and seal it.

    Whose role of the database may not seal leaves that to the gateway.
    """
    log.check_whole()
    log.append(
        Entry(action, "permit", "done", composition.now(), None, facts, (Opening("officer", by), *openings)), also
    )
    with suppress(Unavailable):
        log.seal_all()
