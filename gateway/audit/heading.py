"""Of a leaf, what it can be searched by; it is repeated beside the leaf, whose bytes are what counts."""

from datetime import datetime

import msgspec


class Heading(msgspec.Struct, frozen=True):
    """The members of a leaf that a search can be made by."""

    time: str
    action: str
    decision: str
    outcome: str
    client: str | None = None
    agency: str | None = None
    purpose: str | None = None

    def columns(self) -> dict[str, object]:
        """Return what stands beside the leaf's hash; the time in seconds since 1970."""
        return {**msgspec.structs.asdict(self), "time": datetime.fromisoformat(self.time).timestamp()}


def read(leaf: bytes) -> Heading:
    """Read the heading of a leaf."""
    return msgspec.json.decode(leaf, type=Heading)
