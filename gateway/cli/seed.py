"""`gateway seed`: build the invented arrest database."""

import sys

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import ConfigurationError
from gateway.seed import SeedError, SeedReport
from gateway.seed import seed as build


@click.command()
@click.option("--year", type=int, default=2014, show_default=True, help="the year whose published figures are met")
@click.option("--arrests", type=int, default=46_740, show_default=True, help="how many arrests")
@click.option("--seed", "number", type=int, default=1, show_default=True, help="the same number gives the same rows")
@click.option("--url", required=True, help="a SQLAlchemy URL of an empty database")
def seed(year: int, arrests: int, number: int, url: str) -> None:
    """Build an invented arrest database, calibrated to Philadelphia's published figures."""
    report = with_progress(url, year, arrests, number)
    click.echo(f"{report.arrests:,} arrests of {report.persons:,} persons, {report.charges:,} charges; all invented.")


def with_progress(url: str, year: int, arrests: int, number: int) -> SeedReport:
    """Build the database behind a progress bar on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task("inventing arrests", total=arrests)
        try:
            return build(
                url,
                year=year,
                arrests=arrests,
                seed=number,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except SeedError as error:
            raise ConfigurationError(str(error)) from None
        except (SQLAlchemyError, ImportError):
            raise ConfigurationError(
                "the database can't be written: --url is sqlite:///FILE or postgresql://ROLE@HOST/DATABASE"
            ) from None
