"""Disclosure budgets: how many persons an agreement may be shown in a day, kept durably."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.errors import Code, Throttled


@dataclass(frozen=True, slots=True)
class Charge:
    """What a page would cost: its distinct persons (or records) on a local day, and what the day may hold."""

    agreement: str
    day: date
    at_most: int
    marks: Sequence[str]


def settle(charge: Charge, connection: Connection) -> None:
    """Charge a page, whole or not at all; what was shown before on the same day costs nothing.

    Raise Throttled, which undoes the transaction, if the day would hold more than it may. The agreement's row is
    locked, so that two pages at once can't each take the last place.
    """
    marks = sorted(set(charge.marks))
    if not marks or _known(charge, marks, connection):
        return
    lock = sa.select(tables.agreement.c.agreement_id).where(tables.agreement.c.agreement_id == charge.agreement)
    connection.execute(lock.with_for_update())
    if connection.dialect.name == "sqlite":
        rows = [{"agreement_id": charge.agreement, "day": charge.day, "mark": mark} for mark in marks]
        connection.execute(sqlite.insert(tables.budget_mark).on_conflict_do_nothing(), rows)
    else:
        connection.exec_driver_sql(_MARK, (charge.agreement, charge.day, marks))
    table = tables.budget_mark
    mine = sa.select(sa.func.count()).where(table.c.agreement_id == charge.agreement, table.c.day == charge.day)
    if (connection.scalar(mine) or 0) > charge.at_most:
        raise Throttled(
            Code.BUDGET_SPENT, "Ask for fewer persons, or again tomorrow; the same page costs nothing twice."
        )


def _known(charge: Charge, marks: list[str], connection: Connection) -> bool:
    """Whether the day holds all of the marks already; none is taken back on its day, so no lock is needed."""
    if connection.dialect.name == "sqlite":
        return False
    found = connection.exec_driver_sql(_KNOWN, (charge.agreement, charge.day, marks)).scalar()
    return bool(found == len(marks))


_KNOWN = "SELECT count(*) FROM budget_mark WHERE agreement_id = %s AND day = %s AND mark = ANY(%s::varchar[])"
_MARK = """
    INSERT INTO budget_mark (agreement_id, day, mark) SELECT %s, %s, unnest(%s::varchar[]) ON CONFLICT DO NOTHING
"""
