"""PostgreSQL servers to be maltreated: stopped at once, started again, on a disk of their own that can be filled."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg

from tests.e2e.servers import free_port
from tests.services import binaries

_NUMBER = count()
_NOBODY = 65534
_IMMEDIATELY = signal.SIGQUIT
_BALLAST = "ballast"


@dataclass(slots=True)
class Cluster:
    """A PostgreSQL server on a TCP port of this machine, and the command within which its programs run."""

    programs: Path
    data: Path
    port: int
    within: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, port: int | None = None) -> str:
        """Return a SQLAlchemy URL, by way of a proxy's port if one is given."""
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def create(self) -> str:
        """Make a database; return its name."""
        name = f"c{next(_NUMBER)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def connect(self) -> psycopg.Connection:
        """Connect as the superuser."""
        return psycopg.connect(f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres", autocommit=True)

    def initialise(self) -> None:
        """Make the data directory, with small files of the write-ahead log."""
        how = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--wal-segsize=1")
        self._run(str(self.programs / "initdb"), "-D", str(self.data), *how)

    def start(self) -> None:
        """Start it; return once it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "150",
            "max_wal_size": "8MB",
            "min_wal_size": "2MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [*self.within, str(self.programs / "postgres"), "-D", str(self.data), *options]
        self.process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                assert self.process.poll() is None, "PostgreSQL did not start"
                assert time.monotonic() < deadline, "PostgreSQL does not answer"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it at once, as a power failure does: nothing is flushed, nobody is waited for."""
        assert self.process is not None
        self.process.send_signal(_IMMEDIATELY)
        self.process.wait(30)

    def revive(self) -> None:
        """Start it if it has ended by itself."""
        assert self.process is not None
        if self.process.poll() is not None:
            self.start()

    def fill(self) -> None:
        """Take the last byte of its disk."""
        command = [*self.within, "dd", "if=/dev/zero", f"of={self.data.parent / _BALLAST}", "bs=4k"]
        done = subprocess.run(command, cwd="/", capture_output=True, check=False)
        assert b"No space left on device" in done.stderr

    def empty(self) -> None:
        """Give the disk back."""
        self._run("rm", str(self.data.parent / _BALLAST))

    def _run(self, *command: str) -> None:
        subprocess.run([*self.within, *command], cwd="/", check=True, capture_output=True)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a PostgreSQL on the machine's disk."""
    with _directory() as root:
        yield from _started(root, _as_nobody() if os.geteuid() == 0 else ())


@contextmanager
def cluster_on_a_small_disk(mebibytes: int) -> Iterator[Cluster]:
    """Start a PostgreSQL on a file system in memory of so many mebibytes.

    It is mounted in a mount namespace, which ends with its processes; whoever is not root has one in a user namespace.
    """
    with _directory() as root:
        mount = f"mount -t tmpfs -o size={mebibytes}m,mode=0777 tmpfs {root} && echo mounted && exec sleep infinity"
        apart = ("--mount",) if os.geteuid() == 0 else ("--mount", "--user", "--map-root-user")
        keeper = subprocess.Popen(["unshare", *apart, "sh", "-c", mount], stdout=subprocess.PIPE)
        try:
            assert keeper.stdout is not None
            assert keeper.stdout.readline() == b"mounted\n"
            enter = ("nsenter", "--target", str(keeper.pid), *(name for name in apart if name != "--map-root-user"))
            other_name = (
                "--preserve-credentials",
                "unshare",
                "--user",
                f"--map-user={_NOBODY}",
                f"--map-group={_NOBODY}",
            )
            yield from _started(root, (*enter, *(_as_nobody() if os.geteuid() == 0 else other_name)))
        finally:
            keeper.kill()
            keeper.communicate()


def _as_nobody() -> Sequence[str]:
    """Return the command that drops root, as which PostgreSQL does not run."""
    return ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")


@contextmanager
def _directory() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="gw-cluster-"))
    root.chmod(0o777)
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _started(root: Path, within: Sequence[str]) -> Iterator[Cluster]:
    with _directory() as copies:
        owner = "nobody" if os.geteuid() == 0 else None
        made = Cluster(binaries(copies, owner), root / "data", free_port(), tuple(within))
        made.initialise()
        made.start()
        try:
            yield made
        finally:
            made.stop()
