"""What processes do that are killed at work: they write entries, seal, and note down in a file what came of it.

What stands in the file was acknowledged, or signed, before the process died.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import sqlalchemy as sa

from gateway import store as store_module
from gateway import tables
from gateway.app import now
from gateway.audit import log as log_module
from gateway.audit import notary as notary_module
from gateway.audit.checkpoint import sign
from gateway.audit.entry import Entry, Opening
from gateway.audit.merkle import Frontier
from gateway.errors import Unavailable
from tests.audit import logs
from tests.audit.logs import OpenLog
from tests.world import Databases

_TRACED = (log_module.__file__, notary_module.__file__, store_module.__file__)
_PAUSE = 0.02

# Each process is forked from one that has imported everything and done nothing.
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["__main__", __name__])


@dataclass(frozen=True, slots=True)
class Site:
    """A log that processes work on: its databases, its keys, and the file that outlives them."""

    databases: Databases
    keys: Path
    journal: Path

    def tell(self, kind: str, text: str) -> None:
        """Write down what happened, in one write: what is killed leaves whole lines."""
        line = json.dumps([kind, text]) + "\n"
        file = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, line.encode())
        os.close(file)

    def told(self, kind: str) -> list[str]:
        """Return what was written down of a kind."""
        if not self.journal.exists():
            return []
        lines = (json.loads(line) for line in self.journal.read_text().splitlines())
        return [text for told, text in lines if told == kind]


def start(work: Callable[..., None], site: Site, *given: object) -> BaseProcess:
    """Let a process of its own do a work of this module."""
    process = _CONTEXT.Process(target=_journalled, args=(work, site, *given))
    process.start()
    return process


def kill(process: BaseProcess) -> None:
    """End a process by SIGKILL, whatever it is doing."""
    assert process.is_alive(), "a process ended by itself"
    process.kill()
    process.join(30)
    process.close()


@contextmanager
def working(work: Callable[..., None], site: Site) -> Iterator[None]:
    """Let a process work until the block is left, and kill it then."""
    process = start(work, site)
    try:
        yield
    finally:
        kill(process)


def _journalled(work: Callable[..., None], site: Site, *given: object) -> None:
    def signed(*asked: Any) -> str:
        note = sign(*asked)
        site.tell("note", note)
        return note

    # The same, and it is written down.
    vars(notary_module)["sign"] = signed
    with logs.opened(site.databases, site.keys) as log:
        work(site, log, *given)


def entry(number: int = 0, **facts: Any) -> Entry:
    """Return an entry with openings."""
    openings = (Opening("officer", "Officer One"), Opening("record", {"person": str(number)}))
    return Entry("test", "permit", "done", now(), None, {"records": number, **facts}, openings)


# --- works ----------------------------------------------------------------------------------------------------


def append_and_seal(site: Site, log: OpenLog, fatal: int) -> None:
    """Start as a gateway does, then append and seal; die at a line of it, counted from 1, if it has so many."""
    log.log.check()
    assert log.log.unsealed() == 0, "a fresh process does not seal what the last one left"
    left = fatal

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in _TRACED:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    alone = log.log.append(entry()).id
    sys.settrace(None)
    site.tell("entry", alone)
    sys.settrace(trace)
    charged = log.log.append(entry(1), _charge(alone)).id
    sys.settrace(None)
    site.tell("entry", charged)
    sys.settrace(trace)
    log.log.seal_all()
    sys.settrace(None)


def _charge(mark: str) -> log_module.With:
    """Return a mark that is written with an entry, as a budget's is."""
    row = {"agreement_id": "agreement", "day": now().date(), "mark": mark}

    def write(connection: sa.Connection) -> None:
        connection.execute(tables.budget_mark.insert(), row)

    return write


def write(site: Site, log: OpenLog) -> None:
    """Append entries until the end comes; what is refused is tried again."""
    number = 0
    while True:
        number += 1
        try:
            written = log.log.append(entry(number), _charge(os.urandom(8).hex()) if number % 2 else None)
        except Unavailable:
            time.sleep(_PAUSE)
        else:
            site.tell("entry", written.id)


def seal(site: Site, log: OpenLog) -> None:
    """Seal until the end comes; a store that is down is tried again."""
    while True:
        try:
            log.log.seal_all()
        except Unavailable:
            site.tell("refused", str(os.getpid()))
        # Never in step with another sealer.
        time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 -- a pause, no secret


def seal_when_told(site: Site, log: OpenLog) -> None:
    """Say that the log is open, and seal from the moment on when it is said to."""
    site.tell("opened", str(os.getpid()))
    while not site.told("go"):
        time.sleep(0.01)
    seal(site, log)


# --- what is counted --------------------------------------------------------------------------------------------


def assert_whole(site: Site) -> None:
    """What was acknowledged has one place in the tree each; every note ever signed lies on that tree; it verifies."""
    with logs.opened(site.databases, site.keys) as log:
        log.seal()
        verified = log.verify()
        assert verified.unsealed == 0
        with log.store.reading() as connection:
            tree = list(connection.scalars(sa.select(tables.leaf.c.entry_id).order_by(tables.leaf.c.leaf_index)))
            hashes = list(connection.scalars(sa.select(tables.leaf.c.leaf_hash).order_by(tables.leaf.c.leaf_index)))
            kept = set(connection.scalars(sa.select(tables.entry.c.entry_id)))
        acknowledged = site.told("entry")
        assert len(set(acknowledged)) == len(acknowledged)
        assert set(acknowledged) <= kept
        assert len(tree) == len(set(tree))
        assert set(tree) == kept
        assert_one_tree(site.told("note"), hashes, log)


def assert_one_tree(notes: list[str], hashes: list[bytes], log: OpenLog) -> None:
    """Each note is a signed one of a head that this tree once had."""
    frontier = Frontier()
    roots = [frontier.root()]
    for hashed in hashes:
        frontier.append(hashed)
        roots.append(frontier.root())
    for note in set(notes):
        checkpoint = log.log.verifier.open(note)
        assert checkpoint.size < len(roots), "a note covers leaves that are not in the tree"
        assert checkpoint.root == roots[checkpoint.size], "a note is of another tree"


def waiting(site: Site) -> int:
    """Return how many entries wait for their place."""
    engine = sa.create_engine(site.databases.store)
    with engine.connect() as connection:
        found = connection.scalar(sa.select(sa.func.count()).select_from(tables.pending))
    engine.dispose()
    return found or 0
