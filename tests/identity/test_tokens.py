"""Access tokens: what the gateway made for a client that is active now is accepted, and nothing else."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from werkzeug.test import TestResponse

from gateway import keys
from gateway.access import AgreementState
from gateway.identity import clients, tokens
from gateway.identity.clients import ACTIVE, SUSPENDED
from tests import world
from tests.jose import decoded, encoded
from tests.world import ISSUER, Asker, Databases, World

LIFETIME = 600
SKEW = 30


@pytest.fixture(scope="module")
def shared(sqlite_arrests: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One gateway for the module; tokens know nothing of the arrest database."""
    place = tmp_path_factory.mktemp("shared")
    databases = Databases(sqlite_arrests, f"sqlite:///{place / 'store.db'}")
    made = world.build(databases, place / "keys", rehearsal_day="2011-01-01")
    yield made
    made.close()


@pytest.fixture(scope="module")
def asker(shared: World) -> Asker:
    """A client of the shared gateway."""
    return shared.asker()


def unsigned(header: object, claims: object) -> str:
    """Write header and claims."""
    return f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"


def signed(key: ec.EllipticCurvePrivateKey, header: object, claims: object) -> str:
    """Sign with ES256 (RFC 7518, section 3.4), whatever the header says."""
    asked = unsigned(header, claims)
    r, s = decode_dss_signature(key.sign(asked.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{asked}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Forger:
    """Someone with the gateway's own key: the worst case, where the claims alone must tell."""

    def __init__(self, asker: Asker) -> None:
        self.key = keys.read(asker.world.settings.keys, asker.world.settings.keys_passphrase).token.keys[1]
        header, claims, _ = asker.token.split(".")
        self.header, self.claims = decoded(header), decoded(claims)

    def token(self, header: dict[str, Any] | None = None, without: str = "", **claims: Any) -> str:
        """Sign the real token's header and claims, some of them changed or left out."""
        changed = {k: v for k, v in (self.claims | claims).items() if k != without}
        return signed(self.key, self.header if header is None else header, changed)


@pytest.fixture
def forger(asker: Asker) -> Forger:
    """A forger with a fresh token to start from."""
    return Forger(asker)


def ask(asker: Asker, token: str) -> TestResponse:
    """Ask for the client's views with a token."""
    headers = {"Authorization": f"Bearer {token}", "Access-Purpose": asker.purpose}
    return asker.world.request("GET", "/v1/resources", headers=headers)


def is_refused(asker: Asker, token: str, code: str = "invalid-token") -> None:
    """Hold the answer to a bad token against RFC 6750, section 3.1, and the log's promise."""
    response = ask(asker, token)
    assert response.status_code == 401, response.text[:300]
    assert response.get_json()["code"] == code
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
    assert response.headers["Log-Entry"]
    assert token not in response.text


def test_the_token_that_was_issued_is_accepted(asker: Asker, forger: Forger) -> None:
    """The control of all that follows: signed again and unchanged, the token is good."""
    assert ask(asker, asker.token).status_code == 200
    assert ask(asker, forger.token()).status_code == 200


def test_a_request_without_a_token_is_challenged(asker: Asker) -> None:
    """Without authentication the challenge names the scheme and no error (RFC 6750, section 3.1)."""
    for header in ({}, {"Authorization": "Basic aWNlOmljZQ=="}, {"Authorization": "Bearer"}, {"Authorization": ""}):
        response = asker.world.request("GET", "/v1/resources", headers={"Access-Purpose": asker.purpose, **header})
        assert response.status_code == 401
        assert response.get_json()["code"] == "unauthenticated"
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert "error=" not in response.headers["WWW-Authenticate"]
        assert response.headers["Log-Entry"]


def test_the_name_of_the_scheme_has_no_case(asker: Asker) -> None:
    """RFC 9110, section 11.1: the scheme's name is compared without regard to case."""
    headers = {"Authorization": f"bearer {asker.token}", "Access-Purpose": asker.purpose}
    assert asker.world.request("GET", "/v1/resources", headers=headers).status_code == 200


def test_a_token_travels_in_the_header_alone(asker: Asker) -> None:
    """A token in the address or the body is none (RFC 6750, sections 2.2 and 2.3)."""
    purpose = {"Access-Purpose": asker.purpose}
    query = asker.world.request("GET", f"/v1/resources?access_token={asker.token}", headers=purpose)
    form = {"access_token": asker.token}
    body = asker.world.request("POST", "/v1/arrests/search", headers=purpose, data=form)
    assert query.status_code == body.status_code == 401
    doubled = {"Authorization": f"Bearer {asker.token}, Bearer {asker.token}", **purpose}
    assert asker.world.request("GET", "/v1/resources", headers=doubled).status_code == 401


# --- header and signature ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_a_token_without_a_signature_is_refused(asker: Asker, forger: Forger, algorithm: str) -> None:
    """`alg: none` is refused in every spelling, with and without a signature behind it."""
    asked = unsigned(forger.header | {"alg": algorithm}, forger.claims)
    is_refused(asker, f"{asked}.")
    is_refused(asker, f"{asked}.{asker.token.rpartition('.')[2]}")
    is_refused(asker, asked)


def test_a_token_signed_by_hmac_with_the_public_key_is_refused(asker: Asker, forger: Forger) -> None:
    """The public key is no secret, in whatever form it is used as one."""
    public = asker.world.request("GET", "/.well-known/jwks.json").get_json()["keys"][0]
    asked = unsigned(forger.header | {"alg": "HS256"}, forger.claims)
    for secret in (keys.public_pem(forger.key), json.dumps(public).encode(), public["x"].encode(), b""):
        is_refused(asker, f"{asked}.{encoded(hmac.digest(secret, asked.encode(), hashlib.sha256))}")


@pytest.mark.parametrize("algorithm", ["RS256", "ES384", "ES512", "EdDSA", "PS256", "HS256", "ES256K", "es256"])
def test_a_header_of_another_algorithm_is_refused(asker: Asker, forger: Forger, algorithm: str) -> None:
    """There is one algorithm; a header that names another is refused though the signature is good."""
    is_refused(asker, forger.token(forger.header | {"alg": algorithm}))


def test_a_token_signed_by_an_rsa_key_of_its_own_is_refused(asker: Asker, forger: Forger) -> None:
    """A key that comes in the header is nobody's, and neither is one behind an address."""
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.public_key().public_numbers()
    public = {"kty": "RSA", "e": "AQAB", "n": encoded(numbers.n.to_bytes(256, "big"))}
    asked = unsigned(forger.header | {"alg": "RS256", "jwk": public}, forger.claims)
    is_refused(asker, f"{asked}.{encoded(key.sign(asked.encode(), PKCS1v15(), hashes.SHA256()))}")


def test_a_token_signed_by_another_key_is_refused(asker: Asker, forger: Forger) -> None:
    """Another P-256 key is refused under the right key id, also when the header brings it along."""
    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    point = {"x": encoded(numbers.x.to_bytes(32, "big")), "y": encoded(numbers.y.to_bytes(32, "big"))}
    for more in ({}, {"jwk": {"kty": "EC", "crv": "P-256", **point}}, {"jku": "https://evil.example/jwks"}):
        is_refused(asker, signed(key, forger.header | more, forger.claims))


def test_an_algebraic_nothing_is_no_signature(asker: Asker, forger: Forger) -> None:
    """A signature of zeros (CVE-2022-21449) is refused."""
    is_refused(asker, f"{unsigned(forger.header, forger.claims)}.{encoded(bytes(64))}")


@pytest.mark.parametrize(
    "changed",
    [
        {"typ": None},
        {"typ": "JWT"},
        {"typ": "jwt"},
        {"typ": "client-authentication+jwt"},
        {"typ": 1},
        {"typ": ["at+jwt"]},
        {"kid": None},
        {"kid": "another"},
        {"kid": "../../dev/null"},
        {"kid": 1},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": True},
        {"crit": ["unheard-of"], "unheard-of": True},
        {"crit": []},
        {"crit": 1},
        {"crit": {"a": 1}},
        {"crit": None},
        {"crit": [[1]]},
        {"alg": ["ES256"]},
        {"alg": 1},
        {"alg": None},
    ],
    ids=json.dumps,
)
def test_a_header_that_is_not_an_access_tokens_is_refused(
    asker: Asker, forger: Forger, changed: dict[str, Any]
) -> None:
    """Type and key id are required as they are issued, and nothing critical is understood."""
    header = {k: v for k, v in (forger.header | changed).items() if v is not None or k == "crit"}
    is_refused(asker, forger.token(header))


@pytest.mark.parametrize("part", ["[]", "null", "1", '"a"', "", "{", "{}", "\xff", "[" * 1100, '{"alg":' * 200])
def test_a_part_that_is_no_object_is_refused(asker: Asker, part: str) -> None:
    """Whatever stands in the place of header or claims, the answer is a 401."""
    header, claims, signature = asker.token.split(".")
    written = encoded(part.encode("latin-1"))
    is_refused(asker, f"{written}.{claims}.{signature}")
    is_refused(asker, f"{header}.{written}.{signature}")


def test_claims_that_are_no_object_are_refused_though_signed(asker: Asker, forger: Forger) -> None:
    """Signed nonsense is nonsense."""
    nonsense: tuple[object, ...] = ([], None, 1, "a", [forger.claims], {})
    for claims in nonsense:
        is_refused(asker, signed(forger.key, forger.header, claims))


# --- claims -----------------------------------------------------------------------------------------------------


def test_another_issuer_is_refused(asker: Asker, forger: Forger) -> None:
    """The issuer is compared as a text, to the letter."""
    for issuer in ("https://evil.example", f"{ISSUER}/", ISSUER.upper(), f"{ISSUER}.evil.example", "", [ISSUER], None):
        is_refused(asker, forger.token(iss=issuer))
    is_refused(asker, forger.token(without="iss"))


def test_another_audience_is_refused(asker: Asker, forger: Forger) -> None:
    """The audience is this gateway as one text; a list is refused even where the gateway is in it."""
    evil = "https://evil.example"
    for audience in (evil, f"{ISSUER}/", "", [evil, ISSUER], [ISSUER], [], {ISSUER: 1}, None):
        is_refused(asker, forger.token(aud=audience))
    is_refused(asker, forger.token(without="aud"))


def test_a_token_lives_until_it_expires(asker: Asker, forger: Forger) -> None:
    """At its last second it is over, without any grace."""
    now = int(time.time())
    assert ask(asker, forger.token(iat=now - 500, exp=now + 60)).status_code == 200
    is_refused(asker, forger.token(iat=now - 500, exp=now))
    is_refused(asker, forger.token(iat=now - 500, exp=now - 1))
    is_refused(asker, forger.token(iat=now - LIFETIME - 1, exp=now - 1))


def test_a_clock_may_run_ahead_by_the_stated_skew(asker: Asker, forger: Forger) -> None:
    """Issued up to 30 seconds from now is accepted, beyond that refused."""
    now = int(time.time())
    assert ask(asker, forger.token(iat=now + SKEW - 5, exp=now + 300)).status_code == 200
    is_refused(asker, forger.token(iat=now + SKEW + 5, exp=now + 300))


def test_a_token_lives_ten_minutes_at_most(asker: Asker, forger: Forger) -> None:
    """A token made to live longer is refused from its first second."""
    now = int(time.time())
    assert ask(asker, forger.token(iat=now - 1, exp=now - 1 + LIFETIME)).status_code == 200
    for more in (1, 60, 10**6, 2**70):
        is_refused(asker, forger.token(iat=now - 1, exp=now - 1 + LIFETIME + more))
    is_refused(asker, forger.token(iat=-(2**70), exp=now + 60))


@pytest.mark.parametrize("name", ["iat", "exp"])
def test_times_are_whole_seconds(asker: Asker, forger: Forger, name: str) -> None:
    """A time that is missing or of another type is refused, and none is taken for zero."""
    now = int(time.time())
    wrong: tuple[Any, ...] = (None, str(now), True, [now], {}, float("nan"), float("inf"))
    for value in wrong:
        changed: dict[str, Any] = {name: value}
        is_refused(asker, forger.token(**changed))
    is_refused(asker, forger.token(without=name))


def test_a_token_that_is_not_valid_yet_is_refused(asker: Asker, forger: Forger) -> None:
    """RFC 7519, section 4.1.5: a token must not be accepted before its nbf."""
    now = int(time.time())
    assert ask(asker, forger.token(nbf=now - 5)).status_code == 200
    is_refused(asker, forger.token(nbf=now + 120))


@pytest.mark.parametrize("bound", [{"jkt": "0" * 43}, {"x5t#S256": "0" * 43}, {}, None])
def test_a_bound_token_is_no_bearer_token(asker: Asker, forger: Forger, bound: dict[str, str] | None) -> None:
    """A token that is bound to a key is refused without the proof of that key (RFC 9449, section 7.2)."""
    is_refused(asker, forger.token(cnf=bound))


def test_a_client_assertion_is_no_access_token(asker: Asker, forger: Forger) -> None:
    """A token of another kind is refused, signed by the client or by the gateway itself."""
    is_refused(asker, tokens.assertion(asker.id, ISSUER, asker.key))
    assertion = tokens.assertion(asker.id, ISSUER, forger.key)
    is_refused(asker, assertion)
    is_refused(asker, signed(forger.key, {"alg": "ES256", "typ": "JWT"}, forger.claims))


def test_a_client_that_is_not_registered_is_refused(asker: Asker, forger: Forger) -> None:
    """The client is looked up at every request, as what it is and nothing else."""
    for name in ("nobody", "", "ICE-ERO", f"{asker.id} ", "' OR 1=1 --", "a\0b", "\ud800", 1, None, [asker.id]):
        is_refused(asker, forger.token(client_id=name, sub=name))
    is_refused(asker, forger.token(without="client_id"))


def test_subject_and_client_are_the_same(asker: Asker, forger: Forger) -> None:
    """A token in which another stands behind the client is refused."""
    other = asker.world.asker("other")
    is_refused(asker, forger.token(sub=other.id))
    is_refused(asker, forger.token(client_id=other.id))
    is_refused(asker, forger.token(without="sub"))


def test_the_caller_does_not_choose_its_agency(asker: Asker, forger: Forger) -> None:
    """Who the client is comes from the register: claims and headers of its own choice change nothing."""
    plain = ask(asker, asker.token).data
    chosen: dict[str, Any] = {
        "agency": "FBI",
        "mission": "criminal-investigation",
        "purposes": ["prosecution"],
        "role": "admin",
    }
    assert ask(asker, forger.token(**chosen)).data == plain
    headers = asker.headers() | {"Agency": "FBI", "X-Agency": "FBI", "X-Client": "other", "Client-Id": "other"}
    assert asker.world.request("GET", "/v1/resources", headers=headers).data == plain


# --- the text of a token ----------------------------------------------------------------------------------------


def test_a_token_is_exactly_its_text(asker: Asker) -> None:
    """Nothing may be added to a token or cut from it."""
    token = asker.token
    header, claims, signature = token.split(".")
    garbage = [f"{token}{more}" for more in ("A", "=", "==", ".", ".A", "~", "\t", ",", ";x=1", "%00", "AAAA")]
    cut = [token[:-1], token[:-2], token[1:], header, f"{header}.{claims}", f"{header}.{claims}.", ".", "..", "..."]
    mixed = [f"{claims}.{header}.{signature}", f".{claims}.{signature}", f"{header}..{signature}", token.swapcase()]
    for text in (*garbage, *cut, *mixed):
        response = ask(asker, text)
        assert response.status_code == 401, text
        assert response.headers["Log-Entry"]


def test_every_signature_has_one_spelling(asker: Asker) -> None:
    """The last character of a signature holds bits that are not used; another spelling of them is another token."""
    token = asker.token
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])
    respelt = {token[:-1] + alphabet[last ^ bits] for bits in (1, 2, 4, 8, 3, 15)}
    assert {ask(asker, text).status_code for text in respelt} == {401}


def test_a_long_token_is_refused_before_it_is_read(asker: Asker, forger: Forger) -> None:
    """A token of 5 KB is refused though the gateway's key signed it."""
    long = forger.token(padding="x" * 3600)
    assert len(long) > 5000
    is_refused(asker, long)


def test_bad_tokens_leave_no_name_in_the_log(shared: World, asker: Asker, forger: Forger) -> None:
    """Whom an unverified token names is not written down as if it were known, and neither is the token."""
    claimed = forger.token(iss="https://evil.example", officer="Badge Evil")
    is_refused(asker, claimed)
    refused = [leaf for leaf in shared.leaves() if leaf["outcome"] == "invalid-token"]
    assert refused
    for leaf in refused:
        assert leaf.keys().isdisjoint({"client", "agency", "ori"})
    said = json.dumps(shared.leaves()) + shared.lines.getvalue()
    assert "evil.example" not in said
    assert claimed not in said
    assert asker.token not in said


# --- the client as it is now ------------------------------------------------------------------------------------


def _set_state(world: World, asker: Asker, state: str) -> None:
    with world.gateway.store.transaction() as connection:
        clients.set_state(connection, asker.id, state)


def test_a_suspended_client_stops_at_once_and_can_be_resumed(shared: World) -> None:
    """Suspension holds from the next request with the same token on, and so does its end."""
    asker = shared.asker("suspended")
    token = asker.token
    assert ask(asker, token).status_code == 200
    _set_state(shared, asker, SUSPENDED)
    is_refused(asker, token, "client-suspended")
    refused = asker.get_token()
    assert (refused.status_code, refused.get_json()["error"]) == (401, "invalid_client")
    _set_state(shared, asker, ACTIVE)
    assert ask(asker, token).status_code == 200
    assert asker.get_token().status_code == 200


@pytest.mark.parametrize("state", [AgreementState.SUSPENDED, AgreementState.TERMINATED])
def test_a_client_without_an_agreement_in_force_is_denied(shared: World, state: AgreementState) -> None:
    """An agreement that is suspended or terminated permits nothing, and is a reason of its own."""
    asker = shared.asker(f"agreement-{state.value}", state=state)
    response = asker.search({"limit": 1})
    assert (response.status_code, response.get_json()["code"]) == (403, "agreement-not-in-force")


def test_a_token_of_another_gateways_key_is_refused(
    asker: Asker, sqlite_arrests: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After the token key is replaced, tokens of the old key are refused."""
    place = tmp_path_factory.mktemp("other")
    databases = Databases(sqlite_arrests, f"sqlite:///{place / 'store.db'}")
    other = world.build(databases, place / "keys", rehearsal_day="2011-01-01")
    twin = other.asker(asker.id)
    assert ask(twin, twin.token).status_code == 200
    is_refused(twin, asker.token)
    other.close()
