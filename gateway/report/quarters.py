"""A quarter of a year in the city's time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.errors import ConfigurationError

_QUARTER = re.compile(r"([0-9]{4})-Q([1-4])")


@dataclass(frozen=True, slots=True, order=True)
class Quarter:
    """Three months, from local midnight to local midnight."""

    year: int
    number: int

    def __str__(self) -> str:
        return f"{self.year}-Q{self.number}"

    def following(self) -> "Quarter":
        """Return the next quarter."""
        return Quarter(self.year + self.number // 4, self.number % 4 + 1)

    def first_day(self) -> date:
        """Return its first day."""
        return date(self.year, 3 * self.number - 2, 1)

    def begins(self, zone: ZoneInfo) -> datetime:
        """Return the moment of its first local midnight, in UTC."""
        day = self.first_day()
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)

    def ends(self, zone: ZoneInfo) -> datetime:
        """Return the moment at which the next one begins."""
        return self.following().begins(zone)


def quarter(text: str) -> Quarter:
    """Read a quarter such as 2026-Q4; raise ConfigurationError."""
    found = _QUARTER.fullmatch(text)
    if found is None or not 1970 <= int(found[1]) <= 9000:  # noqa: PLR2004 -- what every time zone can place
        raise ConfigurationError(f"'{text}' is no quarter such as 2026-Q4")
    return Quarter(int(found[1]), int(found[2]))


def quarter_of(moment: datetime, zone: ZoneInfo) -> Quarter:
    """Return the quarter in which a moment falls."""
    local = moment.astimezone(zone)
    return Quarter(local.year, (local.month + 2) // 3)


def time_zone(name: str) -> ZoneInfo:
    """Find a time zone by its name; raise ConfigurationError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(f"'{name}' is no time zone such as America/New_York") from None
