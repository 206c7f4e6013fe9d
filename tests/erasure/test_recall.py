"""Recalls: who received a record is owed a notice; it reaches that client alone, over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway import app as composition
from gateway.notices import Notices
from tests.conftest import MakeWorld
from tests.erasure.office import BY, Office, acknowledge, make, owed
from tests.keys.city import Machine
from tests.world import Asker, World

LATER = "2009-01-01"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A gateway on a day on which every agency sees all arrests."""
    return make_world(rehearsal_day=LATER)


@pytest.fixture
def ice(world: World) -> Asker:
    """One client."""
    return world.asker()


@pytest.fixture
def fbi(world: World) -> Asker:
    """Another client, of another agency."""
    return world.asker("fbi", "FBI")


def test_each_client_that_received_a_record_is_owed_a_notice_and_nobody_else(ice: Asker, fbi: Asker) -> None:
    """A client that asked for other records is owed nothing; the ids are those of its own answer."""
    office = make(ice.world)
    stranger = ice.world.asker("atf", "ATF")
    first = ice.records({"limit": 3})[0]["id"]
    key = office.key(ice, first)
    other = next(each["id"] for each in fbi.records({"limit": 200}) if office.key(fbi, each["id"]) == key)
    assert stranger.get("/v1/resources").status_code == 200
    assert [copy.client for copy in office.recall(key).owed] == ["fbi", "ice-ero"]
    (mine,), (theirs,) = owed(ice), owed(fbi)
    assert mine["ids"] == {ice.purpose: [first]}
    assert theirs["ids"] == {fbi.purpose: [other]}
    assert (mine["kind"], mine["resource"]) == ("sealed", "arrests")
    assert first != other
    assert owed(stranger) == []


def test_a_notice_names_the_ids_of_before_a_rotation_too(make_world: MakeWorld) -> None:
    """What a client received under the old key and under the new one is the same record to it."""
    world = make_world(rehearsal_day=LATER)
    asker = world.asker()
    office = make(world)
    old = asker.records({"limit": 1})[0]["id"]
    Machine(world.settings).rotate("ids")
    asker.world = make_world(rehearsal_day=LATER)
    new = asker.records({"limit": 1})[0]["id"]
    assert new != old
    assert len(office.recall(office.key(asker, old)).owed) == 1
    (notice,) = owed(asker)
    assert set(notice["ids"][asker.purpose]) == {old, new}


def test_a_second_recall_owes_nothing_that_is_open(ice: Asker, fbi: Asker) -> None:
    """Of one kind there is one open notice for a copy; of another kind, another; for a new client, its own."""
    office = make(ice.world)
    key = office.key(ice, ice.records({"limit": 1})[0]["id"])
    assert len(office.recall(key).owed) == 1
    again = office.recall(key)
    assert (again.owed, [copy.client for copy in again.already]) == ([], ["ice-ero"])
    assert len(office.recall(key, "corrected").owed) == 1
    fbi.records({"limit": 1})
    assert [copy.client for copy in office.recall(key).owed] == ["fbi"]
    assert len(office.notices()) == 3


def test_what_was_acknowledged_is_owed_anew_when_it_is_recalled_anew(ice: Asker) -> None:
    """A notice that was heard does not stand for the next."""
    office = make(ice.world)
    key = office.key(ice, ice.records({"limit": 1})[0]["id"])
    office.recall(key)
    acknowledge(ice, owed(ice)[0]["id"])
    assert len(office.recall(key).owed) == 1


def test_a_record_under_two_purposes_is_two_notices(world: World) -> None:
    """One notice for both would join ids that are made so that they can't be joined."""
    purposes = frozenset({"immigration-enforcement", "criminal-investigation"})
    asker = world.asker("hsi", purposes=purposes)
    office = make(world)
    identifiers = {}
    for purpose in purposes:
        asker.purpose = purpose
        identifiers[purpose] = asker.records({"limit": 1})[0]["id"]
    office.recall(office.key(asker, identifiers[asker.purpose]))
    told = [notice["ids"] for notice in owed(asker)]
    assert sorted(told, key=str) == sorted(({purpose: [each]} for purpose, each in identifiers.items()), key=str)


def test_an_entry_that_waits_for_its_place_counts(ice: Asker) -> None:
    """A recall finds what was disclosed a moment ago."""
    office = make(ice.world)
    key = office.key(ice, ice.records({"limit": 1})[0]["id"])
    assert office.run("SELECT count(*) FROM pending")[0][0] > 0
    assert len(office.recall(key).owed) == 1


def test_a_refusal_or_a_recall_is_no_receipt(ice: Asker) -> None:
    """Who asked and was refused received nothing; nor did those whom the office wrote down."""
    office = make(ice.world)
    assert ice.search({"filter": {"nowhere": {"eq": 1}}}).status_code == 400
    key = next(iter(office.persons().values()))[0]
    assert office.recall(key).owed == []
    assert office.recall(key).owed == []


def test_the_entry_of_a_recall_counts_and_its_seal_names_the_record(ice: Asker) -> None:
    """The leaf holds numbers alone; record and reason are sealed, and found by the record."""
    office = make(ice.world)
    key = office.key(ice, ice.records({"limit": 1})[0]["id"])
    office.recall(key)
    (leaf,) = office.leaves("audit-recall")
    assert (leaf["kind"], leaf["notices"], leaf["clients"]) == ("sealed", 1, 1)
    assert "arrests" not in str(leaf)
    held = {each.kind: each.value for each in office.openings(leaf["id"]) if each}
    assert held["recalled"] == {"resource": "arrests", "key": str(key), "because": "For a test."}
    assert held["officer"] == BY
    office.verify()


def test_notices_are_due_and_then_overdue(ice: Asker) -> None:
    """The last day is whole; what was acknowledged is never overdue."""
    office = make(ice.world)
    key = office.key(ice, ice.records({"limit": 1})[0]["id"])
    now = composition.now()
    office.recall(key, days=3)
    (notice,) = office.notices()
    last = (now + timedelta(days=3)).astimezone(UTC)
    assert notice.due.date() == last.date()
    assert not notice.overdue(datetime(last.year, last.month, last.day, 23, 59, 58, tzinfo=UTC))
    assert notice.overdue(notice.due + timedelta(seconds=1))
    assert owed(ice)[0]["due"] == last.date().isoformat()
    acknowledge(ice, notice.id)
    (heard,) = office.notices()
    assert not heard.overdue(notice.due + timedelta(days=30))


# --- over HTTP ----------------------------------------------------------------------------------------------


def test_acknowledging_twice_is_as_good_as_once(ice: Asker) -> None:
    """The ids go with the first; the answers are the same."""
    office = make(ice.world)
    office.recall(office.key(ice, ice.records({"limit": 1})[0]["id"]))
    (notice,) = owed(ice)
    first, second = acknowledge(ice, notice["id"]), acknowledge(ice, notice["id"])
    assert (first.status_code, first.get_json()) == (200, {"id": notice["id"], "state": "acknowledged"})
    assert (second.status_code, second.data) == (200, first.data)
    assert owed(ice) == []
    assert office.run("SELECT CAST(ids AS VARCHAR(100)) FROM notice") == [("{}",)]
    assert office.run("SELECT count(*) FROM notice WHERE acknowledged IS NULL") == [(0,)]


@pytest.mark.parametrize("identifier", ["0" * 32, "ABC", "%00", "x" * 300, "0" * 31 + "%0A"])
def test_another_clients_notice_and_none_are_not_found_alike(ice: Asker, fbi: Asker, identifier: str) -> None:
    """The answers are equal to the byte, and the leaves but for what is random."""
    office = make(ice.world)
    office.recall(office.key(ice, ice.records({"limit": 1})[0]["id"]))
    (notice,) = owed(ice)
    others, missing = acknowledge(fbi, notice["id"]), acknowledge(fbi, identifier)
    assert others.status_code == 404
    assert others.get_json()["code"] == "notice-not-found"
    assert others.data == missing.data
    random = {"id", "time", "commitments", "index"}
    one, two = (
        {name: value for name, value in leaf.items() if name not in random}
        for leaf in office.leaves("notice-acknowledge")
    )
    assert one == two
    assert len(owed(ice)) == 1


def test_every_answer_about_notices_is_an_entry(ice: Asker) -> None:
    """Listing, acknowledging and their refusals are logged with their numbers, and the log verifies."""
    office = make(ice.world)
    office.recall(office.key(ice, ice.records({"limit": 1})[0]["id"]))
    (notice,) = owed(ice)
    response = acknowledge(ice, notice["id"])
    leaves = office.leaves("notice-acknowledge")
    assert [leaf["id"] for leaf in leaves] == [response.headers["Log-Entry"]]
    assert (leaves[0]["notice"], leaves[0]["outcome"], leaves[0]["client"]) == (notice["id"], "done", "ice-ero")
    assert [leaf["notices"] for leaf in office.leaves("notices")] == [1]
    office.verify()


def test_an_acknowledgement_and_its_entry_are_one(ice: Asker) -> None:
    """Where the entry can't be written, the notice stays owed."""
    office = make(ice.world)
    office.recall(office.key(ice, ice.records({"limit": 1})[0]["id"]))
    (notice,) = owed(ice)
    office.run("ALTER TABLE notice RENAME COLUMN acknowledged TO gone")
    assert acknowledge(ice, notice["id"]).status_code == 503
    office.run("ALTER TABLE notice RENAME COLUMN gone TO acknowledged")
    assert len(owed(ice)) == 1
    assert [leaf["outcome"] for leaf in office.leaves("notice-acknowledge")] == ["temporarily-unavailable"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/notices?all=1", None),
        ("GET", "/v1/notices", "{}"),
        ("POST", f"/v1/notices/{'0' * 32}/acknowledge", '{"because": 1}'),
        ("POST", f"/v1/notices/{'0' * 32}/acknowledge?x=", None),
    ],
)
def test_nothing_but_the_path_is_read(ice: Asker, method: str, path: str, body: str | None) -> None:
    """Parameters and bodies are refused, and logged."""
    response = ice.world.request(method, path, headers=ice.headers(), data=body)
    assert response.status_code == 400
    assert "Log-Entry" in response.headers


def test_no_purpose_needs_to_be_stated(ice: Asker) -> None:
    """To hear of a duty is no access; a purpose that is stated is not read."""
    assert owed(ice) == []
    response = ice.get("/v1/notices", **{"Access-Purpose": "CURIOSITY"})
    assert response.get_json() == {"notices": [], "more": False}


def test_notices_reach_a_client_whose_agreement_has_ended(ice: Asker) -> None:
    """Nothing more is disclosed to it, and it is told of what it has."""
    office = make(ice.world)
    office.recall(office.key(ice, ice.records({"limit": 1})[0]["id"]))
    office.run("UPDATE agreement SET state = 'terminated'")
    assert ice.search({}).status_code == 403
    (notice,) = owed(ice)
    assert acknowledge(ice, notice["id"]).status_code == 200


def test_a_suspended_client_hears_nothing_and_its_notice_stays_owed(ice: Asker) -> None:
    """It is refused as everywhere; the city sees that the notice is open, and writes a letter."""
    office = make(ice.world)
    office.recall(office.key(ice, ice.records({"limit": 1})[0]["id"]))
    (notice,) = owed(ice)
    office.run("UPDATE client SET state = 'suspended'")
    response = acknowledge(ice, notice["id"])
    assert (response.status_code, response.get_json()["code"]) == (401, "client-suspended")
    assert [each.acknowledged for each in office.notices()] == [None]


def test_a_stranger_hears_nothing(ice: Asker) -> None:
    """Without a token there is a 401, and an entry."""
    response = ice.world.request("GET", "/v1/notices")
    assert response.status_code == 401
    assert "Log-Entry" in response.headers


def test_notices_are_throttled_with_all_else(make_world: MakeWorld) -> None:
    """They count as requests of the client."""
    asker = make_world(client_limit="2/minute").asker()
    assert owed(asker) == owed(asker) == []
    headers = {"Authorization": f"Bearer {asker.token}"}
    assert asker.world.request("GET", "/v1/notices", headers=headers).status_code == 429


def test_a_list_is_bounded_and_goes_on(ice: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit follows when the first are acknowledged."""
    office = make(ice.world)
    for record in ice.records({"limit": 3}):
        office.recall(office.key(ice, record["id"]))
    monkeypatch.setattr("gateway.notices.MOST", 2)
    first = ice.get("/v1/notices").get_json()
    assert (len(first["notices"]), first["more"]) == (2, True)
    for notice in first["notices"]:
        acknowledge(ice, notice["id"])
    second = ice.get("/v1/notices").get_json()
    assert (len(second["notices"]), second["more"]) == (1, False)


def test_a_notice_of_a_client_goes_when_it_is_heard_once_by_two_at_once(ice: Asker) -> None:
    """The change is made only where it was not made: the first moment stands."""
    office: Office = make(ice.world)
    office.recall(office.key(ice, ice.records({"limit": 1})[0]["id"]))
    (notice,) = owed(ice)
    with office.log() as log:
        one = Notices(log.store, lambda: datetime(2026, 1, 1, tzinfo=UTC)).acknowledged(notice["id"], ice.id)
        two = Notices(log.store, lambda: datetime(2026, 1, 2, tzinfo=UTC)).acknowledged(notice["id"], ice.id)
        with log.store.transaction() as connection:
            one.also(connection)
            two.also(connection)
    assert [each.acknowledged for each in office.notices()] == [datetime(2026, 1, 1, tzinfo=UTC)]
