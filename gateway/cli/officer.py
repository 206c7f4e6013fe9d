"""What city officers do is in the log too, with the officer's name in the sealed part."""

import getpass
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import click

from gateway import app as composition
from gateway.activation.statement import MAX_BECAUSE, is_line
from gateway.audit.entry import Entry, Opening
from gateway.audit.log import Log, With
from gateway.canonical import Json
from gateway.errors import Unavailable

F = TypeVar("F", bound=Callable[..., object])


def by_officer(command: F) -> F:
    """Add the option that names the officer who acts."""
    option = click.option("--by", default=getpass.getuser, show_default="your login", help="the city officer who acts")
    return option(command)


class _Reason(click.ParamType[str]):
    name = "TEXT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not is_line(text, MAX_BECAUSE):
            self.fail(f"a reason is one line of at most {MAX_BECAUSE} characters", param, ctx)
        return text


REASON = _Reason()


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
