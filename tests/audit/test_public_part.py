"""The public part on disk: never backwards, whole whatever kills its publisher, and enough for a client to verify."""

import base64
import http.server
import os
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from gateway.audit import public
from gateway.audit.public import PublicPart
from gateway.audit.tiles import Disagreement
from tests.audit import trees

ROOT = Path(__file__).parent.parent.parent


def publish(directory: Path, size: int) -> PublicPart:
    """Publish the invented leaves up to a size; begin where nothing is."""
    part = PublicPart(directory)
    go = part.publish if part.kept() else part.begin
    go(lambda: trees.note(size), trees.leaves)
    return part


def files(directory: Path) -> dict[str, bytes]:
    """Return what is public."""
    found = (path for path in directory.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}


def needed(size: int) -> set[str]:
    """Return the files that the specification asks for at a size, by its formula."""
    names = {"checkpoint"}
    for level in range(4):
        hashes = size // 256**level
        names |= {f"tile/{level}/{index:03}" for index in range(hashes // 256)}
        names |= {f"tile/{level}/{hashes // 256:03}.p/{hashes % 256}"} if hashes % 256 else set()
    return names


# --- publishing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600, 65_536 + 300])
def test_at_once_exactly_the_files_of_the_size_are_public(tmp_path: Path, size: int) -> None:
    """No file too few, none too many, and the note as it was signed."""
    part = publish(tmp_path / "public", size)
    found = files(tmp_path / "public")
    assert set(found) == needed(size)
    assert found["checkpoint"].decode() == part.kept() == trees.note(size)
    assert part.tree().root(size) == trees.mth(0, size)


def test_step_by_step_the_same_is_public_and_superseded_partial_tiles_go(tmp_path: Path) -> None:
    """After steps of many widths: what the size needs, and of others only partial tiles of the newest tile."""
    for size in (0, 1, 2, 200, 256, 257, 300, 511, 700, 1024, 1025, 1026):
        publish(tmp_path, size)
        found = files(tmp_path)
        assert needed(size) <= set(found)
        assert not any(name.partition(".p/")[0] in found for name in found if ".p/" in name)
    at_once = files_of(tmp_path / "once", 1026)
    assert {name: files(tmp_path)[name] for name in needed(1026)} == at_once


def files_of(directory: Path, size: int) -> dict[str, bytes]:
    """Publish at once, and return what is public."""
    publish(directory, size)
    return files(directory)


def test_publishing_again_changes_nothing(tmp_path: Path) -> None:
    """The same note twice: no file is written."""
    publish(tmp_path, 300)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"}
    publish(tmp_path, 300)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"} == before


def test_a_note_that_gathered_a_signature_replaces_the_one_without(tmp_path: Path) -> None:
    """The same tree, signed by one more key."""
    part = publish(tmp_path, 300)
    cosigned = trees.note(300) + "\N{EM DASH} witness.test/w1 c2lnbmVk\n"
    part.publish(lambda: cosigned, trees.leaves)
    assert part.kept() == cosigned


def test_only_the_leaves_that_are_not_public_yet_are_asked_for(tmp_path: Path) -> None:
    """What was published is read from the tiles."""
    part = publish(tmp_path, 300)
    asked: list[tuple[int, int]] = []

    def leaf_hashes(begin: int, end: int) -> list[bytes]:
        asked.append((begin, end))
        return trees.leaves(begin, end)

    part.publish(lambda: trees.note(310), leaf_hashes)
    assert asked == [(300, 310)]


# --- refusals -----------------------------------------------------------------------------------------------


def refused(directory: Path, note: str, match: str) -> None:
    """Publishing is refused, and nothing that is public changes."""
    before = files(directory)
    with pytest.raises(Disagreement, match=match):
        PublicPart(directory).publish(lambda: note, trees.leaves)
    assert files(directory)["checkpoint"] == before["checkpoint"]
    assert before.items() <= files(directory).items()


def test_a_smaller_checkpoint_is_refused(tmp_path: Path) -> None:
    """A store that lost leaves."""
    publish(tmp_path, 300)
    refused(tmp_path, trees.note(299), "of 300 leaves was given out, and the store's has 299")


def test_another_checkpoint_of_the_same_size_is_refused(tmp_path: Path) -> None:
    """A store that lost leaves and wrote others."""
    publish(tmp_path, 300)
    refused(tmp_path, trees.note(300, b"!" * 32), "another checkpoint of 300 leaves")


def test_a_greater_checkpoint_that_does_not_continue_is_refused(tmp_path: Path) -> None:
    """A fork that grew beyond what was given out."""
    publish(tmp_path, 300)
    refused(tmp_path, trees.note(400, b"!" * 32), "do not give the root of the checkpoint of size 400")
    assert publish(tmp_path, 400).tree().root(400) == trees.mth(0, 400)


def test_another_log_is_refused(tmp_path: Path) -> None:
    """Two logs, one directory."""
    publish(tmp_path, 300)
    refused(tmp_path, trees.note(301, origin="other.test/log"), "is of the log gateway.test/log, not other.test/log")


def test_leaves_that_are_missing_are_not_passed_over(tmp_path: Path) -> None:
    """A store without the rows that its checkpoint covers."""
    part = publish(tmp_path, 300)
    with pytest.raises(Disagreement, match="10 leaves are to be published, and there are 4"):
        part.publish(lambda: trees.note(310), lambda begin, _: trees.leaves(begin, begin + 4))
    assert part.kept() == trees.note(300)


def test_leaves_of_another_form_are_not_published(tmp_path: Path) -> None:
    """A hash that was cut short in the store."""
    part = publish(tmp_path, 300)
    with pytest.raises(Disagreement, match=r"001.p/46 is damaged"):
        part.publish(lambda: trees.note(302), lambda begin, _: [trees.leaf(begin), b"short"])
    assert part.kept() == trees.note(300)


def test_a_directory_that_vanished_is_not_made_anew_in_passing(tmp_path: Path) -> None:
    """What was given out would be forgotten; beginning is a deed of its own."""
    part = PublicPart(tmp_path / "public")
    for empty in (False, True):
        if empty:
            (tmp_path / "public").mkdir()
        with pytest.raises(Disagreement, match="holds no checkpoint"):
            part.publish(lambda: trees.note(300), trees.leaves)
        with pytest.raises(Disagreement, match="holds no checkpoint"):
            part.tree()


@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_damage_at_the_edge_is_found_before_anything_is_added(tmp_path: Path, damage: str) -> None:
    """A tile that the next ones would stand on is gone, cut short or changed."""
    publish(tmp_path, 300)
    tile = tmp_path / "tile/0/001.p/44"
    content = tile.read_bytes()
    tile.unlink()
    if damage != "missing":
        tile.write_bytes(content[:-1] if damage == "cut" else b"!" + content[1:])
    found = {"missing": "is missing", "cut": "is damaged", "changed": "root of their own checkpoint"}[damage]
    with pytest.raises(Disagreement, match=found):
        publish(tmp_path, 301)
    assert set(files(tmp_path)) <= needed(300)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"garbage",
        trees.note(300).encode()[:30],
        trees.note(300).replace("300", "0300").encode(),
        trees.note(300).replace("300", "-300").encode(),
        trees.note(300).replace("\n\n", "\nextension\n\n").encode(),
    ],
)
def test_a_checkpoint_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that something else wrote."""
    part = publish(tmp_path, 300)
    (tmp_path / "checkpoint").write_bytes(content)
    with pytest.raises(Disagreement, match="no checkpoint"):
        part.publish(lambda: trees.note(301), trees.leaves)


# --- crashes and company ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(0, 3), (254, 257), (511, 514)])
def test_killed_at_any_line_a_publisher_leaves_a_whole_directory(tmp_path: Path, before: int, after: int) -> None:
    """Killed at each line it runs: what is public is complete, and publishing again makes it right."""
    program = [sys.executable, "-m", "tests.audit.publisher", "dies", str(before), str(after), str(tmp_path)]
    subprocess.run(program, check=True, cwd=ROOT)
    places = sorted(path for path in tmp_path.iterdir() if path.name != "pattern")
    sizes = []
    for place in places:
        kept = PublicPart(place).kept()
        if kept is not None:
            size = public.read(kept).size
            sizes.append(size)
            assert kept == trees.note(size)
            assert needed(size) <= set(files(place)), place
            whole = PublicPart(place).tree()
            assert whole.root(size) == trees.mth(0, size)
            assert [whole.leaf_hash(index) for index in range(size)] == trees.leaves(0, size)
        publish(place, after)
        assert files(place).items() >= files_of(tmp_path / "once", after).items()
        publish(place, after + 300)
        assert PublicPart(place).tree().root(after + 300) == trees.mth(0, after + 300)
        shutil.rmtree(place)
    assert len(places) > 60
    assert set(sizes) == {after, *({before} if before else ())}


def test_two_processes_publish_at_once(tmp_path: Path) -> None:
    """Two publishers of one directory, step by step against each other: nobody fails, and all is right."""
    publish(tmp_path, 200)
    program = [sys.executable, "-m", "tests.audit.publisher", "goes-on", "600", str(tmp_path)]
    both = [subprocess.Popen(program, cwd=ROOT) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    found = files(tmp_path)
    assert {name: found[name] for name in needed(600)} == files_of(tmp_path / "once", 600)


def test_while_a_publisher_goes_on_every_receipt_that_is_asked_for_is_given(tmp_path: Path) -> None:
    """A proof against a note that was given out a while ago stands, though its partial tiles are gone."""
    part = publish(tmp_path, 200)
    old = trees.note(200)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.audit.publisher", "goes-on", "600", str(tmp_path)], cwd=ROOT
    )
    expected = part.receipt(7, old)
    while process.poll() is None:
        assert part.receipt(7, old) == expected
        note = part.kept()
        assert note is not None
        assert note in part.receipt(7, note)
    assert process.returncode == 0


# --- a client that has nothing but the files ----------------------------------------------------------------


class Silent(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve a directory as any static file server does; yield its prefix."""
    handler = partial(Silent, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def fetch(address: str) -> bytes | None:
    """Return what stands at an address, or none."""
    try:
        with urllib.request.urlopen(address) as response:  # noqa: S310 -- the test's own server
            content: bytes = response.read()
            return content
    except urllib.error.HTTPError as error:
        error.close()
        return None


def hashes(prefix: str, level: int, index: int, size: int) -> list[bytes]:
    """Fetch a tile as tlog-tiles tells clients to: a partial one first, then the full one."""
    width = min(256, size // 256**level - index * 256)
    name = f"{prefix}/tile/{level}/{index:03}"
    content = fetch(f"{name}.p/{width}" if width < 256 else name) or fetch(name)
    assert content is not None
    assert len(content) >= width * 32
    return [content[at * 32 : at * 32 + 32] for at in range(width)]


def over(nodes: list[bytes]) -> bytes:
    """Hash a list of nodes into one, as RFC 6962 parts lists."""
    if len(nodes) == 1:
        return nodes[0]
    k = 1
    while k * 2 < len(nodes):
        k *= 2
    return trees.node(over(nodes[:k]), over(nodes[k:]))


def derived(prefix: str, size: int) -> bytes:
    """Derive the root from level 0 alone, and hold every tile above against those below it."""
    level, row = 0, [each for index in range(-(-size // 256)) for each in hashes(prefix, 0, index, size)]
    root = over(row)
    while len(row) >= 256:
        row = [over(row[at : at + 256]) for at in range(0, len(row) - 255, 256)]
        level += 1
        above = [each for index in range(-(-len(row) // 256)) for each in hashes(prefix, level, index, size)]
        assert above == row
    return root


@pytest.mark.parametrize("size", [1, 44, 256, 300, 1026])
def test_a_client_verifies_from_the_files_alone(tmp_path: Path, size: int) -> None:
    """Checkpoint, tiles of every level, and a receipt are held against each other over HTTP."""
    part = publish(tmp_path, size // 2)
    publish(tmp_path, size)
    with served(tmp_path) as prefix:
        note = fetch(f"{prefix}/checkpoint")
        assert note is not None
        _, told, root = note.decode().split("\n")[:3]
        assert derived(prefix, int(told)) == base64.b64decode(root)
        assert not size // 2 or derived(prefix, size // 2) == trees.mth(0, size // 2)
        receipt = part.receipt(size // 3, note.decode()).split("\n")
        proof = [base64.b64decode(line) for line in receipt[2 : receipt.index("")]]
        hashed = hashes(prefix, 0, size // 3 // 256, size)[size // 3 % 256]
        assert trees.root_by_inclusion(hashed, size // 3, size, proof) == base64.b64decode(root)


def test_a_client_of_an_older_checkpoint_finds_the_full_tile(tmp_path: Path) -> None:
    """Its partial tile is gone since the full one is there."""
    publish(tmp_path, 200)
    publish(tmp_path, 300)
    with served(tmp_path) as prefix:
        assert fetch(f"{prefix}/tile/0/000.p/200") is None
        assert derived(prefix, 200) == trees.mth(0, 200)


def test_files_are_readable_by_a_server_of_another_account(tmp_path: Path) -> None:
    """As far as the umask of the service allows."""
    before = os.umask(0o022)
    try:
        publish(tmp_path / "public", 300)
    finally:
        os.umask(before)
    for path in (tmp_path / "public").rglob("*"):
        if not path.name.startswith("."):
            assert path.stat().st_mode & 0o004
