"""The public part of the log on disk: its tiles and its newest checkpoint, for any static file server.

What was given out is known here, outside of the database; so it never goes backwards.
"""

import base64
import binascii
import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.audit import proof, tiles
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.merkle import HASH
from gateway.audit.proof import Tree
from gateway.audit.tiles import HEIGHT, Disagreement, Tile
from gateway.durable import keep_names

CHECKPOINT = "checkpoint"
TILES = "tile"
# Neither is for the public; a file server that follows the rule leaves dot files alone.
_LOCK = ".lock"
_NEW = ".new"

Newest = Callable[[], str]
LeafHashes = Callable[[int, int], Iterable[bytes]]


class PublicPart:
    """A directory of one machine, into which each process of it may publish."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def kept(self) -> str | None:
        """Return the newest note that was given out."""
        try:
            return (self._directory / CHECKPOINT).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise Disagreement(f"{self._directory / CHECKPOINT} is no checkpoint") from None

    def tree(self) -> Tree:
        """Return the tree of the newest checkpoint that was given out."""
        note = self.kept()
        if note is None:
            raise Disagreement(f"{self._directory} holds no checkpoint")
        return Tree(read(note).size, self._read)

    def receipt(self, index: int, note: str) -> str:
        """Write the proof of a leaf against a note that was given out."""
        return proof.receipt(self.tree(), index, read(note).size, note)

    def tile(self, tile: Tile) -> bytes | None:
        """Return a tile of the newest checkpoint's tree, if there is such a file; what a crash left is not given."""
        note = self.kept()
        if note is None or tile.index * tiles.WIDTH + tile.width > read(note).size >> HEIGHT * tile.level:
            return None
        return self._file(tile)

    def _file(self, tile: Tile) -> bytes | None:
        try:
            return (self._directory / TILES / tile.path()).read_bytes()
        except FileNotFoundError:
            return None

    def begin(self, newest: Newest, leaf_hashes: LeafHashes) -> None:
        """Make the directory, and publish from the first leaf on where nothing was published yet."""
        self._make(self._directory)
        with self._alone():
            self._publish(self.kept(), newest(), leaf_hashes)

    def publish(self, newest: Newest, leaf_hashes: LeafHashes) -> None:
        """Publish the newest note, and before it the hashes of leaves, as `leaf_hashes(begin, end)` gives them.

        Raise Disagreement where that would not continue what was published. The note is asked for once no other
        process publishes: what it says is then at least as new as what is public, unless something was lost.
        """
        if not (self._directory / CHECKPOINT).exists():
            raise Disagreement(f"{self._directory} holds no checkpoint, and did")
        with self._alone():
            self._publish(self.kept(), newest(), leaf_hashes)

    def _publish(self, kept: str | None, note: str, leaf_hashes: LeafHashes) -> None:
        """Write tiles, then the checkpoint, then remove what that made superfluous.

        A crash before the checkpoint leaves tiles that no checkpoint speaks of, and the next call writes again; one
        after it may leave partial tiles beside their full ones, which harm nobody.
        """
        if kept == note:
            return
        wanted = read(note)
        before = 0 if kept is None else self._continued(read(kept), wanted)
        leaves = leaf_hashes(before, wanted.size) if before < wanted.size else ()
        for tile, content in tiles.grown(before, wanted.size, self._read, leaves):
            self._write(f"{TILES}/{tile.path()}", content)
        if Tree(wanted.size, self._read).root(wanted.size) != wanted.root:
            raise Disagreement(f"the leaves do not give the root of the checkpoint of size {wanted.size}")
        self._write(CHECKPOINT, note.encode())
        self._remove_superseded(before, wanted.size)

    def _continued(self, kept: Checkpoint, wanted: Checkpoint) -> int:
        """Return the size that was published; refuse what can't continue it, and damage at its edge."""
        if kept.origin != wanted.origin:
            raise Disagreement(f"{self._directory} is of the log {kept.origin}, not {wanted.origin}")
        if wanted.size < kept.size:
            raise Disagreement(f"a checkpoint of {kept.size} leaves was given out, and the store's has {wanted.size}")
        if wanted.size == kept.size and wanted.root != kept.root:
            raise Disagreement(f"another checkpoint of {kept.size} leaves was given out than the store's")
        self.check(kept)
        return kept.size

    def check(self, kept: Checkpoint) -> None:
        """Refuse damage at the edge, on which the next leaves would stand."""
        if Tree(kept.size, self._read).root(kept.size) != kept.root:
            raise Disagreement(f"the tiles in {self._directory} do not give the root of their own checkpoint")

    def _remove_superseded(self, before: int, after: int) -> None:
        """Remove the partial tiles of those that became full: no tile of the published checkpoint is among them.

        A client that still holds an older checkpoint takes the full tile, as tlog-tiles tells it to.
        """
        for level in tiles.levels(after):
            for index in range(before >> HEIGHT * (level + 1), after >> HEIGHT * (level + 1)):
                partial = (self._directory / TILES / Tile(level, index, 1).path()).parent
                if partial.exists():
                    shutil.rmtree(partial)

    def _read(self, tile: Tile) -> bytes:
        """Read a tile; a partial one may be gone since the full one is there, which begins with it."""
        content = self._file(tile)
        if content is None and (full := self._file(tile.full())) is not None:
            content = full[: tile.width * HASH]
        if content is None or len(content) != tile.width * HASH:
            state = "missing" if content is None else "damaged"
            raise Disagreement(f"{self._directory / TILES / tile.path()} is {state}")
        return content

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep the other processes of this machine, and the other threads of this one, from publishing."""
        with (self._directory / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, name: str, content: bytes) -> None:
        """Write a file whole and for good, or not at all."""
        target, new = self._directory / name, self._directory / _NEW
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._make(target.parent)
        new.replace(target)
        keep_names(target.parent)

    def _make(self, directory: Path) -> None:
        if not directory.is_dir():
            self._make(directory.parent)
            directory.mkdir(exist_ok=True)
            keep_names(directory.parent)


def read(note: str) -> Checkpoint:
    """Read what a note says, without asking who signed it."""
    try:
        origin, size, root, empty, *_ = note.split("\n")
        checkpoint = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    except (ValueError, binascii.Error):
        raise Disagreement("what was given out, or is to be, is no checkpoint") from None
    if empty or checkpoint.size < 0 or not note.startswith(f"{checkpoint.text()}\n"):
        raise Disagreement("what was given out, or is to be, is no checkpoint")
    return checkpoint
