"""Verifies an export of a log, offline, from the export and public keys alone, in memory that does not grow with it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from gateway.verifier.evidence import Comparison, Evidence
from gateway.verifier.ids import Ids
from gateway.verifier.keys import LogKeys
from gateway.verifier.leaf import MAX_LEAF, Leaf, LeafError, LossDeclared, Natural, read_facts, read_leaf, read_lost
from gateway.verifier.lines import Lines, read_small
from gateway.verifier.losses import Losses
from gateway.verifier.note import MAX_NOTE, Note, VerifierKey, read_note
from gateway.verifier.openings import (
    MAX_COMMITMENTS_LINE,
    MAX_OPENING_LINE,
    Openings,
    check_commitments,
    read_commitments,
)
from gateway.verifier.reading import Growth
from gateway.verifier.tree import leaf_hash
from gateway.verifier.verdict import VerificationError, Verified, Wrong

_MAX_HEADER = 4096
_MAX_CHECKPOINT_LINE = 2 * MAX_NOTE
_STEP = 1000
_NULL = b"null"


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["arrest-gateway-log-export/1"]
    origin: str
    size: Natural


class _Checkpoint(msgspec.Struct, forbid_unknown_fields=True):
    size: Natural
    note: str


def verify(
    directory: Path,
    keys: tuple[VerifierKey, ...],
    evidence: Evidence,
    now: datetime,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Verified:
    """Re-derive the whole log that was exported to a directory; raise VerificationError at the first thing wrong.

    `keys` are those of the log that the auditor trusts, at least one; `progress` is told how many leaves of how many
    were read. The steps for each leaf and each checkpoint stand at the functions that do them.

    1. The export is of the log whose keys are trusted.
    2. Every leaf, and every checkpoint at its size.
    3. The newest checkpoint covers every leaf, and nothing is left over.
    4. Every lost leaf is declared lost; no two entries have one id, those that wait counted in.
    5. The evidence.
    6. A key that the auditor trusts signed, so that the log's own word on its keys counts.
    """
    with ExitStack() as files:
        # 1.
        header = _header(directory)
        if any(key.name != header.origin for key in keys):
            raise VerificationError(
                Wrong.ANOTHER_LOG, f"the export is of the log {header.origin!a}, the key given is of {keys[0].name}"
            )
        log = _Log(files, directory, header, keys, evidence)
        # 2.
        while log.read_leaf():
            if log.size % _STEP == 0:
                progress(log.size, header.size)
        progress(log.size, header.size)
        # 3. to 6.
        return log.verdict(log.check_end(), now)


class _Log:
    """An export while it is read."""

    def __init__(
        self, files: ExitStack, directory: Path, header: _Header, keys: tuple[VerifierKey, ...], evidence: Evidence
    ) -> None:
        def lines(name: str, limit: int) -> Lines:
            return files.enter_context(Lines(directory / name, limit))

        self._stated = header.size
        self._origin = header.origin
        self._leaves = lines("leaves.ndjson", MAX_LEAF)
        self._commitments = lines("commitments.ndjson", MAX_COMMITMENTS_LINE)
        self._notes = lines("checkpoints.ndjson", _MAX_CHECKPOINT_LINE)
        self._unsealed = lines("unsealed.ndjson", MAX_LEAF)
        opened = (directory / "openings.ndjson").exists()
        self._openings = Openings(lines("openings.ndjson", MAX_OPENING_LINE) if opened else None)
        self._comparison = Comparison(evidence, header.origin)
        self._ids = files.enter_context(Ids())
        self._keys = LogKeys(keys)
        self._losses = Losses()
        self._growth = Growth()
        self._checkpoints = 0
        self._committed = 0
        self._newest_time = ""
        self._note: Note | None = None
        self._covered = -1
        self._next = self._next_note()
        self._at_size()

    @property
    def size(self) -> int:
        """Return how many leaves were read."""
        return self._growth.tree.size

    def read_leaf(self) -> bool:
        """Read and verify the next leaf, and the checkpoint that ends with it; return whether there was one.

        1. There is a line of commitments for each leaf, which is null where the leaf is lost.
        2. A leaf is canonical JSON with the members that every leaf has.
        3. Its commitments give its root, and its openings prove them.
        4. What it says of keys and losses is learned.
        """
        index, line = self.size, self._leaves.next()
        if line is None:
            return False
        # 1.
        committed = self._commitments.next()
        if committed is None:
            self._growth.suspect(VerificationError(Wrong.OPENINGS, f"leaf {index} has no line of commitments"))
        if (lost := read_lost(line)) is not None:
            self._lose(index, lost, committed)
        else:
            self._take(index, line, committed)
        self._at_size()
        return True

    def _lose(self, index: int, hashed: bytes, committed: bytes | None) -> None:
        if committed != _NULL:
            self._growth.suspect(VerificationError(Wrong.OPENINGS, f"leaf {index} is lost, and has commitments"))
        self._losses.lost(index)
        self._keys.lose()
        self._comparison.leaf(index, hashed, None)
        self._growth.append(hashed, "")

    def _take(self, index: int, line: bytes, committed: bytes | None) -> None:
        hashed = leaf_hash(line)
        try:
            # 2.
            leaf = read_leaf(line)
            self._growth.append(hashed, leaf.time)
            self._newest_time = leaf.time
            self._ids.add(leaf.id)
            self._comparison.leaf(index, hashed, leaf.id)
            # 3.
            if committed is not None and self._growth.defect is None:
                self._check_openings(index, leaf, committed)
            # 4.
            self._keys.learn(leaf, line)
            if leaf.action == "log-loss" and leaf.decision == "permit":
                declared = read_facts(line, LossDeclared)
                self._losses.declare(declared.first, declared.last, index)
        except LeafError as error:
            if self.size == index:
                self._growth.append(hashed, "")
            self._growth.suspect(VerificationError(Wrong.MALFORMED, f"leaf {index} {error}"))
        except VerificationError as error:
            self._growth.suspect(error)

    def _check_openings(self, index: int, leaf: Leaf, committed: bytes) -> None:
        commitments = read_commitments(self._commitments, committed)
        check_commitments(index, leaf, commitments)
        self._openings.check(index, leaf.id, commitments)
        self._committed += len(commitments)

    def _next_note(self) -> Note | None:
        line = self._notes.next()
        if line is None:
            return None
        try:
            row = msgspec.json.decode(line, type=_Checkpoint)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise self._notes.broken() from None
        note = read_note(row.note, self._origin)
        if note.size != row.size:
            raise VerificationError(Wrong.FORGED, f"a checkpoint of size {note.size} stands under the size {row.size}")
        if note.size <= self._covered:
            raise VerificationError(Wrong.MALFORMED, "the checkpoints do not stand in the order of their sizes")
        return note

    def _at_size(self) -> None:
        """Verify the checkpoint of the present size, if there is one.

        1. The leaves give its root, or it is not even signed.
        2. Nothing is wrong with the leaves that it vouches for.
        3. Whoever may sign at this size signed it.
        """
        note, acceptable = self._next, self._keys.acceptable()
        if note is not None and note.size == self.size:
            # 1.
            if note.root != self._growth.tree.root():
                self._keys.check_one(note, acceptable)
                raise self._growth.differs(note.root, note.size, self._held(), self._signed(note))
            # 2.
            self._growth.vouched()
            # 3.
            self._keys.check(note)
            self._comparison.cosigned(note)
            self._checkpoints += 1
            self._covered = note.size
            self._note = note
            self._next = self._next_note()
        self._comparison.size(self._growth.tree, acceptable)

    def _held(self) -> int:
        """Count the leaves to the end of their file."""
        held = self.size
        while self._leaves.next() is not None:
            held += 1
        return held

    def _signed(self, note: Note) -> int:
        """Return how many leaves the newest checkpoint covers, of this one and all that follow."""
        while (later := self._next_note()) is not None:
            note = later
        return note.size

    def check_end(self) -> Note:
        """Verify that nothing is missing at the end or left over (3. and 4.); return the newest checkpoint."""
        # 3.
        if self._next is not None:
            self._keys.check_one(self._next, self._keys.acceptable())
            if self._growth.defect is not None:
                raise self._growth.differs(self._next.root, self._next.size, self.size, self._next.size)
            raise VerificationError(
                Wrong.TRUNCATED, f"a checkpoint covers {self._next.size} leaves, the export holds {self.size}"
            )
        if self._note is None:
            raise VerificationError(Wrong.FORGED, "the log has no checkpoint: nothing in it is signed")
        if self.size != self._covered:
            raise VerificationError(
                Wrong.FORGED, f"the leaves from {self._covered} on are not covered by a signed checkpoint"
            )
        if self.size != self._stated:
            wrong = Wrong.TRUNCATED if self.size < self._stated else Wrong.MALFORMED
            raise VerificationError(wrong, f"the export states {self._stated} leaves, and holds {self.size}")
        if self._commitments.next() is not None:
            raise VerificationError(Wrong.OPENINGS, "there are commitments of more leaves than there are")
        self._openings.check_end()
        # 4.
        self._losses.check()
        self._read_unsealed()
        if (twice := self._ids.twice()) is not None:
            raise VerificationError(Wrong.MALFORMED, f"two entries have the id {twice}")
        return self._note

    def _read_unsealed(self) -> None:
        while (line := self._unsealed.next()) is not None:
            try:
                leaf = read_leaf(line)
            except LeafError as error:
                raise VerificationError(Wrong.MALFORMED, f"entry {self._unsealed.number} that waits {error}") from None
            self._ids.add(leaf.id)
            self._comparison.waiting(leaf.id, leaf_hash(line))

    def verdict(self, newest: Note, now: datetime) -> Verified:
        """Compare the log with the evidence, and say what was verified (5. and 6.)."""
        compared = tuple(self._comparison.check(self._growth.tree, self._keys, self._newest_time, now))
        if not self._keys.anchored:
            raise VerificationError(
                Wrong.ANOTHER_LOG, "the log has the name, but no checkpoint of it is signed by a key that you trust"
            )
        return Verified(
            origin=self._origin,
            note=newest.signed,
            size=self.size,
            checkpoints=self._checkpoints,
            commitments=self._committed,
            opened=self._openings.opened,
            erased=self._openings.erased,
            unsealed=self._unsealed.number,
            losses=tuple(self._losses.declared),
            remarks=(*compared, *self._comparison.remarks()),
            unchecked=tuple(self._unchecked()),
        )

    def _unchecked(self) -> Iterator[str]:
        yield from self._comparison.unchecked(self._growth.tree)
        if self._openings.erased:
            yield f"{self._openings.erased} openings are erased: that is the exporter's word"
        if self._unsealed.number:
            yield f"{self._unsealed.number} entries wait for their place in the tree: nothing signed covers them yet"


def _header(directory: Path) -> _Header:
    content = read_small(directory / "log.json", _MAX_HEADER)
    try:
        return msgspec.json.decode(content, type=_Header)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise VerificationError(Wrong.MALFORMED, "log.json is not that of an export of a log") from None
