"""Which keys may sign for a log at each size, as its own leaves say."""

from collections.abc import Callable

from gateway.verifier.leaf import Key, KeysNamed, Leaf, LeafError, read_facts
from gateway.verifier.note import Note, VerifierKey, decode, read_log_key
from gateway.verifier.verdict import VerificationError, Wrong

_PUBLIC = 32
_MAX_KEYS = 10_000


class LogKeys:
    """The log's keys so far.

    First, those that the auditor trusts may sign, or the one that the log named before its first note. A key that a
    leaf names later may sign once a note covers that leaf which the key before signed, be it this same note; from the
    first note on that the new key signed, the old one may not. So whoever trusts one key trusts what it signed for
    before, and each successor that it signed for.
    """

    def __init__(self, trusted: tuple[VerifierKey, ...]) -> None:
        self._trusted = trusted
        self._now = trusted
        # Those that the auditor trusts and the log has not named yet, once it has named any.
        self._unseen: list[VerifierKey] = []
        self._named: list[VerifierKey] = []
        # How many of those named stand in leaves that a note covers.
        self._endorsed = 0
        self._number = 0
        self._notes = 0
        self.promise: dict[str, VerifierKey] = {}
        # When each promise key was given up, as its leaf says.
        self.retired: dict[str, str] = {}
        self.anchored = False

    def learn(self, leaf: Leaf, line: bytes) -> None:
        """Take note of the keys that a leaf made or rotated; raise LeafError."""
        if leaf.action not in {"keys-create", "key-rotate", "key-retire"} or leaf.decision != "permit":
            return
        for key in read_facts(line, KeysNamed).keys:
            if leaf.action == "key-retire":
                if key.use == "promise":
                    self.retired.setdefault(key.id, leaf.time)
            elif key.use == "checkpoint":
                self._name(key, first=leaf.action == "keys-create" and not self._notes and not self._number)
            elif key.use == "promise":
                if len(self.promise) == _MAX_KEYS:
                    raise LeafError("names a promise key too many")
                self.promise[key.id] = _read(key, _promise_key)

    def _name(self, key: Key, *, first: bool) -> None:
        log_key = _read(key, read_log_key)
        if log_key.name != self._trusted[0].name or key.number <= self._number or key.number > _MAX_KEYS:
            raise LeafError("names a key of another log, or one out of its turn")
        self._number = key.number
        if first:
            self._now = (log_key,)
            self._unseen = [each for each in self._trusted if each != log_key]
        else:
            self._named.append(log_key)
            self._unseen = [each for each in self._unseen if each != log_key]

    def lose(self) -> None:
        """Take note that a leaf is lost: it may have named a key, so those that the auditor trusts may follow."""
        self._named[:0] = self._unseen
        self._endorsed += len(self._unseen)
        self._unseen.clear()

    def acceptable(self) -> tuple[VerifierKey, ...]:
        """Return the keys that may have signed at this size."""
        return (*self._now, *self._named)

    def check(self, note: Note) -> None:
        """Verify that a note of this size is signed by whoever may sign; raise VerificationError."""
        endorses = self._signed(note, self._now)
        if endorses:
            self._endorsed = len(self._named)
        for at in reversed(range(self._endorsed)):
            if self._signed(note, (self._named[at],)):
                self._now = (self._named[at],)
                del self._named[: at + 1]
                break
        else:
            if not endorses:
                raise _forged(note)
        self._endorsed = len(self._named)
        self._notes += 1

    def check_one(self, note: Note, acceptable: tuple[VerifierKey, ...]) -> None:
        """Verify that one of several keys signed a note; raise VerificationError."""
        if not self._signed(note, acceptable):
            raise _forged(note)

    def _signed(self, note: Note, keys: tuple[VerifierKey, ...]) -> bool:
        signed = [key for key in keys if note.signed_by(key)]
        self.anchored = self.anchored or any(key in self._trusted for key in signed)
        return bool(signed)


def _read(key: Key, how: Callable[[str], VerifierKey]) -> VerifierKey:
    try:
        return how(key.public or "")
    except VerificationError:
        raise LeafError("names a key that is none") from None


def _promise_key(public: str) -> VerifierKey:
    content = decode(public)
    if len(content) != _PUBLIC:
        raise VerificationError(Wrong.MALFORMED, "a promise key has the wrong length")
    return VerifierKey("promise", 0, content)


def _forged(note: Note) -> VerificationError:
    return VerificationError(
        Wrong.FORGED,
        f"the checkpoint of size {note.size} is not signed by a key that may sign for the log at that size",
    )
