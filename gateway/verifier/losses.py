"""Lost leaves, and whether the log itself declared each of them."""

from gateway.verifier.verdict import Loss, VerificationError, Wrong

MAX_LOSSES = 1000


class Losses:
    """The ranges of leaves that are lost, and those that the log declares lost."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self.declared: list[Loss] = []

    def lost(self, index: int) -> None:
        """Take note of a lost leaf; they come in order."""
        if self._ranges and self._ranges[-1][1] == index - 1:
            self._ranges[-1] = (self._ranges[-1][0], index)
            return
        if len(self._ranges) == MAX_LOSSES:
            raise VerificationError(Wrong.REMOVED, f"more than {MAX_LOSSES} ranges of leaves are lost")
        self._ranges.append((index, index))

    def declare(self, first: int, last: int, by: int) -> None:
        """Take note that a leaf declares a range lost; each leaf of it must be."""
        if not any(begin <= first <= last <= end for begin, end in self._ranges):
            raise VerificationError(
                Wrong.REMOVED,
                f"leaf {by} declares leaves {first} to {last} lost, and not all of them are lost before it",
            )
        if len(self.declared) == MAX_LOSSES:
            raise VerificationError(Wrong.REMOVED, f"more than {MAX_LOSSES} losses are declared")
        self.declared.append(Loss(first, last, by))

    def check(self) -> None:
        """Verify that each lost leaf is declared."""
        declared = sorted((loss.first, loss.last) for loss in self.declared)
        for begin, end in self._ranges:
            due = begin
            for first, last in declared:
                if first <= due <= last:
                    due = last + 1
            if due <= end:
                raise VerificationError(Wrong.REMOVED, f"leaf {due} is lost, and no later leaf declares its loss")
