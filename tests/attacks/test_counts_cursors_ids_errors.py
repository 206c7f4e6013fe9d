"""Attacks of class C: what counts, cursors, ids, errors and descriptions tell beside the records."""

import base64
from collections.abc import Iterable
from datetime import date
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from gateway import tables
from tests.attacks.city import HIDDEN, POLICY, City, case, code_of, count, hidden, said, searches
from tests.attacks.conftest import FoundCity
from tests.conftest import MakeWorld
from tests.policy import small
from tests.policy.small import Case

CONTENT = {"Content-Type": "application/json"}


def crowd(first: int, number: int, **changed: Any) -> list[Case]:
    """Hidden records, each of a person of its own."""
    return [hidden(n, **changed) for n in range(first, first + number)]


def leaves(city: City, answers: Iterable[TestResponse]) -> list[dict[str, Any]]:
    """Return the leaves of answers, without what differs whatever they are of: their ids, times and salted roots."""
    found = []
    with city.world.gateway.store.reading() as connection:
        for answer in answers:
            wanted = sa.select(tables.entry.c.leaf).where(tables.entry.c.entry_id == answer.headers["Log-Entry"])
            leaf = msgspec.json.decode(connection.execute(wanted).scalar_one())
            del leaf["id"], leaf["time"], leaf["commitments"]["root"]
            found.append(leaf)
    return found


# --- the cases ------------------------------------------------------------------------------------------------------


def test_a_total_counts_hidden_rows(city: City) -> None:
    """C22: HAPI #2012, PostgREST #2777. No answer counts: with no, few or many hidden rows its bytes are the same."""
    shown = [case(1), case(2)]
    for others in (crowd(100, 1), crowd(100, 60)):
        (answer,) = city.is_alike([*shown, *others], shown, searches({}))
        assert answer.get_json().keys() == {"resource", "records", "next", "view", "policy"}
    assert not {name for name in dict(answer.headers) if "count" in name.lower() or "range" in name.lower()}
    for member in ("count", "total", "offset", "page", "skip", "_summary", "_total", "$count", "returning"):
        for value in (True, 1, "exact", "estimated"):
            assert code_of(city.search(**{member: value})) == "unknown-parameter"


def test_a_cursor_carries_hidden_sort_values(city: City) -> None:
    """C23: Data API Builder #3553. A cursor over masked or withheld cells is the same, whatever they stand for."""
    left = [case(1, born=date(1984, 1, 1), name="Ada"), case(2, code="apart", amount=50), case(3)]
    right = [case(1, born=date(1984, 9, 9), name="Azz"), case(2, code="apart", amount=-5), case(3)]
    sorts = (["born"], ["-name"], ["amount"], ["-amount", "name"], ["verdict.born"])
    answers = city.is_alike(left, right, searches(*({"sort": sort, "limit": 1} for sort in sorts)))
    assert sum(answer.get_json()["next"] is not None for answer in answers) == 2 * len(sorts)


def test_a_cursor_is_as_long_as_what_it_holds(city: City) -> None:
    """C23: its length is the question's: neither the values at the page's end nor the key changes it."""
    codes = ("", "a", "c", "é", '"', "zzzzzz")
    for sort in (["code"], ["name", "-code"], ["amount"]):
        lengths = set()
        for key, code in zip((1, 9, 300, 70_000, 2**40, 2**62), codes, strict=True):
            city.fill(case(key, code=code, name=f"{code}bcd"[:12], amount=len(code)), case(2**62 + 5, code="zzzzzz"))
            lengths.add(len(city.search(limit=1, sort=sort).get_json()["next"]))
        assert len(lengths) == 1


def test_whatever_was_asked_can_be_asked_again_with_its_cursor(
    found_city: FoundCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C23: the longest question, sorted by three of the longest texts, all of their characters in the longest form."""
    long = "type: text, most: 4000, class: open}"
    catalogue = small.CATALOGUE.replace("type: text, most: 12, class: open, coarser: [code, grade]}", long)
    assert "type: statute, most: 24, class: open}" in catalogue
    texts = f"{long}\n      again: {{column: name, {long}"
    monkeypatch.setattr(small, "CATALOGUE", catalogue.replace("type: statute, most: 24, class: open}", texts, 1))
    city = found_city(small.document([small.EVERYTHING]))
    text = "\x01" * 4000
    city.fill(case(1, name=text, cite=text), case(2, name=text, cite=text))
    question = '{"sort": ["name", "-cite", "again"], "fields": ["code"], "limit": 1'
    first = city.asker.search(f"{question.ljust(64 * 1024 - 1)}}}", "cases")
    assert first.status_code == 200, first.text
    cursor = first.get_json()["next"]
    second = city.asker.search(f'{question.ljust(64 * 1024 - 1)},\n  "cursor" : "{cursor}"\n}}', "cases")
    assert second.status_code == 200, second.text
    assert [city.key_of(page.get_json()["records"][0]["id"]) for page in (first, second)] == [1, 2]


def test_a_cursor_is_read_edited_or_used_by_another(city: City) -> None:
    """C23: PostGraphile. Nothing can be read in it, no bit of it changed, and another client can't use it."""
    city.fill(*(case(n, code="CANAR") for n in range(1, 4)))
    body = {"limit": 1, "sort": ["code"]}
    cursor = city.asker.search(body, "cases").get_json()["next"]
    sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert b"CANAR" not in sealed
    invalid = said(city.asker.search({**body, "cursor": "AAAA"}, "cases"))
    for bit in range(0, 8 * len(sealed), 61):
        edited = bytearray(sealed)
        edited[bit // 8] ^= 1 << bit % 8
        text = base64.urlsafe_b64encode(bytes(edited)).rstrip(b"=").decode()
        assert said(city.asker.search({**body, "cursor": text}, "cases")) == invalid
    assert said(city.other.search({**body, "cursor": cursor}, "cases")) == invalid


def test_the_place_of_a_hidden_row_is_felt_by_paging_around_it(city: City) -> None:
    """C23: pages that begin or end beside a hidden row go on as if it were not there."""
    shown = [case(n, amount=n) for n in (10, 20, 30, 40)]
    for between in (15, 20, 35):
        left = [*shown, *(hidden(between * 10 + n, amount=between) for n in range(3))]
        asked = [{"sort": sort, "limit": limit} for sort in (["amount"], ["-amount"], []) for limit in (1, 2)]
        city.is_alike(left, shown, searches(*asked))


def test_gaps_in_ids_show_hidden_records(city: City) -> None:
    """C24: Directus, PostGraphile. Ids have one length and no order; hidden records between leave them as they are."""
    shown = [case(n) for n in (1, 2, 5, 9)]
    answers = city.is_alike([*shown, hidden(3), hidden(4)], shown, searches({}))
    ids = [record["id"] for record in answers[0].get_json()["records"]]
    persons = [record["person"] for record in answers[0].get_json()["records"]]
    assert {len(text) for text in (*ids, *persons)} == {34}
    assert len({*ids, *persons}) == 8
    # The first byte names the key; behind it, ids of neighbours agree in no more than chance gives.
    tails = [base64.urlsafe_b64decode(text + "==")[1:] for text in (*ids, *persons)]
    assert all(sum(a == b for a, b in zip(one, two, strict=True)) < 8 for one in tails for two in tails if one != two)


def test_neighbours_of_an_id_are_walked(city: City) -> None:
    """C24: no id that is near to one, and no number, leads to a record."""
    city.fill(*(case(n) for n in range(1, 30)))
    real = city.search(limit=1).get_json()["records"][0]["id"]
    missing = said(city.lookup(99))
    content = base64.urlsafe_b64decode(real + "==")
    near = []
    for at in range(len(content)):
        for step in (1, 255):
            edited = bytearray(content)
            edited[at] = (edited[at] + step) % 256
            near.append(base64.urlsafe_b64encode(bytes(edited)).rstrip(b"=").decode())
    for text in (*near, *(str(n) for n in range(-1, 12)), "0x1", "1e0", "01", "next", "first", "me", "self", "latest"):
        assert said(city.asker.get(f"/v1/cases/{text}")) == missing, text


def test_hidden_and_missing_records_answer_differently(city: City) -> None:
    """C25: Directus CVE-2025-64749. Sealed, closed, forged, foreign and missing: one answer, one leaf, one charge."""
    city.fill(case(1), hidden(2), case(3, grade="M1"), case(4, flag=None), hidden(5, 1))
    looked = [city.lookup(key) for key in (2, 3, 4, 5, 6, 2**62)]
    looked.append(city.asker.get(f"/v1/cases/{city.id_of(1, 'two')}"))
    looked.append(city.asker.get(f"/v1/cases/{city.id_of(1, purpose='counting')}"))
    looked.append(city.asker.get(f"/v1/cases/{city.id_of(1, kind='person')}"))
    looked.append(city.asker.get("/v1/cases/none"))
    assert {str(said(answer)) for answer in looked} == {str(said(looked[0]))}
    assert (looked[0].status_code, code_of(looked[0])) == (404, "record-not-found")
    told = leaves(city, looked)
    assert told == [told[0]] * len(looked)
    assert told[0]["outcome"] == "record-not-found"


def test_hidden_and_missing_resources_answer_differently(found_city: FoundCity) -> None:
    """C25: a resource that no rule opens has its name in the catalogue; its records, fields and ids don't differ."""
    city = found_city(small.document([PLAIN_DENIAL]))
    city.fill(case(1))
    bodies: tuple[dict[str, Any], ...] = ({}, {"fields": ["cite"]}, {"sort": ["nonsense"]})
    refused = {str(said(city.search(**body))) for body in bodies}
    assert len(refused) == 1
    looked = {str(said(city.asker.get(f"/v1/cases/{text}"))) for text in (city.id_of(1), city.id_of(2), "none")}
    assert len(looked) == 1
    assert code_of(city.lookup(1)) == "denied-by-rule"


PLAIN_DENIAL = {"id": "never", "deny": "read", "resource": "cases", "because": "So."}


def test_an_error_echoes_a_row_or_a_statement(found_city: FoundCity) -> None:
    """C26: PostgREST #541. A statement that the database refuses is one constant 503, whatever it was about."""
    city = found_city(POLICY)
    city.fill(case(1, name="CANARY-1"), hidden(2, name="CANARY-2"))
    assert city.search().status_code == 200
    city.run("ALTER TABLE c RENAME COLUMN cite TO gone")
    city.run("ALTER TABLE n RENAME TO m")
    asked = [city.search(**body) for body in ({}, {"limit": 1}, {"filter": {"name": {"eq": "C"}}}, {"sort": ["born"]})]
    asked += [city.lookup(1), city.lookup(2), city.lookup(3)]
    assert {str(said(answer)) for answer in asked} == {str(said(asked[0]))}
    assert (asked[0].status_code, code_of(asked[0])) == (503, "temporarily-unavailable")
    assert asked[0].get_json()["detail"] == "Try again later."


def test_the_description_shows_hidden_fields(city: City) -> None:
    """C27: Directus CVE-2025-53887, Data API Builder #2998. Of what is withheld it tells name and rule alone."""
    left = [case(1), hidden(2)]
    paths = ("/v1/resources", "/openapi.json")
    answer, document = city.is_alike(left, [case(1)], lambda asker: [asker.get(path) for path in paths])
    # `grade` is hidden in the record, and shown in what is related to it.
    assert not [path for path in HIDDEN if path != "grade" and f'"{path}"' in document.text]
    assert '"verdict.grade"' in document.text
    (described,) = answer.get_json()["resources"]
    assert described["fields"].keys() == {"person", "name", "code", "amount", "born", "verdict.grade", "verdict.born"}
    assert {relation: list(fields) for relation, fields in described["related"].items()} == {
        "counts": ["grade", "amount"]
    }
    assert described["named"] == ["born", "given"]
    assert set(described["view"]["withheld"]) == set(HIDDEN)
    for reason in described["view"]["withheld"].values():
        assert reason.keys() == {"rule", "basis", "because"}
    assert described["fields"]["born"] == {
        "values": "a whole number from 1850 to 2199",
        "operators": sorted(["eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null"]),
        "form": "year",
    }


def test_the_description_names_what_a_refused_client_could_see(make_world: MakeWorld) -> None:
    """C27: after ICE's access has ended, the description holds the reason and no name of a field."""
    asker = make_world(rehearsal_day="2018-09-01").asker()
    described = asker.get("/v1/resources").get_json()["resources"][0]
    assert described.keys() == {"resource", "decision", "code", "reasons"}
    document = asker.get("/openapi.json")
    assert document.status_code == 200
    assert not [name for name in ("family_name", "narrative", "victims", "ssn") if f'"{name}"' in document.text]
    for path in (
        "/openapi.yaml",
        "/swagger.json",
        "/v1/schema",
        "/v1/arrests/schema",
        "/v1/$metadata",
        "/v1/",
        "/docs",
    ):
        assert asker.get(path).status_code in (403, 404), path


IDENTIFIERS = (
    'code" OR 1=1 --',
    "code; DROP TABLE c",
    "code) UNION SELECT cite FROM c --",
    "(SELECT cite FROM c)",
    "code ASC, (CASE WHEN cite LIKE '1%' THEN 1 ELSE 2 END)",
    "code::text",
    "code COLLATE NOCASE",
    "code->>'a'",
    "rowid",
    "ctid",
    "xmin",
    "oid",
    "tableoid",
    "c",
    "c.*",
    "current_user",
    "1",
    "NULL",
)


def test_a_statement_stands_where_a_name_or_an_operator_stands(city: City) -> None:
    """C28: Datasette GHSA-w3hf-fcg5-p4cc, pREST CVE-2025-58450. Only names of the view and operators are written."""
    city.fill(case(1), hidden(2))
    unknown = said(city.search(fields=["nonsense"]))
    for text in IDENTIFIERS:
        for body in ({"fields": [text]}, {"sort": [text]}, {"sort": [f"-{text}"]}, {"filter": {text: {"eq": "c"}}}):
            assert said(city.asker.search(body, "cases")) == unknown, text
        for operator in (text, f"eq {text}", f"{text} eq"):
            assert code_of(city.search(filter={"code": {operator: "c"}})) == "unknown-operator"
        assert code_of(city.asker.search({}, text.replace("/", ""))) == "resource-unknown"
    for operator in ("= 'c' OR 1=1 OR code =", "IS NOT NULL OR code =", "||", "LIKE", "~", "@>", "SIMILAR TO", "ilike"):
        assert code_of(city.search(filter={"code": {operator: "c"}})) == "unknown-operator"
    assert city.keys() == [1]


# --- cases of our own -----------------------------------------------------------------------------------------------


def test_a_receipt_of_another_is_told_from_none(city: City) -> None:
    """C, own: what exists of another client's entries, and whether it waits for its place, is not to be told."""
    city.fill(case(1))
    mine, theirs = city.search(), city.other.search({}, "cases")
    city.world.gateway.log.seal_all()
    sealed, waiting = theirs.headers["Log-Entry"], city.other.search({}, "cases").headers["Log-Entry"]
    missing = said(city.asker.get(f"/v1/entries/{'0' * 32}"))
    for text in (sealed, waiting, "none", sealed.upper(), f"{sealed}%00", mine.headers["Log-Entry"] + "0", "%27"):
        assert said(city.asker.get(f"/v1/entries/{text}")) == missing, text
    assert missing[0] == 404


def test_a_hidden_row_is_felt_in_the_next_error(city: City) -> None:
    """C, own: the order in which a request is found wrong is the request's, whatever the tables hold."""
    wrong: list[dict[str, Any]] = [
        {"filter": {"cite": {"eq": "x"}}, "cursor": "AAAA"},
        {"filter": {"code": {"eq": 1}}, "sort": ["cite"]},
        {"limit": 0, "fields": ["cite"]},
        {"sort": ["cite", "cite"]},
        {"filter": {"and": [{"code": {"nonsense": 1}}, {"cite": {"eq": "x"}}]}},
        {"cursor": city.id_of(2)},
    ]
    city.is_alike([case(1), hidden(2)], [case(1)], searches(*wrong))
    for resource, purpose in (("nonsense", "looking"), ("cases", "nonsense"), ("nonsense", "nonsense")):
        headers = city.asker.headers() | CONTENT | {"Access-Purpose": purpose}
        answer = city.world.request("POST", f"/v1/{resource}/search", data='{"sort": ["cite"]}', headers=headers)
        expected = "purpose-unknown" if purpose == "nonsense" else "resource-unknown"
        assert code_of(answer) == expected


def test_related_rows_beyond_the_bound_are_counted(city: City) -> None:
    """C, own: of a relation with more rows than are shown, neither their number nor their order is told."""
    left = [case(1, counts=tuple(count(amount=n) for n in range(4)))]
    right = [case(1, counts=tuple(count(amount=40 - n, grade="M1") for n in range(30)))]
    city.fill(*left)
    answers = []
    for records in (left, right):
        city.fill(*records)
        answers.append([said(answer) for answer in (city.search(), city.lookup(1), city.search(fields=["counts"]))])
    assert answers[0] == answers[1]
    record = city.lookup(1).get_json()["record"]
    assert record["counts"] is None
    assert record["source_defects"] == ["counts"]


@pytest.mark.parametrize("client", ["one", "two"])
def test_what_other_clients_do_is_felt(city: City, client: str) -> None:
    """C, own: another client's pages, refusals and spent budget leave a client's answers, headers and budget alone."""
    asker = city.asker if client == "one" else city.other
    noisy = city.other if client == "one" else city.asker
    city.fill(*(case(n) for n in range(1, 60)))
    before = [said(asker.search(body, "cases")) for body in ({"limit": 30}, {"limit": 200}, {"sort": ["cite"]})]
    for body in ({"limit": 40, "sort": ["-code"]}, {"limit": 200}, {"fields": ["cite"]}, {"cursor": "AAAA"}):
        noisy.search(body, "cases")
    assert [said(asker.search(body, "cases")) for body in ({"limit": 30}, {"limit": 200}, {"sort": ["cite"]})] == before


def test_the_budgets_remainder_is_measured(city: City) -> None:
    """C, own: a page that is refused for the budget tells neither what is left nor how large the page was."""
    city.fill(*(case(n, amount=n % 50) for n in range(1, 100)), *crowd(500, 40))
    assert city.search(limit=39).status_code == 200
    refused = [city.search(limit=limit, sort=[sort]) for limit in (60, 100, 200) for sort in ("-code", "-born")]
    assert {str(said(answer)) for answer in refused} == {str(said(refused[0]))}
    assert code_of(refused[0]) == "disclosure-budget-spent"
    assert not [name for name in dict(refused[0].headers) if "remain" in name.lower() or name == "RateLimit"]
    assert city.search(limit=39).status_code == 200


def test_an_answers_own_entry_tells_of_hidden_rows(city: City) -> None:
    """C, own: the leaf of a page counts the records shown, and is the same beside any number of hidden ones."""
    told = []
    for others in ([], crowd(100, 30)):
        city.fill(case(1), case(2, 1), case(3), *others)
        answers = [city.search(), city.search(limit=1), city.lookup(100), city.search(filter={"amount": {"gte": 1}})]
        told.append(leaves(city, answers))
    assert told[0] == told[1]
    # The row behind the page, by which the next one is known, is not counted: it was not shown.
    assert [(leaf["records"], leaf["persons"]) for leaf in told[0]] == [(3, 2), (1, 1), (0, 0), (3, 2)]


def test_ids_of_two_clients_or_purposes_are_joined(city: City) -> None:
    """C, own: two clients, and one client for two purposes, share no id, of records, persons or both."""
    city.fill(case(7, 7), case(8, 7), case(9))
    seen: list[set[str]] = []
    for asker, purpose in ((city.asker, "looking"), (city.asker, "counting"), (city.other, "looking")):
        asker.purpose = purpose
        records = asker.search({}, "cases").get_json()["records"]
        asker.purpose = "looking"
        assert records[0]["person"] == records[1]["person"] != records[0]["id"]
        seen.append({record["id"] for record in records} | {record["person"] for record in records})
    assert [len(ids) for ids in seen] == [5, 5, 5]
    assert len(set.union(*seen)) == 15
