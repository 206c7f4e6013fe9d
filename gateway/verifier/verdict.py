"""What verification comes to: all that was verified, or the first thing that is wrong."""

from dataclasses import dataclass
from enum import StrEnum


class Wrong(StrEnum):
    """The kinds of what can be wrong; the leading word of what is said."""

    CHANGED = "changed"
    REMOVED = "removed"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    FORKED = "forked"
    FORGED = "forged"
    ANOTHER_LOG = "another-log"
    MALFORMED = "malformed"
    OPENINGS = "openings"
    PROMISE = "promise"


class VerificationError(Exception):
    """The first thing that is wrong with a log, or with the evidence against it."""

    def __init__(self, wrong: Wrong, what: str) -> None:
        super().__init__(f"{wrong}: {what}")
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class Loss:
    """Leaves `first` to `last` whose entries are lost, as the leaf `declared_by` says."""

    first: int
    last: int
    declared_by: int


@dataclass(frozen=True, slots=True)
class Verified:
    """A log that is whole: its newest checkpoint as a note to keep, numbers, and what must be said beside them.

    `remarks` are findings that contradict nothing; `unchecked` says in words what this verification could not show.
    """

    origin: str
    note: str
    size: int
    checkpoints: int
    commitments: int
    opened: int
    erased: int
    unsealed: int
    losses: tuple[Loss, ...]
    remarks: tuple[str, ...]
    unchecked: tuple[str, ...]
