"""Holds what the store keeps beside the tree against it: sealed parts, their indexes, and what leaves are searched by.

The offline verifier needs no private key and sees none of this; here the log's owner looks at the rest.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.audit import heading, waiting
from gateway.audit.merkle import Frontier, leaf_hash
from gateway.audit.openings import OpeningError, Openings, Sealed
from gateway.audit.sealing import head_name
from gateway.store import Store

PAGE = 500
# What an entry of an erasure is called.
ERASURE = "audit-erase"


class SealedPartError(Exception):
    """The first thing that is wrong beside the tree."""


def check(store: Store, openings: Openings, progress: Callable[[int], None] = lambda _: None) -> int:
    """Check all that stands beside the tree; return how many openings are erased, raise SealedPartError.

    1. Every entry is in the tree or waits for its place.
    2. Each leaf's hash, and what it is searched by, is what the entry says; together the hashes give the head, which a
       holder of the log's keys has written, and which is the next to be signed.
    3. Every opening that is not erased opens, proves its commitment, and is found by whom it is about; an erased one
       is erased in every part.
    4. No more is erased than the entries of erasures tell of.
    """
    with store.snapshot() as connection:
        # 1.
        _check_places(connection)
        # 2.
        _check_leaves(connection, openings)
        # 3.
        erased = _check_openings(connection, openings, progress)
        # 4.
        _check_orders(connection, openings, erased)
        return erased


def _check_places(connection: Connection) -> None:
    sealed = sa.select(tables.leaf.c.entry_id).where(tables.leaf.c.entry_id == tables.entry.c.entry_id)
    waits = sa.select(tables.pending.c.entry_id).where(tables.pending.c.entry_id == tables.entry.c.entry_id)
    lost = sa.select(tables.entry.c.entry_id).where(~sealed.exists(), ~waits.exists()).limit(1)
    if (found := connection.scalar(lost)) is not None:
        raise SealedPartError(f"removed: the entry {found} is neither in the tree nor waits for its place")


def _check_orders(connection: Connection, openings: Openings, erased: int) -> None:
    placed = sa.select(tables.leaf.c.entry_id).where(tables.leaf.c.action == ERASURE)
    # An erasure of a moment ago waits for its place; what nobody with the keys has written tells of nothing.
    waits = [each.id for each in waiting.entries(connection, openings) if each.columns["action"] == ERASURE]
    told_of = tables.entry.c.entry_id.in_(placed) | tables.entry.c.entry_id.in_(waits)
    orders = connection.scalars(sa.select(tables.entry.c.leaf).where(told_of))
    told = sum(msgspec.json.decode(leaf, type=_Erasure).openings for leaf in orders)
    if erased > told:
        raise SealedPartError(f"openings: {erased} are erased, and the log tells of {told}")


class _Erasure(msgspec.Struct):
    """Of the leaf of an erasure, how many openings it destroyed."""

    openings: int


def _check_leaves(connection: Connection, openings: Openings) -> None:
    statement = (
        sa.select(tables.leaf, tables.entry.c.leaf.label("content"))
        .outerjoin(tables.entry, tables.entry.c.entry_id == tables.leaf.c.entry_id)
        .where(tables.leaf.c.leaf_index > sa.bindparam("after"))
        .order_by(tables.leaf.c.leaf_index)
        .limit(PAGE)
    )
    at, frontier = -1, Frontier()
    while rows := connection.execute(statement, {"after": at}).all():
        for row in rows:
            _check_leaf(row)
            frontier.append(row.leaf_hash)
        at = rows[-1].leaf_index
    head = connection.execute(sa.select(tables.tree_head)).one()
    if (head.size, head.frontier) != (frontier.size, frontier.pack()):
        raise SealedPartError(f"changed: the leaves do not give the head of {head.size} leaves")
    if head.size and not openings.holds(head_name(head.origin, head.size, head.frontier), head.mark or b""):
        raise SealedPartError("changed: the head was written by nobody who holds this log's keys")


def _check_leaf(row: Any) -> None:
    if row.content is None:
        # Lost; whether that is declared is the verifier's to say.
        return
    if leaf_hash(row.content) != row.leaf_hash:
        raise SealedPartError(f"changed: the entry of leaf {row.leaf_index} does not hash to it")
    if any(getattr(row, name) != value for name, value in heading.read(row.content).columns().items()):
        raise SealedPartError(f"changed: leaf {row.leaf_index} is searched by what it does not say")


def _check_openings(connection: Connection, openings: Openings, progress: Callable[[int], None]) -> int:
    table = tables.opening
    statement = (
        sa.select(table)
        .where(sa.tuple_(table.c.entry_id, table.c.position) > sa.tuple_(sa.bindparam("entry"), sa.bindparam("at")))
        .order_by(table.c.entry_id, table.c.position)
        .limit(PAGE)
    )
    done, erased, after = 0, 0, {"entry": "", "at": -1}
    while rows := connection.execute(statement, after).all():
        erased += sum(_is_erased(row, openings) for row in rows)
        after = {"entry": rows[-1].entry_id, "at": rows[-1].position}
        done += len(rows)
        progress(done)
    return erased


def _is_erased(row: Any, openings: Openings) -> bool:
    kept = Sealed(row.sealed, row.wrapped, row.about, row.record)
    named = f"opening {row.position} of the entry {row.entry_id}"
    if row.sealed is None or row.wrapped is None:
        if (row.sealed, row.wrapped, row.about, row.record) != (None, None, None, None):
            raise SealedPartError(f"openings: {named} is erased in part")
        return True
    try:
        openings.check(kept, row.commitment, row.entry_id, row.position)
    except OpeningError as error:
        raise SealedPartError(f"openings: {named}: {error}") from None
    return False
