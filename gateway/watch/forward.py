"""Forwards leaves to a SIEM: in the order of the tree, each at least once, from the first one on."""

import time
from collections.abc import Callable

from gateway.watch.alerts import Alert, Alerts, Kind
from gateway.watch.sinks import Sink
from gateway.watch.tail import Tail

LONGEST = 60


class Forwarder:
    """Hands leaves to a sink batch by batch; a sink that is down is tried again, ever more seldom, up to a minute."""

    def __init__(self, tail: Tail, sink: Sink, alerts: Alerts, clock: Callable[[], float] = time.monotonic) -> None:
        self._tail = tail
        self._sink = sink
        self._alerts = alerts
        self._clock = clock
        self._failures = 0
        self._due = 0.0

    def forward(self) -> None:
        """Hand the next batch over.

        A crash before the place is moved, whether or not the sink has the batch, hands it over again.
        """
        if self._clock() < self._due or not self._tail.claimed():
            return
        leaves = self._tail.next()
        if not leaves:
            return
        try:
            self._sink.write(leaves)
        except OSError as error:
            self._failures += 1
            self._due = self._clock() + min(2**self._failures, LONGEST)
            why = error.strerror or type(error).__name__
            self._alerts.add(Alert(Kind.SIEM_DOWN, None, {"reason": why, "index": leaves[0].index}))
            # Another machine may reach it.
            self._tail.close()
            return
        self._failures, self._due = 0, 0.0
        self._tail.done(leaves)
