"""Leaves reach a SIEM in the order of the tree, each at least once, whatever is killed, down or slow."""

import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import structlog

from gateway import app as composition
from gateway import tables
from gateway.app import now
from gateway.audit.entry import Entry, Opening
from gateway.telemetry import Telemetry
from gateway.watch import sinks, tail
from gateway.watch.alerts import Alerts
from gateway.watch.forward import Forwarder
from gateway.watch.sinks import FileSink, Sink, SyslogSink, sink
from gateway.watch.tail import Placed, Tail, from_now, from_the_first
from tests.audit import logs
from tests.audit.logs import OpenLog
from tests.conftest import MakeWorld
from tests.e2e.servers import ROOT, free_port
from tests.services import Postgres
from tests.watch.hooks import await_that
from tests.world import Databases, settings


@pytest.fixture
def log(databases: Databases, tmp_path: Path) -> Iterator[OpenLog]:
    """An open log."""
    composition.prepare(settings(databases, tmp_path / "keys"))
    with logs.opened(databases, tmp_path / "keys") as opened:
        yield opened


@pytest.fixture
def lines() -> StringIO:
    """The lines of telemetry."""
    kept = StringIO()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(file=kept),
        cache_logger_on_first_use=False,
    )
    return kept


def fill(log: OpenLog, entries: int) -> list[bytes]:
    """Append and seal entries; return all leaves in the order of the tree."""
    for number in range(entries):
        openings = (Opening("officer", "Officer Secretive"),)
        log.log.append(Entry("test", "permit", "done", now(), None, {"records": number}, openings))
    log.seal()
    wanted = (
        sa.select(tables.entry.c.leaf)
        .join(tables.leaf, tables.leaf.c.entry_id == tables.entry.c.entry_id)
        .order_by(tables.leaf.c.leaf_index)
    )
    with log.store.reading() as connection:
        return list(connection.scalars(wanted))


Forwarders = Callable[..., Forwarder]


@pytest.fixture
def forwarder(log: OpenLog) -> Iterator[Forwarders]:
    """Make forwarders from the first leaf on, one after the other."""
    with ExitStack() as stack:

        def make(into: Sink, clock: Callable[[], float] = time.monotonic) -> Forwarder:
            stack.close()
            reader = Tail(log.store, "siem", from_the_first)
            reader.begin()
            stack.callback(reader.close)
            return Forwarder(reader, into, Alerts("gateway.test/log", None, Telemetry()), clock)

        yield make


def received(path: Path) -> list[tuple[int, bytes]]:
    """Return the whole lines of a file: index, and the leaf's bytes as they came."""
    found = []
    for line in path.read_bytes().splitlines():
        parsed = re.fullmatch(rb'\{"index":([0-9]+),"leaf":(\{.*\})\}', line)
        if parsed is not None:
            found.append((int(parsed[1]), parsed[2]))
    return found


def place(log: OpenLog) -> int:
    """Return how far the reader is."""
    with log.store.reading() as connection:
        return connection.scalar(sa.select(tables.forwarded.c.next_index)) or 0


@contextmanager
def child(databases: Databases, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that forwards; kill it at the end."""
    command = [sys.executable, "-m", "tests.watch.forwarding", databases.store, f"file://{path}"]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)


# --- a file --------------------------------------------------------------------------------------------------


def test_kill_9_at_any_moment_leaves_no_leaf_out(log: OpenLog, databases: Databases, tmp_path: Path) -> None:
    """Killed again and again, what forwards begins where it is known to have ended, and tears no later line."""
    leaves = fill(log, 400)
    path = tmp_path / "leaves.ndjson"
    chance = random.Random(20180831)  # noqa: S311 -- moments, not secrets
    kills = 0
    while place(log) < len(leaves) and kills < 40:
        with child(databases, path) as process:
            before = place(log)
            await_that(lambda at=before: place(log) > at, "it does not forward")  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.1))
            if kills >= 3:
                await_that(lambda: place(log) == len(leaves), "it does not come to the end")
            assert process.poll() is None
        kills += 1
    got = received(path)
    assert kills > 1
    assert {index for index, _ in got} == set(range(len(leaves)))
    assert all(leaves[index] == leaf for index, leaf in got)
    # In order, but for the batch that a kill repeats.
    steps = [after - before for (before, _), (after, _) in pairwise(got)]
    assert sum(step != 1 for step in steps) <= kills
    assert b"Secretive" not in path.read_bytes()


def test_of_two_processes_one_forwards_and_the_other_takes_over(
    log: OpenLog, databases: Databases, tmp_path: Path
) -> None:
    """While both live each leaf is sent once; when one is killed the other goes on."""
    leaves = fill(log, 150)
    path = tmp_path / "leaves.ndjson"
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(child(databases, path))
        await_that(lambda: place(log) == len(leaves), "they do not come to the end")
        assert [index for index, _ in received(path)] == list(range(len(leaves)))
    with child(databases, path) as first:
        more = fill(log, 3)
        await_that(lambda: place(log) == len(more), "the first does not forward")
        with child(databases, path):
            time.sleep(1)
            first.kill()
            most = fill(log, 30)
            await_that(lambda: place(log) == len(most), "the second does not take over")
    got = received(path)
    assert [leaf for _, leaf in sorted(got)] == most


@pytest.mark.parametrize("dialect", ["postgresql"])
def test_a_lost_connection_lets_another_process_read_and_leaves_nothing_out(
    log: OpenLog,
    forwarder: Forwarders,
    databases: Databases,
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever has lost its place notices, and does not move it any more."""
    monkeypatch.setattr(tail, "PATIENCE", 0)
    leaves = fill(log, 20)
    path = tmp_path / "leaves.ndjson"
    ours = forwarder(FileSink(path))
    ours.forward()
    ours.forward()
    assert not Tail(log.store, "siem", from_the_first).claimed()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        database = sa.make_url(databases.store).database
        ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(ended, [database])
    log.store.close()
    other = Tail(log.store, "siem", from_the_first)
    assert other.claimed()
    more = fill(log, 5)
    ours.forward()
    assert len(received(path)) == len(leaves)
    other.close()
    ours.forward()
    assert [leaf for _, leaf in received(path)] == more


def test_a_file_that_is_rotated_by_renaming_goes_on_in_a_new_one(
    log: OpenLog, forwarder: Forwarders, tmp_path: Path
) -> None:
    """Nobody tells the gateway."""
    path, old = tmp_path / "leaves.ndjson", tmp_path / "leaves.ndjson.1"
    reader = forwarder(FileSink(path))
    reader.forward()
    first = fill(log, 4)
    reader.forward()
    path.rename(old)
    both = fill(log, 4)
    reader.forward()
    reader.forward()
    assert [leaf for _, leaf in received(old)] == first
    assert [leaf for _, leaf in received(old) + received(path)] == both
    assert path.stat().st_mode & 0o007 == 0


def test_a_torn_line_is_ended_and_its_leaf_sent_again(log: OpenLog, forwarder: Forwarders, tmp_path: Path) -> None:
    """What a crash left of a line spoils no other."""
    path = tmp_path / "leaves.ndjson"
    path.write_bytes(b'{"index":0,"leaf":{"acti')
    reader = forwarder(FileSink(path))
    reader.forward()
    leaves = fill(log, 2)
    reader.forward()
    assert path.read_bytes().startswith(b'{"index":0,"leaf":{"acti\n{"index":0,')
    assert [leaf for _, leaf in received(path)] == leaves


def test_a_lost_leaf_is_sent_as_lost(log: OpenLog, forwarder: Forwarders, tmp_path: Path) -> None:
    """A leaf that was lost and declared so has a hash and nothing else."""
    size = len(fill(log, 1))
    with log.store.transaction() as connection:
        row = {"leaf_index": size, "entry_id": None, "leaf_hash": b"\x07" * 32}
        connection.execute(tables.leaf.insert(), row)
    reader = forwarder(FileSink(tmp_path / "leaves"))
    reader.forward()
    reader.forward()
    last = (tmp_path / "leaves").read_text().splitlines()[-1]
    assert json.loads(last) == {"index": size, "lost": "07" * 32}


def test_a_leaf_that_was_changed_is_not_sent_as_if_it_were_one(
    log: OpenLog, forwarder: Forwarders, tmp_path: Path
) -> None:
    """By file and by syslog: instead comes the hash of what is missing, and then what is behind it."""
    size = len(fill(log, 2))
    fill(log, 2)
    with log.store.transaction() as connection:
        hashes = connection.scalars(sa.select(tables.leaf.c.leaf_hash).order_by(tables.leaf.c.leaf_index)).all()
        spoilt, removed = (logs.entry_at(connection, index) for index in (size, size - 1))
        connection.execute(sa.text("UPDATE entry SET leaf = '{}' WHERE entry_id = :entry"), {"entry": spoilt})
        logs.remove_entry(connection, removed)
    relay = Relay()
    for into in (FileSink(tmp_path / "leaves"), SyslogSink("127.0.0.1", relay.port)):
        with log.store.transaction() as connection:
            connection.execute(tables.forwarded.delete())
        reader = forwarder(into)
        reader.forward()
        assert place(log) == size + 2
    relay.close()
    by_file = [json.loads(line) for line in (tmp_path / "leaves").read_bytes().splitlines()]
    by_syslog = [json.loads(found[2]) for found in map(HEADER.fullmatch, relay.messages()) if found]
    assert by_syslog == by_file
    assert [line["index"] for line in by_file] == list(range(size + 2))
    assert [sorted(line) for line in by_file[-3:]] == [["changed", "index"], ["changed", "index"], ["index", "leaf"]]
    assert by_file[size] == {"index": size, "changed": hashes[size].hex()}


def test_a_file_that_can_not_be_written_is_told_and_tried_again_ever_more_seldom(
    log: OpenLog, forwarder: Forwarders, tmp_path: Path, lines: StringIO
) -> None:
    """A pipe that nobody reads, or a directory that is not there, holds nobody up."""
    moment = [1000.0]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path / "missing" / "leaves", tmp_path):
        reader = forwarder(FileSink(path), lambda: moment[0])
        reader.forward()
        fill(log, 1)
        began = time.monotonic()
        for _ in range(3):
            reader.forward()
        assert time.monotonic() - began < 2
        assert place(log) == 0
    said = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [line["kind"] for line in said if line["event"] == "alert"] == ["siem-down"] * 3
    assert str(tmp_path) not in lines.getvalue()


# --- syslog --------------------------------------------------------------------------------------------------


class Relay:
    """A syslog relay over TCP that reads each connection to its end."""

    def __init__(self, port: int = 0) -> None:
        self.content = b""
        self.server = socket.create_server(("127.0.0.1", port))
        self.port: int = self.server.getsockname()[1]
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self.server.accept()
                with peer:
                    while got := peer.recv(65536):
                        self.content += got

    def close(self) -> None:
        """End."""
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join()

    def messages(self) -> list[bytes]:
        """Read the octet counts."""
        found, rest = [], self.content
        while rest:
            length, _, rest = rest.partition(b" ")
            found.append(rest[: int(length)])
            rest = rest[int(length) :]
        return found


HEADER = re.compile(rb"<110>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z|-) [!-~]{1,255} arrest-gateway - leaf - (\{.*\})")


def test_a_relay_gets_messages_of_rfc_5424_counted_by_octets(log: OpenLog, forwarder: Forwarders) -> None:
    """Each leaf is a message at the time of its entry; nothing personal is in it."""
    relay = Relay()
    reader = forwarder(SyslogSink("127.0.0.1", relay.port))
    reader.forward()
    leaves = fill(log, 30)
    reader.forward()
    relay.close()
    parsed = [HEADER.fullmatch(message) for message in relay.messages()]
    assert all(parsed)
    bodies = [json.loads(found[2]) for found in parsed if found]
    assert [body["index"] for body in bodies] == list(range(len(leaves)))
    assert [body["leaf"] for body in bodies] == [json.loads(leaf) for leaf in leaves]
    assert [found[1].decode() for found in parsed if found] == [body["leaf"]["time"] for body in bodies]
    assert b"Secretive" not in relay.content


def test_a_relay_that_is_down_is_told_and_gets_everything_when_it_is_back(
    log: OpenLog, forwarder: Forwarders, lines: StringIO
) -> None:
    """It is tried again after 2, 4, 8 … seconds, and from then on at least every minute."""
    moment, port = [1000.0], free_port()
    reader = forwarder(sink(f"syslog://127.0.0.1:{port}"), lambda: moment[0])
    reader.forward()
    leaves = fill(log, 3)
    for pause in (2, 4, 8, 16, 32, 60, 60):
        reader.forward()
        moment[0] += pause - 0.5
        reader.forward()
        moment[0] += 0.5
    said = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line["kind"], line["index"]) for line in said if line["event"] == "alert"] == [("siem-down", 0)]
    relay = Relay(port)
    reader.forward()
    relay.close()
    assert len(relay.messages()) == len(leaves) == place(log)


def test_what_a_relay_has_not_read_is_sent_again(log: OpenLog, forwarder: Forwarders) -> None:
    """TCP took it all; the relay died over it, and that is noticed."""
    moment = [1000.0]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def die() -> None:
            peer, _ = server.accept()
            peer.recv(100)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()

        thread = threading.Thread(target=die)
        thread.start()
        port = server.getsockname()[1]
        reader = forwarder(SyslogSink("127.0.0.1", port), lambda: moment[0])
        reader.forward()
        leaves = fill(log, 20)
        reader.forward()
        thread.join()
    assert place(log) == 0
    relay = Relay(port)
    moment[0] += 60
    reader.forward()
    relay.close()
    assert len(relay.messages()) == len(leaves)


def test_a_sink_that_takes_nothing_slows_no_answer_and_no_sealing(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts and never reads; entries get their places as before."""
    monkeypatch.setattr(sinks, "PATIENCE", 3)
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        world = make_world(siem=f"syslog://127.0.0.1:{server.getsockname()[1]}")
        asker = world.asker("fbi", "FBI")
        asker.records({"limit": 1})
        threads: tuple[Any, ...] = (world.gateway.sealer, world.gateway.guard)
        for thread in threads:
            thread.start()
        try:
            time.sleep(1)
            for _ in range(5):
                began = time.monotonic()
                asker.records({"limit": 1})
                assert time.monotonic() - began < 1
                await_that(lambda: world.gateway.log.unsealed() == 0, "nothing is sealed", 2)
        finally:
            for thread in threads:
                thread.stop()


# --- the place -----------------------------------------------------------------------------------------------


def test_batches_are_bounded_and_follow_each_other(log: OpenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that was away for long reads on bit by bit."""
    monkeypatch.setattr(tail, "BATCH", 4)
    leaves = fill(log, 10)
    reader = Tail(log.store, "siem", from_the_first)
    reader.begin()
    assert reader.claimed()
    got: list[Placed] = []
    while batch := reader.next():
        assert len(batch) <= 4
        got += batch
        assert reader.next() == batch
        reader.done(batch)
    assert [placed.leaf for placed in got] == leaves
    reader.close()


def test_a_reader_of_alerts_begins_now(log: OpenLog) -> None:
    """A gateway that is watched for the first time does not announce last year."""
    fill(log, 5)
    reader = Tail(log.store, "alerts", from_now)
    reader.begin()
    Tail(log.store, "alerts", from_the_first).begin()
    assert reader.claimed()
    assert reader.next() == ()
    fill(log, 1)
    assert len(reader.next()) == 1
    reader.close()
