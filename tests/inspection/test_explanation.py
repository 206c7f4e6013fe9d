"""Entries are explained from what the log, the statements and the agreements hold; what differs is named."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import app as composition
from gateway import tables
from gateway.access import AgreementState
from gateway.activation.statement import Lift, Stop
from gateway.audit.entry import Entry, Opening
from gateway.audit.merkle import leaf_hash
from gateway.canonical import Json, canonical
from gateway.errors import ConfigurationError
from gateway.identity import agreements
from gateway.inspection.explanation import DIFFERS, NOT_DERIVED, SAME, Explained, explained
from gateway.inspection.inspector import Inspector, Reason
from gateway.inspection.sight import look, open_
from tests import world as worlds
from tests.conftest import MakeWorld
from tests.inspection.conftest import Inspect
from tests.world import Asker, World

TERM = "ZZDISTINCTIVE"


def of(inspector: Inspector, entry: str) -> Explained:
    """Look at an entry and explain it."""
    return explained(inspector, look(inspector, entry))


def text(told: Explained) -> str:
    """Return all that is told, but for the verdict."""
    return "\n".join((*told.asked, *told.decided, *told.given, *told.differences, *told.today))


def search(asker: Asker, **body: Any) -> str:
    """Search; return the entry."""
    return asker.search(body).headers["Log-Entry"]


def test_a_disclosure_is_explained(make_world: MakeWorld, inspect: Inspect) -> None:
    """Who asked for what, by which fields, which rules decided on what basis, and what was shown and withheld."""
    world = make_world()
    asker = world.asker("fbi", "FBI", officer="Officer X")
    entry = search(asker, limit=2, filter={"family_name": {"ne": TERM}}, sort=["dc_number"])
    inspector = inspect(world)
    told = of(inspector, entry)
    assert (told.verdict, told.differences) == (SAME, ())
    for said in (
        "the client fbi of FBI, Philadelphia (ORI PATEST000",
        "It asked for: arrests.",
        "Purpose: criminal-investigation (Finding out",
        "Filtered by: family_name; sorted by: dc_number.",
        "Permitted: disclosed.",
        "Rule ph-federal-partners/assumed-terms: ",
        "2 records of 2 persons",
        "-- by default: No rule shows it.",
        "under the same bundle, for the same client as it then stood: the same.",
    ):
        assert said in text(told)
    assert TERM not in text(told)
    assert "Officer X" not in text(told)
    opened = text(explained(inspector, open_(inspector, entry, Reason("A complaint."))))
    assert f"family_name: ne: {TERM}" in opened
    assert "Sealed: officer: Officer X" in opened


def test_a_masked_view_of_a_rehearsal_is_explained(make_world: MakeWorld, inspect: Inspect) -> None:
    """Forms are named, denials with their rules; today, without the proposed document's day, it would be denied."""
    world = make_world(rehearsal_day="2014-05-01", rehearsal_with="hold-standard-on-data")
    told = of(inspect(world), search(world.asker(), limit=1))
    assert told.verdict == SAME
    assert "date_of_birth as year" in text(told)
    assert "-- by hold-standard-on-data/no-home-raids: " in text(told)
    assert "Rehearsal of the day: 2014-05-01." in text(told)
    assert "by the rules: permit then, deny (denied-by-rule) now" in told.today
    assert any(line.startswith("because ph-2018/access-ended: ") for line in told.today)


def test_a_denial_is_explained_with_its_rule(make_world: MakeWorld, inspect: Inspect) -> None:
    """The rule's own words and its basis."""
    world = make_world()
    told = of(inspect(world), search(world.asker()))
    assert told.decided[0].startswith("Refused with 403 denied-by-rule: ")
    assert told.decided[1].startswith("Rule ph-2018/access-ended: The City did not renew")
    assert (told.given, told.verdict) == (("No record was disclosed.",), SAME)


def test_a_hidden_record_and_a_missing_one_are_explained_alike(make_world: MakeWorld, inspect: Inspect) -> None:
    """The explanation says that the leaf does not tell, on purpose."""
    world = make_world()
    entry = world.asker("fbi", "FBI").get("/v1/arrests/AAAA").headers["Log-Entry"]
    told = of(inspect(world), entry)
    assert "Refused with 404 record-not-found" in told.decided[0]
    assert "hidden from this client and one that does not exist leave the same leaf" in told.decided[1]


def test_a_purpose_that_was_not_agreed_is_explained(make_world: MakeWorld, inspect: Inspect) -> None:
    """From the agreement, and not from a rule."""
    world = make_world()
    asker = world.asker()
    asker.purpose = "prosecution"
    told = of(inspect(world), search(asker))
    assert told.verdict == NOT_DERIVED
    assert "It did not cover the purpose prosecution. A rule was not asked." in told.decided
    assert any("Today it is in version 1, in-force, from 2008-01-01, without an end" in line for line in told.decided)


def test_a_suspended_agreement_is_explained_by_the_entry_of_its_suspension(
    make_world: MakeWorld, inspect: Inspect
) -> None:
    """The log itself holds when and by which entry it came to that; and what has become of it since."""
    world = make_world()
    asker = world.asker("fbi", "FBI")
    suspended = change(world, "suspend")
    entry = search(asker)
    change(world, "resume")
    told = of(inspect(world), entry)
    assert "The agreement fbi-agreement was in version 2, suspended." in told.decided
    assert any(line.startswith("It came to that by agreement-suspend") and suspended in line for line in told.decided)
    assert any("Today it is in version 3, in-force" in line for line in told.decided)


def change(world: World, step: str) -> str:
    """Suspend or resume the FBI's agreement, as the command does; return the entry."""
    standing = agreements.read(world.gateway.store, "fbi-agreement")
    changed = agreements.suspended(standing) if step == "suspend" else agreements.resumed(standing)
    facts: dict[str, Json] = {"agreement": {"id": changed.id, "version": changed.version, "state": changed.state.value}}
    entry = Entry(f"agreement-{step}", "permit", "done", composition.now(), None, facts, (Opening("officer", "IT"),))
    return world.gateway.log.append(entry, lambda connection: agreements.write(connection, changed)).id


def test_an_agreement_that_had_ended_is_explained(make_world: MakeWorld, inspect: Inspect) -> None:
    """By its state it stood, and its days were over."""
    world = make_world()
    told = of(inspect(world), search(world.asker("fbi", "FBI", until=date(2020, 1, 1))))
    assert "Refused with 403 agreement-not-in-force" in told.decided[0]
    assert any("lay before its first day, or after its last" in line for line in told.decided)
    assert any("from 2008-01-01 until 2020-01-01, exclusive" in line for line in told.decided)


def test_a_terminated_agreement_without_an_entry_is_explained(make_world: MakeWorld, inspect: Inspect) -> None:
    """Where no entry tells of the change, none is named."""
    world = make_world()
    told = of(inspect(world), search(world.asker("fbi", "FBI", state=AgreementState.TERMINATED)))
    assert "The agreement fbi-agreement was in version 1, terminated." in told.decided
    assert not any("It came to that" in line for line in told.decided)


def test_an_emergency_stop_is_explained_by_its_statement(make_world: MakeWorld, inspect: Inspect) -> None:
    """Which statement, why, and whether it was lifted since."""
    world = make_world()
    asker = world.asker("fbi", "FBI")
    worlds.state(world.settings, Stop("FBI"))
    world.close()
    world = make_world()
    asker.world = world
    entry = search(asker)
    inspector = inspect(world)
    told = of(inspector, entry)
    assert "Refused with 403 agency-stopped" in told.decided[0]
    assert any(
        line.startswith("The city had stopped FBI by statement 2") and "For a test." in line for line in told.decided
    )
    assert "The stop is still in force." in told.decided
    worlds.state(world.settings, Lift("FBI"))
    assert any(line.startswith("The stop was lifted by statement 3") for line in of(inspector, entry).decided)


def test_what_would_be_different_today_is_told(make_world: MakeWorld, inspect: Inspect, tmp_path: Path) -> None:
    """Field by field, where another policy has come into force."""
    world = make_world()
    entry = search(world.asker("fbi", "FBI"), limit=1)
    root = tmp_path / "p"
    shutil.copytree(worlds.POLICIES, root)
    document = root / "ph-federal-partners.yaml"
    changed = document.read_text().replace("identity, identifier,", "identity,")
    assert changed != document.read_text()
    document.write_text(changed)
    worlds.activate(world.settings, root)
    told = of(inspect(world), entry)
    assert told.verdict == SAME
    assert "under another bundle" in told.today[0]
    assert "ssn: shown then, withheld now" in told.today
    assert not any(line.startswith("family_name:") for line in told.today)


def rewrite(inspector: Inspector, entry: str, **members: Any) -> None:
    """Change members of a leaf, and its place with it, as whoever owns the store can."""
    with inspector.store.transaction() as connection:
        table, leaf = tables.entry, tables.leaf
        before = connection.scalar(sa.select(table.c.leaf).where(table.c.entry_id == entry)) or b"{}"
        content = canonical(json.loads(before) | members)
        connection.execute(table.update().where(table.c.entry_id == entry).values(leaf=content))
        connection.execute(leaf.update().where(leaf.c.entry_id == entry).values(leaf_hash=leaf_hash(content)))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"shown": ["sex"]}, "shown: the entry says ['sex']"),
        ({"rules": ["ph-2010/those-arrested"]}, "rules: the entry says"),
        ({"agency": "ICE", "mission": "immigration-enforcement"}, "decision: the entry says permit"),
        ({"bundle": f"sha256:{'0' * 64}"}, "the bundle that it names is not in the store"),
        ({"time": "2014-06-01T00:00:00.000000Z"}, "bundle: by the statements another bundle was in force"),
    ],
)
def test_an_entry_that_lies_differs(
    make_world: MakeWorld, inspect: Inspect, members: dict[str, Any], said: str
) -> None:
    """Whatever of it is not what the bundle then in force gives."""
    world = make_world()
    entry = search(world.asker("fbi", "FBI"), limit=1)
    inspector = inspect(world)
    rewrite(inspector, entry, **members)
    told = of(inspector, entry)
    assert told.verdict == DIFFERS
    assert any(line.startswith(said) for line in told.differences), told.differences


def test_a_changed_entry_is_not_explained(make_world: MakeWorld, inspect: Inspect) -> None:
    """Whoever changed the bytes alone gets no explanation of them."""
    world = make_world()
    entry = search(world.asker("fbi", "FBI"), limit=1)
    inspector = inspect(world)
    with inspector.store.transaction() as connection:
        connection.execute(tables.entry.update().where(tables.entry.c.entry_id == entry).values(leaf=b"{}"))
    with pytest.raises(ConfigurationError, match="was changed: run 'gateway audit verify'"):
        of(inspector, entry)


def test_every_entry_can_be_explained(make_world: MakeWorld, inspect: Inspect, subtests: pytest.Subtests) -> None:
    """Of strangers, tokens, floods, the gateway itself and auditors: whatever is in the log."""
    world = make_world()
    asker = world.asker("fbi", "FBI")
    search(asker, limit=1)
    asker.get("/v1/resources")
    asker.get("/v1/nothing/AAAA")
    asker.search("{")
    asker.search(resource="nothing")
    asker.get_token("x.y.z")
    for _ in range(3):
        world.request("GET", "/nowhere")
    asker.purpose = "curiosity"
    asker.search()
    inspector = inspect(world)
    inspector.write_down("client-add", {"client": "new", "agency": "ATF", "address": "2 Example Street"})
    leaves = world.leaves()
    assert {leaf["action"] for leaf in leaves} >= {"read", "describe", "token", "any", "policy", "client-add"}
    for leaf in leaves:
        with subtests.test(f"{leaf['action']} {leaf['outcome']}"):
            told = of(inspector, leaf["id"])
            assert told.verdict in (SAME, NOT_DERIVED)
            assert told.asked
            assert told.decided
    added = next(leaf["id"] for leaf in leaves if leaf["action"] == "client-add")
    assert "address: 2 Example Street" in of(inspector, added).asked
