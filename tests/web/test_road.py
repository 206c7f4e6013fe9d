"""The straight road: a client reads arrests through the gateway."""

import pytest

from tests.conftest import MakeWorld


def test_a_client_reads_a_page_as_the_rules_of_the_day_show_it(make_world: MakeWorld) -> None:
    """In 2009 ICE sees everything, victims and witnesses too."""
    world = make_world(rehearsal_day="2009-01-01")
    asker = world.asker()
    page = asker.search({"limit": 3}).get_json()
    assert len(page["records"]) == 3
    assert {"home_address", "place_of_birth", "charges", "victims", "witnesses"} <= page["records"][0].keys()
    assert page["view"]["withheld"] == {}


def test_victims_and_witnesses_are_withheld_from_2010_on(make_world: MakeWorld) -> None:
    """The vote of 2010 took victims and witnesses away, with the reason in every answer."""
    world = make_world(rehearsal_day="2011-01-01")
    page = world.asker().search({"limit": 1}).get_json()
    assert page["records"][0].keys().isdisjoint({"victims", "witnesses", "narrative"})
    assert page["view"]["withheld"]["victims.phone"]["rule"] == "default"


@pytest.mark.parametrize("day", ["2014-04-15", "2014-04-17"])
def test_the_order_of_2014_changes_nothing_that_can_be_read(make_world: MakeWorld, day: str) -> None:
    """The order governs holds and notices; the data stays as open as before."""
    world = make_world(rehearsal_day=day)
    records = world.asker().every({"limit": 200, "fields": ["home_address", "place_of_birth"]})
    assert len(records) > 380


def test_access_of_ice_ends_with_a_reason(make_world: MakeWorld) -> None:
    """From 1 September 2018 ICE is denied, by a rule that says why."""
    response = make_world(rehearsal_day="2018-09-01").asker().search()
    assert response.status_code == 403
    problem = response.get_json()
    assert problem["code"] == "denied-by-rule"
    assert problem["reasons"][0]["rule"] == "ph-2018/access-ended"


def test_paging_passes_over_every_record_once(make_world: MakeWorld) -> None:
    """Pages in any order hold each record once, and nulls come last."""
    world = make_world(rehearsal_day="2011-01-01")
    asker = world.asker()
    whole = {record["id"] for record in asker.every({"limit": 200})}
    for sort in (
        ["-arrested_at"],
        ["district", "-family_name"],
        ["employer"],
        ["-bail_amount", "arrested_at"],
    ):
        records = asker.every({"limit": 37, "sort": sort})
        assert len(records) == len(whole)
        assert {record["id"] for record in records} == whole
        name = sort[0].removeprefix("-")
        values = [record[name] for record in records]
        known = [value for value in values if value is not None]
        assert values[: len(known)] == known
        assert known == sorted(known, reverse=sort[0].startswith("-"))


def test_a_record_is_read_by_its_id_and_hidden_ones_are_missing(make_world: MakeWorld) -> None:
    """One client's id is nothing to another, and a made-up one is answered alike."""
    world = make_world(rehearsal_day="2011-01-01")
    one, other = world.asker(), world.asker("ice-hsi")
    record = one.records({"limit": 1})[0]
    assert one.get(f"/v1/arrests/{record['id']}").get_json()["record"] == record
    foreign, forged = other.get(f"/v1/arrests/{record['id']}"), one.get("/v1/arrests/AAAA")
    assert foreign.status_code == forged.status_code == 404
    assert foreign.data == forged.data


def test_related_rows_are_searched_and_shown_in_part(make_world: MakeWorld) -> None:
    """A search by charges finds the records whose shown charges say so, and shows of them what was asked for."""
    asker = make_world(rehearsal_day="2011-01-01").asker()
    everything = asker.every({"limit": 200, "fields": ["charges"]})
    asked = {"charges": {"any": {"grade": {"in": ["F1", "F2"]}}, "none": {"disposed_on": {"is_null": False}}}}
    found = asker.every({"limit": 7, "filter": asked, "fields": ["charges.grade", "district"]})
    expected = [
        record["id"]
        for record in everything
        if any(charge["grade"] in ("F1", "F2") for charge in record["charges"])
        and all(charge["disposed_on"] is None for charge in record["charges"])
    ]
    assert 0 < len(expected) < len(everything)
    assert [record["id"] for record in found] == expected
    assert all(record.keys() == {"id", "district", "charges"} for record in found)
    assert {field for record in found for charge in record["charges"] for field in charge} == {"grade"}


def test_a_person_is_found_by_a_name_as_it_was_heard(make_world: MakeWorld) -> None:
    """In small letters, either way round, born about then; the log names the fields and no term."""
    world = make_world(rehearsal_day="2011-01-01")
    asker = world.asker()
    fields = ["family_name", "given_name", "date_of_birth"]
    someone = next(r for r in asker.every({"limit": 200, "fields": fields}) if r["date_of_birth"])
    heard = {"family": someone["given_name"].lower(), "given": someone["family_name"][:3].upper()}
    year = int(someone["date_of_birth"][:4])
    for born, is_found in ((someone["date_of_birth"], True), (year + 1, True), (year + 3, False)):
        answer = asker.search({"filter": {"named": {**heard, "born": born}}, "fields": fields})
        assert (someone["id"] in [record["id"] for record in answer.get_json()["records"]]) is is_found
    leaf = next(leaf for leaf in world.leaves() if "filtered" in leaf)
    assert leaf["filtered"] == sorted(fields)
    asker.search({"filter": {"named": {"given": heard["given"]}}})
    assert [leaf["filtered"] for leaf in world.leaves() if "filtered" in leaf].count(["given_name"]) == 1
    assert heard["family"] not in str(leaf)


def test_a_view_says_how_it_can_be_searched(make_world: MakeWorld) -> None:
    """Fields of the record, of relations to many, and the parts of a name."""
    world = make_world(rehearsal_day="2011-01-01")
    (arrests,) = world.asker().get("/v1/resources").get_json()["resources"]
    assert "starts" in arrests["fields"]["family_name"]["operators"]
    assert arrests["related"].keys() == {"charges"}
    assert arrests["related"]["charges"]["disposed_on"] == {
        "values": "a date from 1850-01-01 to 2199-12-31, YYYY-MM-DD",
        "operators": ["eq", "gt", "gte", "in", "is_null", "lt", "lte", "ne"],
    }
    assert arrests["named"] == ["born", "family", "given"]
