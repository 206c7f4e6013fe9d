"""With a grid of time, what stands on records leaves at its lines, whatever came of it."""

import time

import pytest

from gateway.errors import Unavailable
from gateway.web.grid import Grid
from tests.conftest import MakeWorld
from tests.world import Asker

DAY = "2011-01-01"
STEP = 0.15


def test_an_answer_waits_for_the_next_line() -> None:
    """One that took a little leaves at the first line, one that took longer at the second."""
    grid = Grid(int(STEP * 1000))
    for work, line in ((0.0, 1), (STEP * 1.1, 2)):
        began = time.monotonic()
        grid.hold(lambda work=work: time.sleep(work))  # type: ignore[misc] # a default binds the loop's value
        assert time.monotonic() - began >= line * STEP


def test_what_is_raised_waits_too() -> None:
    """A failing query is as late as an answer."""

    def fails() -> None:
        raise Unavailable

    began = time.monotonic()
    with pytest.raises(Unavailable):
        Grid(int(STEP * 1000)).hold(fails)
    assert time.monotonic() - began >= STEP


def test_every_answer_of_the_door_is_held(make_world: MakeWorld) -> None:
    """Pages, records, records that are not there and fields that are not shown."""
    asker = make_world(rehearsal_day=DAY, answer_grid=str(int(STEP * 1000))).asker()
    identifier = asker.records({"limit": 1})[0]["id"]
    for took, status in (
        (_took(asker, "/v1/resources"), 200),
        (_took(asker, f"/v1/arrests/{identifier}"), 200),
        (_took(asker, "/v1/arrests/AAAA"), 404),
        (_took(asker, "/v1/nowhere/AAAA"), 404),
    ):
        assert took[1] == status
        assert took[0] >= STEP
    began = time.monotonic()
    assert asker.search({"filter": {"nowhere": {"eq": "1"}}}).status_code == 400
    assert time.monotonic() - began >= STEP


def _took(asker: Asker, path: str) -> tuple[float, int]:
    asker.headers()
    began = time.monotonic()
    status = asker.get(path).status_code
    return time.monotonic() - began, status
