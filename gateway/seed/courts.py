"""What follows an arrest: bail, how charges end, sentences, and custody throughout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import compress
from random import Random

from gateway.seed.chance import Weighted
from gateway.seed.offences import Accusation
from gateway.seed.schedule import Event

# Every number in this module is assumed; only the bail types and the outcomes of cases
# are drawn to published counts, and that is done where the year is laid out.
_CONVICTED = {"Guilty Plea/Nolo": 0.45, "Guilty": 0.65}
_DROPPED = "Dismissed/Withdrawn/Etc"
_ALSO_CONVICTED = 0.3
_AMOUNTS: Mapping[str, tuple[int, ...]] = {
    "Unsecured (SOB)": (1_000, 2_500, 5_000, 10_000),
    "$1-$10k": (500, 1_000, 2_500, 3_500, 5_000, 7_500),
    "$10k-$25k": (12_000, 15_000, 20_000),
    "$25k-$100k": (30_000, 50_000, 75_000),
    "$100k+": (150_000, 250_000, 500_000, 1_000_000),
}
_POSTED = {"$1-$10k": 0.7, "$10k-$25k": 0.5, "$25k-$100k": 0.35, "$100k+": 0.15}
_UNRELEASED = {"Held Without Bail"}
_IMPRISONED = {"H1": 1.0, "H2": 1.0, "F1": 0.9, "F2": 0.75, "F3": 0.45, "F": 0.45}
_IMPRISONED_ELSE = 0.15
_TERMS = {"F1": 900, "F2": 450, "F3": 180, "F": 180}
_TERM_ELSE = 40
_FORESEEN = 730
_TRANSFERRED = 0.03
_STATE_PRISON = 0.5
_NO_FACILITY = 0.04
_JAILS = ("COUNTY JAIL NORTH", "COUNTY JAIL SOUTH", "COUNTY JAIL EAST", "INTAKE CENTER")
_DETENTION = Weighted(
    (("CENTRAL DETENTION UNIT", 50), ("NORTH DETENTION UNIT", 30), ("SOUTH DETENTION UNIT", 20)),
)


@dataclass(frozen=True, slots=True)
class Ruling:
    """How one charge ended."""

    outcome: str
    on: date
    convicted: bool


@dataclass(frozen=True, slots=True)
class Sentence:
    """Custody after conviction; without a release day it has not ended."""

    accusation: Accusation
    convicted_on: date
    released_on: date | None


@dataclass(frozen=True, slots=True)
class Stay:
    """Where a person is held, and until when."""

    facility: str | None
    status: str
    since: datetime
    released_at: datetime | None


def bail_amount(bail_type: str, rng: Random) -> int | None:
    """Return an amount in dollars inside the bracket, if the type of bail has one."""
    amounts = _AMOUNTS.get(bail_type)
    return rng.choice(amounts) if amounts else None


def rule(event: Event, charges: Sequence[Accusation], rng: Random) -> list[Ruling]:
    """Decide every charge of a case, on one day after the arrest; none if it is open."""
    if event.outcome is None:
        return []
    on = event.on + timedelta(days=7 + int(rng.gammavariate(2.0, 80.0)))
    likely = _CONVICTED.get(event.outcome)
    if likely is None:
        return [Ruling(event.outcome, on, convicted=False) for _ in charges]
    convicted = [rng.random() < (_ALSO_CONVICTED if index else likely) for index in range(len(charges))]
    if not any(convicted):
        convicted[rng.randrange(len(charges))] = True
    return [Ruling(event.outcome if found else _DROPPED, on, convicted=found) for found in convicted]


def sentence(charges: Sequence[Accusation], rulings: Sequence[Ruling], rng: Random) -> Sentence | None:
    """Sentence to custody for the most serious convicted charge, or return none."""
    convicted = list(compress(charges, (ruling.convicted for ruling in rulings)))
    if not convicted:
        return None
    worst = min(convicted, key=lambda accusation: accusation.rank)
    grade = worst.grade or ""
    if rng.random() >= _IMPRISONED.get(grade, _IMPRISONED_ELSE):
        return None
    on = rulings[0].on
    days = 1 + int(rng.expovariate(1 / _TERMS.get(grade, _TERM_ELSE)))
    ended = grade not in {"H1", "H2"} and days <= _FORESEEN
    return Sentence(worst, on, on + timedelta(days=days) if ended else None)


def hold(
    event: Event,
    rulings: Sequence[Ruling],
    sentenced: Sentence | None,
    rng: Random,
) -> Stay:
    """Tell the custody that the records show last for an arrest."""
    booked = event.at + timedelta(minutes=rng.randint(30, 300))
    freed = _freed(event, booked, rng)
    if sentenced is not None:
        since = booked if freed is None else _midday(sentenced.convicted_on, rng)
        return _serve(sentenced, since, rng)
    if freed is not None:
        return Stay(_named(_DETENTION.draw(rng), rng), "released", booked, freed)
    jail = _named(rng.choice(_JAILS), rng)
    if rulings:
        return Stay(jail, "released", booked, _midday(rulings[0].on, rng))
    status = "transferred" if rng.random() < _TRANSFERRED else "held"
    return Stay(jail, status, booked, None)


def _freed(event: Event, booked: datetime, rng: Random) -> datetime | None:
    """Return when a person goes free before any decision, if at all."""
    if event.bail_type in _UNRELEASED:
        return None
    if event.bail_type not in _POSTED:
        return booked + timedelta(minutes=rng.randint(300, 1_800))
    if rng.random() >= _POSTED[event.bail_type]:
        return None
    # Within a week, so that it is always before the first day of a decision.
    return booked + timedelta(minutes=rng.randint(600, 8_000))


def _serve(sentenced: Sentence, since: datetime, rng: Random) -> Stay:
    jail = _named(rng.choice(_JAILS), rng)
    if sentenced.released_on is not None:
        released_at = _midday(sentenced.released_on, rng)
        return Stay(jail, "released", since, released_at)
    if rng.random() < _STATE_PRISON:
        return Stay("STATE PRISON", "transferred", since, None)
    return Stay(jail, "held", since, None)


def _named(facility: str, rng: Random) -> str | None:
    return None if rng.random() < _NO_FACILITY else facility


def _midday(on: date, rng: Random) -> datetime:
    """Return a moment in UTC that falls on the same day in the city."""
    moment = time(rng.randint(14, 21), rng.randrange(60), tzinfo=UTC)
    return datetime.combine(on, moment)
