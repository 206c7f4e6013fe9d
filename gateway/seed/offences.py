"""What people are charged with: statutes, the ways they are spelt, and grades."""

from dataclasses import dataclass
from functools import cache
from random import Random

from gateway.seed.chance import Weighted
from gateway.seed.figures import table

# The most serious first; an ungraded felony or misdemeanour ranks as the third degree.
GRADES = ("H1", "H2", "F1", "F2", "F3", "F", "M1", "M2", "M3", "M", "S", "IC", None)

_CRIMES_CODE = "18"
_AS_THE_FIRST = "="

# Assumed, as are the charges an arrest has and how many statutes are left out.
_SPELLINGS = Weighted((("source", 46), ("dotted", 27), ("compact", 23), (None, 4)))
_FURTHER = Weighted(((0, 26), (1, 25), (2, 20), (3, 14), (4, 9), (5, 6)))
_UNGRADED = 0.11


@dataclass(frozen=True, slots=True)
class Statute:
    """A statute, by the court's title, section and subsection."""

    title: str
    section: str
    subsection: str | None
    description: str

    @property
    def source(self) -> str:
        """Spell it as the court's own list does: `18 § 2702 §§ A1`."""
        name = f"{self.title} § {self.section}"
        return f"{name} §§ {self.subsection}" if self.subsection else name

    @property
    def dotted(self) -> str:
        """Spell it with dots: `18.2702.A1`."""
        parts = (self.title, self.section, self.subsection)
        return ".".join(part for part in parts if part)

    @property
    def compact(self) -> str:
        """Spell it as `CC2702A1`; only the Crimes Code has such a spelling."""
        if self.title != _CRIMES_CODE:
            return self.dotted
        return f"CC{self.section}{self.subsection or ''}"


@dataclass(frozen=True, slots=True)
class Accusation:
    """What a charge accuses of; `spelling` is what the arrest record has for it."""

    statute: Statute
    spelling: str | None
    grade: str | None

    @property
    def rank(self) -> int:
        """Rank by grade, the most serious first."""
        return GRADES.index(self.grade)


def accusations(category: str, offence: str | None, rng: Random) -> list[Accusation]:
    """Draw the charges of one arrest; the first is the offence itself.

    A charge whose grade is given as `=`, a conspiracy, has the grade of the first.
    """
    lead = _choices("assumed_lead_charges.csv", "offence")[offence or category]
    further = _choices("assumed_further_charges.csv", "category")[category]
    first = lead.draw(rng)
    drawn = dict.fromkeys((first, *(further.draw(rng) for _ in range(_FURTHER.draw(rng)))))
    return [_accusation(statute, first[1] if grade == _AS_THE_FIRST else grade, rng) for statute, grade in drawn]


def _accusation(statute: Statute, grade: str | None, rng: Random) -> Accusation:
    spelling = _SPELLINGS.draw(rng)
    ungraded = rng.random() < _UNGRADED and grade not in {"H1", "H2"}
    return Accusation(
        statute,
        getattr(statute, spelling) if spelling else None,
        None if ungraded else grade,
    )


@cache
def _choices(name: str, key: str) -> dict[str, Weighted[tuple[Statute, str | None]]]:
    vocabulary = _vocabulary()
    gathered: dict[str, list[tuple[tuple[Statute, str | None], float]]] = {}
    for line in table(name):
        choice = (vocabulary[line["statute"]], line["grade"] or None)
        gathered.setdefault(line[key], []).append((choice, float(line["weight"])))
    return {value: Weighted(choices) for value, choices in gathered.items()}


@cache
def _vocabulary() -> dict[str, Statute]:
    statutes = {}
    for line in table("statutes.csv"):
        title, rest = line["statute"].split(" § ")
        section, _, subsection = rest.partition(" §§ ")
        statutes[line["statute"]] = Statute(title, section, subsection or None, line["description"])
    return statutes
