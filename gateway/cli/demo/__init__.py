"""`gateway demo`: set everything up on SQLite, do the main job over real HTTP, check every step, go on serving."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import groupby
from pathlib import Path

import click

from gateway import app as composition
from gateway import settings as configuration
from gateway.audit.show import latest
from gateway.cli.audit import line
from gateway.cli.demo import approval, cast, days, visit
from gateway.cli.demo.step import DemoError, step
from gateway.cli.seed import with_progress
from gateway.cli.verify import scratch, told
from gateway.settings import PREFIX, Settings
from gateway.verifier.evidence import Evidence
from gateway.verifier.note import read_log_key
from gateway.verifier.verify import verify

DAY = date(2014, 4, 17)
CLOSING = "hold-standard-on-data"
MARKER = "made-by-gateway-demo"
HOST = "127.0.0.1"


@click.command()
@click.option("--once", is_flag=True, help="do not go on serving; exit 0 only if every step went as it should")
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), default=Path("demo"), show_default=True)
@click.option("--arrests", type=click.IntRange(min=2000), default=46_740, show_default=True, help="2014 had 46,740")
@click.option("--port", type=click.IntRange(1024, 65535), default=8000, show_default=True)
@click.option("--policies", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("policies"))
def demo(once: bool, directory: Path, arrests: int, port: int, policies: Path) -> None:  # noqa: FBT001 -- click's way
    """Show the gateway at work on an invented database, from an empty directory to a verified log."""
    # Asked to end, it ends as after Ctrl-C, and takes its server along.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _demo(directory.resolve(), arrests, _free(port), policies.resolve(), once=once)
    except DemoError as error:
        click.echo(f"\nThe demo went wrong: {error}", err=True)
        sys.exit(1)


def _demo(directory: Path, arrests: int, port: int, policies: Path, *, once: bool) -> None:
    step(1, f"An invented arrest database of {arrests:,} arrests, shaped after Philadelphia's figures of 2014")
    _empty(directory)
    settings = _settings(directory, port, policies, client_limit="40/minute")
    report = with_progress(settings.arrest_url, 2014, arrests, 1)
    click.echo(f"{report.arrests:,} arrests of {report.persons:,} persons, {report.charges:,} charges. All invented.")
    composition.prepare(settings)
    clients = cast.register(settings, directory / "clients")
    hidden = cast.file_instruments(settings)

    step(2, "Two approvers sign the policy; without their signatures it is only files, and nothing is served")
    approval.approve(settings, directory / "approvers")

    step(3, "What each day's rules would show of this one fixed, invented data set")
    days.show(settings, report.arrests, report.persons)

    step(4, f"Real HTTP, as of {DAY}, with the hypothetical document that closes the gap ({CLOSING})")
    click.echo("The day is that of the rules. The data set stays as it is, with arrests of the whole year.")
    kept = _checkpoint(settings)
    with _serving(settings, directory):
        visit.ice(settings, clients.ice, hidden)
        visit.fbi(settings, clients.fbi)

    step(5, "The log, verified against a checkpoint that was kept from before")
    _verified(settings, kept)
    if once:
        click.echo("\nEverything went as it should.")
        return

    step(6, "Serving; end with Ctrl-C")
    lasting = _settings(directory, port, policies, client_limit="300/minute")
    with _serving(lasting, directory) as server:
        _invite(lasting, directory, clients)
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()


def _empty(directory: Path) -> None:
    """Start from an empty directory; a directory that the demo did not make is left alone."""
    if directory.exists() and not (directory / MARKER).exists():
        raise DemoError(f"{directory} exists and was not made by the demo; choose another with --directory")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / MARKER).touch()


def _passphrase(path: Path) -> Path:
    """Make the passphrase of the demo's keys, once; the city keeps its own apart from the keys."""
    if not path.exists():
        path.touch(0o600)
        path.write_text(f"{secrets.token_urlsafe(32)}\n", encoding="ascii")
    return path


def _settings(directory: Path, port: int, policies: Path, client_limit: str) -> Settings:
    given = {
        "ARREST_URL": f"sqlite:///{directory / 'arrests.db'}",
        "STORE_URL": f"sqlite:///{directory / 'store.db'}",
        "KEYS": str(directory / "keys"),
        "KEYS_PASSPHRASE": str(_passphrase(directory / "keys-passphrase")),
        "POLICIES": str(policies),
        "APPROVERS": str(directory / "allowed_signers"),
        "ISSUER": f"http://{HOST}:{port}",
        "LOG_ORIGIN": "sandbox.demo.arrest-gateway.example/log",
        "LOG_PUBLIC": str(directory / "public"),
        "BIND": f"{HOST}:{port}",
        "CLIENT_LIMIT": client_limit,
        "SANDBOX": "true",
        "REHEARSAL_DAY": DAY.isoformat(),
        "REHEARSAL_WITH": CLOSING,
    }
    environment = {PREFIX + name: value for name, value in given.items()}
    (directory / "settings.sh").write_text(
        "".join(f"export {name}='{value}'\n" for name, value in environment.items()), encoding="utf-8"
    )
    return configuration.read(environment)


def _environment(settings: Settings) -> Mapping[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    chosen = settings.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return {**inherited, **{PREFIX + name.upper(): str(value) for name, value in chosen.items()}}


@contextlib.contextmanager
def _serving(settings: Settings, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the real server as its own process, its telemetry in a file."""
    with (directory / "server.log").open("ab") as telemetry:
        server = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve"], env=_environment(settings), stderr=telemetry
        )
    try:
        _await_ready(settings, server, directory)
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _await_ready(settings: Settings, server: subprocess.Popen[bytes], directory: Path) -> None:
    deadline = time.monotonic() + 30
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{settings.issuer}/readyz", timeout=2) as response:  # noqa: S310 -- the settings check the scheme
            if json.load(response)["ready"]:
                return
        time.sleep(0.1)
    raise DemoError(f"the server did not start; see {directory / 'server.log'}")


def _free(port: int) -> int:
    """Return the port, or any other that is free."""
    for candidate in (port, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, candidate))
            return int(probe.getsockname()[1])
    raise DemoError("no port is free")


def _checkpoint(settings: Settings) -> str:
    with composition.open_log(settings) as opened:
        opened.log.seal_all()
        return opened.log.checkpoint()


def _verified(settings: Settings, kept: str) -> None:
    with composition.open_log(settings) as opened:
        opened.log.seal_all()
        keys = (read_log_key(opened.log.verifier.vkey()),)
        with scratch(opened) as exported:
            verified = verify(exported, keys, Evidence((kept,), (), (), ()), composition.now())
        click.echo("\n".join((*told(verified), f"keep this checkpoint:\n{verified.note}")))
        before = int(kept.splitlines()[1])
        click.echo(f"The {verified.size - before} entries that these requests left:")
        for kind, leaves in groupby(latest(opened.store, verified.size - before), key=_kind):
            first, *others = leaves
            click.echo("  " + line(first) + (f"  (and {len(others)} more like it)" if kind and others else ""))


def _kind(leaf: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(leaf.get(name) for name in ("client", "action", "outcome", "records"))


def _invite(settings: Settings, directory: Path, clients: cast.Clients) -> None:
    program = _shown(Path(sys.argv[0]))
    url = settings.issuer
    click.echo(f"The gateway serves at {url}; both demo clients' keys are in {_shown(directory / 'clients')}:")
    for each in (clients.ice, clients.fbi):
        click.echo(f"  {each.id:8} {_shown(each.key)}")
    click.echo("\nThree lines to try in another terminal:")
    for each, path, data in (
        (clients.ice, "/v1/arrests/search", '{"limit": 2}'),
        (
            clients.fbi,
            "/v1/arrests/search",
            '{"limit": 2, "filter": {"district": {"eq": "24"}}, "sort": ["-arrested_at"]}',
        ),
        (clients.ice, "/v1/resources", None),
    ):
        token = f"$({program} client token {each.id} --key {_shown(each.key)} --issuer {url})"
        body = f" -H 'Content-Type: application/json' -d '{data}'" if data else ""
        click.echo(
            f'\ncurl -s {url}{path} -H "Authorization: Bearer {token}" -H "Access-Purpose: {each.purpose}"{body}'
        )
    sourced = f". {_shown(directory / 'settings.sh')}"
    stop = f"policy stop ICE --key {_shown(directory / 'approvers' / approval.NAMES[0])} --because 'To try it.'"
    click.echo(f"\nAnd an emergency stop, which holds within two seconds: {sourced} && {program} {stop}")
    click.echo(f"\nAnd the log: {sourced} && {program} audit show && {program} audit verify\n")


def _shown(path: Path) -> str:
    """Write a path as short as it works from here."""
    with contextlib.suppress(ValueError):
        return str(path.absolute().relative_to(Path.cwd()))
    return str(path)
