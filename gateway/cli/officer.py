"""What city officers do is in the log too, with the officer's name in the sealed part."""

import getpass
from collections.abc import Callable
from typing import TypeVar

import click

from gateway import app as composition
from gateway.audit.entry import Entry, Json, Opening
from gateway.audit.log import Log

F = TypeVar("F", bound=Callable[..., object])


def by_officer(command: F) -> F:
    """Add the option that names the officer who acts."""
    option = click.option("--by", default=getpass.getuser, show_default="your login", help="the city officer who acts")
    return option(command)


def written_down(log: Log, action: str, by: str, facts: dict[str, Json], *openings: Opening) -> None:
    """Append what an officer did, and seal it."""
    log.append(Entry(action, "permit", "done", composition.now(), None, facts, (Opening("officer", by), *openings)))
    log.seal()
