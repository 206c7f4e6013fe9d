"""The inventory of keys: which the log knows, by the entries that tell of them, held against the files that are there.

A key that signs or seals without the log's knowledge is refused, and so is a log without its keys.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from gateway import keys as key_files
from gateway import sandbox, tables
from gateway.audit.checkpoint import Verifier
from gateway.canonical import Json
from gateway.errors import ConfigurationError
from gateway.keys import MOST, NUMBERS, KeyFile
from gateway.store import Store

# What openings were sealed under, and what they are found by, is needed for as long as they are kept.
RETIRABLE = ("token", "checkpoint", "promise", "ids", "cursors")
_TABLE = tables.key_record


class _Named(msgspec.Struct, frozen=True):
    """A key as an entry names it."""

    use: str
    number: int
    id: str
    public: str | None


class _Leaf(msgspec.Struct, frozen=True):
    """Of an entry that tells of keys, what is held against the records."""

    time: str
    keys: list[_Named]


@dataclass(frozen=True, slots=True)
class Known:
    """A key that the log knows: since when, and since when it is retired, by the times of the entries."""

    use: str
    number: int
    id: str
    public: str | None
    since: str
    retired: str | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """The keys of one log, and the directory in which their files are."""

    store: Store
    origin: str
    directory: Path
    passphrase: Path

    def known(self) -> tuple[Known, ...]:
        """Return the keys that the log knows; refuse records that the entries do not tell of."""
        with self.store.reading() as connection:
            rows = connection.execute(_RECORDS).all()
        return tuple(map(_known, rows))

    def keys(self) -> tuple[KeyFile, ...]:
        """Read the keys that are not retired; refuse unless each file is the recorded one, and none is missing.

        1. The log has this name: its keys were recorded under it.
        2. Keys were recorded; none is a sandbox's in a real log, or a real one in a sandbox's.
        3. Each recorded key is there, and is the one that was recorded; a retired one is gone.
        4. No key is there without a record: it would sign its own way in.
        """
        known, files = self._read()
        for use, number in files.keys() - {(key.use, key.number) for key in known}:
            raise ConfigurationError(
                f"{self._path(use, number)} is a key that the log does not know: if a rotation was cut short, or its "
                f"entry was lost, 'gateway keys rotate {use}' records it; else remove the file"
            )
        return tuple(files.values())

    def rotating(self, use: str) -> tuple[tuple[KeyFile, ...], KeyFile]:
        """Return the keys that the log knows, and the next key of a use: made now, or left by who was cut short.

        Of two who make it at once, one does. A crash after it leaves a file without a record, which is found here.
        """
        known, files = self._read()
        number = max((key.number for key in known if key.use == use), default=0) + 1
        recorded = tuple(files[key.use, key.number] for key in known if key.retired is None)
        if (use, number) in files:
            return recorded, files[use, number]
        if number > NUMBERS.get(use, MOST):
            raise ConfigurationError(f"the keys '{use}' have no number left: {NUMBERS[use]} is the last")
        self._check_writable()
        made = key_files.make(self.directory, self.passphrase, use, number, in_sandbox=self._in_sandbox)
        if made is None:
            raise ConfigurationError(f"another rotation of '{use}' is under way; see 'gateway keys list'")
        return recorded, made

    def _check_writable(self) -> None:
        """Refuse to make a file that could not be recorded: it would keep the gateway from its next start."""
        nothing = sa.select(_TABLE).where(sa.false())
        with self.store.transaction() as connection:
            connection.execute(_TABLE.insert().from_select(list(_TABLE.c.keys()), nothing))

    def first(self) -> tuple[KeyFile, ...]:
        """Return the keys of a new log, made where there are none; refuse a log that has begun without keys."""
        with self.store.reading() as connection:
            if connection.execute(sa.select(tables.entry.c.entry_id).limit(1)).first() is not None:
                raise ConfigurationError(
                    "the log has entries and no record of its keys: the store was changed, or restored in part"
                )
        key_files.create(self.directory, self.passphrase, in_sandbox=self._in_sandbox)
        files = self._found()
        key_files.rings(files, self.directory)
        return files

    def _read(self) -> tuple[tuple[Known, ...], dict[tuple[str, int], KeyFile]]:
        # 1.
        with self.store.reading() as connection:
            origin = connection.scalar(sa.select(tables.tree_head.c.origin))
        if origin != self.origin:
            raise ConfigurationError(
                f"the store holds the log '{origin}', not '{self.origin}': GATEWAY_LOG_ORIGIN must name it"
            )
        # 2.
        known = self.known()
        if not known:
            raise ConfigurationError("the store has no record of the log's keys; was 'gateway init' run?")
        # 3.
        files = {(file.use, file.number): file for file in self._found()}
        for key in known:
            self._hold(key, files.get((key.use, key.number)))
        return known, files

    def _hold(self, key: Known, file: KeyFile | None) -> None:
        path = self._path(key.use, key.number)
        match file:
            case None if key.retired is None:
                raise ConfigurationError(
                    f"{path} is missing: the log knows this key, {key.id}; bring the file from another machine or from "
                    "the backup of the keys"
                )
            case KeyFile() if key.retired is not None:
                raise ConfigurationError(f"{path} was retired; remove the file")
            case KeyFile() if (file.id, public(file, self.origin)) != (key.id, key.public):
                raise ConfigurationError(
                    f"{path} is not the key that the log knows, {key.id}; bring that file from another machine or from "
                    "the backup of the keys"
                )
            case _:
                pass

    @property
    def _in_sandbox(self) -> bool:
        return sandbox.named(self.origin)

    def _found(self) -> tuple[KeyFile, ...]:
        """Read the files; a key that served a real log and a sandbox's would make tokens and ids that both take."""
        files = key_files.found(self.directory, self.passphrase)
        for file in files:
            if file.sandbox is not self._in_sandbox:
                what, which = ("the key of a sandbox", "is none") if file.sandbox else ("no key of a sandbox", "is one")
                raise ConfigurationError(
                    f"{self._path(file.use, file.number)} is {what}, and this gateway {which}: GATEWAY_KEYS must name "
                    "a directory of its own"
                )
        return files

    def _path(self, use: str, number: int) -> Path:
        return key_files.file_of(self.directory, use, number)


def told(files: Iterable[KeyFile], origin: str) -> list[Json]:
    """Say in an entry which keys are meant."""
    return [{"use": file.use, "number": file.number, "id": file.id, "public": public(file, origin)} for file in files]


def public(file: KeyFile, origin: str) -> str | None:
    """Return what others need of a key: a verifier key (C2SP), the 32 bytes in base64, a thumbprint, or nothing."""
    match file.use, file.key:
        case "checkpoint", Ed25519PrivateKey() as key:
            return Verifier(origin, key.public_key()).vkey()
        case "promise", Ed25519PrivateKey() as key:
            return base64.b64encode(key.public_key().public_bytes_raw()).decode("ascii")
        case "token", _:
            return file.id
        case _:
            return None


def record(connection: Connection, entry_id: str, files: Iterable[KeyFile], origin: str) -> None:
    """Record keys in the transaction of the entry that tells of them; refuse what another has recorded meanwhile."""
    rows = [
        {
            "use": file.use,
            "number": file.number,
            "key_id": file.id,
            "public": public(file, origin),
            "entry_id": entry_id,
        }
        for file in files
    ]
    try:
        connection.execute(_TABLE.insert(), rows)
    except IntegrityError:
        raise ConfigurationError(
            "another officer recorded this key, or another one, just now; see 'gateway keys list'"
        ) from None


def retirable(known: Iterable[Known], use: str, number: int) -> Known:
    """Return a key that may be retired; refuse one that is unknown, retired already, or writes."""
    numbers = {key.number: key for key in known if key.use == use and key.retired is None}
    if number not in numbers:
        raise ConfigurationError(f"there is no key '{use}' {number} that is in use")
    if number == max(numbers):
        raise ConfigurationError(f"the key '{use}' {number} writes: 'gateway keys rotate {use}' comes first")
    return numbers[number]


def retire(connection: Connection, entry_id: str, key: Known) -> None:
    """Record that a key is retired, in the transaction of the entry that tells of it; refuse to do so twice."""
    this = (_TABLE.c.use == key.use) & (_TABLE.c.number == key.number) & _TABLE.c.retired_by.is_(None)
    if connection.execute(_TABLE.update().where(this).values(retired_by=entry_id)).rowcount != 1:
        raise ConfigurationError(f"the key '{key.use}' {key.number} is retired already")


_ADDED, _RETIRED = tables.entry.alias(), tables.entry.alias()
_RECORDS = (
    sa.select(_TABLE, _ADDED.c.leaf.label("added"), _RETIRED.c.leaf.label("retired"))
    .outerjoin(_ADDED, _ADDED.c.entry_id == _TABLE.c.entry_id)
    .outerjoin(_RETIRED, _RETIRED.c.entry_id == _TABLE.c.retired_by)
    .order_by(_TABLE.c.use, _TABLE.c.number)
)


def _known(row: Any) -> Known:
    named = _Named(row.use, row.number, row.key_id, row.public)
    retired = None if row.retired_by is None else _time(named, row.retired)
    return Known(named.use, named.number, named.id, named.public, _time(named, row.added), retired)


def _time(named: _Named, leaf: bytes | None) -> str:
    """Return the time of the entry that tells of a key; refuse where there is none, or it tells otherwise."""
    try:
        entry = msgspec.json.decode(leaf or b"", type=_Leaf)
    except msgspec.DecodeError:
        entry = None
    if entry is None or named not in entry.keys:
        raise ConfigurationError(
            f"the record of the key '{named.use}' {named.number} is not what its entry in the log says: the store was "
            "changed, or restored in part"
        )
    return entry.time
