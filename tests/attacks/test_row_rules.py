"""Attacks of class B: the rule that says which records are seen is passed over, widened or asked too late."""

import json
import time
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from gateway import disclosure
from gateway.access import AgreementState
from gateway.identity import tokens
from gateway.identity.clients import Client, Clients
from gateway.policy import decide
from tests import world
from tests.attacks.city import AT_MOST, PLAIN, POLICY, RULES, City, case, code_of, count, hidden, said, searches
from tests.attacks.conftest import FoundCity
from tests.policy import small
from tests.policy.small import Defect
from tests.world import Asker, agreement

CONTENT = {"Content-Type": "application/json"}
EVERY_WAY: tuple[dict[str, Any], ...] = (
    {},
    {"limit": 1},
    {"sort": ["-code"], "limit": 2},
    {"sort": ["amount", "born"]},
    {"fields": ["code"]},
    {"fields": ["counts"]},
    {"filter": {"code": {"is_null": False}}},
    {"filter": {"not": {"code": {"eq": "none"}}}},
    {"filter": {"or": [{"code": {"eq": "c"}}, {"code": {"ne": "c"}}, {"amount": {"is_null": True}}]}},
)


def shown_of(city: City, **body: Any) -> dict[int, dict[str, Any]]:
    """Return the records of one page by their keys."""
    return {city.key_of(record["id"]): record for record in city.search(**body).get_json()["records"]}


# --- the cases ------------------------------------------------------------------------------------------------------


def test_a_second_rule_widens_what_the_first_shows(found_city: FoundCity) -> None:
    """B12: Hasura #10711. Of two permits each shows its fields in its own rows: no row gets what another earned."""
    first = {"id": "felonies", "permit": "read", "rows": 'record.grade == "F1"', "show": ["person", "code"]}
    second = {"id": "others", "permit": "read", "rows": 'record.grade == "M1"', "show": ["code", "amount", "cite"]}
    less = {"id": "less", "deny": "read", "rows": "record.amount > 40"}
    city = found_city(small.document([PLAIN | first]), small.document([PLAIN | second, PLAIN | less], name="more"))
    city.fill(
        case(1, grade="F1"),
        case(2, grade="M1"),
        case(3, grade="F1", amount=50),
        case(4, grade="M1", amount=50),
        case(5, grade="F1", amount=None),
    )
    shown = shown_of(city)
    assert {key: record.keys() - {"id", "redacted"} for key, record in shown.items()} == {
        1: {"person", "code"},
        2: {"code", "amount", "cite"},
    }
    assert shown_of(city, filter={"amount": {"is_null": False}}).keys() == {2}
    assert shown_of(city, filter={"cite": {"eq": "18.2702.A1"}}).keys() == {2}


def test_a_null_in_the_rule_permits_what_the_check_denies(city: City) -> None:
    """B13: Cerbos 0.51.0, query-plan-adapters #302, #308, #309. Neither search nor id shows what is not known to be."""
    flags, grades = (False, True, None), ("F1", "M1", None, Defect(0))
    records = [case(n, flag=f, grade=g) for n, (f, g) in enumerate(product(flags, grades), 1)]
    city.fill(*records)
    expected = [seen.id for seen in city.seen(records)]
    assert expected == [1]
    for body in EVERY_WAY:
        assert sorted(city.keys(**body)) == expected, body
    assert [record.id for record in records if city.lookup(record.id).status_code == 200] == expected


def test_an_absent_relation_satisfies_the_rule(found_city: FoundCity) -> None:
    """B13: a rule over related records is not met by there being none, or by one that lacks what it asks about."""
    rows = 'record.verdict.grade != "F1" && record.counts.all(n, n.grade != "F1")'
    city = found_city(small.document([PLAIN | {"id": "p", "permit": "read", "rows": rows, "show": ["code"]}]))
    verdicts = (None, *({"grade": g, "born": None, "flag": None} for g in (None, "F1", "F2")))
    related = ((), (count(grade=None),), (count(grade="F1"),), (count(grade="F2"), count(grade=None)))
    records = [
        case(n, verdict=v, counts=c, flag=True)
        for n, (v, c) in enumerate(product(verdicts, (*related, (count(grade="F2"),))), 1)
    ]
    city.fill(*records)
    expected = [seen.id for seen in city.seen(records)]
    assert 0 < len(expected) < 4
    for body in EVERY_WAY[:3]:
        assert sorted(city.keys(**body)) == expected
    assert [record.id for record in records if city.lookup(record.id).status_code == 200] == expected


def test_rules_that_were_forgotten_give_all_rows(city: City) -> None:
    """B14: InterSystems HSDD-2316. What the process keeps of rules, views and plans can be dropped between requests."""
    records = [case(1), hidden(2), case(3, grade="M1"), case(4, code="apart")]
    city.fill(*records)
    before = [said(city.search(**body)) for body in EVERY_WAY]
    for body, answer in zip(EVERY_WAY, before, strict=True):
        for kept in (decide._applying, decide._of_class, decide._lasts, disclosure._planner):  # noqa: SLF001
            kept.cache_clear()
        assert said(city.search(**body)) == answer
    assert city.keys() == [1, 4]


def test_a_client_to_whom_no_rule_applies_gets_all_rows(found_city: FoundCity) -> None:
    """B14: no rule for this client, purpose or day is a refusal, and neither records nor fields come with it."""
    only = small.document([PLAIN | {"id": "p", "permit": "read", "show": ["code"], "purposes": ["counting"]}])
    city = found_city(only)
    city.fill(case(1), case(2))
    for answer in (city.search(), city.lookup(1), city.search(filter={"cite": {"eq": "x"}})):
        assert (answer.status_code, code_of(answer)) == (403, "no-rule-permits")
    (described,) = city.asker.get("/v1/resources").get_json()["resources"]
    assert described.keys() == {"resource", "decision", "code", "reasons"}
    city.asker.purpose = "counting"
    assert [record["code"] for record in city.asker.search({}, "cases").get_json()["records"]] == ["c", "c"]


def test_failed_authentication_leaves_someone_who_may_do_all(city: City) -> None:
    """B15: Directus CVE-2024-54151. Without a token that stands for a registered client nobody is answered."""
    city.fill(case(1))
    keys, chosen = city.world.gateway.keys, city.world.settings
    nobody = tokens.AccessTokens(
        chosen.issuer, chosen.resource_server, keys.token, Clients(city.world.gateway.store), time.time
    )
    agreed = agreement("shadow", mission="looking", purposes=frozenset({"looking"}))
    signed = [
        nobody.issue(tokens.Authenticated(Client(name, True, {}, agreed, None), None))
        for name in ("", "nobody", "null", "None", "0", "ONE", "one ", "one\n", "%", "one' OR '1'='1")
    ]
    bare = ("", "null", "undefined", "None", "Bearer", "Bearer ", "Bearer null", "Bearer None", "Basic b25lOng=")
    for header in (*bare, *(f"Bearer {token}" for token in signed)):
        for method, path in (("GET", "/v1/resources"), ("POST", "/v1/cases/search"), ("GET", "/v1/notices")):
            headers = {"Authorization": header, "Access-Purpose": "looking"} | CONTENT
            answer = city.world.request(method, path, data="{}" if method == "POST" else None, headers=headers)
            assert answer.status_code == 401, (header, path)
            assert answer.get_json().keys() == {"type", "title", "status", "code", "detail"}


ELSEWHERE = (
    "/v1/cases",
    "/v1/cases.csv",
    "/v1/cases/search.csv",
    "/v1/cases/export",
    "/v1/cases/_all",
    "/v1/cases/$everything",
    "/v1/cases/_history",
    "/v1/cases/stream",
    "/v1/cases/search/2",
    "/v1/c/search",
    "/v1/counts/search",
    "/v1/n/search",
    "/v1/verdict/search",
    "/v1/persons/search",
    "/graphql",
    "/v1/graphql",
    "/v1/$batch",
    "/rpc/cases",
    "/odata/cases",
)


def test_a_second_way_in_skips_the_rule(city: City) -> None:
    """B16: StarRocks #78175, HAPI #6854, #2369. Page two, one record by id and every other address keep to it."""
    records = [case(n) if n % 3 else hidden(n) for n in range(1, 13)]
    city.fill(*records)
    expected = [n for n in range(1, 13) if n % 3]
    for body in EVERY_WAY:
        for limit in (3, 200):
            assert sorted(city.keys(**{**body, "limit": limit})) == expected
    assert [n for n in range(1, 13) if city.lookup(n).status_code == 200] == expected
    identifier = city.id_of(3)
    for path in (
        *ELSEWHERE,
        f"/v1/cases/{identifier}/counts",
        f"/v1/cases/{identifier}/person",
        f"/cases/{identifier}",
    ):
        for method in ("GET", "POST"):
            answer = city.world.request(method, path, data="{}", headers=city.asker.headers() | CONTENT)
            assert answer.status_code in (400, 404, 405), path
            assert not {"record", "records"} & answer.get_json().keys()
    for accept in (
        "text/csv",
        "application/x-ndjson",
        "application/xml",
        "text/html",
        "*/*;q=0",
        "application/vnd.ms-excel",
    ):
        answer = city.world.request(
            "POST", "/v1/cases/search", data="{}", headers=city.asker.headers() | CONTENT | {"Accept": accept}
        )
        assert answer.data == city.search().data
        assert answer.content_type == "application/json"


def test_an_aggregate_ignores_the_row_rule(city: City) -> None:
    """B17: Hasura #7660, #7773. What the gateway counts itself, the day's budget, counts nothing that is hidden."""
    left = [case(n) for n in range(1, AT_MOST + 1)] + [hidden(n) for n in range(1000, 1000 + AT_MOST)]
    right = left[:AT_MOST]
    session = searches({"limit": AT_MOST + 10, "sort": ["-code"]}, {"limit": 7})
    answers = city.is_alike(left, right, session, lambda _: [city.lookup(1000), city.lookup(1)])
    assert {answer.status_code for answer in answers} == {200, 404}
    city.fill(*left, case(5000))
    assert code_of(city.search(limit=200)) == "disclosure-budget-spent"


def test_a_write_echoes_what_cannot_be_read(city: City) -> None:
    """B18: Data API Builder #1731. There is no write, and what is sent is not sent back."""
    city.fill(case(1), hidden(2))
    for number in (1, 2):
        path = f"/v1/cases/{city.id_of(number)}"
        for method in ("POST", "PUT", "PATCH", "DELETE", "MERGE", "COPY"):
            sent = {"cite": "echo-9", "return": "representation"}
            headers = city.asker.headers() | CONTENT | {"Prefer": "return=representation"}
            answer = city.world.request(method, path, data=json.dumps(sent), headers=headers)
            assert (answer.status_code, code_of(answer)) == (405, "method-not-allowed")
            assert "echo-9" not in answer.text + str(answer.headers)
    for body in ({"record": {"cite": "echo-9"}}, {"filter": {"echo-9": {"eq": 1}}}, {"fields": ["echo-9"]}):
        assert "echo-9" not in city.asker.search(body, "cases").text
    assert city.keys() == [1]


def test_an_answer_is_kept_for_a_weaker_client(found_city: FoundCity) -> None:
    """B19: Elasticsearch CVE-2020-7019, Directus #22492. Asked by turns, each gets its own view and its own cursor."""
    rule = {"id": "p", "permit": "read", "resource": "cases", "because": "So."}
    strong = small.document([{**rule, "rows": "true", "show": ["person", "code", "cite", "name"]}])
    weak = small.document([{**rule, "rows": 'record.grade == "F1"', "show": ["code"]}], name="weak")
    for number, (document, agency) in enumerate(((strong, "ICE"), (weak, "FBI"))):
        made = json.loads(document) | {"subjects": f'subject.agency == "{agency}"'}
        strong, weak = (json.dumps(made), weak) if number == 0 else (strong, json.dumps(made))
    city = found_city(strong, weak)
    city.fill(case(1), case(2, grade="F2"), case(3), case(4, grade="F2"))
    weaker = city.world.asker("weaker", "FBI", mission="looking", purposes=frozenset({"looking"}))
    body = {"limit": 1, "sort": ["code"]}
    for _ in range(2):
        first, second = city.asker.search(body, "cases"), weaker.search(body, "cases")
        assert first.get_json()["records"][0].keys() == {"id", "person", "code", "cite", "name"}
        assert second.get_json()["records"][0].keys() == {"id", "code"}
        assert {answer.headers["Cache-Control"] for answer in (first, second)} == {"no-store"}
        assert not {"ETag", "Last-Modified", "Age", "Expires"} & set(first.headers.keys())
        cursor, identifier = first.get_json()["next"], first.get_json()["records"][0]["id"]
        assert code_of(weaker.search({**body, "cursor": cursor}, "cases")) == "cursor-invalid"
        assert code_of(weaker.get(f"/v1/cases/{identifier}")) == "record-not-found"
        headers = {"If-None-Match": "*", "If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}
        answer = weaker.get(f"/v1/cases/{second.get_json()['records'][0]['id']}", **headers)
        assert (answer.status_code, answer.get_json()["record"].keys()) == (200, {"id", "code"})
    assert len(weaker.search({}, "cases").get_json()["records"]) == 2
    assert code_of(weaker.search({"filter": {"cite": {"eq": "x"}}}, "cases")) == "unknown-field"


def test_an_answer_is_kept_after_the_rule_has_changed(found_city: FoundCity, tmp_path: Path) -> None:
    """B19: the next answer after an activation is of the new policy, for pages, ids and the description."""
    city = found_city(POLICY)
    city.fill(case(1), case(2, amount=9))
    cursor = city.search(limit=1).get_json()["next"]
    assert city.lookup(1).status_code == 200
    stricter = [PLAIN | RULES[0] | {"rows": "record.flag == false && record.amount > 5", "show": ["code"], "mask": {}}]
    (tmp_path / "policies" / "doc.yaml").write_text(small.document([{k: v for k, v in stricter[0].items() if v != {}}]))
    world.activate(city.world.settings, tmp_path / "policies")
    city.world.gateway.sealer._once()  # noqa: SLF001 -- what its thread does again and again
    assert code_of(city.search(limit=1, cursor=cursor)) == "cursor-stale"
    assert city.lookup(1).status_code == 404
    assert city.lookup(2).get_json()["record"].keys() == {"id", "code"}
    assert city.keys() == [2]
    assert code_of(city.search(sort=["amount"])) == "unknown-field"
    assert city.asker.get("/v1/resources").get_json()["resources"][0]["fields"].keys() == {"code"}


def test_short_pages_tell_of_hidden_rows(city: City) -> None:
    """B20: silverstripe CVE-2020-6165. Every page but the last is full, however many hidden rows lie between."""
    open_ones = [case(10 * n, code="ab"[n % 2]) for n in range(1, 8)]
    left = [*open_ones, *(hidden(10 * n + m, code="a") for n in range(8) for m in (1, 2, 3))]
    right = [*open_ones, hidden(75, code="b")]
    sorts: tuple[list[str], ...] = ([], ["-code"], ["name", "-amount"])
    asked = [(limit, {"limit": limit, "sort": sort}) for limit in (1, 3, 7, 8) for sort in sorts]
    answers = iter(city.is_alike(left, right, searches(*(body for _, body in asked))))
    for limit, _ in asked:
        full, rest = divmod(7, limit)
        lengths = [limit] * full + [rest] * (rest > 0)
        assert [len(next(answers).get_json()["records"]) for _ in lengths] == lengths
    assert next(answers, None) is None


def test_a_record_that_was_sealed_a_second_ago_is_still_served(city: City) -> None:
    """B21: Elasticsearch CVE-2021-22134. A record that is sealed between two pages or before a look is gone at once."""
    city.fill(*(case(n) for n in range(1, 6)))
    missing = said(city.lookup(99))
    page = city.search(limit=2).get_json()
    assert city.lookup(2).status_code == city.lookup(3).status_code == 200
    # The last row of the page that was shown, and the first of the next one.
    city.run("UPDATE c SET grade = 'M1' WHERE id IN (2, 3)")
    rest = city.search(limit=2, cursor=page["next"]).get_json()
    assert [city.key_of(record["id"]) for record in rest["records"]] == [4, 5]
    assert said(city.lookup(2)) == said(city.lookup(3)) == missing
    city.run("UPDATE c SET grade = 'F1' WHERE id = 3")
    assert city.lookup(3).status_code == 200


# --- cases of our own -----------------------------------------------------------------------------------------------


def test_a_clients_filter_undoes_the_rule(city: City) -> None:
    """B, own: no filter finds a hidden record: found, not found and unknown together are the view, and no row more."""
    records = [
        case(1),
        hidden(2),
        case(3, amount=None, name=None),
        case(4, grade="M1"),
        case(5, code="apart"),
        hidden(6),
    ]
    city.fill(*records)
    visible = {seen.id for seen in city.seen(records)}
    tests: tuple[dict[str, Any], ...] = (
        {"amount": {"eq": 1}},
        {"name": {"eq": "A"}},
        {"verdict.grade": {"eq": "F2"}},
        {"or": [{"amount": {"lt": 2}}, {"name": {"is_null": True}}]},
        {"and": [{"code": {"ne": "x"}}, {"not": {"amount": {"gt": 1}}}]},
    )
    for test in tests:
        found, rest = city.keys(filter=test), city.keys(filter={"not": test})
        assert set(found) | set(rest) <= visible
        assert not set(found) & set(rest)
        assert set(city.keys(filter={"or": [test, {"not": test}, {"code": {"is_null": False}}]})) == visible


def test_the_rule_depends_on_a_related_row_that_goes(found_city: FoundCity) -> None:
    """B, own: when the related row that opened a record is gone, changed or now unknown, so is the record."""
    rows = 'record.counts.exists(n, n.grade == "F1") && has(record.verdict)'
    city = found_city(small.document([PLAIN | {"id": "p", "permit": "read", "rows": rows, "show": ["code"]}]))
    city.fill(case(1), case(2), case(3))
    assert city.keys() == [1, 2, 3]
    city.run("DELETE FROM n WHERE id = 1")
    city.run("UPDATE n SET grade = NULL WHERE id = 2")
    city.run("DELETE FROM v WHERE id = 3")
    assert city.keys() == []
    assert {city.lookup(n).status_code for n in (1, 2, 3)} == {404}


HEADERS = (
    {"X-HTTP-Method-Override": "DELETE"},
    {"X-Original-URL": "/metrics"},
    {"X-Rewrite-URL": "/v1/resources"},
    {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
    {"X-Role": "admin", "X-Hasura-Role": "admin", "X-User-Id": "two", "X-Agency": "FBI"},
    {"Access-Agency": "FBI", "Access-Client": "two", "Access-Role": "city"},
    {"Prefer": "count=exact", "Range": "items=0-9", "Range-Unit": "items"},
    {"Accept-Profile": "information_schema", "Content-Profile": "pg_catalog"},
    {"Cookie": "session=admin; purpose=counting"},
)


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: next(iter(headers)))
def test_a_header_states_another_role(city: City, headers: dict[str, str]) -> None:
    """B, own: who asks is in the token alone; no other header changes an answer, not even its length."""
    city.fill(case(1), hidden(2), case(3, grade="M1"))
    plain, lookup = said(city.search()), said(city.lookup(1))
    sent = city.asker.headers() | CONTENT | headers
    assert said(city.world.request("POST", "/v1/cases/search", data="{}", headers=sent)) == plain
    assert said(city.asker.get(f"/v1/cases/{city.id_of(1)}", **headers)) == lookup
    assert city.asker.get(f"/v1/cases/{city.id_of(2)}", **headers).status_code == 404


def test_an_agreement_that_has_ended_keeps_its_view(found_city: FoundCity) -> None:
    """B, own: suspended, terminated, not begun, ended yesterday: refused at the next request, with the same token."""
    city = found_city(POLICY)
    city.fill(case(1))
    today = datetime.now(UTC).date()
    ends: tuple[dict[str, Any], ...] = (
        {"state": AgreementState.SUSPENDED},
        {"state": AgreementState.TERMINATED},
        {"starts": today + timedelta(days=2)},
        {"starts": date(2000, 1, 1), "until": today - timedelta(days=1)},
    )
    for number, changed in enumerate(ends):
        asker = city.world.asker(f"ended-{number}", mission="looking", purposes=frozenset({"looking"}), **changed)
        for answer in (asker.search({}, "cases"), asker.get(f"/v1/cases/{city.id_of(1, asker.id)}")):
            assert (answer.status_code, code_of(answer)) == (403, "agreement-not-in-force")
        (described,) = asker.get("/v1/resources").get_json()["resources"]
        assert described["decision"] == "deny"
        assert "fields" not in described


def test_related_rows_of_a_hidden_record_are_shown_with_another(city: City) -> None:
    """B, own: rows of a relation come with their own record alone, though one person has both records."""
    left = [case(1, 7, counts=()), hidden(2, 7, counts=(count(amount=50), count(amount=49)))]
    right = [case(1, 7, counts=()), hidden(2, 7, counts=())]
    answers = city.is_alike(left, right, searches({}, {"fields": ["counts"]}))
    assert [record["counts"] for record in answers[0].get_json()["records"]] == [[]]


def test_a_hidden_record_of_a_known_person_costs_budget(city: City) -> None:
    """B, own: asking for hidden records of a person who was shown, or was not, costs the same: nothing."""
    shown = [case(n) for n in range(1, AT_MOST)]
    left = [*shown, hidden(900, 1), hidden(901, 5000)]
    right = [*shown, hidden(900, 5000), hidden(901, 1)]

    def ask(asker: Asker) -> list[TestResponse]:
        looks = [city.lookup(key) for key in (900, 901, 902) * 3]
        return [asker.search({"limit": 200}, "cases"), *looks, city.lookup(1), asker.search({"limit": 200}, "cases")]

    assert [answer.status_code for answer in city.is_alike(left, right, ask)] == [200, *[404] * 9, 200, 200]
