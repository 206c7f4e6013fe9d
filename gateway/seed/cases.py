"""Tell each arrest of the year as rows, from the person to the witnesses."""

from collections import Counter
from collections.abc import Generator, Iterator
from itertools import count, islice
from random import Random

from gateway.seed import courts
from gateway.seed.chance import Weighted
from gateway.seed.offences import Accusation, accusations
from gateway.seed.people import Contact, Population
from gateway.seed.places import City
from gateway.seed.rows import (
    Arrest,
    Bail,
    Charge,
    Custody,
    Disposition,
    ReleaseConviction,
    Row,
    Victim,
    Witness,
)
from gateway.seed.schedule import Event

# Every share in this module is assumed.
_ARRESTED_BEFORE = 0.25
_NO_OFFICER = 0.01
_NO_TRACKING_NUMBER = 0.05
_NO_NARRATIVE = 0.05
_RECORD_STATUSES = Weighted(
    (("active", 90), ("limited_access", 5), ("sealed", 3), ("expunged", 2)),
)
_VICTIMS = {
    "Violent": Weighted(((0, 6), (1, 74), (2, 15), (3, 5))),
    "Property": Weighted(((0, 25), (1, 65), (2, 10))),
    "Drug": Weighted(((0, 99), (1, 1))),
    "Firearm possession": Weighted(((0, 97), (1, 3))),
    "Other": Weighted(((0, 75), (1, 22), (2, 3))),
    "Uncategorized": Weighted(((0, 85), (1, 15))),
}
_WITNESSES = Weighted(((0, 66), (1, 24), (2, 8), (3, 2)))


class Casebook:
    """Number the rows of a year as its arrests are told."""

    def __init__(self, population: Population, city: City, rng: Random) -> None:
        """Take the people and the places that arrests draw on."""
        self._population = population
        self._city = city
        self._rng = rng
        self._known = 0
        self._incidents: Counter[str] = Counter()
        self._arrests = count(1)
        self._charges = count(1)
        self._victims = count(1)
        self._witnesses = count(1)

    def tell(self, event: Event) -> Iterator[Row]:
        """Yield the rows of one arrest, each after those that it refers to."""
        rng = self._rng
        number = next(self._arrests)
        if self._known and rng.random() < _ARRESTED_BEFORE:
            person_id = rng.randint(1, self._known)
        else:
            person = self._population.arrested(event.on)
            self._known = person_id = person.person_id
            yield person
        victims = self._contacts(_VICTIMS[event.category])
        witnesses = self._contacts(_WITNESSES)
        yield self._arrest(number, person_id, event, victims, witnesses)
        yield from self._case(number, event)
        for victim in victims:
            yield Victim(next(self._victims), number, *_written(victim))
        for witness in witnesses:
            yield Witness(next(self._witnesses), number, *_written(witness))

    def _contacts(self, counts: Weighted[int]) -> list[Contact]:
        drawn = counts.draw(self._rng)
        return [self._population.contact() for _ in range(drawn)]

    def _arrest(
        self,
        number: int,
        person_id: int,
        event: Event,
        victims: list[Contact],
        witnesses: list[Contact],
    ) -> Arrest:
        rng = self._rng
        location = rng.choice(self._city.locations[event.district])
        officer = rng.choice(self._city.officers)
        seen = rng.random() >= _NO_OFFICER
        district = event.district or "00"
        self._incidents[district] += 1
        incident = self._incidents[district]
        narrative = None
        if rng.random() >= _NO_NARRATIVE:
            told = [
                f"P/O {officer.family_name} #{officer.badge} RESPONDED TO {location.street_address}."
                if seen
                else f"POLICE RESPONDED TO {location.street_address}.",
                *(f"COMPLAINANT {_full(who)} GAVE A STATEMENT." for who in victims),
                *(f"WITNESS {_full(who)} WAS INTERVIEWED." for who in witnesses),
                f"OFFENDER ARRESTED: {(event.offence or 'OTHER OFFENCE').upper()}.",
            ]
            narrative = " ".join(told)
        return Arrest(
            arrest_id=number,
            person_id=person_id,
            location_id=location.location_id,
            officer_id=officer.officer_id if seen else None,
            dc_number=f"{event.on:%y}-{district}-{incident:06}",
            arrested_at=event.at,
            category=event.category,
            offence=event.offence,
            record_status=_RECORD_STATUSES.draw(rng),
            narrative=narrative,
        )

    def _case(self, number: int, event: Event) -> Iterator[Row]:
        """Yield the charges of an arrest and all that the courts make of them."""
        rng = self._rng
        charges = accusations(event.category, event.offence, rng)
        rulings = courts.rule(event, charges, rng)
        sentenced = courts.sentence(charges, rulings, rng)
        first = yield from self._charged(number, charges)
        for index, ruling in enumerate(rulings):
            yield Disposition(first + index, ruling.outcome, ruling.on)
        if sentenced is not None:
            yield ReleaseConviction(
                number,
                sentenced.accusation.statute.dotted,
                sentenced.accusation.grade,
                sentenced.convicted_on,
                sentenced.released_on,
            )
        stay = courts.hold(event, rulings, sentenced, rng)
        yield Custody(number, stay.facility, stay.status, stay.since, stay.released_at)
        if event.bail_type is not None:
            amount = courts.bail_amount(event.bail_type, rng)
            yield Bail(number, event.bail_type, amount, event.on)

    def _charged(self, number: int, charges: list[Accusation]) -> Generator[Row, None, int]:
        """Yield the rows of charges, and return the number of the first."""
        rng = self._rng
        tracked = rng.random() >= _NO_TRACKING_NUMBER
        tracking_number = f"N{number:07}" if tracked else None
        numbers = list(islice(self._charges, len(charges)))
        for sequence, charge in enumerate(charges, start=1):
            yield Charge(
                numbers[sequence - 1],
                number,
                sequence,
                charge.spelling,
                charge.statute.description,
                charge.grade,
                tracking_number,
            )
        return numbers[0]


def _written(who: Contact) -> tuple[str, str, str | None, str | None]:
    return who.family_name, who.given_name, who.phone, who.home_address


def _full(who: Contact) -> str:
    return f"{who.given_name} {who.family_name}"
