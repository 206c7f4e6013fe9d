"""The hypothetical document that closes the gap, on the real policy files and the seeded database."""

import shutil
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway import instruments
from gateway.errors import ConfigurationError
from gateway.instruments import Filed
from gateway.seed import schema
from tests.conftest import MakeWorld
from tests.world import IMMIGRATION, POLICIES, Databases, World

REHEARSAL = {"rehearsal_day": "2014-04-17", "rehearsal_with": "hold-standard-on-data"}
LONG = (date(2014, 1, 1), date(2015, 1, 1))


def convicted(databases: Databases) -> list[tuple[int, int]]:
    """Return (arrest, person) of releases after conviction for aggravated assault or robbery, graded F1 or F2."""
    arrest, conviction = schema.metadata.tables["arrest"], schema.metadata.tables["release_conviction"]
    statement = (
        sa.select(arrest.c.arrest_id, arrest.c.person_id)
        .join(conviction, conviction.c.arrest_id == arrest.c.arrest_id)
        .where(conviction.c.grade.in_(["F1", "F2"]), arrest.c.record_status == "active")
        .where(conviction.c.statute.in_(["18.2702.A1", "18.3701.A1II", "18.2702.A3", "18.2702.A4"]))
        .order_by(arrest.c.arrest_id)
    )
    engine = sa.create_engine(databases.arrests)
    with engine.connect() as connection:
        found = [(row[0], row[1]) for row in connection.execute(statement)]
    engine.dispose()
    assert len({person for _, person in found}) >= 3
    return found


def warrant(world: World, person: int, **changed: object) -> None:
    """File and confirm a warrant."""
    given: dict[str, object] = {
        "person": person,
        "agency": "ICE",
        "purpose": IMMIGRATION,
        "kind": "judicial",
        "signer": "federal-magistrate",
        "document_sha256": "0" * 64,
        "issued_on": LONG[0],
        "expires_on": LONG[1],
        **changed,
    }
    identifier = instruments.new_id()
    with world.gateway.store.transaction() as connection:
        instruments.add(connection, identifier, Filed(**given), "one")  # type: ignore[arg-type]
        instruments.confirm(connection, identifier, "two")


def test_only_the_convicted_for_whom_a_judge_signed_are_seen(make_world: MakeWorld, databases: Databases) -> None:
    """Without warrants nobody; with one, that person's record alone: year of birth, no address, no place of birth."""
    world = make_world(**REHEARSAL)
    asker = world.asker()
    assert asker.every() == []
    person = convicted(databases)[0][1]
    warrant(world, person)
    records = asker.every()
    assert len({record["person"] for record in records}) == 1
    for record in records:
        assert record["release_conviction"]["grade"] in ("F1", "F2")
        assert isinstance(record["date_of_birth"], int)
        assert record.keys().isdisjoint({"home_address", "phone", "employer", "place_of_birth", "ssn", "victims"})


@pytest.mark.parametrize(
    "lacking",
    [
        {"kind": "administrative"},
        {"agency": "FBI"},
        {"purpose": "criminal-investigation"},
        {"expires_on": date(2014, 4, 17)},
        {"issued_on": date(2014, 4, 18)},
    ],
)
def test_a_warrant_that_lacks_something_counts_for_nothing(
    make_world: MakeWorld, databases: Databases, lacking: dict[str, object]
) -> None:
    """Kind, agency, purpose and both dates matter; the day of expiry is the first without it."""
    world = make_world(**REHEARSAL)
    warrant(world, convicted(databases)[0][1], **lacking)
    assert world.asker().every() == []


def test_one_officer_alone_gives_no_warrant(make_world: MakeWorld, databases: Databases) -> None:
    """An instrument needs a second officer, and the same one can't be the second."""
    world = make_world(**REHEARSAL)
    person = convicted(databases)[0][1]
    filed = Filed(person, "ICE", IMMIGRATION, "judicial", "state-judge", "0" * 64, *LONG)
    identifier = instruments.new_id()
    with world.gateway.store.transaction() as connection:
        instruments.add(connection, identifier, filed, "one")
        with pytest.raises(ConfigurationError, match="can't confirm"):
            instruments.confirm(connection, identifier, "one")
    assert world.asker().every() == []


def test_the_budget_counts_persons_and_refuses_a_page_whole(make_world: MakeWorld, tmp_path: Path) -> None:
    """A page that would pass the budget gives nothing; what was shown before costs nothing again."""
    policies = tmp_path / "policies"
    shutil.copytree(POLICIES, policies)
    partners = policies / "ph-federal-partners.yaml"
    partners.write_text(partners.read_text().replace("at-most: 1000", "at-most: 6"))
    world = make_world(policies=str(policies))
    asker = world.asker("fbi", "FBI")
    first = asker.records({"limit": 3, "sort": ["arrested_at"]})
    refused = asker.search({"limit": 40, "sort": ["-arrested_at"]})
    assert (refused.status_code, refused.get_json()["code"]) == (429, "disclosure-budget-spent")
    assert asker.records({"limit": 3, "sort": ["arrested_at"]}) == first
    assert asker.get(f"/v1/arrests/{first[0]['id']}").status_code == 200
    # One more, and the first of the page that follows it.
    assert asker.search({"limit": 1, "sort": ["-arrested_at"]}).status_code == 200
    assert asker.search({"limit": 8, "sort": ["arrested_at"]}).status_code == 429
    leaf = world.leaves()[-1]
    assert (leaf["outcome"], leaf["records"]) == ("disclosure-budget-spent", 0)
