"""Lay out a year of arrests: when, of what category, where, and with what outcome."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from operator import attrgetter
from random import Random
from zoneinfo import ZoneInfo

from gateway.seed.chance import Weighted, apportion, deal
from gateway.seed.figures import Year

NEW_YORK = ZoneInfo("America/New_York")
_OPEN_SHARE = 0.18  # assumed
_OUTCOME_SCALE = 10_000

# Assumed: few arrests at dawn, most in the late afternoon and evening.
_HOURS = Weighted(
    enumerate(
        (44, 36, 28, 20, 14, 11, 13, 17, 24, 32, 40, 44, 46, 46, 48, 50, 53, 57, 62, 64, 63, 60, 56, 52),
    ),
)


@dataclass(frozen=True, slots=True)
class Event:
    """One arrest to be told: `at` in UTC, `on` the local day.

    Without a bail type the arrest was not charged; without an outcome the case
    is open.
    """

    at: datetime
    on: date
    category: str
    offence: str | None
    district: str | None
    bail_type: str | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class _Decks:
    months: list[int]
    offences: Iterator[str | None]
    districts: Iterator[str | None]
    bail: Iterator[str | None]
    outcomes: Iterator[str | None]


def schedule(figures: Year, arrests: int, rng: Random) -> Iterator[Event]:
    """Yield a number of arrests in order of time, in proportion to a year's figures."""
    totals = figures.totals
    shares = apportion(arrests, tuple(totals.values()))
    decks = {category: _decks(figures, category, share, rng) for category, share in zip(totals, shares, strict=True)}
    for month in range(1, 13):
        events = [
            _event(figures.year, month, category, deck, rng)
            for category, deck in decks.items()
            for _ in range(deck.months[month - 1])
        ]
        events.sort(key=attrgetter("at"))
        yield from events


def _decks(figures: Year, category: str, share: int, rng: Random) -> _Decks:
    bail = figures.bail[category]
    uncharged = apportion(share, tuple(bail.values()))[list(bail).index(None)]
    outcomes = figures.outcomes[category]
    decided = sum(outcomes.values())
    scaled = {
        outcome: round(count * (1 - _OPEN_SHARE) * _OUTCOME_SCALE / decided) for outcome, count in outcomes.items()
    }
    scaled[None] = round(_OPEN_SHARE * _OUTCOME_SCALE)
    return _Decks(
        months=apportion(share, figures.months[category]),
        offences=deal(share, figures.offences[category], rng),
        districts=deal(share, figures.districts[category], rng),
        bail=deal(share, bail, rng),
        outcomes=deal(share - uncharged, scaled, rng),
    )


def _event(year: int, month: int, category: str, decks: _Decks, rng: Random) -> Event:
    local = datetime(
        year,
        month,
        rng.randint(1, monthrange(year, month)[1]),
        _HOURS.draw(rng),
        rng.randrange(60),
        rng.randrange(60),
        tzinfo=NEW_YORK,
    )
    bail_type = next(decks.bail)
    return Event(
        at=local.astimezone(UTC),
        on=local.date(),
        category=category,
        offence=next(decks.offences),
        district=next(decks.districts),
        bail_type=bail_type,
        outcome=None if bail_type is None else next(decks.outcomes),
    )
