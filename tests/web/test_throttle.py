"""Throttles: every request of a peer counts, every request of a verified client counts, and both fail closed."""

import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from tests import world
from tests.conftest import MakeWorld
from tests.world import Asker, Databases, World

DAY = "2011-01-01"
# Each test, and where one Valkey is shared each run too, asks from addresses of its own.
_ADDRESS = count(1)


@pytest.fixture
def dialect() -> str:
    """Requests are counted beside the databases."""
    return "sqlite"


@pytest.fixture
def peer() -> str:
    """An address that nobody has asked from."""
    return f"198.51.100.{next(_ADDRESS)}"


def come(asked: World, peer: str, method: str = "GET", path: str = "/healthz", **headers: str) -> TestResponse:
    """Ask from an address."""
    return asked.request(method, path, headers=headers, environ_base={"REMOTE_ADDR": peer})


def is_throttled(response: TestResponse) -> None:
    """Hold a refusal against design section 7: a problem, with an entry, and with Retry-After."""
    assert response.status_code == 429, response.text[:300]
    assert response.content_type == "application/problem+json"
    problem = response.get_json()
    assert problem.keys() == {"type", "title", "status", "code", "detail"}
    assert (problem["status"], problem["code"]) == (429, "too-many-requests")
    assert response.headers["Log-Entry"]


# --- peers ------------------------------------------------------------------------------------------------------


def test_a_peer_is_throttled_on_every_route(make_world: MakeWorld) -> None:
    """No route is left out, whatever its answer would be; those that are nowhere and unfit methods neither."""
    asked = make_world(rehearsal_day=DAY, peer_limit="2/minute")
    routes = [
        (method, rule.rule.replace("<resource>", "arrests").replace("<identifier>", "AAAA"))
        for rule in asked.gateway.flask.url_map.iter_rules()
        for method in sorted(rule.methods or ())
    ]
    assert len(routes) > 10
    nowhere = [("GET", "/"), ("GET", "/nowhere"), ("POST", "/v1/nowhere/at/all"), ("GET", "/v1//resources")]
    unfit = [("PUT", "/v1/resources"), ("DELETE", "/v1/arrests/AAAA"), ("GET", "/oauth/token"), ("FOO", "/healthz")]
    for number, (method, path) in enumerate((*routes, *nowhere, *unfit)):
        peer = f"203.0.113.{number}"
        answers = [come(asked, peer, method, path).status_code for _ in range(3)]
        assert answers[2] == 429, f"{method} {path}"
        assert 429 not in answers[:2], f"{method} {path}"


def test_a_peers_requests_count_together(make_world: MakeWorld, peer: str) -> None:
    """The limit is one for all routes, and one peer's requests are not another's."""
    asked = make_world(rehearsal_day=DAY, peer_limit="5/minute")
    asked_for = (("GET", "/healthz"), ("GET", "/nowhere"), ("PUT", "/healthz"), ("POST", "/oauth/token"))
    for method, path in (*asked_for, ("GET", "/v1/resources")):
        assert come(asked, peer, method, path).status_code != 429
    is_throttled(come(asked, peer))
    is_throttled(come(asked, peer, "GET", "/nowhere"))
    assert come(asked, "198.51.101.1").status_code == 200


def test_a_good_token_does_not_lift_the_throttle_of_its_peer(make_world: MakeWorld) -> None:
    """The throttle of peers stands before authentication."""
    asked = make_world(rehearsal_day=DAY, peer_limit="3/minute")
    asker = asked.asker()
    assert [asker.get("/v1/resources").status_code for _ in range(4)] == [200, 200, 429, 429]
    is_throttled(asker.search({"limit": 1}))


def test_a_refusal_says_when_to_come_again(make_world: MakeWorld, peer: str) -> None:
    """A 429 carries Retry-After, by the limit that refused, and the field to which its own text sends the client."""
    asked = make_world(rehearsal_day=DAY, peer_limit="1/hour", client_limit="1/minute")
    asker = asked.asker()
    headers = asker.headers()
    come(asked, peer)
    by_peer = come(asked, peer)
    come(asked, "198.51.102.1", "GET", "/v1/resources", **headers)
    by_client = come(asked, "198.51.102.2", "GET", "/v1/resources", **headers)
    for response, wait in ((by_peer, 3600), (by_client, 60)):
        is_throttled(response)
        assert int(response.headers["Retry-After"]) == wait
        if "RateLimit-Policy" in response.get_json()["detail"]:
            assert response.headers["RateLimit-Policy"]


def test_a_flood_is_counted_and_not_listed(make_world: MakeWorld, peer: str) -> None:
    """Throttled requests of one peer leave one entry at once."""
    asked = make_world(rehearsal_day=DAY, peer_limit="2/minute")
    entries = {come(asked, peer).headers.get("Log-Entry") for _ in range(30)}
    throttled = [leaf for leaf in asked.leaves() if leaf["outcome"] == "too-many-requests"]
    assert len(throttled) == 1
    assert entries == {None, throttled[0]["id"]}
    assert "client" not in throttled[0]


def test_an_ipv6_peer_is_its_network(make_world: MakeWorld) -> None:
    """Whoever holds a /64 holds all of its addresses: they count as one."""
    asked = make_world(rehearsal_day=DAY, peer_limit="2/minute")
    within = ("2001:db8:0:7::1", "2001:db8:0:7:ffff:ffff:ffff:ffff", "2001:0db8:0000:0007:1::")
    assert [come(asked, address).status_code for address in within] == [200, 200, 429]
    assert come(asked, "2001:db8:0:8::1").status_code == 200


def test_an_ipv4_peer_is_its_address(make_world: MakeWorld) -> None:
    """Neighbours in IPv4 are different peers, also where the socket maps them into IPv6."""
    asked = make_world(rehearsal_day=DAY, peer_limit="1/minute")
    for address in ("192.0.2.1", "192.0.2.2", "::ffff:192.0.2.3", "::ffff:192.0.2.4"):
        assert [come(asked, address).status_code for _ in range(2)] == [200, 429]


def test_a_peer_does_not_choose_its_address(make_world: MakeWorld, peer: str) -> None:
    """Without a proxy in front, the fields that proxies write are only the client's words."""
    asked = make_world(rehearsal_day=DAY, peer_limit="2/minute")
    fields = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP")
    answers = [
        come(asked, peer, **{field: f"for=192.0.2.{n}" if field == "Forwarded" else f"192.0.2.{n}"}).status_code
        for n, field in enumerate(fields)
    ]
    assert answers == [200, 200, 429, 429]


def test_behind_one_proxy_the_address_is_the_one_that_it_saw(make_world: MakeWorld) -> None:
    """With one trusted proxy the last address counts; what stands before it is the client's word."""
    asked = make_world(rehearsal_day=DAY, peer_limit="2/minute", trusted_proxies="1")

    def forwarded(field: str) -> int:
        return come(asked, "10.0.0.1", **{"X-Forwarded-For": field}).status_code

    assert [forwarded(f"192.0.2.{n}, 203.0.113.7") for n in range(3)] == [200, 200, 429]
    assert forwarded("203.0.113.7, 203.0.113.8") == 200
    assert forwarded("203.0.113.7") == 429


def test_an_address_that_is_none_is_throttled_too(make_world: MakeWorld) -> None:
    """Peers whose address can't be read share one limit."""
    asked = make_world(rehearsal_day=DAY, peer_limit="2/minute")
    answers = [come(asked, address).status_code for address in ("", "unix:", "not an address", "1.2.3")]
    assert answers == [200, 200, 429, 429]


# --- clients ----------------------------------------------------------------------------------------------------


def from_peer(asker: Asker, peer: str) -> TestResponse:
    """Search from an address."""
    headers = asker.headers() | {"Content-Type": "application/json"}
    return asker.world.request(
        "POST", "/v1/arrests/search", data='{"limit": 1}', headers=headers, environ_base={"REMOTE_ADDR": peer}
    )


def test_a_client_is_throttled_wherever_it_comes_from(make_world: MakeWorld) -> None:
    """A client's limit is its own: new addresses and new tokens do not lift it, other clients do not feel it."""
    asked = make_world(rehearsal_day=DAY, client_limit="3/minute")
    asker, other = asked.asker(), asked.asker("other")
    assert [from_peer(asker, f"192.0.2.{n}").status_code for n in range(5)] == [200, 200, 200, 429, 429]
    again = Asker(asked, asker.id, asker.key, asker.purpose)
    refused = from_peer(again, "192.0.2.99")
    is_throttled(refused)
    assert "records" not in refused.get_json()
    assert from_peer(other, "192.0.2.1").status_code == 200


def test_bad_questions_count_too(make_world: MakeWorld) -> None:
    """Whatever a verified client asks is counted, read or not."""
    asker = make_world(rehearsal_day=DAY, client_limit="3/minute").asker()
    codes = [
        asker.search("{").status_code,
        asker.get("/v1/arrests/AAAA").status_code,
        asker.get("/v1/resources?x=1").status_code,
        asker.get("/v1/resources").status_code,
    ]
    assert codes == [400, 404, 400, 429]


def test_an_unverified_name_is_not_counted(make_world: MakeWorld) -> None:
    """Nobody can use up another's limit with a token that does not verify."""
    asker = make_world(rehearsal_day=DAY, client_limit="2/minute").asker()
    forged = {"Authorization": f"Bearer {asker.token[:-6]}AAAAAA", "Access-Purpose": asker.purpose}
    for _ in range(5):
        assert asker.world.request("GET", "/v1/resources", headers=forged).status_code == 401
    assert asker.get("/v1/resources").status_code == 200


def test_a_throttled_client_is_named_in_the_log(make_world: MakeWorld) -> None:
    """The first refusal of a verified client that comes too often is an entry with its name."""
    asker = make_world(rehearsal_day=DAY, client_limit="1/minute").asker()
    answers = [asker.get("/v1/resources") for _ in range(4)]
    throttled = [leaf for leaf in asker.world.leaves() if leaf["outcome"] == "too-many-requests"]
    assert [(leaf["id"], leaf["client"]) for leaf in throttled] == [(answers[1].headers["Log-Entry"], asker.id)]


def test_all_of_several_limits_hold(make_world: MakeWorld) -> None:
    """A limit may have several parts, and the strictest is in force, in whatever order they stand."""
    for number, limit in enumerate(("2/minute;100/hour", "100/hour;2/minute")):
        asker = make_world(rehearsal_day=DAY, client_limit=limit).asker(f"client-{number}")
        assert [asker.get("/v1/resources").status_code for _ in range(3)] == [200, 200, 429]
        asked = make_world(rehearsal_day=DAY, peer_limit=limit)
        assert [come(asked, "192.0.2.1").status_code for _ in range(3)] == [200, 200, 429]


# --- where requests are counted ---------------------------------------------------------------------------------


def nowhere() -> str:
    """Return the URL of a port where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def test_without_its_counter_the_gateway_answers_nothing(make_world: MakeWorld) -> None:
    """A limiter whose storage is down refuses with a constant 503: no rows, no token, on any route."""
    before = make_world(rehearsal_day=DAY).asker()
    token = before.token
    down = make_world(rehearsal_day=DAY, limiter_storage=nowhere())
    asker = Asker(down, before.id, before.key, before.purpose, None, token)
    answers = [
        asker.search({"limit": 1}),
        asker.search("{"),
        asker.get("/v1/resources"),
        asker.get("/v1/arrests/AAAA"),
        asker.get_token(),
        down.request("GET", "/nowhere"),
        down.request("PUT", "/v1/resources"),
    ]
    assert {response.status_code for response in answers} == {503}
    assert {response.data for response in answers} == {answers[0].data}
    assert answers[0].get_json()["code"] == "temporarily-unavailable"
    said = answers[0].text.lower()
    assert not [word for word in ("redis", "127.0.0.1", "records", "access_token") if word in said]
    assert not [leaf for leaf in down.leaves() if leaf["outcome"] == "disclosed"]


@pytest.fixture
def pair(databases: Databases, tmp_path: Path, valkey: str) -> Iterator[tuple[World, World]]:
    """Two gateways over one store that count in one Valkey."""
    given = {"rehearsal_day": DAY, "limiter_storage": valkey, "peer_limit": "4/minute", "client_limit": "3/minute"}
    made = [world.build(databases, tmp_path / "keys", **given) for _ in range(2)]
    yield made[0], made[1]
    for each in made:
        each.close()


def test_gateways_share_the_count_of_peers(pair: tuple[World, World], peer: str) -> None:
    """Going to the next process does not give a peer a new limit."""
    one, other = pair
    answers = [come((one, other)[n % 2], peer).status_code for n in range(6)]
    assert answers == [200, 200, 200, 200, 429, 429]


def test_gateways_share_the_count_of_clients(pair: tuple[World, World]) -> None:
    """Going to the next process does not give a client a new limit."""
    one, other = pair
    # The name is new at each run, since Valkey keeps the counts of a minute.
    asker = one.asker(f"shared-{next(_ADDRESS)}")
    token = asker.token
    twin = Asker(other, asker.id, asker.key, asker.purpose, None, token)
    answers = [from_peer((asker, twin)[n % 2], f"198.51.103.{n}").status_code for n in range(5)]
    assert answers == [200, 200, 200, 429, 429]
