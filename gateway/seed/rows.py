"""The rows that the generator yields, one named tuple a table, in column order."""

from datetime import date, datetime
from typing import NamedTuple, TypeAlias

from sqlalchemy import Table

from gateway.seed import schema


class Person(NamedTuple):
    """A person who was arrested at least once."""

    person_id: int
    family_name: str
    given_name: str
    date_of_birth: date | None
    sex: str | None
    race: str | None
    place_of_birth: str | None
    citizenship: str | None
    immigration_status: str | None
    language: str | None
    ssn: str | None
    home_address: str | None
    phone: str | None
    employer: str | None
    police_photo_number: str | None
    state_id: str | None


class Location(NamedTuple):
    """A place of arrest; no district means outside the 22 police districts."""

    location_id: int
    district: str | None
    street_address: str


class Officer(NamedTuple):
    """An arresting officer."""

    officer_id: int
    badge: str
    family_name: str
    unit: str


class Arrest(NamedTuple):
    """One arrest; `arrested_at` is in UTC."""

    arrest_id: int
    person_id: int
    location_id: int | None
    officer_id: int | None
    dc_number: str
    arrested_at: datetime
    category: str
    offence: str | None
    record_status: str
    narrative: str | None


class Charge(NamedTuple):
    """One charge of an arrest; `sequence` counts from 1."""

    charge_id: int
    arrest_id: int
    sequence: int
    statute: str | None
    description: str | None
    grade: str | None
    offence_tracking_number: str | None


class Disposition(NamedTuple):
    """How a charge ended; an open charge has none."""

    charge_id: int
    outcome: str
    disposed_on: date


class ReleaseConviction(NamedTuple):
    """The conviction after which the person is released from this custody."""

    arrest_id: int
    statute: str | None
    grade: str | None
    convicted_on: date
    released_on: date | None


class Custody(NamedTuple):
    """Where the person is or was held; the moments are in UTC."""

    arrest_id: int
    facility: str | None
    status: str
    since: datetime
    released_at: datetime | None


class Bail(NamedTuple):
    """Bail as set at the preliminary arraignment; `amount` is in dollars."""

    arrest_id: int
    bail_type: str
    amount: int | None
    set_on: date


class Victim(NamedTuple):
    """A person harmed in the incident."""

    victim_id: int
    arrest_id: int
    family_name: str | None
    given_name: str | None
    phone: str | None
    home_address: str | None


class Witness(NamedTuple):
    """A person who saw the incident."""

    witness_id: int
    arrest_id: int
    family_name: str | None
    given_name: str | None
    phone: str | None
    home_address: str | None


Row: TypeAlias = (
    Person | Location | Officer | Arrest | Charge | Disposition | ReleaseConviction | Custody | Bail | Victim | Witness
)

# In an order in which every foreign key points backwards.
TABLES: dict[type[Row], Table] = {
    Person: schema.person,
    Location: schema.location,
    Officer: schema.officer,
    Arrest: schema.arrest,
    Charge: schema.charge,
    Disposition: schema.disposition,
    ReleaseConviction: schema.release_conviction,
    Custody: schema.custody,
    Bail: schema.bail,
    Victim: schema.victim,
    Witness: schema.witness,
}
