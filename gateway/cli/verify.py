"""`gateway audit verify`: verifies an export of the log offline, or the log in the gateway's own store."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.progress import Progress

from gateway import app as composition
from gateway import settings as configuration
from gateway import telemetry
from gateway.app import OpenLog
from gateway.audit import sealed
from gateway.audit.export import export
from gateway.audit.sealed import SealedPartError
from gateway.telemetry import Telemetry
from gateway.verifier.evidence import Comparison, Evidence
from gateway.verifier.lines import read_small
from gateway.verifier.note import MAX_NOTE, VerifierKey, read_log_key, read_witness_key
from gateway.verifier.promise import MAX_PROMISE
from gateway.verifier.receipt import MAX_RECEIPT
from gateway.verifier.verdict import VerificationError, Verified, Wrong
from gateway.verifier.verify import verify as verify_log
from gateway.watch.alerts import Alert, Kind
from gateway.watch.guard import send_now

NOT_VERIFIED = 1
VERIFIED_WITH_LOSS = 3
_MANY = 100
_NOTE = re.compile(r"\n\n\u2014 ")
_JWS = re.compile(r"\A\s*[\w-]+\.[\w-]+\.[\w-]+(\s|\Z)")
_PROOF = re.compile(r"\Ac2sp\.org/tlog-proof@")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class _Key(click.ParamType[VerifierKey]):
    """A verifier key, or a file that holds one."""

    name = "VKEY|FILE"

    def __init__(self, read: Callable[[str], VerifierKey]) -> None:
        self._read = read

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> VerifierKey:
        """Read the key; fail as click does."""
        try:
            # Path.is_file fails on keys that are too long for a file's name.
            return self._read(_text(Path(value), MAX_PROMISE) if os.path.isfile(value) else value)  # noqa: PTH113
        except VerificationError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("directory", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--key", "keys", multiple=True, type=_Key(read_log_key), help="a key of the log that you trust")
@click.option("--against", multiple=True, type=_FILE, help="a checkpoint kept before")
@click.option("--witness", "witnesses", multiple=True, type=_Key(read_witness_key), help="a witness whom you trust")
@click.option("--promise", "promises", multiple=True, type=_FILE, help="promises of answers, one a line")
@click.option("--receipt", "receipts", multiple=True, type=_FILE, help="a receipt of an entry")
@click.option("--keep", type=click.Path(dir_okay=False, path_type=Path), help="where to keep the newest checkpoint")
def verify(
    directory: Path | None,
    keys: tuple[VerifierKey, ...],
    against: tuple[Path, ...],
    witnesses: tuple[VerifierKey, ...],
    promises: tuple[Path, ...],
    receipts: tuple[Path, ...],
    keep: Path | None,
) -> None:
    """Verify a log; print a checkpoint to keep, and what could not be checked.

    With DIRECTORY, an export is verified with the keys given: no settings, store or private keys are needed. Without
    it, the log in the gateway's own store is, with its sealed parts; what they hold is not shown.

    Ends with 0 if the log is whole, with 3 if it is whole but for losses that it declares, and with 1 if it is not.
    """
    if directory is not None and not keys:
        raise click.UsageError("an export is verified with a key of the log that you trust: give --key")
    with _ending():
        evidence = _evidence(against, witnesses, promises, receipts)
        with _exported(directory, keys) as (exported, trusted), _bar() as progress:
            # Before the log is read: a file that is no evidence says nothing of the log.
            Comparison(evidence, trusted[0].name)
            with _alarming() if directory is None else nullcontext():
                verified = verify_log(exported, trusted, evidence, datetime.now(UTC), progress)
    if keep is not None:
        _keep(keep, verified.note)
    click.echo("\n".join((*told(verified), *(unopened(verified) if directory is not None else ()))))
    click.echo(f"keep this checkpoint:\n{verified.note}")
    if verified.losses:
        sys.exit(VERIFIED_WITH_LOSS)


def told(verified: Verified) -> Iterator[str]:
    """Say what was verified, what is lost, and what could not be checked."""
    for loss in verified.losses:
        yield (
            f"LOST: the entries of leaves {loss.first} to {loss.last}; leaf {loss.declared_by} declares it, and their "
            "hashes are in the tree"
        )
    yield (
        f"verified: the log {verified.origin}: {verified.size} leaves, unchanged, in order and signed "
        f"({verified.checkpoints} checkpoints, {verified.commitments} commitments, {verified.opened} of them opened)"
    )
    yield from verified.remarks
    yield from (f"not checked: {each}" for each in verified.unchecked)


def unopened(verified: Verified) -> Iterator[str]:
    """Say of an export what is sealed in it; the gateway's own log is held against its sealed parts where they are."""
    if closed := verified.commitments - verified.opened:
        yield (
            f"not checked: {closed} of {verified.commitments} openings are not in the export: what they hold was not "
            "checked"
        )


@contextmanager
def _ending() -> Iterator[None]:
    """End with what is wrong, and its status."""
    try:
        yield
    except (VerificationError, SealedPartError) as error:
        click.echo(f"NOT VERIFIED: {error}", err=True)
        sys.exit(NOT_VERIFIED)


@contextmanager
def _alarming() -> Iterator[None]:
    """Let whoever watches the city's own log hear that it does not verify; an export may be a stranger's."""
    try:
        yield
    except (VerificationError, SealedPartError):
        telemetry.configure()
        send_now(configuration.read(), Telemetry(), Alert(Kind.VERIFICATION_FAILURE, None, {}))
        raise


def _evidence(
    against: tuple[Path, ...],
    witnesses: tuple[VerifierKey, ...],
    promises: tuple[Path, ...],
    receipts: tuple[Path, ...],
) -> Evidence:
    return Evidence(
        checkpoints=tuple(_written(path, 4 * MAX_NOTE, _NOTE, "checkpoint") for path in against),
        witnesses=witnesses,
        promises=tuple(
            line for path in promises for line in _written(path, _MANY * MAX_PROMISE, _JWS, "promise").split()
        ),
        receipts=tuple(_written(path, 4 * MAX_RECEIPT, _PROOF, "receipt") for path in receipts),
    )


def _written(path: Path, limit: int, form: re.Pattern[str], what: str) -> str:
    """Read evidence; what does not even look like it is a wrong file, and says nothing of the log."""
    try:
        text = _text(path, limit)
    except VerificationError:
        text = ""
    if not form.search(text):
        raise click.UsageError(f"{path} holds no {what}")
    return text


def _text(path: Path, limit: int) -> str:
    try:
        return read_small(path, limit).decode()
    except UnicodeDecodeError:
        raise VerificationError(Wrong.MALFORMED, f"{path.name} is not UTF-8") from None


@contextmanager
def _exported(directory: Path | None, keys: tuple[VerifierKey, ...]) -> Iterator[tuple[Path, tuple[VerifierKey, ...]]]:
    """Yield the export, and the keys that are trusted; of the gateway's own log, export it and trust its own key.

    What is sealed stays sealed in the export: opened, it would lie in a file. It is held against its commitments where
    it is, in the store.
    """
    if directory is not None:
        yield directory, keys
        return
    with composition.open_log(configuration.read()) as opened, ExitStack() as stack:
        with _alarming():
            made = stack.enter_context(scratch(opened))
        yield made, keys or (read_log_key(opened.log.verifier.vkey()),)


@contextmanager
def scratch(opened: OpenLog) -> Iterator[Path]:
    """Export a log for a block, and hold its sealed parts against it."""
    with TemporaryDirectory(prefix="gateway-verify-") as directory:
        export(opened.store, opened.log.verifier.origin, Path(directory) / "log")
        sealed.check(opened.store, opened.openings)
        yield Path(directory) / "log"


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    console = Console(file=sys.stderr)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("verifying leaves", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _keep(path: Path, note: str) -> None:
    try:
        if path.exists() and not _NOTE.search(_text(path, 4 * MAX_NOTE)):
            raise click.UsageError(f"{path} holds something else than a checkpoint; nothing is written over it")
        path.write_text(note, encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(path), error.strerror) from None
