"""Legal holds: a person whose openings must not be erased, by a keyed hash of the person alone."""

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit.entry import Entry, Opening, new_id, person
from gateway.audit.log import Log
from gateway.audit.openings import Opened, Openings
from gateway.erasure.alone import alone
from gateway.erasure.traces import opened
from gateway.errors import ConfigurationError
from gateway.store import Store

_TABLE = tables.legal_hold


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold, as it is listed: never on whom."""

    id: str
    placed: datetime
    lifted: datetime | None
    entry: str


def place(log: Log, openings: Openings, key: int, because: str, by: str, now: datetime) -> str:
    """Place a hold on a person, with its entry in one transaction; return the hold's id."""

    def deed(connection: Connection, entry_id: str) -> tuple[Entry, str]:
        alone(connection)
        hold = new_id()
        row = {
            "hold_id": hold,
            "about": openings.index_of(person(key)),
            "placed": now.timestamp(),
            "entry_id": entry_id,
        }
        connection.execute(_TABLE.insert(), row)
        return _entry("audit-hold", Opening("held", {"person": str(key), "because": because}), hold, by, now), hold

    return log.perform(deed)


def lift(log: Log, openings: Openings, hold: str, because: str, by: str, now: datetime) -> None:
    """Lift a hold, with its entry in one transaction; raise ConfigurationError where it does not stand."""

    def deed(connection: Connection, _: str) -> tuple[Entry, None]:
        alone(connection)
        standing = sa.and_(_TABLE.c.hold_id == hold, _TABLE.c.lifted.is_(None))
        placed_by = connection.scalar(sa.select(_TABLE.c.entry_id).where(standing))
        if placed_by is None:
            raise ConfigurationError(f"no hold {hold} stands; see 'gateway audit hold list'")
        connection.execute(_TABLE.update().where(standing).values(lifted=now.timestamp()))
        # Under the person's name, so that what the officer wrote here is erased with the rest.
        told = Opening("lifted", {"person": _person(connection, openings, placed_by), "because": because})
        return _entry("audit-hold-lift", told, hold, by, now), None

    log.perform(deed)


def standing(connection: Connection, openings: Openings, key: int) -> list[str]:
    """Return the holds that stand on a person."""
    on = _TABLE.c.about.in_(openings.indexes_of(person(key)))
    return list(connection.scalars(sa.select(_TABLE.c.hold_id).where(on, _TABLE.c.lifted.is_(None))))


def listed(store: Store) -> list[Hold]:
    """Return all holds, the oldest first."""
    with store.reading() as connection:
        return [
            Hold(
                row.hold_id,
                datetime.fromtimestamp(row.placed, UTC),
                None if row.lifted is None else datetime.fromtimestamp(row.lifted, UTC),
                row.entry_id,
            )
            for row in connection.execute(sa.select(_TABLE).order_by(_TABLE.c.placed))
        ]


def _person(connection: Connection, openings: Openings, entry_id: str) -> str:
    """Read whom a hold is on from the entry that placed it; nothing erases it while the hold stands."""
    table = tables.opening
    for row in connection.execute(sa.select(table).where(table.c.entry_id == entry_id)):
        match opened(openings, row):
            case Opened(kind="held", value={"person": str(key)}):
                return key
    raise ConfigurationError(f"the entry {entry_id} does not say on whom the hold is; see 'gateway audit verify'")


def _entry(action: str, told: Opening, hold: str, by: str, now: datetime) -> Entry:
    return Entry(action, "permit", "done", now, None, {"hold": hold}, (Opening("officer", by), told))
