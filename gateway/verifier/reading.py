"""The tree as it grows while an export is read: what waits for the next checkpoint to vouch for it."""

from gateway.verifier.tree import Tree
from gateway.verifier.verdict import VerificationError, Wrong

_REMEMBERED = 4096


class Growth:
    """A tree, and of the leaves since the last checkpoint their times and hashes, and the first defect found in them.

    A defect is not told before the root at the next checkpoint says whether the log signed these leaves: only then is
    the writer at fault, and else whoever changed them since.
    """

    def __init__(self) -> None:
        self.tree = Tree()
        self.defect: VerificationError | None = None
        self._base = Tree()
        self._since: list[tuple[str, bytes]] = []

    def append(self, hashed: bytes, time: str) -> None:
        """Add a leaf; the time of a lost one is empty."""
        self.tree.append(hashed)
        if len(self._since) <= _REMEMBERED:
            self._since.append((time, hashed))

    def suspect(self, defect: VerificationError) -> None:
        """Keep the first defect."""
        self.defect = self.defect or defect

    def vouched(self) -> None:
        """Go on after a checkpoint whose root is the tree's; raise what was kept."""
        if self.defect is not None:
            raise self.defect
        self._base = self.tree.copy()
        self._since.clear()

    def differs(self, root: bytes, size: int, held: int, signed: int) -> VerificationError:
        """Say why the leaves since the last checkpoint do not give the next one's root.

        `held` is how many leaves the export holds, `signed` how many its newest checkpoint covers.
        """
        first = self._base.size
        leaves = f"leaves {first} to {size - 1}"
        if held < signed:
            return VerificationError(
                Wrong.REMOVED, f"{signed - held} leaves are missing, the first of them among {leaves}"
            )
        if held > signed:
            return VerificationError(
                Wrong.FORGED, f"{held - signed} leaves were inserted, the first of them at or before leaf {size - 1}"
            )
        if self._sorted_root() == root:
            return VerificationError(Wrong.REORDERED, f"{leaves} are those that were signed, in another order")
        return VerificationError(
            Wrong.CHANGED, f"{leaves} do not give the root that was signed: one of them was changed, exchanged or moved"
        )

    def _sorted_root(self) -> bytes | None:
        """Return the root over the leaves since the last checkpoint in the order of their times."""
        if len(self._since) > _REMEMBERED:
            return None
        tree = self._base.copy()
        for _, hashed in sorted(self._since, key=lambda each: each[0]):
            tree.append(hashed)
        return tree.root()
