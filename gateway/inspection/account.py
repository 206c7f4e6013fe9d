"""An accounting of disclosures: what was disclosed of a person, when, why, to whom, ready to hand to that person."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from gateway import tables
from gateway.audit.entry import QUESTION, Opening
from gateway.audit.entry import person as person_of
from gateway.audit.openings import OpeningError
from gateway.errors import ConfigurationError
from gateway.inspection.inspector import Inspector, Reason, decoded
from gateway.policy.bundle import Bundle
from gateway.policy.compose import reason as reason_of
from gateway.strict_yaml import FileError

NO_ADDRESS = "none is recorded"
# Entries read at once.
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Disclosed:
    """One disclosure: its date, its nature, its purpose, its recipient, and what it stood on.

    The fields are those of the view that the question asked for; `varying` ones were shown, masked or withheld as the
    record was. By `searched_by` the record was found or put in order, which tells of them too. `chosen` is False where
    the question was erased: then the fields are the view's, at most.
    """

    entry: str
    time: str
    day: str
    resource: str
    records: int
    shown: tuple[str, ...]
    masked: tuple[str, ...]
    varying: tuple[str, ...]
    searched_by: tuple[str, ...]
    chosen: bool
    purpose: str
    agency: str
    component: str
    ori: str
    address: str
    grounds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accounting:
    """All disclosures of a person that the log holds, the oldest first; `covered` leaves are under its checkpoint."""

    person: str
    made: str
    log: str
    covered: int
    disclosures: tuple[Disclosed, ...]
    notes: tuple[str, ...]


# For whoever holds the paper in hand; a law that doesn't bind the city must not look as if it did.
NOTES = tuple(
    """\
This follows the pattern of 5 U.S.C. 552a(c): date, nature, purpose, name and address of the recipient.
That law binds federal agencies and not a city, and gives no right here.
That law leaves out what was disclosed for law enforcement under its (b)(7); here nothing is left out.
Only what went through the gateway is listed: fingerprint exchanges, state networks, paper and telephone are not.
An answer may have been written down and never received: the log is written first.
Fields are told by name and not by value. What was disclosed of other persons at the same time is not told.
Addresses are those of the agencies' agreements as they are recorded now.
What was erased from the log by order is not listed any more.
An accounting can't be suspended here for a stated time: whoever hands it out must look to that.""".splitlines()
)


def account(inspector: Inspector, key: int, reason: Reason) -> Accounting:
    """Account for the disclosures of a person; the entry of it is durable before anything is read.

    Only what is about this person is opened, and of each question which fields it chose.
    """
    about = Opening("accounted", {"person": str(key), "because": reason.text})
    inspector.write_down("audit-account", {}, about)
    named = _records(inspector, str(key))
    recipients = _Recipients(inspector)
    disclosures = [
        each for identifiers in _chunks(sorted(named)) for each in _disclosed(inspector, identifiers, named, recipients)
    ]
    with inspector.store.reading() as connection:
        covered = connection.scalar(sa.select(sa.func.max(tables.checkpoint.c.size))) or 0
    return Accounting(
        person=str(key),
        made=inspector.clock().isoformat(timespec="seconds").replace("+00:00", "Z"),
        log=inspector.log.verifier.origin,
        covered=covered,
        disclosures=tuple(sorted(disclosures, key=lambda each: (each.time, each.entry))),
        notes=NOTES,
    )


def _records(inspector: Inspector, key: str) -> dict[str, int]:
    """Count the person's records that each entry discloses."""
    opening = tables.opening
    about = opening.c.about.in_(inspector.openings.indexes_of(person_of(key)))
    with inspector.store.reading() as connection:
        rows = connection.execute(sa.select(opening).where(about, opening.c.record.is_not(None))).all()
    counted: dict[str, int] = {}
    for row in rows:
        opened = _opened(inspector, row)
        # A record that an auditor has searched for names its person too, and is no disclosure.
        if opened is not None and opened[0] == "record":
            counted[row.entry_id] = counted.get(row.entry_id, 0) + 1
    return counted


def _opened(inspector: Inspector, row: sa.Row[Any]) -> tuple[str, Any] | None:
    """Open an opening; of one that was damaged, stop: an accounting that leaves something out must not look whole."""
    if row.sealed is None:
        return None
    try:
        opened = inspector.openings.open(row.sealed, row.wrapped, row.entry_id, row.position)
    except OpeningError as error:
        raise ConfigurationError(f"an opening of the entry {row.entry_id} can't be opened: {error}") from None
    return opened.kind, opened.value


def _chunks(identifiers: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(identifiers), _CHUNK):
        yield identifiers[at : at + _CHUNK]


def _disclosed(
    inspector: Inspector, identifiers: list[str], named: dict[str, int], recipients: "_Recipients"
) -> Iterator[Disclosed]:
    entry = tables.entry
    with inspector.store.reading() as connection:
        rows = connection.execute(sa.select(entry).where(entry.c.entry_id.in_(identifiers))).all()
    questions = _questions(inspector, identifiers)
    for row in rows:
        leaf = decoded(row.leaf, row.entry_id)
        if leaf["outcome"] == "disclosed":
            yield _told(leaf, named[row.entry_id], questions.get(row.entry_id), recipients)


def _questions(inspector: Inspector, identifiers: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the fields that each question chose; none of them means all."""
    opening = tables.opening
    statement = sa.select(opening).where(opening.c.entry_id.in_(identifiers), opening.c.position.in_(QUESTION))
    with inspector.store.reading() as connection:
        rows = connection.execute(statement).all()
    chosen = {}
    for row in rows:
        match _opened(inspector, row):
            case "question", {"fields": [*fields]}:
                chosen[row.entry_id] = tuple(fields)
            case "question", {"id": _}:
                chosen[row.entry_id] = ()
            case _:
                pass
    return chosen


def _told(leaf: dict[str, Any], records: int, fields: tuple[str, ...] | None, recipients: "_Recipients") -> Disclosed:
    def among(paths: list[str] | dict[str, str]) -> tuple[str, ...]:
        return tuple(path for path in paths if not fields or path in fields or path.partition(".")[0] in fields)

    masks = leaf.get("masked", {})
    return Disclosed(
        entry=leaf["id"],
        time=leaf["time"],
        day=recipients.day(leaf),
        resource=leaf["resource"],
        records=records,
        shown=among(leaf.get("shown", [])),
        masked=tuple(f"{path} as {masks[path]}" for path in among(masks)),
        varying=among(leaf.get("varying", [])),
        searched_by=tuple(dict.fromkeys((*leaf.get("filtered", ()), *leaf.get("sorted_by", ())))),
        chosen=fields is not None,
        purpose=recipients.purpose(leaf),
        agency=leaf["agency"],
        component=leaf["component"],
        ori=leaf["ori"],
        address=recipients.addresses.get(leaf["agreement"]["id"]) or NO_ADDRESS,
        grounds=tuple(recipients.grounds(leaf)),
    )


class _Recipients:
    """What is told of disclosures beside their entries: addresses, and the words of the bundles then in force."""

    def __init__(self, inspector: Inspector) -> None:
        table = tables.agreement
        with inspector.store.reading() as connection:
            rows = connection.execute(sa.select(table.c.agreement_id, table.c.address)).all()
        self.addresses = {row.agreement_id: row.address for row in rows}
        self._zone = inspector.bundle_in_force().catalogue.time_zone
        self._bundle = cache(lambda digest: _bundle(inspector, digest))

    def day(self, leaf: dict[str, Any]) -> str:
        """Return the city's calendar day of an entry."""
        return datetime.fromisoformat(leaf["time"]).astimezone(self._zone).date().isoformat()

    def purpose(self, leaf: dict[str, Any]) -> str:
        """Return the purpose with its meaning, where the bundle is at hand."""
        bundle = self._bundle(leaf["bundle"])
        meaning = None if bundle is None else bundle.catalogue.purposes.get(leaf["purpose"])
        return str(leaf["purpose"]) if meaning is None else f"{leaf['purpose']}: {meaning}"

    def grounds(self, leaf: dict[str, Any]) -> Iterator[str]:
        """Yield each rule that took part, with its legal basis where the bundle is at hand."""
        bundle = self._bundle(leaf["bundle"])
        rules = {} if bundle is None else {r.name: r for document in bundle.documents.values() for r in document.rules}
        for name in leaf["rules"]:
            yield f"{name} [{reason_of(rules[name], bundle).basis}]" if bundle and name in rules else name


def _bundle(inspector: Inspector, digest: str) -> Bundle | None:
    try:
        return inspector.register.bundle(digest)
    except (ConfigurationError, FileError):
        return None
