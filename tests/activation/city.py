"""A city with two approvers, whose statements a test makes, signs and spoils."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import rfc8785

from gateway import app as composition
from gateway import sshsig, tables
from gateway.activation import approvers
from gateway.activation.approvers import NAMESPACE, Approvers
from gateway.activation.register import Register
from gateway.activation.statement import Activate, Deed, Statement, digest
from gateway.policy.archive import pack, read_directory
from gateway.policy.check import checked
from gateway.settings import Settings
from gateway.store import Store
from tests import world
from tests.policy import small

ALICE, BOB = world.SIGNERS
# The small city's only purpose, and its only mission.
PURPOSE = "looking"


def rule(name: str) -> dict[str, Any]:
    """A rule that shows the small city's open fields."""
    return {"id": name, "permit": "read", "resource": "cases", "show": ["open"], "because": "So."}


TESTS = """tests: doc
cases:
  - case: nothing before its first day
    subject: {agency: A, component: B, mission: looking, criminal_justice_agency: false}
    purpose: looking
    on: 1999-12-31
    deny: no-rule-permits
"""


def directory(root: Path, name: str) -> Path:
    """Write a small policy that differs by a name, with a test that it passes."""
    small.write(root, small.document([rule(name)]))
    (root / "doc_test.yaml").write_text(TESTS)
    return root


def signed_by(content: bytes, *names: str) -> list[str]:
    """Sign as approvers of the tests."""
    return [sshsig.sign(world.SIGNERS[name], content, NAMESPACE) for name in names]


@dataclass(slots=True)
class City:
    """A store, its settings, and policies to activate, by name."""

    settings: Settings
    root: Path
    clock: Callable[[], datetime] = composition.now

    def policy(self, name: str) -> Path:
        """Return the directory of a policy that differs from others by its name."""
        return directory(self.root / f"policy-{name}", name)

    def digest(self, name: str) -> str:
        """Return the digest of a policy."""
        return checked(read_directory(self.policy(name))).digest

    @contextmanager
    def register(self) -> Iterator[Register]:
        """Open the register."""
        with composition.open_register(self.settings, self.clock) as register:
            yield register

    @property
    def trusted(self) -> Approvers:
        """The approvers."""
        return approvers.read(self.settings.approvers)

    def activate(self, name: str) -> Statement:
        """Put a policy in force."""
        return world.activate(self.settings, self.policy(name), self.clock)

    def state(self, deed: Deed) -> Statement:
        """State something that needs no files."""
        return world.state(self.settings, deed, clock=self.clock)

    def proposed(self, deed: Deed) -> bytes:
        """Propose something."""
        with self.register() as register:
            return register.propose(deed, "For a test.").content()

    def enact(self, content: bytes, signatures: list[str], policy: str | None = None) -> Statement:
        """Enact what was signed."""
        files = None if policy is None else read_directory(self.policy(policy))
        with self.register() as register:
            return register.enact(content, signatures, self.trusted, files)

    def in_force(self) -> str:
        """Return the digest of the bundle in force, read and verified anew."""
        with self.register() as register:
            history = register.history()
            history.verify(self.trusted, self.clock())
            return register.bundle(history.turns(self.clock())[-1].bundle).digest

    def smuggle(self, content: bytes, signatures: list[str], policy: str | None = None) -> None:
        """Write a statement into the store, past every check, as whoever holds the database can."""
        store = Store(self.settings.store_url)
        with store.transaction() as connection:
            if policy is not None:
                row = {"digest": self.digest(policy), "archive": pack(read_directory(self.policy(policy)))}
                connection.execute(tables.bundle.insert(), row)
            sequence = json.loads(content)["sequence"]
            row = {"sequence": sequence, "content": content, "signatures": msgspec.json.encode(signatures).decode()}
            connection.execute(tables.statement.insert(), row)
        store.close()


def changed(content: bytes, **members: object) -> bytes:
    """Return a statement with other members, written canonically; None leaves one out."""
    read = json.loads(content) | members
    return rfc8785.dumps({name: value for name, value in read.items() if value is not ...})


def following(statement: Statement, deed: Deed, **members: Any) -> bytes:
    """Return a statement that follows another one in its chain, made now."""
    made = datetime.now(UTC).replace(microsecond=0)
    previous = digest(statement.content())
    given = {"sequence": statement.sequence + 1, "previous": previous, "made": made, "deed": deed, **members}
    return replace(statement, **given).content()


def activation(city: City, name: str) -> Activate:
    """Return the deed that puts a policy in force."""
    return Activate(city.digest(name))
