"""The stage of the property: two composed gateways under the same keys, whose policy, rows and clients are swapped."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec
from werkzeug.test import TestResponse

from gateway import app as composition
from gateway import instruments, tables
from gateway.identity.agreements import written
from gateway.identity.clients import Clients
from gateway.identity.tokens import AccessTokens, Authenticated
from gateway.keys import public_pem
from gateway.limits import REFUSALS
from gateway.opaque import Cursors, Ids
from tests import world as cities
from tests.disclosure.regimes import DAY, MOMENT, Regime, catalogue
from tests.disclosure.worlds import World
from tests.policy import small
from tests.services import Postgres
from tests.world import Databases, agreement

# The client that the property is about, one of its own agency under another agreement, and one of another agency.
CLIENT, COLLEAGUE, STRANGER = "one", "two", "three"
NOTICES = {
    CLIENT: ("0" * 32, "1" * 32),
    STRANGER: ("2" * 32, "3" * 32, "4" * 32),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is sent."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two gateways, with its database and its clients' tokens."""

    made: cities.World
    engine: sa.Engine
    tokens: dict[str, str]

    def ask(self, request: Request) -> TestResponse:
        """Send a request."""
        client = self.made.gateway.flask.test_client()
        return client.open(
            request.path, method=request.method, headers=list(request.headers), data=request.content, buffered=True
        )

    def set(self, regime: Regime, world: World, owed: tuple[str, ...], left: int) -> None:
        """Put a policy in force and a world in the databases; `owed` are the notices of strangers.

        `left` is how many more pages may be refused for the client's budget today.
        """
        self.made.lines.seek(0)
        self.made.lines.truncate()
        small.fill(self.engine, catalogue(), world.records)
        gateway = self.made.gateway
        # What activation does, without the signatures of a thousand policies.
        gateway.custodian._policy.last = regime.bundle  # noqa: SLF001
        with gateway.store.transaction() as connection:
            for table in (tables.budget_mark, tables.budget_refusal, tables.instrument, tables.notice):
                connection.execute(table.delete())
            for number, paper in enumerate(world.papers):
                instruments.add(connection, str(number), paper.filed, "one")
                if paper.confirmed:
                    instruments.confirm(connection, str(number), "two")
            agreed = regime.agreement
            if left < REFUSALS:
                refused = {"agreement_id": agreed.id, "day": DAY, "refusals_left": left}
                connection.execute(tables.budget_refusal.insert(), refused)
            stated = {
                "version": agreed.version,
                "agency": agreed.agency,
                "component": agreed.component,
                "criminal_justice_agency": agreed.criminal_justice_agency,
                "purposes": sorted(agreed.purposes),
                "certifications": [written(each) for each in agreed.certifications],
            }
            mine = tables.agreement.c.agreement_id == agreed.id
            connection.execute(tables.agreement.update().where(mine).values(stated))
            own = [_notice(each, CLIENT) for each in NOTICES[CLIENT]]
            connection.execute(tables.notice.insert(), own + [_notice(each, STRANGER) for each in owed])


def _notice(identifier: str, client: str) -> dict[str, Any]:
    return {
        "notice_id": identifier,
        "client_id": client,
        "kind": "sealed",
        "resource": "cases",
        "ids": {"looking": ["A" * 34]},
        "owed_since": MOMENT.timestamp(),
        "due": MOMENT.timestamp() + 86400,
        "entry_id": "5" * 32,
    }


@dataclass(frozen=True, slots=True)
class Stage:
    """Two gateways, and the keys by which both make ids and cursors."""

    dialect: str
    left: Side
    right: Side
    ids: Ids
    cursors: Cursors

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both."""
        return self.left, self.right


@contextmanager
def stage(server: Postgres | None) -> Iterator[Stage]:
    """Compose two gateways: on a PostgreSQL, or on SQLite in memory, where there is a file system of memory."""
    memory = Path("/dev/shm")  # noqa: S108 -- a directory of its own is made in it
    root = Path(tempfile.mkdtemp(prefix="gw-stage-", dir=memory if memory.is_dir() else None))
    policies = root / "policies"
    small.write(policies, small.document([small.EVERYTHING]))
    names: list[str] = []
    sides = [_side(name, server, root, policies, names) for name in ("left", "right")]
    keys = sides[0].made.gateway.keys
    # The same program asks in both worlds, with the same token.
    sides[1].tokens.update(sides[0].tokens)
    try:
        yield Stage(
            "sqlite" if server is None else "postgresql", sides[0], sides[1], Ids(keys.ids), Cursors(keys.cursors)
        )
    finally:
        for side in sides:
            side.made.close()
            side.engine.dispose()
        for name in names:
            assert server is not None
            server.drop(name)
        shutil.rmtree(root)


def _side(name: str, server: Postgres | None, root: Path, policies: Path, names: list[str]) -> Side:
    if server is None:
        databases = Databases(f"sqlite:///{root / name}.db", f"sqlite:///{root / name}-store.db")
    else:
        names += [server.create(), server.create()]
        databases = Databases(server.url(names[-2]), server.url(names[-1]))
    engine = sa.create_engine(databases.arrests)
    small.metadata.create_all(engine)
    settings = cities.settings(
        databases,
        root / "keys",
        policies=str(policies),
        log_public=str(root / f"public-{name}"),
        seal_delay="604800",
        peer_limit="100000000/minute",
        client_limit="100000000/minute",
    )
    cities.prepare(settings, lambda: MOMENT)
    gateway = composition.build(settings, clock=lambda: MOMENT, monotonic=lambda: 0.0)
    made = cities.World(gateway, settings)
    issuing = AccessTokens(
        settings.issuer,
        settings.resource_server,
        gateway.keys.token,
        Clients(gateway.store),
        MOMENT.timestamp,
    )
    tokens = {}
    for client, agency in ((CLIENT, "ICE"), (COLLEAGUE, "ICE"), (STRANGER, "FBI")):
        agreed = agreement(client, agency, mission="looking", purposes=frozenset({"looking", "counting"}))
        key = public_pem(ec.generate_private_key(ec.SECP256R1()))
        cities.register(gateway.store, client, key, agreed)
        found = Clients(gateway.store).find(client)
        assert found is not None
        tokens[client] = issuing.issue(Authenticated(found, None))
    return Side(made, engine, tokens)
