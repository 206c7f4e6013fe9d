"""Counts a quarter's leaves: what was asked, what was shown and refused, what the city did.

A quarter's report stands on the first checkpoint that covers an entry of a day or more after the quarter's end: by then
every entry of the quarter is in the tree. So it depends on the log alone, and a later export gives the same report;
there are no two editions of which one could be subtracted from the other.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway.errors import ConfigurationError
from gateway.report.export import Checkpoint, Export, Leaf, Loss, Lost, Read
from gateway.report.quarters import Quarter
from gateway.report.telling import Key

SEALED_WITHIN = timedelta(days=1)  # what the gateway promises
SHOWN, NOTHING, REFUSED = "records shown", "nothing found", "refused"
OTHERS = ("describe", "token", "any")
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
    "notice-acknowledge": "recall notices acknowledged",
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


@dataclass(slots=True)
class _Seen:
    """What an agency has ever come with, up to the checkpoint."""

    components: set[str | None] = field(default_factory=set)
    purposes: set[str | None] = field(default_factory=set)
    reasons: set[tuple[str | None, tuple[str, ...]]] = field(default_factory=set)


@dataclass(slots=True)
class Tally:
    """What a quarter comes to, before anything is kept back; not for publication.

    `late` are reads of the quarter that the export holds behind the checkpoint.
    """

    checkpoint: Checkpoint
    requests: Counter[Cell] = field(default_factory=Counter)
    records: Counter[Cell] = field(default_factory=Counter)
    persons: Counter[Cell] = field(default_factory=Counter)
    others: Counter[Key] = field(default_factory=Counter)
    other_cells: set[Key] = field(default_factory=set)
    acts: Counter[str] = field(default_factory=Counter)
    declared_lost: int = 0
    lost: int = 0
    rehearsal: bool = False
    late: int = 0
    seen: defaultdict[str | None, _Seen] = field(default_factory=lambda: defaultdict(_Seen))

    def cells(self) -> Iterator[Cell]:
        """Yield the cells that might have a count: each agency with whatever it has ever come with."""
        for agency, seen in self.seen.items():
            outcomes = [(SHOWN, (None, ())), (NOTHING, (None, ())), *((REFUSED, reason) for reason in seen.reasons)]
            for (outcome, reason), purpose, component in product(outcomes, seen.purposes, seen.components):
                yield Cell(agency, outcome, purpose, component, *reason)


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
        _count_read(tally, leaf, within=within)
    elif leaf.action in OTHERS:
        cell = (leaf.action, _text(leaf.outcome))
        tally.other_cells.add(cell)
        tally.others[cell] += leaf.further * within
    elif leaf.action in ACTS or leaf.action in ACTS_ON_PERSONS:
        tally.acts[leaf.action] += within
        if isinstance(leaf, Loss):
            tally.declared_lost += (leaf.last - leaf.first + 1) * within


def _count_read(tally: Tally, read: Read, *, within: bool) -> None:
    cell = cell_of(read)
    seen = tally.seen[cell.agency]
    seen.components.add(cell.component)
    seen.purposes.add(cell.purpose)
    if cell.outcome == REFUSED:
        seen.reasons.add((cell.code, cell.rules))
    if within:
        tally.requests[cell] += read.further
        tally.records[cell] += read.records
        tally.persons[cell] += read.persons
        tally.rehearsal |= read.rehearsal is not None or bool(read.proposed)


def plain(word: str | None) -> str | None:
    """Return a word as it may be displayed."""
    return None if word is None else _text(word)


def _text(word: str) -> str:
    """Replace what steers a display instead of standing in it: control and formatting characters, line separators."""
    if word.isprintable():
        return word
    steering = ("Cc", "Cf", "Zl", "Zp")
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in steering else c for c in word)
