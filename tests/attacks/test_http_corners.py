"""Attacks by way of HTTP: methods, addresses, fields and bodies that a server or a proxy reads in another way."""

import json
from typing import Any

import pytest

from tests.attacks.city import City, case, code_of, hidden, said
from tests.world import Asker

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def filled(city: City) -> City:
    """A city with a record that is seen, and one that is not."""
    city.fill(case(1), hidden(2))
    return city


def test_head_tells_what_get_would_not(filled: City) -> None:
    """HEAD takes the road of GET: its entry, its charge, its headers; of a hidden record and a missing one alike."""
    entries = {}
    for key, status in ((1, 200), (2, 404), (3, 404)):
        path, headers = f"/v1/cases/{filled.id_of(key)}", filled.asker.headers()
        got, head = filled.asker.get(path), filled.world.request("HEAD", path, headers=headers)
        assert (head.status_code, head.data) == (status, b"")
        assert said(head)[2] == said(got)[2]
        entries[head.headers["Log-Entry"]] = "disclosed" if status == 200 else "record-not-found"
    assert filled.world.request("HEAD", "/v1/cases/search", headers=filled.asker.headers()).status_code == 405
    told = {leaf["id"]: leaf["outcome"] for leaf in filled.world.leaves()}
    assert {entry: told[entry] for entry in entries} == entries


METHODS = ("OPTIONS", "TRACE", "CONNECT", "PUT", "PATCH", "DELETE", "PROPFIND", "SEARCH", "QUERY", "LOCK", "get", "X")


@pytest.mark.parametrize("method", METHODS)
def test_an_odd_method_is_told_apart_by_what_it_is_asked_of(filled: City, method: str) -> None:
    """Of a record that is shown, hidden or missing, the refusal is one; nothing is echoed, no other site is let in."""
    sent = filled.asker.headers() | {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    paths = [f"/v1/cases/{filled.id_of(key)}" for key in (1, 2, 3)]
    answers = [filled.world.request(method, path, headers=sent) for path in paths]
    if method == "get":
        # The test's client writes methods in capitals, as a server may; then it is GET.
        assert [answer.status_code for answer in answers] in ([405] * 3, [200, 404, 404])
        return
    assert len({str(said(answer)) for answer in answers}) == 1
    assert (answers[0].status_code, code_of(answers[0])) == (405, "method-not-allowed")
    assert {name.strip() for name in answers[0].headers["Allow"].split(",")} == {"GET", "HEAD"}
    assert not [name for name in dict(answers[0].headers) if name.startswith("Access-Control")]
    assert filled.asker.token not in answers[0].text


def test_an_address_is_written_otherwise(filled: City) -> None:
    """Slashes, dots, case, encodings and parameters: what is not the address leads nowhere, whatever the id is of."""
    shown, behind = filled.id_of(1), filled.id_of(2)
    forms = (
        "/v1/cases/{}/",
        "/v1/cases/{}//",
        "/v1/cases//{}",
        "/v1/cases%2F{}",
        "/v1/cases/{}%2F",
        "/v1/cases/%2F{}",
        "/v1/./cases/{}",
        "/v1/x/../cases/{}",
        "/v1/cases/{}/.",
        "/v1/cases/{};a=b",
        "/v1/cases;a=b/{}",
        "/v1/CASES/{}",
        "/v1/cases/{}.json",
        "/v1/cases/{}%00",
        "/v1/cases/{}%20",
        "/v1/cases/{}?",
        "/v1/cases/{}?_method=PUT",
        "/v1/cases/{}?format=csv&",
        "/v1/cases/{}%3Ffields=cite",
        "/v1/cases/{}%23",
        "/v1/c%61ses/{}",
    )
    # WSGI has undone the encoding before the gateway sees an address.
    same = {"/v1/cases/{}?", "/v1/c%61ses/{}", "/v1/cases%2F{}"}
    for form in forms:
        answers = [filled.asker.get(form.format(identifier)) for identifier in (shown, behind, "none")]
        assert said(answers[1]) == said(answers[2]), form
        assert "Location" not in answers[0].headers
        assert (answers[0].status_code == 200) == (form in same), form
        if form not in same:
            assert said(answers[0]) == said(answers[2]), form


@pytest.mark.parametrize("length", [300, 5000, 60_000])
def test_an_address_is_very_long(filled: City, length: int) -> None:
    """A long id is a missing record, a long resource an unknown one; the entry of it is as small as any."""
    missing = said(filled.lookup(3))
    assert said(filled.asker.get(f"/v1/cases/{'A' * length}")) == missing
    assert said(filled.asker.get(f"/v1/cases/{filled.id_of(1)}{'A' * length}")) == missing
    assert code_of(filled.asker.get(f"/v1/{'a' * length}/none")) == "resource-unknown"
    assert code_of(filled.asker.get(f"/v1/cases/none?{'a' * length}=1")) == "unknown-parameter"
    assert len(json.dumps(filled.world.leaves()[-1])) < 2000


def asked_with(asker: Asker, body: str, *fields: tuple[str, str]) -> Any:
    """Search with fields beside or instead of the usual ones; a field may stand there twice."""
    usual = [
        (n, v) for n, v in (asker.headers() | JSON).items() if n.lower() not in {name.lower() for name, _ in fields}
    ]
    return asker.world.request("POST", "/v1/cases/search", data=body, headers=[*usual, *fields])


def test_a_field_stands_there_twice(filled: City) -> None:
    """Two tokens, purposes, cases or types are refused, in either order; neither of them is taken."""
    asker = filled.asker
    token = f"Bearer {asker.token}"
    other = f"Bearer {filled.other.token}"
    twice = (
        (("Authorization", token), ("Authorization", other), 401),
        (("Authorization", token), ("Authorization", token), 401),
        (("Authorization", "Basic eDp5"), ("Authorization", token), 401),
        (("Access-Purpose", "looking"), ("Access-Purpose", "looking"), 400),
        (("Access-Purpose", "looking"), ("Access-Purpose", "counting"), 400),
        (("Access-Case", "A-1"), ("Access-Case", "B-2"), 400),
        (("Content-Encoding", "identity"), ("Content-Encoding", "gzip"), 415),
    )
    for first, second, status in twice:
        for fields in ((first, second), (second, first)):
            assert asked_with(asker, "{}", *fields).status_code == status, fields


def test_a_part_or_a_change_of_an_answer_is_asked_for(filled: City) -> None:
    """Ranges, conditions and caches: the answer is whole, is new, and is not to be kept."""
    identifier = filled.id_of(1)
    plain = filled.asker.get(f"/v1/cases/{identifier}")
    fields = (
        {"Range": "bytes=0-10"},
        {"If-None-Match": "*"},
        {"If-Match": '"x"'},
        {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
        {"If-Range": '"x"', "Range": "bytes=5-"},
        {"Cache-Control": "only-if-cached, max-stale=999"},
        {"Accept": "application/xml", "Accept-Encoding": "gzip, br", "Accept-Charset": "utf-16"},
        {"Expect": "200-ok", "TE": "trailers", "Upgrade": "h2c", "Connection": "Access-Purpose, close"},
    )
    for each in fields:
        assert said(filled.asker.get(f"/v1/cases/{identifier}", **each)) == said(plain), each
        assert filled.asker.get(f"/v1/cases/{filled.id_of(2)}", **each).status_code == 404
    assert plain.headers["Cache-Control"] == "no-store"


BODIES = (
    ("\ufeff{}", 400),
    ("{} {}", 400),
    ("{},", 400),
    ("// x\n{}", 400),
    ("{'limit': 1}", 400),
    ("[{}]", 400),
    ("", 400),
    ('{"limit": 1.0}', 200),
    ('{"limit": 1e0}', 200),
    ('{"limit": 1e400}', 400),
    ('{"limit": true}', 400),
    ('{"limit": "1"}', 400),
    (f'{{"limit": {"9" * 4000}}}', 400),
    (f'{{"limit": {"9" * 5000}}}', 400),
    ('{"limit": 1, "limit": 1}', 400),
    ('{"limit": 1, "\\u006cimit": 2}', 400),
    ('{"filter": {"code": {"eq": "c", "\\u0065q": "c"}}}', 400),
    ('{"filter": {"amount": {"eq": 1.0}}}', 200),
    ('{"filter": {"amount": {"in": [1, true]}}}', 400),
    (f'{{"filter": {{"amount": {{"eq": {"9" * 4000}}}}}}}', 400),
    ('{"\\u006cimit": 1}', 200),
    ('{"limit": 1 }\n\n', 200),
)


@pytest.mark.parametrize(("body", "status"), BODIES, ids=lambda value: repr(value)[:40])
def test_a_body_that_two_readers_read_otherwise(filled: City, body: str, status: int) -> None:
    """Doubled names, marks and rests are refused; escapes, and whole numbers with a point, are what JSON says."""
    answer = filled.asker.search(body, "cases")
    assert answer.status_code == status, answer.text
    assert "Log-Entry" in answer.headers


def test_the_first_thing_that_is_wrong_does_not_depend_on_what_there_is(filled: City) -> None:
    """Syntax, then the purpose's word, then the resource, then the rule, then names: in each the same for any id."""
    order = (
        ("/v1/nonsense/search", '{"limit": 0}', "looking", "value-out-of-domain"),
        ("/v1/cases/search", '{"limit": 0}', "nonsense", "value-out-of-domain"),
        ("/v1/nonsense/search", "{}", "nonsense", "purpose-unknown"),
        ("/v1/nonsense/search", '{"sort": ["cite"]}', "looking", "resource-unknown"),
        ("/v1/cases/search", '{"sort": ["cite"], "cursor": "AAAA"}', "looking", "cursor-invalid"),
        ("/v1/cases/search", '{"sort": ["cite"]}', "looking", "unknown-field"),
    )
    for path, body, purpose, code in order:
        headers = filled.asker.headers() | JSON | {"Access-Purpose": purpose}
        assert code_of(filled.world.request("POST", path, data=body, headers=headers)) == code, path
