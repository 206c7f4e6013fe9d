"""Logs for the tests of the audit: how to open one, and what a forger with the whole store in hand can do."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import rfc8785
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import Connection

from gateway import app as composition
from gateway import keys as key_files
from gateway import tables
from gateway.audit import heading, sealed
from gateway.audit.checkpoint import Checkpoint, sign
from gateway.audit.export import export
from gateway.audit.log import Log
from gateway.audit.merkle import Frontier, leaf_hash
from gateway.audit.openings import Openings
from gateway.audit.sealed import SealedPartError
from gateway.errors import ConfigurationError
from gateway.store import Store
from gateway.verifier import verify as offline
from gateway.verifier.evidence import Evidence
from gateway.verifier.note import read_log_key
from gateway.verifier.verdict import VerificationError, Verified
from tests.services import Postgres
from tests.world import Databases, settings

NOT_VERIFIED = (VerificationError, SealedPartError, ConfigurationError)


def verify(store: Store, log: Log, against: str | None = None) -> Verified:
    """Export a log, and verify the export as a stranger would."""
    evidence = Evidence(() if against is None else (against,), (), (), ())
    keys = (read_log_key(log.verifier.vkey()),)
    with TemporaryDirectory() as scratch:
        export(store, log.verifier.origin, Path(scratch) / "log")
        return offline.verify(Path(scratch) / "log", keys, evidence, datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A log in a store, with all that its owner holds."""

    store: Store
    log: Log
    openings: Openings
    key: Ed25519PrivateKey

    def verify(self, against: str | None = None) -> Verified:
        """Verify the log, with the keys of its openings."""
        verified = verify(self.store, self.log, against)
        sealed.check(self.store, self.openings)
        return verified

    def seal(self) -> None:
        """Seal all that waits."""
        self.log.seal_all()


@contextmanager
def opened(databases: Databases, keys: Path, **changed: str) -> Iterator[OpenLog]:
    """Open a log as another process would, and let its connections go at the end."""
    chosen = settings(databases, keys, **changed)
    with composition.open_log(chosen) as log:
        yield OpenLog(log.store, log.log, log.openings, key_files.read(keys, chosen.keys_passphrase).checkpoint.keys[1])


@contextmanager
def copied(original: Databases, server: Postgres | None, directory: Path) -> Iterator[Databases]:
    """Copy a store that nobody has open; the copy ends with the block."""
    if server is None:
        file = directory / "copy.db"
        shutil.copyfile(original.store.removeprefix("sqlite:///"), file)
        yield Databases(original.arrests, f"sqlite:///{file}")
        return
    name = server.create(str(sa.make_url(original.store).database))
    try:
        yield Databases(original.arrests, server.url(name))
    finally:
        server.drop(name)


# --- a forger's tools ---------------------------------------------------------------------------------------


def entry_at(connection: Connection, index: int) -> str:
    """Return the id of the entry of a leaf."""
    found = connection.scalar(
        sa.select(tables.leaf.c.entry_id).where(tables.leaf.c.leaf_index == index),
    )
    assert isinstance(found, str), f"there is no leaf {index}"
    return found


def size(connection: Connection) -> int:
    """Return how many leaves there are."""
    return connection.scalar(sa.select(sa.func.count()).select_from(tables.leaf)) or 0


def leaf_of(connection: Connection, entry_id: str) -> dict[str, Any]:
    """Read a leaf."""
    found = connection.scalar(sa.select(tables.entry.c.leaf).where(tables.entry.c.entry_id == entry_id))
    leaf: dict[str, Any] = json.loads(found or b"{}")
    return leaf


def write_leaf(connection: Connection, entry_id: str, content: bytes) -> None:
    """Replace a leaf's bytes."""
    entry = tables.entry
    connection.execute(entry.update().where(entry.c.entry_id == entry_id).values(leaf=content))


def change_leaf(connection: Connection, entry_id: str, **members: object) -> None:
    """Change members of a leaf, and write it as canonical JSON again."""
    write_leaf(connection, entry_id, rfc8785.dumps(leaf_of(connection, entry_id) | members))


def remove_entry(connection: Connection, entry_id: str) -> None:
    """Remove an entry and all that hangs on it, but for its leaf."""
    for table in (tables.entry, tables.opening, tables.pending):
        connection.execute(table.delete().where(table.c.entry_id == entry_id))


def renumber(connection: Connection, entry_ids: list[str]) -> None:
    """Write the tree anew over these entries, in this order, hashes and head and all."""
    frontier = Frontier()
    connection.execute(tables.leaf.delete())
    for index, entry_id in enumerate(entry_ids):
        content = connection.scalar(sa.select(tables.entry.c.leaf).where(tables.entry.c.entry_id == entry_id))
        hashed = leaf_hash(content or b"")
        row = {"leaf_index": index, "entry_id": entry_id, "leaf_hash": hashed} | _columns(content or b"")
        connection.execute(tables.leaf.insert(), row)
        frontier.append(hashed)
    connection.execute(tables.tree_head.update().values(size=frontier.size, frontier=frontier.pack()))


def _columns(content: bytes) -> dict[str, object]:
    """Return what a leaf is searched by; a forger keeps to it, where the leaf can be read at all."""
    try:
        return heading.read(content).columns()
    except (ValueError, msgspec.DecodeError):
        return {}


def order(connection: Connection) -> list[str]:
    """Return the entries in the order of the tree."""
    return list(connection.scalars(sa.select(tables.leaf.c.entry_id).order_by(tables.leaf.c.leaf_index)))


def rehash(connection: Connection) -> None:
    """Bring leaf hashes and head into line with the entries, as they are now."""
    renumber(connection, order(connection))


def mark_head(connection: Connection, log: Log) -> None:
    """Mark the head as a holder of the keys can."""
    head = connection.execute(sa.select(tables.tree_head)).one()
    connection.execute(tables.tree_head.update().values(log.sealing.head(Frontier(head.size, head.frontier))))


def resign(connection: Connection, origin: str, key: Ed25519PrivateKey) -> None:
    """Sign each stored checkpoint anew, over the tree as it is now."""
    roots, frontier = {0: Frontier().root()}, Frontier()
    for hashed in connection.scalars(sa.select(tables.leaf.c.leaf_hash).order_by(tables.leaf.c.leaf_index)):
        frontier.append(hashed)
        roots[frontier.size] = frontier.root()
    table = tables.checkpoint
    for at in list(connection.scalars(sa.select(table.c.size))):
        note = sign(Checkpoint(origin, at, roots[at]), [key])
        connection.execute(table.update().where(table.c.size == at).values(note=note))


def newest_checkpoint(connection: Connection) -> int:
    """Return the size of the newest stored checkpoint."""
    return connection.scalar(sa.select(sa.func.max(tables.checkpoint.c.size))) or 0
