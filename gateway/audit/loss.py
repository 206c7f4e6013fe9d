"""Declares a loss: a store that was restored from an older copy goes on after what was given out, and says so.

Of lost entries the public tiles still hold the hashes. They keep their places in the tree, so that every checkpoint,
receipt and promise that was given out stands; what the entries said is gone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit.checkpoint import Checkpoint, CheckpointError
from gateway.audit.entry import Entry, Opening
from gateway.audit.log import BATCH, Log, Waiting
from gateway.audit.merkle import Frontier
from gateway.audit.proof import Tree
from gateway.audit.public import PublicPart
from gateway.audit.tiles import Disagreement
from gateway.errors import ConfigurationError, Unavailable
from gateway.store import Store

_NOTHING = dict.fromkeys(("entry_id", "time", "action", "client", "agency", "purpose", "decision", "outcome"))


@dataclass(frozen=True, slots=True)
class Loss:
    """The leaves that the store lacks, from `first` to `last`; of the entries among them, `lost` are gone."""

    first: int
    last: int
    lost: int


def declare(store: Store, log: Log, public: PublicPart, because: str, by: str, now: datetime) -> Loss:
    """Give lost leaves their places again, and write down that they are lost, in one transaction.

    Entries that wait in the store although they had their place when the copy was made are found by their hashes, and
    take it again.
    """
    note = public.kept()
    if note is None:
        raise ConfigurationError("of the log nothing is public in GATEWAY_LOG_PUBLIC: what is lost can't be told")
    try:
        given_out = log.opened(note)
    except CheckpointError as error:
        raise ConfigurationError(f"what is public in GATEWAY_LOG_PUBLIC is not this log's: {error}") from None
    with store.reading() as connection:
        size = connection.scalar(sa.select(tables.tree_head.c.size)) or 0
    if given_out.size <= size:
        raise ConfigurationError(
            f"nothing is lost: the store holds {size} leaves, the newest checkpoint that was given out here covers "
            f"{given_out.size}"
        )
    waiting = _waiting(store)
    tree = public.tree()
    found = sum(tree.leaf_hash(index) in waiting for index in range(size, given_out.size))
    loss = Loss(size, given_out.size - 1, given_out.size - size - found)
    log.append(
        Entry(
            "log-loss",
            "permit",
            "done",
            now,
            None,
            {"first": loss.first, "last": loss.last, "lost": loss.lost, "checkpoint": given_out.size},
            (Opening("officer", by), Opening("reason", because)),
        ),
        lambda connection: _restore(connection, size, given_out, note, tree, waiting),
    )
    log.seal_all()
    log.publish()
    return loss


def _waiting(store: Store) -> dict[bytes, Waiting]:
    entry, pending = tables.entry.c, tables.pending.c
    wanted = sa.select(entry.entry_id, entry.leaf).join(tables.pending, pending.entry_id == entry.entry_id)
    with store.reading() as connection:
        found = (Waiting.read(row.entry_id, row.leaf) for row in connection.execute(wanted))
        return {each.hashed: each for each in found}


def _restore(
    connection: Connection,
    size: int,
    given_out: Checkpoint,
    note: str,
    tree: Tree,
    waiting: Mapping[bytes, Waiting],
) -> None:
    head = connection.execute(sa.select(tables.tree_head).with_for_update()).one()
    if head.size != size:
        raise Unavailable
    frontier = Frontier(head.size, head.frontier)
    for page in _pages(tree, size, given_out.size):
        rows: list[dict[str, Any]] = []
        for index, hashed in page:
            frontier.append(hashed)
            lost = {"leaf_index": index, "leaf_hash": hashed, **_NOTHING}
            rows.append(waiting[hashed].placed(index) if hashed in waiting else lost)
        connection.execute(tables.leaf.insert(), rows)
        again = [row["entry_id"] for row in rows if row["entry_id"] is not None]
        connection.execute(tables.pending.delete().where(tables.pending.c.entry_id.in_(again)))
    if frontier.root() != given_out.root:
        raise Disagreement(
            f"the store's {size} leaves are not the first {size} of what was given out: it is no older copy of this log"
        )
    connection.execute(tables.tree_head.update().values(size=frontier.size, frontier=frontier.pack()))
    connection.execute(tables.checkpoint.insert(), {"size": given_out.size, "note": note})


def _pages(tree: Tree, begin: int, end: int) -> Iterator[list[tuple[int, bytes]]]:
    for first in range(begin, end, BATCH):
        yield [(index, tree.leaf_hash(index)) for index in range(first, min(first + BATCH, end))]
