"""Says once a day, by the city's calendar, which notices and which weekly reviews are overdue."""

from collections.abc import Callable
from datetime import date, datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from gateway import tables
from gateway.review.reviewing import overdue
from gateway.store import Store
from gateway.watch.alerts import Alert, Alerts, Kind


class Overdue:
    """Remembers on which day it last looked."""

    def __init__(
        self, store: Store, alerts: Alerts, zone: Callable[[], ZoneInfo], clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._alerts = alerts
        self._zone = zone
        self._clock = clock
        self._looked = date.min

    def look(self) -> None:
        """Raise the day's alerts, if that was not done."""
        now, zone = self._clock(), self._zone()
        today = now.astimezone(zone).date()
        if today == self._looked:
            return
        late = sa.select(tables.notice.c.client_id, sa.func.count(), sa.func.min(tables.notice.c.due)).where(
            tables.notice.c.acknowledged.is_(None), tables.notice.c.due < now.timestamp()
        )
        with self._store.reading() as connection:
            owed = connection.execute(late.group_by(tables.notice.c.client_id)).all()
        for client, count, due in owed:
            since = datetime.fromtimestamp(due, zone).date().isoformat()
            self._alerts.add(Alert(Kind.NOTICE_OVERDUE, client, {"notices": count, "since": since}))
        weeks = overdue(self._store, zone, now)
        if weeks:
            self._alerts.add(Alert(Kind.REVIEW_OVERDUE, None, {"weeks": len(weeks), "oldest": str(weeks[0])}))
        self._looked = today
