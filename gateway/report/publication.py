"""What is published of a quarter: the figures that are told and what they stand on, and nothing else.

Tables and files are made of this value alone, so none of them can tell more than it does.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.errors import ConfigurationError
from gateway.report.counting import ACTS, ACTS_ON_PERSONS, CUTS, SHOWN, Tally, count, possible
from gateway.report.export import Export
from gateway.report.quarters import Quarter, quarter, time_zone
from gateway.report.telling import Key, place, tell

LEAST_THRESHOLD = 5
_OUTCOME_TOLD = 3  # parts of a key, from which on it says whether records were shown


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a report is made with, besides the log."""

    quarter: str
    time_zone: str
    threshold: int
    gateway: str


@dataclass(frozen=True, slots=True)
class Group:
    """Requests that are told as one figure; its key holds as many parts of their cells as are told."""

    key: Key
    requests: int
    records: int
    persons: int


@dataclass(frozen=True, slots=True)
class Published:
    """All that a report says."""

    parameters: Parameters
    quarter: Quarter
    begins: datetime
    ends: datetime
    origin: str
    size: int
    note: str
    rehearsal: bool
    groups: tuple[Group, ...]
    others: tuple[tuple[tuple[str, str], int], ...]
    acts: Mapping[str, int | None]
    declared_lost: int
    lost: int


def publish(export: Export, parameters: Parameters) -> tuple[Published, int]:
    """Count and decide what is told; return it with the number of reads that came too late to be counted.

    Raise ConfigurationError or FileError.
    """
    if parameters.threshold < LEAST_THRESHOLD:
        raise ConfigurationError(f"the threshold is {parameters.threshold}, and must be {LEAST_THRESHOLD} or more")
    period, zone = quarter(parameters.quarter), time_zone(parameters.time_zone)
    tally = count(export, period, zone)
    others = {key: number for key, number in tally.others.items() if number >= parameters.threshold}
    published = Published(
        parameters,
        period,
        period.begins(zone),
        period.ends(zone),
        export.origin,
        tally.checkpoint.size,
        tally.checkpoint.note,
        tally.rehearsal,
        groups(tally, parameters.threshold),
        tuple(sorted(others.items())),
        _acts(tally.acts, parameters.threshold),
        tally.declared_lost,
        tally.lost,
    )
    return published, tally.late


def groups(tally: Tally, threshold: int) -> tuple[Group, ...]:
    """Return the requests as they are told; with records and persons, where the outcome is told."""
    told = tell(tally.requests, possible, CUTS, threshold)
    records: Counter[Key] = Counter()
    persons: Counter[Key] = Counter()
    for cell in tally.requests:
        key = place(cell, told, CUTS)
        if cell.outcome == SHOWN and key is not None and len(key) >= _OUTCOME_TOLD:
            records[key] += tally.records[cell]
            persons[key] += tally.persons[cell]
    return tuple(Group(key, told[key], records[key], persons[key]) for key in sorted(told, key=order))


def order(key: Key) -> tuple[tuple[bool, tuple[str, ...]], ...]:
    """Return what keys are sorted by: absent words last."""
    return tuple((part is None, (part,) if isinstance(part, str) else part or ()) for part in key)


def _acts(acts: Counter[str], threshold: int) -> dict[str, int | None]:
    """Tell what the city did; of what concerns single persons, no number below the threshold."""
    on_persons = {action: acts[action] if acts[action] >= threshold else None for action in ACTS_ON_PERSONS}
    return {action: acts[action] for action in ACTS} | on_persons
