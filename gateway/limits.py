"""Disclosure budgets: how many persons an agreement may be shown in a day, and how often more may be asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.errors import Code, Throttled

# Pages of an agreement that may be refused for its budget in a day; with the last of them the day is over. A refusal
# tells that the view holds somebody else whom a filter meets, and so answers a question about whom it does not show.
REFUSALS = 20


@dataclass(frozen=True, slots=True)
class Charge:
    """What a page would cost: its distinct persons (or records) on a local day, and what the day may hold.

    It has none where nothing was found, and is refused all the same once the day is over.
    """

    agreement: str
    day: date
    at_most: int
    marks: Sequence[str]

    def settle(self, connection: Connection) -> None:
        """Charge a page, whole or not at all; what was shown before on the same day costs nothing.

        Raise Throttled, which undoes the transaction, if the day is over, or would hold more than it may. The
        agreement's row is locked, so that two pages at once can't each take the last place.
        """
        lock = sa.select(tables.agreement.c.agreement_id).where(tables.agreement.c.agreement_id == self.agreement)
        connection.execute(lock.with_for_update())
        refusal = tables.budget_refusal
        today = refusal.c.agreement_id == self.agreement, refusal.c.day == self.day
        if connection.scalar(sa.select(refusal.c.refusals_left).where(*today)) == 0:
            raise spent()
        marks = sorted(set(self.marks))
        if not marks:
            return
        if connection.dialect.name == "sqlite":
            rows = [{"agreement_id": self.agreement, "day": self.day, "mark": mark} for mark in marks]
            counted = {"preserve_rowcount": True}
            added = connection.execute(
                sqlite.insert(tables.budget_mark).on_conflict_do_nothing(), rows, execution_options=counted
            )
        else:
            added = connection.exec_driver_sql(_MARK, (self.agreement, self.day, marks))
        if not added.rowcount:
            # Also where the budget has become smaller since.
            return
        table = tables.budget_mark
        mine = sa.select(sa.func.count()).where(table.c.agreement_id == self.agreement, table.c.day == self.day)
        if (connection.scalar(mine) or 0) > self.at_most:
            raise spent()

    def refuse(self, connection: Connection) -> None:
        """Count a page that was refused, in the transaction of the refusal's entry."""
        connection.execute(_REFUSED, {"agreement": self.agreement, "day": self.day, "left": REFUSALS - 1})


def spent() -> Throttled:
    """Return the refusal of a page beyond the budget, and of every page once the day is over: they are one."""
    return Throttled(
        Code.BUDGET_SPENT,
        "Ask for fewer persons, or again tomorrow; the same page costs nothing twice. After "
        f"{REFUSALS} such refusals in a day, every page is refused until the next.",
    )


_MARK = """
    INSERT INTO budget_mark (agreement_id, day, mark) SELECT %s, %s, unnest(%s::varchar[]) ON CONFLICT DO NOTHING
"""
_REFUSED = sa.text("""
    INSERT INTO budget_refusal (agreement_id, day, refusals_left) VALUES (:agreement, :day, :left)
    ON CONFLICT (agreement_id, day) DO UPDATE SET refusals_left = budget_refusal.refusals_left - 1
    WHERE budget_refusal.refusals_left > 0
""").bindparams(sa.bindparam("day", type_=sa.Date))
