"""Seals: gives the entries that wait their places in the tree, and signs its head."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit import waiting
from gateway.audit.checkpoint import Checkpoint, CheckpointError
from gateway.audit.merkle import Frontier
from gateway.audit.notary import Notary
from gateway.audit.openings import Openings
from gateway.audit.public import PublicPart, read
from gateway.audit.tiles import Disagreement
from gateway.audit.waiting import Waiting
from gateway.errors import Unavailable
from gateway.store import Store

BATCH = 1000
NEWEST_CHECKPOINT = sa.select(tables.checkpoint).order_by(tables.checkpoint.c.size.desc()).limit(1)
# One statement for a batch of leaves: between several that are sent at once PostgreSQL does not count a silence.
_PLACED = """INSERT INTO leaf
    (leaf_index, entry_id, leaf_hash, time, action, decision, outcome, client, agency, purpose)
    SELECT * FROM unnest(%(leaf_index)b::bigint[], %(entry_id)b::varchar[], %(leaf_hash)b::bytea[], %(time)b::float8[],
        %(action)b::varchar[], %(decision)b::varchar[], %(outcome)b::varchar[],
        %(client)b::varchar[], %(agency)b::varchar[], %(purpose)b::varchar[])
"""


class Sealing:
    """The tree of one log, as a process with its keys extends it."""

    def __init__(self, store: Store, notary: Notary, openings: Openings, public: PublicPart) -> None:
        self._store = store
        self._notary = notary
        self._openings = openings
        self._public = public

    def batch(self) -> int:
        """Give a batch of what waits its places in the tree, and sign the new head; return how many were sealed.

        Only one sealer is at work: the head's row is locked, and moved only from the size that was read. One that is
        cut off from the database loses the lock within seconds, and its commit fails. A crash after the commit leaves
        a head without a checkpoint, which the next call signs.
        """
        with self._store.transaction() as connection:
            self._store.hurry(connection)
            head = connection.execute(sa.select(tables.tree_head).with_for_update(skip_locked=True)).one_or_none()
            if head is None:
                return 0
            refuse_loss(self._public.kept(), head.size)
            if not self._is_own(head):
                return 0
            entries = sorted(islice(waiting.entries(connection, self._openings), BATCH), key=lambda entry: entry.time)
            if entries:
                self._extend(connection, Frontier(head.size, head.frontier), entries)
        self._sign()
        return len(entries)

    def head(self, frontier: Frontier) -> dict[str, object]:
        """Return the head's columns for a tree, with the mark of whoever may write it."""
        packed = frontier.pack()
        mark = self._openings.mark(head_name(self._notary.verifier.origin, frontier.size, packed))
        return {"size": frontier.size, "frontier": packed, "mark": mark}

    def _is_own(self, head: sa.Row[Any]) -> bool:
        """Whether a holder of this process's keys has written the head; raise Disagreement where nobody has.

        What was written under a newer key is for others to go on with.
        """
        if not head.size:
            return True
        mark = head.mark or b""
        if not self._openings.knows(mark):
            return False
        if not self._openings.holds(head_name(head.origin, head.size, head.frontier), mark):
            raise Disagreement("the head of the tree in the store was written by nobody who holds this log's keys")
        return True

    def _extend(self, connection: Connection, frontier: Frontier, entries: Sequence[Waiting]) -> None:
        before = frontier.size
        leaves: list[dict[str, object]] = []
        for entry in entries:
            place: dict[str, object] = {"leaf_index": frontier.size, "entry_id": entry.id, "leaf_hash": entry.hashed}
            leaves.append(place | entry.columns)
            frontier.append(entry.hashed)
        if self._store.sqlite:
            connection.execute(tables.leaf.insert(), leaves)
        else:
            connection.exec_driver_sql(_PLACED, {name: [leaf[name] for leaf in leaves] for name in leaves[0]})
        done = tables.pending.c.entry_id.in_([entry.id for entry in entries])
        connection.execute(tables.pending.delete().where(done))
        moved = connection.execute(
            tables.tree_head.update().where(tables.tree_head.c.size == before).values(self.head(frontier))
        )
        if moved.rowcount != 1:
            raise Unavailable

    def _sign(self) -> None:
        """Sign the head if it has no checkpoint yet. Two signers of one head write the same note."""
        with self._store.transaction() as connection:
            # Locked, so that no note by the old key alone comes after one by the new.
            head = connection.execute(sa.select(tables.tree_head).with_for_update()).one()
            newest = connection.execute(NEWEST_CHECKPOINT).one_or_none()
            if newest is not None and newest.size == head.size:
                return
            if not self._is_own(head) or (newest is not None and self._notary.is_succeeded(newest.note, connection)):
                return
            checkpoint = Checkpoint(self._notary.verifier.origin, head.size, Frontier(head.size, head.frontier).root())
            try:
                note = self._notary.sign(checkpoint, None if newest is None else newest.note, connection)
            except CheckpointError as error:
                raise Disagreement(f"the newest checkpoint in the store is not this log's: {error}") from None
            row = {"size": head.size, "note": note}
            if self._store.sqlite:
                connection.execute(tables.checkpoint.insert(), row)
            else:
                connection.execute(postgresql.insert(tables.checkpoint).on_conflict_do_nothing(), row)


def head_name(origin: str, size: int, frontier: bytes) -> str:
    """Name what the head's mark is over."""
    return f"head:{origin}:{size}:{frontier.hex()}"


def refuse_loss(kept: str | None, size: int) -> None:
    """Refuse a store that holds less than was given out: what it sealed next would take the places of lost leaves."""
    if kept is None and size:
        raise Disagreement(
            "of the log nothing is public in GATEWAY_LOG_PUBLIC here, so that a loss would not be seen; 'gateway init' "
            "publishes it, once it is sure that the store is no older copy"
        )
    given_out = 0 if kept is None else read(kept).size
    if given_out > size:
        raise Disagreement(
            f"a checkpoint of {given_out} leaves was given out, and the store holds {size}: it is an older copy, or "
            "lost entries; where no newer copy is left, 'gateway audit declare-loss' lets the log go on"
        )
