"""Build the invented arrest database of the demo, the tests and the benchmarks."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from gateway.seed import rows
from gateway.seed.cases import Casebook
from gateway.seed.chance import apportion
from gateway.seed.errors import SeedError
from gateway.seed.figures import Year, figures_of
from gateway.seed.people import Population, pools
from gateway.seed.places import Streets, found
from gateway.seed.schedule import schedule
from gateway.seed.write import write

__all__ = ["SeedError", "SeedReport", "seed"]


@dataclass(frozen=True, slots=True)
class SeedReport:
    """How many rows each table got."""

    persons: int
    locations: int
    officers: int
    arrests: int
    charges: int
    dispositions: int
    release_convictions: int
    custodies: int
    bails: int
    victims: int
    witnesses: int


def seed(
    url: str,
    *,
    year: int,
    arrests: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> SeedReport:
    """Write an invented year of arrests into an empty database at a SQLAlchemy URL.

    The rows depend on the year, the number of arrests and the seed alone. `progress`
    is called now and then with the arrests written and the arrests wanted. Raise
    `SeedError`, and write nothing, if the year has no published figures, if there is
    less than one arrest, or if one of the tables exists.
    """
    if arrests < 1:
        raise SeedError(f"there must be one arrest or more, not {arrests}")
    figures = figures_of(year)

    def wrote(done: int) -> None:
        if progress is not None:
            progress(done, arrests)

    invented = _invent(figures, arrests, Random(seed))  # noqa: S311 - must be repeatable
    counts = write(url, invented, wrote)
    return SeedReport(
        persons=counts[rows.Person],
        locations=counts[rows.Location],
        officers=counts[rows.Officer],
        arrests=counts[rows.Arrest],
        charges=counts[rows.Charge],
        dispositions=counts[rows.Disposition],
        release_convictions=counts[rows.ReleaseConviction],
        custodies=counts[rows.Custody],
        bails=counts[rows.Bail],
        victims=counts[rows.Victim],
        witnesses=counts[rows.Witness],
    )


def _invent(figures: Year, arrests: int, rng: Random) -> Iterator[rows.Row]:
    """Yield every row of a year, each after those that it refers to."""
    names = pools(rng)
    streets = Streets(rng)
    city = found(_by_district(figures, arrests), names["en"].families, streets, rng)
    yield from city.rows()
    casebook = Casebook(Population(names, streets, rng), city, rng)
    for event in schedule(figures, arrests, rng):
        yield from casebook.tell(event)


def _by_district(figures: Year, arrests: int) -> dict[str | None, int]:
    published: Counter[str | None] = Counter()
    for counts in figures.districts.values():
        published.update(counts)
    shares = apportion(arrests, tuple(published.values()))
    return dict(zip(published, shares, strict=True))
