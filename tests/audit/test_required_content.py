"""What the CJIS Security Policy and 28 CFR 23.20(f) ask of a record of access stands in each entry."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gateway import tables
from tests.audit import logs
from tests.conftest import MakeWorld
from tests.world import Databases

TABLE = Path(__file__).parents[2] / "docs" / "log-content.md"
_ROW = re.compile(r"^\| (?P<requirement>[^|]+) \| (?P<source>[^|]+) \| (?P<kept>`[^|]+) \|$", re.MULTILINE)
_PATH = re.compile(r"`((?:leaf|sealed)\.[a-z_.]+)`")
# AU-3's own words, and the minimum of 28 CFR 23.20(f): a row that vanishes from the table is noticed.
REQUIRED = {"AU-3": 8, "AU-3(1)": 4, "AU-3(3)": 1, "AU-8": 1, "IA-0": 1, "AC-21": 1, "28 CFR 23.20(f)": 3}


def _rows() -> list[tuple[str, str, list[str]]]:
    return [(row["requirement"], row["source"], _PATH.findall(row["kept"])) for row in _ROW.finditer(TABLE.read_text())]


def test_the_table_names_every_requirement() -> None:
    """No requirement has fallen out of the table, and each names where it is kept."""
    sources = [source for _, source, _ in _rows()]
    assert {source: sources.count(source) for source in set(sources)} == REQUIRED
    assert all(paths for _, _, paths in _rows())


def test_an_entry_holds_what_the_table_says(
    make_world: MakeWorld, databases: Databases, subtests: pytest.Subtests
) -> None:
    """A disclosure's leaf and openings hold each of the required things."""
    world = make_world()
    asker = world.asker("fbi", "FBI", officer="Officer Example")
    headers = asker.headers() | {"Access-Case": "CASE-1", "Content-Type": "application/json"}
    asked = json.dumps({"filter": {"sex": {"eq": "F"}}, "sort": ["-arrested_at"], "fields": ["person"], "limit": 1})
    answer = world.request("POST", "/v1/arrests/search", data=asked, headers=headers)
    assert len(answer.get_json()["records"]) == 1
    entry = {"leaf": _leaf(world.leaves(), answer.headers["Log-Entry"]), "sealed": {}}
    statement = sa.select(tables.opening).where(tables.opening.c.entry_id == answer.headers["Log-Entry"])
    with logs.opened(databases, world.settings.keys) as log, log.store.reading() as connection:
        for row in connection.execute(statement):
            told = log.openings.open(row.sealed, row.wrapped, row.entry_id, row.position)
            entry["sealed"][told.kind] = told.value
    for requirement, source, paths in _rows():
        for path in paths:
            with subtests.test(f"{requirement} ({source}): {path}"):
                assert _at(entry, path) not in (None, "", [], {})
    assert re.search(r"\.\d{2,}Z$", entry["leaf"]["time"])
    assert datetime.fromisoformat(entry["leaf"]["time"]).utcoffset() is not None


def _leaf(leaves: list[dict[str, Any]], entry_id: str) -> dict[str, Any]:
    (found,) = (leaf for leaf in leaves if leaf["id"] == entry_id)
    return found


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value[name]
    return value
