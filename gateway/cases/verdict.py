"""What came of a case: nothing, where all came as expected; else what differs, field by field."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.cases.document import Case

ROW = "(the record)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that came out otherwise; None is absence."""

    what: str
    expected: str | None
    got: str | None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What differs about the decision or a record; `alike` names the fields that came as expected."""

    about: str
    differences: tuple[Difference, ...]
    alike: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A case and what went otherwise."""

    case: Case
    mismatches: tuple[Mismatch, ...]

    @property
    def passed(self) -> bool:
        """Whether all came as expected."""
        return not self.mismatches


def about_decision(expected: str, got: str) -> Mismatch:
    """Tell that the decision fell otherwise."""
    return Mismatch("the decision", (Difference("(the decision)", expected, got),))


def about_row(record: str, expected: str, got: str) -> Mismatch:
    """Tell that a record was treated otherwise as a whole."""
    return Mismatch(record, (Difference(ROW, expected, got),))


def compare(
    expected: Mapping[str, object], got: Mapping[str, object]
) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    """Compare two records value by value; return what differs, and the paths that are alike."""
    paths = list(dict.fromkeys((*expected, *got)))
    unlike = [path for path in paths if _seen(expected, path) != _seen(got, path)]
    differences = tuple(Difference(path, _told(expected, path), _told(got, path)) for path in unlike)
    return differences, tuple(path for path in paths if path not in unlike)


def _seen(values: Mapping[str, object], path: str) -> tuple[bool, type, object]:
    # Null is not absence; and 1 and true are equal to Python, and not to a reader.
    return path in values, type(values.get(path)), values.get(path)


def _told(values: Mapping[str, object], path: str) -> str | None:
    match values.get(path):
        case None:
            return "null" if path in values else None
        case bool(value):
            return "true" if value else "false"
        case value:
            return str(value)
