"""`gateway report`: the public transparency report of a quarter, its verification, and the public extract."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from gateway import __version__
from gateway.errors import ConfigurationError
from gateway.report import export as exports
from gateway.report.extract import LEAST_DELAY
from gateway.report.extract import extract as make_extract
from gateway.report.files import files
from gateway.report.publication import LEAST_THRESHOLD, Parameters, publish
from gateway.report.verification import ReportError
from gateway.report.verification import verify as verify_report

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
_EXPORT = click.option("--export", "source", type=_DIRECTORY, required=True, help="what `gateway audit export` wrote")
_OUT = click.option("--out", type=click.Path(path_type=Path), required=True, help="a directory, new or empty")
_THRESHOLD = click.option(
    "--threshold",
    type=click.IntRange(LEAST_THRESHOLD),
    default=LEAST_THRESHOLD,
    show_default=True,
    help="no smaller figure is told",
)
_TIME_ZONE = click.option("--time-zone", default="America/New_York", show_default=True, help="the city's")


@click.group(invoke_without_command=True)
@click.option("--quarter", help="such as 2026-Q4")
@click.option("--export", "source", type=_DIRECTORY, help="what `gateway audit export` wrote")
@click.option("--out", type=click.Path(path_type=Path), help="a directory, new or empty")
@_THRESHOLD
@_TIME_ZONE
@click.pass_context
def report(
    ctx: click.Context, quarter: str | None, source: Path | None, out: Path | None, threshold: int, time_zone: str
) -> None:
    """Write the public report on a quarter that is over, as a page, CSV files and JSON."""
    if ctx.invoked_subcommand is not None:
        return
    if quarter is None or source is None or out is None:
        raise click.UsageError("a report takes --quarter, --export and --out")
    published, late = publish(exports.read(source), Parameters(quarter, time_zone, threshold, __version__))
    _write(out, {name: [content] for name, content in files(published).items()})
    click.echo(f"{out}: the report on {quarter}, of the first {published.size} entries of {published.origin}")
    if late:
        click.echo(
            f"NOT COUNTED: {late} requests of {quarter} stand behind that checkpoint; a clock was wrong, or entries "
            "were sealed too late",
            err=True,
        )
    click.echo("publish it once: two editions, or two thresholds, tell together what neither tells")


@report.command()
@click.argument("directory", metavar="OUT", type=_DIRECTORY)
@_EXPORT
def verify(directory: Path, source: Path) -> None:
    """Recompute the report in OUT from an export, and compare it byte by byte."""
    try:
        parameters = verify_report(directory, exports.read(source))
    except ReportError as error:
        click.echo(f"NOT VERIFIED: {error}", err=True)
        sys.exit(1)
    click.echo(f"verified: the report on {parameters.quarter} is what the export gives")
    click.echo("that the export is the log, whole and unchanged, is for `gateway audit verify` to say")


@click.command()
@_EXPORT
@_OUT
@click.option(
    "--delay",
    type=click.IntRange(LEAST_DELAY, 36_500),
    default=LEAST_DELAY,
    show_default=True,
    help="days after a quarter",
)
@_THRESHOLD
@_TIME_ZONE
def extract(source: Path, out: Path, delay: int, threshold: int, time_zone: str) -> None:
    """Write the delayed, banded public extract: one line a request, as CSV and NDJSON."""
    made = make_extract(exports.read(source), time_zone, threshold, delay)
    _write(out, made.files())
    click.echo(f"{out}: {', '.join(map(str, made.quarters))}")


def _write(out: Path, made: Mapping[str, Iterable[bytes]]) -> None:
    """Write files into a directory that holds none yet."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise ConfigurationError(f"{out} is not empty")
        for name, content in made.items():
            with (out / name).open("wb") as file:
                file.writelines(content)
    except OSError as error:
        raise ConfigurationError(f"{out}: {error.strerror}") from None
