"""What an auditor holds against a log: earlier checkpoints, witnesses, promises, receipts."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gateway.verifier.keys import LogKeys
from gateway.verifier.note import Note, VerifierKey, read_note
from gateway.verifier.promise import Promise, read_promise
from gateway.verifier.receipt import read_receipt
from gateway.verifier.tree import Tree
from gateway.verifier.verdict import VerificationError, Wrong


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence as it was given: notes, the keys of witnesses who are trusted, promises, receipts."""

    checkpoints: tuple[str, ...] = ()
    witnesses: tuple[VerifierKey, ...] = ()
    promises: tuple[str, ...] = ()
    receipts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Derived:
    """What the log gives at a size that the evidence speaks of."""

    root: bytes
    acceptable: tuple[VerifierKey, ...]


class Comparison:
    """Collects from the log what the evidence speaks of, and compares it when the log was read."""

    def __init__(self, evidence: Evidence, origin: str) -> None:
        self._witnesses = evidence.witnesses
        self._promises = tuple(read_promise(text, origin) for text in evidence.promises)
        self._receipts = tuple(read_receipt(text, origin) for text in evidence.receipts)
        kept = [read_note(text, origin) for text in evidence.checkpoints]
        self._notes: tuple[Note, ...] = (*kept, *(receipt.note for receipt in self._receipts))
        self._sizes = {note.size for note in self._notes}
        self._indexes = {receipt.index for receipt in self._receipts}
        self._entries = {promise.entry for promise in self._promises}
        self._promised = {promise.leaf for promise in self._promises}
        self._derived: dict[int, _Derived] = {}
        self._leaves: dict[int, bytes] = {}
        self._found: dict[str, bytes] = {}
        self._lost: set[bytes] = set()
        self._waiting: set[str] = set()
        self._cosigned: dict[str, tuple[int, datetime]] = {}

    def size(self, tree: Tree, acceptable: tuple[VerifierKey, ...]) -> None:
        """Take note of the tree at its present size, and of who may sign there, if the evidence speaks of it."""
        if tree.size in self._sizes:
            self._derived[tree.size] = _Derived(tree.root(), acceptable)

    def leaf(self, index: int, hashed: bytes, identifier: str | None) -> None:
        """Take note of a leaf of the tree, if the evidence speaks of it; a lost one has no id."""
        if index in self._indexes:
            self._leaves[index] = hashed
        if identifier is not None and identifier in self._entries:
            self._found[identifier] = hashed
        if identifier is None and hashed in self._promised:
            self._lost.add(hashed)

    def waiting(self, identifier: str, hashed: bytes) -> None:
        """Take note of an entry that waits for its place, if a promise speaks of it."""
        if identifier in self._entries:
            self._found[identifier] = hashed
            self._waiting.add(identifier)

    def cosigned(self, note: Note) -> None:
        """Take note of what trusted witnesses cosigned; raise VerificationError where a cosignature is wrong."""
        for witness in self._witnesses:
            when = note.cosigned_by(witness)
            if when is not None:
                self._cosigned[witness.name] = max((note.size, when), self._cosigned.get(witness.name, (-1, when)))

    def check(self, tree: Tree, keys: LogKeys, newest: str, now: datetime) -> Iterator[str]:
        """Compare all evidence with the log; yield remarks; raise VerificationError at the first that contradicts it.

        1. A checkpoint is signed by the log, covers no more leaves than there are, and has their root.
        2. A receipt's leaf is the log's.
        3. A promise is signed by the log, by a key that it had not given up, and its entry is in the tree, or waits for
           it in time.
        """
        # 1.
        for note in self._notes:
            derived = self._derived.get(note.size)
            keys.check_one(note, keys.acceptable() if derived is None else derived.acceptable)
            if derived is None:
                raise VerificationError(
                    Wrong.TRUNCATED, f"a checkpoint given covers {note.size} leaves, the log holds {tree.size}"
                )
            if derived.root != note.root:
                raise VerificationError(
                    Wrong.FORKED,
                    f"the log signed a checkpoint of {note.size} leaves that its first {note.size} leaves do not give",
                )
            self.cosigned(note)
        # 2.
        for receipt in self._receipts:
            receipt.check(self._leaves[receipt.index])
        # 3.
        for promise in self._promises:
            promise.check_signature(keys.promise)
            promise.check_time(keys.retired)
            yield from self._kept(promise, newest, now)

    def _kept(self, promise: Promise, newest: str, now: datetime) -> Iterator[str]:
        entry, hashed = promise.entry, self._found.get(promise.entry)
        if hashed is None and promise.leaf in self._lost:
            yield f"the promised entry {entry} is in the tree, and is among those whose loss is declared"
        elif hashed is None:
            later = (
                "; the promise is later than the newest leaf: export the log anew" if _later(promise, newest) else ""
            )
            raise VerificationError(Wrong.REMOVED, f"the promised entry {entry} is not in the log{later}")
        elif hashed != promise.leaf:
            raise VerificationError(Wrong.PROMISE, f"the entry {entry} is another than what was promised")
        elif entry in self._waiting and now > promise.by:
            raise VerificationError(
                Wrong.PROMISE, f"the entry {entry} was to be in the tree by {promise.by:%Y-%m-%dT%H:%M:%SZ}, and is not"
            )
        elif entry in self._waiting:
            yield f"the promised entry {entry} waits for its place in the tree, until {promise.by:%Y-%m-%dT%H:%M:%SZ}"

    def remarks(self) -> Iterator[str]:
        """Say what the evidence showed."""
        for size in sorted({note.size for note in self._notes}):
            yield (
                f"the log continues the checkpoint given of {size} leaves: "
                "none of them was changed, removed or reordered"
            )
        placed = sum(promise.entry in self._found and promise.entry not in self._waiting for promise in self._promises)
        if placed:
            yield f"{placed} of the promises given are kept: the entries are in the tree as they were promised"
        for name, (size, when) in sorted(self._cosigned.items()):
            yield f"the witness {name} saw the log's first {size} leaves as they are here, at {when:%Y-%m-%dT%H:%M:%SZ}"

    def unchecked(self, tree: Tree) -> Iterator[str]:
        """Say what could not be checked for want of evidence."""
        known = max((note.size for note in self._notes), default=0)
        if not self._notes:
            yield (
                "no earlier checkpoint was given: a log that was rewritten and signed anew by whoever holds its key "
                "can't be told from this one"
            )
        elif known < tree.size:
            yield (
                f"the newest checkpoint given covers {known} leaves: those after it rest on the log's own signature, "
                "and whoever holds its key could have written them anew"
            )
        if not self._cosigned:
            yield (
                "no cosignature of a witness whom you named was found: that others are shown this same log was not "
                "checked"
            )
        for witness in self._witnesses if self._cosigned else ():
            if witness.name not in self._cosigned:
                yield f"no cosignature of the witness {witness.name} was found"
        if not self._promises:
            yield "no promise was given: an answer whose entry was never sealed would not be noticed"


def _later(promise: Promise, newest: str) -> bool:
    return newest < f"{promise.made:%Y-%m-%dT%H:%M:%S.%fZ}"
