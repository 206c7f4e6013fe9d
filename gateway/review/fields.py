"""Which fields of a catalogue tell who a person is, where from, by what name, and where arrested.

The catalogue's class decides, or the field's name: a city that calls its classes otherwise is watched all the same.
"""

from collections.abc import Collection, Iterable

from gateway.catalogue import Catalogue, Field

# Where a person comes from, and what papers the person has: the searches for which ICE's access was ended in 2018.
ORIGIN_CLASSES = frozenset({"origin"})
ORIGIN_NAMES = frozenset(
    {"place_of_birth", "country_of_birth", "citizenship", "nationality", "immigration_status", "language"}
)
SURNAMES = frozenset({"family_name", "surname", "last_name"})
GIVEN_NAMES = frozenset({"given_name", "first_name"})
DISTRICTS = frozenset({"district", "police_district", "precinct"})
IDENTIFYING_CLASSES = ORIGIN_CLASSES | {"identity", "identifier", "contact", "victim", "witness"}
IDENTIFYING_NAMES = ORIGIN_NAMES | SURNAMES | GIVEN_NAMES | {"date_of_birth", "ssn", "home_address", "phone"}


def identifying(catalogue: Catalogue) -> frozenset[str]:
    """Return the paths of fields by which a person can be looked for."""
    return _paths(catalogue, IDENTIFYING_CLASSES, IDENTIFYING_NAMES)


def of_origin(catalogue: Catalogue) -> frozenset[str]:
    """Return the paths of fields that tell where a person comes from."""
    return _paths(catalogue, ORIGIN_CLASSES, ORIGIN_NAMES)


def named(paths: Iterable[str], names: Collection[str]) -> tuple[str, ...]:
    """Return those of the paths that end in one of the names."""
    return tuple(path for path in paths if path.rpartition(".")[2] in names)


def _paths(catalogue: Catalogue, classes: Collection[str], names: Collection[str]) -> frozenset[str]:
    def meant(path: str, field: Field) -> bool:
        return field.sensitivity in classes or path.rpartition(".")[2] in names

    return frozenset(
        path for resource in catalogue.resources.values() for path, field in resource.paths() if meant(path, field)
    )
