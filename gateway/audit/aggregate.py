"""Refusals of strangers, and of clients that come too often or are stopped: an entry at once, then a count a minute.

So a flood can't turn the log into the victim. Each kind and key has an entry of its own; of the keys there are so many,
and beyond them they count as one.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.audit.entry import Entry
from gateway.audit.log import LoggedEntry

WINDOW = timedelta(minutes=1)
MAX_KEYS = 256
OTHERS = "others"


@dataclass(slots=True)
class _Window:
    first: LoggedEntry
    template: Entry
    opened: datetime
    further: int = 0


class Aggregate:
    """Counts refusals by kind and key; each process has one."""

    def __init__(self, append: Callable[[Entry], LoggedEntry], clock: Callable[[], datetime]) -> None:
        self._append = append
        self._clock = clock
        self._windows: dict[tuple[str, str, str], _Window] = {}
        self._lock = threading.Lock()

    def add(self, entry: Entry, key: str) -> LoggedEntry:
        """Count a refusal; return the entry that stands for it, which is durable.

        A crash loses the counts of the windows that are open: at most a minute's, of refusals whose first is logged.
        """
        with self._lock:
            # Known clients are few, and their officers are those of tokens, each of which has an entry already;
            # strangers can come from any number of addresses.
            known = (
                entry.subject is not None
                or (entry.action, entry.outcome, key) in self._windows
                or len(self._windows) < MAX_KEYS
            )
            slot = (entry.action, entry.outcome, key if known else OTHERS)
            window = self._windows.get(slot)
            if window is not None and entry.time < window.opened + WINDOW:
                window.further += 1
                return window.first
            if window is not None:
                self._close(slot, window)
            first = self._append(entry)
            self._windows[slot] = _Window(first, entry, entry.time)
            return first

    def flush(self) -> None:
        """Write the counts of the windows that are over."""
        now = self._clock()
        with self._lock:
            for slot, window in list(self._windows.items()):
                if now >= window.opened + WINDOW:
                    self._close(slot, window)

    def _close(self, slot: tuple[str, str, str], window: _Window) -> None:
        if window.further:
            facts = {**window.template.facts, "further": window.further, "first": window.first.id}
            until = min(self._clock(), window.opened + WINDOW)
            self._append(replace(window.template, time=until, facts=facts, openings=()))
        del self._windows[slot]
