"""Checks a bundle as a whole: what whatever documents come to apply together make of each rule.

What would make the policy mean nothing, or two things, is an error; what is but useless is a warning.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import product
from pathlib import Path

from gateway.policy.archive import Files, read_directory
from gateway.policy.bundle import Bundle, load_files
from gateway.policy.cel_types import SUBJECT_FIELDS
from gateway.policy.compose import conflict_among
from gateway.policy.condition import SUBJECT, TRUE, And, Compare, Literal, Member, Not, Operator, Truth, parts
from gateway.policy.document import Document, Rule, Status
from gateway.policy.evaluate import Facts, evaluate
from gateway.policy.solve import never_false, never_true
from gateway.strict_yaml import FileError, Place

MAX_CLASSES = 5000
MAX_PAIRS = 50_000
_OTHER = "(any other)"


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 -- the word for it; Python's own warnings are not used here
    """Something useless in a document, its place, and what to do."""

    place: Place
    message: str


def load_checked(root: Path) -> Bundle:
    """Read and check a directory of policies; raise FileError at the first thing wrong."""
    return checked(read_directory(root))


def checked(files: Files) -> Bundle:
    """Read and check a policy from its files; raise FileError at the first thing wrong."""
    return _checked(tuple(sorted(files.items())))


@lru_cache(maxsize=8)
def _checked(files: tuple[tuple[str, bytes], ...]) -> Bundle:
    """Give the same files the same bundle, so that what was compiled for it is kept."""
    bundle = load_files(dict(files))
    check(bundle)
    return bundle


def check(bundle: Bundle) -> tuple[Warning, ...]:
    """Raise FileError at the first thing wrong; return what is useless."""
    for document in bundle.documents.values():
        _check_alone(document)
    fates: dict[Rule, _Fate] = {r: _Fate() for d in bundle.documents.values() for r in d.rules if r.permits}
    for applying in _together(bundle):
        for rules in _joined(applying, bundle):
            _refuse_conflict(rules)
            _note_fates(rules, fates)
    return (*_idle(bundle), *(w for rule, fate in fates.items() for w in fate.warnings(rule)))


def _check_alone(document: Document) -> None:
    if never_true(document.subjects):
        raise FileError(document.place, "'subjects' can never be true: the document would apply to nobody")
    for rule in document.rules:
        if rule.permits and never_true(rule.rows):
            raise FileError(rule.place, f"'rows' of '{rule.id}' can never be true: the permit would open nothing")


def _idle(bundle: Bundle) -> Iterator[Warning]:
    for document in bundle.documents.values():
        for rule in document.rules:
            if not rule.permits and never_true(rule.rows):
                yield Warning(rule.place, f"'rows' of '{rule.id}' can never be true: the deny matches the unknown only")
            elif rule.rows != TRUE and never_false(rule.rows):
                yield Warning(rule.place, f"'rows' of '{rule.id}' can never be false: leave it out, or ask has()")


@dataclass(slots=True)
class _Fate:
    """What becomes of a permit wherever it applies."""

    applies: bool = False
    opens: bool = False
    shows: bool = False
    because: str = ""

    def warnings(self, rule: Rule) -> Iterator[Warning]:
        """Yield what makes the permit useless."""
        if not self.applies:
            yield Warning(rule.place, f"'{rule.id}' is never reached: its document is always replaced, or never live")
        elif not self.opens:
            yield Warning(
                rule.place, f"'{rule.id}' opens nothing: wherever it applies, '{self.because}' denies its rows"
            )
        elif not self.shows:
            yield Warning(rule.place, f"'{rule.id}' shows nothing: wherever it applies, each of its fields is withheld")


def _note_fates(rules: list[Rule], fates: Mapping[Rule, _Fate]) -> None:
    permits, denials = [r for r in rules if r.permits], [r for r in rules if not r.permits]
    closing = [rule for rule in denials if rule.denies_rows]
    withheld = {path for rule in denials if rule.rows == TRUE for path in rule.fields}
    comparable = len(permits) * len(closing) <= MAX_PAIRS
    for rule in permits:
        fate = fates[rule]
        fate.applies = True
        shadow = None if fate.opens else _shadow(rule, closing, comparable=comparable)
        fate.opens = fate.opens or shadow is None
        fate.because = fate.because or (shadow.name if shadow else "")
        kept = (rule.fields | rule.masks.keys()) - withheld
        fate.shows = fate.shows or bool(kept) or bool(rule.pointer) or not rule.fields | rule.masks.keys()


def _shadow(rule: Rule, closing: list[Rule], *, comparable: bool) -> Rule | None:
    """Find a denial that takes away every row of a permit; among very many rules, only those that take away all."""
    for denial in closing:
        if denial.rows == TRUE or (comparable and never_true(And(rule.rows, Not(denial.rows)))):
            return denial
    return None


def _refuse_conflict(rules: list[Rule]) -> None:
    conflict = conflict_among(rules)
    if conflict is not None:
        first, second = conflict.first, conflict.second
        raise FileError(
            second.place,
            f"'{second.name}' and '{first.name}' ({first.place}) can apply together, and show {conflict.why}: "
            "neither is finer; give both the same form, or other purposes, subjects or dates",
        )


# --- what can apply together --------------------------------------------------------------------------------------


def _together(bundle: Bundle) -> Iterator[tuple[Document, ...]]:
    """Yield each set of documents that can apply to one subject on one day."""
    classes = [Facts({SUBJECT: attributes}) for attributes in subject_classes(bundle)]
    meets = {
        document: frozenset(n for n, facts in enumerate(classes) if evaluate(document.subjects, facts) is True)
        for document in bundle.documents.values()
    }
    seen: set[tuple[Document, ...]] = set()
    for live in _live_sets(bundle):
        by_class: dict[int, list[Document]] = {}
        for document in live:
            for number in meets[document]:
                by_class.setdefault(number, []).append(document)
        for applying in map(tuple, by_class.values()):
            if applying not in seen:
                seen.add(applying)
                yield applying


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
            case Truth(reference):
                yield from ((reference.field, value) for value in (True, False))
            case _:
                pass


def _live_sets(bundle: Bundle) -> Iterator[tuple[Document, ...]]:
    """Yield what is live on each day on which that changes, alone and with each proposed document."""
    proposed = [d.name for d in bundle.documents.values() if d.status is Status.PROPOSED]
    for day in sorted(boundaries(bundle.documents.values())):
        yield bundle.live(day)
        for name in proposed:
            yield bundle.live(day, frozenset({name}))


def boundaries(documents: Iterable[Document]) -> set[date]:
    """Return the days on which some document starts or ends."""
    ends = [(document.starts, document.until) for document in documents]
    return {start for start, _ in ends} | {until for _, until in ends if until is not None}


def _joined(applying: tuple[Document, ...], bundle: Bundle) -> Iterator[list[Rule]]:
    """Yield, for each action, resource and purpose that some rule names, the rules that are joined."""
    groups: dict[tuple[str, str], list[Rule]] = {}
    for document in applying:
        for rule in document.rules:
            groups.setdefault((rule.action, rule.resource), []).append(rule)
    for rules in groups.values():
        for purpose in bundle.catalogue.purposes:
            yield [rule for rule in rules if rule.purposes is None or purpose in rule.purposes]
