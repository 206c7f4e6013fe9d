"""Invent people: those arrested, and the victims and witnesses of an incident."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from random import Random
from typing import TypeVar

from mimesis import Gender, Locale
from mimesis import Person as Names

from gateway.seed.chance import Weighted
from gateway.seed.figures import table
from gateway.seed.places import Streets
from gateway.seed.rows import Person

T = TypeVar("T")

# Every share and weight in this module is assumed, but for race, which follows the
# approximate counts given in `figures/README.md`.
_RACES = Weighted(
    (
        ("BLACK", 220_500),
        ("WHITE", 130_300),
        (None, 13_500),
        ("ASIAN/PACIFIC ISLANDER", 5_300),
        ("OTHER", 700),
    ),
)
_SEXES = Weighted((("M", 79), ("F", 20), (None, 1)))
_STATUSES_ABROAD = Weighted(
    (
        (None, 45),
        ("NATURALIZED CITIZEN", 18),
        ("LAWFUL PERMANENT RESIDENT", 19),
        ("REFUGEE OR ASYLEE", 5),
        ("TEMPORARY VISA", 5),
        ("UNKNOWN", 8),
    ),
)
_TRADES = (
    "AUTO REPAIR",
    "CATERING",
    "CLEANING",
    "CONSTRUCTION",
    "DELI",
    "HAULING",
    "LANDSCAPING",
    "PLUMBING",
    "ROOFING",
    "SALON",
    "SECURITY",
    "WAREHOUSE",
)
_POOL = 400
_YOUNGEST, _OLDEST = 16, 80
_DAYS_A_YEAR = 365.2425
_NEW_HOME = "en"


@dataclass(frozen=True, slots=True)
class Pool:
    """Names of one language, in capitals."""

    families: tuple[str, ...]
    men: tuple[str, ...]
    women: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a person says that he or she comes from."""

    place_of_birth: str | None
    citizenship: str | None
    language: str | None
    names: str


@dataclass(frozen=True, slots=True)
class Contact:
    """What is written down of a victim or a witness."""

    family_name: str
    given_name: str
    phone: str | None
    home_address: str | None


def pools(rng: Random) -> dict[str, Pool]:
    """Gather the names of every language that an origin asks for."""
    listed: dict[tuple[str, str], tuple[str, ...]] = {
        (line["names"], line["kind"]): tuple(line["values"].split()) for line in table("assumed_names.csv")
    }
    known = {locale.value for locale in Locale}
    gathered = {}
    for language in dict.fromkeys(line["names"] for line in table("assumed_origins.csv")):
        drawn = _drawn(Locale(language), rng) if language in known else Pool((), (), ())
        gathered[language] = Pool(
            drawn.families + listed.get((language, "family"), ()),
            drawn.men + listed.get((language, "man"), ()),
            drawn.women + listed.get((language, "woman"), ()),
        )
    return gathered


def _drawn(locale: Locale, rng: Random) -> Pool:
    names = Names(locale, seed=rng.getrandbits(32))

    def capitals(*drawn: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name.upper() for name in drawn))

    return Pool(
        capitals(*(names.last_name() for _ in range(_POOL))),
        capitals(*(names.first_name(gender=Gender.MALE) for _ in range(_POOL))),
        capitals(*(names.first_name(gender=Gender.FEMALE) for _ in range(_POOL))),
    )


class Population:
    """Make people, each with a number of their own."""

    def __init__(self, names: Mapping[str, Pool], streets: Streets, rng: Random) -> None:
        """Draw from these names and streets."""
        self._names = names
        self._streets = streets
        self._rng = rng
        self._numbers = count(1)
        self._origins = Weighted(
            (
                Origin(
                    line["place_of_birth"] or None,
                    line["citizenship"] or None,
                    line["language"] or None,
                    line["names"],
                ),
                int(line["weight"]),
            )
            for line in table("assumed_origins.csv")
        )

    def arrested(self, on: date) -> Person:
        """Make a person who is first arrested on a day."""
        rng = self._rng
        number = next(self._numbers)
        origin = self._origins.draw(rng)
        sex = _SEXES.draw(rng)
        citizenship, status = self._standing(origin)
        return Person(
            person_id=number,
            family_name=self._family(origin.names),
            given_name=self._given(origin.names, sex),
            date_of_birth=self._born(on),
            sex=sex,
            race=_RACES.draw(rng),
            place_of_birth=origin.place_of_birth,
            citizenship=citizenship,
            immigration_status=status,
            language=self._maybe(origin.language, 0.85),
            # No number was ever issued in the areas from 900 on.
            ssn=self._maybe(
                f"9{rng.randrange(100):02}-{rng.randint(1, 49):02}-{rng.randint(1, 9999):04}",
                0.72,
            ),
            home_address=self._maybe(self._streets.address(), 0.95),
            phone=self._maybe(self._phone(), 0.8),
            employer=self._maybe(f"{self._family(_NEW_HOME)} {rng.choice(_TRADES)}", 0.38),
            police_photo_number=f"{number:07}",
            state_id=self._maybe(f"{10_000_000 + number}", 0.93),
        )

    def contact(self) -> Contact:
        """Make a victim or a witness."""
        origin = self._origins.draw(self._rng)
        return Contact(
            self._family(origin.names),
            self._given(origin.names, None),
            self._maybe(self._phone(), 0.85),
            self._maybe(self._streets.address(), 0.9),
        )

    def _standing(self, origin: Origin) -> tuple[str | None, str | None]:
        """Return what is recorded of citizenship and of status."""
        rng = self._rng
        if origin.place_of_birth is None:
            return None, None
        if origin.citizenship == "UNITED STATES":
            status = self._maybe("US CITIZEN", 0.15)
            return self._maybe(origin.citizenship, 0.7), status
        status = _STATUSES_ABROAD.draw(rng)
        if status == "NATURALIZED CITIZEN":
            return "UNITED STATES", status
        return self._maybe(origin.citizenship, 0.6), status

    def _family(self, language: str) -> str:
        rng = self._rng
        families = self._names[language].families
        name = rng.choice(families)
        joined = rng.random()
        if joined < 0.03:  # noqa: PLR2004 - an assumed share
            return f"{name}-{rng.choice(families)}"
        if joined < 0.12 and language.startswith("es"):  # noqa: PLR2004 - likewise
            return f"{name} {rng.choice(families)}"
        return name

    def _given(self, language: str, sex: str | None) -> str:
        pool = self._names[language]
        female = sex == "F" if sex else self._rng.random() < 0.5  # noqa: PLR2004 - even
        return self._rng.choice(pool.women if female else pool.men)

    def _born(self, on: date) -> date | None:
        rng = self._rng
        # The shape has its mean at 34 years.
        years = _YOUNGEST + (_OLDEST - _YOUNGEST) * rng.betavariate(1.5, 3.8)
        return self._maybe(on - timedelta(days=int(years * _DAYS_A_YEAR) + 1), 0.98)

    def _phone(self) -> str:
        return f"215-555-{self._rng.randint(100, 199):04}"

    def _maybe(self, value: T, likely: float) -> T | None:
        return value if self._rng.random() < likely else None
