"""The composition root: settings in, a gateway that can serve out."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog
from flask import Flask

from gateway import keys as key_files
from gateway.accounting import Rehearsal
from gateway.activation import approvers
from gateway.activation.current import Clocks, Current, Watch
from gateway.activation.register import Register
from gateway.activation.statement import Statement
from gateway.audit.aggregate import Aggregate
from gateway.audit.entry import Entry
from gateway.audit.log import Log, Signing
from gateway.audit.openings import Openings
from gateway.audit.sealer import Sealer
from gateway.canonical import Json
from gateway.disclosure import Custodian
from gateway.errors import ConfigurationError, Unavailable
from gateway.identity.clients import Clients
from gateway.identity.tokens import AccessTokens, Assertions
from gateway.instruments import Instruments
from gateway.keys import Keys
from gateway.opaque import Cursors, Ids
from gateway.policy.bundle import Bundle
from gateway.policy.tables import Dialect
from gateway.records import schema
from gateway.records.query import Records
from gateway.settings import Settings
from gateway.store import Claim, Store
from gateway.telemetry import Telemetry
from gateway.watch import guard as watching
from gateway.watch.alerts import Alerts
from gateway.watch.guard import Guard
from gateway.web import site
from gateway.web.operations import Readiness

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A composed gateway; `sealer.start` and `guard.start` belong into the process that serves."""

    flask: Flask
    sealer: Sealer
    custodian: Custodian
    store: Store
    log: Log
    claim: Claim | None
    guard: Guard

    def close(self) -> None:
        """Let every connection go, and the place of the only process."""
        self.guard.close()
        if self.claim is not None:
            self.claim.close()
        self.store.close()
        self.custodian.close()


def now() -> datetime:
    """Return the moment."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class OpenLog:
    """The gateway's store with its log, and what seals and opens the log's sealed parts."""

    store: Store
    log: Log
    openings: Openings


def _opened(settings: Settings, keys: Keys) -> OpenLog:
    store = Store(settings.store_url)
    openings = Openings(keys.openings, keys.index)
    signing = Signing(keys.checkpoint, keys.promise)
    return OpenLog(store, Log(store, settings.log_origin, signing, openings, settings.seal_delay), openings)


@contextmanager
def open_log(settings: Settings) -> Iterator[OpenLog]:
    """Open the store and its log for a block."""
    opened = _opened(settings, key_files.read(settings.keys))
    try:
        yield opened
    finally:
        opened.store.close()


@contextmanager
def open_register(settings: Settings, clock: Clock = now) -> Iterator[Register]:
    """Open the register of statements for a block."""
    with open_log(settings) as opened:
        opened.store.check()
        yield Register(opened.store, opened.log, clock)


def build(settings: Settings, clock: Clock = now, monotonic: Callable[[], float] = time.monotonic) -> Gateway:
    """Compose a gateway; raise ConfigurationError or FileError where a part refuses to start.

    1. The store is of this version, keeps its promises, and holds this log under this key.
    2. A bundle is in force, by statements that the registered approvers signed.
    3. A resource of its catalogue, at least, fits the arrest database, which is opened for reading only.
    """
    with ExitStack() as refused:
        keys = key_files.read(settings.keys)
        telemetry = Telemetry()
        alerts = watching.alerts(settings, telemetry)
        # 1.
        opened = _opened(settings, keys)
        store, log = opened.store, opened.log
        log.failed = alerts.log_failed
        refused.callback(store.close)
        store.check()
        _started(log.check)
        # 2. and 3.
        records = Records(settings.arrest_url, settings.query_timeout)
        refused.callback(records.engine.dispose)
        fitting = schema.Fitting(records.engine, telemetry.resources_unfit, monotonic)
        policy = Current(
            Register(store, log, clock),
            partial(approvers.read, settings.approvers),
            Watch(
                partial(_accept, fitting=fitting, log=log, telemetry=telemetry, clock=clock),
                partial(_policy_refused, telemetry, alerts),
                lambda bundle: telemetry.policy_accepted(bundle.digest),
            ),
            Clocks(clock, monotonic),
            settings.policy_age,
        )
        clients = Clients(store)
        aggregate = Aggregate(log.append, clock)
        custodian = Custodian(
            policy=policy,
            records=records,
            fitting=fitting,
            dialect=Dialect(records.engine.dialect.name),
            log=log,
            openings=opened.openings,
            aggregate=aggregate,
            instruments=Instruments(store),
            ids=Ids(keys.ids),
            cursors=Cursors(keys.cursors),
            rehearsal=_rehearsal(settings, policy.last),
            clock=clock,
            telemetry=telemetry,
        )
        seconds = lambda: clock().timestamp()  # noqa: E731 -- the same clock, as tokens count
        flask = site.build(
            settings,
            custodian,
            Assertions(settings.issuer, clients, store, seconds),
            AccessTokens(settings.issuer, settings.resource_server, keys.token, clients, seconds),
            log,
            telemetry,
            Readiness(
                {"arrests": records.ping, "log": log.unsealed, "policy": policy.check, "resources": fitting.check},
                lambda: fitting.unfit,
            ),
        )
        memory = settings.limiter_storage.startswith("memory")
        claim = store.claim_only_process() if memory else None
        refused.pop_all()
        # The policy first: what it waits for, a stop waits for.
        works = (policy.refresh, log.seal_all, aggregate.flush, lambda: fitting.refresh(policy.last.catalogue))
        guard = watching.guard(settings, store, alerts, lambda: policy.last.catalogue, clock)
        return Gateway(flask, Sealer(works), custodian, store, log, claim, guard)


def _policy_refused(telemetry: Telemetry, alerts: Alerts, why: str) -> None:
    telemetry.policy_refused(why)
    alerts.policy_refused()


def _started(check: Callable[[], None]) -> None:
    try:
        check()
    except Unavailable as error:
        raise ConfigurationError("the gateway's store can't be written") from error


def _accept(
    bundle: Bundle, statement: Statement, fitting: schema.Fitting, log: Log, telemetry: Telemetry, clock: Clock
) -> None:
    """Hold a catalogue against the database, and write down which policy is in force before the first answer by it."""
    fitting.accept(bundle.catalogue)
    facts: dict[str, Json] = {"bundle": bundle.digest, "statement": statement.sequence}
    log.append(Entry("policy", "permit", "in-force", clock(), None, facts))
    telemetry.policy_accepted(bundle.digest)


def _rehearsal(settings: Settings, bundle: Bundle) -> Rehearsal:
    unknown = settings.proposed - bundle.documents.keys()
    if unknown:
        raise ConfigurationError(f"GATEWAY_REHEARSAL_WITH names what is no policy: {', '.join(sorted(unknown))}")
    if settings.rehearsal_day or settings.proposed:
        structlog.get_logger().warning("rehearsal", day=str(settings.rehearsal_day), proposed=sorted(settings.proposed))
    return Rehearsal(settings.rehearsal_day, settings.proposed)


def prepare(settings: Settings) -> None:
    """Make the keys and the store's tables where they do not exist yet."""
    key_files.create(settings.keys)
    with open_log(settings) as opened:
        opened.store.create(settings.log_origin, b"")
        opened.store.check()
        opened.log.check()
