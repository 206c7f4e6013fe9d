"""The composition root: settings in, a gateway that can serve out."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog
from flask import Flask
from sqlalchemy.engine import Connection

from gateway import keys as key_files
from gateway import sandbox
from gateway.accounting import Rehearsal
from gateway.activation import approvers
from gateway.activation.current import Clocks, Current, Watch
from gateway.activation.register import Register
from gateway.activation.statement import Statement
from gateway.audit import inventory
from gateway.audit.aggregate import Aggregate
from gateway.audit.entry import Entry
from gateway.audit.inventory import Inventory
from gateway.audit.log import Log, Signing
from gateway.audit.openings import Openings
from gateway.audit.public import PublicPart
from gateway.audit.publishing import Publishing
from gateway.audit.receipts import Receipts
from gateway.audit.rounds import Rounds
from gateway.canonical import Json
from gateway.disclosure import Custodian
from gateway.errors import ConfigurationError, Unavailable
from gateway.identity.clients import Clients
from gateway.identity.tokens import AccessTokens, Assertions
from gateway.inspection.inspector import Inspector
from gateway.instruments import Instruments
from gateway.keys import KeyFile, Keys
from gateway.notices import Notices
from gateway.opaque import Cursors, Ids
from gateway.openapi.document import Addresses
from gateway.policy.bundle import Bundle
from gateway.policy.tables import Dialect
from gateway.records import invented, schema
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
    """A composed gateway; `start` belongs into the process that serves."""

    flask: Flask
    sealer: Rounds
    custodian: Custodian
    store: Store
    log: Log
    publishing: Publishing
    claim: Claim | None
    keys: Keys
    guard: Guard

    def start(self) -> None:
        """Write down that this process begins to serve, and by which keys, and start its threads."""
        using: dict[str, Json] = {use: {"number": key.number, "id": key.id} for use, key in self.keys.writing.items()}
        _started(lambda: self.log.append(Entry("gateway-start", "permit", "done", now(), None, {"keys": using})))
        self.sealer.start()
        self.guard.start()

    def stop(self) -> None:
        """End the threads."""
        self.sealer.stop()
        self.guard.stop()

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
    """The gateway's store, its log with the public part, the keys, and what they seal, open and make ids with."""

    store: Store
    log: Log
    public: PublicPart
    openings: Openings
    keys: Keys
    ids: Ids


def _inventory(settings: Settings, store: Store) -> Inventory:
    return Inventory(store, settings.log_origin, settings.keys, settings.keys_passphrase)


def _opened(settings: Settings, store: Store, files: Iterable[KeyFile]) -> OpenLog:
    keys = key_files.rings(files, settings.keys)
    openings = Openings(keys.openings, keys.index)
    signing = Signing(keys.checkpoint, keys.promise)
    public = PublicPart(settings.log_public)
    log = Log(store, settings.log_origin, signing, openings, public, settings.seal_delay)
    return OpenLog(store, log, public, openings, keys, Ids(keys.ids))


@contextmanager
def open_log(settings: Settings) -> Iterator[OpenLog]:
    """Open the store and its log for a block, by the keys that the log knows; refuse any other."""
    with open_inventory(settings) as held:
        yield _opened(settings, held.store, held.keys())


@contextmanager
def open_inventory(settings: Settings) -> Iterator[Inventory]:
    """Open the inventory of keys for a block."""
    with closing(Store(settings.store_url)) as store:
        store.check()
        yield _inventory(settings, store)


@contextmanager
def open_rotation(settings: Settings, use: str) -> Iterator[tuple[OpenLog, KeyFile]]:
    """Open the log by the keys that it knows, and make the next key of a use."""
    with open_inventory(settings) as held:
        files, made = held.rotating(use)
        yield _opened(settings, held.store, files), made


@contextmanager
def open_register(settings: Settings, clock: Clock = now) -> Iterator[Register]:
    """Open the register of statements for a block."""
    with open_log(settings) as opened:
        yield Register(opened.store, opened.log, clock)


@contextmanager
def open_inspection(settings: Settings, officer: str, clock: Clock = now) -> Iterator[Inspector]:
    """Open the log to an auditor for a block; the store's role needs to add entries, and no more."""
    with open_log(settings) as opened:
        register = Register(opened.store, opened.log, clock)
        yield Inspector(officer, opened.store, opened.log, opened.openings, register, clock)


def build(settings: Settings, clock: Clock = now, monotonic: Callable[[], float] = time.monotonic) -> Gateway:
    """Compose a gateway; raise ConfigurationError or FileError where a part refuses to start.

    1. The store is of this version, keeps its promises, holds this log under these keys, and continues what is public.
    2. A bundle is in force, by statements that the registered approvers signed.
    3. A resource of its catalogue, at least, fits the arrest database, which is opened for reading only, and is
       invented if this is a sandbox or rehearses, and only then.
    """
    with ExitStack() as refused:
        telemetry = Telemetry()
        alerts = watching.alerts(settings, telemetry)
        # 1.
        store = Store(settings.store_url)
        refused.callback(store.close)
        store.check()
        opened = _opened(settings, store, _inventory(settings, store).keys())
        log, keys = opened.log, opened.keys
        log.failed = alerts.log_failed
        _started(log.check)
        disagrees = partial(_log_refused, telemetry, alerts)
        publishing = Publishing(log, settings.seal_delay, disagrees, telemetry.log_published)
        # 2. and 3.
        records = Records(settings.arrest_url, settings.query_timeout)
        refused.callback(records.engine.dispose)
        schema.check_encoding(records.engine)
        invented.check(records.engine, settings.only_invented)
        fitting = schema.Fitting(records.engine, telemetry.resources_unfit, monotonic, settings.only_invented)
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
            publishing=publishing,
            receipts=Receipts(store, opened.public),
            openings=opened.openings,
            aggregate=aggregate,
            instruments=Instruments(store),
            ids=opened.ids,
            cursors=Cursors(keys.cursors),
            rehearsal=_rehearsal(settings, policy.last),
            addresses=Addresses(settings.resource_server, settings.issuer),
            marked=sandbox.marked(settings.log_origin),
            clock=clock,
            telemetry=telemetry,
        )
        seconds = lambda: clock().timestamp()  # noqa: E731 -- the same clock, as tokens count
        flask = site.build(
            settings,
            custodian,
            Notices(store, clock),
            Assertions(settings.issuer, clients, store, seconds),
            AccessTokens(settings.issuer, settings.resource_server, keys.token, clients, seconds),
            opened.public,
            telemetry,
            Readiness(
                {
                    "arrests": records.ping,
                    "log": partial(_ready, log, publishing),
                    "policy": policy.check,
                    "resources": fitting.check,
                },
                lambda: fitting.unfit,
            ),
        )
        memory = settings.limiter_storage.startswith("memory")
        claim = store.claim_only_process() if memory else None
        refused.pop_all()
        # The policy first: what it waits for, a stop waits for.
        works = (policy.refresh, publishing.go_on, aggregate.flush, lambda: fitting.refresh(policy.last.catalogue))
        guard = watching.guard(settings, store, alerts, lambda: policy.last.catalogue, clock)
        return Gateway(flask, Rounds("sealer", works), custodian, store, log, publishing, claim, keys, guard)


def _policy_refused(telemetry: Telemetry, alerts: Alerts, why: str) -> None:
    telemetry.policy_refused(why)
    alerts.policy_refused()


def _log_refused(telemetry: Telemetry, alerts: Alerts, why: str) -> None:
    telemetry.log_refused(why)
    alerts.log_disagrees()


def _ready(log: Log, publishing: Publishing) -> None:
    """Say by Unavailable that the store can't be reached, or that answers are refused because of the log."""
    log.unsealed()
    publishing.check()


def _started(check: Callable[[], object]) -> None:
    try:
        check()
    except Unavailable as error:
        raise ConfigurationError("the gateway's store can't be written") from error
    except OSError as error:
        raise ConfigurationError(f"the log's public part, GATEWAY_LOG_PUBLIC: {error.strerror}") from error


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
    if settings.rehearses:
        structlog.get_logger().warning("rehearsal", day=str(settings.rehearsal_day), proposed=sorted(settings.proposed))
    return Rehearsal(settings.rehearsal_day, settings.proposed)


def prepare(settings: Settings) -> None:
    """Make keys, tables and the log's public part where they do not exist yet, and record the keys in the log."""
    with closing(Store(settings.store_url)) as store:
        store.create(settings.log_origin)
        store.check()
        held = _inventory(settings, store)
        known = held.known()
        files = held.keys() if known else held.first()
        log = _opened(settings, store, files).log
        if not known:
            log.perform(partial(_recorded, files=files, origin=settings.log_origin))
        _started(log.begin)


def _recorded(connection: Connection, entry_id: str, files: tuple[KeyFile, ...], origin: str) -> tuple[Entry, None]:
    inventory.record(connection, entry_id, files, origin)
    return Entry("keys-create", "permit", "done", now(), None, {"keys": inventory.told(files, origin)}), None
