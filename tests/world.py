"""A whole gateway in one process over real databases, and clients that ask it through WSGI.

Every answer and every line of telemetry is searched for canaries: texts that stand only in records which no policy
shows to anyone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from werkzeug.test import TestResponse

from gateway import app as composition
from gateway import sshsig
from gateway.access import Agreement, AgreementState
from gateway.activation import approvers
from gateway.activation.statement import Activate, Deed, Statement
from gateway.app import Clock, Gateway
from gateway.identity import clients, tokens
from gateway.keys import PrivateKey
from gateway.policy.archive import read_directory
from gateway.policy.check import checked
from gateway.settings import Settings, read
from gateway.store import Store
from tests import arrests
from tests.arrests import CANARY

POLICIES = Path(__file__).parent.parent / "policies"
ISSUER = "http://127.0.0.1:8000"
IMMIGRATION = "immigration-enforcement"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# Who signs policies into force in the tests: invented people, with keys of this run.
SIGNERS = {name: ed25519.Ed25519PrivateKey.generate() for name in ("alice@city.example", "bob@city.example")}


@dataclass(frozen=True, slots=True)
class Databases:
    """Where a world's arrest database and store are."""

    arrests: str
    store: str


def passphrase(keys: Path) -> Path:
    """Return the passphrase file beside a directory of keys; it is made if need be."""
    path = keys.with_name("passphrase")
    if not path.exists():
        path.touch(0o600)
        path.write_text("not-the-passphrase-of-any-city\n")
    return path


def settings(databases: Databases, keys: Path, **changed: str) -> Settings:
    """Return settings of a world, some of them changed."""
    given = {
        "arrest_url": databases.arrests,
        "store_url": databases.store,
        "keys": str(keys),
        "keys_passphrase": str(passphrase(keys)),
        "policies": str(POLICIES),
        "approvers": str(keys.with_name("approvers")),
        "issuer": ISSUER,
        "log_origin": "gateway.test/log",
        "log_public": str(keys.with_name("public")),
        "peer_limit": "100000/minute",
        "client_limit": "100000/minute",
        **changed,
    }
    return read({f"GATEWAY_{name.upper()}": value for name, value in given.items()})


def given(settings: Settings) -> dict[str, str]:
    """Return settings by their names, as texts."""
    return {name: str(value) for name, value in settings.model_dump(mode="json", exclude_none=True).items()}


def environment(settings: Settings) -> dict[str, str]:
    """Return settings as a shell has them."""
    return {f"GATEWAY_{name.upper()}": value for name, value in given(settings).items()}


def agreement(name: str, agency: str = "ICE", **changed: Any) -> Agreement:
    """Return an agreement, some of it changed."""
    immigration = agency == "ICE"
    given: dict[str, Any] = {
        "id": f"{name}-agreement",
        "version": 1,
        "agency": agency,
        "component": "ERO" if immigration else "Philadelphia",
        "ori": "PATEST000",
        "mission": IMMIGRATION if immigration else "criminal-investigation",
        "criminal_justice_agency": not immigration,
        "purposes": frozenset({IMMIGRATION if immigration else "criminal-investigation"}),
        "starts": date(2008, 1, 1),
        "until": None,
        "state": AgreementState.IN_FORCE,
        **changed,
    }
    return Agreement(**given)


@dataclass(slots=True)
class Asker:
    """A client's program: its id, its key, its token."""

    world: "World"
    id: str
    key: PrivateKey
    purpose: str
    officer: str | None = None
    _token: str | None = None

    @property
    def token(self) -> str:
        """Return an access token, got once."""
        if self._token is None:
            response = self.get_token()
            assert response.status_code == 200, response.text
            self._token = response.get_json()["access_token"]
        return self._token

    def get_token(self, assertion: str | None = None) -> TestResponse:
        """Ask for a token."""
        text = assertion or tokens.assertion(self.id, ISSUER, self.key, self.officer)
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": text,
        }
        return self.world.request("POST", "/oauth/token", data=form)

    def headers(self) -> dict[str, str]:
        """Return the headers of a data request."""
        return {"Authorization": f"Bearer {self.token}", "Access-Purpose": self.purpose}

    def get(self, path: str, **headers: str) -> TestResponse:
        """Ask with GET."""
        return self.world.request("GET", path, headers=self.headers() | headers)

    def search(self, body: Mapping[str, Any] | str | bytes | None = None, resource: str = "arrests") -> TestResponse:
        """Search; a text is sent as it is."""
        content = body if isinstance(body, str | bytes) else json.dumps(body or {})
        return self.world.request(
            "POST",
            f"/v1/{resource}/search",
            data=content,
            headers=self.headers() | {"Content-Type": "application/json"},
        )

    def records(self, body: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the records of one page."""
        response = self.search(body)
        assert response.status_code == 200, response.text
        records: list[dict[str, Any]] = response.get_json()["records"]
        return records

    def every(self, body: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the records of all pages."""
        found: list[dict[str, Any]] = []
        asked = dict(body or {})
        while True:
            response = self.search(asked)
            assert response.status_code == 200, response.text
            page = response.get_json()
            found += page["records"]
            if page["next"] is None:
                return found
            asked["cursor"] = page["next"]


@dataclass(slots=True)
class World:
    """A gateway that can be asked."""

    gateway: Gateway
    settings: Settings
    lines: StringIO = field(default_factory=StringIO)

    def __post_init__(self) -> None:
        """Keep telemetry's lines, so that they can be searched."""
        structlog.configure(
            processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
            logger_factory=structlog.WriteLoggerFactory(file=self.lines),
            cache_logger_on_first_use=False,
        )

    def request(self, method: str, path: str, **asked: Any) -> TestResponse:
        """Ask through WSGI; no answer and no line of telemetry may hold a canary."""
        response = self.gateway.flask.test_client().open(path, method=method, **asked)
        said = response.data.decode(errors="replace") + str(response.headers) + self.lines.getvalue()
        assert CANARY not in said, "a record that nobody may see showed through"
        return response

    def asker(self, name: str = "ice-ero", agency: str = "ICE", officer: str | None = None, **changed: Any) -> Asker:
        """Register a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        agreed = agreement(name, agency, **changed)
        register(self.gateway.store, name, _public(key), agreed)
        return Asker(self, name, key, min(agreed.purposes), officer)

    def leaves(self) -> list[dict[str, Any]]:
        """Seal the log, and return its leaves."""
        from gateway.audit.show import latest

        self.gateway.log.seal_all()
        return latest(self.gateway.store, 10_000)

    def close(self) -> None:
        """Let the connections go."""
        self.gateway.close()


def register(store: Store, name: str, public: bytes, agreed: Agreement) -> None:
    """Register a client under an agreement."""
    with store.transaction() as connection:
        clients.register(connection, name, tokens.public_jwk(public), agreed)


def _public(key: PrivateKey) -> bytes:
    from gateway.keys import public_pem

    return public_pem(key)


def prepare(settings: Settings, clock: Clock = composition.now) -> None:
    """Prepare a gateway, and mark its arrest database for what it is to be: invented, where the gateway rehearses."""
    arrests.keep_mark(settings.arrest_url, invented_only=settings.only_invented is not None)
    prepare_over(settings, clock)


def prepare_over(settings: Settings, clock: Clock = composition.now) -> None:
    """Prepare a gateway over whatever database, and put the policy of its directory in force, if it is not."""
    composition.prepare(settings)
    lines = (f"{name} {sshsig.public_half(key).written()}\n" for name, key in SIGNERS.items())
    settings.approvers.write_text("".join(lines))
    settings.approvers.chmod(0o644)
    files = read_directory(settings.policies)
    with composition.open_register(settings) as register:
        turns = register.history().turns(clock())
    if not turns or turns[-1].bundle != checked(files).digest:
        activate(settings, settings.policies, clock)


def activate(settings: Settings, root: Path, clock: Clock = composition.now) -> Statement:
    """Put the policy of a directory in force, as two approvers do."""
    return state(settings, Activate(checked(read_directory(root)).digest), root, clock)


def state(settings: Settings, deed: Deed, root: Path = POLICIES, clock: Clock = composition.now) -> Statement:
    """Propose, sign and enact a statement."""
    trusted = approvers.read(settings.approvers)
    with composition.open_register(settings, clock) as register:
        content = register.propose(deed, "For a test.").content()
        files = read_directory(root) if isinstance(deed, Activate) else None
        return register.enact(content, signatures(content), trusted, files)


def signatures(content: bytes) -> list[str]:
    """Sign as all approvers."""
    return [sshsig.sign(key, content, approvers.NAMESPACE) for key in SIGNERS.values()]


def build(databases: Databases, keys: Path, **changed: str) -> World:
    """Prepare and compose a gateway. Its thread is not started, so no time passes for what the thread keeps fresh."""
    chosen = settings(databases, keys, **changed)
    prepare(chosen)
    return World(composition.build(chosen, monotonic=lambda: 0.0), chosen)
