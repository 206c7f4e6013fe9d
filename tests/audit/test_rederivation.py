"""From an entry and its bundle a stranger derives the permit again (promise 4), and sees where an entry lies."""

from typing import Any

import pytest

from gateway import app as composition
from gateway.errors import ConfigurationError
from gateway.policy.bundle import Bundle
from gateway.rederivation import rederive
from tests.conftest import MakeWorld
from tests.world import World


def bundle_of(world: World, leaf: dict[str, Any]) -> Bundle:
    """Read the bundle that an entry names."""
    with composition.open_register(world.settings) as register:
        return register.bundle(leaf["bundle"])


def leaves_of(world: World) -> list[dict[str, Any]]:
    """Return the leaves of requests about a resource."""
    return [leaf for leaf in world.leaves() if leaf["action"] == "read" and "resource" in leaf]


def test_every_decision_can_be_derived_again(make_world: MakeWorld) -> None:
    """Shown, denied, hidden and wrongly asked alike; on a rehearsed day too."""
    world = make_world(rehearsal_day="2014-05-01", rehearsal_with="hold-standard-on-data")
    ice, fbi = world.asker(), world.asker("fbi", "FBI")
    assert fbi.records({"limit": 2})
    ice.search({"limit": 2})
    ice.search({"filter": {"home_address": {"eq": "x"}}})
    ice.get("/v1/arrests/nothing")
    other = world.asker("other", "DEA", mission="criminal-investigation")
    assert other.search().status_code == 403
    leaves = leaves_of(world)
    assert {leaf["decision"] for leaf in leaves} == {"permit", "refuse", "deny"}
    for leaf in leaves:
        assert rederive(leaf, bundle_of(world, leaf)).differences == (), leaf


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"rules": ["ph-2010/those-arrested"]}, "rules: "),
        ({"shown": []}, "shown: "),
        ({"masked": {}}, "masked: "),
        ({"mission": "criminal-investigation", "agency": "DEA"}, "decision: "),
        ({"purpose": "prosecution"}, "decision: "),
        ({"decision": "deny", "outcome": "no-rule-permits", "rules": []}, "decision: "),
    ],
)
def test_an_entry_that_lies_differs(make_world: MakeWorld, changed: dict[str, Any], told: str) -> None:
    """Whatever of a leaf is changed, the bundle says otherwise."""
    world = make_world(rehearsal_day="2014-05-01", rehearsal_with="hold-standard-on-data")
    world.asker().search({"limit": 1})
    leaf = leaves_of(world)[-1]
    differences = rederive({**leaf, **changed}, bundle_of(world, leaf)).differences
    assert any(difference.startswith(told) for difference in differences), differences


def test_what_no_bundle_decided_is_told(make_world: MakeWorld) -> None:
    """An agreement that doesn't cover the purpose, and getting a token, are not the bundle's."""
    world = make_world()
    asker = world.asker()
    asker.purpose = "prosecution"
    assert asker.search().status_code == 403
    leaf = leaves_of(world)[-1]
    with pytest.raises(ConfigurationError, match="not decided by a bundle"):
        rederive(leaf, bundle_of(world, leaf))
    token = next(leaf for leaf in world.leaves() if leaf["action"] == "token")
    with pytest.raises(ConfigurationError, match="no decision about a resource"):
        rederive(token, bundle_of(world, leaf))
