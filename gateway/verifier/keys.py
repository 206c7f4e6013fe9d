"""Which keys may sign for a log at each size, as its own leaves say."""

from gateway.verifier.leaf import Key, KeysCreated, Leaf, LeafError, read_facts
from gateway.verifier.note import Note, VerifierKey, decode, read_log_key
from gateway.verifier.verdict import VerificationError, Wrong

_PUBLIC = 32
_MAX_KEYS = 10_000


class LogKeys:
    """The log's keys so far.

    Before the log names a key, those that the auditor trusts may sign. After a rotation, the next note is signed by
    the key before and by the new one, later notes by the new one. So whoever trusts one key trusts what it signed for
    before, and each successor that it signed for.
    """

    def __init__(self, trusted: tuple[VerifierKey, ...]) -> None:
        self._trusted = trusted
        self._now = trusted
        self._at_last_note: tuple[VerifierKey, ...] = ()
        self._number = 0
        self.promise: dict[str, VerifierKey] = {}
        self.anchored = False

    def learn(self, leaf: Leaf, line: bytes) -> None:
        """Take note of the keys that a leaf made or rotated; raise LeafError."""
        if leaf.decision != "permit":
            return
        if leaf.action == "keys-create":
            for key in read_facts(line, KeysCreated).keys:
                self._take(key)
        elif leaf.action == "key-rotate":
            self._take(read_facts(line, Key))

    def _take(self, key: Key) -> None:
        if key.use not in {"checkpoint", "promise"}:
            return
        if key.public is None:
            raise LeafError("names a key without its public half")
        try:
            if key.use == "promise":
                if len(self.promise) == _MAX_KEYS:
                    raise LeafError("names a promise key too many")
                self.promise[key.id] = _promise_key(key.public)
                return
            log_key = read_log_key(key.public)
        except VerificationError:
            raise LeafError("names a key that is none") from None
        if log_key.name != self._trusted[0].name or key.number <= self._number:
            raise LeafError("names a key of another log, or one out of its turn")
        self._number = key.number
        self._now = (log_key,)

    def acceptable(self) -> tuple[VerifierKey, ...]:
        """Return the keys of which one must have signed a note of this size that was kept elsewhere."""
        return (*self._at_last_note, *self._now)

    def check_before(self, note: Note) -> None:
        """Verify that whoever signed the note before signed this one; raise VerificationError."""
        if self._at_last_note and not self._signed(note, self._at_last_note):
            raise _forged(note)

    def check(self, note: Note) -> None:
        """Verify that whoever is to sign now did, after the leaves that the note covers were learned."""
        if self._now != self._at_last_note and not self._signed(note, self._now):
            raise _forged(note)
        self._at_last_note = self._now

    def check_one(self, note: Note, acceptable: tuple[VerifierKey, ...]) -> None:
        """Verify that one of several keys signed a note; raise VerificationError."""
        if not self._signed(note, acceptable):
            raise _forged(note)

    def _signed(self, note: Note, keys: tuple[VerifierKey, ...]) -> bool:
        signed = [key for key in keys if note.signed_by(key)]
        self.anchored = self.anchored or any(key in self._trusted for key in signed)
        return bool(signed)


def _promise_key(public: str) -> VerifierKey:
    content = decode(public)
    if len(content) != _PUBLIC:
        raise VerificationError(Wrong.MALFORMED, "a promise key has the wrong length")
    return VerifierKey("promise", 0, content)


def _forged(note: Note) -> VerificationError:
    return VerificationError(
        Wrong.FORGED, f"the checkpoint of size {note.size} is not signed by the key that signs for the log at that size"
    )
