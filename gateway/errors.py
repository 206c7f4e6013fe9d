"""Every way in which the gateway says no: a refusal, its stable code, its status and its title."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Stable codes of refusals; published in docs/problems.md, and never given a second meaning."""

    MALFORMED = "malformed-request"
    TOO_LARGE = "request-too-large"
    NOT_JSON = "unsupported-media-type"
    UNKNOWN_PARAMETER = "unknown-parameter"
    PURPOSE_MISSING = "purpose-missing"
    PURPOSE_UNKNOWN = "purpose-unknown"
    UNKNOWN_FIELD = "unknown-field"
    UNKNOWN_OPERATOR = "unknown-operator"
    OUT_OF_DOMAIN = "value-out-of-domain"
    TOO_COMPLEX = "filter-too-complex"
    CURSOR_INVALID = "cursor-invalid"
    CURSOR_STALE = "cursor-stale"
    UNAUTHENTICATED = "unauthenticated"
    TOKEN_INVALID = "invalid-token"  # noqa: S105 -- a code, not a secret
    CLIENT_SUSPENDED = "client-suspended"
    AGREEMENT_NOT_IN_FORCE = "agreement-not-in-force"
    PURPOSE_NOT_AGREED = "purpose-not-agreed"
    CERTIFICATION_MISSING = "certification-missing"
    NO_RULE = "no-rule-permits"
    DENIED_BY_RULE = "denied-by-rule"
    AGENCY_STOPPED = "agency-stopped"
    POLICY_CONFLICT = "policy-conflict"
    RECORD_NOT_FOUND = "record-not-found"
    RESOURCE_UNKNOWN = "resource-unknown"
    ENTRY_NOT_FOUND = "entry-not-found"
    ENTRY_NOT_SEALED = "entry-not-sealed"
    NOTICE_NOT_FOUND = "notice-not-found"
    ROUTE_UNKNOWN = "route-unknown"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    THROTTLED = "too-many-requests"
    BUDGET_SPENT = "disclosure-budget-spent"
    UNAVAILABLE = "temporarily-unavailable"


STATUS_AND_TITLE: dict[Code, tuple[int, str]] = {
    Code.MALFORMED: (400, "The request is malformed"),
    Code.TOO_LARGE: (413, "The request is too large"),
    Code.NOT_JSON: (415, "The body must be application/json"),
    Code.UNKNOWN_PARAMETER: (400, "A parameter or member is unknown"),
    Code.PURPOSE_MISSING: (400, "The purpose of access is not stated"),
    Code.PURPOSE_UNKNOWN: (400, "The stated purpose of access is not in the vocabulary"),
    Code.UNKNOWN_FIELD: (400, "A field is not part of your view"),
    Code.UNKNOWN_OPERATOR: (400, "An operator is unknown or does not fit its field"),
    Code.OUT_OF_DOMAIN: (400, "A value lies outside its field's domain"),
    Code.TOO_COMPLEX: (400, "The filter is too deep or too large"),
    Code.CURSOR_INVALID: (400, "The cursor does not belong to this request"),
    Code.CURSOR_STALE: (400, "The policy has changed since the cursor was given"),
    Code.UNAUTHENTICATED: (401, "An access token is required"),
    Code.TOKEN_INVALID: (401, "The access token is not valid"),
    Code.CLIENT_SUSPENDED: (401, "The client is suspended"),
    Code.AGREEMENT_NOT_IN_FORCE: (403, "The agreement with this agency is not in force"),
    Code.PURPOSE_NOT_AGREED: (403, "The agreement does not cover this purpose"),
    Code.CERTIFICATION_MISSING: (403, "The agency has not certified what the rule requires for this purpose"),
    Code.NO_RULE: (403, "No rule of the policy permits this"),
    Code.DENIED_BY_RULE: (403, "A rule of the policy denies this"),
    Code.AGENCY_STOPPED: (403, "The city has stopped this agency's access"),
    Code.POLICY_CONFLICT: (403, "The rules that apply cannot be combined"),
    Code.RECORD_NOT_FOUND: (404, "There is no such record in your view"),
    Code.RESOURCE_UNKNOWN: (404, "There is no such resource"),
    Code.ENTRY_NOT_FOUND: (404, "There is no such entry of yours"),
    Code.ENTRY_NOT_SEALED: (404, "The entry has no place in the log's tree yet"),
    Code.NOTICE_NOT_FOUND: (404, "There is no such notice of yours"),
    Code.ROUTE_UNKNOWN: (404, "There is nothing at this address"),
    Code.METHOD_NOT_ALLOWED: (405, "The method does not fit this address"),
    Code.THROTTLED: (429, "Too many requests"),
    Code.BUDGET_SPENT: (429, "The disclosure budget of the agreement does not allow this page"),
    Code.UNAVAILABLE: (503, "The gateway cannot answer now"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision fell as it did: the rule that decided and the legal basis that it names."""

    rule: str
    basis: str
    because: str


class Refusal(Exception):  # noqa: N818 -- the glossary's word; a refusal is an answer, not an error
    """A no with a stable code; the detail never holds a record's value, a statement or a secret."""

    def __init__(self, code: Code, detail: str, reasons: tuple[Reason, ...] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.reasons = reasons

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return STATUS_AND_TITLE[self.code][0]

    @property
    def title(self) -> str:
        """The code's summary, the same for every occurrence (RFC 9457, section 3.1.4)."""
        return STATUS_AND_TITLE[self.code][1]


class Malformed(Refusal):
    """The request can't be read: parsing refuses."""


class Unauthenticated(Refusal):
    """The client is not who it must be: authentication refuses."""


class Denied(Refusal):
    """The policy gives this subject nothing here: the decision refuses."""


class Unplannable(Refusal):
    """The question names what the view does not hold: planning refuses."""


class NotFound(Refusal):
    """Hidden and missing alike."""


class Throttled(Refusal):
    """Too many requests, or too many persons."""


class Unavailable(Refusal):
    """A part that the answer depends on is not working; one constant text, so that nothing shows through."""

    def __init__(self) -> None:
        super().__init__(Code.UNAVAILABLE, "Try again later.")


class ConfigurationError(Exception):
    """Settings, keys, stores or schema that the gateway refuses to start with."""
