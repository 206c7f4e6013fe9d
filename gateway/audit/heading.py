"""Of a leaf, what it can be searched by; it is repeated beside the leaf, whose bytes are what counts."""

from datetime import datetime
from typing import Annotated

import msgspec

# What the columns of the table can hold.
Word = Annotated[str, msgspec.Meta(max_length=40, pattern=r"^[^\x00]*$")]
Name = Annotated[str, msgspec.Meta(max_length=60, pattern=r"^[^\x00]*$")]


class Heading(msgspec.Struct, frozen=True):
    """The members of a leaf that a search can be made by."""

    time: str
    action: Word
    decision: Annotated[str, msgspec.Meta(max_length=10, pattern=r"^[^\x00]*$")]
    outcome: Name
    client: Name | None = None
    agency: Name | None = None
    purpose: Name | None = None

    def columns(self) -> dict[str, object]:
        """Return what stands beside the leaf's hash, the time in seconds since 1970; raise ValueError for no time."""
        return {**msgspec.structs.asdict(self), "time": datetime.fromisoformat(self.time).timestamp()}


def read(leaf: bytes) -> Heading:
    """Read the heading of a leaf; raise ValueError for what is no leaf of this log."""
    return msgspec.json.decode(leaf, type=Heading)
