"""The grid of time on which answers leave, so that how long one took tells less of what it went through."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Grid:
    """Lets an answer leave at the next line of a grid, counted from when its question was wholly read.

    Not from when the request began: whoever sends its last byte when it likes would choose where the lines are.
    """

    def __init__(self, milliseconds: int) -> None:
        self._step = milliseconds / 1000

    def hold(self, answer: Callable[[], T]) -> T:
        """Return, or raise, what an answer gives, at a line of the grid; at once where there is no grid."""
        began = time.monotonic()
        try:
            return answer()
        finally:
            if self._step:
                time.sleep((began - time.monotonic()) % self._step)
