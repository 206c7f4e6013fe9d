"""An erasure order: what two approvers sign, and what alone lets a person be erased from the log's sealed parts.

It is canonical JSON (RFC 8785), good for one log, once, and for thirty days. It names the person, so the file is to be
destroyed when it has been enacted; the log keeps its digest, which says nothing of it, as the order's id is random.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import rfc8785

from gateway.activation.approvers import Approvers
from gateway.activation.statement import is_line
from gateway.audit.entry import new_id
from gateway.domains import key_of
from gateway.errors import ConfigurationError
from gateway.sshsig import SignatureError

NAMESPACE = "arrest-gateway-erasure"
NEEDED = 2
MAX_AGE = timedelta(days=30)
# An order may be made on a machine whose clock goes a little wrong.
_AHEAD = timedelta(minutes=5)
_MAX_CONTENT = 2048
_MAX_SIGNATURES = 10
_MAX_REFERENCE = 200
_ID = re.compile(r"[0-9a-f]{32}")
_LOG = re.compile(r"[^\s+]{1,200}")
_MADE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class OrderError(ConfigurationError):
    """An order that can't be enacted."""


@dataclass(frozen=True, slots=True)
class Order:
    """To erase a person from a log, by an order of a court; `made` is UTC, to the second."""

    log: str
    id: str
    made: datetime
    person: int
    reference: str

    def content(self) -> bytes:
        """Write the order down: the bytes that are signed."""
        return rfc8785.dumps(
            {
                "action": "erase",
                "id": self.id,
                "log": self.log,
                "made": f"{self.made:%Y-%m-%dT%H:%M:%S}Z",
                "order": self.reference,
                "person": str(self.person),
            }
        )


def propose(log: str, person: int, reference: str, now: datetime) -> Order:
    """Make an order; raise OrderError for a reference that can't stand in one."""
    if not _is_reference(reference):
        raise OrderError(f"the reference of the court's order is one line of at most {_MAX_REFERENCE} characters")
    return Order(log, new_id(), now.astimezone(UTC).replace(microsecond=0), person, reference)


def digest(content: bytes) -> str:
    """Return the digest by which the log knows an order."""
    return hashlib.sha256(content).hexdigest()


def parse(content: bytes) -> Order:
    """Read an order; refuse whatever would not be written in these very bytes."""
    try:
        read = msgspec.json.decode(content if len(content) <= _MAX_CONTENT else b"", type=dict[str, str])
        made = datetime.fromisoformat(_matched(_MADE, read["made"]))
        person = key_of(read["person"]) or 0
        order = Order(_matched(_LOG, read["log"]), _matched(_ID, read["id"]), made, person, read["order"])
        exact = person > 0 and _is_reference(order.reference) and order.content() == content
    except (msgspec.DecodeError, rfc8785.CanonicalizationError, KeyError, RecursionError, ValueError):
        exact = False
    if not exact:
        raise OrderError("this is no order: it is not written as 'gateway audit erase propose' writes one")
    return order


def verify(
    content: bytes, signatures: Sequence[str], log: str, approvers: Approvers, now: datetime
) -> tuple[Order, tuple[str, ...]]:
    """Return an order and the names of the different approvers who signed it; raise OrderError.

    1. It is an order for this log. 2. It is neither of the future nor too old. 3. Each signature is a registered
    approver's over these bytes, whose key counted when it was made and counts now. 4. Two different people signed.
    That it was not enacted before is asked of the log, where it is enacted.
    """
    # 1.
    order = parse(content)
    if order.log != log:
        raise OrderError(f"the order is for the log {order.log}, and this is {log}")
    # 2.
    if order.made > now + _AHEAD:
        raise OrderError("the order was made in the future")
    if order.made < now - MAX_AGE:
        raise OrderError(f"the order is older than {MAX_AGE.days} days: propose it again")
    # 3.
    if len(signatures) > _MAX_SIGNATURES:
        raise OrderError(f"more than {_MAX_SIGNATURES} signatures are not read")
    counting = approvers.counting(now)
    try:
        names = [counting.signer(armored, content, order.made, NAMESPACE) for armored in signatures]
    except SignatureError as error:
        raise OrderError(str(error)) from None
    # 4.
    for name in names:
        if names.count(name) > 1:
            raise OrderError(f"{name} signed twice, and counts once")
    if len(names) < NEEDED:
        raise OrderError(f"an erasure needs the signatures of {NEEDED} different approvers and has {len(names)}")
    return order, tuple(sorted(names))


def _is_reference(text: str) -> bool:
    return is_line(text, _MAX_REFERENCE)


def _matched(form: re.Pattern[str], text: str) -> str:
    if not form.fullmatch(text):
        raise ValueError
    return text
