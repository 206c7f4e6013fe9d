"""Finds an id that two entries have, in memory that does not grow with the log: sorted runs on disk, then merged."""

import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from tempfile import TemporaryFile
from types import TracebackType
from typing import BinaryIO, Self

_RUN = 1 << 17
_ID = 16


class Ids:
    """Collects ids; its files go when its block is left."""

    def __init__(self) -> None:
        self._now: list[bytes] = []
        self._runs: list[BinaryIO] = []
        self._files = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._files.close()

    def add(self, identifier: str) -> None:
        """Take one more id, as hexadecimal digits."""
        self._now.append(bytes.fromhex(identifier))
        if len(self._now) == _RUN:
            self._spill()

    def twice(self) -> str | None:
        """Return the least id that was taken more than once, if any was."""
        self._spill()
        for one, other in pairwise(heapq.merge(*map(_read, self._runs))):
            if one == other:
                return one.hex()
        return None

    def _spill(self) -> None:
        file = self._files.enter_context(TemporaryFile(prefix="verify-"))  # noqa: SIM115 -- closed with the block
        self._now.sort()
        file.write(b"".join(self._now))
        file.seek(0)
        self._now.clear()
        self._runs.append(file)


def _read(file: BinaryIO) -> Iterator[bytes]:
    while identifier := file.read(_ID):
        yield identifier
