"""Checks a bundle as a whole: that whatever documents come to apply together can be joined into one view."""

from collections.abc import Iterator, Mapping
from datetime import date
from itertools import product
from pathlib import Path

from gateway.access import Action
from gateway.policy.bundle import Bundle, load
from gateway.policy.cel_types import SUBJECT_FIELDS
from gateway.policy.condition import Compare, Literal, Member, Operator, parts
from gateway.policy.decide import applicable, conflict_among
from gateway.policy.document import Document, Rule, Status
from gateway.strict_yaml import FileError

MAX_CLASSES = 5000
_OTHER = "(any other)"


def load_checked(root: Path) -> Bundle:
    """Read and check a directory of policies; raise FileError at the first thing wrong."""
    bundle = load(root)
    check(bundle)
    return bundle


def check(bundle: Bundle) -> None:
    """Raise FileError where two rules that can apply together would make a cell depend on its row."""
    classes = tuple(subject_classes(bundle))
    seen: set[frozenset[str]] = set()
    for live in _live_sets(bundle):
        for attributes in classes:
            applying = applicable(live, attributes)
            names = frozenset(document.name for document in applying)
            if names not in seen:
                seen.add(names)
                _check_together(applying, bundle)


def subject_classes(bundle: Bundle) -> Iterator[Mapping[str, object]]:
    """Yield subjects of which each kind that the conditions can tell apart is one."""
    values: dict[str, dict[object, None]] = {
        name: dict.fromkeys((True, False) if domain.most == 0 else (_OTHER,)) for name, domain in SUBJECT_FIELDS.items()
    }
    for document in bundle.documents.values():
        for name, value in _distinguished(document):
            values[name][value] = None
    for count, combination in enumerate(product(*values.values())):
        if count == MAX_CLASSES:
            first = next(iter(bundle.documents.values()))
            raise FileError(first.place, f"the conditions on subjects tell more than {MAX_CLASSES} kinds apart")
        yield dict(zip(values, combination, strict=True))


def _distinguished(document: Document) -> Iterator[tuple[str, object]]:
    for part in parts(document.subjects):
        match part:
            case Compare(Operator.EQ | Operator.NE, left, Literal(value)):
                yield left.field, value
            case Member(reference, values, ()):
                yield from ((reference.field, value) for value in values)
            case Compare() | Member():
                raise FileError(document.place, "subjects are told apart by ==, != and in with written values only")
            case _:
                pass


def _live_sets(bundle: Bundle) -> Iterator[tuple[Document, ...]]:
    """Yield what is live on each day on which that changes, alone and with each proposed document."""
    proposed = [d.name for d in bundle.documents.values() if d.status is Status.PROPOSED]
    for day in sorted(_boundaries(bundle)):
        yield bundle.live(day)
        for name in proposed:
            yield bundle.live(day, frozenset({name}))


def _boundaries(bundle: Bundle) -> set[date]:
    days = {document.starts for document in bundle.documents.values()}
    return days | {document.until for document in bundle.documents.values() if document.until is not None}


def _check_together(applying: tuple[Document, ...], bundle: Bundle) -> None:
    rules = [rule for document in applying for rule in document.rules if rule.action is Action.READ]
    for resource in bundle.catalogue.resources:
        for purpose in bundle.catalogue.purposes:
            concerned = [rule for rule in rules if rule.resource == resource and _for(rule, purpose)]
            permits = [rule for rule in concerned if rule.permits]
            conflict = conflict_among(permits, [r for r in concerned if not r.permits]) if permits else None
            if conflict is not None:
                raise FileError(
                    conflict.second.place,
                    f"'{conflict.second.name}' and '{conflict.first.name}' ({conflict.first.place}) can apply "
                    f"together, and {conflict.why}: cells that depend on the row are not supported; give the rules the "
                    "same fields, other purposes, other subjects or other dates",
                )


def _for(rule: Rule, purpose: str) -> bool:
    return rule.purposes is None or purpose in rule.purposes
