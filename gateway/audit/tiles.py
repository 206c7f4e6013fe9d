"""Tiles after C2SP tlog-tiles, height 8: a tree's hashes in pieces of 256, and the path under which each is public."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gateway.audit import merkle
from gateway.audit.merkle import HASH
from gateway.errors import ConfigurationError

HEIGHT = 8
WIDTH = 1 << HEIGHT
# Levels 0 to 63, and as many elements as any index needs whose tile could exist.
_PATH = re.compile(r"([0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?", re.ASCII)
_LEVELS = 64


class Disagreement(ConfigurationError):  # noqa: N818 -- what it is, not that it is an error
    """What is public, and what is to be published, are not one growing tree; or what is public is damaged."""


class NoTile(ValueError):  # noqa: N818 -- says what the text is
    """A text that is not the path of a tile."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A run of hashes: of leaves at level 0, above it of the full tiles of the level below."""

    level: int
    index: int
    width: int = WIDTH

    def full(self) -> "Tile":
        """Return the tile that this one is the beginning of."""
        return Tile(self.level, self.index)

    def path(self) -> str:
        """Return the path below `tile/`."""
        whole = f"{self.level}/{_elements(self.index)}"
        return whole if self.width == WIDTH else f"{whole}.p/{self.width}"


def parse(path: str) -> Tile:
    """Read a path; each tile has one, and any other way to write it is none."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise NoTile(path)
    index = int(match[2].replace("x", "").replace("/", ""))
    tile = Tile(int(match[1]), index, int(match[3] or WIDTH))
    if tile.level >= _LEVELS or not 0 < tile.width <= WIDTH or tile.path() != path:
        raise NoTile(path)
    return tile


def _elements(index: int) -> str:
    elements = [f"{index % 1000:03}"]
    while index := index // 1000:
        elements.append(f"x{index % 1000:03}")
    return "/".join(reversed(elements))


def of(level: int, index: int, size: int) -> Tile:
    """Return a tile as wide as it is in a tree of `size` leaves."""
    return Tile(level, index, min(WIDTH, (size >> HEIGHT * level) - index * WIDTH))


def levels(size: int) -> range:
    """Return the levels that a tree of `size` leaves has."""
    return range(-(-size.bit_length() // HEIGHT))


def hashes(content: bytes) -> Iterator[bytes]:
    """Part a tile into its hashes."""
    return (content[at : at + HASH] for at in range(0, len(content), HASH))


Read = Callable[[Tile], bytes]


def grown(before: int, after: int, read: Read, leaves: Iterable[bytes]) -> Iterator[tuple[Tile, bytes]]:
    """Give each tile that a tree has at `after` leaves and had not at `before`, with its content.

    The tiles that the new leaves begin in are read, not made again: so the new tree continues the old one whatever the
    new leaves are. In memory are one tile of each level.
    """
    counts = [before >> HEIGHT * level for level in levels(after)]
    edges = [
        bytearray(read(of(level, count // WIDTH, before)) if count % WIDTH else b"")
        for level, count in enumerate(counts)
    ]
    for leaf in _exactly(after - before, leaves):
        hashed, level = leaf, 0
        while True:
            edges[level] += hashed
            counts[level] += 1
            if counts[level] % WIDTH:
                break
            content = bytes(edges[level])
            yield Tile(level, counts[level] // WIDTH - 1), content
            edges[level].clear()
            hashed, level = merkle.root(hashes(content)), level + 1
    for level, count in enumerate(counts):
        if count % WIDTH and count != before >> HEIGHT * level:
            yield Tile(level, count // WIDTH, count % WIDTH), bytes(edges[level])


def _exactly(count: int, leaves: Iterable[bytes]) -> Iterator[bytes]:
    given = 0
    for given, leaf in enumerate(leaves, 1):
        if given > count:
            break
        yield leaf
    if given != count:
        raise Disagreement(f"{count} leaves are to be published, and there are {'more' if given > count else given}")
