"""What clients and the public get of the log over HTTP: checkpoint, tiles, and the receipt of one's own entry."""

import base64
import hashlib
import json
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from gateway import tables
from tests.audit import logs, trees
from tests.conftest import MakeWorld
from tests.world import Asker, World

NOBODYS = "0123456789abcdef" * 2
NO_IDS = ("x", "AAAA", NOBODYS.upper(), NOBODYS + "0", f"{NOBODYS}%00", "%C3%A9" * 32, "..", "' OR 1=1 --", "a" * 900)


def published(world: World) -> str:
    """Let the gateway seal and publish; return the checkpoint that it then gives."""
    world.gateway.publishing.go_on()
    return world.request("GET", "/log/checkpoint").text


def read_note(note: str) -> tuple[int, bytes]:
    """Read size and root."""
    _, size, root = note.split("\n")[:3]
    return int(size), base64.b64decode(root)


def promised(response: TestResponse) -> dict[str, Any]:
    """Return the payload of an answer's promise."""
    payload = response.headers["Log-Promise"].split(".")[1]
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return content


def proves(receipt: str, hashed: bytes) -> bool:
    """Hold a receipt against a leaf's hash, as tlog-proof has it."""
    proof, _, note = receipt.partition("\n\n")
    first, index, *path = proof.split("\n")
    assert first == "c2sp.org/tlog-proof@v1"
    size, root = read_note(note)
    at = int(index.removeprefix("index "))
    return trees.root_by_inclusion(hashed, at, size, [base64.b64decode(line) for line in path]) == root


# --- the public part ----------------------------------------------------------------------------------------


def test_the_checkpoint_that_is_given_is_the_one_that_was_published(make_world: MakeWorld) -> None:
    """What is sealed is not given out before its tiles are on disk."""
    world = make_world(rehearsal_day="2011-01-01")
    before = world.request("GET", "/log/checkpoint")
    world.asker().search()
    world.gateway.log.seal_all()
    assert world.request("GET", "/log/checkpoint").text == before.text
    assert read_note(published(world))[0] > read_note(before.text)[0]
    assert before.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert before.headers["Cache-Control"] == "no-store"
    assert (world.settings.log_public / "checkpoint").read_text() == published(world)


def test_the_tiles_give_the_root(make_world: MakeWorld) -> None:
    """Hundreds of leaves, published in steps: over HTTP, tile by tile, they hash to the checkpoint's root."""
    world = make_world(rehearsal_day="2011-01-01", client_limit="100000/minute")
    asker = world.asker()
    for count in (3, 270, 2):
        for _ in range(count):
            asker.get("/v1/resources")
        note = published(world)
    size, root = read_note(note)
    assert size > 256
    content = (
        world.request("GET", "/log/tile/0/000").data + world.request("GET", f"/log/tile/0/001.p/{size - 256}").data
    )
    hashes = [content[at : at + 32] for at in range(0, len(content), 32)]
    assert len(hashes) == size
    assert over(hashes) == root
    assert world.request("GET", "/log/tile/1/000.p/1").data == over(hashes[:256])


def over(nodes: list[bytes]) -> bytes:
    """Hash a list of nodes into one, as RFC 6962 parts lists."""
    if len(nodes) == 1:
        return nodes[0]
    k = 1
    while k * 2 < len(nodes):
        k *= 2
    return trees.node(over(nodes[:k]), over(nodes[k:]))


def test_a_tile_may_be_kept_for_ever(make_world: MakeWorld) -> None:
    """Type and caching of a tile are those of tlog-tiles; everything else is not to be stored."""
    world = make_world()
    size, _ = read_note(published(world))
    tile = world.request("GET", f"/log/tile/0/000.p/{size}")
    assert tile.status_code == 200
    assert tile.headers["Content-Type"] == "application/octet-stream"
    assert tile.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert tile.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/log/tile/0/001", "/healthz", "/log/checkpoint", "/v1/resources"):
        assert world.request("GET", path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "0/001",
        "0/000",
        "1/000.p/1",
        "0/000.p/255",
        "0/000.p/0",
        "entries/000",
        "../checkpoint",
        "0/..%2f..%2fkeys",
        "x",
    ],
)
def test_what_is_no_tile_of_the_tree_is_missing_and_has_no_entry(make_world: MakeWorld, path: str) -> None:
    """No way out of the directory; and no flood of entries by asking for tiles."""
    world = make_world()
    published(world)
    size, _ = read_note(published(world))
    response = world.request("GET", f"/log/tile/{path}")
    assert (response.status_code, response.get_json()["code"]) == (404, "route-unknown")
    assert "Log-Entry" not in response.headers
    assert read_note(published(world))[0] == size


def test_what_a_crash_left_beside_the_tree_is_not_given(make_world: MakeWorld) -> None:
    """A tile that no checkpoint covers yet is not public."""
    world = make_world()
    size, _ = read_note(published(world))
    (world.settings.log_public / f"tile/0/000.p/{size + 1}").write_bytes(bytes(32 * (size + 1)))
    assert world.request("GET", f"/log/tile/0/000.p/{size + 1}").status_code == 404
    assert world.request("GET", f"/log/tile/0/000.p/{size}").status_code == 200


# --- receipts -----------------------------------------------------------------------------------------------


def receipt(asker: Asker, entry: str) -> TestResponse:
    """Ask for a receipt, without a purpose: it is no data request."""
    return asker.world.request("GET", f"/v1/entries/{entry}", headers={"Authorization": f"Bearer {asker.token}"})


def test_a_client_gets_the_receipt_of_each_of_its_entries(make_world: MakeWorld) -> None:
    """Of an answer, of a refusal and of a receipt; each proves the leaf that was promised, and was promised itself."""
    world = make_world(rehearsal_day="2011-01-01")
    asker = world.asker()
    answers = [asker.search({"limit": 2}), asker.search({"filter": {"nowhere": {"eq": 1}}})]
    published(world)
    answers.append(receipt(asker, answers[0].headers["Log-Entry"]))
    note = published(world)
    assert [answer.status_code for answer in answers] == [200, 400, 200]
    for answer in answers:
        got = receipt(asker, answer.headers["Log-Entry"])
        assert (got.status_code, got.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        assert got.text.endswith(f"\n\n{note}")
        assert proves(got.text, bytes.fromhex(promised(answer)["leaf"]))
        assert promised(got)["entry"] == got.headers["Log-Entry"]


def test_a_receipt_tells_nothing_of_the_leaf(make_world: MakeWorld) -> None:
    """Of a page of many and of a page of none, the receipts have the same form: index, path, checkpoint."""
    world = make_world(rehearsal_day="2011-01-01")
    asker = world.asker()
    many, none = asker.search({"limit": 50}), asker.search({"filter": {"district": {"eq": "99"}}})
    assert (len(many.get_json()["records"]), len(none.get_json()["records"])) == (50, 0)
    note = published(world)
    for answer in (many, none):
        head, _, rest = receipt(asker, answer.headers["Log-Entry"]).text.partition("\n\n")
        assert rest == note
        first, index, *path = head.split("\n")
        assert (first, index.split()[0]) == ("c2sp.org/tlog-proof@v1", "index")
        assert all(len(base64.b64decode(line)) == 32 for line in path)


def test_anothers_entry_and_none_are_alike(make_world: MakeWorld) -> None:
    """Another client's, the city's, nobody's and what is no id: one answer, and leaves that differ in no fact."""
    world = make_world(rehearsal_day="2011-01-01")
    asker, other = world.asker(), world.asker("fbi", "FBI")
    others = other.search({"limit": 1}).headers["Log-Entry"]
    citys = next(leaf["id"] for leaf in world.leaves() if "client" not in leaf)
    strangers = world.request("GET", "/v1/resources").headers["Log-Entry"]
    published(world)
    refused = [receipt(asker, entry) for entry in (others, citys, strangers, NOBODYS, *NO_IDS)]
    refused.append(receipt(asker, others[:-1]))
    told = {(answer.status_code, answer.data, answer.headers.get("Retry-After")) for answer in refused}
    assert len(told) == 1
    (status, body, again) = told.pop()
    assert (status, json.loads(body)["code"], again) == (404, "entry-not-found", None)
    own = {"id", "time", "commitments", "index"}
    ids = {answer.headers["Log-Entry"] for answer in refused}
    facts = [{n: v for n, v in leaf.items() if n not in own} for leaf in world.leaves() if leaf["id"] in ids]
    assert len(facts) == len(refused)
    assert all(each == facts[0] for each in facts)
    assert (facts[0]["action"], facts[0]["decision"], facts[0]["outcome"]) == ("receipt", "refuse", "entry-not-found")
    assert receipt(other, others).status_code == 200


def test_an_entry_that_waits_is_to_be_asked_for_again(make_world: MakeWorld) -> None:
    """One's own that is not public yet, sealed or not; another's that waits is nobody's."""
    world = make_world(rehearsal_day="2011-01-01")
    asker, other = world.asker(), world.asker("fbi", "FBI")
    entry = asker.search({"limit": 1}).headers["Log-Entry"]
    for sealed in (False, True):
        if sealed:
            world.gateway.log.seal_all()
        early = receipt(asker, entry)
        assert (early.status_code, early.get_json()["code"]) == (404, "entry-not-sealed")
        assert early.headers["Retry-After"] == "1"
        assert receipt(other, entry).get_json()["code"] == "entry-not-found"
    published(world)
    assert receipt(asker, entry).status_code == 200


def test_asking_for_a_receipt_is_in_the_log(make_world: MakeWorld) -> None:
    """The leaf says that a receipt was given; of which entry stands in the sealed part, and is no mention of it."""
    world = make_world(rehearsal_day="2011-01-01")
    asker = world.asker(officer="Officer One")
    entry = asker.search({"limit": 1}).headers["Log-Entry"]
    published(world)
    given = receipt(asker, entry)
    leaf = next(leaf for leaf in world.leaves() if leaf["id"] == given.headers["Log-Entry"])
    assert (leaf["action"], leaf["decision"], leaf["outcome"]) == ("receipt", "permit", "disclosed")
    assert (leaf["client"], leaf["commitments"]["count"]) == ("ice-ero", 3)
    assert entry not in json.dumps(leaf)
    with world.gateway.store.reading() as connection:
        rows = connection.execute(sa.select(tables.opening).where(tables.opening.c.entry_id == leaf["id"])).all()
    assert sorted(row.about is not None for row in rows) == [False, False, True]


def test_a_receipt_takes_the_road_of_every_request(make_world: MakeWorld) -> None:
    """No token, a parameter, too often: refused as elsewhere, with an entry."""
    world = make_world(client_limit="3/minute")
    asker = world.asker()
    stranger = world.request("GET", f"/v1/entries/{NOBODYS}")
    assert (stranger.status_code, stranger.get_json()["code"]) == (401, "unauthenticated")
    assert receipt(asker, f"{NOBODYS}?x=1").get_json()["code"] == "unknown-parameter"
    assert [receipt(asker, NOBODYS).status_code for _ in range(3)] == [404, 404, 429]
    leaves = [leaf for leaf in world.leaves() if leaf["action"] == "receipt"]
    assert sorted(leaf["outcome"] for leaf in leaves) == [
        "entry-not-found",
        "entry-not-found",
        "too-many-requests",
        "unauthenticated",
        "unknown-parameter",
    ]


def test_a_stopped_agency_still_gets_its_receipts(make_world: MakeWorld) -> None:
    """The proof of what was logged is no record: no policy decides on it."""
    world = make_world()
    asker = world.asker()
    refused = asker.search()
    assert refused.status_code == 403
    published(world)
    assert receipt(asker, refused.headers["Log-Entry"]).status_code == 200


def test_a_receipt_is_never_of_another_leaf_than_the_entrys(make_world: MakeWorld) -> None:
    """Where the store's row and the public tree differ, nothing is given."""
    world = make_world(rehearsal_day="2011-01-01")
    asker = world.asker()
    entry = asker.search({"limit": 1}).headers["Log-Entry"]
    published(world)
    with world.gateway.store.transaction() as connection:
        logs.change_leaf(connection, entry, records=0)
    assert receipt(asker, entry).get_json()["code"] == "temporarily-unavailable"


def test_where_tiles_are_missing_a_receipt_is_unavailable(make_world: MakeWorld) -> None:
    """A damaged public part gives no half of a proof."""
    world = make_world(rehearsal_day="2011-01-01")
    asker = world.asker()
    entry = asker.search({"limit": 1}).headers["Log-Entry"]
    size, _ = read_note(published(world))
    (world.settings.log_public / f"tile/0/000.p/{size}").unlink()
    answer = receipt(asker, entry)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "temporarily-unavailable")


def test_the_promises_leaf_is_that_of_the_log(make_world: MakeWorld) -> None:
    """The hash in the promise is that of the leaf's bytes in the store, so a receipt can be held against it."""
    world = make_world(rehearsal_day="2011-01-01")
    answer = world.asker().search({"limit": 1})
    with world.gateway.store.reading() as connection:
        wanted = sa.select(tables.entry.c.leaf).where(tables.entry.c.entry_id == answer.headers["Log-Entry"])
        leaf = connection.scalar(wanted) or b""
    assert promised(answer)["leaf"] == hashlib.sha256(b"\x00" + leaf).hexdigest()
