"""An auditor at work: each look at the log is an entry of it, written before anything is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from gateway.activation.register import Register
from gateway.activation.statement import is_line
from gateway.audit.entry import Entry, Opening
from gateway.audit.log import Log
from gateway.audit.openings import Openings
from gateway.canonical import Json
from gateway.errors import ConfigurationError
from gateway.policy.bundle import Bundle
from gateway.store import Store

MOST_REASON = 500
MOST_NAME = 100


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a sealed part is opened, or gone by: one line that is not empty, kept in the sealed part."""

    text: str

    def __post_init__(self) -> None:
        """Refuse what is no reason; raise ConfigurationError."""
        if not is_line(self.text, MOST_REASON):
            raise ConfigurationError(
                f"the reason (--because) must be one line of at most {MOST_REASON} characters, and not empty"
            )


@dataclass(frozen=True, slots=True)
class Inspector:
    """Who looks, into which log, with what opens its sealed parts. It adds entries and never seals: it may not."""

    officer: str
    store: Store
    log: Log
    openings: Openings
    register: Register
    clock: Callable[[], datetime]

    def __post_init__(self) -> None:
        """Refuse an officer without a name; raise ConfigurationError."""
        if not is_line(self.officer, MOST_NAME):
            raise ConfigurationError(f"the officer's name (--by) must be one line of at most {MOST_NAME} characters")

    def write_down(self, action: str, facts: dict[str, Json], *openings: Opening) -> None:
        """Append what is about to be shown; a crash after it leaves an entry for something that nobody saw."""
        said = (Opening("officer", self.officer), *openings)
        self.log.append(Entry(action, "permit", "done", self.clock(), None, facts, said))

    def bundle_in_force(self) -> Bundle:
        """Return the bundle that is in force now; raise ConfigurationError where there is none."""
        return self.register.in_force(self.clock())


def decoded(leaf: bytes | None, which: str) -> dict[str, Any]:
    """Read a leaf from the store; raise ConfigurationError for one that is gone, or no leaf."""
    if leaf is None:
        raise ConfigurationError(f"the entry {which} is gone from the store: run 'gateway audit verify'")
    try:
        return msgspec.json.decode(leaf, type=dict[str, Any])
    except msgspec.DecodeError:
        raise ConfigurationError(f"the entry {which} was damaged: run 'gateway audit verify'") from None
