"""Composes the watch of a gateway: its alerts, and the threads that raise, post and forward."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gateway.audit.rounds import Rounds
from gateway.catalogue import Catalogue
from gateway.review.fields import identifying
from gateway.settings import Settings
from gateway.store import Store
from gateway.telemetry import Telemetry
from gateway.watch.alerts import Alert, Alerts
from gateway.watch.forward import Forwarder
from gateway.watch.leaves import LeafWatch
from gateway.watch.overdue import Overdue
from gateway.watch.sinks import sink
from gateway.watch.tail import Tail, from_now, from_the_first
from gateway.watch.webhook import Webhook


@dataclass(frozen=True, slots=True)
class Guard:
    """The threads of one process, and what they hold."""

    threads: tuple[Rounds, ...]
    tails: tuple[Tail, ...]
    alerts: Alerts

    def start(self) -> None:
        """Begin; call it in the process that serves, after any fork."""
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """End, and let another process take over."""
        for thread in self.threads:
            thread.stop()
        self.alerts.close()
        self.close()

    def close(self) -> None:
        """Let the places go that were taken in the store."""
        for tail in self.tails:
            tail.close()


def alerts(settings: Settings, telemetry: Telemetry) -> Alerts:
    """Compose the alerts of a process."""
    post = Webhook(settings.alert_webhook, settings.alert_secret).post if settings.alert_webhook else None
    return Alerts(settings.log_origin, post, telemetry)


def guard(
    settings: Settings,
    store: Store,
    raised: Alerts,
    catalogue: Callable[[], Catalogue],
    clock: Callable[[], datetime],
) -> Guard:
    """Compose the watch of a process; an own thread for each of what may have to wait."""
    tail = Tail(store, "alerts", from_now)
    overdue = Overdue(store, raised, lambda: catalogue().time_zone, clock)
    watch = LeafWatch(store, tail, raised, overdue, lambda: identifying(catalogue()))
    threads = [Rounds("watch", (watch.look,)), Rounds("alerts", (raised.deliver,))]
    tails = [tail]
    if settings.siem:
        # Another address is another reader, and gets all leaves.
        reader = Tail(store, f"siem-{hashlib.sha256(settings.siem.encode()).hexdigest()[:16]}", from_the_first)
        threads.append(Rounds("forwarder", (Forwarder(reader, sink(settings.siem), raised).forward,)))
        tails.append(reader)
    for each in tails:
        each.begin()
    return Guard(tuple(threads), tuple(tails), raised)


def send_now(settings: Settings, telemetry: Telemetry, alert: Alert) -> None:
    """Raise one alert from a command, and wait until it was posted or given up."""
    raised = alerts(settings, telemetry)
    raised.add(alert)
    raised.deliver_all()
