"""Invent streets, places of arrest in every district, and the officers who work there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from mimesis import Address, Locale

from gateway.seed.rows import Location, Officer

_ARRESTS_A_LOCATION = 6
_ARRESTS_AN_OFFICER = 60
_FEWEST_OFFICERS = 12
_STREETS = 500
_SUFFIXES = ("ST", "ST", "ST", "AVE", "AVE", "RD", "LN", "TER", "PL")
_DIRECTIONS = ("", "", "N ", "S ", "E ", "W ")
_UNITS = (
    "DISTRICT PATROL",
    "DISTRICT PATROL",
    "DISTRICT PATROL",
    "DETECTIVE DIVISION",
    "NARCOTICS",
    "HIGHWAY PATROL",
    "SPECIAL VICTIMS",
    "WARRANT UNIT",
)


class Streets:
    """Give invented street addresses."""

    def __init__(self, rng: Random) -> None:
        """Draw the names of the streets once."""
        names = Address(Locale.EN, seed=rng.getrandbits(32))
        drawn = (names.street_name().upper() for _ in range(_STREETS))
        self._names = tuple(dict.fromkeys(drawn))
        self._rng = rng

    def address(self) -> str:
        """Return a house number and a street."""
        rng = self._rng
        street = f"{rng.choice(_DIRECTIONS)}{rng.choice(self._names)}"
        return f"{rng.randint(1, 8999)} {street} {rng.choice(_SUFFIXES)}"


@dataclass(frozen=True, slots=True)
class City:
    """Where arrests happen, and who makes them."""

    locations: Mapping[str | None, Sequence[Location]]
    officers: Sequence[Officer]

    def rows(self) -> Iterator[Location | Officer]:
        """Yield every place and every officer."""
        for locations in self.locations.values():
            yield from locations
        yield from self.officers


def found(
    districts: Mapping[str | None, int],
    families: Sequence[str],
    streets: Streets,
    rng: Random,
) -> City:
    """Make places in proportion to the arrests of each district, and officers."""
    locations: dict[str | None, list[Location]] = {}
    made = 0
    for district, arrests in districts.items():
        count = arrests // _ARRESTS_A_LOCATION + 1
        locations[district] = [Location(made + index, district, streets.address()) for index in range(1, count + 1)]
        made += count
    staff = max(_FEWEST_OFFICERS, sum(districts.values()) // _ARRESTS_AN_OFFICER)
    officers = [
        Officer(index, f"{1000 + index}", rng.choice(families), rng.choice(_UNITS)) for index in range(1, staff + 1)
    ]
    return City(locations, officers)
