"""The token endpoint: a client proves its key once for each token, and every refusal is RFC 6749's."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jwt
from joserfc.jwk import KeySet
from werkzeug.test import TestResponse

from gateway import app as composition
from gateway.identity import tokens
from gateway.keys import PrivateKey, public_pem
from tests import world
from tests.conftest import MakeWorld
from tests.jose import decoded, encoded
from tests.world import ASSERTION_TYPE, ISSUER, Asker, Databases, World, agreement, register

DAY = "2011-01-01"
EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def shared(sqlite_arrests: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One gateway for the tests that leave nothing behind but tokens."""
    place = tmp_path_factory.mktemp("shared")
    databases = Databases(sqlite_arrests, f"sqlite:///{place / 'store.db'}")
    made = world.build(databases, place / "keys", rehearsal_day=DAY)
    yield made
    made.close()


@pytest.fixture(scope="module")
def asker(shared: World) -> Asker:
    """A client with a P-256 key."""
    return shared.asker()


def claims_of(client: str, without: str = "", **changed: Any) -> dict[str, Any]:
    """Return the claims of a good assertion (RFC 7523, section 3), some of them changed or left out."""
    now = int(time.time())
    good = {"iss": client, "sub": client, "aud": ISSUER, "iat": now, "exp": now + 60, "jti": secrets.token_hex(16)}
    return {name: value for name, value in (good | changed).items() if name != without}


def signed(key: PrivateKey, claims: object, **header: Any) -> str:
    """Sign as RFC 7515 has it, whatever the header says."""
    elliptic = isinstance(key, ec.EllipticCurvePrivateKey)
    whole = {"alg": "ES256" if elliptic else "EdDSA", "typ": "JWT", **header}
    asked = f"{encoded(json.dumps(whole).encode())}.{encoded(json.dumps(claims).encode())}"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return f"{asked}.{encoded(key.sign(asked.encode()))}"
    r, s = decode_dss_signature(key.sign(asked.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{asked}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def form(assertion: str, **changed: str) -> dict[str, str]:
    """Return the form of a token request."""
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        **changed,
    }


def is_refused(response: TestResponse, status: int, error: str) -> None:
    """Hold a refusal against RFC 6749, section 5.2."""
    assert response.status_code == status, response.text[:300]
    assert response.mimetype == "application/json"
    assert "no-store" in response.headers["Cache-Control"]
    body = response.get_json()
    assert body["error"] == error
    assert body.keys() <= {"error", "error_description", "error_uri"}
    assert "access_token" not in response.text
    assert response.headers["Log-Entry"]


# --- tokens -----------------------------------------------------------------------------------------------------


def test_a_token_is_an_rfc_9068_access_token(make_world: MakeWorld) -> None:
    """The token is typed, signed by a published key, names all that RFC 9068 requires, and is short-lived."""
    audience = "https://arrests.example"
    asked = make_world(rehearsal_day=DAY, audience=audience)
    asker = asked.asker(officer="Badge 17")
    response = asker.get_token()
    body = response.get_json()
    assert body["token_type"] == "Bearer"
    assert response.headers["Cache-Control"] == "no-store"
    jwks = asked.request("GET", "/.well-known/jwks.json").get_json()
    token = jwt.decode(body["access_token"], KeySet.import_key_set(jwks), algorithms=["ES256"])
    assert token.header == {"typ": "at+jwt", "alg": "ES256", "kid": jwks["keys"][0]["kid"]}
    claims = token.claims
    assert claims.keys() == {"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "officer"}
    assert (claims["iss"], claims["aud"]) == (ISSUER, audience)
    assert claims["sub"] == claims["client_id"] == asker.id
    assert claims["officer"] == "Badge 17"
    assert 0 < claims["exp"] - claims["iat"] <= 600
    assert body["expires_in"] == claims["exp"] - claims["iat"]
    assert abs(claims["iat"] - time.time()) < 30
    again = decoded(asker.get_token().get_json()["access_token"].split(".")[1])
    assert again["jti"] != claims["jti"]
    assert asker.search({"limit": 1}).status_code == 200


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519"])
def test_a_client_may_have_an_ed25519_key(shared: World, algorithm: str) -> None:
    """Both names of the algorithm are taken (RFC 8037, RFC 9864)."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = f"edwards-{algorithm.lower()}"
    register(shared.gateway.store, name, public_pem(key), agreement(name))
    asker = Asker(shared, name, key, "immigration-enforcement")
    response = asker.get_token(signed(key, claims_of(name), alg=algorithm))
    assert response.status_code == 200, response.text
    is_refused(asker.get_token(signed(key, claims_of(name), alg="ES256")), 401, "invalid_client")


def test_an_assertion_made_by_the_projects_own_client_is_accepted(asker: Asker) -> None:
    """What `gateway client token` sends is what the endpoint takes."""
    assert asker.get_token(tokens.assertion(asker.id, ISSUER, asker.key)).status_code == 200


# --- assertions -------------------------------------------------------------------------------------------------


def test_an_assertion_works_once(make_world: MakeWorld) -> None:
    """A replayed assertion is refused, also after a restart of the gateway."""
    asker = make_world(rehearsal_day=DAY).asker()
    text = signed(asker.key, claims_of(asker.id))
    assert asker.get_token(text).status_code == 200
    is_refused(asker.get_token(text), 401, "invalid_client")
    asker.world = make_world(rehearsal_day=DAY)
    is_refused(asker.get_token(text), 401, "invalid_client")


def test_an_assertion_works_once_in_all_gateways(databases: Databases, tmp_path: Path, valkey: str) -> None:
    """Of two gateways over one store, asked from many threads at once, one gives one token."""
    made = [world.build(databases, tmp_path / "keys", rehearsal_day=DAY, limiter_storage=valkey) for _ in range(2)]
    asker = made[0].asker()
    twin = Asker(made[1], asker.id, asker.key, asker.purpose)
    text = signed(asker.key, claims_of(asker.id))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: (asker, twin)[n % 2].get_token(text).status_code, range(8)))
    for each in made:
        each.close()
    assert sorted(answers) == [200, *[401] * 7]


def test_the_same_jti_of_another_client_is_another_assertion(shared: World, asker: Asker) -> None:
    """One client can't spend what another will use."""
    other = shared.asker("jti-twin")
    for each in (asker, other):
        assert each.get_token(signed(each.key, claims_of(each.id, jti="0123456789abcdef"))).status_code == 200


NOW = int(time.time())
BAD_CLAIMS: list[dict[str, Any]] = [
    # The audience is the issuer, as one text (CVE-2025-27370, FAPI 2.0 section 5.3.2.1).
    {"aud": [EVIL, ISSUER]},
    {"aud": [ISSUER]},
    {"aud": []},
    {"aud": f"{ISSUER}/oauth/token"},
    {"aud": f"{ISSUER}/"},
    {"aud": EVIL},
    {"aud": None},
    {"without": "aud"},
    # It is the client's own.
    {"iss": "nobody"},
    {"iss": EVIL},
    {"iss": ""},
    {"iss": "a\0b"},
    {"iss": "\ud800"},
    {"iss": ["ice-ero"]},
    {"iss": None},
    {"without": "iss"},
    {"sub": "nobody"},
    {"sub": None},
    {"without": "sub"},
    # It lives now, and not long.
    {"iat": NOW - 300, "exp": NOW - 60},
    {"iat": NOW, "exp": NOW},
    {"iat": NOW, "exp": NOW - 1},
    {"iat": NOW, "exp": NOW + 301},
    {"iat": NOW, "exp": NOW + 86_400},
    {"iat": NOW, "exp": 2**70},
    {"iat": NOW + 3600, "exp": NOW + 3660},
    {"nbf": NOW + 3600},
    {"iat": str(NOW)},
    {"exp": str(NOW + 60)},
    {"exp": True},
    {"exp": float("inf")},
    {"exp": float("nan")},
    {"without": "iat"},
    {"without": "exp"},
    # It can be told from another.
    {"without": "jti"},
    {"jti": ""},
    {"jti": None},
    {"jti": 12345678},
    {"jti": "x" * 129},
    {"jti": "abcdefgh\0"},
    {"jti": "\ud800" * 8},
    {"jti": ["abcdefgh"]},
    {"padding": "x" * 5000},
]


@pytest.mark.parametrize(
    "changed", [pytest.param(each, id=f"{n}-{'-'.join(each)}") for n, each in enumerate(BAD_CLAIMS)]
)
def test_an_assertion_with_other_claims_is_refused(asker: Asker, changed: dict[str, Any]) -> None:
    """Each claim is required to be as RFC 7523 and FAPI 2.0 have it, though the client's key signed it."""
    is_refused(asker.get_token(signed(asker.key, claims_of(asker.id, **changed))), 401, "invalid_client")


def test_clocks_may_differ_by_the_stated_skew(asker: Asker) -> None:
    """Thirty seconds either way are allowed, and no more."""
    now = int(time.time())
    within: tuple[dict[str, Any], ...] = (
        {"iat": now + 25, "exp": now + 85},
        {"iat": now - 80, "exp": now - 25},
        {"nbf": now + 25},
    )
    for claims in within:
        response = asker.get_token(signed(asker.key, claims_of(asker.id, **claims)))
        assert response.status_code == 200, (claims, response.text)
    beyond: tuple[dict[str, Any], ...] = (
        {"iat": now + 35, "exp": now + 95},
        {"iat": now - 80, "exp": now - 31},
        {"nbf": now + 35},
    )
    for claims in beyond:
        is_refused(asker.get_token(signed(asker.key, claims_of(asker.id, **claims))), 401, "invalid_client")


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "at+jwt"},
        {"typ": "application/at+jwt"},
        {"typ": "dpop+jwt"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "RS256"},
        {"alg": "EdDSA"},
        {"alg": "ES384"},
        {"alg": None},
        {"alg": ["ES256"]},
        {"crit": ["exp"]},
        {"crit": ["unheard-of"], "unheard-of": 1},
        {"crit": 1},
        {"crit": None},
    ],
    ids=json.dumps,
)
def test_an_assertion_with_another_header_is_refused(asker: Asker, header: dict[str, Any]) -> None:
    """Tokens of other kinds, other algorithms, and critical headers that nobody understands are refused."""
    is_refused(asker.get_token(signed(asker.key, claims_of(asker.id), **header)), 401, "invalid_client")


def test_an_assertion_is_signed_by_its_client(shared: World, asker: Asker) -> None:
    """Another client's key, a key in the header, a hash with the public key, or nothing at all won't do."""
    other = shared.asker("signs-for-others")
    mine = tokens.public_jwk(public_pem(other.key)).as_dict(private=False)
    is_refused(asker.get_token(signed(other.key, claims_of(asker.id))), 401, "invalid_client")
    is_refused(asker.get_token(signed(other.key, claims_of(asker.id), jwk=mine)), 401, "invalid_client")
    for algorithm, secret in (("HS256", public_pem(asker.key)), ("HS256", b""), ("none", b"")):
        header = encoded(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
        asked = f"{header}.{encoded(json.dumps(claims_of(asker.id)).encode())}"
        tag = encoded(hmac.digest(secret, asked.encode(), hashlib.sha256)) if algorithm == "HS256" else ""
        is_refused(asker.get_token(f"{asked}.{tag}"), 401, "invalid_client")


def test_an_access_token_is_no_assertion(asker: Asker) -> None:
    """A token that the gateway made does not get another one."""
    is_refused(asker.get_token(asker.token), 401, "invalid_client")


@pytest.mark.parametrize(
    "text", ["a", ".", "..", "a.b.c", "a.b.c.d.e", "é.é.é", "\0", "e30.e30.", "e30.W10.AA", "x" * 5000]
)
def test_what_is_no_assertion_is_refused(asker: Asker, text: str) -> None:
    """Whatever text stands in its place, the answer is invalid_client."""
    is_refused(asker.get_token(text), 401, "invalid_client")


# --- requests ---------------------------------------------------------------------------------------------------


def post(asker: Asker, data: Any, path: str = "/oauth/token", **asked: Any) -> TestResponse:
    """Ask for a token in some other way."""
    return asker.world.request("POST", path, data=data, **asked)


def good(asker: Asker, **changed: str) -> dict[str, str]:
    """Return a form with a fresh assertion."""
    return form(signed(asker.key, claims_of(asker.id)), **changed)


@pytest.mark.parametrize(
    "grant",
    ["password", "authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer", "x", " "],
)
def test_another_grant_type_is_unsupported(asker: Asker, grant: str) -> None:
    """There is one grant, client_credentials."""
    is_refused(post(asker, good(asker, grant_type=grant)), 400, "unsupported_grant_type")


def test_a_missing_grant_type_is_an_invalid_request(asker: Asker) -> None:
    """RFC 6749, section 5.2: a request that lacks a required parameter is invalid_request."""
    asked = good(asker)
    del asked["grant_type"]
    is_refused(post(asker, asked), 400, "invalid_request")
    is_refused(post(asker, ""), 400, "invalid_request")


@pytest.mark.parametrize("name", ["grant_type", "client_assertion_type", "client_assertion", "client_id", "scope"])
def test_a_repeated_parameter_is_an_invalid_request(asker: Asker, name: str) -> None:
    """RFC 6749, section 3.2: parameters must not be included more than once, the same value or not."""
    asked = good(asker, client_id=asker.id, scope="read")
    is_refused(post(asker, {**asked, name: [asked[name], asked[name]]}), 400, "invalid_request")
    is_refused(post(asker, {**asked, name: [asked[name], "x"]}), 400, "invalid_request")


def test_parameters_travel_in_the_body_alone(asker: Asker) -> None:
    """An assertion in the address would stand in the logs of every proxy: it is refused, twice or alone."""
    for name in ("client_assertion", "client_assertion_type", "grant_type"):
        asked = good(asker)
        value = asked.pop(name)
        response = post(asker, asked, query_string={name: value})
        assert response.status_code in {400, 401}, f"{name} was taken from the address"
        assert "access_token" not in response.text
    response = post(asker, good(asker), query_string={"grant_type": "client_credentials"})
    is_refused(response, 400, "invalid_request")


def test_a_client_proves_its_key_and_nothing_less(asker: Asker) -> None:
    """Secrets in the header or the form, and names alone, authenticate nobody."""
    basic = {"Authorization": "Basic " + base64.b64encode(f"{asker.id}:secret".encode()).decode()}
    grant = {"grant_type": "client_credentials"}
    response = post(asker, grant, headers=basic)
    is_refused(response, 401, "invalid_client")
    assert "WWW-Authenticate" in response.headers
    is_refused(post(asker, {**grant, "client_id": asker.id, "client_secret": "secret"}), 401, "invalid_client")
    is_refused(post(asker, {**grant, "client_id": asker.id}), 401, "invalid_client")
    is_refused(post(asker, grant), 401, "invalid_client")
    for other in ("urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "", "jwt-bearer"):
        is_refused(post(asker, good(asker, client_assertion_type=other)), 401, "invalid_client")
    is_refused(post(asker, good(asker, client_assertion="")), 401, "invalid_client")


def test_a_client_id_beside_the_assertion_is_the_same(asker: Asker) -> None:
    """The parameter may repeat who asks, and may not say another (RFC 7521, section 4.2)."""
    assert post(asker, good(asker, client_id=asker.id)).status_code == 200
    is_refused(post(asker, good(asker, client_id="nobody")), 401, "invalid_client")


def test_a_token_request_is_a_form(asker: Asker) -> None:
    """A JSON body holds no parameters."""
    response = asker.world.request("POST", "/oauth/token", json=good(asker))
    is_refused(response, 400, "invalid_request")


def test_a_token_request_is_a_post(asker: Asker) -> None:
    """RFC 6749, section 3.2: the client must use POST."""
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        response = asker.world.request(method, "/oauth/token", query_string=good(asker))
        assert response.status_code == 405
        assert response.headers["Allow"] == "POST"
        assert "access_token" not in response.text


def test_a_large_token_request_is_refused(asker: Asker) -> None:
    """A form beyond the bound of bodies is not read."""
    response = post(asker, good(asker, padding="x" * 70_000))
    assert response.status_code == 413
    assert response.headers["Log-Entry"]


# --- metadata ---------------------------------------------------------------------------------------------------


def test_the_authorization_server_describes_itself(asker: Asker) -> None:
    """RFC 8414, section 2: the required members, and what the endpoint really takes."""
    response = asker.world.request("GET", "/.well-known/oauth-authorization-server")
    assert response.mimetype == "application/json"
    found = response.get_json()
    assert found["issuer"] == ISSUER
    assert found["token_endpoint"] == f"{ISSUER}/oauth/token"
    assert found["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
    assert found["response_types_supported"] == []
    assert found["grant_types_supported"] == ["client_credentials"]
    assert found["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert set(found["token_endpoint_auth_signing_alg_values_supported"]) == {"ES256", "EdDSA", "Ed25519"}


def test_the_protected_resource_describes_itself(make_world: MakeWorld) -> None:
    """RFC 9728, section 2: the resource is what tokens name as audience, and its issuer is named."""
    asked = make_world(rehearsal_day=DAY, audience="https://arrests.example")
    found = asked.request("GET", "/.well-known/oauth-protected-resource").get_json()
    assert found["resource"] == "https://arrests.example"
    assert found["authorization_servers"] == [ISSUER]
    assert found["bearer_methods_supported"] == ["header"]


def test_published_keys_are_public(asker: Asker) -> None:
    """RFC 7517: a set of keys for signatures, without a private member."""
    (key,) = asker.world.request("GET", "/.well-known/jwks.json").get_json()["keys"]
    assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")
    assert key.keys() == {"kty", "crv", "x", "y", "use", "alg", "kid"}


# --- the log ----------------------------------------------------------------------------------------------------


class Clock:
    """A clock that is moved by hand; it starts at the real time, since assertions carry it."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def __call__(self) -> datetime:
        """Return the moment."""
        return self.moment


@pytest.fixture
def dialect() -> str:
    """The log's aggregate is the same on every database."""
    return "sqlite"


@pytest.fixture
def clock() -> Clock:
    """The clock of a gateway."""
    return Clock()


@pytest.fixture
def timed(databases: Databases, tmp_path: Path, clock: Clock) -> Iterator[World]:
    """A gateway that goes by a clock of the test's own."""
    chosen = world.settings(databases, tmp_path / "keys", rehearsal_day=DAY)
    world.prepare(chosen, clock)
    made = World(composition.build(chosen, clock), chosen)
    yield made
    made.close()


def test_each_token_is_an_entry(timed: World) -> None:
    """A token leaves with its entry, which names client and agency, and not the officer."""
    asker = timed.asker(officer="Badge 17")
    responses = [asker.get_token() for _ in range(3)]
    leaves = {leaf["id"]: leaf for leaf in timed.leaves()}
    for response in responses:
        leaf = leaves[response.headers["Log-Entry"]]
        assert (leaf["action"], leaf["decision"], leaf["client"], leaf["agency"]) == (
            "token",
            "permit",
            asker.id,
            "ICE",
        )
        assert "Badge 17" not in json.dumps(leaf)
    assert len({response.headers["Log-Entry"] for response in responses}) == 3


def refusals(asked: World) -> list[dict[str, Any]]:
    """Return the leaves of refusals."""
    return [leaf for leaf in asked.leaves() if leaf["decision"] == "refuse"]


def test_failures_of_a_peer_are_counted_and_not_listed(timed: World, clock: Clock) -> None:
    """Fifty failures are one entry at once, and after the minute one more that counts the other 49."""
    asker = timed.asker()
    ids = {asker.get_token("forged").headers["Log-Entry"] for _ in range(50)}
    (first,) = refusals(timed)
    assert ids == {first["id"]}
    assert (first["action"], first["outcome"]) == ("token", "unauthenticated")
    timed.gateway.sealer._once()  # noqa: SLF001 -- what its thread does again and again
    assert refusals(timed) == [first]
    clock.moment += timedelta(seconds=61)
    timed.gateway.sealer._once()  # noqa: SLF001
    _, count = refusals(timed)
    assert (count["action"], count["further"], count["first"]) == ("token", 49, first["id"])
    timed.gateway.sealer._once()  # noqa: SLF001
    assert len(refusals(timed)) == 2


def test_a_minute_later_the_next_failure_is_an_entry_again(timed: World, clock: Clock) -> None:
    """Each minute's first failure is written at once, behind the count of the minute before."""
    asker = timed.asker()
    for _ in range(3):
        asker.get_token("forged")
    clock.moment += timedelta(seconds=61)
    again = asker.get_token("forged").headers["Log-Entry"]
    first, count, second = refusals(timed)
    assert count["further"] == 2
    assert second["id"] == again != first["id"]


def test_each_peer_has_its_own_first_failure(timed: World) -> None:
    """One peer's flood does not hide another's failure."""
    asker = timed.asker()
    for last in (1, 2, 3):
        for _ in range(2):
            asker.world.request("POST", "/oauth/token", environ_base={"REMOTE_ADDR": f"192.0.2.{last}"})
    assert len(refusals(timed)) == 3


def test_each_kind_of_failure_has_its_own_first_entry(timed: World) -> None:
    """A failed token request does not stand for a read without a token: what was tried is told apart."""
    asker = timed.asker()
    token = asker.get_token("forged").headers["Log-Entry"]
    read = timed.request("GET", "/v1/resources").headers["Log-Entry"]
    assert token != read
    assert {leaf["id"]: leaf["action"] for leaf in refusals(timed)} == {token: "token", read: "read"}


@pytest.mark.parametrize("officer", ["", "x" * 101, "a\nb", 3, ["A"]])
def test_an_officer_who_cannot_be_written_down_is_refused(make_world: MakeWorld, officer: object) -> None:
    """A client that names its officer badly is told; the name is not silently left out."""
    asker = make_world().asker()
    text = tokens.assertion(asker.id, ISSUER, asker.key, officer)  # type: ignore[arg-type] # a bad one
    response = asker.get_token(text)
    assert (response.status_code, response.get_json()["error"]) == (401, "invalid_client")
