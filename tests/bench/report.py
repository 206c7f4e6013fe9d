"""Writes the figures into docs/benchmarks.md, and leaves alone what was written there by hand."""

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psycopg

from tests.bench.contenders import Memory
from tests.bench.policy import Findings
from tests.bench.sample import Sample

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_BEGIN = "<!-- measured by `make bench`; what stands between these lines is overwritten -->"
_END = "<!-- end of what was measured -->"
_LOG_BEGIN = "<!-- measured by `make bench` and `make bench-log`; what stands between these lines is overwritten -->"
_LOG_END = "<!-- end of what was measured of the log -->"
_NEW = f"# Benchmarks\n\n{_BEGIN}\n{_END}\n\n{_LOG_BEGIN}\n{_LOG_END}\n\n## Where the time goes\n\nNot yet written.\n"


@dataclass(frozen=True, slots=True)
class Result:
    """What came out for one request at one number of connections."""

    title: str
    connections: int
    gateway: Sample
    bare: Sample
    select: Sample

    @property
    def ratio(self) -> float:
        """The share of the bare endpoint's rate that the gateway reaches."""
        return self.gateway.rate / self.bare.rate


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run."""

    results: Sequence[Result]
    commits: Mapping[int, Sample]
    gateway_memory: Sequence[Memory]
    bare_memory: Sequence[Memory]
    workers: int
    threads: int
    arrests: int
    seconds: int
    rounds: int
    postgres: str


def write(run: Run, findings: Sequence[Findings]) -> str:
    """Put a run between the markers of the page; return what was put there."""
    return _put(
        "\n\n".join((_setting(run), _table(run), _commits(run), _memory(run), *_policy(findings))), _BEGIN, _END
    )


def write_log(findings: Sequence[Findings]) -> str:
    """Put what was measured of the log between its markers of the page; return what was put there."""
    setting = (
        f"Measured on {datetime.now(UTC).date()}: {_machine()}; writers and databases share it, with a load of "
        f"{os.getloadavg()[1]:.1f} when the measurement ended. Each ratio is of two medians of the same round, in "
        "which all take turns; of several rounds it is the smallest, the one in which the machine did least else."
    )
    return _put("\n\n".join(("### The log", setting, *_findings(findings))), _LOG_BEGIN, _LOG_END)


def _put(measured: str, first: str, last: str) -> str:
    page = PAGE.read_text() if PAGE.exists() else _NEW
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise RuntimeError(f"{PAGE} has lost the lines between which the figures stand")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(f"{before}{first}\n{measured}\n{last}{after}")
    return measured


def postgres_version(url: str) -> str:
    """Ask PostgreSQL for its version."""
    with psycopg.connect(url) as connection:
        number = connection.info.server_version
    return f"{number // 10000}.{number % 10000}"


def _setting(run: Run) -> str:
    gunicorn = f"gunicorn {version('gunicorn')} (gthread, {run.workers} workers of {run.threads} threads)"
    return (
        f"Measured on {datetime.now(UTC).date()}: {_machine()}; "
        f"PostgreSQL {run.postgres}, {gunicorn}; {run.arrests:,} invented arrests. "
        "Clients, servers and databases share the machine. "
        f"Each figure is the median of {run.rounds} rounds of {run.seconds} seconds, in which gateway and "
        "bare endpoint take turns; latencies are in milliseconds."
    )


def _machine() -> str:
    return (
        f"{_processor()}, {os.cpu_count()} cores, {_total_memory():.0f} GiB of memory, {platform.system()}; "
        f"Python {platform.python_version()}"
    )


def _table(run: Run) -> str:
    head = (
        "| request | connections | gateway: a second | p50 | p99 | bare: a second | p50 | p99 "
        "| SELECT alone: a second | p50 | p99 | gateway / bare |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    )
    return head + "\n".join(
        f"| {r.title} | {r.connections} | {_cells(r.gateway)} | {_cells(r.bare)} | {_cells(r.select)} | {r.ratio:.2f} |"
        for r in run.results
    )


def _policy(findings: Sequence[Findings]) -> Iterator[str]:
    yield "### The policy as it grows"
    yield from _findings(findings)


def _findings(findings: Sequence[Findings]) -> Iterator[str]:
    head = "| what | measured | aim | met |\n|---|---|---|---|\n"
    yield head + "\n".join(
        f"| {each.what} | {each.figure} | {each.aim} | {'yes' if each.met else 'no'} |"
        for found in findings
        for each in found.aimed
    )
    yield "\n".join(f"- {told}" for found in findings for told in found.seen)


def _cells(taken: Sample) -> str:
    return f"{taken.rate:.0f} | {taken.p50:.2f} | {taken.p99:.2f}"


def _commits(run: Run) -> str:
    stated = "; ".join(
        f"{taken.rate:.0f} a second at {connections} ({taken.p50:.2f} ms p50, {taken.p99:.2f} ms p99)"
        for connections, taken in run.commits.items()
    )
    return f"PostgreSQL's durable commits of one row of an entry's size, by number of connections: {stated}."


def _memory(run: Run) -> str:
    return (
        f"Memory of a worker after the load: gateway {_largest(run.gateway_memory)}; bare {_largest(run.bare_memory)}."
    )


def _largest(workers: Sequence[Memory]) -> str:
    resident = max(worker.resident for worker in workers)
    proportional = max(worker.proportional for worker in workers)
    return f"{resident:.0f} MiB resident, {proportional:.0f} MiB as its share of shared pages"


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _total_memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
