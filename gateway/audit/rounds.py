"""A thread that does its works round after round: the sealer is one, and each part of the watch."""

import threading
from collections.abc import Callable

import structlog

from gateway.errors import Unavailable
from gateway.telemetry import place

# Seconds between two rounds: each costs a dozen statements, and a checkpoint is to come within a second.
INTERVAL = 0.5

Work = Callable[[], object]


class Rounds:
    """Does its works again and again until it is stopped; a store that is down is tried again."""

    def __init__(self, name: str, works: tuple[Work, ...]) -> None:
        self._name = name
        self._works = works
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; call it in the process that serves, after any fork."""
        self._thread.start()

    def stop(self) -> None:
        """Do the works once more and end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL):
            self._once()
        self._once()

    def _once(self) -> None:
        for work in self._works:
            try:
                work()
            except Unavailable:
                structlog.get_logger().warning(f"{self._name}-waits", reason="the store is unavailable")
            except Exception as error:  # noqa: BLE001 -- the thread's outermost edge: without it nothing is sealed
                structlog.get_logger().error(f"{self._name}-fails", type=type(error).__name__, place=place(error))
