"""What each rotation breaks, and what it does not: old ids, cursors, tokens, openings, promises and checkpoints."""

import base64
import json
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway import app as composition
from gateway import keys as key_files
from gateway import tables
from gateway.audit import publishing as publishing_module
from gateway.audit.checkpoint import CheckpointError, Verifier, signers
from gateway.audit.entry import Entry, officer
from gateway.audit.export import export, opens_all
from gateway.audit.openings import Sealed
from gateway.errors import Unavailable
from gateway.keys import USES, Keys
from gateway.verifier.evidence import Evidence
from gateway.verifier.note import read_log_key
from gateway.verifier.verify import verify
from tests.conftest import MakeWorld
from tests.keys.city import DAY, Machine
from tests.world import World

OFFICER = "Officer One"


@pytest.fixture
def served(make_world: MakeWorld) -> World:
    """A gateway that has served under its first keys."""
    world = make_world(rehearsal_day=DAY)
    world.leaves()
    return world


def rotated(world: World, *uses: str) -> Machine:
    """Rotate keys while the gateway runs."""
    machine = Machine(world.settings)
    for use in uses:
        machine.rotate(use)
    return machine


def keys_of(world: World) -> Keys:
    """Read the keys of a world, as they are on disk now."""
    return key_files.read(world.settings.keys, world.settings.keys_passphrase)


def kid(compact: str) -> str:
    """Return which key a JWS names."""
    header = compact.partition(".")[0]
    named: str = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    return named


# --- what clients hold --------------------------------------------------------------------------------------


def test_what_clients_hold_outlives_the_rotation_of_every_key(served: World, make_world: MakeWorld) -> None:
    """An id, a cursor and a token of before are good after the next start; new ones are made by the new keys."""
    asker = served.asker(officer=OFFICER)
    page = asker.search({"limit": 2}).get_json()
    before = [record["id"] for record in page["records"]]
    rotated(served, *USES)
    # A process that has not read the new keys goes on as it did.
    assert asker.search({"limit": 2}).get_json()["records"] == page["records"]
    asker.world = make_world(rehearsal_day=DAY)
    shown = [asker.get(f"/v1/arrests/{identifier}") for identifier in before]
    assert [answer.status_code for answer in shown] == [200, 200]
    following = asker.search({"limit": 2, "cursor": page["next"]})
    assert following.status_code == 200
    again = asker.search({"limit": 2}).get_json()
    assert not {record["id"] for record in again["records"]} & set(before)
    # All else is the same; the person's id is of this kind, too.
    opaque = {"id": None, "person": None}
    assert [{**record, **opaque} for record in again["records"]] == [{**record, **opaque} for record in page["records"]]
    assert again["next"] != page["next"]


def test_both_token_keys_are_published(served: World, make_world: MakeWorld) -> None:
    """A resource server elsewhere can verify the tokens of both; new ones are signed by the new key."""
    asker = served.asker()
    old = kid(asker.token)
    rotated(served, "token")
    world = asker.world = make_world(rehearsal_day=DAY)
    published = [key["kid"] for key in world.request("GET", "/.well-known/jwks.json").get_json()["keys"]]
    new = kid(asker.get_token().get_json()["access_token"])
    assert published == [old, new]
    assert new == key_files.thumbprint(keys_of(world).token.keys[2])
    assert asker.search({"limit": 1}).status_code == 200


def test_tokens_of_a_retired_key_are_refused(served: World, make_world: MakeWorld) -> None:
    """Who stole the old key can sign with it until it is retired, and no longer."""
    asker = served.asker()
    assert asker.token
    machine = rotated(served, "token")
    machine.retire("token", 1)
    asker.world = make_world(rehearsal_day=DAY)
    refused = asker.search({"limit": 1})
    assert (refused.status_code, refused.get_json()["code"]) == (401, "invalid-token")
    published = asker.world.request("GET", "/.well-known/jwks.json").get_json()["keys"]
    assert [key["kid"] for key in published] == [key_files.thumbprint(keys_of(served).token.keys[2])]


def test_ids_and_cursors_of_retired_keys_are_refused(served: World, make_world: MakeWorld) -> None:
    """They are then like any that were made up."""
    asker = served.asker()
    page = asker.search({"limit": 2}).get_json()
    machine = rotated(served, "ids", "cursors")
    machine.retire("ids", 1)
    machine.retire("cursors", 1)
    asker.world = make_world(rehearsal_day=DAY)
    assert asker.get(f"/v1/arrests/{page['records'][0]['id']}").status_code == 404
    refused = asker.search({"limit": 2, "cursor": page["next"]})
    assert (refused.status_code, refused.get_json()["code"]) == (400, "cursor-invalid")


def test_a_page_that_was_paid_for_stays_paid(served: World, make_world: MakeWorld) -> None:
    """Budgets count persons, whatever the key that their ids were made by."""
    asker = served.asker()
    first = asker.search({"limit": 2})
    assert first.status_code == 200

    def marks() -> int:
        with Machine(served.settings).store() as store, store.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(tables.budget_mark)) or 0

    counted = marks()
    rotated(served, "ids")
    asker.world = make_world(rehearsal_day=DAY)
    assert asker.search({"limit": 2}).status_code == 200
    assert marks() == counted


def test_a_promise_names_its_key(served: World, make_world: MakeWorld) -> None:
    """By the thumbprint that the log's entries tell of, before and after."""
    asker = served.asker()
    first = kid(asker.search({"limit": 1}).headers["Log-Promise"])
    machine = rotated(served, "promise")
    asker.world = make_world(rehearsal_day=DAY)
    second = kid(asker.search({"limit": 1}).headers["Log-Promise"])
    (created,), (leaf,) = machine.leaves("keys-create"), machine.leaves("key-rotate")
    assert first in [key["id"] for key in created["keys"] if key["use"] == "promise"]
    assert [key["id"] for key in leaf["keys"]] == [second]
    held = keys_of(served).promise.keys[2].public_key().public_bytes_raw()
    assert base64.b64decode(leaf["keys"][0]["public"]) == held


# --- the log's sealed parts ---------------------------------------------------------------------------------


def test_openings_open_and_are_found_under_both_keys(served: World, make_world: MakeWorld) -> None:
    """What was sealed and indexed before the rotation is opened and found after it, and so is what came since."""
    asker = served.asker(officer=OFFICER)
    assert asker.search({"limit": 1}).status_code == 200
    machine = rotated(served, "openings", "index")
    asker.world = make_world(rehearsal_day=DAY)
    assert asker.search({"limit": 1}).status_code == 200
    table = tables.opening
    with composition.open_log(machine.settings) as opened, opened.store.reading() as connection:
        rows = connection.execute(sa.select(table)).all()
        for row in rows:
            kept = Sealed(row.sealed, row.wrapped, row.about, row.record)
            opened.openings.check(kept, row.commitment, row.entry_id, row.position)
        assert {int.from_bytes(row.wrapped[:4], "big") for row in rows} == {1, 2}
        first, second = opened.openings.indexes_of(officer(OFFICER))
    # The token and a search before; a search after it.
    assert [sum(row.about == index for row in rows) for index in (first, second)] == [2, 1]


# --- checkpoints --------------------------------------------------------------------------------------------


def by(world: World, note: str) -> list[int]:
    """Return which checkpoint keys signed a note: by what it says, and verified."""
    origin = world.settings.log_origin
    verifiers = {n: Verifier(origin, key.public_key()) for n, key in keys_of(world).checkpoint.keys.items()}
    assert signers(note, origin) <= {verifier.key_id() for verifier in verifiers.values()}
    found = []
    for number, verifier in verifiers.items():
        try:
            verifier.open(note)
        except CheckpointError:
            continue
        found.append(number)
    return found


def _append(world: World) -> None:
    world.gateway.log.append(Entry("test", "permit", "done", composition.now(), None))
    world.gateway.log.seal_all()


@pytest.fixture
def handed_over(served: World) -> tuple[World, Machine]:
    """A gateway that has not read the new checkpoint key, while commands have."""
    return served, rotated(served, "checkpoint")


def test_the_old_key_signs_for_the_new(handed_over: tuple[World, Machine]) -> None:
    """The entry of the rotation is covered by the old key; then one note by both; then the new key alone."""
    world, machine = handed_over
    assert by(world, machine.notes()[-1]) == [1]
    covered = int(machine.notes()[-1].split("\n")[1])
    with machine.store() as store, store.reading() as connection:
        rotated_in = json.loads(
            connection.scalar(
                sa.select(tables.entry.c.leaf)
                .join(tables.leaf, tables.leaf.c.entry_id == tables.entry.c.entry_id)
                .where(tables.leaf.c.leaf_index == covered - 1)
            )
            or b"{}"
        )
    assert rotated_in["action"] == "key-rotate"
    before = len(machine.notes())
    machine.run("audit", "notices")
    machine.run("audit", "notices")
    machine.run("audit", "notices")
    assert [by(world, note) for note in machine.notes()[before:]] == [[1, 2], [2], [2]]


def test_a_process_with_the_old_key_signs_until_the_new_one_has(handed_over: tuple[World, Machine]) -> None:
    """From then on it seals and leaves signing to others: a note by the old key alone would be a forgery's."""
    world, machine = handed_over
    _append(world)
    assert by(world, machine.notes()[-1]) == [1]
    machine.run("audit", "notices")
    notes = machine.notes()
    assert by(world, notes[-1]) == [1, 2]
    _append(world)
    assert machine.notes() == notes
    assert world.gateway.log.unsealed() == 0
    machine.run("audit", "notices")
    after = machine.notes()[len(notes) :]
    assert [by(world, note) for note in after] == [[2]]


def test_leaves_that_nobody_signs_are_told_and_hold_up_answers(
    handed_over: tuple[World, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that still has the old key alone can't sign; it says so, and goes on when another has signed."""
    world, machine = handed_over
    publishing = world.gateway.publishing
    machine.run("audit", "notices")
    publishing.go_on()
    publishing.check()
    _append(world)
    monkeypatch.setattr(publishing_module, "PATIENCE", 0)
    for _ in range(2):
        publishing.go_on()
    assert world.lines.getvalue().count('"event": "log-refused"') == 1
    late = time.time() + world.settings.seal_delay + 1
    with monkeypatch.context() as later:
        later.setattr(time, "time", lambda: late)
        with pytest.raises(Unavailable):
            publishing.check()
    machine.run("audit", "notices")
    publishing.go_on()
    publishing.check()
    assert '"event": "log-published"' in world.lines.getvalue()


def test_the_first_public_key_verifies_all_that_came_since(
    served: World, make_world: MakeWorld, tmp_path: Path
) -> None:
    """An auditor with the key of the first day follows every rotation by the log alone, promises of each key too."""
    asker = served.asker()
    vkey = served.gateway.log.verifier.vkey()
    promises = [asker.search({"limit": 1}).headers["Log-Promise"]]
    for _ in range(2):
        machine = rotated(asker.world, "checkpoint", "promise")
        asker.world = make_world(rehearsal_day=DAY)
        promises.append(asker.search({"limit": 1}).headers["Log-Promise"])
        asker.world.leaves()
        _append(asker.world)
    machine.retire("checkpoint", 1)
    machine.retire("promise", 1)
    with composition.open_log(machine.settings) as opened:
        size = export(opened.store, opened.log.verifier.origin, tmp_path / "log", opens_all(opened.openings))
    trusted = (read_log_key(vkey),)
    found = verify(tmp_path / "log", trusted, Evidence(promises=tuple(promises)), composition.now())
    assert found.size == size
    assert [remark for remark in found.remarks if "promises" not in remark] == []
    assert by(asker.world, machine.notes()[-1]) == [3]


# --- key use ------------------------------------------------------------------------------------------------


def test_a_process_that_begins_to_serve_names_its_keys(served: World, make_world: MakeWorld) -> None:
    """The log tells which keys were in use since when."""

    def begun(world: World) -> dict[str, dict[str, object]]:
        world.gateway.start()
        world.gateway.sealer.stop()
        used: dict[str, dict[str, object]] = Machine(world.settings).leaves("gateway-start")[-1]["keys"]
        return used

    first = begun(served)
    assert first == {key.use: {"number": 1, "id": key.id} for key in Machine(served.settings).known()}
    machine = rotated(served, "ids", "promise")
    second = begun(make_world(rehearsal_day=DAY))
    assert {use for use in USES if first[use] != second[use]} == {"ids", "promise"}
    assert second["ids"] == {"number": 2, "id": machine.listed()["ids", 2][1]}


def test_no_secret_is_written_down(served: World) -> None:
    """Neither passphrase nor key byte in any leaf, record or line of telemetry."""
    machine = rotated(served, *USES)
    with machine.store() as store, store.reading() as connection:
        leaves = b"".join(connection.scalars(sa.select(tables.entry.c.leaf)))
        records = repr(connection.execute(sa.select(tables.key_record)).all()).encode()
    said = leaves + records + served.lines.getvalue().encode()
    assert machine.settings.keys_passphrase.read_bytes().strip() not in said
    for file in key_files.found(machine.keys, machine.settings.keys_passphrase):
        if file.use == "token":
            continue
        raw = file.key.private_bytes_raw()  # type: ignore[union-attr] # only tokens are signed on P-256
        for written in (raw.hex().encode(), base64.b64encode(raw), base64.urlsafe_b64encode(raw).rstrip(b"=")):
            assert written not in said
