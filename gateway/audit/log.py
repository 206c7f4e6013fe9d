"""The log's writer: an entry is durable before `append` returns, and sealed into the tree soon after."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import Connection

from gateway import sandbox, tables
from gateway.audit import appending, sealing, waiting
from gateway.audit.appending import Appender, Charge, Written
from gateway.audit.checkpoint import Checkpoint, CheckpointError
from gateway.audit.entry import Entry, SealedEntry, new_id, seal
from gateway.audit.merkle import Frontier, leaf_hash
from gateway.audit.notary import Notary
from gateway.audit.openings import Openings
from gateway.audit.promise import Promised, Promises
from gateway.audit.public import PublicPart, read
from gateway.audit.sealing import NEWEST_CHECKPOINT, Sealing, refuse_loss
from gateway.audit.tiles import Disagreement
from gateway.errors import ConfigurationError, Unavailable
from gateway.keys import Ring
from gateway.store import Store

With = Callable[[Connection], None]
T = TypeVar("T")
# What changes the store, in a transaction and under an entry's id, and then says what it did.
Deed = Callable[[Connection, str], tuple[Entry, T]]


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """The proof that an entry is durable, and the promise that it will be sealed; only `Log` makes one."""

    id: str
    promise: str


@dataclass(frozen=True, slots=True)
class Signing:
    """What signs for a log: its checkpoints, and the promises of its entries."""

    checkpoints: Ring[Ed25519PrivateKey]
    promises: Ring[Ed25519PrivateKey]


class Log:
    """One log in the gateway's store: an origin, signing keys, a tree; entries are sealed within `delay` seconds.

    What was given out of it is known outside of the store too, in its public part.
    """

    def __init__(
        self, store: Store, origin: str, signing: Signing, openings: Openings, public: PublicPart, delay: int
    ) -> None:
        self._store = store
        self._public = public
        self.notary = Notary(origin, signing.checkpoints)
        self.verifier = self.notary.verifier
        self._promises = Promises(origin, signing.promises)
        self._openings = openings
        self.sealing = Sealing(store, self.notary, openings, public)
        self._appender = Appender(store)
        self._in_sandbox = sandbox.named(origin)
        self._delay = delay
        # Until then, every entry had its place in the tree.
        self._complete_until = time.time()
        # Told that an entry could not be written; a gateway that serves has someone listen.
        self.failed: Callable[[], None] = lambda: None

    def append(self, entry: Entry, also: With | None = None) -> LoggedEntry:
        """Write an entry, and what `also` writes, in one transaction; return after the commit.

        A crash before the commit leaves nothing, and nothing was answered. A crash after it leaves an entry for an
        answer that was not sent: the log may say too much, never too little.
        """
        written = self._written(seal(self._marked(entry), new_id()))
        with self._failing():
            if also is None:
                self._appender.append(written)
            else:
                self._write(written, also)
        return self._logged(written)

    def charge(self, entry: Entry, charge: Charge) -> LoggedEntry:
        """Write an entry and charge a budget in one transaction, as `append` does; raise Throttled, and write nothing.

        Where the day is not over and holds all marks already, which no one takes back without putting another in its
        place, the entry is all that there is to write.
        """
        written = self._written(seal(self._marked(entry), new_id()))
        with self._failing():
            if self._store.sqlite or not self._appender.append(written, charge):
                self._write(written, charge.settle)
        return self._logged(written)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except Unavailable:
            self.failed()
            raise

    def _write(self, written: Written, also: With) -> None:
        with self._store.transaction() as connection:
            appending.insert(connection, written)
            # Last, so that what it locks is locked no longer than the commit takes.
            also(connection)

    def _logged(self, written: Written) -> LoggedEntry:
        made = int(written.since)
        promised = Promised(written.id, leaf_hash(written.leaf), made, made + self._delay)
        return LoggedEntry(written.id, self._promises.sign(promised))

    def perform(self, deed: Deed[T]) -> T:
        """Let a deed change the store, and write the entry that it makes of it, in one transaction; return its result.

        For what can be told only after it was done, such as how much there was to do. A crash leaves all or nothing.
        """
        identifier = new_id()
        with self._store.transaction() as connection:
            entry, result = deed(connection, identifier)
            appending.insert(connection, self._written(seal(self._marked(entry), identifier)))
        return result

    def _marked(self, entry: Entry) -> Entry:
        """Let each leaf of a sandbox say what it is of: it may be read apart from its log."""
        return replace(entry, facts={**entry.facts, **sandbox.FACTS}) if self._in_sandbox else entry

    def _written(self, sealed: SealedEntry) -> Written:
        """Seal an entry's openings, before any transaction: on SQLite one keeps all other writers out."""
        now = time.time()
        return Written(
            id=sealed.id,
            leaf=sealed.leaf,
            since=now,
            mark=self._openings.mark(waiting.name(sealed.id, leaf_hash(sealed.leaf), now)),
            commitments=[commitment.digest for commitment in sealed.commitments],
            openings=self._openings.seal(sealed.commitments, sealed.id),
        )

    def seal(self) -> int:
        """Seal a batch of what waits; return how many entries that were."""
        return self.sealing.batch()

    def seal_all(self) -> None:
        """Seal whatever waits, and note until when the tree is complete."""
        began = time.time()
        while self.seal() == sealing.BATCH:
            pass
        with self._store.reading() as connection:
            oldest = next(waiting.entries(connection, self._openings), None)
        # Another sealer may be at work, or none: what still waits says so.
        self._complete_until = began if oldest is None else min(began, oldest.since)

    def check_prompt(self) -> None:
        """Refuse while an entry has waited for its place longer than clients were promised, or nobody has looked."""
        if time.time() - self._complete_until > self._delay:
            raise Unavailable

    def publish(self) -> None:
        """Give out the newest checkpoint; raise Disagreement where it does not continue what was given out."""
        self._public.publish(self._verified, self._leaf_hashes)

    def _verified(self) -> str:
        note = self.checkpoint()
        try:
            self.opened(note)
        except CheckpointError as error:
            raise Disagreement(f"the newest checkpoint in the store is not this log's: {error}") from None
        return note

    def is_public(self) -> bool:
        """Whether what was given out covers every leaf."""
        with self._store.reading() as connection:
            size = connection.scalar(sa.select(tables.tree_head.c.size)) or 0
        kept = self._public.kept()
        return kept is not None and read(kept).size >= size

    def _leaf_hashes(self, begin: int, end: int) -> Iterator[bytes]:
        table = tables.leaf
        for first in range(begin, end, sealing.BATCH):
            within = table.c.leaf_index.between(first, min(first + sealing.BATCH, end) - 1)
            with self._store.reading() as connection:
                page = sa.select(table.c.leaf_hash).where(within).order_by(table.c.leaf_index)
                yield from connection.scalars(page).all()

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint, whether or not it was given out yet."""
        with self._store.reading() as connection:
            newest = connection.execute(NEWEST_CHECKPOINT).one_or_none()
        if newest is None:
            raise Unavailable
        return str(newest.note)

    def check(self) -> None:
        """Refuse to start on a log of another origin or key, and on a store that does not continue what was given out.

        Nothing is sealed or signed before: a strange key would sign its own way in, a store that lost entries a fork.
        """
        # First what was given out, then the store: another process may be sealing and publishing.
        kept = self._public.kept()
        size = self._check_store()
        if kept is None:
            raise ConfigurationError(
                f"of the log's {size} leaves none is public in GATEWAY_LOG_PUBLIC; 'gateway init' publishes them anew"
            )
        try:
            self._public.check(self.opened(kept))
        except CheckpointError as error:
            raise ConfigurationError(f"what is public in GATEWAY_LOG_PUBLIC is not this log's: {error}") from None
        refuse_loss(kept, size)
        self.publish()
        self.seal_all()

    def check_whole(self) -> None:
        """Refuse a store that holds less than was given out."""
        kept = self._public.kept()
        refuse_loss(kept, self._check_store())

    def begin(self) -> None:
        """Check the log, and publish it from the first leaf on where nothing of it is public on this machine."""
        if self._public.kept() is not None:
            self.check()
            return
        if self._check_store():
            self._public.begin(self._verified, self._leaf_hashes)
        self.seal_all()
        self._public.begin(self._verified, self._leaf_hashes)

    def _check_store(self) -> int:
        """Return how many leaves the store holds, if they are this log's."""
        with self._store.transaction() as connection:
            # In this order: another process may be sealing.
            newest = connection.execute(NEWEST_CHECKPOINT).one_or_none()
            head = connection.execute(sa.select(tables.tree_head)).one()
        if head.origin != self.verifier.origin:
            raise ConfigurationError(f"the store holds the log '{head.origin}', not '{self.verifier.origin}'")
        if newest is None and head.size:
            raise ConfigurationError("the store holds a log whose checkpoints are gone")
        if newest is not None:
            self._check_continues(newest.note, head)
        return int(head.size)

    def _check_continues(self, note: str, head: sa.Row[Any]) -> None:
        try:
            checkpoint = self.notary.open(note)
        except CheckpointError as error:
            raise ConfigurationError(f"the log in the store is not this key's: {error}") from None
        root = Frontier(head.size, head.frontier).root()
        if checkpoint.size > head.size or (checkpoint.size == head.size and checkpoint.root != root):
            raise ConfigurationError("the log in the store does not continue its newest checkpoint")

    def opened(self, note: str) -> Checkpoint:
        """Verify a note that was given out and return its checkpoint; raise CheckpointError."""
        with self._store.reading() as connection:
            return self.notary.open_known(note, connection)

    def unsealed(self) -> int:
        """Return how many entries wait for the sealer."""
        with self._store.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(tables.pending)) or 0
