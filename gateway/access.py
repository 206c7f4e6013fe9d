"""Who asks for what, and why: subject, question, purpose, moment."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from gateway.domains import Scalar


class AgreementState(StrEnum):
    """A terminated agreement is a state of its own, and differs from there being no rule."""

    IN_FORCE = "in-force"
    SUSPENDED = "suspended"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Certification:
    """A text that the agency has certified for a purpose by a signature on paper; the last day is exclusive."""

    purpose: str
    text: str
    signer: str
    document_sha256: str
    signed_on: date
    expires_on: date


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the city and an agency have agreed; dates are local, `until` is exclusive."""

    id: str
    version: int
    agency: str
    component: str
    ori: str
    mission: str
    criminal_justice_agency: bool
    purposes: frozenset[str]
    starts: date
    until: date | None
    state: AgreementState
    certifications: tuple[Certification, ...] = ()
    address: str = ""

    def in_force(self, day: date) -> bool:
        """Whether the agreement stands on a local day of the city."""
        begun = self.starts <= day
        ended = self.until is not None and self.until <= day
        return self.state is AgreementState.IN_FORCE and begun and not ended

    def certified(self, purpose: str, day: date) -> frozenset[str]:
        """Return the texts that are certified for a purpose on a local day."""
        return frozenset(
            each.text
            for each in self.certifications
            if each.purpose == purpose and each.signed_on <= day < each.expires_on
        )


def compared(officer: str) -> str:
    """Return an officer's name as it is compared with another's: without regard to case and spaces."""
    return " ".join(officer.split()).casefold()


@dataclass(frozen=True, slots=True)
class Subject:
    """An authenticated client under its agreement, and the officer whom its token names.

    `over` is the last day that was over for the agreement before it had ended, because its budget refused too often.
    """

    client: str
    agreement: Agreement
    officer: str | None = None
    over: date | None = None

    def attributes(self) -> dict[str, Scalar]:
        """Return what a policy's `subjects` condition can ask about."""
        return {
            "agency": self.agreement.agency,
            "component": self.agreement.component,
            "ori": self.agreement.ori,
            "mission": self.agreement.mission,
            "criminal_justice_agency": self.agreement.criminal_justice_agency,
        }


class Action(StrEnum):
    """The operations that the orders keep apart; a federal client can ask for `read` only."""

    READ = "read"
    RELEASE_NOTICE = "release-notice"
    DETAINER_HOLD = "detainer-hold"


@dataclass(frozen=True, slots=True)
class Compare:
    """A field of the view against one value (`operand`) or several (`in`)."""

    field: str
    operator: str
    operand: object


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary; of unknown, unknown."""

    part: "Filter"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part, of which there is at least one."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the parts."""

    parts: "tuple[Filter, ...]"


class Quantifier(StrEnum):
    """Of how many rows of a relation to many something is asked."""

    ANY = "any"
    NONE = "none"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Related:
    """A filter on the rows of a relation to many; in it, fields are those of the relation."""

    relation: str
    quantifier: Quantifier
    part: "Filter"


@dataclass(frozen=True, slots=True)
class Named:
    """A person as an officer knows one: how the names start, in either order, and about when the person was born.

    What was not stated is None.
    """

    family: object
    given: object
    born: object


Filter = Compare | Not | AllOf | AnyOf | Related | Named


@dataclass(frozen=True, slots=True)
class SortKey:
    """A field of the view and the direction; nulls come last in both."""

    field: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Search:
    """A page of the records that match a filter; `fields` empty means the whole view."""

    resource: str
    purpose: str
    case: str | None
    filter: Filter | None
    sort: tuple[SortKey, ...]
    fields: tuple[str, ...]
    limit: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Lookup:
    """One record by its opaque id."""

    resource: str
    purpose: str
    case: str | None
    id: str


@dataclass(frozen=True, slots=True)
class Describe:
    """What the subject may see of every resource; discloses no record."""

    purpose: str
    case: str | None


@dataclass(frozen=True, slots=True)
class Specify:
    """The API as the subject may use it for the purpose; discloses no record."""

    purpose: str
    case: str | None


Question = Search | Lookup | Describe | Specify


INSTRUMENTS = ("judicial", "administrative", "subpoena")
SIGNERS = ("article-iii-judge", "federal-magistrate", "state-judge", "immigration-judge", "dhs-officer")


@dataclass(frozen=True, slots=True)
class Instrument:
    """A warrant or order that two city officers have verified; bound to one person."""

    id: str
    person: int
    kind: str
    signer: str


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """A subject's wish to do something to a resource, for a purpose, at a moment."""

    subject: Subject
    action: Action
    resource: str
    purpose: str
    moment: datetime


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a question came: the peer's address, when it began on the monotonic clock, and the bytes of its body."""

    source: str
    began: float
    bytes_in: int
