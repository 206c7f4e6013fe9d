"""Telemetry: one canonical JSON line a request and a few counters; never a record's value or a search term."""

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector


def configure() -> None:
    """Write structlog's events as JSON to standard error; silence libraries that would repeat a request."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        # One write a line, its end included: worker processes share the file, and print() may write the end apart.
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    for name in ("werkzeug", "flask-limiter", "authlib", "sqlalchemy.engine"):
        logging.getLogger(name).setLevel(logging.ERROR)


def place(error: BaseException) -> str:
    """Return where an error was raised: of one that nobody expected, what can be said beside its type."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown"


@dataclass(frozen=True, slots=True)
class RequestLine:
    """What is said of a request: the route's pattern and not its path, codes and not texts."""

    route: str
    method: str
    status: int
    code: str
    client: str | None
    entry: str | None
    seconds: float


class Telemetry:
    """The counters of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry, multiprocess_mode="max")
        self._requests = counter("gateway_requests", "Requests by route, status and code", ["route", "status", "code"])
        self._seconds = Histogram("gateway_request_seconds", "Seconds to an answer", ["route"], registry=self._registry)
        self._defects = counter("gateway_source_defects", "Values outside their domain, by field", ["field"])
        self._policy = gauge(
            "gateway_policy_refused",
            "1 while a statement or its bundle is refused and the last good policy stays in force",
        )
        self._log = gauge(
            "gateway_log_refused",
            "1 while the log can't be published, or the store and what was given out of it disagree",
        )
        self._unfit = gauge("gateway_resources_unfit", "Resources that do not fit the arrest database, and are refused")
        self._alerts = counter("gateway_alerts", "Alerts by kind", ["kind"])
        self._repeated = counter(
            "gateway_alerts_suppressed", "Alerts that repeated one of the last minutes, and were only counted", ["kind"]
        )
        self._undelivered = counter("gateway_alerts_undelivered", "Alerts that the webhook did not get", ["kind"])

    def request(self, line: RequestLine) -> None:
        """Write the canonical line of a request, and count it."""
        self._requests.labels(line.route, str(line.status), line.code).inc()
        self._seconds.labels(line.route).observe(line.seconds)
        structlog.get_logger().info(
            "request",
            route=line.route,
            method=line.method,
            status=line.status,
            code=line.code,
            client=line.client,
            entry=line.entry,
            seconds=round(line.seconds, 6),
        )

    def defect(self, field: str) -> None:
        """Report a value of the source that lies outside its domain; the value is not said."""
        self._defects.labels(field).inc()
        structlog.get_logger().warning("source-defect", field=field)

    def failure(self, error: BaseException) -> None:
        """Report an error that nobody expected, by its type and place; its text may hold what must not be said."""
        structlog.get_logger().error("failure", type=type(error).__name__, place=place(error))

    def policy_refused(self, why: str) -> None:
        """Report that a statement, or the bundle that it activates, can't be accepted."""
        self._policy.set(1)
        structlog.get_logger().error("policy-refused", message=why)

    def policy_accepted(self, digest: str) -> None:
        """Report the policy that is in force."""
        self._policy.set(0)
        structlog.get_logger().info("policy-in-force", bundle=digest)

    def log_refused(self, why: str) -> None:
        """Report that the newest checkpoint can't be given out; why names sizes and files, and nothing of a leaf."""
        self._log.set(1)
        structlog.get_logger().error("log-refused", message=why)

    def log_published(self) -> None:
        """Report that what is public of the log is up to date again."""
        self._log.set(0)
        structlog.get_logger().info("log-published")

    def resources_unfit(self, unfit: Mapping[str, str]) -> None:
        """Report which resources the arrest database does not have as the catalogue says, and why."""
        self._unfit.set(len(unfit))
        for resource, why in unfit.items():
            structlog.get_logger().error("resource-unfit", resource=resource, message=why)
        if not unfit:
            structlog.get_logger().info("resources-fit")

    def alert(self, kind: str, facts: Mapping[str, object]) -> None:
        """Raise an alert; the facts are ids and numbers, and nothing personal."""
        self._alerts.labels(kind).inc()
        structlog.get_logger().warning("alert", kind=kind, **facts)

    def alert_repeated(self, kind: str) -> None:
        """Count an alert that repeats one of the last minutes."""
        self._repeated.labels(kind).inc()

    def alert_undelivered(self, kind: str, why: str) -> None:
        """Report an alert that the webhook did not get."""
        self._undelivered.labels(kind).inc()
        structlog.get_logger().error("alert-undelivered", kind=kind, reason=why)

    def exposition(self) -> bytes:
        """Return the counters in Prometheus's text format, of all processes where a directory is shared."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library leaves it untyped
        return generate_latest(registry)
