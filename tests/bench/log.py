"""Measures the log: what an entry costs beside a commit of one row, how many writers bring, and the sealer."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import click
import sqlalchemy as sa

from gateway.app import OpenLog
from tests import services
from tests.bench import report, sealing, searching, verifying
from tests.bench.place import PROCESSES, ROW, Once, Place, entry
from tests.bench.policy import Finding, Findings
from tests.services import Postgres

WRITERS = (1, 8, 32)
PAGE = 50
AIM = 2
_TURN = 10


# --- an entry beside a commit -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds: the middle, and what nineteen of twenty stay under."""

    p50: float
    p95: float

    @classmethod
    def of(cls, taken: list[float]) -> "Times":
        """Summarise seconds."""
        ordered = sorted(taken)
        return cls(ordered[len(ordered) // 2] * 1e3, ordered[len(ordered) * 19 // 20] * 1e3)

    def __str__(self) -> str:
        """Write both."""
        return f"{self.p50:.2f} ms p50, {self.p95:.2f} ms p95"


def of_appending(place: Place, rounds: int, seconds: float) -> Findings:
    """Measure entries and commits in turns of a few, so that whatever else the machine does strikes both alike."""
    base = f"one row by {place.driver}"
    with place.opened() as log, place.commits() as commit:
        asked: dict[str, Once] = {
            base: commit,
            "one row through SQLAlchemy": partial(_commit, log),
            "an entry without a record": partial(log.log.append, entry(0)),
            "an entry without a record, and one more row that belongs to it": partial(log.log.append, entry(0), _row),
            f"an entry with {PAGE} records": partial(log.log.append, entry(PAGE)),
        }
        runs = [_in_turns(asked, seconds) for _ in range(rounds)]
    aimed, seen = [], []
    for name in asked:
        # The round in which the machine did least else.
        ratio, run = min(((run[name].p50 / run[base].p50, run) for run in runs), key=lambda each: each[0])
        beside = "" if name == base else f", {ratio:.2f} of {run[base]}"
        if name.startswith("one row"):
            seen.append(f"{place.title}, a durable commit of {name}: {run[name]}{beside}.")
        else:
            figure = f"{ratio:.2f} ({run[name]}; {run[base]})"
            aimed.append(Finding(f"{place.title}: {name}, against {base}", figure, "at most 2", ratio <= AIM))
    return Findings(tuple(aimed), tuple(seen))


def _in_turns(asked: dict[str, Once], seconds: float) -> dict[str, Times]:
    taken: dict[str, list[float]] = {name: [] for name in asked}
    for once in asked.values():
        for _ in range(_TURN):
            once()
    until = perf_counter() + seconds
    while perf_counter() < until:
        for name, once in asked.items():
            for _ in range(_TURN):
                began = perf_counter()
                once()
                taken[name].append(perf_counter() - began)
    return {name: Times.of(each) for name, each in taken.items()}


def _commit(log: OpenLog) -> None:
    with log.store.transaction() as connection:
        _row(connection)


def _row(connection: sa.Connection) -> None:
    placeholder = "?" if connection.dialect.name == "sqlite" else "%s"
    connection.exec_driver_sql(f"INSERT INTO durable (leaf) VALUES ({placeholder})", (os.urandom(ROW),))


# --- many writers -----------------------------------------------------------------------------------------------


def of_writers(place: Place, seconds: float) -> Findings:
    """Measure entries a second of many writers, beside commits of one row by as many."""
    kinds = {"threads": _by_threads} if place.sqlite else {"threads": _by_threads, "processes": _by_processes}
    seen = []
    for kind, count in kinds.items():
        for writers in WRITERS:
            entries, commits = (count(place, works, writers, seconds) for works in (_appending, _committing))
            seen.append(
                f"{place.title}, {writers} {kind}: {entries:,.0f} entries a second; "
                f"{commits:,.0f} commits of one row by {place.driver}."
            )
    return Findings((), tuple(seen))


Works = Callable[[Place], AbstractContextManager[Once]]


@contextmanager
def _appending(place: Place) -> Iterator[Once]:
    with place.opened() as log:
        yield partial(log.log.append, entry(0))


@contextmanager
def _committing(place: Place) -> Iterator[Once]:
    with place.commits() as commit:
        yield commit


def _by_threads(place: Place, works: Works, writers: int, seconds: float) -> float:
    """Let threads of one process write: entries by one log, as the gateway does; rows each by its own connection."""
    counts: list[int] = []
    ready = threading.Barrier(writers)
    with ExitStack() as stack:
        shared = stack.enter_context(works(place)) if works is _appending else None

        def work() -> None:
            with ExitStack() as own:
                once = shared or own.enter_context(works(place))
                once()
                ready.wait()
                counts.append(_count(once, seconds))

        threads = [threading.Thread(target=work) for _ in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if len(counts) != writers:
        raise RuntimeError("a writer failed")
    return sum(counts) / seconds


def _by_processes(place: Place, works: Works, writers: int, seconds: float) -> float:
    """Let processes write, each with one thread."""
    ready, counts = PROCESSES.Barrier(writers), PROCESSES.SimpleQueue()
    processes = [
        PROCESSES.Process(target=_process, args=(place, works, seconds, ready, counts)) for _ in range(writers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a writer failed")
    return sum(int(counts.get()) for _ in processes) / seconds


def _process(place: Place, works: Works, seconds: float, ready: Any, counts: Any) -> None:
    with works(place) as once:
        once()
        ready.wait()
        counts.put(_count(once, seconds))


def _count(once: Once, seconds: float) -> int:
    done, until = 0, perf_counter() + seconds
    while perf_counter() < until:
        once()
        done += 1
    return done


# --- all of it --------------------------------------------------------------------------------------------------


def of_log(server: Postgres, root: Path, rounds: int, seconds: float) -> tuple[Findings, ...]:
    """Measure the log on both databases."""
    found: list[Findings] = []
    for number, url in enumerate((server.url(server.create()), f"sqlite:///{root / 'log.db'}")):
        place = Place(url, root / f"log-keys-{number}")
        place.prepare()
        click.echo(f"measuring the log on {place.title}: appending ...", err=True)
        found.append(of_appending(place, rounds, seconds))
        click.echo("many writers ...", err=True)
        found.append(of_writers(place, seconds))
        click.echo("the sealer ...", err=True)
        found += [sealing.of_delay(place, seconds), sealing.of_growth(place)]
    click.echo("a million entries: searching, verifying ...", err=True)
    found += [searching.of_searching(root, server), verifying.of_verifying()]
    return tuple(found)


@click.command()
@click.option("--seconds", type=click.IntRange(1, 60), default=6, show_default=True, help="of a measurement")
@click.option("--rounds", type=click.IntRange(1, 9), default=3, show_default=True, help="of each ratio")
def main(seconds: int, rounds: int) -> None:
    """Measure the log alone; write it into docs/benchmarks.md."""
    with TemporaryDirectory(prefix="gw-bench-") as root, services.postgres() as server:
        click.echo(report.write_log(of_log(server, Path(root), rounds, seconds)))


if __name__ == "__main__":
    main()
