"""Tokens: client assertions come in (RFC 7523), access tokens go out (RFC 9068) and come back.

joserfc verifies signatures; every claim that matters is checked here, since libraries take tokens without `typ`, with
several audiences, or with any lifetime.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from joserfc import jws, jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, OKPKey
from sqlalchemy.exc import IntegrityError

from gateway import tables
from gateway.access import Subject
from gateway.errors import Code, Refusal, Unauthenticated
from gateway.identity.clients import Client, Clients
from gateway.keys import PrivateKey, Ring
from gateway.store import Store

LIFETIME = 600
ASSERTION_LIFETIME = 300
# How far another party's clock may be off, either way.
SKEW = 30
MAX_TOKEN = 4096
_MAX_OFFICER = 100
_JTI = (8, 128)

Clock = Callable[[], float]


class AssertionRefused(Refusal):
    """A client assertion that does not authenticate; answered as RFC 6749's invalid_client."""

    def __init__(self, detail: str) -> None:
        super().__init__(Code.UNAUTHENTICATED, detail)


class SuspendedAssertion(AssertionRefused):
    """An assertion that a suspended client has signed; answered as a stranger's, and written down under its name."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(_STRANGER)
        self.subject = subject


class SuspendedClient(Unauthenticated):
    """A valid token of a client that the city has suspended."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(Code.CLIENT_SUSPENDED, "The city has suspended this client.")
        self.subject = subject


_STRANGER = "The client is unknown, suspended, or did not sign this assertion."


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A client that has proved its key, and the officer whom it names."""

    client: Client
    officer: str | None


def jwk(key: PrivateKey) -> ECKey | OKPKey:
    """Import a private key for signing."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ECKey.import_key(pem) if isinstance(key, ec.EllipticCurvePrivateKey) else OKPKey.import_key(pem)


def public_jwk(pem: bytes) -> ECKey | OKPKey:
    """Import a client's public key, on P-256 or Ed25519; raise ValueError for any other."""
    key = serialization.load_pem_public_key(pem)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return ECKey.import_key(pem)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return OKPKey.import_key(pem)
    raise ValueError("neither a P-256 nor an Ed25519 key")


def assertion(client_id: str, issuer: str, key: PrivateKey, officer: str | None = None) -> str:
    """Make a client assertion, as a client would."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": client_id,
        "sub": client_id,
        "aud": issuer,
        "jti": secrets.token_urlsafe(16),
        "iat": now,
        "exp": now + 60,
    }
    if officer is not None:
        claims["officer"] = officer
    signing = jwk(key)
    algorithm = "ES256" if isinstance(signing, ECKey) else "Ed25519"
    return jwt.encode({"alg": algorithm, "typ": "JWT"}, claims, signing, algorithms=[algorithm])


class _Algorithms(jws.JWSRegistry):
    """The algorithms that are allowed; joserfc warns of the name EdDSA, which clients still write (RFC 9864)."""

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


class Assertions:
    """Authenticates clients by private_key_jwt (RFC 7523, section 3; FAPI 2.0 Security Profile, section 5.3.2.1)."""

    def __init__(self, issuer: str, clients: Clients, store: Store, clock: Clock) -> None:
        self._issuer = issuer
        self._clients = clients
        self._store = store
        self._clock = clock

    def authenticate(self, text: str) -> Authenticated:
        """Authenticate a client by its assertion; raise AssertionRefused.

        1. The client that it names is registered.
        2. The client's registered key signed it, with the one algorithm of that key; the client is active.
        3. Issuer and subject are the client; the audience is this issuer and nothing else (CVE-2025-27370).
        4. It lives at most five minutes, and lives now, give or take the allowed skew.
        5. It was not used before.
        """
        # 1.
        client = self._clients.find(_named(text))
        if client is None:
            raise AssertionRefused(_STRANGER)
        # 2.
        claims = self._verified(text, client)
        if not client.active:
            raise SuspendedAssertion(Subject(client.id, client.agreement))
        # 3.
        if claims.get("iss") != client.id or claims.get("sub") != client.id or claims.get("aud") != self._issuer:
            raise AssertionRefused("iss and sub must be the client's id, and aud the issuer as one string.")
        # 4.
        expires = self._lively(claims)
        officer = _officer(claims)
        # 5.
        self._spend(client.id, claims.get("jti"), expires)
        return Authenticated(client, officer)

    def _verified(self, text: str, client: Client) -> Mapping[str, Any]:
        elliptic = client.public_key.get("kty") == "EC"
        key = ECKey.import_key(client.public_key) if elliptic else OKPKey.import_key(client.public_key)
        algorithms = ["ES256"] if elliptic else ["EdDSA", "Ed25519"]
        try:
            token = jwt.decode(text, key, registry=_Algorithms(algorithms=algorithms))
        except (JoseError, ValueError, TypeError):
            raise AssertionRefused(_STRANGER) from None
        if token.header.get("typ", "JWT") not in ("JWT", "client-authentication+jwt"):
            raise AssertionRefused("The token is of another type.")
        return token.claims

    def _lively(self, claims: Mapping[str, Any]) -> int:
        now = self._clock()
        issued, expires = _seconds(claims, "iat"), _seconds(claims, "exp")
        if issued is None or expires is None or not 0 < expires - issued <= ASSERTION_LIFETIME:
            raise AssertionRefused(f"iat and exp are required, at most {ASSERTION_LIFETIME} seconds apart.")
        begins = _seconds(claims, "nbf") if "nbf" in claims else 0
        if issued > now + SKEW or expires <= now - SKEW or begins is None or begins > now + SKEW:
            raise AssertionRefused(f"The assertion is not valid now; clocks may differ by {SKEW} seconds.")
        return expires

    def _spend(self, client_id: str, jti: object, expires: int) -> None:
        """Remember an assertion durably, in all processes, until it could no longer be used."""
        if not isinstance(jti, str) or not _JTI[0] <= len(jti) <= _JTI[1] or not jti.isascii() or "\0" in jti:
            raise AssertionRefused(f"jti is required: {_JTI[0]} to {_JTI[1]} ASCII characters.")
        table = tables.assertion
        with self._store.transaction() as connection:
            connection.execute(table.delete().where(table.c.expires_at < int(self._clock()) - 2 * SKEW))
            try:
                with connection.begin_nested():
                    row = {"client_id": client_id, "jti": jti, "expires_at": expires}
                    connection.execute(table.insert(), row)
            except IntegrityError:
                raise AssertionRefused("The assertion was used before.") from None


class AccessTokens:
    """Makes and validates access tokens: signed JWTs of ten minutes (RFC 9068)."""

    def __init__(
        self, issuer: str, audience: str, keys: Ring[ec.EllipticCurvePrivateKey], clients: Clients, clock: Clock
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        # The newest signs. An old key stays good for what it signed; a token lives ten minutes.
        self._key = jwk(keys.keys[keys.newest])
        self._known = {key.thumbprint(): key for key in map(jwk, keys.keys.values())}
        # A signature holds for the very same text; what changes with time is asked anew at each request.
        self._signed = lru_cache(maxsize=1024)(self._verified)
        self._clients = clients
        self._clock = clock

    def jwks(self) -> dict[str, Any]:
        """Return the public keys (RFC 7517)."""
        marked = {"use": "sig", "alg": "ES256"}
        return {"keys": [{**key.as_dict(private=False), **marked, "kid": name} for name, key in self._known.items()]}

    def issue(self, authenticated: Authenticated) -> str:
        """Make a token for an authenticated client."""
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": authenticated.client.id,
            "client_id": authenticated.client.id,
            "aud": self._audience,
            "iat": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_urlsafe(16),
        }
        if authenticated.officer is not None:
            claims["officer"] = authenticated.officer
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self._key.thumbprint()}
        return jwt.encode(header, claims, self._key, algorithms=["ES256"])

    def subject(self, text: str) -> Subject:
        """Validate a token (RFC 9068, section 4) and return who stands behind it now; raise Unauthenticated.

        1. The header is that of an access token by this key; there is no other algorithm, and nothing critical.
        2. The signature verifies.
        3. Issuer and audience are exact; a token that is bound to a key is no bearer token.
        4. It lives now, and was made to live ten minutes at most.
        5. The client is registered and active at this moment.
        """
        # 1. and 2.
        claims = self._signed(text)
        # 3.
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience or "cnf" in claims:
            raise _invalid("The token was not made for this gateway.")
        # 4.
        now = self._clock()
        issued, expires = _seconds(claims, "iat"), _seconds(claims, "exp")
        if issued is None or expires is None or not 0 < expires - issued <= LIFETIME:
            raise _invalid("The token's lifetime is wrong.")
        if expires <= now or issued > now + SKEW or (_seconds(claims, "nbf") or 0) > now + SKEW:
            raise _invalid("The token has expired.")
        # 5.
        client_id = claims.get("client_id")
        client = (
            self._clients.find(client_id) if isinstance(client_id, str) and client_id == claims.get("sub") else None
        )
        if client is None:
            raise _invalid("The token names no registered client.")
        if not client.active:
            raise SuspendedClient(Subject(client.id, client.agreement, claims.get("officer")))
        return Subject(client.id, client.agreement, claims.get("officer"), client.over)

    def _verified(self, text: str) -> Mapping[str, Any]:
        if len(text) > MAX_TOKEN:
            raise _invalid("The token is too long.")
        try:
            # What names no key of ours is held against the newest, and fails there.
            named = jws.extract_compact(text.encode()).headers().get("kid")
            key = self._known.get(named, self._key) if isinstance(named, str) else self._key
            token = jwt.decode(text, key, algorithms=["ES256"])
        except (JoseError, ValueError, TypeError):
            raise _invalid("The token's signature is wrong.") from None
        header = token.header
        if header.get("typ") != "at+jwt" or header.get("kid") != key.thumbprint() or "crit" in header:
            raise _invalid("The token is not an access token.")
        return token.claims


def _invalid(detail: str) -> Unauthenticated:
    return Unauthenticated(Code.TOKEN_INVALID, detail)


def _named(text: str) -> str:
    """Read, before anything is verified, which client an assertion names."""
    try:
        claims = json.loads(jws.extract_compact(text[:MAX_TOKEN].encode()).payload)
        named = claims["iss"]
    except (JoseError, ValueError, KeyError, TypeError, RecursionError):
        named = None
    if not isinstance(named, str) or "\0" in named or not named.isascii() or len(text) > MAX_TOKEN:
        raise AssertionRefused("The assertion is not a JWT that names its issuer.")
    return named


def _seconds(claims: Mapping[str, Any], name: str) -> int | None:
    """Read a time claim; neither a boolean nor a fraction is one here."""
    value = claims.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _officer(claims: Mapping[str, Any]) -> str | None:
    """Read the officer whom a client names; a name that can't be written down is refused, not left out."""
    officer = claims.get("officer")
    if officer is None:
        return None
    if not isinstance(officer, str) or not 0 < len(officer) <= _MAX_OFFICER or not officer.isprintable():
        raise AssertionRefused(f"officer must be 1 to {_MAX_OFFICER} printable characters.")
    return officer
