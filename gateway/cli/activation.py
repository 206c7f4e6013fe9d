"""`gateway policy propose`, `activate`, `rollback`, `stop`, `lift`, `status`, `history`: what approvers sign."""

import shlex
import subprocess
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import click
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway import app as composition
from gateway import settings as configuration
from gateway import sshsig
from gateway.activation import approvers
from gateway.activation.approvers import NAMESPACE, Approvers
from gateway.activation.history import History, Turn, described
from gateway.activation.statement import Activate, Deed, Lift, Rollback, Start, Statement, StatementError, Stop, parse
from gateway.cases import run as cases
from gateway.cli.arguments import DAY
from gateway.cli.policy import ROOT
from gateway.errors import ConfigurationError
from gateway.identity.clients import Clients
from gateway.policy.archive import Files, read_directory
from gateway.policy.bundle import Bundle
from gateway.policy.check import checked
from gateway.settings import Settings

BECAUSE = click.option("--because", required=True, help="why, in a sentence; it stands in the statement")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
KEY = click.option("--key", type=_FILE, required=True, help="your private key, as ssh-keygen makes it")
SIGNATURE = click.option(
    "--signature", "signatures", type=_FILE, multiple=True, required=True, help="an approver's signature; repeatable"
)
STATEMENT = click.argument("file", type=_FILE)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@ROOT
@click.option("--from", "starts", type=DAY, help="the first day on which it is in force; else at once")
@click.option("--lift", "agency", help="propose to lift the stop of this agency, instead of a policy")
@BECAUSE
def propose(file: Path, policies: Path, starts: datetime | None, agency: str | None, because: str) -> None:
    """Check the policy and write the statement that two approvers must sign to FILE."""
    settings = configuration.read()
    if agency is None:
        deed: Deed = activation_of(pass_tests(read_directory(policies)), starts)
    elif starts is None:
        deed = Lift(agency)
    else:
        raise ConfigurationError("a stop is lifted at once: --from and --lift don't go together")
    with composition.open_register(settings) as register:
        _warn(settings, register.history())
        statement = register.propose(deed, because)
    try:
        # Signatures may have been made of what a file of that name holds.
        with file.open("xb") as written:
            written.write(statement.content())
    except OSError as error:
        raise ConfigurationError(f"{file} can't be written: {error.strerror}") from None
    name = shlex.quote(str(file))
    verb = "activate" if agency is None else "lift"
    click.echo(f"{file}: statement {statement.sequence}, {described(statement)}. Two approvers sign it, each with\n")
    click.echo(f"    ssh-keygen -Y sign -n {NAMESPACE} -f KEY < {name} > {name}.NAME.sig\n\nand then\n")
    click.echo(f"    gateway policy {verb} {name} --signature {name}.ONE.sig --signature {name}.OTHER.sig")


@click.command()
@STATEMENT
@SIGNATURE
@ROOT
def activate(file: Path, signatures: tuple[Path, ...], policies: Path) -> None:
    """Put the policy that FILE names in force: of sound files, signed by two approvers."""
    content, files = file.read_bytes(), read_directory(policies)
    if isinstance(parse(content).deed, Lift):
        raise ConfigurationError(f"{file} lifts a stop: 'gateway policy lift' takes it")
    pass_tests(files)
    enacted(configuration.read(), content, [_text(path) for path in signatures], files)


@click.command()
@STATEMENT
@SIGNATURE
def lift(file: Path, signatures: tuple[Path, ...]) -> None:
    """Let an agency in again that was stopped, by the statement FILE that two approvers signed."""
    enacted(configuration.read(), file.read_bytes(), [_text(path) for path in signatures], None)


@click.command()
@KEY
@BECAUSE
def rollback(key: Path, because: str) -> None:
    """Put back the policy that was in force directly before; one approver can do this."""
    settings = configuration.read()
    with composition.open_register(settings) as register:
        _warn(settings, register.history())
        content = register.propose(Rollback(register.history().before(composition.now())), because).content()
    enacted(settings, content, [signed(content, key, NAMESPACE)], None)


@click.command()
@click.argument("agency")
@KEY
@BECAUSE
def stop(agency: str, key: Path, because: str) -> None:
    """Refuse everything to AGENCY, from now on; one approver can do this."""
    settings = configuration.read()
    with composition.open_log(settings) as opened:
        known = sorted({client.agreement.agency for client in Clients(opened.store).all()})
    if agency not in known:
        # A misspelt stop must not look like success.
        raise ConfigurationError(f"no client is of the agency '{agency}'; there are: {', '.join(known) or 'none'}")
    with composition.open_register(settings) as register:
        _warn(settings, register.history())
        content = register.propose(Stop(agency), because).content()
    enacted(settings, content, [signed(content, key, NAMESPACE)], None)


@click.command()
def status() -> None:
    """Say which policy is in force, what is scheduled, who is stopped, each by whose signatures."""
    settings = configuration.read()
    trusted, moment = approvers.read(settings.approvers), composition.now()
    with composition.open_register(settings) as register:
        history = register.history()
        history.verify(trusted, moment)
        turns = history.turns(moment)
        if not turns:
            click.echo("no policy is in force")
        for turn in turns[-1:]:
            register.bundle(turn.bundle)
            click.echo(f"in force   {_turn(history, turn, trusted)}")
        for turn in history.scheduled(moment):
            register.bundle(turn.bundle)
            click.echo(f"scheduled  {_turn(history, turn, trusted)}")
        for agency, statement in sorted(history.stops().items()):
            click.echo(f"stopped    {agency} by {_stated(history, statement, trusted)}")


@click.command("history")
def history_() -> None:
    """List all statements, each with those who signed it."""
    settings = configuration.read()
    trusted = approvers.read(settings.approvers)
    with composition.open_register(settings) as register:
        history = register.history()
    for statement in history.statements:
        click.echo(f"{described(statement)}\n    {_stated(history, statement, trusted)}")


def pass_tests(files: Files) -> Bundle:
    """Read and check a policy, and run its own tests; raise FileError or ConfigurationError."""
    report = cases.run(files)
    failed = [verdict.case for verdict in report.verdicts if not verdict.passed]
    if failed:
        told = f"{len(failed)} of the policy's own tests fail; see 'gateway policy test'"
        raise ConfigurationError(f"{failed[0].place}: {failed[0].document}: {failed[0].name}: {told}")
    return checked(files)


def activation_of(bundle: Bundle, starts: datetime | None) -> Activate:
    """Return the deed that puts a bundle in force, at once or from a day of the city on."""
    if starts is None:
        return Activate(bundle.digest)
    start = Start(starts.date(), bundle.catalogue.time_zone.key)
    if start.moment() <= composition.now():
        raise ConfigurationError(f"{start.day} has begun: without --from the policy takes force at once")
    return Activate(bundle.digest, start)


def enacted(settings: Settings, content: bytes, signatures: list[str], files: Files | None) -> None:
    """Take a signed statement into the register and the log, and say so."""
    with composition.open_register(settings) as register:
        statement = register.enact(content, signatures, approvers.read(settings.approvers), files)
        register.seal()
    click.echo(f"statement {statement.sequence}: {described(statement)}")


def signed(content: bytes, key: Path, namespace: str) -> str:
    """Sign with a private key; one that is encrypted, or that a device holds, is left to ssh-keygen."""
    with suppress(OSError, ValueError, TypeError, UnsupportedAlgorithm):
        private = serialization.load_ssh_private_key(key.read_bytes(), None)
        if isinstance(private, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
            return sshsig.sign(private, content, namespace)
    command = ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(key)]
    try:
        # What it asks for, and what goes wrong, it tells the approver itself.
        done = subprocess.run(command, input=content, stdout=subprocess.PIPE, check=True)  # noqa: S603 -- no shell
    except (OSError, subprocess.CalledProcessError):
        raise ConfigurationError(f"ssh-keygen did not sign with {key}") from None
    return done.stdout.decode("ascii", errors="replace")


def _warn(settings: Settings, history: History) -> None:
    """Tell an approver who is about to add to statements that do not verify: processes refuse what follows them."""
    try:
        history.verify(approvers.read(settings.approvers), composition.now())
    except StatementError as error:
        click.echo(f"gateway: WARNING: {error}; where this was never accepted, what follows it is not either", err=True)


def _text(path: Path) -> str:
    if path.stat().st_size > sshsig.MAX_SIGNATURE:
        raise ConfigurationError(f"{path} is too large for a signature")
    return path.read_bytes().decode("ascii", errors="replace")


def _turn(history: History, turn: Turn, trusted: Approvers) -> str:
    return f"{turn.bundle} from {turn.since:%Y-%m-%d %H:%M}Z by {_stated(history, turn.statement, trusted)}"


def _stated(history: History, statement: Statement, trusted: Approvers) -> str:
    """Write a statement's number, time, signers and reason."""
    try:
        names = ", ".join(history.signed[statement.sequence - 1].verify(trusted))
    except StatementError as error:
        names = f"NOBODY WHO COUNTS TODAY ({error})"
    return f"statement {statement.sequence} of {statement.made:%Y-%m-%d %H:%M}Z, signed by {names}: {statement.because}"


COMMANDS = (propose, activate, rollback, stop, lift, status, history_)
