"""The contenders: servers as real processes on this machine, and PostgreSQL by itself."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psycopg
from psycopg import sql

from gateway.policy.tables import Parameter
from gateway.settings import PREFIX
from tests.bench.sample import Sample, sample
from tests.services import Postgres

# As the gateway's own connections have them.
_OPTIONS = "-c jit=off -c max_parallel_workers_per_gather=0"
_PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Memory:
    """Mebibytes of a process: resident, and its proportional share where pages are shared."""

    resident: float
    proportional: float


@dataclass(frozen=True, slots=True)
class Server:
    """A server with several processes on a port of this machine."""

    port: int
    process: int

    def memory(self) -> tuple[Memory, ...]:
        """Return the memory of each worker."""
        workers = Path(f"/proc/{self.process}/task/{self.process}/children").read_text().split()
        return tuple(
            Memory(_mebibytes(f"/proc/{pid}/status", "VmRSS"), _mebibytes(f"/proc/{pid}/smaps_rollup", "Pss"))
            for pid in workers
        )


@contextmanager
def served(arguments: Sequence[str], given: Mapping[str, str], port: int, output: Path) -> Iterator[Server]:
    """Run a Python module that serves on a port; end it afterwards."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with started([sys.executable, "-m", *arguments], {**environment, **given}, port, output) as server:
        yield server


@contextmanager
def started(program: Sequence[str], environment: Mapping[str, str], port: int, output: Path) -> Iterator[Server]:
    """Run a program that serves on a port; end it afterwards."""
    with output.open("wb") as lines:
        process = subprocess.Popen(program, env=environment, stdout=lines, stderr=lines)
    try:
        _wait(process, port, output)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + 90
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start:\n{output.read_text()[-4000:]}")
        time.sleep(0.05)


def _mebibytes(path: str, name: str) -> float:
    for line in Path(path).read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{path} does not state {name}")


# --- PostgreSQL by itself -------------------------------------------------------------------------------


def select_scripts(statement: str, parameters: Sequence[Mapping[str, Parameter]]) -> list[str]:
    """Write scripts for pgbench: prepare a statement once on a connection, then execute it with literals."""
    names: list[str] = list(dict.fromkeys(_PARAMETER.findall(statement)))
    numbered = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", statement).replace("%%", "%")
    prepared = f"\\if :fresh\nPREPARE asked AS {' '.join(numbered.split())};\n\\set fresh 0\n\\endif\n"
    return [
        f"{prepared}EXECUTE asked({', '.join(sql.Literal(each[name]).as_string() for name in names)});\n"
        for each in parameters
    ]


def with_literals(statement: str, values: Mapping[str, Parameter]) -> str:
    """Write the values of a statement into it."""
    return _PARAMETER.sub(lambda found: sql.Literal(values[found[1]]).as_string(), statement).replace("%%", "%")


def blocks(server: Postgres, database: str, statement: str, parameters: Sequence[Mapping[str, Parameter]]) -> float:
    """Return how many blocks PostgreSQL touches for a statement, in the middle: a figure that no load changes."""
    with psycopg.connect(server.url(database), autocommit=True, options=_OPTIONS) as connection:
        plans = (
            connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {statement}".encode(), values)
            for values in parameters
        )
        touched = [row[0][0]["Plan"] for plan in plans for row in plan]
    return float(median(each["Shared Hit Blocks"] + each["Shared Read Blocks"] for each in touched))


def insert_script(server: Postgres, database: str) -> str:
    """Make a table for durable rows of an entry's size; return the script that commits one."""
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        connection.execute("CREATE TABLE durable (number bigserial PRIMARY KEY, leaf bytea NOT NULL)")
    return "INSERT INTO durable (leaf) VALUES (decode(repeat('ab', 1500), 'hex'));\n"


def pgbench(server: Postgres, database: str, scripts: Sequence[str], connections: int, seconds: int) -> Sample:
    """Run scripts at random with pgbench, which answers with PostgreSQL's own times."""
    with TemporaryDirectory(prefix="gw-bench-") as directory:
        files = []
        for number, script in enumerate(scripts):
            path = Path(directory) / f"{number}.sql"
            path.write_text(script)
            files += ["-f", str(path)]
        arguments = ["-n", "-h", str(server.sockets), "-U", "postgres", "-D", "fresh=1"]
        arguments += ["-c", str(connections), "-j", str(min(connections, 2)), "-T", str(seconds), "-l"]
        subprocess.run(
            [server.program("pgbench"), *arguments, *files, database],
            cwd=directory,
            env={**os.environ, "PGOPTIONS": _OPTIONS},
            check=True,
            capture_output=True,
        )
        lines = [line for log in Path(directory).glob("pgbench_log.*") for line in log.read_text().splitlines()]
    return sample(seconds, (int(line.split()[2]) / 1000 for line in lines))
