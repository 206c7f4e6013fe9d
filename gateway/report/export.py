"""Reads a directory that `gateway audit export` wrote: leaves and checkpoints, nothing sealed.

That the leaves are those of the log, whole and unchanged, is for `gateway audit verify` to say.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, NoReturn, TypeVar

import msgspec

from gateway.errors import ConfigurationError
from gateway.strict_yaml import FileError, Place

FORMAT = "arrest-gateway-log-export/1"
_TIME = re.compile(r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_AT_BYTE = re.compile(r"byte ([0-9]+)")
T = TypeVar("T")
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Lost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The place of a leaf that was lost and declared so: its hash is all that is left."""

    lost: str


class Leaf(msgspec.Struct, frozen=True):
    """What every leaf says; members that it doesn't know, as a newer gateway may write, are passed over.

    `further` is how many refusals an aggregated one stands for.
    """

    time: str
    action: str
    decision: str
    outcome: str
    further: _Count = 1

    def moment(self) -> datetime:
        """Return when it happened; raise ValueError."""
        if not _TIME.fullmatch(self.time):
            raise ValueError
        return datetime.fromisoformat(self.time)


class Read(Leaf, frozen=True, kw_only=True):
    """The leaf of a search or a lookup."""

    decision: Literal["permit", "deny", "refuse"]
    agency: str | None = None
    component: str | None = None
    purpose: str | None = None
    rules: tuple[str, ...] = ()
    records: _Count = 0
    persons: _Count = 0
    bundle: str | None = None
    rehearsal: str | None = None
    sandbox: bool = False
    proposed: tuple[str, ...] = msgspec.field(default=(), name="with")


class Loss(Leaf, frozen=True, kw_only=True):
    """The leaf that declares leaves to be lost, the first and the last of them by their places."""

    first: _Count
    last: _Count


class Checkpoint(msgspec.Struct, frozen=True):
    """A signed note and the number of leaves that it covers."""

    size: int
    note: str


class _Head(msgspec.Struct):
    format: str
    origin: str
    size: int


class _Kind(msgspec.Struct):
    action: str | None = None


_KINDS: dict[str | None, type[Leaf | Lost]] = {None: Lost, "read": Read, "log-loss": Loss}


@dataclass(frozen=True, slots=True)
class Export:
    """An export directory, whose leaves are read anew at each pass, one at a time."""

    directory: Path
    origin: str
    size: int
    checkpoints: Sequence[Checkpoint]

    def leaves(self) -> Iterator[tuple[Leaf, datetime] | Lost]:
        """Yield each leaf with its moment; raise FileError at the first line that is none."""
        file = self.directory / "leaves.ndjson"
        count = 0
        for count, line in _lines(file):
            yield _leaf(file, count, line)
        if count != self.size:
            raise FileError(Place(str(file), count + 1, 1), f"the file holds {count} leaves, log.json says {self.size}")


def read(directory: Path) -> Export:
    """Open an export; raise ConfigurationError or FileError."""
    file = directory / "log.json"
    head = _decode(file, 1, _bytes(file), _Head)
    if head.format != FORMAT:
        raise ConfigurationError(f"{file}: the format is '{head.format}', not '{FORMAT}'")
    file = directory / "checkpoints.ndjson"
    checkpoints: list[Checkpoint] = []
    for number, line in _lines(file):
        checkpoint = _decode(file, number, line, Checkpoint)
        stated = checkpoint.note.split("\n")
        if stated[:2] != [head.origin, str(checkpoint.size)]:
            _refuse(file, number, "the note is not one of this log and this size")
        if checkpoint.size > head.size or (checkpoints and checkpoint.size <= checkpoints[-1].size):
            _refuse(file, number, "the sizes must ascend, and not pass that of the log")
        checkpoints.append(checkpoint)
    return Export(directory, head.origin, head.size, checkpoints)


def _leaf(file: Path, number: int, line: bytes) -> tuple[Leaf, datetime] | Lost:
    kind = _decode(file, number, line, _Kind)
    leaf = _decode(file, number, line, _KINDS.get(kind.action, Leaf))
    if isinstance(leaf, Lost):
        return leaf
    try:
        return leaf, leaf.moment()
    except ValueError:
        _refuse(file, number, f"'{leaf.time[:40]}' is no time such as 2026-11-23T05:06:07.123456Z")


def _decode(file: Path, number: int, line: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(line, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        found = _AT_BYTE.search(str(error))
        _refuse(file, number, str(error) or "nested too deeply", 1 if found is None else int(found[1]) + 1)


def _refuse(file: Path, number: int, message: str, column: int = 1) -> NoReturn:
    raise FileError(Place(str(file), number, column), message)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield lines by their numbers, from 1; the last must end too, or the file was cut off."""
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    _refuse(file, number, "the last line is cut off")
                yield number, line
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
