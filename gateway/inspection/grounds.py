"""Why a client was refused before the policy was asked: what the city had agreed with its agency, or stopped."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gateway import tables
from gateway.activation.history import described
from gateway.activation.statement import Lift, Statement, StatementError, Stop
from gateway.errors import Code
from gateway.inspection.inspector import Inspector, decoded

_CHANGES = tuple(f"agreement-{step}" for step in ("suspend", "resume", "renew", "certify", "terminate"))


def grounds_of(inspector: Inspector, leaf: dict[str, Any]) -> Iterator[str]:
    """Say on what such a refusal stood, from the log's own entries of agreements, and from the statements."""
    if leaf["outcome"] == Code.AGENCY_STOPPED:
        yield from _stop(inspector, leaf)
        return
    made = leaf["agreement"]
    yield f"The agreement {made['id']} was in version {made['version']}, {made['state']}."
    yield from _changed(inspector, leaf)
    with inspector.store.reading() as connection:
        table = tables.agreement
        now = connection.execute(sa.select(table).where(table.c.agreement_id == made["id"])).one_or_none()
    if leaf["outcome"] == Code.PURPOSE_NOT_AGREED:
        yield f"It did not cover the purpose {leaf.get('purpose', '')}. A rule was not asked."
    elif made["state"] == "in-force":
        yield "By its state it stood: the day of the question lay before its first day, or after its last."
    if now is None:
        yield "There is no such agreement any more."
        return
    until = f" until {now.until}, exclusive" if now.until else ", without an end"
    purposes = ", ".join(sorted(now.purposes))
    yield f"Today it is in version {now.version}, {now.state}, from {now.starts}{until}, for {purposes}."


def _changed(inspector: Inspector, refused: dict[str, Any]) -> Iterator[str]:
    """Name the entry of the change that made the agreement what it was."""
    leaf, entry = tables.leaf, tables.entry
    statement = (
        sa.select(leaf.c.leaf_index, entry.c.leaf)
        .join(entry, entry.c.entry_id == leaf.c.entry_id)
        .where(leaf.c.action.in_(_CHANGES))
    )
    with inspector.store.reading() as connection:
        rows = connection.execute(statement.order_by(leaf.c.leaf_index)).all()
    for row in rows:
        change = decoded(row.leaf, f"of leaf {row.leaf_index}")
        if change["agreement"] == refused["agreement"]:
            yield f"It came to that by {change['action']} at {change['time']}: entry {change['id']}."


def _stop(inspector: Inspector, leaf: dict[str, Any]) -> Iterator[str]:
    """Name the statement by which the agency was stopped, and whether the stop was lifted."""
    try:
        statements = inspector.register.history().statements
    except StatementError as error:
        yield f"The chain of statements is broken: {error}."
        return
    named = {f"statement-{each.sequence}": each for each in statements}
    for rule in leaf.get("rules", ()):
        if rule not in named:
            yield f"It names {rule}, which is not in the store."
            continue
        stop = named[rule]
        if not isinstance(stop.deed, Stop) or stop.deed.agency != leaf.get("agency"):
            yield f"It names {rule}, which does something else: {described(stop)}."
            continue
        yield f"The city had stopped {stop.deed.agency} by statement {stop.sequence}, of {stop.made}: {stop.because}"
        yield from _lifted(stop, statements)


def _lifted(stop: Statement, statements: tuple[Statement, ...]) -> Iterator[str]:
    later = [each for each in statements if each.sequence > stop.sequence and isinstance(each.deed, Lift)]
    lifts = [each for each in later if each.deed == Lift(stop.deed.agency)] if isinstance(stop.deed, Stop) else []
    if lifts:
        lifted = datetime.isoformat(lifts[0].made)
        yield f"The stop was lifted by statement {lifts[0].sequence}, of {lifted}: {lifts[0].because}"
    else:
        yield "The stop is still in force."
