"""Measures the sealer: its rate, the delay from an entry to its checkpoint under load, its memory as the log grows."""

import resource
import threading
import time
from bisect import bisect_left
from multiprocessing.connection import Connection as Pipe
from time import perf_counter

import sqlalchemy as sa

from gateway import tables
from gateway.audit import entry as entries
from gateway.audit.rounds import Rounds
from tests.bench.place import PROCESSES, Place, entry
from tests.bench.policy import Finding, Findings

SIZES = (10_000, 50_000, 100_000, 200_000)
WRITERS = 4
# Mebibytes that a flat line may rise, from the first of the sizes to the last.
FLAT = 5
_LOOK = 0.01
_TOGETHER = 5000


def of_delay(place: Place, seconds: float) -> Findings:
    """Measure the time from an entry's commit until a checkpoint that covers it can be read, under load."""
    appended: list[tuple[str, float]] = []
    seen: list[tuple[int, float]] = []
    over = threading.Event()
    with place.opened() as log:
        log.log.seal_all()

        def write() -> None:
            while not over.is_set():
                written = log.log.append(entry(0)).id
                appended.append((written, perf_counter()))

        def look() -> None:
            newest = sa.select(sa.func.max(tables.checkpoint.c.size))
            until = None
            while until is None or perf_counter() < until:
                with log.store.reading() as connection:
                    size = connection.scalar(newest) or 0
                if not seen or seen[-1][0] != size:
                    seen.append((size, perf_counter()))
                if over.is_set() and until is None and not log.log.unsealed():
                    until = perf_counter() + 1
                time.sleep(_LOOK)

        sealer = Rounds("sealer", (log.log.seal_all,))
        sealer.start()
        threads = [*(threading.Thread(target=write) for _ in range(WRITERS)), threading.Thread(target=look)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        over.set()
        for thread in threads:
            thread.join()
        sealer.stop()
        with log.store.reading() as connection:
            rows = connection.execute(sa.select(tables.leaf.c.entry_id, tables.leaf.c.leaf_index))
            places = {row.entry_id: row.leaf_index for row in rows}
    sizes = [size for size, _ in seen]
    # The first checkpoint of more leaves than the index.
    delays = sorted(seen[bisect_left(sizes, places[one] + 1)][1] - at for one, at in appended)
    p50, p95 = delays[len(delays) // 2], delays[len(delays) * 19 // 20]
    figure = f"{p50:.2f} s p50, {p95:.2f} s p95, {delays[-1]:.2f} s at most, of {len(delays) / seconds:,.0f} a second"
    what = f"{place.title}: from an entry to its checkpoint, while {WRITERS} threads write"
    return Findings((Finding(what, figure, "p95 under 1 s", p95 < 1),), ())


def of_growth(place: Place) -> Findings:
    """Let a process of its own seal many entries; note its peak memory and its rate as the log grows."""
    _backlog(place, SIZES[-1])
    here, there = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_seal, args=(place, there))
    process.start()
    there.close()
    told = [here.recv() for _ in SIZES]
    process.join()
    rate = SIZES[-1] / told[-1][1]
    peaks = ", ".join(f"{peak:.1f} MiB at {size:,}" for size, (peak, _) in zip(SIZES, told, strict=True))
    rise = told[-1][0] - told[0][0]
    memory = Finding(
        f"{place.title}: peak memory of a process that seals {SIZES[-1]:,} entries",
        f"{peaks}; {rise:+.1f}",
        f"flat: at most {FLAT} MiB more",
        rise <= FLAT,
    )
    return Findings((memory,), (f"{place.title}: {rate:,.0f} entries sealed a second, of {SIZES[-1]:,} that waited.",))


def _backlog(place: Place, wanted: int) -> None:
    """Write entries that wait, faster than by appending each."""
    with place.opened() as log:
        for _ in range(0, wanted, _TOGETHER):
            made = [entries.seal(entry(0), entries.new_id()) for _ in range(_TOGETHER)]
            now = time.time()
            with log.store.transaction() as connection:
                if place.sqlite:
                    rows = [(each.id, each.leaf) for each in made]
                    connection.exec_driver_sql("INSERT INTO entry VALUES (?, ?)", rows)
                    connection.exec_driver_sql("INSERT INTO pending VALUES (?, ?)", [(each.id, now) for each in made])
                else:
                    columns = ([each.id for each in made], [each.leaf for each in made])
                    connection.exec_driver_sql(
                        "INSERT INTO entry SELECT * FROM unnest(%b::varchar[], %b::bytea[])", columns
                    )
                    connection.exec_driver_sql(
                        "INSERT INTO pending SELECT unnest(%b::varchar[]), %b", (columns[0], now)
                    )


def _seal(place: Place, told: Pipe) -> None:
    with place.opened() as log:
        began, done = perf_counter(), 0
        for size in SIZES:
            while done < size:
                done += log.log.seal()
            told.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, perf_counter() - began))
