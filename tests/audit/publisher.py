"""Programs for the tests of the public part: one that dies at each line, one that publishes as others do.

python -m tests.audit.publisher dies BEFORE AFTER DIRECTORY
python -m tests.audit.publisher goes-on SIZE DIRECTORY
"""

import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from gateway.audit import proof, public, tiles
from gateway.audit.public import PublicPart
from tests.audit import trees

_TRACED = frozenset({proof.__file__, public.__file__, tiles.__file__})


def publish(directory: Path, size: int) -> None:
    """Publish the invented leaves up to a size; begin where nothing is."""
    part = PublicPart(directory)
    go = part.publish if part.kept() else part.begin
    go(lambda: trees.note(size), trees.leaves)


def dies(before: int, after: int, directory: Path) -> None:
    """For each line that publishing runs, leave a directory in which the publisher was killed there."""
    trees.note(after)  # what the tests remember of trees is remembered before the forks
    pattern = directory / "pattern"
    if before:
        publish(pattern, before)
    for line in count():
        place = directory / f"{line:05}"
        if before:
            shutil.copytree(pattern, place)
        child = os.fork()
        if not child:
            sys.settrace(_killer(line))
            publish(place, after)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        if status != signal.SIGKILL:
            sys.exit(f"the publisher ended otherwise than it was to, with status {status}")


def _killer(line: int) -> Any:
    lines = count()

    def traced(frame: FrameType, event: str, _: object) -> Any:
        # A generator expression's line is that of its function, and it parts bytes only.
        if frame.f_code.co_filename not in _TRACED or frame.f_code.co_name == "<genexpr>":
            return None
        if event == "line" and next(lines) == line:
            os.kill(os.getpid(), signal.SIGKILL)
        return traced

    return traced


def goes_on(size: int, directory: Path) -> None:
    """Publish every size from what is published up to one, as a sealer does beside others of its kind."""
    while True:
        public_size = public.read(PublicPart(directory).kept() or "").size
        if public_size >= size:
            return
        PublicPart(directory).publish(lambda: trees.note(min(size, _published(directory) + 1)), trees.leaves)


def _published(directory: Path) -> int:
    """Return the size that is published, as the newest checkpoint of a store would be at least that."""
    return public.read(PublicPart(directory).kept() or "").size


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["dies", before, after, directory]:
            dies(int(before), int(after), Path(directory))
        case ["goes-on", size, directory]:
            goes_on(int(size), Path(directory))
        case _:
            sys.exit(__doc__)
