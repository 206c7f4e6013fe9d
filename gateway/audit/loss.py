"""Declares a loss: a store that was restored from an older copy goes on after what was given out, and says so.

Of lost entries the public tiles still hold the hashes. They keep their places in the tree, so that every checkpoint,
receipt and promise that was given out stands; what the entries said is gone.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit.checkpoint import Checkpoint, CheckpointError
from gateway.audit.entry import Entry, Opening
from gateway.audit.log import Log
from gateway.audit.merkle import Frontier
from gateway.audit.proof import Tree
from gateway.audit.public import PublicPart
from gateway.audit.sealing import BATCH
from gateway.audit.tiles import Disagreement
from gateway.canonical import Json
from gateway.errors import ConfigurationError, Unavailable
from gateway.store import Store


@dataclass(frozen=True, slots=True)
class Loss:
    """The leaves whose entries the store lacks, from `first` to `last`."""

    first: int
    last: int


def declare(store: Store, log: Log, public: PublicPart, because: str, by: str, now: datetime) -> Loss:
    """Give lost leaves their places again, and write down that they are lost, in one transaction.

    Entries that waited for their place when the copy was made have lost it too; they get another, behind the loss.
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
            f"nothing is lost: the store holds {size} leaves, and the newest checkpoint that was given out here covers "
            f"{given_out.size}"
        )
    loss = Loss(size, given_out.size - 1)
    facts: dict[str, Json] = {"first": loss.first, "last": loss.last, "checkpoint": given_out.size}
    openings = (Opening("officer", by), Opening("reason", because))
    restore = partial(_restore, log=log, given_out=given_out, note=note, lost=public.tree(), size=size)
    log.append(Entry("log-loss", "permit", "done", now, None, facts, openings), restore)
    log.seal_all()
    log.publish()
    return loss


def _restore(connection: Connection, log: Log, given_out: Checkpoint, note: str, lost: Tree, size: int) -> None:
    head = connection.execute(sa.select(tables.tree_head).with_for_update()).one()
    if head.size != size:
        raise Unavailable
    frontier = Frontier(head.size, head.frontier)
    for first in range(size, given_out.size, BATCH):
        page = [(index, lost.leaf_hash(index)) for index in range(first, min(first + BATCH, given_out.size))]
        for _, hashed in page:
            frontier.append(hashed)
        rows = [{"leaf_index": index, "leaf_hash": hashed} for index, hashed in page]
        connection.execute(tables.leaf.insert(), rows)
    if frontier.root() != given_out.root:
        raise Disagreement(
            f"the store's {size} leaves are not the first {size} of what was given out: it is no older copy of this log"
        )
    connection.execute(tables.tree_head.update().values(log.sealing.head(frontier)))
    connection.execute(
        tables.checkpoint.insert(), {"size": given_out.size, "note": log.notary.accounted_for(note, connection)}
    )
