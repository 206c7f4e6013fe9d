"""How long the verifier takes over a large log, and how much memory: `python -m tests.bench.verifying 1000000`."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.bench.policy import Finding, Findings
from tests.verifier import writer

# Seconds, and MiB that a tenth's tenfold may add: ids are kept in a file, the rest in what Python keeps of pages.
AIM, GROWTH = 60, 20
# A busy hour's sealing: so many entries have one checkpoint together.
SEALED = 100
_MEASURED = """
import resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from gateway.verifier.evidence import Evidence
from gateway.verifier.note import read_log_key
from gateway.verifier.verify import verify
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started, worked = time.perf_counter(), time.process_time()
verified = verify(Path(sys.argv[1]), (read_log_key(sys.argv[2]),), Evidence(), datetime.now(UTC))
taken, work = time.perf_counter() - started, time.process_time() - worked
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(verified.size, taken, work, before / 1024, after / 1024)
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds by the clock and of the processor; resident memory in MiB before, and at its peak."""

    entries: int
    seconds: float
    processor: float
    before: float
    peak: float


def make(directory: Path, entries: int) -> str:
    """Write an export of invented entries with 0 to 8 openings each, 4 on average; return the log's verifier key."""
    key = Ed25519PrivateKey.generate()
    directory.mkdir()
    head = {"format": writer.FORMAT, "origin": writer.ORIGIN, "size": entries}
    (directory / "log.json").write_text(json.dumps(head))
    (directory / "unsealed.ndjson").touch()
    complete: list[bytes] = []
    names = ("leaves", "commitments", "checkpoints")
    leaves, commitments, checkpoints = ((directory / f"{name}.ndjson").open("wb") for name in names)
    with leaves, commitments, checkpoints:
        for index in range(entries):
            committed = [hashlib.sha256(f"{index} {each}".encode()).digest() for each in range(index * 7 % 9)]
            leaf = writer.canonical(writer.leaf(index % 80_000, committed, **_read(index)))
            leaves.write(leaf + b"\n")
            commitments.write(json.dumps([each.hex() for each in committed]).encode() + b"\n")
            _grow(complete, index, writer.hashed(leaf))
            if (index + 1) % SEALED == 0 or index + 1 == entries:
                signed = writer.note(index + 1, _root(complete), key)
                checkpoints.write(writer.canonical({"size": index + 1, "note": signed}) + b"\n")
    return writer.vkey(key)


def _read(index: int) -> dict[str, object]:
    """Invent what the leaf of a search says."""
    return {
        "id": os.urandom(16).hex(),
        "client": "fbi-philadelphia",
        "agency": "fbi",
        "component": "philadelphia-field-office",
        "ori": "PA0000001",
        "mission": "criminal-investigation",
        "criminal_justice_agency": True,
        "agreement": {"id": "fbi-2014", "version": 3, "state": "active"},
        "bundle": "sha256:" + "ab" * 32,
        "rules": ["federal-investigation/identity", "federal-investigation/charges"],
        "documents": ["federal-investigation", "sealed-records"],
        "resource": "arrests",
        "purpose": "criminal-investigation",
        "shown": ["arrested_on", "district", "name", "birth_year", "statute"],
        "masked": ["address"],
        "varying": [],
        "withheld": ["country_of_birth", "social_security_number"],
        "filtered": ["district", "name"],
        "plan": "sha256:" + "cd" * 32,
        "records": index % 50,
        "persons": index % 40,
        "duration_ms": 4 + index % 20,
    }


def _grow(complete: list[bytes], size: int, node: bytes) -> None:
    while size & 1:
        node = writer.sha(b"\1" + complete.pop() + node)
        size >>= 1
    complete.append(node)


def _root(complete: list[bytes]) -> bytes:
    found = complete[-1]
    for left in reversed(complete[:-1]):
        found = writer.sha(b"\1" + left + found)
    return found


def measure(directory: Path, key: str) -> Measured:
    """Verify an export in a process of its own."""
    command = [sys.executable, "-c", _MEASURED, str(directory), key]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    entries, *figures = done.stdout.split()
    return Measured(int(entries), *map(float, figures))


def of_verifying(entries: int = 1_000_000) -> Findings:
    """Measure the verifier over a million entries, with a tenth of them beside it for the memory's growth."""
    small, large = (_verified(count) for count in (entries // 10, entries))
    speed = f"{large.seconds:.1f} s, of which {large.processor:.1f} s of processor"
    memory = f"{small.peak:.0f} MiB at {small.entries:,} entries, {large.peak:.0f} MiB at {large.entries:,}"
    return Findings(
        (
            Finding(f"verify {large.entries:,} entries offline", speed, "under 60 s", large.seconds < AIM),
            Finding("peak memory of the verifier", memory, "bounded", large.peak < small.peak + GROWTH),
        ),
        (),
    )


def _verified(entries: int) -> Measured:
    with TemporaryDirectory(prefix="verifying-") as scratch:
        return measure(Path(scratch) / "log", make(Path(scratch) / "log", entries))


def main(entries: int) -> None:
    """Make an export, verify it, and print what that took; a tenth of it first, for the memory's growth."""
    for count in (entries // 10, entries):
        measured = _verified(count)
        print(  # noqa: T201 -- its output
            f"{measured.entries:,} entries: {measured.seconds:.1f} s, {measured.processor:.1f} s of processor, "
            f"memory {measured.before:.0f} MiB before, {measured.peak:.0f} MiB at the peak"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]))
