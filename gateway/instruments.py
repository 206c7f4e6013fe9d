"""Warrants and orders that the city has verified: added by one officer, confirmed by another, bound to one person.

Each change is written in the transaction of its log entry.
"""

import secrets
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.access import Instrument, compared
from gateway.errors import ConfigurationError
from gateway.store import Store


@dataclass(frozen=True, slots=True)
class Filed:
    """An instrument as it was read from paper; `document_sha256` is the digest of the scanned document."""

    person: int
    agency: str
    purpose: str
    kind: str
    signer: str
    document_sha256: str
    issued_on: date
    expires_on: date


def new_id() -> str:
    """Return an id for an instrument that is to be added."""
    return secrets.token_hex(8)


def add(connection: Connection, identifier: str, filed: Filed, officer: str) -> None:
    """Record an instrument; it counts for nothing until another officer confirms it."""
    if filed.expires_on <= filed.issued_on:
        raise ConfigurationError("an instrument must expire after it was issued")
    row = {
        "instrument_id": identifier,
        "person_id": filed.person,
        "agency": filed.agency,
        "purpose": filed.purpose,
        "kind": filed.kind,
        "signer": filed.signer,
        "document_sha256": filed.document_sha256,
        "issued_on": filed.issued_on,
        "expires_on": filed.expires_on,
        "added_by": officer,
    }
    connection.execute(tables.instrument.insert(), row)


def confirm(connection: Connection, identifier: str, officer: str) -> None:
    """Confirm an instrument; the officer must be another than the one who added it."""
    table = tables.instrument
    added_by = connection.scalar(sa.select(table.c.added_by).where(table.c.instrument_id == identifier))
    if added_by is None:
        raise ConfigurationError(f"there is no instrument {identifier}")
    if compared(added_by) == compared(officer):
        raise ConfigurationError("the officer who added an instrument can't confirm it")
    unconfirmed = (table.c.instrument_id == identifier) & table.c.confirmed_by.is_(None)
    if connection.execute(table.update().where(unconfirmed).values(confirmed_by=officer)).rowcount != 1:
        raise ConfigurationError(f"the instrument {identifier} is confirmed already")


class Instruments:
    """The register of instruments in the gateway's store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def in_force(self, agency: str, purpose: str, day: date) -> tuple[Instrument, ...]:
        """Return the confirmed instruments of an agency for a purpose, on a local day; expiry is exclusive."""
        table = tables.instrument
        statement = sa.select(table.c.instrument_id, table.c.person_id, table.c.kind, table.c.signer).where(
            table.c.agency == agency,
            table.c.purpose == purpose,
            table.c.confirmed_by.is_not(None),
            table.c.issued_on <= day,
            table.c.expires_on > day,
        )
        with self._store.reading() as connection:
            return tuple(Instrument(*row) for row in connection.execute(statement.order_by(table.c.instrument_id)))

    def listed(self) -> list[dict[str, object]]:
        """Return the whole register."""
        with self._store.reading() as connection:
            rows = connection.execute(sa.select(tables.instrument).order_by(tables.instrument.c.instrument_id))
            return [dict(row) for row in rows.mappings()]
