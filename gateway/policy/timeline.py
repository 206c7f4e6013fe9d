"""Which documents were live when; where what one authority rules on has a gap, or is ruled on twice."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from gateway.access import Action
from gateway.policy.bundle import Bundle
from gateway.policy.check import boundaries
from gateway.policy.condition import Condition
from gateway.policy.document import Document, Status


@dataclass(frozen=True, slots=True)
class Span:
    """Days on which the same documents were live; `until` is exclusive, None for what goes on."""

    starts: date
    until: date | None
    documents: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A gap or an overlap: what some documents rule on, for the same subjects."""

    kind: str
    action: str
    resource: str
    starts: date
    until: date
    documents: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in words."""
        between, days = " and ".join(self.documents), f"from {self.starts} until {self.until}"
        if self.kind == "gap":
            return f"gap: nothing rules on '{self.action}' of {self.resource} {days}, between {between}"
        return f"overlap: {between} both rule on '{self.action}' of {self.resource} {days}"


def spans(bundle: Bundle) -> tuple[Span, ...]:
    """Return the timeline of what is in force or was; proposed documents are on none."""
    dated = [document for document in bundle.documents.values() if document.status is not Status.PROPOSED]
    days: list[date | None] = [*sorted(boundaries(dated)), None]
    return tuple(Span(start, end, bundle.live(start)) for start, end in pairwise(days) if start is not None)


def findings(bundle: Bundle) -> tuple[Finding, ...]:
    """Name the gaps and overlaps, for each group of documents about the same subjects, act and resource."""
    found: list[Finding] = []
    for (_, action, resource), documents in _groups(bundle).items():
        found += _of_group(bundle, action, resource, documents)
    return tuple(sorted(found, key=lambda finding: (finding.starts, finding.action)))


def _groups(bundle: Bundle) -> dict[tuple[Condition, Action, str], list[Document]]:
    groups: dict[tuple[Condition, Action, str], list[Document]] = {}
    for document in bundle.documents.values():
        if document.status is Status.PROPOSED:
            continue
        for act in dict.fromkeys((rule.action, rule.resource) for rule in document.rules):
            groups.setdefault((document.subjects, *act), []).append(document)
    return groups


def _of_group(bundle: Bundle, action: Action, resource: str, documents: list[Document]) -> Iterator[Finding]:
    days = sorted(boundaries(documents))
    before: tuple[str, ...] = ()
    for start, end in pairwise(days):
        live = tuple(document.name for document in bundle.live(start) if document in documents)
        if not live:
            after = tuple(document.name for document in documents if document.starts == end)
            yield Finding("gap", action.value, resource, start, end, (*before, *after))
        elif len(live) > 1:
            yield Finding("overlap", action.value, resource, start, end, live)
        before = live or before
