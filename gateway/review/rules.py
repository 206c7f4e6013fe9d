"""The risk rules of the review: what each looks for, from how much on, and how many points it gives.

They say where to look first, and nothing of what anyone did wrong. docs/guides/watching.md states them.
"""

from dataclasses import dataclass

# Days since a client's first entry.
NEW_DAYS = 30
# The city's local hours; reads in them.
NIGHT = (22, 6)
NIGHT_READS = 5
# Persons shown in the week; one that was shown by several answers counts in each.
MANY_PERSONS = 200
MANY_REFUSALS = 20
# Within so many minutes: different surnames that begin alike in so many letters, or different short beginnings.
SWEEP_MINUTES = 60
ADJACENT_SURNAMES = 8
ALIKE = 2
SHORT_BEGINNINGS = 5
ADJACENT_DISTRICTS = 5
MANY_OFFICERS = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule by its stable name, with its points."""

    name: str
    points: int
    looks_for: str


ORIGIN = Rule("origin-filter", 10, "searches filtered or sorted by where people come from, or by their papers")
SURNAMES = Rule(
    "adjacent-surnames",
    8,
    f"within {SWEEP_MINUTES} minutes {ADJACENT_SURNAMES} different surnames with the same first {ALIKE} letters, or "
    f"{SHORT_BEGINNINGS} different beginnings of at most {ALIKE} letters",
)
DISTRICTS = Rule("adjacent-districts", 8, f"within {SWEEP_MINUTES} minutes {ADJACENT_DISTRICTS} different districts")
PERSONS = Rule("many-persons", 6, f"{MANY_PERSONS} persons shown in the week")
OFFICERS = Rule("many-officers", 5, f"one name asked for by {MANY_OFFICERS} officers")
REFUSALS = Rule("many-refusals", 4, f"{MANY_REFUSALS} requests refused")
NEW = Rule("new-client", 3, f"a client in its first {NEW_DAYS} days")
NIGHTS = Rule("unusual-hour", 2, f"{NIGHT_READS} reads between {NIGHT[0]}:00 and {NIGHT[1]:02}:00, local time")
RULES = (ORIGIN, SURNAMES, DISTRICTS, PERSONS, OFFICERS, REFUSALS, NEW, NIGHTS)
