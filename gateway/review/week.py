"""A week of the city: from Monday's midnight to the next, by its ISO number."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.domains import DATES
from gateway.errors import ConfigurationError

_NAME = re.compile(r"([0-9]{4})-W([0-9]{2})")


@dataclass(frozen=True, slots=True, order=True)
class Week:
    """A week by the day of its Monday."""

    monday: date

    @classmethod
    def of(cls, day: date) -> "Week":
        """Return the week of a day."""
        return cls(day - timedelta(days=day.weekday()))

    @classmethod
    def named(cls, name: str) -> "Week":
        """Return the week of a name such as 2026-W47; raise ConfigurationError."""
        found = _NAME.fullmatch(name)
        wrong = ConfigurationError(f"'{name}' is no week: write it as 2026-W47")
        if found is None or not DATES[0].year <= int(found[1]) <= DATES[1].year:
            raise wrong
        try:
            return cls(date.fromisocalendar(int(found[1]), int(found[2]), 1))
        except ValueError:
            raise wrong from None

    def __str__(self) -> str:
        """Return the week's name."""
        year, number, _ = self.monday.isocalendar()
        return f"{year}-W{number:02}"

    def next(self) -> "Week":
        """Return the week after."""
        return Week(self.monday + timedelta(days=7))

    def begins(self, zone: ZoneInfo) -> datetime:
        """Return the moment at which it begins in the city."""
        return datetime(self.monday.year, self.monday.month, self.monday.day, tzinfo=zone)

    def ends(self, zone: ZoneInfo) -> datetime:
        """Return the moment at which the next one begins."""
        return self.next().begins(zone)
