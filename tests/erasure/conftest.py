"""What the tests of erasure share: a gateway whose clients see all, and what they have received."""

from dataclasses import dataclass

import pytest

from tests.conftest import MakeWorld
from tests.erasure.office import Office, make
from tests.world import Asker, World


@dataclass(frozen=True, slots=True)
class City:
    """A world, its office, two clients, and a person with several arrests, of which both received some."""

    world: World
    office: Office
    ice: Asker
    fbi: Asker
    person: int
    arrests: list[int]

    def alone(self, asker: Asker) -> str:
        """Let a client ask for one arrest of the person alone; return the answer's entry."""
        family = self.name()
        response = asker.search({"filter": {"family_name": {"eq": family[0]}, "given_name": {"eq": family[1]}}})
        assert response.status_code == 200, response.text
        records = response.get_json()["records"]
        assert {self.office.key(asker, each["id"]) for each in records} == set(self.arrests)
        return response.headers["Log-Entry"]

    def among_others(self, asker: Asker) -> str:
        """Let a client receive an arrest of the person on a page with others; return the answer's entry."""
        cursor = None
        while True:
            response = asker.search({"limit": 100} | ({"cursor": cursor} if cursor else {}))
            page = response.get_json()
            if {self.office.key(asker, each["id"]) for each in page["records"]} & set(self.arrests):
                assert response.status_code == 200
                return response.headers["Log-Entry"]
            cursor = page["next"]

    def name(self) -> tuple[str, str]:
        """Return the person's family name and given name."""
        names = self.office.names()
        return names[self.person]


@pytest.fixture
def city(make_world: MakeWorld) -> City:
    """A gateway on a day on which every agency sees all arrests."""
    world = make_world(rehearsal_day="2009-01-01")
    office = make(world)
    names = office.names()
    once = {name for name in names.values() if list(names.values()).count(name) == 1}
    visible = office.persons()
    person = next(key for key, arrests in visible.items() if len(arrests) > 1 and names[key] in once)
    return City(world, office, world.asker(), world.asker("fbi", "FBI"), person, visible[person])
