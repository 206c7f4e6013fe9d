"""`gateway audit hold` and `erase`: legal holds, and the erasure of a person by an order that two approvers sign."""

import shlex
from pathlib import Path

import click

from gateway import app as composition
from gateway import settings as configuration
from gateway import sshsig
from gateway.activation import approvers
from gateway.cli.activation import KEY, SIGNATURE, signed
from gateway.cli.arguments import DATA_KEY, REASON
from gateway.cli.officer import by_officer
from gateway.cli.recall import BECAUSE, DAYS, tell_owed
from gateway.erasure import erase as erasing
from gateway.erasure import holds
from gateway.erasure import order as orders
from gateway.errors import ConfigurationError, Unavailable
from gateway.identity.clients import Clients

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_REMAINS = """\
What is not erased, and can't be from here:
- the order's file and its signatures name the person: destroy {file}
- backups of the store, its archived write-ahead log and its replicas hold the openings until they are replaced; after a
  restore from one of before, erase again by a new order
- {database}
- exports of opened entries, accountings and extracts that were handed out; a SIEM holds leaves only, which name nobody
- what the clients received: they are owed notices, see 'gateway audit notices'
- questions that found nothing, or were refused, are found by no person: one that names the person stays, and so does
  the place in a list ('cursor') from which a client asked on
- the arrest database, and its warrants in 'gateway instrument list', which are city records of their own
- a disclosure after this is a new one, and is logged as one"""
_SQLITE_WIPED = "the database's file was overwritten where it held them; a file system or a disk may keep old blocks"
_SQLITE_READ = (
    "the write-ahead log beside the database's file, as someone is reading it: stop the gateway, and run any command"
)
_POSTGRESQL = (
    "PostgreSQL's freed places and its write-ahead log, until they are used again; VACUUM FULL opening, budget_mark "
    "rewrites the tables while nobody is answered"
)


@click.group(invoke_without_command=True)
@click.option("--person", type=DATA_KEY, help="the person's key in the arrest database")
@click.option("--because", type=REASON, help="why, in a sentence; it is sealed, and erased with the person")
@by_officer
@click.pass_context
def hold(context: click.Context, person: int | None, because: str | None, by: str) -> None:
    """Place a legal hold on a person, whom nothing erases while it stands; list and lift holds."""
    if context.invoked_subcommand is not None:
        if person is not None or because is not None:
            raise click.UsageError("--person and --because place a hold, without a further command")
        return
    if person is None or because is None:
        raise click.UsageError("give --person and --because, or one of the commands list and lift")
    with composition.open_log(configuration.read()) as opened:
        placed = holds.place(opened.log, opened.openings, person, because, by, composition.now())
        opened.log.seal_all()
    click.echo(placed)


@hold.command("list")
def list_() -> None:
    """List the holds; on whom each is, is sealed in its entry."""
    with composition.open_log(configuration.read()) as opened:
        found = holds.listed(opened.store)
    for each in found:
        state = "stands" if each.lifted is None else f"lifted {each.lifted:%Y-%m-%d}"
        click.echo(f"{each.id}\tplaced {each.placed:%Y-%m-%d}\t{state}\tentry {each.entry}")


@hold.command()
@click.argument("hold_id", metavar="HOLD")
@BECAUSE
@by_officer
def lift(hold_id: str, because: str, by: str) -> None:
    """Lift a hold."""
    with composition.open_log(configuration.read()) as opened:
        holds.lift(opened.log, opened.openings, hold_id, because, by, composition.now())
        opened.log.seal_all()
    click.echo(f"{hold_id} is lifted")


@click.group()
def erase() -> None:
    """Erase a person from the sealed parts of the log; two approvers sign the order."""


@erase.command("propose")
@click.option("--person", type=DATA_KEY, required=True, help="the person's key in the arrest database")
@click.option("--order", "reference", required=True, help="the reference of the court's order")
def propose_(person: int, reference: str) -> None:
    """Write an order for approvers to sign; it names the person, and is to be destroyed when it has been enacted."""
    settings = configuration.read()
    order = orders.propose(settings.log_origin, person, reference, composition.now())
    click.echo(order.content(), nl=False)
    click.echo(
        f"Two approvers sign the file, as it is, each with\n\n"
        f"    gateway audit erase sign FILE --key KEY > FILE.NAME.sig\n\n"
        f"or ssh-keygen -Y sign -n {orders.NAMESPACE} -f KEY < FILE > FILE.NAME.sig, and then\n\n"
        f"    gateway audit erase enact FILE --signature FILE.ONE.sig --signature FILE.OTHER.sig --by NAME\n\n"
        "within 30 days. The file names the person: keep it from others, and destroy it afterwards.",
        err=True,
    )


@erase.command()
@click.argument("file", type=_FILE)
@KEY
def sign(file: Path, key: Path) -> None:
    """Say what an order orders, and sign it with an approver's key."""
    content = _read(file)
    order = orders.parse(content)
    click.echo(
        f"erase person {order.person} from the log {order.log}, by the order '{order.reference}', "
        f"made {order.made:%Y-%m-%d %H:%M}Z",
        err=True,
    )
    click.echo(signed(content, key, orders.NAMESPACE), nl=False)


@erase.command("enact")
@click.argument("file", type=_FILE)
@SIGNATURE
@DAYS
@by_officer
def enact_(file: Path, signatures: tuple[Path, ...], days: int, by: str) -> None:
    """Owe the notices of an order's person, destroy the person's openings, and say what is left elsewhere."""
    settings = configuration.read()
    asked = erasing.Enactment(_read(file), [_read(path).decode("ascii", "replace") for path in signatures], by, days)
    trusted = approvers.read(settings.approvers)
    with composition.open_log(settings) as opened:
        done = erasing.enact(opened.log, opened.openings, opened.ids, trusted, asked, composition.now())
        opened.log.seal_all()
        clients = Clients(opened.store).all()
        database = _wiped(opened)
    click.echo(
        f"erased: {done.openings} openings in {done.entries} entries, {done.marks} budget marks; "
        f"{len(done.owed)} notices owed"
    )
    tell_owed(done.owed, "expunged", done.due, clients)
    click.echo(_REMAINS.format(file=shlex.quote(str(file)), database=database))


def _wiped(opened: composition.OpenLog) -> str:
    """Wipe what can be wiped of the database's files, and say what they may still hold."""
    try:
        wiped = erasing.wipe(opened.store)
    except Unavailable:
        wiped = False
    if opened.store.sqlite:
        return _SQLITE_WIPED if wiped else _SQLITE_READ
    return _POSTGRESQL if wiped else f"{_POSTGRESQL}; VACUUM could not be run now, run it"


def _read(file: Path) -> bytes:
    if file.stat().st_size > sshsig.MAX_SIGNATURE:
        raise ConfigurationError(f"{file} is too large")
    return file.read_bytes()


COMMANDS = (hold, erase)
