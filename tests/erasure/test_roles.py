"""The role that serves can tell clients what they are owed, and can neither owe, hold nor erase."""

import pytest
import sqlalchemy as sa

from gateway import app as composition
from gateway.errors import Unavailable
from gateway.settings import Settings
from tests.conftest import MakeWorld
from tests.e2e.test_two_processes import psql
from tests.erasure.office import Office, acknowledge, make, owed
from tests.services import Postgres
from tests.world import World


@pytest.fixture
def dialect() -> str:
    """Roles are PostgreSQL's."""
    return "postgresql"


def test_the_serving_role_can_not_erase(make_world: MakeWorld, postgres: Postgres) -> None:
    """It lists and acknowledges notices; every other change is refused by the database."""
    owner = make_world(rehearsal_day="2009-01-01")
    asker = owner.asker()
    office = make(owner)
    key = office.key(asker, asker.records({"limit": 1})[0]["id"])
    person = office.person_of(key)
    office.recall(key)
    name = str(sa.make_url(owner.settings.store_url).database)
    psql(postgres, name, "part=store", f"database={name}", f"writer=writer_{name}")
    given = owner.settings.model_dump(mode="json", exclude_none=True)
    served = Settings(**given | {"store_url": postgres.url(name, f"writer_{name}")})
    serving = Office(served)
    owner.close()
    asker.world = World(composition.build(served, monotonic=lambda: 0.0), served)
    try:
        (notice,) = owed(asker)
        assert acknowledge(asker, notice["id"]).status_code == 200
        for forbidden in (lambda: serving.recall(key), lambda: serving.hold(person), lambda: serving.erase(person)):
            with pytest.raises(Unavailable):
                forbidden()
        for statement in (
            "UPDATE opening SET sealed = NULL",
            "DELETE FROM opening",
            "UPDATE budget_mark SET mark = 'x'",
            "DELETE FROM budget_refusal",
            "UPDATE budget_refusal SET agreement_id = 'x'",
            "DELETE FROM notice",
            "UPDATE notice SET due = 0",
            "UPDATE notice SET client_id = 'fbi'",
            "SELECT * FROM legal_hold",
            "INSERT INTO legal_hold VALUES ('h', 'a', 0, 'e', NULL)",
        ):
            with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
                serving.run(statement)
    finally:
        asker.world.close()
    assert len(office.about(person)) > 0
    assert office.leaves("audit-erase") == []
    office.verify()
