"""The register of statements and of the bundles that they put in force, in the gateway's store."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway import tables
from gateway.activation.approvers import Approvers
from gateway.activation.history import History, Signed, chained
from gateway.activation.statement import (
    MAX_BECAUSE,
    MAX_SIGNATURES,
    Activate,
    Deed,
    Rollback,
    Statement,
    StatementError,
    action_of,
    digest,
    is_line,
    parse,
)
from gateway.audit.entry import Entry
from gateway.audit.log import Log
from gateway.canonical import Json
from gateway.errors import ConfigurationError
from gateway.policy.archive import Files, pack, unpack
from gateway.policy.bundle import CATALOGUE, Bundle
from gateway.policy.check import checked
from gateway.store import Store

# A statement may be made on a machine whose clock goes a little wrong.
_AHEAD = timedelta(minutes=5)
# An entry names so many changed files, and counts the rest: a leaf must stay small.
MAX_TOLD = 50
NOTHING = (
    "no policy is in force: propose one, have two approvers sign it, and activate it ('gateway policy propose', "
    "'gateway policy activate')"
)

Newest = tuple[int, int, bytes, str] | None


class Register:
    """Reads statements and bundles; writes a statement together with its entry of the log."""

    def __init__(self, store: Store, log: Log, clock: Callable[[], datetime]) -> None:
        self.store = store
        self._log = log
        self._clock = clock

    def newest(self) -> Newest:
        """Return how many statements there are, and the last: as long as both are the same, nothing is new."""
        table = tables.statement
        count = sa.select(sa.func.count()).select_from(table).scalar_subquery()
        last = sa.select(count, table.c.sequence, table.c.content, table.c.signatures)
        with self.store.reading() as connection:
            row = connection.execute(last.order_by(table.c.sequence.desc()).limit(1)).one_or_none()
        return None if row is None else (row[0], row[1], row[2], row[3])

    def statements(self) -> tuple[Signed, ...]:
        """Read all statements, in order; raise StatementError for rows that are none."""
        with self.store.reading() as connection:
            rows = connection.execute(sa.select(tables.statement).order_by(tables.statement.c.sequence)).all()
        return tuple(_signed(row.sequence, row.content, row.signatures) for row in rows)

    def history(self) -> History:
        """Read the chain; raise StatementError where it is broken."""
        return chained(self.log, self.statements())

    @property
    def log(self) -> str:
        """The name of the log to which statements belong."""
        return self._log.verifier.origin

    def bundle(self, name: str) -> Bundle:
        """Read a bundle from its archive and check it; raise StatementError or FileError where it is not sound."""
        bundle = checked(self._files(name))
        if bundle.digest != name:
            raise StatementError(f"the bundle {name} was changed in the store")
        return bundle

    def in_force(self, moment: datetime) -> Bundle:
        """Read the bundle in force at a moment; raise ConfigurationError where there is none."""
        turns = self.history().turns(moment)
        if not turns:
            raise ConfigurationError(NOTHING)
        return self.bundle(turns[-1].bundle)

    def propose(self, deed: Deed, because: str) -> Statement:
        """Make the next statement, to be signed; raise StatementError where it is not possible."""
        if not is_line(because, MAX_BECAUSE):
            raise StatementError(f"the reason must be one line of at most {MAX_BECAUSE} characters")
        history = self.history()
        made = self._clock().astimezone(UTC).replace(microsecond=0)
        history.possible(deed, made)
        statement = Statement(self.log, len(history.statements) + 1, history.head(), made, because, deed)
        # Read again, so that nothing is signed that could not be read.
        return parse(statement.content())

    def enact(self, content: bytes, signatures: Sequence[str], approvers: Approvers, files: Files | None) -> Statement:
        """Take a signed statement into the register; `files` are those of the bundle that it activates.

        1. It is the next of the chain, and not of the future. 2. Enough approvers signed it. 3. The files are the
        bundle that they signed. 4. Statement, bundle and entry are written in one transaction: a crash leaves all or
        nothing.
        """
        # 1.
        history = self.history()
        signed = Signed(content, tuple(signatures))
        longer = history.extended(signed)
        statement = longer.statements[-1]
        now = self._clock()
        if statement.made > now + _AHEAD:
            raise StatementError(f"statement {statement.sequence} was made in the future")
        if history.turns(statement.made) != history.turns(now):
            raise StatementError("another bundle has taken force since this was proposed: propose it again")
        # 2.
        longer.verify_one(statement.sequence, approvers)
        # By keys that count now, too: `made` is what the signers say.
        signers = signed.verify(approvers.counting(now))
        # 3.
        archive = _archive(statement.deed, files)
        # 4.
        facts: dict[str, Json] = {
            "statement": statement.sequence,
            "digest": digest(content),
            "signers": list(signers),
            "bundle": statement.deed.bundle if isinstance(statement.deed, Activate | Rollback) else None,
            "from": _day(statement.deed),
            **self._changes(history, now, files),
            "stopped": None if isinstance(statement.deed, Activate | Rollback) else statement.deed.agency,
        }
        entry = Entry(f"policy-{action_of(statement.deed)}", "permit", "done", now, None, facts)
        self._log.append(entry, lambda connection: _write(connection, statement, signed, archive))
        return statement

    def _changes(self, history: History, now: datetime, files: Files | None) -> dict[str, Json]:
        """Tell which files an activation changes from those in force, the catalogue's among them."""
        if files is None:
            return {}
        turns = history.turns(now)
        before = self._files(turns[-1].bundle) if turns else {}
        changed = sorted(name for name in before.keys() | files.keys() if before.get(name) != files.get(name))
        digest_of = hashlib.sha256(files.get(CATALOGUE, b"")).hexdigest()
        return {"catalogue": f"sha256:{digest_of}", "changed": changed[:MAX_TOLD], "changed_files": len(changed)}

    def _files(self, name: str) -> Files:
        with self.store.reading() as connection:
            archive = connection.scalar(sa.select(tables.bundle.c.archive).where(tables.bundle.c.digest == name))
        if archive is None:
            raise StatementError(f"the bundle {name} is not in the store")
        return unpack(archive)

    def seal(self) -> None:
        """Seal what was written, as a command does that ends."""
        self._log.seal_all()


def _day(deed: Deed) -> str | None:
    """Return the day from which a bundle is to be in force, where it is not at once."""
    return deed.start.day.isoformat() if isinstance(deed, Activate) and deed.start is not None else None


def _archive(deed: Deed, files: Files | None) -> bytes | None:
    if not isinstance(deed, Activate):
        return None
    if files is None:
        raise StatementError("an activation needs the files of its bundle")
    bundle = checked(files)
    if bundle.digest != deed.bundle:
        raise StatementError(f"the files are {bundle.digest}, and what was signed is {deed.bundle}")
    if deed.start is not None and deed.start.zone != bundle.catalogue.time_zone.key:
        raise StatementError("the day of the statement is not one of the city's time zone")
    return pack(files)


def _write(connection: Connection, statement: Statement, signed: Signed, archive: bytes | None) -> None:
    if archive is not None and isinstance(statement.deed, Activate):
        # An archive that was damaged is put right: the same digest means the same policy.
        kept = tables.bundle.c.digest == statement.deed.bundle
        connection.execute(tables.bundle.delete().where(kept))
        connection.execute(tables.bundle.insert(), {"digest": statement.deed.bundle, "archive": archive})
    row = {
        "sequence": statement.sequence,
        "content": signed.content,
        "signatures": msgspec.json.encode(signed.signatures).decode(),
    }
    connection.execute(tables.statement.insert(), row)


def _signed(sequence: int, content: bytes, signatures: str) -> Signed:
    """Read a row, which anyone who can write the store may have written."""
    try:
        read = msgspec.json.decode(signatures, type=tuple[str, ...])
    except msgspec.DecodeError:
        raise StatementError(f"the signatures of statement {sequence} can't be read") from None
    if len(read) > MAX_SIGNATURES:
        raise StatementError(f"statement {sequence} has more than {MAX_SIGNATURES} signatures")
    return Signed(content, read)
