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

    def settle(self, connection: Connection) -> None:
        """Charge a page, whole or not at all; what was shown before on the same day costs nothing.

        Raise Throttled, which undoes the transaction, if the day would hold more than it may. The agreement's row is
        locked, so that two pages at once can't each take the last place.
        """
        marks = sorted(set(self.marks))
        if not marks:
            return
        lock = sa.select(tables.agreement.c.agreement_id).where(tables.agreement.c.agreement_id == self.agreement)
        connection.execute(lock.with_for_update())
        if connection.dialect.name == "sqlite":
            rows = [{"agreement_id": self.agreement, "day": self.day, "mark": mark} for mark in marks]
            connection.execute(sqlite.insert(tables.budget_mark).on_conflict_do_nothing(), rows)
        else:
            connection.exec_driver_sql(_MARK, (self.agreement, self.day, marks))
        table = tables.budget_mark
        mine = sa.select(sa.func.count()).where(table.c.agreement_id == self.agreement, table.c.day == self.day)
        if (connection.scalar(mine) or 0) > self.at_most:
            raise Throttled(
                Code.BUDGET_SPENT, "Ask for fewer persons, or again tomorrow; the same page costs nothing twice."
            )


_MARK = """
    INSERT INTO budget_mark (agreement_id, day, mark) SELECT %s, %s, unnest(%s::varchar[]) ON CONFLICT DO NOTHING
"""
