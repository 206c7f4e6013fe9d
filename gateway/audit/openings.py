"""The sealed part of entries: each opening under a key of its own, found again by keyed hashes of whom it is about.

Destroying an opening's key, which is kept wrapped beside it, destroys what it sealed; the commitment in the tree stays.
"""

import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.audit.entry import SALT, Commitment, commit, subjects
from gateway.canonical import Json
from gateway.keys import Ring

_KEY = 32
_NONCE = 12
_NUMBER = 4
# A key that seals one opening and nothing else needs no nonce that differs.
_ONCE = bytes(_NONCE)


class OpeningError(Exception):
    """An opening that was changed, moved, or sealed under a key that is not at hand."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """An opening as it is kept: sealed, its wrapped key, and the keyed hashes by which it is found."""

    sealed: bytes
    wrapped: bytes
    about: bytes | None
    record: bytes | None


@dataclass(frozen=True, slots=True)
class Opened:
    """What an opening held; with its salt anyone can hold it against the commitment in the leaf."""

    salt: bytes
    kind: str
    value: Json


class Openings:
    """Seals and opens the openings of entries, and knows the hashes of those whom they are about."""

    def __init__(self, wrapping: Ring[bytes], index: Ring[bytes]) -> None:
        self._number = wrapping.newest
        self._wrapping = {number: AESGCM(key) for number, key in wrapping.keys.items()}
        self._index = index

    def seal(self, commitments: Sequence[Commitment], entry_id: str) -> list[Sealed]:
        """Seal an entry's openings, each for its place."""
        keys = os.urandom(_KEY * len(commitments))
        nonces = os.urandom(_NONCE * len(commitments))
        return [
            self._seal(
                commitment,
                _place(entry_id, at),
                keys[at * _KEY : (at + 1) * _KEY],
                nonces[at * _NONCE : (at + 1) * _NONCE],
            )
            for at, commitment in enumerate(commitments)
        ]

    def _seal(self, commitment: Commitment, place: bytes, key: bytes, nonce: bytes) -> Sealed:
        opening = commitment.opening
        plain = commitment.salt + msgspec.json.encode([opening.kind, opening.value])
        wrapped = self._wrapping[self._number].encrypt(nonce, key, place)
        about, record = subjects(opening.kind, opening.value)
        return Sealed(
            AESGCM(key).encrypt(_ONCE, plain, place),
            self._number.to_bytes(_NUMBER, "big") + nonce + wrapped,
            None if about is None else self.index_of(about),
            None if record is None else self.index_of(record),
        )

    def open(self, sealed: bytes, wrapped: bytes, entry_id: str, position: int) -> Opened:
        """Open an opening; raise OpeningError."""
        place = _place(entry_id, position)
        number, nonce = int.from_bytes(wrapped[:_NUMBER], "big"), wrapped[_NUMBER : _NUMBER + _NONCE]
        if number not in self._wrapping:
            raise OpeningError(f"it is sealed under openings key {number}, which is not at hand")
        try:
            key = self._wrapping[number].decrypt(nonce, wrapped[_NUMBER + _NONCE :], place)
            plain = AESGCM(key).decrypt(_ONCE, sealed, place)
        except (InvalidTag, ValueError):  # a ValueError is a nonce or a key that was cut short
            raise OpeningError("it was changed or moved") from None
        kind, value = msgspec.json.decode(plain[SALT:])
        return Opened(plain[:SALT], kind, value)

    def check(self, kept: Sealed, commitment: bytes, entry_id: str, position: int) -> None:
        """Hold an opening against its commitment and its hashes; raise OpeningError."""
        opened = self.open(kept.sealed, kept.wrapped, entry_id, position)
        if commit(opened.salt, opened.kind, opened.value) != commitment:
            raise OpeningError("it does not prove its commitment")
        for name, index in zip(subjects(opened.kind, opened.value), (kept.about, kept.record), strict=True):
            if index not in ((None,) if name is None else self.indexes_of(name)):
                raise OpeningError("it is indexed under another name")

    def index_of(self, name: str) -> bytes:
        """Return the keyed hash of whoever or whatever an opening is about."""
        return self._hash(self._index.keys[self._index.newest], name)

    def indexes_of(self, name: str) -> tuple[bytes, ...]:
        """Return the hashes of a name under every key of the index, by which old openings are found too."""
        return tuple(self._hash(key, name) for key in self._index.keys.values())

    def mark(self, name: str) -> bytes:
        """Mark what only a holder of the index key may write into the store; the mark names the key."""
        number = self._index.newest
        return number.to_bytes(_NUMBER, "big") + self._hash(self._index.keys[number], f"mark:{name}")

    def knows(self, mark: bytes) -> bool:
        """Whether the key of a mark is at hand."""
        return int.from_bytes(mark[:_NUMBER], "big") in self._index.keys

    def holds(self, name: str, mark: bytes) -> bool:
        """Whether a mark is the one of its key and name."""
        number = int.from_bytes(mark[:_NUMBER], "big")
        return self.knows(mark) and hmac.compare_digest(
            mark[_NUMBER:], self._hash(self._index.keys[number], f"mark:{name}")
        )

    def _hash(self, key: bytes, name: str) -> bytes:
        return hmac.digest(key, name.encode(), hashlib.sha256)


def _place(entry_id: str, position: int) -> bytes:
    """Name the place of an opening, to which it is bound."""
    return f"{entry_id}:{position}".encode()
