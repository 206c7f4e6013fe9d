"""Counts a quarter's leaves: what was asked, what was shown and refused, what the city did.

A quarter's report stands on the first checkpoint that covers an entry of a day or more after the quarter's end: by then
every entry of the quarter is in the tree. So it depends on the log alone, and a later export gives the same report;
there are no two editions of which one could be subtracted from the other.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway.audit.entry import ASKED
from gateway.errors import ConfigurationError
from gateway.report.export import Checkpoint, Export, Leaf, Loss, Lost, Read
from gateway.report.quarters import Quarter

SEALED_WITHIN = timedelta(days=1)  # what the gateway promises
SHOWN, NOTHING, REFUSED = "records shown", "nothing found", "refused"
OTHERS = tuple(action for action in ASKED if action != "read")
ACTS = {
    "policy-activate": "policies put in force",
    "policy-rollback": "returns to an earlier policy",
    "policy-stop": "agencies stopped at once",
    "policy-lift": "stops lifted",
    "agreement-suspend": "agreements suspended",
    "agreement-resume": "agreements resumed",
    "agreement-renew": "agreements renewed",
    "agreement-certify": "certifications recorded",
    "agreement-terminate": "agreements terminated",
    "key-rotate": "keys of the gateway renewed",
    "log-loss": "losses of log entries declared",
}
ACTS_ON_PERSONS = {
    "instrument-add": "warrants and orders recorded",
    "instrument-confirm": "warrants and orders confirmed",
    "audit-erase": "persons erased from the log",
    "audit-hold": "legal holds placed",
    "audit-hold-lift": "legal holds lifted",
    "audit-recall": "records recalled from those who had received them",
    "notice-acknowledge": "acknowledgements of recall notices",
}


class Cell(NamedTuple):
    """The finest that is counted of a read; its first three parts, or the first alone, may be all that is told."""

    agency: str | None
    outcome: str
    purpose: str | None
    component: str | None
    code: str | None
    rules: tuple[str, ...]


CUTS = (3, 1, 0)


def possible(told: Iterable[Cell]) -> Iterator[Cell]:
    """Yield the cells that might have a count, concluding from those that are told, and from nothing else.

    An agency that came with some words may have come with any of them, each with each, and with any answer. Only what
    lacks an agency, purpose or component does so for a reason that goes with the lack, and is never answered.
    """
    alike = defaultdict(list)
    for cell in told:
        alike[cell.agency, cell.purpose is None, cell.component is None].append(cell)
    for (agency, *_), cells in alike.items():
        reasons = {(cell.outcome, cell.code, cell.rules) for cell in cells}
        purposes = {cell.purpose for cell in cells}
        components = {cell.component for cell in cells}
        if None not in {agency, *purposes, *components}:
            reasons |= {(SHOWN, None, ()), (NOTHING, None, ())}
        for (outcome, code, rules), purpose, component in product(reasons, purposes, components):
            yield Cell(agency, outcome, purpose, component, code, rules)


@dataclass(slots=True)
class Tally:
    """What a quarter comes to, before anything is kept back; not for publication.

    `late` are reads of the quarter that the export holds behind the checkpoint.
    """

    checkpoint: Checkpoint
    requests: Counter[Cell] = field(default_factory=Counter)
    records: Counter[Cell] = field(default_factory=Counter)
    persons: Counter[Cell] = field(default_factory=Counter)
    others: Counter[tuple[str, str]] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    declared_lost: int = 0
    lost: int = 0
    rehearsal: bool = False
    late: int = 0


def count(export: Export, quarter: Quarter, zone: ZoneInfo) -> Tally:
    """Count a quarter; raise ConfigurationError if the log does not reach beyond it."""
    begins, ends = quarter.begins(zone), quarter.ends(zone)
    tally = Tally(covering(export, ends))
    for index, item in enumerate(export.leaves()):
        if index >= tally.checkpoint.size:
            tally.late += isinstance(item, tuple) and isinstance(item[0], Read) and begins <= item[1] < ends
        elif isinstance(item, Lost):
            tally.lost += 1
        else:
            _count(tally, item[0], within=begins <= item[1] < ends)
    return tally


def covering(export: Export, ends: datetime) -> Checkpoint:
    """Return the checkpoint that a report on a quarter with this end stands on."""
    beyond = (index for index, item in enumerate(export.leaves()) if _is_beyond(item, ends))
    index = next(beyond, export.size)
    found = next((checkpoint for checkpoint in export.checkpoints if checkpoint.size > index), None)
    if found is None:
        raise ConfigurationError(
            f"{export.directory}: no checkpoint covers an entry of {ends + SEALED_WITHIN:%Y-%m-%d %H:%M} UTC or later; "
            "before that, entries of the quarter may still be missing"
        )
    return found


def _is_beyond(item: tuple[Leaf, datetime] | Lost, ends: datetime) -> bool:
    return isinstance(item, tuple) and item[1] >= ends + SEALED_WITHIN


def cell_of(read: Read) -> Cell:
    """Return the cell in which a read is counted."""
    asked = plain(read.purpose), plain(read.component)
    if read.decision == "permit":
        return Cell(plain(read.agency), SHOWN if read.records else NOTHING, *asked, None, ())
    return Cell(plain(read.agency), REFUSED, *asked, _text(read.outcome), rules_of(read))


def rules_of(read: Read) -> tuple[str, ...]:
    """Return the rules that a read names, each once."""
    return tuple(sorted({_text(rule) for rule in read.rules}))


def _count(tally: Tally, leaf: Leaf, *, within: bool) -> None:
    if isinstance(leaf, Read):
        if within:
            _count_read(tally, leaf)
    elif leaf.action in (*ACTS, *ACTS_ON_PERSONS) and leaf.decision == "permit":
        tally.acts[leaf.action] += within
        if isinstance(leaf, Loss):
            tally.declared_lost += (leaf.last - leaf.first + 1) * within
    elif leaf.action in OTHERS:
        tally.others[leaf.action, _text(leaf.outcome)] += leaf.further * within


def _count_read(tally: Tally, read: Read) -> None:
    cell = cell_of(read)
    tally.requests[cell] += read.further
    tally.records[cell] += read.records
    tally.persons[cell] += read.persons
    tally.rehearsal |= read.rehearsal is not None or bool(read.proposed) or read.sandbox


def plain(word: str | None) -> str | None:
    """Return a word as it may be displayed."""
    return None if word is None else _text(word)


def _text(word: str) -> str:
    """Replace what steers a display instead of standing in it: control and formatting characters, line separators."""
    if word.isprintable():
        return word
    steering = ("Cc", "Cf", "Zl", "Zp")
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in steering else c for c in word)
