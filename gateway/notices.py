"""Notices: what a client is owed of records that were sealed, expunged or corrected after it had received them.

A notice names one record, as one client holds it for one purpose. One notice for two purposes, or for all records of a
person, would itself join what different ids keep apart.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit.entry import new_id
from gateway.canonical import Json
from gateway.errors import Code, NotFound
from gateway.opaque import Holder, Ids
from gateway.store import Store

KINDS = ("sealed", "expunged", "corrected")
# As many as one answer lists; more follow when these are acknowledged.
MOST = 200
_DAY = 86400
_ID = re.compile(r"[0-9a-f]{32}")
_TABLE = tables.notice


@dataclass(frozen=True, slots=True, order=True)
class Copy:
    """A record that a client has received, and the purpose for which it asked."""

    client: str
    purpose: str
    resource: str
    key: int


@dataclass(frozen=True, slots=True)
class Debt:
    """What a notice is about to say, why it is owed, and from when until when."""

    kind: str
    entry: str
    since: datetime
    due: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """An answer to a client about its own notices: the body, the leaf's facts, and what is written with the entry."""

    body: bytes
    facts: dict[str, Json]
    also: Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice, as auditors see it: never which record."""

    id: str
    client: str
    kind: str
    resource: str
    since: datetime
    due: datetime
    acknowledged: datetime | None

    def overdue(self, moment: datetime) -> bool:
        """Whether it should have been acknowledged by now."""
        return self.acknowledged is None and self.due < moment


def due_after(days: int, now: datetime) -> datetime:
    """Return the end of a day, UTC: clients are told days, so that the moment does not join what came together."""
    whole = (int(now.timestamp()) // _DAY + days + 1) * _DAY
    return datetime.fromtimestamp(whole - 1, UTC)


def owe(connection: Connection, ids: Ids, copies: Iterable[Copy], debt: Debt) -> list[Copy]:
    """Write a notice for each copy that has no open one of this kind; return the copies of those written."""
    asked = sorted(set(copies))
    held = {copy: _every(ids, copy) for copy in asked}
    open_ = {} if not asked else _open_ids(connection, debt.kind, {copy.client for copy in asked})
    owed = [copy for copy in asked if not open_.get(copy.client, frozenset()).intersection(held[copy])]
    rows = [
        {
            "notice_id": new_id(),
            "client_id": copy.client,
            "kind": debt.kind,
            "resource": copy.resource,
            "ids": {copy.purpose: list(held[copy])},
            "owed_since": debt.since.timestamp(),
            "due": debt.due.timestamp(),
            "entry_id": debt.entry,
        }
        for copy in owed
    ]
    if rows:
        connection.execute(_TABLE.insert(), rows)
    return owed


def _every(ids: Ids, copy: Copy) -> tuple[str, ...]:
    """Return the ids under which a client may hold its copy."""
    return ids.every(copy.key, Holder(copy.client, copy.purpose, copy.resource))


def _open_ids(connection: Connection, kind: str, clients: set[str]) -> dict[str, set[str]]:
    """Return the ids in the open notices of clients: an id is of one client, purpose and record, so it says enough."""
    found: dict[str, set[str]] = {}
    columns = sa.select(_TABLE.c.client_id, _TABLE.c.ids).where(_TABLE.c.acknowledged.is_(None), _TABLE.c.kind == kind)
    for row in connection.execute(columns.where(_TABLE.c.client_id.in_(clients))):
        found.setdefault(row.client_id, set()).update(each for held in row.ids.values() for each in held)
    return found


class Notices:
    """The register of notices: what clients ask of their own, and what auditors see of all."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def listed(self, client: str) -> Told:
        """Tell a client its open notices, those first that are due first."""
        mine = sa.select(_TABLE).where(_TABLE.c.client_id == client, _TABLE.c.acknowledged.is_(None))
        with self._store.reading() as connection:
            rows = connection.execute(mine.order_by(_TABLE.c.due, _TABLE.c.notice_id).limit(MOST + 1)).all()
        told = [
            {
                "id": row.notice_id,
                "kind": row.kind,
                "resource": row.resource,
                "ids": row.ids,
                "owed_since": _day(row.owed_since),
                "due": _day(row.due),
            }
            for row in rows[:MOST]
        ]
        body = msgspec.json.encode({"notices": told, "more": len(rows) > MOST})
        return Told(body, {"notices": len(told)}, lambda _: None)

    def acknowledged(self, identifier: str, client: str) -> Told:
        """Take a client's word that it has heard; once is as good as twice. Raise NotFound for what is not its own."""
        mine = sa.and_(_TABLE.c.notice_id == identifier, _TABLE.c.client_id == client)
        with self._store.reading() as connection:
            if not _ID.fullmatch(identifier) or connection.scalar(sa.select(_TABLE.c.notice_id).where(mine)) is None:
                raise NotFound(Code.NOTICE_NOT_FOUND, "See GET /v1/notices.")
        heard = {"acknowledged": self._clock().timestamp(), "ids": {}}
        change = _TABLE.update().where(mine, _TABLE.c.acknowledged.is_(None)).values(heard)
        body = msgspec.json.encode({"id": identifier, "state": "acknowledged"})
        return Told(body, {"notice": identifier}, lambda connection: _run(connection, change))

    def all(self) -> list[Notice]:
        """Return the notices of all clients, those first that are due first."""
        # Without the ids, which are the client's own.
        told = [column for column in _TABLE.c if column is not _TABLE.c.ids]
        with self._store.reading() as connection:
            rows = connection.execute(sa.select(*told).order_by(_TABLE.c.due, _TABLE.c.client_id, _TABLE.c.notice_id))
            return [
                Notice(
                    row.notice_id,
                    row.client_id,
                    row.kind,
                    row.resource,
                    datetime.fromtimestamp(row.owed_since, UTC),
                    datetime.fromtimestamp(row.due, UTC),
                    None if row.acknowledged is None else datetime.fromtimestamp(row.acknowledged, UTC),
                )
                for row in rows
            ]


def _run(connection: Connection, change: sa.Update) -> None:
    connection.execute(change)


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
