"""A statement: what approvers sign, and what alone puts a policy in force, or stops an agency.

It is canonical JSON (RFC 8785). Log, sequence and the digest of the one before make a chain, so that a statement is
good in one place only: never again, never later, never in another log.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, assert_never
from zoneinfo import ZoneInfo

import msgspec
import rfc8785

from gateway.activation.approvers import NAMESPACE, Approvers
from gateway.errors import ConfigurationError
from gateway.sshsig import SignatureError

MAX_CONTENT = 4096
MAX_BECAUSE = 1000
MAX_SIGNATURES = 10
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PREVIOUS = re.compile(r"[0-9a-f]{64}")
_MADE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_LOG = re.compile(r"[^\s+]{1,200}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class StatementError(ConfigurationError):
    """A statement that can't be accepted."""


@dataclass(frozen=True, slots=True)
class Start:
    """The local day of the city on which a bundle takes force, from midnight."""

    day: date
    zone: str

    def moment(self) -> datetime:
        """Return the moment at which the day begins."""
        return datetime.combine(self.day, time(), ZoneInfo(self.zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Activate:
    """Put a bundle in force, at once or from a day on."""

    bundle: str
    start: Start | None = None


@dataclass(frozen=True, slots=True)
class Rollback:
    """Put back the bundle that was in force directly before."""

    bundle: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Refuse everything to an agency."""

    agency: str


@dataclass(frozen=True, slots=True)
class Lift:
    """Take a stop back."""

    agency: str


Deed = Activate | Rollback | Stop | Lift


def action_of(deed: Deed) -> str:
    """Return the name of what a statement does."""
    return type(deed).__name__.lower()


def signatures_needed(deed: Deed) -> int:
    """Return how many approvers must sign: two for what opens, one for what closes or goes back."""
    return 2 if isinstance(deed, Activate | Lift) else 1


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; `made` is UTC, to the second."""

    log: str
    sequence: int
    previous: str | None
    made: datetime
    because: str
    deed: Deed

    def content(self) -> bytes:
        """Write the statement down: the bytes that are signed."""
        return rfc8785.dumps(
            {
                "log": self.log,
                "sequence": self.sequence,
                "previous": self.previous,
                "made": f"{self.made:%Y-%m-%dT%H:%M:%S}Z",
                "because": self.because,
                "action": action_of(self.deed),
                **_told(self.deed),
            }
        )

    def effective(self) -> datetime:
        """Return the moment from which the statement holds."""
        match self.deed:
            case Activate(_, Start() as start):
                return start.moment()
            case _:
                return self.made

    def begun(self, moment: datetime) -> bool:
        """Whether the statement holds at a moment; one without a day holds, however wrong a clock may go."""
        match self.deed:
            case Activate(_, Start() as start):
                return start.moment() <= moment
            case _:
                return True


def is_line(text: str, most: int) -> bool:
    """Whether a text is one line of at most so many characters, which is not empty."""
    return bool(text.strip()) and len(text) <= most and text.isprintable()


def digest(content: bytes) -> str:
    """Return the digest by which the next statement names one."""
    return hashlib.sha256(content).hexdigest()


# What reading the members of anything at all may come to; a time zone's name may be that of a directory.
_UNREADABLE = (
    msgspec.DecodeError,
    rfc8785.CanonicalizationError,
    AttributeError,
    LookupError,
    OSError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


def parse(content: bytes) -> Statement:
    """Read a statement; refuse whatever would not be written in these very bytes."""
    try:
        read = msgspec.json.decode(content if len(content) <= MAX_CONTENT else b"")
        statement = _statement(read)
        exact = statement.content() == content
    except _UNREADABLE:
        exact = False
    if not exact:
        raise StatementError("this is no statement: it is not written as 'gateway policy propose' writes one")
    return statement


def verify(content: bytes, signatures: Iterable[str], approvers: Approvers) -> tuple[str, ...]:
    """Return the names of the different approvers who signed; raise StatementError where they don't suffice.

    1. Each signature is a registered approver's, over these bytes. 2. Nobody signed twice. 3. They are enough.
    """
    statement = parse(content)
    names: list[str] = []
    for armored in signatures:
        # 1.
        try:
            name = approvers.signer(armored, content, statement.made, NAMESPACE)
        except SignatureError as error:
            raise StatementError(f"statement {statement.sequence}: {error}") from None
        # 2.
        if name in names:
            raise StatementError(f"statement {statement.sequence}: {name} signed twice, and counts once")
        names.append(name)
    # 3.
    needed = signatures_needed(statement.deed)
    if len(names) < needed:
        raise StatementError(
            f"statement {statement.sequence}: '{action_of(statement.deed)}' needs the signatures of {needed} different "
            f"approvers and has {len(names)}"
        )
    return tuple(sorted(names))


def _told(deed: Deed) -> dict[str, str]:
    match deed:
        case Activate(bundle, start) if start is not None:
            return {"bundle": bundle, "from": start.day.isoformat(), "time_zone": start.zone}
        case Activate(bundle) | Rollback(bundle):
            return {"bundle": bundle}
        case Stop(agency) | Lift(agency):
            return {"agency": agency}
        case _ as unreachable:
            assert_never(unreachable)


def _statement(read: dict[str, Any]) -> Statement:
    """Read the members; ValueError for what lies outside its form, and for the rest the caller compares the bytes."""
    sequence, previous, because = read["sequence"], read["previous"], read["because"]
    if type(sequence) is not int or sequence < 1 or (previous is None) != (sequence == 1):
        raise ValueError
    if previous is not None:
        _matched(_PREVIOUS, previous)
    if not is_line(because, MAX_BECAUSE):
        raise ValueError
    made = datetime.fromisoformat(_matched(_MADE, read["made"]))
    return Statement(_matched(_LOG, read["log"]), sequence, previous, made, because, _deed(read))


def _deed(read: dict[str, Any]) -> Deed:
    match read["action"]:
        case "activate" if "from" in read:
            start = Start(date.fromisoformat(_matched(_DAY, read["from"])), read["time_zone"])
            start.moment()
            return Activate(_matched(_DIGEST, read["bundle"]), start)
        case "activate":
            return Activate(_matched(_DIGEST, read["bundle"]))
        case "rollback":
            return Rollback(_matched(_DIGEST, read["bundle"]))
        case "stop":
            return Stop(_agency(read["agency"]))
        case "lift":
            return Lift(_agency(read["agency"]))
        case _:
            raise ValueError


def _agency(text: str) -> str:
    if not text.strip() or len(text) > 60:  # noqa: PLR2004 -- as long as the register's column
        raise ValueError
    return text


def _matched(form: re.Pattern[str], text: str) -> str:
    if not form.fullmatch(text):
        raise ValueError
    return text
