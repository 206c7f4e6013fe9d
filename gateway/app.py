"""The composition root: settings in, a gateway that can serve out."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog
from flask import Flask

from gateway import keys as key_files
from gateway.accounting import Rehearsal
from gateway.audit.aggregate import Aggregate
from gateway.audit.entry import Entry
from gateway.audit.log import Log, Openings
from gateway.audit.sealer import Sealer
from gateway.disclosure import Custodian
from gateway.errors import ConfigurationError, Unavailable
from gateway.identity.clients import Clients
from gateway.identity.tokens import AccessTokens, Assertions
from gateway.instruments import Instruments
from gateway.opaque import Cursors, Ids
from gateway.policy.bundle import Bundle
from gateway.policy.current import Current
from gateway.policy.tables import Dialect
from gateway.records import schema
from gateway.records.query import Records
from gateway.settings import Settings
from gateway.store import Claim, Store
from gateway.strict_yaml import FileError, Place
from gateway.telemetry import Telemetry
from gateway.web import site

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A composed gateway; `sealer.start` belongs into the process that serves."""

    flask: Flask
    sealer: Sealer
    custodian: Custodian
    store: Store
    log: Log
    claim: Claim | None

    def close(self) -> None:
        """Let every connection go, and the place of the only process."""
        if self.claim is not None:
            self.claim.close()
        self.store.close()
        self.custodian.close()


def now() -> datetime:
    """Return the moment."""
    return datetime.now(UTC)


def open_log(settings: Settings) -> tuple[Store, Log, Openings]:
    """Open the store and its log."""
    keys = key_files.read(settings.keys)
    store = Store(settings.store_url)
    openings = Openings(keys.openings, keys.index)
    return store, Log(store, settings.log_origin, keys.checkpoint, openings), openings


def build(settings: Settings, clock: Clock = now) -> Gateway:
    """Compose a gateway; raise ConfigurationError or FileError where a part refuses to start.

    1. The store is of this version, keeps its promises, and holds this log under this key.
    2. The policy is sound.
    3. The catalogue fits the arrest database, which is opened for reading only.
    """
    with ExitStack() as refused:
        keys = key_files.read(settings.keys)
        telemetry = Telemetry()
        # 1.
        store, log, openings = open_log(settings)
        refused.callback(store.close)
        store.check()
        _started(log.check)
        # 2. and 3.
        records = Records(settings.arrest_url, settings.query_timeout)
        refused.callback(records.engine.dispose)
        accept = partial(_accept, records=records, log=log, telemetry=telemetry, clock=clock)
        policy = Current(settings.policies, accept, lambda error: _refuse(error, telemetry))
        schema.check(policy.bundle.catalogue, records.engine)
        accept(policy.bundle)
        clients = Clients(store)
        aggregate = Aggregate(log.append, clock)
        custodian = Custodian(
            policy=policy,
            records=records,
            dialect=Dialect(records.engine.dialect.name),
            log=log,
            openings=openings,
            aggregate=aggregate,
            instruments=Instruments(store),
            ids=Ids(keys.ids),
            cursors=Cursors(keys.cursors),
            rehearsal=_rehearsal(settings, policy.bundle),
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
            {"arrests": records.ping, "log": log.unsealed, "policy": lambda: _sound(policy)},
        )
        memory = settings.limiter_storage.startswith("memory")
        claim = store.claim_only_process() if memory else None
        refused.pop_all()
        return Gateway(flask, Sealer((log.seal, aggregate.flush, policy.refresh)), custodian, store, log, claim)


def _started(check: Callable[[], None]) -> None:
    try:
        check()
    except Unavailable as error:
        raise ConfigurationError("the gateway's store can't be written") from error


def _accept(bundle: Bundle, records: Records, log: Log, telemetry: Telemetry, clock: Clock) -> None:
    """Hold a catalogue against the database, and write down which policy is in force before the first answer by it."""
    try:
        schema.check(bundle.catalogue, records.engine)
    except ConfigurationError as error:
        raise FileError(Place("catalogue.yaml", 1, 1), str(error)) from None
    log.append(Entry("policy", "permit", "in-force", clock(), None, {"bundle": bundle.digest}))
    telemetry.policy_accepted(bundle.digest)


def _refuse(error: FileError, telemetry: Telemetry) -> None:
    telemetry.policy_refused(str(error))


def _sound(policy: Current) -> None:
    if not policy.sound:
        raise Unavailable


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
    store, log, _ = open_log(settings)
    store.create(settings.log_origin, b"")
    store.check()
    log.check()
    store.close()
