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
from tests.bench.policy import Finding, Findings
from tests.bench.sample import Sample

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_SECTIONS = {
    "requests": "measured by `make bench` and `make bench-requests`",
    "policy": "measured by `make bench`",
    "log": "measured by `make bench` and `make bench-log`",
}
BARE, OTHER, GROWTH = 0.6, 1.0, 1.3


@dataclass(frozen=True, slots=True)
class Result:
    """What came out for one kind of request at one number of arrests and of connections."""

    name: str
    title: str
    arrests: int
    connections: int
    gateway: Sample
    bare: Sample
    postgraphile: Sample | None
    select: Sample

    def share(self, other: Sample | None) -> str:
        """Say which share of another's rate the gateway reaches."""
        return "-" if other is None else f"{self.gateway.rate / other.rate:.2f}"


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run."""

    results: Sequence[Result]
    blocks: Mapping[str, Sequence[float]]
    commits: Mapping[int, Sample]
    memory: Mapping[str, Sequence[Memory]]
    workers: int
    threads: int
    seconds: int
    rounds: int
    postgres: str
    postgraphile: str


def write_requests(run: Run) -> str:
    """Put what was measured of requests between its markers of the page; return what was put there."""
    findings = Findings(tuple(_aims(run)), (_blocks(run), _commits(run), _memory(run)))
    return _put("requests", "\n\n".join(("### Requests", _setting(run), _table(run), *_findings([findings]))))


def write_policy(findings: Sequence[Findings]) -> str:
    """Put what was measured of the policy between its markers of the page; return what was put there."""
    return _put("policy", "\n\n".join(("### The policy as it grows", _measured(), *_findings(findings))))


def write_log(findings: Sequence[Findings]) -> str:
    """Put what was measured of the log between its markers of the page; return what was put there."""
    setting = (
        f"{_measured()} Writers and databases share it, with a load of "
        f"{os.getloadavg()[1]:.1f} when the measurement ended. Each ratio is of two medians of the same round, in "
        "which all take turns; of several rounds it is the smallest, the one in which the machine did least else."
    )
    return _put("log", "\n\n".join(("### The log", setting, *_findings(findings))))


def _put(section: str, measured: str) -> str:
    begin = f"<!-- {_SECTIONS[section]}; what stands between these lines is overwritten -->"
    end = f"<!-- end of what was measured of the {section} -->"
    before, found, rest = PAGE.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise RuntimeError(f"{PAGE} has lost the lines between which the figures stand: {begin}")
    PAGE.write_text(f"{before}{begin}\n{measured}\n{end}{after}")
    return measured


def postgres_version(url: str) -> str:
    """Ask PostgreSQL for its version."""
    with psycopg.connect(url) as connection:
        number = connection.info.server_version
    return f"{number // 10000}.{number % 10000}"


def told(result: Result) -> str:
    """Say in a line what came out."""
    return (
        f"{result.title}, {result.arrests:,} arrests, {result.connections} connections: "
        f"gateway {result.gateway.rate:.0f} a second ({result.gateway.p50:.2f} ms), bare {result.bare.rate:.0f}, "
        f"PostGraphile {_rate(result.postgraphile)}, SELECT alone {result.select.rate:.0f}"
    )


def _rate(taken: Sample | None) -> str:
    return "-" if taken is None else f"{taken.rate:.0f}"


def _setting(run: Run) -> str:
    gunicorn = f"gunicorn {version('gunicorn')} (gthread, {run.workers} workers of {run.threads} threads)"
    return (
        f"{_measured()} PostgreSQL {run.postgres}, {gunicorn}, PostGraphile {run.postgraphile} "
        f"({run.workers} processes with {run.threads} connections each). "
        "Clients, servers and databases share the machine. "
        f"Each figure is the median of {run.rounds} rounds of {run.seconds} seconds, in which all contenders over both "
        "sizes take turns; latencies are in milliseconds. A load of "
        f"{os.getloadavg()[2]:.1f} when the measurement ended."
    )


def _measured() -> str:
    return (
        f"Measured on {datetime.now(UTC).date()}: {_processor()}, {os.cpu_count()} cores, "
        f"{_total_memory():.0f} GiB of memory, {platform.system()}; Python {platform.python_version()}."
    )


def _table(run: Run) -> str:
    head = (
        "| request | arrests | connections | gateway: a second | p50 | p99 | bare: a second | p50 | p99 "
        "| PostGraphile: a second | p50 | p99 | SELECT alone: a second | p50 | p99 "
        "| gateway / bare | / PostGraphile | / SELECT |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    )
    return head + "\n".join(
        f"| {r.title} | {r.arrests:,} | {r.connections} | {_cells(r.gateway)} | {_cells(r.bare)} "
        f"| {_cells(r.postgraphile)} | {_cells(r.select)} "
        f"| {r.share(r.bare)} | {r.share(r.postgraphile)} | {r.share(r.select)} |"
        for r in run.results
    )


def _aims(run: Run) -> Iterator[Finding]:
    """Hold the run against what is aimed at, over the most arrests."""
    few, many = (pick(r.arrests for r in run.results) for pick in (min, max))
    found = {(r.name, r.arrests, r.connections): r for r in run.results}
    for (name, arrests, connections), result in found.items():
        if arrests != many:
            continue
        what = f"{result.title}, {connections} connection{'s' if connections > 1 else ''}"
        for title, sample, aim in (
            ("the bare endpoint", result.bare, BARE),
            ("PostGraphile", result.postgraphile, OTHER),
        ):
            if sample is not None:
                met = result.gateway.rate >= aim * sample.rate
                yield Finding(f"{what}: of the rate of {title}", result.share(sample), f"at least {aim}", met)
        before, after = found[name, few, connections].gateway.p50, result.gateway.p50
        figure = f"{after / before:.2f} ({before:.2f} to {after:.2f} ms)"
        growth = f"{what}: p50 from {few:,} to {many:,} arrests"
        yield Finding(growth, figure, f"at most {GROWTH}", after <= GROWTH * before)


def _findings(findings: Sequence[Findings]) -> Iterator[str]:
    head = "| what | measured | aim | met |\n|---|---|---|---|\n"
    yield head + "\n".join(
        f"| {each.what} | {each.figure} | {each.aim} | {'yes' if each.met else 'no'} |"
        for found in findings
        for each in found.aimed
    )
    yield "\n".join(f"- {told}" for found in findings for told in found.seen)


def _cells(taken: Sample | None) -> str:
    if taken is None:
        return "- | - | -"
    return f"{taken.rate:.0f} | {taken.p50:.2f} | {taken.p99:.2f}"


def _blocks(run: Run) -> str:
    stated = "; ".join(
        f"{title} {' and '.join(f'{each:,.0f}' for each in touched)}" for title, touched in run.blocks.items()
    )
    return f"Blocks of 8 KiB that PostgreSQL touches for the SELECT over the two sizes, in the middle: {stated}."


def _commits(run: Run) -> str:
    stated = "; ".join(
        f"{taken.rate:.0f} a second at {connections} ({taken.p50:.2f} ms p50, {taken.p99:.2f} ms p99)"
        for connections, taken in run.commits.items()
    )
    return f"PostgreSQL's durable commits of one row of an entry's size, by number of connections: {stated}."


def _memory(run: Run) -> str:
    stated = "; ".join(f"{name} {_largest(workers)}" for name, workers in run.memory.items())
    return f"Memory of a worker after the load: {stated}."


def _largest(workers: Sequence[Memory]) -> str:
    resident = max(worker.resident for worker in workers)
    proportional = max(worker.proportional for worker in workers)
    return f"{resident:.0f} MiB resident, {proportional:.0f} MiB as its share of shared pages"


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _total_memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
