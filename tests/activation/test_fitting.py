"""A column that vanishes from the arrest database stops the resource that needs it, and no other."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.errors import ConfigurationError
from gateway.records.schema import INTERVAL
from tests import world as worlds
from tests.activation.city import PURPOSE, City, rule
from tests.activation.conftest import Time
from tests.activation.test_following import asker_of, follow, ready
from tests.policy import small
from tests.world import Asker, World

Serve = Callable[[], World]
# A second resource, over a table of the small city that the first one has as a relation.
SECOND = """
  notes:
    table: n
    key: n_id
    person: id
    fields:
      note_amount: {column: amount, type: integer, low: 0, high: 100, class: open}
"""


def with_notes(root: Path, notes: str = SECOND) -> Path:
    """Give a small policy the second resource, and show both."""
    catalogue = root / "catalogue.yaml"
    catalogue.write_text(catalogue.read_text().rstrip() + notes)
    rules = [rule(name) | {"resource": name} for name in ("cases", "notes")]
    (root / "doc.yaml").write_text(small.document(rules))
    return root


@pytest.fixture
def two(city: City) -> City:
    """The small city with a second resource in force."""
    worlds.activate(city.settings, with_notes(city.policy("two")))
    return city


def change(city: City, statement: str) -> None:
    """Change the arrest database, as its administrator does."""
    engine = sa.create_engine(city.settings.arrest_url)
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


def codes(asker: Asker) -> list[object]:
    """Ask for both resources; return what came of it."""
    answers = [asker.search({"limit": 1}, resource=name) for name in ("cases", "notes")]
    return [answer.get_json().get("code", answer.status_code) for answer in answers]


VANISHES = "ALTER TABLE c RENAME COLUMN grade TO elsewhere"
RETURNS = "ALTER TABLE c RENAME COLUMN elsewhere TO grade"


def test_a_column_that_vanishes_and_returns(two: City, serve: Serve, time: Time) -> None:
    """Seen at the next look: a logged 503 for the one resource, told without a column's name; and healed."""
    world = serve()
    asker = asker_of(world)
    assert codes(asker) == [200, 200]
    change(two, VANISHES)
    time.passed += INTERVAL
    follow(world)
    assert codes(asker) == ["temporarily-unavailable", 200]
    refused = asker.search({"limit": 1}, resource="cases")
    leaf = next(leaf for leaf in world.leaves() if leaf["id"] == refused.headers["Log-Entry"])
    assert (leaf["outcome"], leaf["resource"]) == ("temporarily-unavailable", "cases")
    said = ready(world)
    assert (said["ready"], said["refused"], said["parts"]["resources"]) == (False, ["cases"], False)
    assert "grade" not in json.dumps(said)
    assert "has no column 'grade'" in world.lines.getvalue()
    assert "gateway_resources_unfit 1.0" in world.request("GET", "/metrics").text
    change(two, RETURNS)
    time.passed += INTERVAL
    follow(world)
    assert codes(asker) == [200, 200]
    assert ready(world)["ready"]


def test_what_fits_is_served_from_the_start(two: City, serve: Serve, time: Time) -> None:
    """A gateway starts with one resource that fits; the other is answered when its column is back."""
    change(two, VANISHES)
    world = serve()
    asker = asker_of(world)
    assert codes(asker) == ["temporarily-unavailable", 200]
    change(two, RETURNS)
    time.passed += INTERVAL
    follow(world)
    assert codes(asker) == [200, 200]


def test_without_a_resource_that_fits_nothing_starts(two: City, serve: Serve) -> None:
    """A catalogue of another database altogether is a mistake, and named."""
    change(two, VANISHES)
    change(two, "ALTER TABLE n RENAME COLUMN amount TO elsewhere")
    with pytest.raises(ConfigurationError, match=r"no column 'grade'.*no column 'amount'"):
        serve()


def test_a_new_policy_may_name_what_is_not_there(two: City, serve: Serve) -> None:
    """Activated, its unfit resource is refused, and the other is answered by it."""
    world = serve()
    asker = world.asker("small", "FBI", purposes=frozenset({PURPOSE}))
    coming = SECOND.replace("column: amount", "column: coming")
    worlds.activate(two.settings, with_notes(two.policy("three"), coming))
    follow(world)
    assert codes(asker) == [200, "temporarily-unavailable"]
    assert ready(world)["parts"]["policy"]
    assert ready(world)["refused"] == ["notes"]
