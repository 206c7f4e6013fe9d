"""The figures that the invention is calibrated to; `figures/README.md` has sources."""

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from gateway.seed.errors import SeedError

FIRST_YEAR = 2014
LAST_YEAR = 2021
UNCATEGORIZED = "Uncategorized"
CATEGORIES = (
    "Violent",
    "Property",
    "Drug",
    "Firearm possession",
    "Other",
    UNCATEGORIZED,
)


@dataclass(frozen=True, slots=True)
class Year:
    """The published counts of one year, by category.

    `months` has twelve counts, January first. A district of None is an arrest outside
    the listed districts, an offence of None an arrest without a sub-category, and a
    bail type of None an arrest that was not charged.
    """

    year: int
    months: Mapping[str, tuple[int, ...]]
    offences: Mapping[str, Mapping[str | None, int]]
    districts: Mapping[str, Mapping[str | None, int]]
    bail: Mapping[str, Mapping[str | None, int]]
    outcomes: Mapping[str, Mapping[str | None, int]]

    @property
    def totals(self) -> dict[str, int]:
        """Count the arrests of each category."""
        return {category: sum(counts) for category, counts in self.months.items()}


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """Read one file of figures, a mapping a line."""
    text = (files(__package__) / "figures" / name).read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def figures_of(year: int) -> Year:
    """Return the published counts of a year; refuse a year without any."""
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise SeedError(f"there are figures for {FIRST_YEAR} to {LAST_YEAR}, not for {year}")
    totals = _counts("arrests_by_category.csv", year, "category")
    return Year(
        year=year,
        months={name: _months(year, name, totals[name]) for name in CATEGORIES},
        offences=_offences(year, totals),
        districts=_districts(year, totals),
        bail=_bail(year, totals),
        outcomes={name: _within("case_outcomes.csv", year, name) for name in CATEGORIES},
    )


def _lines(name: str, year: int) -> list[dict[str, str]]:
    return [line for line in table(name) if line["year"] == str(year)]


def _counts(name: str, year: int, column: str) -> dict[str, int]:
    return {line[column]: int(line["count"]) for line in _lines(name, year)}


def _within(name: str, year: int, category: str) -> dict[str | None, int]:
    """Read the counts of one category by the column before the count."""
    counts: dict[str | None, int] = {}
    for line in _lines(name, year):
        if line["category"] == category:
            (column,) = line.keys() - {"year", "category", "count"}
            # A dot in the source, empty here, is no figure: nothing to draw from.
            counts[line[column]] = int(line["count"] or 0)
    return counts


def _months(year: int, category: str, total: int) -> tuple[int, ...]:
    by_month = _within("arrests_by_month.csv", year, category)
    counts = [by_month[str(month)] for month in range(1, len(by_month) + 1)]
    if len(counts) == 11:  # noqa: PLR2004 - the reports of 2021 stop at November
        counts.append(total - sum(counts))
    return tuple(counts)


def _offences(year: int, totals: Mapping[str, int]) -> dict[str, dict[str | None, int]]:
    published = {category: _within("arrests_by_offence.csv", year, category) for category in CATEGORIES}
    published[UNCATEGORIZED] = {None: totals[UNCATEGORIZED]}
    return published


def _districts(year: int, totals: Mapping[str, int]) -> dict[str, dict[str | None, int]]:
    """Return counts by district; what a district's groups leave is uncategorized."""
    remainder = Counter(_within("arrests_by_district.csv", year, "All"))
    by_category: dict[str, dict[str | None, int]] = {}
    for category in CATEGORIES:
        counts = _within("arrests_by_district.csv", year, category)
        if category == UNCATEGORIZED:
            counts = dict(remainder)
        remainder.subtract(counts)
        by_category[category] = {**counts, None: totals[category] - sum(counts.values())}
    return by_category


def _bail(year: int, totals: Mapping[str, int]) -> dict[str, dict[str | None, int]]:
    """Return counts by bail type; arrests beyond the cases charged are not charged."""
    charged = _counts("cases_charged.csv", year, "category")
    return {
        category: {
            **_within("bail.csv", year, category),
            None: max(0, totals[category] - charged[category]),
        }
        for category in CATEGORIES
    }
