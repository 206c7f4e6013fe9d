"""After a session with canaries in every field of record and request, none is readable in leaf, line or metric."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from gateway import app as composition
from gateway import tables
from gateway.cli import program
from gateway.inspection.inspector import Reason
from gateway.inspection.sight import open_
from gateway.seed import schema, seed
from tests import world as worlds
from tests.arrests import stand_for_real
from tests.inspection.conftest import records
from tests.services import Postgres
from tests.world import Asker, Databases, World, environment

# Keys of records and persons are canaries too: numbers that stand nowhere else.
KEY = 7_140_000_000
RECORDS = 3
OFFICER, CASE, SOURCE, REASON = "CANARYofficer", "CANARYcase-1", "203.0.113.193", "CANARYreason"
_NUMBER = 714_009_317
_DAY, _MOMENT = date(1931, 7, 19), datetime(1997, 3, 29, 11, 43, 17, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Session:
    """A world whose records are canaries, and how to ask it."""

    world: World
    asker: Asker


@pytest.fixture
def session(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    """Build an arrest database in which every text, number and day that is shown is a canary."""
    if dialect == "sqlite":
        databases = Databases(f"sqlite:///{tmp_path / 'arrests.db'}", f"sqlite:///{tmp_path / 'store.db'}")
        dropped: list[str] = []
    else:
        server: Postgres = request.getfixturevalue("postgres")
        dropped = [server.create(), server.create()]
        databases = Databases(*map(server.url, dropped))
    _build(databases.arrests)
    world = worlds.build(databases, tmp_path / "keys")
    yield Session(world, world.asker("fbi", "FBI", officer=OFFICER, address="1 Example Plaza"))
    world.close()
    for name in dropped:
        server.drop(name)


def _build(url: str) -> None:
    seed(url, year=2014, arrests=100, seed=1)
    stand_for_real(url)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for table in reversed(schema.metadata.sorted_tables):
            connection.execute(table.delete())
        for table in schema.metadata.sorted_tables:
            rows = [{c.name: _canary(c, KEY + number) for c in table.columns} for number in range(RECORDS)]
            connection.execute(table.insert(), rows)
    engine.dispose()


# Values of closed lists are no canaries: they stand in the catalogue.
_CODES = {"record_status": "active", "grade": "F1", "status": "held", "sex": "F"}


def _canary(column: sa.Column[Any], key: int) -> object:
    if column.primary_key or column.foreign_keys:
        return key
    if column.name in _CODES:
        return _CODES[column.name]
    match column.type:
        case sa.String(length=length):
            return f"CANARY{column.name}"[:length] if length and length > 2 else "XY"[:length]
        case sa.DateTime():
            return _MOMENT
        case sa.Date():
            return _DAY
        case _:
            return 1 if column.name == "sequence" else _NUMBER


Ask = Callable[[Asker], object]


def _posted(body: object, path: str = "/v1/arrests/search", **headers: str) -> Ask:
    def ask(asker: Asker) -> object:
        given = asker.headers() | {"Access-Case": CASE, "Content-Type": "application/json"} | headers
        return asker.world.request(
            "POST",
            path,
            headers=given,
            data=body if isinstance(body, str | bytes) else json.dumps(body),
            environ_overrides={"REMOTE_ADDR": SOURCE},
        )

    return ask


def _got(path: str, **headers: str) -> Ask:
    return lambda asker: asker.world.request(
        "GET",
        path,
        headers=asker.headers() | {"Access-Case": CASE} | headers,
        environ_overrides={"REMOTE_ADDR": SOURCE},
    )


# Every place of a request in which a client can write.
REQUESTS: tuple[Ask, ...] = (
    *(
        _posted({"filter": {"family_name": {operator: "CANARYterm"}}})
        for operator in ("eq", "ne", "lt", "gte", "prefix")
    ),
    _posted({"filter": {"family_name": {"in": ["CANARYterm", "CANARYother"]}}}),
    _posted({"filter": {"and": [{"not": {"family_name": {"eq": "CANARYterm"}}}, {"dc_number": {"eq": "CANARYdc"}}]}}),
    _posted({"filter": {"date_of_birth": {"eq": _DAY.isoformat()}}}),
    _posted({"filter": {"bail_amount": {"eq": str(_NUMBER)}}}),
    _posted({"filter": {"CANARYfield": {"eq": "CANARYterm"}}}),
    _posted({"filter": {"sex": {"CANARYoperator": "F"}}}),
    _posted({"sort": ["CANARYsort"]}),
    _posted({"fields": ["CANARYfield"]}),
    _posted({"cursor": "CANARYcursor"}),
    _posted({"CANARYmember": "CANARYvalue"}),
    _posted("{CANARYbody"),
    _posted(b"CANARY\xff"),
    _posted("CANARY" * 20_000),
    _posted({}, **{"Content-Type": "text/CANARY"}),
    _posted({}, path="/v1/CANARYresource/search"),
    _posted({}, **{"Access-Purpose": "CANARYpurpose"}),
    _posted({}, **{"Access-Purpose": "canary-purpose"}),
    _posted({}, **{"Access-Case": "!CANARYcase"}),
    _posted({}, **{"User-Agent": "CANARYagent", "X-Forwarded-For": SOURCE, "Cookie": "CANARY=CANARY"}),
    _got("/v1/arrests/CANARYid"),
    _got("/CANARYpath?CANARYname=CANARYvalue"),
    _got("/v1/resources?CANARYname=CANARYvalue"),
    _got("/v1/resources", Authorization="Bearer CANARYtoken"),
    _got("/v1/resources", Authorization="CANARYscheme CANARYtoken"),
    lambda a: a.get_token("CANARY.CANARY.CANARY"),
    lambda a: a.world.request("POST", "/oauth/token", data={"grant_type": "CANARY", "client_id": "CANARY"}),
    lambda a: a.world.request("CANARY", "/v1/resources", headers=a.headers()),
)


def test_no_canary_is_readable_after_a_session(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records, terms, names, addresses, reasons, tokens and keys: in no leaf, no line of telemetry, no metric."""
    # The world's own guard is for records that nobody may see; here they are shown.
    monkeypatch.setattr(worlds, "CANARY", "unreachable")
    world, asker = session.world, session.asker
    answers = [asker.search({"limit": limit}) for limit in (1, 200)]
    answers.append(asker.get(f"/v1/arrests/{answers[0].get_json()['records'][0]['id']}"))
    assert all(answer.status_code == 200 for answer in answers)
    assert answers[1].text.count("CANARY") > 20
    for ask in REQUESTS:
        ask(asker)
    _audit(world, answers[1].headers["Log-Entry"])
    metrics = world.request("GET", "/metrics").text
    said = {"lines": world.lines.getvalue(), "metrics": metrics, **_leaves(world)}
    assert len(said) > 30
    for where, text in said.items():
        assert not _found(text, [asker.token, answers[1].get_json()["records"][0]["id"], *_secrets(world)]), where


def _audit(world: World, entry: str) -> None:
    """Let auditors ask by canaries, open a sealed part, and account."""
    with composition.open_inspection(world.settings, f"{OFFICER} of the city") as inspector:
        (record, *_) = records(inspector, entry)
        assert int(record["key"]) >= KEY
        open_(inspector, entry, Reason(REASON))
    why = ["--because", REASON, "--by", OFFICER]
    runner = CliRunner(env=environment(world.settings))
    for arguments in (
        ["search", "--person", record["person"], *why],
        ["search", "--record", f"arrests:{record['key']}", *why],
        ["search", "--officer", OFFICER, *why],
        *(["search", f"--{name}", f"CANARY{name}", *why] for name in ("agency", "client", "purpose", "rule", "field")),
        ["show", entry, *why[2:]],
        ["explain", entry, "--open", *why],
        ["account", "--person", record["person"], *why],
    ):
        done = runner.invoke(program, ["audit", *arguments])
        assert done.exit_code == 0, (arguments, done.output)


def _leaves(world: World) -> dict[str, str]:
    with world.gateway.store.reading() as connection:
        return {row.entry_id: row.leaf.decode() for row in connection.execute(sa.select(tables.entry))}


def _secrets(world: World) -> Iterator[str]:
    """Yield the passphrase, and the key files' content line by line and its end as hexadecimal."""
    yield world.settings.keys_passphrase.read_text().strip()
    for path in world.settings.keys.iterdir():
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("-")]
        yield from lines
        yield base64.b64decode("".join(lines))[-32:].hex()


def _found(text: str, secrets: list[str]) -> list[str]:
    numbers = re.findall(r"\d+", text)
    found = [number for number in numbers if number == str(_NUMBER) or number[:7] == str(KEY)[:7]]
    values = ("CANARY", "canary", SOURCE, _DAY.isoformat(), _MOMENT.date().isoformat(), *secrets)
    return found + [value for value in values if value in text]
