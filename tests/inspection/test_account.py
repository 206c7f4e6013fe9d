"""An accounting of disclosures tells all that was disclosed of a person, and nothing of anyone else."""

import csv
import json
from dataclasses import asdict
from io import StringIO
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import tables
from gateway.audit.entry import officer, other, person
from gateway.errors import ConfigurationError
from gateway.inspection import criteria, spreadsheet
from gateway.inspection.account import NO_ADDRESS, account
from gateway.inspection.inspector import Inspector, Reason
from gateway.inspection.search import Page, search
from gateway.inspection.sight import open_, parts
from tests.conftest import MakeWorld
from tests.inspection.conftest import Inspect, erase, records, written
from tests.world import World

WHY = Reason("The person asked for it.")


def shown(
    world: World, name: str, agency: str, body: dict[str, Any], **agreed: Any
) -> tuple[str, list[dict[str, Any]]]:
    """Let a client of its own search; return the entry and the records."""
    response = world.asker(name, agency, officer="Officer X", **agreed).search(body)
    assert response.status_code == 200, response.text
    return response.headers["Log-Entry"], response.get_json()["records"]


def test_an_accounting_tells_each_disclosure_of_a_person(make_world: MakeWorld, inspect: Inspect) -> None:
    """Date, nature, purpose, recipient and address, what it stood on; of a lookup and of searches."""
    world = make_world()
    asked = {
        "limit": 5,
        "filter": {"sex": {"eq": "F"}},
        "sort": ["-arrested_at"],
        "fields": ["family_name", "charges"],
    }
    first, _ = shown(world, "fbi", "FBI", {"limit": 5, "sort": ["-arrested_at"]}, address="1 Example Plaza")
    fbi = world.asker("fbi-two", "FBI")
    answer = fbi.search({"limit": 1, "sort": ["-arrested_at"]})
    looked_up = fbi.get(f"/v1/arrests/{answer.get_json()['records'][0]['id']}").headers["Log-Entry"]
    inspector = inspect(world)
    (record,) = records(inspector, looked_up)
    sex = fbi.records({"limit": 1, "sort": ["-arrested_at"]})[0]["sex"]
    asked["filter"] = {"sex": {"eq": sex}}
    chosen, _ = shown(world, "fbi-three", "FBI", asked)
    found = {each.entry: each for each in account(inspector, int(record["person"]), WHY).disclosures}
    assert found.keys() >= {first, looked_up, chosen, answer.headers["Log-Entry"]}
    assert found[first].address == "1 Example Plaza"
    assert found[looked_up].address == NO_ADDRESS
    assert found[first].shown == found[looked_up].shown
    whole = set(found[first].shown)
    assert set(found[chosen].shown) == {path for path in whole if path == "family_name" or path.startswith("charges.")}
    assert "charges.grade" in found[chosen].shown
    assert found[chosen].searched_by == ("sex", "arrested_at")
    assert found[first].purpose.startswith("criminal-investigation: ")
    assert (found[first].agency, found[first].component, found[first].ori) == ("FBI", "Philadelphia", "PATEST000")
    assert any(ground.startswith("ph-federal-partners/assumed-terms [") for ground in found[first].grounds)
    times = [each.time for each in account(inspector, int(record["person"]), WHY).disclosures]
    assert times == sorted(times)


def test_each_entry_that_disclosed_a_person_is_there_and_no_other(make_world: MakeWorld, inspect: Inspect) -> None:
    """For every person who was shown, the accounting holds exactly the entries whose sealed part names them."""
    world = make_world()
    entries = [shown(world, f"fbi-{n}", "FBI", {"limit": n, "sort": ["dc_number"]})[0] for n in (1, 3, 6)]
    inspector = inspect(world)
    named = {entry: records(inspector, entry) for entry in entries}
    persons = {record["person"] for each in named.values() for record in each}
    assert len(persons) > 2
    for key in persons:
        expected = {
            entry: sum(record["person"] == key for record in each)
            for entry, each in named.items()
            if any(record["person"] == key for record in each)
        }
        found = account(inspector, int(key), WHY)
        assert {each.entry: each.records for each in found.disclosures} == expected
        told = json.dumps(asdict(found))
        others = {record["key"] for each in named.values() for record in each if record["person"] != key}
        assert not [value for value in others if f'"{value}"' in told]


def test_what_is_no_disclosure_is_not_told(make_world: MakeWorld, inspect: Inspect) -> None:
    """Auditors' own searches and accountings are about a person too, and disclose nothing."""
    world = make_world()
    entry, _ = shown(world, "fbi", "FBI", {"limit": 1})
    inspector = inspect(world)
    (record,) = records(inspector, entry)
    key = int(record["person"])
    asked = [criteria.record(f"arrests:{record['key']}"), criteria.person(key)]
    search(inspector, asked, Page(10, None), WHY)
    open_(inspector, entry, WHY)
    account(inspector, key, WHY)
    assert [each.entry for each in account(inspector, key, WHY).disclosures] == [entry]
    assert account(inspector, 10**12, WHY).disclosures == ()


def test_an_accounting_is_an_entry_that_seals_whom_it_is_about(make_world: MakeWorld, inspect: Inspect) -> None:
    """The leaf names nobody; erasing the person destroys that it was asked for."""
    world = make_world()
    inspector = inspect(world)
    account(inspector, 424_242, WHY)
    leaf, sealed = written(inspector, "audit-account")
    assert "424242" not in json.dumps({**leaf, "id": "", "commitments": "", "time": ""})
    assert sealed == {"officer": "Auditor A", "accounted": {"person": "424242", "because": WHY.text}}
    assert erase(inspector, person(424_242)) == 1
    assert written(inspector, "audit-account")[1] == {"officer": "Auditor A"}


def test_it_says_what_it_is_and_is_not(make_world: MakeWorld, inspect: Inspect) -> None:
    """Whose pattern it follows, that the law doesn't bind, what it leaves out, and that nothing suspends it."""
    told = " ".join(account(inspect(make_world()), 1, WHY).notes)
    for said in ("5 U.S.C. 552a(c)", "binds federal agencies and not a city", "telephone", "can't be suspended"):
        assert said in told


def test_what_was_erased_is_gone_from_it(make_world: MakeWorld, inspect: Inspect) -> None:
    """After an erasure there is nothing; where only the question was erased, the fields are the view's, at most."""
    world = make_world()
    entry, _ = shown(world, "fbi", "FBI", {"limit": 1, "fields": ["sex"]})
    inspector = inspect(world)
    (record,) = records(inspector, entry)
    key = int(record["person"])
    (whole,) = account(inspector, key, WHY).disclosures
    assert (whole.chosen, whole.shown) == (True, ("sex",))
    opening = tables.opening
    position = next(part.position for part in parts(inspector, entry) if part.kind == "question")
    with inspector.store.transaction() as connection:
        question = opening.update().where(opening.c.entry_id == entry, opening.c.position == position)
        connection.execute(question.values(sealed=None, wrapped=None))
    (left,) = account(inspector, key, WHY).disclosures
    assert left.chosen is False
    assert len(left.shown) > 10
    erase(inspector, person(key))
    assert account(inspector, key, WHY).disclosures == ()


def test_an_opening_that_can_not_be_opened_ends_it(make_world: MakeWorld, inspect: Inspect) -> None:
    """An accounting that leaves something out must not look whole."""
    world = make_world()
    entry, _ = shown(world, "fbi", "FBI", {"limit": 1})
    inspector = inspect(world)
    (record,) = records(inspector, entry)
    opening = tables.opening
    with inspector.store.transaction() as connection:
        about = opening.c.about.in_(inspector.openings.indexes_of(person(record["person"])))
        connection.execute(opening.update().where(about).values(sealed=bytes(40)))
    with pytest.raises(ConfigurationError, match=f"of the entry {entry} can't be opened"):
        account(inspector, int(record["person"]), WHY)


def test_words_of_bundles_that_are_gone_are_left_out(make_world: MakeWorld, inspect: Inspect) -> None:
    """Without the bundle, purpose and rules are told by name alone."""
    world = make_world()
    entry, _ = shown(world, "fbi", "FBI", {"limit": 1})
    inspector = inspect(world)
    (record,) = records(inspector, entry)
    with inspector.store.transaction() as connection:
        connection.execute(
            sa.text("UPDATE entry SET leaf = :leaf WHERE entry_id = :id"), _of_no_bundle(inspector, entry)
        )
    (told,) = account(inspector, int(record["person"]), WHY).disclosures
    assert told.purpose == "criminal-investigation"
    assert set(told.grounds) == {"pa-expunged/gone", "ph-federal-partners/assumed-terms"}


def _of_no_bundle(inspector: Inspector, entry: str) -> dict[str, Any]:
    with inspector.store.reading() as connection:
        leaf = connection.scalar(sa.select(tables.entry.c.leaf).where(tables.entry.c.entry_id == entry)) or b"{}"
    return {"leaf": json.dumps(json.loads(leaf) | {"bundle": f"sha256:{'0' * 64}"}).encode(), "id": entry}


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", '=cmd|" /C calc"!A0'])
def test_a_spreadsheet_runs_nothing(cell: str) -> None:
    """What would be a formula begins with an apostrophe; everything else is read back as it was."""
    rows = list(csv.reader(StringIO(spreadsheet.written(["a", "b"], [[cell, f"x{cell}"], [None, 7]]), newline="")))
    assert rows == [["a", "b"], [f"'{cell}", f"x{cell}"], ["", "7"]]


def test_names_of_the_keyed_index_stay_apart() -> None:
    """A person, an officer and an entry with the same text are three names."""
    assert len({person("7"), officer("7"), other("7")}) == 3
