"""`gateway init`, `serve` and `settings`: make a gateway, run it, and say what can be set."""

import atexit
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from sqlalchemy.exc import SQLAlchemyError

from gateway import app as composition
from gateway import settings as configuration
from gateway import telemetry
from gateway.activation.register import NOTHING
from gateway.errors import ConfigurationError
from gateway.settings import PREFIX, Settings
from gateway.strict_yaml import FileError

# Seconds that a thread waits for the next bytes of a request, or for a peer to take those of an answer.
PATIENCE = 10


@click.command()
def init() -> None:
    """Make the keys, the store's tables and the log's public part, where they do not exist yet."""
    settings = configuration.read()
    try:
        composition.prepare(settings)
    except SQLAlchemyError:
        raise ConfigurationError("the gateway's store can't be made; is GATEWAY_STORE_URL right?") from None
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: {error.strerror}") from None
    with composition.open_log(settings) as opened:
        click.echo(f"The log's verifier key, to hand to auditors:\n{opened.log.verifier.vkey()}")
    with composition.open_register(settings) as register:
        if not register.history().statements:
            click.echo(NOTHING[0].upper() + NOTHING[1:] + ".")


@click.command()
def serve() -> None:
    """Serve over HTTP with gunicorn; end with SIGTERM."""
    Server(configuration.read()).run()


@click.command("settings")
def settings() -> None:
    """List the settings, their defaults and meanings."""
    for name, field in Settings.model_fields.items():
        default = "required" if field.is_required() else f"default {field.default!s}"
        click.echo(f"{PREFIX}{name.upper():<18} {field.description} ({default})")


class Server(BaseApplication):  # type: ignore[misc] # gunicorn ships no types
    """gunicorn with the gateway's settings; each process composes its own gateway after the fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn up; nothing is read from its own files."""
        for name, value in gunicorn_options(self._settings):
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Compose the gateway of this process."""
        return worker(self._settings)


def worker(settings: Settings | None = None) -> Flask:
    """Compose the gateway of this process and start its sealer; settings are read if none are given.

    What an operator can mend ends the process with one line, and so stops the server.
    """
    telemetry.configure()
    try:
        gateway = composition.build(settings or configuration.read())
        gateway.start()
    except (ConfigurationError, FileError) as error:
        click.echo(f"gateway: {error}", err=True)
        sys.exit(Arbiter.WORKER_BOOT_ERROR)
    atexit.register(gateway.stop)
    return gateway.flask


def _bound_waiting(worker: Any) -> None:
    """Let no peer hold a thread by sending, or reading, nothing: accepted sockets inherit these bounds (Linux)."""
    bound = struct.pack("ll", PATIENCE, 0)
    for listener in worker.sockets:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.sock.setsockopt(socket.SOL_SOCKET, option, bound)


def gunicorn_options(settings: Settings) -> Iterable[tuple[str, Any]]:
    """Return gunicorn's options: threads, no access log of its own (it would hold paths), bounded requests."""
    return (
        ("bind", settings.bind),
        ("workers", settings.workers),
        ("worker_class", "gthread"),
        ("threads", settings.threads),
        # Each worker listens for itself: with a shared socket one may take all the connections.
        ("reuse_port", True),
        ("timeout", 30),
        ("graceful_timeout", 20),
        ("keepalive", 30),
        ("limit_request_line", 2048),
        ("limit_request_fields", 40),
        ("limit_request_field_size", 8190),
        ("accesslog", None),
        # Its warnings repeat the first line of requests that it could not read.
        ("loglevel", "error"),
        ("proc_name", "arrest-gateway"),
        ("post_worker_init", _bound_waiting),
    )
