"""An entry: the leaf that everyone may see, and the openings of what is personal, kept apart from it.

The leaf holds one root over salted commitments; each opening proves one of them. Destroying an opening's salt and value
leaves leaf and tree as they were.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway import __version__
from gateway.access import Subject
from gateway.audit import heading, merkle
from gateway.canonical import Json, canonical
from gateway.errors import ConfigurationError

SALT = 16
# As much as an entry bundle of C2SP tlog-tiles could hold, and the verifier reads.
MAX_LEAF = 65_535
# What clients ask for, by the action of their entries: "any" is what no route was found for, or came too often. Every
# other action is the city's own, or the gateway's.
ASKED = ("read", "describe", "token", "receipt", "notices", "notice-acknowledge", "any")
# Of a client's entry, the places among its openings where the question can stand: after how it came, and after the
# officer if one was named. The case and what was disclosed come behind them.
QUESTION = (1, 2)
_DOMAIN = b"arrest-gateway opening v1\n"


@dataclass(frozen=True, slots=True)
class Opening:
    """Something personal, or that may be: what kind of thing it is, and its value."""

    kind: str
    value: Json


def person(key: int | str) -> str:
    """Name a person of the arrest database, as the keyed index does."""
    return f"person:{key}"


def officer(name: str) -> str:
    """Name an officer, as the keyed index does."""
    return f"officer:{name}"


def record(resource: str, key: int | str) -> str:
    """Name a record, as the keyed index does."""
    return f"record:{resource}:{key}"


def other(entry_id: str) -> str:
    """Name an entry that another entry is about, as the keyed index does."""
    return f"entry:{entry_id}"


def seen(resource: str, key: int, whose: int | None) -> Opening:
    """Name a record that somebody sees, and the person whose it is, if that is known."""
    named: dict[str, Json] = {"resource": resource, "key": str(key)}
    return Opening("record", named if whose is None else named | {"person": str(whose)})


def subjects(kind: str, value: Json) -> tuple[str | None, str | None]:
    """Return whom an opening is about and which record it names, by which it is to be found; None for neither.

    It follows from what is sealed, so that a wrong index can be told from a right one.
    """
    match kind, value:
        case "officer", str(name):
            return officer(name), None
        case "record" | "searched", {"resource": str(resource), "key": str(key), "person": str(whose)}:
            return person(whose), record(resource, key)
        case "record" | "searched" | "recalled", {"resource": str(resource), "key": str(key)}:
            return None, record(resource, key)
        case "searched", {"officer": str(name)}:
            return officer(name), None
        case _, {"person": str(whose)}:
            return person(whose), None
        case _, {"entry": str(entry_id)}:
            return other(entry_id), None
        case _:
            return None, None


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, before it is sealed.

    `facts` are the leaf's own members beside those of the subject; a None is left out.
    """

    action: str
    decision: str
    outcome: str
    time: datetime
    subject: Subject | None
    facts: Mapping[str, Json] = field(default_factory=dict)
    openings: tuple[Opening, ...] = ()


@dataclass(frozen=True, slots=True)
class Commitment:
    """A salted hash that stands in the leaf's root for one opening."""

    salt: bytes
    digest: bytes
    opening: Opening


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """An entry as it is kept: its random id, the leaf's canonical bytes, and its commitments."""

    id: str
    leaf: bytes
    commitments: tuple[Commitment, ...]


def commit(salt: bytes, kind: str, value: Json) -> bytes:
    """Return the commitment to an opening."""
    return hashlib.sha256(_DOMAIN + salt + canonical({"kind": kind, "value": value})).digest()


def new_id() -> str:
    """Return the id of an entry to come: 128 random bits."""
    return os.urandom(16).hex()


def seal(entry: Entry, identifier: str) -> SealedEntry:
    """Give an entry its id and its salts, and write its leaf as canonical JSON (RFC 8785)."""
    salts = os.urandom(SALT * len(entry.openings))
    commitments = tuple(
        Commitment(salt, commit(salt, opening.kind, opening.value), opening)
        for opening, salt in zip(
            entry.openings, (salts[at : at + SALT] for at in range(0, len(salts), SALT)), strict=True
        )
    )
    leaf: dict[str, Any] = {
        "version": 2,
        "id": identifier,
        "time": entry.time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "gateway": __version__,
        "action": entry.action,
        "decision": entry.decision,
        "outcome": entry.outcome,
        **_subject(entry.subject),
        **{name: value for name, value in entry.facts.items() if value is not None},
        "commitments": {
            "count": len(commitments),
            "root": merkle.root(merkle.leaf_hash(c.digest) for c in commitments).hex(),
        },
    }
    content = canonical(leaf)
    if len(content) > MAX_LEAF:
        raise ConfigurationError(f"an entry of the log would have a leaf of more than {MAX_LEAF} bytes")
    try:
        # What the sealer could not read would keep every later entry from its place in the tree.
        heading.read(content)
    except ValueError as error:
        raise ConfigurationError(f"an entry of the log could not be searched by what it says: {error}") from None
    return SealedEntry(identifier, content, commitments)


def _subject(subject: Subject | None) -> dict[str, Json]:
    if subject is None:
        return {}
    agreement = subject.agreement
    return {
        "client": subject.client,
        "agency": agreement.agency,
        "component": agreement.component,
        "ori": agreement.ori,
        "mission": agreement.mission,
        "criminal_justice_agency": agreement.criminal_justice_agency,
        "agreement": {"id": agreement.id, "version": agreement.version, "state": agreement.state.value},
    }
