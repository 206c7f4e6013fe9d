"""A world whose clients have received records, and the city's office that recalls, holds and erases."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from gateway import app as composition
from gateway import sshsig, tables
from gateway.activation import approvers
from gateway.app import OpenLog
from gateway.audit import sealed
from gateway.audit.entry import person
from gateway.audit.openings import Opened
from gateway.erasure import erase, holds, order, recall
from gateway.erasure.erase import Enactment, Erased
from gateway.erasure.recall import Recall, Recalled
from gateway.notices import Copy, Notice, Notices
from gateway.opaque import Holder
from gateway.settings import Settings
from gateway.verifier.verdict import Verified
from tests import world
from tests.audit.logs import verify
from tests.world import Asker, World

ALICE, BOB = world.SIGNERS
BY = "Officer of Erasures"
REFERENCE = "an invented order, MD-0-TEST"


def signed_by(content: bytes, *names: str) -> list[str]:
    """Sign an order as approvers of the tests."""
    return [sshsig.sign(world.SIGNERS[name], content, order.NAMESPACE) for name in names]


@dataclass(frozen=True, slots=True)
class Office:
    """What the city does, over the store of a world."""

    settings: Settings

    @contextmanager
    def log(self) -> Iterator[OpenLog]:
        """Open the log, as a command does."""
        with composition.open_log(self.settings) as opened:
            yield opened

    def recall(self, key: int, kind: str = "sealed", days: int = 10) -> Recalled:
        """Recall an arrest."""
        with self.log() as log:
            asked = Recall("arrests", key, kind, "For a test.", BY, days)
            return recall.recall(log.log, log.openings, log.ids, asked, composition.now())

    def notices(self) -> list[Notice]:
        """Return all notices."""
        with self.log() as log:
            return Notices(log.store, composition.now).all()

    def hold(self, key: int) -> str:
        """Place a hold."""
        with self.log() as log:
            return holds.place(log.log, log.openings, key, "A suit is pending.", BY, composition.now())

    def lift(self, hold: str) -> None:
        """Lift a hold."""
        with self.log() as log:
            holds.lift(log.log, log.openings, hold, "The suit is over.", BY, composition.now())

    def order(self, key: int, now: datetime | None = None) -> bytes:
        """Propose an erasure."""
        made = now or composition.now()
        return order.propose(self.settings.log_origin, key, REFERENCE, made).content()

    def enact(self, content: bytes, signatures: list[str], now: datetime | None = None) -> Erased:
        """Enact an order."""
        trusted = approvers.read(self.settings.approvers)
        with self.log() as log:
            asked = Enactment(content, signatures, BY, 10)
            return erase.enact(log.log, log.openings, log.ids, trusted, asked, now or composition.now())

    def erase(self, key: int) -> Erased:
        """Erase a person, as two approvers order."""
        content = self.order(key)
        return self.enact(content, signed_by(content, ALICE, BOB))

    def verify(self, against: str | None = None) -> Verified:
        """Seal and verify the whole log with all keys."""
        with self.log() as log:
            log.log.seal_all()
            verified = verify(log.store, log.log, against)
            sealed.check(log.store, log.openings)
            return verified

    def erased(self) -> int:
        """Count the openings that are erased, and check all others."""
        with self.log() as log:
            return sealed.check(log.store, log.openings)

    def about(self, key: int) -> list[str]:
        """Search the index for a person, under every key of it; return the entries found."""
        with self.log() as log, log.store.reading() as connection:
            found = tables.opening.c.about.in_(log.openings.indexes_of(person(key)))
            return list(connection.scalars(sa.select(tables.opening.c.entry_id).where(found)))

    def openings(self, entry_id: str) -> list[Opened | None]:
        """Open all openings of an entry; an erased one is None."""
        table = tables.opening
        with self.log() as log, log.store.reading() as connection:
            rows = connection.execute(sa.select(table).where(table.c.entry_id == entry_id).order_by(table.c.position))
            return [
                None if row.sealed is None else log.openings.open(row.sealed, row.wrapped, entry_id, row.position)
                for row in rows
            ]

    def kinds(self, entry_id: str) -> Counter[str]:
        """Count the openings of an entry that are not erased, by kind."""
        return Counter(each.kind for each in self.openings(entry_id) if each is not None)

    def key(self, asker: Asker, identifier: str) -> int:
        """Return the arrest for which a client holds an id."""
        with self.log() as log:
            found = log.ids.reveal(identifier, Holder(asker.id, asker.purpose, "arrests"))
        assert found is not None
        return found

    def copy(self, asker: Asker, identifier: str) -> Copy:
        """Return the copy that a client holds under an id."""
        return Copy(asker.id, asker.purpose, "arrests", self.key(asker, identifier))

    def persons(self) -> dict[int, list[int]]:
        """Return the arrests of each person in the arrest database that anyone can see."""
        engine = sa.create_engine(self.settings.arrest_url)
        with engine.connect() as connection:
            rows = connection.execute(
                sa.text("SELECT person_id, arrest_id FROM arrest WHERE arrest_id < 9000000 ORDER BY 1, 2")
            ).all()
        engine.dispose()
        found: dict[int, list[int]] = {}
        for person_id, arrest in rows:
            found.setdefault(person_id, []).append(arrest)
        return found

    def names(self) -> dict[int, tuple[str, str]]:
        """Return the names of all persons."""
        engine = sa.create_engine(self.settings.arrest_url)
        with engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT person_id, family_name, given_name FROM person")).all()
        engine.dispose()
        return {row[0]: (row[1], row[2]) for row in rows}

    def person_of(self, arrest: int) -> int:
        """Return whose arrest it was."""
        return next(key for key, arrests in self.persons().items() if arrest in arrests)

    def leaves(self, action: str) -> list[dict[str, Any]]:
        """Seal the log and return the leaves of an action."""
        from gateway.audit.show import latest

        with self.log() as log:
            log.log.seal_all()
            return [leaf for leaf in latest(log.store, 100_000) if leaf["action"] == action]

    def run(self, statement: str) -> list[Any]:
        """Run a statement in the store, past everything."""
        engine = sa.create_engine(self.settings.store_url)
        try:
            with engine.begin() as connection:
                result = connection.exec_driver_sql(statement)
                return list(result.all()) if result.returns_rows else []
        finally:
            engine.dispose()


def owed(asker: Asker) -> list[dict[str, Any]]:
    """Return a client's open notices, over HTTP."""
    response = asker.world.request("GET", "/v1/notices", headers={"Authorization": f"Bearer {asker.token}"})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.get_json()["notices"]
    return found


def acknowledge(asker: Asker, notice: str) -> Any:
    """Acknowledge a notice over HTTP; return the response."""
    headers = {"Authorization": f"Bearer {asker.token}"}
    return asker.world.request("POST", f"/v1/notices/{notice}/acknowledge", headers=headers)


def at(day: str) -> datetime:
    """Return noon of a day, UTC."""
    return datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC)


def make(world_: World) -> Office:
    """Return the office of a world."""
    return Office(world_.settings)
