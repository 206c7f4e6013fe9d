"""The weekly review: what each rule finds, what is opened for it and said of that, and how a week is signed."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from gateway import app as composition
from gateway import tables
from gateway.access import Subject
from gateway.audit.entry import Entry, Opening
from gateway.audit.show import latest
from gateway.cli import program
from gateway.errors import ConfigurationError
from gateway.policy.bundle import load
from gateway.review import rules
from gateway.review.reviewing import Item, Queue, Review, overdue
from gateway.review.week import Week
from tests import world as worlds
from tests.audit import logs
from tests.audit.logs import OpenLog
from tests.world import POLICIES, Databases, agreement, settings

CATALOGUE = load(POLICIES).catalogue
ZONE = CATALOGUE.time_zone
WEEK = Week.named("2026-W20")
# A Wednesday at ten, in the city.
NOON = WEEK.begins(ZONE) + timedelta(days=2, hours=10)
LATER = WEEK.ends(ZONE) + timedelta(days=1)


@pytest.fixture
def log(databases: Databases, tmp_path: Path) -> Iterator[OpenLog]:
    """An open log."""
    composition.prepare(settings(databases, tmp_path / "keys"))
    with logs.opened(databases, tmp_path / "keys") as opened:
        yield opened


@pytest.fixture
def review(log: OpenLog) -> Review:
    """The review, a day after the week's end."""
    return Review(log.store, log.log, log.openings, CATALOGUE, lambda: LATER)


class Client:
    """Writes down what a client did, as the gateway does."""

    def __init__(self, log: OpenLog, name: str = "ice-ero", agency: str = "ICE") -> None:
        self._log = log
        self._subject = Subject(name, agreement(name, agency))
        # Long known, unless a test says otherwise.
        self.did(WEEK.begins(ZONE) - timedelta(days=100))

    def did(
        self,
        when: datetime,
        asked: Any = None,
        /,
        officer: str | None = None,
        outcome: str = "disclosed",
        **facts: Any,
    ) -> str:
        """Append an entry; `asked` is a question's filter as it is kept."""
        fields = sorted({name for part in (asked or {}).get("and", [asked or {}]) for name in part})
        openings = [Opening("circumstances", {"source": "192.0.2.1"})]
        openings += [Opening("officer", officer)] if officer else []
        openings += [Opening("question", {"resource": "arrests", "filter": asked}), Opening("body", "00")]
        decision = "permit" if outcome == "disclosed" else "refuse"
        told = {"filtered": fields or None, "persons": 0, **facts}
        return self._log.log.append(Entry("read", decision, outcome, when, self._subject, told, tuple(openings))).id


def surname(operator: str, text: str | list[str]) -> dict[str, Any]:
    """Return a filter by a surname."""
    return {"family_name": {operator: text}}


def found(queue: Queue) -> dict[tuple[str, str], Item]:
    """Return a queue's items by rule and client."""
    return {(item.finding.rule.name, item.finding.client): item for item in queue.items}


def queue(review: Review, log: OpenLog, by: str = "Auditor A") -> dict[tuple[str, str], Item]:
    """Seal, and make the week's queue."""
    log.seal()
    return found(review.queue(WEEK, by))


def minutes(count: int, step: float = 1) -> list[datetime]:
    """Return moments one after the other."""
    return [NOON + timedelta(minutes=step * n) for n in range(count)]


# --- rules ---------------------------------------------------------------------------------------------------


def test_a_quiet_week_has_no_items(review: Review, log: OpenLog) -> None:
    """A client of long standing that asks a little by day gives no points."""
    client = Client(log)
    for moment in minutes(7):
        client.did(moment, surname("eq", "Smith"), "Officer One", persons=1)
    assert queue(review, log) == {}


def test_searches_by_origin_weigh_most(review: Review, log: OpenLog) -> None:
    """One is enough, whether it filters or sorts; it was for these that access was ended."""
    client = Client(log)
    first = client.did(NOON, {"place_of_birth": {"ne": "United States"}})
    second = client.did(NOON, sorted_by=["immigration_status"])
    client.did(NOON - timedelta(days=7), {"citizenship": {"eq": "Honduras"}})
    items = queue(review, log)
    assert items.keys() == {("origin-filter", "ice-ero")}
    finding = items["origin-filter", "ice-ero"].finding
    assert sorted(finding.entries) == sorted([first, second])
    assert finding.reason == "2 searches filtered or sorted by immigration_status, place_of_birth"
    assert finding.rule.points == max(rule.points for rule in rules.RULES)


def test_surnames_that_begin_alike_are_a_sweep(review: Review, log: OpenLog) -> None:
    """Eight within an hour, also in lists and beside other conditions; the reason names them."""
    client = Client(log)
    names = ["Gomez", "Gonzales", "Gonzalez", "GORDON", "Gore", "Goss"]
    ids = [client.did(when, surname("eq", name)) for when, name in zip(minutes(6), names, strict=True)]
    both = {"and": [surname("in", ["Gould", "Goya"]), {"district": {"eq": "24"}}]}
    ids.append(client.did(NOON + timedelta(minutes=59), both))
    item = queue(review, log)["adjacent-surnames", "ice-ero"]
    assert list(item.finding.entries) == ids
    assert "8 of them: gomez, gonzales, gonzalez, gordon" in item.finding.reason


@pytest.mark.parametrize(
    ("names", "step"),
    [
        (["Gomez"] * 30, 1.0),
        (["Gomez", "Smith", "Brown", "Li", "Adams", "Nguyen", "Diaz", "Evans", "Fox"], 1.0),
        (["Gomez", "Gonzales", "Gonzalez", "Gordon", "Gore", "Goss", "Gould", "Goya"], 9.0),
    ],
    ids=["one name", "names that differ", "over more than an hour"],
)
def test_what_is_no_sweep(review: Review, log: OpenLog, names: list[str], step: float) -> None:
    """The same name again, names all over the alphabet, and a day's work."""
    client = Client(log)
    for when, name in zip(minutes(len(names), step), names, strict=True):
        client.did(when, surname("eq", name))
    assert queue(review, log) == {}


def test_short_beginnings_are_a_sweep(review: Review, log: OpenLog) -> None:
    """Five different letters, by whatever operator."""
    client = Client(log)
    for when, letter in zip(minutes(5), ["A", "B", "Ca", "D", "E"], strict=True):
        client.did(when, surname("prefix" if letter < "D" else "gte", letter))
    assert queue(review, log).keys() == {("adjacent-surnames", "ice-ero")}


@pytest.mark.parametrize("part", ["family", "given"])
def test_persons_looked_up_by_name_are_a_sweep_in_either_order(review: Review, log: OpenLog, part: str) -> None:
    """A surname that is asked for as a given name is found all the same."""
    client = Client(log)
    names = ["Gomez", "Gonzales", "Gonzalez", "GORDON", "Gore", "Goss", "Gould", "Goya"]
    for when, name in zip(minutes(len(names)), names, strict=True):
        client.did(when, {"named": {part: name}}, filtered=["family_name", "given_name"])
    item = queue(review, log)["adjacent-surnames", "ice-ero"]
    assert "8 of them: gomez, gonzales, gonzalez, gordon" in item.finding.reason


def test_accents_hide_no_sweep(review: Review, log: OpenLog) -> None:
    """Searches put them aside, and so does the review."""
    client = Client(log)
    names = ["Ĝomez", "Ğonzales", "Gónzalez", "Ǧordon", "Gỏre", "Göss", "Ģould", "Ḡoya"]
    for when, name in zip(minutes(len(names)), names, strict=True):
        client.did(when, {"named": {"family": name}}, filtered=["family_name"])
    assert queue(review, log).keys() == {("adjacent-surnames", "ice-ero")}


def test_a_name_that_is_no_text_hides_nothing(review: Review, log: OpenLog) -> None:
    """It was refused, and its question stands in the log like any."""
    client = Client(log)
    client.did(NOON, {"named": {"family": 5, "given": True}}, filtered=["family_name"], outcome="denied-by-rule")
    for when, name in zip(minutes(5), "ABCDE", strict=True):
        client.did(when, {"named": {"family": name}}, filtered=["family_name"])
    assert queue(review, log).keys() == {("adjacent-surnames", "ice-ero")}


def test_names_of_related_rows_are_a_sweep(review: Review, log: OpenLog) -> None:
    """Whose they are: victims' names can be swept as well."""
    client = Client(log)
    for when, name in zip(minutes(5), "ABCDE", strict=True):
        asked = {"not": {"victims": {"any": {"family_name": {"starts": name}}}}}
        client.did(when, asked, filtered=["victims.family_name"])
    assert queue(review, log).keys() == {("adjacent-surnames", "ice-ero")}


def test_a_person_looked_up_by_many_officers_is_found(review: Review, log: OpenLog) -> None:
    """Named in one piece, or by two comparisons."""
    client = Client(log)
    named = {"named": {"family": "Torres", "given": "Ana"}}
    client.did(NOON, named, "Officer One", filtered=["family_name", "given_name"])
    client.did(NOON, {"and": [named, {"sex": {"eq": "F"}}]}, "Officer Two", filtered=["family_name", "given_name"])
    client.did(NOON, {"and": [surname("eq", "Torres"), {"given_name": {"eq": "Ana"}}]}, "Officer Three")
    assert "'ana torres' by" in queue(review, log)["many-officers", "ice-ero"].finding.reason


def test_districts_one_after_the_other_are_a_sweep(review: Review, log: OpenLog) -> None:
    """Five different ones within an hour; the same one five times is none."""
    client, other = Client(log), Client(log, "fbi", "FBI")
    for number, when in enumerate(minutes(5)):
        client.did(when, {"district": {"eq": str(20 + number)}})
        other.did(when, {"district": {"eq": "24"}})
    assert queue(review, log).keys() == {("adjacent-districts", "ice-ero")}


def test_one_name_asked_for_by_many_officers_is_found_across_clients(review: Review, log: OpenLog) -> None:
    """Each client that took part has an item, which names name and officers; two officers are not many."""
    client, other = Client(log), Client(log, "fbi", "FBI")
    full = {"and": [surname("eq", "Torres"), {"given_name": {"eq": "Ana"}}]}
    mine = [client.did(NOON, full, "Officer One"), client.did(NOON, full, "Officer Two")]
    client.did(NOON, surname("eq", "Torres"), "Officer Three")
    client.did(NOON, full)
    theirs = other.did(NOON, full, "Officer One")
    items = queue(review, log)
    assert items.keys() == {("many-officers", "ice-ero"), ("many-officers", "fbi")}
    assert sorted(items["many-officers", "ice-ero"].finding.entries) == sorted(mine)
    assert items["many-officers", "fbi"].finding.entries == (theirs,)
    assert items["many-officers", "fbi"].finding.reason == (
        "asked for: 'ana torres' by Officer One (fbi), Officer One (ice-ero), Officer Two (ice-ero)"
    )


def test_many_persons_many_refusals_and_the_night(review: Review, log: OpenLog) -> None:
    """Counted over the week; a count of further refusals counts as many."""
    shown, refused, night = Client(log, "one"), Client(log, "two"), Client(log, "three")
    for when in minutes(2):
        shown.did(when, persons=100)
    refused.did(NOON, outcome="too-many-requests")
    refused.did(NOON, outcome="too-many-requests", further=19)
    for hour in (22, 23, 24, 25, 29.9):
        night.did(WEEK.begins(ZONE) + timedelta(days=1, hours=hour))
    for hour in (30, 45.9):
        night.did(WEEK.begins(ZONE) + timedelta(days=1, hours=hour))
    items = queue(review, log)
    assert [(item.finding.rule.name, item.finding.client) for item in items.values()] == [
        ("many-persons", "one"),
        ("many-refusals", "two"),
        ("unusual-hour", "three"),
    ]
    assert len(items["unusual-hour", "three"].finding.entries) == 5
    assert items["many-refusals", "two"].finding.reason == "20 requests refused"


def test_a_new_client_is_looked_at_for_thirty_days(review: Review, log: OpenLog) -> None:
    """From its first entry on, be it that it was registered."""
    for name, days in (("fresh", -1), ("young", 29), ("known", 31)):
        moment = WEEK.begins(ZONE) - timedelta(days=days)
        log.log.append(Entry("client-add", "permit", "done", moment, None, {"client": name, "agency": "ICE"}))
        client = Client.__new__(Client)
        client._log, client._subject = log, Subject(name, agreement(name))  # noqa: SLF001 -- without its past
        client.did(NOON)
    items = queue(review, log)
    assert items.keys() == {("new-client", "fresh"), ("new-client", "young")}
    assert items["new-client", "young"].finding.reason == "the client began 29 days before this week"


def test_an_erased_question_is_passed_over(review: Review, log: OpenLog) -> None:
    """What was erased can't be asked about; the rest of the week is reviewed all the same."""
    client = Client(log)
    ids = [client.did(when, {"district": {"eq": str(n)}}, "Officer One") for n, when in enumerate(minutes(6))]
    with log.store.transaction() as connection:
        gone = (tables.opening.c.entry_id == ids[0]) & (tables.opening.c.position == 2)
        connection.execute(tables.opening.update().where(gone).values(sealed=None, wrapped=None))
        half = (tables.opening.c.entry_id == ids[1]) & (tables.opening.c.position == 1)
        connection.execute(tables.opening.update().where(half).values(sealed=None, wrapped=None))
    item = queue(review, log)["adjacent-districts", "ice-ero"]
    assert list(item.finding.entries) == ids[1:]


# --- what is opened ------------------------------------------------------------------------------------------


def test_what_the_review_opens_is_in_the_log_before(review: Review, log: OpenLog) -> None:
    """An entry tells week, reason, number and auditor; only searches by names and districts are opened."""
    client = Client(log)
    client.did(NOON, surname("eq", "Smith"), "Officer One")
    client.did(NOON, {"district": {"eq": "24"}})
    client.did(NOON, {"sex": {"eq": "F"}})
    client.did(NOON)
    queue(review, log)
    leaf = latest(log.store, 1)[0]
    assert (leaf["action"], leaf["week"], leaf["opened"]) == ("audit-review", str(WEEK), 2)
    assert "Auditor" not in json.dumps(leaf)
    with log.store.reading() as connection:
        rows = connection.execute(sa.select(tables.opening).where(tables.opening.c.entry_id == leaf["id"])).all()
    opened = [log.openings.open(row.sealed, row.wrapped, row.entry_id, row.position) for row in rows]
    assert {each.kind: each.value for each in opened} == {"officer": "Auditor A", "reason": "weekly review"}


def test_nothing_is_opened_while_that_can_not_be_written_down(review: Review, log: OpenLog) -> None:
    """No entry, no terms."""
    Client(log).did(NOON, surname("eq", "Smith"))
    log.seal()
    with log.store.transaction() as connection:
        connection.execute(sa.text("ALTER TABLE opening RENAME TO elsewhere"))
    with pytest.raises(Exception, match="Try again later"):
        review.queue(WEEK, "Auditor A")


def test_the_queue_is_the_same_whenever_it_is_made(review: Review, log: OpenLog) -> None:
    """Ids follow from rule, client and week; what is asked of it changes nothing in it."""
    client = Client(log)
    client.did(NOON, {"place_of_birth": {"eq": "Honduras"}})
    client.did(NOON, persons=500)
    first = queue(review, log)
    review.ask(first["many-persons", "ice-ero"].id, "Why so many?", "Auditor A")
    assert queue(review, log) == first
    assert all(item.id.startswith("2026-W20-") for item in first.values())
    again = Review(log.store, log.log, log.openings, CATALOGUE, lambda: LATER + timedelta(days=3))
    assert found(again.queue(WEEK, "Auditor B")) == first


# --- asking, answering, signing ------------------------------------------------------------------------------


@pytest.fixture
def item(review: Review, log: OpenLog) -> str:
    """An item of the week."""
    Client(log).did(NOON, persons=500)
    return queue(review, log)["many-persons", "ice-ero"].id


def test_a_week_is_signed_by_another_than_who_answered(review: Review, log: OpenLog, item: str) -> None:
    """Asked, answered, signed; each is an entry, with names and texts in its sealed part."""
    review.ask(item, "Why so many persons?", "Auditor A")
    with pytest.raises(ConfigurationError, match=f"not answered: {item}"):
        review.sign(WEEK, "Auditor A")
    review.answer(item, "A joint operation, case 12.", "Officer Liaison")
    for name in ("Officer Liaison", " officer  LIAISON"):
        with pytest.raises(ConfigurationError, match="someone else must sign"):
            review.sign(WEEK, name)
    review.sign(WEEK, "Auditor A")
    said = review.queue(WEEK, "Auditor B").standing
    assert [(each.by, each.text) for each in said.of(item)] == [
        ("Auditor A", "Why so many persons?"),
        ("Officer Liaison", "A joint operation, case 12."),
    ]
    assert said.signed is not None
    assert said.signed.by == "Auditor A"
    leaves = [leaf for leaf in latest(log.store, 100) if leaf["action"].startswith("audit-review-")]
    assert [leaf["action"].rpartition("-")[2] for leaf in leaves] == ["ask", "answer", "sign"]
    assert leaves[-1]["items"] == [item]
    assert not [word for word in ("Auditor", "Liaison", "joint", "Why") if word in json.dumps(leaves)]
    assert log.verify().unsealed == 0


def test_an_item_that_nobody_asked_about_must_be_answered_too(review: Review, item: str) -> None:
    """A signature under what nobody looked at is refused; so is one after a new question."""
    with pytest.raises(ConfigurationError, match="not answered"):
        review.sign(WEEK, "Auditor A")
    review.answer(item, "Looked at: a planned exercise.", "Auditor A")
    review.ask(item, "Which?", "Auditor B")
    with pytest.raises(ConfigurationError, match="not answered"):
        review.sign(WEEK, "Auditor B")
    review.answer(item, "That of May.", "Auditor A")
    assert len(review.sign(WEEK, "Auditor B").items) == 1


def test_a_signed_week_is_closed(review: Review, item: str) -> None:
    """Nothing more is said of it."""
    review.answer(item, "Looked at.", "Auditor A")
    review.sign(WEEK, "Auditor B")
    for say in (
        lambda: review.ask(item, "Again?", "Auditor B"),
        lambda: review.answer(item, "Again.", "Auditor B"),
        lambda: review.sign(WEEK, "Auditor C"),
    ):
        with pytest.raises(ConfigurationError, match="is signed"):
            say()


def test_a_week_that_is_not_over_can_be_seen_and_not_signed(log: OpenLog) -> None:
    """The queue may still grow."""
    during = Review(log.store, log.log, log.openings, CATALOGUE, lambda: NOON)
    assert during.queue(WEEK, "Auditor A").items == ()
    with pytest.raises(ConfigurationError, match="is not over"):
        during.sign(WEEK, "Auditor A")
    assert str(during.last_week) == "2026-W19"


def test_a_week_before_the_log_is_not_signed(review: Review, item: str) -> None:
    """Nobody can have looked at what there was not; the log's own first week can be signed."""
    assert item
    with pytest.raises(ConfigurationError, match="the log holds nothing of the week 2020-W01"):
        review.sign(Week.of(date(2020, 1, 1)), "Auditor B")


@pytest.mark.parametrize("name", ["nonsense", "2026-W20-0123456789", "2026-W99-0123456789", "-", "2026-W20", ""])
def test_an_item_that_is_none_is_refused(review: Review, item: str, name: str) -> None:
    """With a sentence, and without an entry."""
    with pytest.raises(ConfigurationError, match=r"no item|no week"):
        review.ask(name, "Why?", "Auditor A")
    with pytest.raises(ConfigurationError, match="1 to 4000"):
        review.ask(item, "  ", "Auditor A")


def test_weeks_that_nobody_signed_are_overdue_after_seven_days(review: Review, log: OpenLog) -> None:
    """From the log's first week on; a week that ended a day ago is not late yet."""
    log.log.append(Entry("test", "permit", "done", NOON - timedelta(days=14), None))
    log.seal()
    ends = WEEK.ends(ZONE)
    weeks = [Week.named(f"2026-W{number}") for number in (18, 19, 20)]
    assert overdue(log.store, ZONE, ends + timedelta(days=6, hours=23)) == tuple(weeks[:2])
    assert overdue(log.store, ZONE, ends + timedelta(days=7)) == tuple(weeks)
    review.sign(weeks[1], "Auditor A")
    assert overdue(log.store, ZONE, ends + timedelta(days=7)) == (weeks[0], weeks[2])


@pytest.mark.parametrize(
    ("name", "first"), [("2026-W01", "2025-12-29"), ("2026-W53", "2026-12-28"), ("2026-W12", "2026-03-16")]
)
def test_weeks_are_those_of_the_calendar(name: str, first: str) -> None:
    """ISO 8601, and the city's midnight, also where the clocks change within."""
    week = Week.named(name)
    assert (str(week), week.monday.isoformat()) == (name, first)
    assert str(Week.of(week.monday + timedelta(days=6))) == name
    assert week.begins(ZONE).hour == week.ends(ZONE).hour == 0


@pytest.mark.parametrize("name", ["2025-W53", "2026-W00", "2026-47", "2026-W1", "9999-W52", "0001-W01", "last", ""])
def test_a_week_that_is_none_is_refused(name: str) -> None:
    """The calendar decides."""
    with pytest.raises(ConfigurationError, match="is no week"):
        Week.named(name)


# --- the command ---------------------------------------------------------------------------------------------

Run = Callable[..., Result]


@pytest.fixture
def run(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command over a gateway whose policy is in force."""
    chosen = settings(databases, tmp_path / "keys")
    worlds.prepare(chosen)
    for name, value in worlds.environment(chosen).items():
        monkeypatch.setenv(name, value)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(program, ["audit", "review", *arguments], catch_exceptions=False)

    return invoke


def test_the_command_shows_asks_answers_and_signs(run: Run, databases: Databases, tmp_path: Path) -> None:
    """As an auditor does it; search terms steer no terminal."""
    last = datetime.now(UTC).astimezone(ZONE) - timedelta(days=7)
    week = str(Week.of(last.date()))
    monday = Week.of(last.date()).begins(ZONE)
    with logs.opened(databases, tmp_path / "keys") as log:
        client = Client(log)
        for officer in ("One", "Two", "Three"):
            client.did(monday + timedelta(days=2, hours=10), surname("eq", "Smi\x1b[2Jth"), f"Officer {officer}")
        log.seal()
    shown = run("--by", "Auditor A")
    assert shown.exit_code == 0, shown.output
    assert f"{week}: items 1, not answered 1; not signed" in shown.stdout
    assert "\x1b" not in shown.output
    assert "OVERDUE" in shown.stderr
    queue = json.loads(run("--json", "--week", week, "--by", "Auditor A").stdout)
    assert [item["rule"] for item in queue["items"]] == ["many-officers"]
    assert run("sign", "--week", week, "--by", "Auditor A").exit_code == 2
    for item in queue["items"]:
        assert run("ask", item["item"], "--question", "Why?", "--by", "Auditor A").exit_code == 0
        assert run("answer", item["item"], "--text", "A joint case.", "--by", "Officer B").exit_code == 0
    refused = run("sign", "--week", week, "--by", "Officer B")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert run("sign", "--week", week, "--by", "Auditor A").stdout == f"signed {week}; items 1, all answered\n"
    after = run("--by", "Auditor A").stdout
    assert "signed by Auditor A" in after
    assert "Officer B answers: A joint case." in after


@pytest.mark.parametrize(
    "arguments",
    [("--week", "soon"), ("ask", "nothing", "--question", "Why?"), ("sign", "--week", "2031-W01")],
    ids=lambda given: given[0],
)
def test_what_an_auditor_got_wrong_is_one_line(run: Run, arguments: tuple[str, ...]) -> None:
    """And a status that is not 0."""
    result = run(*arguments, "--by", "Auditor A")
    assert result.exit_code == 2
    assert result.stderr.startswith("gateway: ")
    assert result.stderr.count("\n") == 1
