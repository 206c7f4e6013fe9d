"""The program `gateway`: what city IT and auditors do from the shell."""

import sys

import click
import psycopg
from sqlalchemy.exc import DBAPIError

from gateway.cli import (
    accounting,
    agreement,
    audit,
    client,
    demo,
    diff,
    erasure,
    explain,
    export,
    instrument,
    keys,
    plan,
    policy,
    recall,
    report,
    review,
    search,
    seed,
    serve,
    sight,
    trial,
    verify,
)
from gateway.cli.activation import COMMANDS
from gateway.errors import ConfigurationError, Unavailable
from gateway.strict_yaml import FileError


class _Program(click.Group):
    """Ends with one line and a status, not with a traceback, for what an operator can mend."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (ConfigurationError, FileError) as error:
            click.echo(f"gateway: {error}", err=True)
            sys.exit(2)
        except Unavailable as error:
            click.echo(f"gateway: {_why(error)}", err=True)
            sys.exit(1)


def _why(error: Unavailable) -> str:
    """Tell a right that is missing from a store that is down."""
    cause = error.__cause__
    if isinstance(cause, DBAPIError) and isinstance(cause.orig, psycopg.errors.InsufficientPrivilege):
        return "the database role of GATEWAY_STORE_URL may not do this; use the owner's URL (deploy/README.md)"
    return "the gateway's store is unavailable"


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="arrest-gateway")
def program() -> None:
    """Control what outside agencies can see in a city's arrest database.

    Settings are environment variables GATEWAY_...; `gateway settings` lists them.
    """


for command in (explain.command, trial.test, diff.command, plan.command, *COMMANDS):
    policy.policy.add_command(command)
for command in (
    search.search,
    sight.show,
    sight.explain,
    accounting.account,
    *recall.COMMANDS,
    *erasure.COMMANDS,
    export.export,
    verify.verify,
    report.extract,
    review.review,
):
    audit.audit.add_command(command)
for command in (
    serve.init,
    serve.serve,
    serve.settings,
    demo.demo,
    seed.seed,
    client.client,
    agreement.agreement,
    instrument.instrument,
    policy.policy,
    audit.audit,
    report.report,
    keys.keys,
):
    program.add_command(command)
