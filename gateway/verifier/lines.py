"""Reads files line by line, each line no longer than may be: what was cut, or never ends, is refused."""

import stat
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from gateway.verifier.verdict import VerificationError, Wrong


class Lines:
    """The lines of a file, one after the other; close it, or leave its block."""

    def __init__(self, path: Path, limit: int) -> None:
        self.name = path.name
        self.number = 0
        self._limit = limit
        self._file = _open(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def next(self) -> bytes | None:
        """Return the next line without its newline, or None at the end; raise VerificationError."""
        try:
            line = self._file.readline(self._limit + 2)
        except OSError:
            raise VerificationError(Wrong.MALFORMED, f"{self.name} can't be read") from None
        if not line:
            return None
        self.number += 1
        if not line.endswith(b"\n"):
            what = "is too long" if len(line) > self._limit else "is cut off"
            raise VerificationError(Wrong.MALFORMED, f"line {self.number} of {self.name} {what}")
        if len(line) > self._limit + 1:
            raise VerificationError(Wrong.MALFORMED, f"line {self.number} of {self.name} is too long")
        return line[:-1]

    def broken(self) -> VerificationError:
        """Return what to raise where the line just read is not what the file's lines are."""
        return VerificationError(Wrong.MALFORMED, f"line {self.number} of {self.name} is not what it should be")


def read_small(path: Path, limit: int) -> bytes:
    """Read a file that must not be longer than a limit; raise VerificationError."""
    with _open(path) as file:
        try:
            content = file.read(limit + 1)
        except OSError:
            raise VerificationError(Wrong.MALFORMED, f"{path.name} can't be read") from None
    if len(content) > limit:
        raise VerificationError(Wrong.MALFORMED, f"{path.name} is too long")
    return content


def _open(path: Path) -> BinaryIO:
    """Open a regular file: of a pipe, opening alone might never end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise VerificationError(Wrong.MALFORMED, f"{path.name} is not a file")
        return path.open("rb")
    except (OSError, ValueError):
        raise VerificationError(Wrong.MALFORMED, f"{path.name} is missing, or can't be read") from None
