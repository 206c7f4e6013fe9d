"""`gateway audit export`: the log as files that anyone can verify offline."""

from pathlib import Path

import click

from gateway import app as composition
from gateway import settings as configuration
from gateway.audit.entry import Opening
from gateway.audit.export import export as write
from gateway.audit.export import opens_all, opens_nothing
from gateway.cli.arguments import REASON
from gateway.cli.officer import by_officer, written_down
from gateway.errors import ConfigurationError


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--open", "opening", is_flag=True, help="with every sealed part, opened: the files then name persons")
@click.option("--because", type=REASON, help="why sealed parts are opened; required with --open")
@by_officer
def export(directory: Path, opening: bool, because: str | None, by: str) -> None:  # noqa: FBT001 -- click passes it by name
    """Write the log to a new DIRECTORY, to be verified offline, or reported on; that is in the log too."""
    if opening and because is None:
        raise ConfigurationError("sealed parts are opened for a reason: give --because, in one line")
    reason = (Opening("reason", because),) if opening and because else ()
    with composition.open_log(configuration.read()) as opened:
        written_down(opened.log, "audit-export", by, {"opened": opening}, *reason)
        size = write(
            opened.store,
            opened.log.verifier.origin,
            directory,
            opens_all(opened.openings) if opening else opens_nothing,
        )
    click.echo(f"{directory}: {size} leaves, to be verified with the key {opened.log.verifier.vkey()}")
