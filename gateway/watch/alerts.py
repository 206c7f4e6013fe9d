"""Alerts: what someone must hear of within a minute, without anything personal and in no answer's way."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from gateway.canonical import Json, canonical
from gateway.telemetry import Telemetry
from gateway.watch.webhook import Undelivered

# Seconds in which an alert of the same kind and client is only counted.
QUIET = 15 * 60
# Alerts that may wait for the webhook; further ones are dropped, and that is said.
WAITING = 200
# Seconds until an alert is sent again; after the last it is given up, within the minute.
RETRIES = (1, 3, 8, 15)
_PAUSE = 0.1


class Kind(StrEnum):
    """What an alert is about; published in docs/guides/watching.md, and never given a second meaning."""

    LOG_FAILURE = "log-failure"
    VERIFICATION_FAILURE = "verification-failure"
    SEALER_LAG = "sealer-lag"
    LOG_DISAGREEMENT = "log-disagreement"
    SIEM_DOWN = "siem-down"
    POLICY_REFUSED = "policy-refused"
    SWEEP = "sweep"
    BUDGET_REACHED = "budget-reached"
    SUSPENDED_CLIENT = "suspended-client"
    NOTICE_OVERDUE = "notice-overdue"
    REVIEW_OVERDUE = "review-overdue"


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert: of which kind, about which client if about one, and what else there is to say: ids and numbers."""

    kind: Kind
    client: str | None
    facts: Mapping[str, Json]


@dataclass(slots=True)
class _Quiet:
    until: float
    repeated: int = 0


@dataclass(slots=True)
class _Waiting:
    kind: Kind
    body: bytes
    tries: int = 0


Post = Callable[[bytes], None]


class Alerts:
    """Says alerts in telemetry at once, and posts them one by one from a thread that calls `deliver`."""

    def __init__(
        self, origin: str, post: Post | None, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._origin = origin
        self._post = post
        self._telemetry = telemetry
        self._clock = clock
        self._lock = threading.Lock()
        self._quiet: dict[tuple[Kind, str | None], _Quiet] = {}
        self._waiting: deque[_Waiting] = deque()
        self._due = 0.0

    def add(self, alert: Alert) -> None:
        """Raise an alert; return at once. One that repeats another is counted, and told with the next that is said."""
        now, about = self._clock(), (alert.kind, alert.client)
        with self._lock:
            quiet = self._quiet.get(about)
            if quiet is not None and now < quiet.until:
                quiet.repeated += 1
                self._telemetry.alert_repeated(alert.kind)
                return
            self._quiet[about] = _Quiet(now + QUIET)
        named: dict[str, Json] = {} if alert.client is None else {"client": alert.client}
        facts = {**named, **alert.facts, "repeated_before": quiet.repeated if quiet else 0}
        self._telemetry.alert(alert.kind, facts)
        if self._post is not None:
            said = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            body = {"kind": alert.kind.value, "log": self._origin, "time": said, **facts}
            self._queue(_Waiting(alert.kind, canonical(body)))

    def log_failed(self) -> None:
        """Raise the alert that an entry could not be written, or the log not be read."""
        self.add(Alert(Kind.LOG_FAILURE, None, {}))

    def log_disagrees(self) -> None:
        """Raise the alert that the store and what was published of the log do not agree."""
        self.add(Alert(Kind.LOG_DISAGREEMENT, None, {}))

    def policy_refused(self) -> None:
        """Raise the alert that a statement or a bundle is refused, and the last good policy stays in force."""
        self.add(Alert(Kind.POLICY_REFUSED, None, {}))

    def _queue(self, waiting: _Waiting) -> None:
        with self._lock:
            room = len(self._waiting) < WAITING
            if room:
                self._waiting.append(waiting)
        if not room:
            self._telemetry.alert_undelivered(waiting.kind, "too many wait for the webhook")

    def deliver(self) -> None:
        """Post the alert that has waited longest, if it is due."""
        with self._lock:
            if self._post is None or not self._waiting or self._clock() < self._due:
                return
            first = self._waiting[0]
        try:
            self._post(first.body)
        except Undelivered as error:
            if first.tries < len(RETRIES):
                self._due = self._clock() + RETRIES[first.tries]
                first.tries += 1
                return
            self._telemetry.alert_undelivered(first.kind, str(error))
        with self._lock:
            self._due = 0.0
            self._waiting.popleft()

    def deliver_all(self) -> None:
        """Post all that waits, and wait for it: for a command that is about to end."""
        while self._post is not None and self._waiting:
            self.deliver()
            time.sleep(_PAUSE)

    def close(self) -> None:
        """Give up what still waits, and say so."""
        while self._waiting:
            self._telemetry.alert_undelivered(self._waiting.popleft().kind, "the gateway stops")
