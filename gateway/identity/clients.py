"""The register of clients and their agreements; each change is written in the transaction of its log entry."""

import json
import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from joserfc.jwk import ECKey, OKPKey
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection, Dialect

from gateway import tables
from gateway.access import Agreement, AgreementState
from gateway.errors import ConfigurationError
from gateway.identity import agreements
from gateway.prepared import Prepared
from gateway.store import Store

ACTIVE, SUSPENDED = "active", "suspended"
# The agreement is named after the client, in a column of 60.
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,48}")
# An originating agency identifier of the FBI's NCIC has nine letters and digits (CJIS Security Policy, IA-0).
_ORI = re.compile(r"[A-Z0-9]{9}")
PublicKey = ECKey | OKPKey


@dataclass(frozen=True, slots=True)
class Client:
    """A registered program of an agency, with its public key, its agreement, and the last day that was over for it."""

    id: str
    active: bool
    public_key: dict[str, Any]
    agreement: Agreement
    over: date | None


def register(connection: Connection, client_id: str, public_key: PublicKey, agreement: Agreement) -> None:
    """Register a client under a new agreement."""
    if not _NAME.fullmatch(client_id):
        raise ConfigurationError("a client's id is of small letters, digits and hyphens, at most 49")
    if not _ORI.fullmatch(agreement.ori):
        raise ConfigurationError("an ORI has nine capital letters and digits")
    if agreement.until is not None and agreement.until <= agreement.starts:
        raise ConfigurationError("an agreement must end after it starts")
    if connection.execute(_FIND, {"client_id": client_id}).one_or_none() is not None:
        raise ConfigurationError(f"there is a client {client_id} already")
    row = {
        "agreement_id": agreement.id,
        "version": agreement.version,
        "agency": agreement.agency,
        "component": agreement.component,
        "ori": agreement.ori,
        "mission": agreement.mission,
        "criminal_justice_agency": agreement.criminal_justice_agency,
        "purposes": sorted(agreement.purposes),
        "starts": agreement.starts,
        "until": agreement.until,
        "state": agreement.state.value,
        "certifications": [agreements.written(each) for each in agreement.certifications],
        "address": agreement.address,
    }
    connection.execute(tables.agreement.insert(), row)
    key = public_key.as_dict(private=False)
    row = {"client_id": client_id, "agreement_id": agreement.id, "public_key": key, "state": ACTIVE}
    connection.execute(tables.client.insert(), row)


def set_state(connection: Connection, client_id: str, state: str) -> None:
    """Suspend or resume a client; it holds from the client's next request."""
    table = tables.client
    changed = connection.execute(table.update().where(table.c.client_id == client_id).values(state=state))
    if changed.rowcount != 1:
        raise ConfigurationError(f"there is no client {client_id}")


class Clients:
    """Finds clients as they are at this moment."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, client_id: str) -> Client | None:
        """Read a client and its agreement."""
        if not _NAME.fullmatch(client_id):
            return None
        if self._store.sqlite:
            with self._store.reading() as connection:
                row = connection.execute(_FIND, {"client_id": client_id}).one_or_none()
            return None if row is None else _client(row)
        found = self._store.run(_PREPARED, [client_id.encode()])
        return _read(found[0]) if found else None

    def all(self) -> tuple[Client, ...]:
        """Read all clients."""
        with self._store.reading() as connection:
            return tuple(_client(row) for row in connection.execute(_ALL))


_REFUSAL = tables.budget_refusal
_OVER = (
    sa.select(sa.func.max(_REFUSAL.c.day))
    .where(_REFUSAL.c.agreement_id == tables.client.c.agreement_id, _REFUSAL.c.refusals_left == sa.literal_column("0"))
    .scalar_subquery()
)
_ALL = (
    sa.select(tables.client, *(c for c in tables.agreement.c if c.name != "state"))
    .add_columns(tables.agreement.c.state.label("agreement_state"), _OVER.label("over"))
    .join(tables.agreement, tables.agreement.c.agreement_id == tables.client.c.agreement_id)
    .order_by(tables.client.c.client_id)
)
_FIND = _ALL.where(tables.client.c.client_id == sa.bindparam("client_id"))
# Every request asks it; its one column is the row as JSON.
_AS_JSON = sa.select(sa.func.to_json(sa.literal_column("found"))).select_from(_FIND.order_by(None).subquery("found"))
_DIALECT: Dialect = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call] # SQLAlchemy's own
_PREPARED = Prepared(b"find_client", str(_AS_JSON.compile(dialect=_DIALECT)).encode())


@lru_cache(maxsize=256)
def _read(row: tuple[bytes, ...]) -> Client:
    """Read a client from its row as PostgreSQL writes it; as long as the row is the same, so is the client."""
    told = json.loads(row[0])
    days = {name: told[name] and date.fromisoformat(told[name]) for name in ("starts", "until", "over")}
    return _client(SimpleNamespace(**told | days))


def _client(row: Any) -> Client:
    return Client(
        id=row.client_id,
        active=row.state == ACTIVE,
        public_key=row.public_key,
        agreement=Agreement(
            id=row.agreement_id,
            version=row.version,
            agency=row.agency,
            component=row.component,
            ori=row.ori,
            mission=row.mission,
            criminal_justice_agency=row.criminal_justice_agency,
            purposes=frozenset(row.purposes),
            starts=row.starts,
            until=row.until,
            state=AgreementState(row.agreement_state),
            certifications=tuple(agreements.certification(each) for each in row.certifications),
            address=row.address,
        ),
        over=row.over,
    )
