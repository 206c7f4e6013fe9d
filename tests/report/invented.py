"""Invented leaves, and exports of them; the notes are signed by nobody, which the report does not look at."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

ORIGIN = "log.example.test/city"
AFTER = "2027-01-03T00:00:00.000000Z"

Leaf = Mapping[str, Any]


def leaf(time: str = "2026-11-05T12:00:00.000000Z", **members: Any) -> dict[str, Any]:
    """Make the leaf of a read that showed a record, changed by `members`; a None takes a member away."""
    whole = {
        "version": 2,
        "id": "00" * 16,
        "time": time,
        "gateway": "0.1.0",
        "action": "read",
        "decision": "permit",
        "outcome": "disclosed",
        "client": "ice-ero-1",
        "agency": "ICE",
        "component": "ERO",
        "ori": "PAICE0100",
        "purpose": "immigration-enforcement",
        "rules": ["known"],
        "records": 1,
        "persons": 1,
        "bundle": "ab" * 32,
        "commitments": {"count": 0, "root": "00" * 32},
    }
    return {name: value for name, value in (whole | members).items() if value is not None}


def refused(code: str = "no-rule-permits", rules: tuple[str, ...] = (), **members: Any) -> dict[str, Any]:
    """Make the leaf of a read that was refused."""
    told = {"decision": "deny", "outcome": code, "rules": list(rules), "records": 0, "persons": 0}
    return leaf(**cast("dict[str, Any]", told | members))


def act(action: str, time: str = "2026-11-05T12:00:00.000000Z", **facts: Any) -> dict[str, Any]:
    """Make the leaf of something that a city officer did."""
    return {
        "version": 2,
        "id": "11" * 16,
        "time": time,
        "action": action,
        "decision": "permit",
        "outcome": "done",
    } | facts


def note(size: int) -> str:
    """Make a note of that size."""
    return f"{ORIGIN}\n{size}\nAAAA\n\n\u2014 {ORIGIN} AAAA\n"


def export(directory: Path, leaves: Iterable[Leaf], sizes: Iterable[int] | None = None) -> Path:
    """Write an export; without `sizes` its one checkpoint covers all."""
    lines = [json.dumps(each) for each in leaves]
    directory.mkdir(parents=True, exist_ok=True)
    head = {"format": "arrest-gateway-log-export/1", "origin": ORIGIN, "size": len(lines)}
    (directory / "log.json").write_text(json.dumps(head))
    (directory / "leaves.ndjson").write_text("".join(f"{line}\n" for line in lines))
    notes = [{"size": size, "note": note(size)} for size in sizes or [len(lines)]]
    (directory / "checkpoints.ndjson").write_text("".join(json.dumps(each) + "\n" for each in notes))
    return directory
