"""Makes the report's tables of what is published."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.errors import STATUS_AND_TITLE
from gateway.report.counting import ACTS, ACTS_ON_PERSONS, NOTHING, REFUSED, SHOWN
from gateway.report.publication import Group, Published, order
from gateway.report.telling import Key

UNTOLD = "(not told)"
UNNAMED = "(none named)"
_TITLES = {str(code): title for code, (_, title) in STATUS_AND_TITLE.items()}
_FIGURES = ("requests", SHOWN, NOTHING, REFUSED, "outcome not told", "records", "persons")
_AGENCY, _OUTCOME, _PURPOSE, _COMPONENT, _CODE, _RULES = range(6)

Value = str | int | None
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: `words` of its columns name a row, the others are figures or None, where nothing is told."""

    name: str
    caption: str
    columns: tuple[str, ...]
    words: int
    rows: tuple[tuple[Value, ...], ...]


def tables(published: Published) -> tuple[Table, ...]:
    """Return all tables, in the order of the report."""
    groups = published.groups
    refused = [group for group in groups if _part(group.key, _OUTCOME) == REFUSED]
    return (
        _outcomes(published),
        _by("agencies", "Requests by agency", ("agency",), groups, lambda key: (_label(key, _AGENCY),)),
        _by("purposes", "Requests by purpose", ("purpose",), groups, lambda key: (_label(key, _PURPOSE),)),
        _by(
            "agencies-and-purposes",
            "Requests by agency and purpose",
            ("agency", "purpose"),
            groups,
            lambda key: (_label(key, _AGENCY), _label(key, _PURPOSE)),
        ),
        _by(
            "components",
            "Requests by agency and component",
            ("agency", "component"),
            groups,
            lambda key: (_label(key, _AGENCY), _label(key, _COMPONENT)),
        ),
        _refusals("refusals-by-code", "Refusals by code", ("code", "meaning"), refused, _code),
        _refusals("refusals-by-rule", "Refusals by rule", ("rule",), refused, _rules),
        _refusals(
            "refusals",
            "Refusals by agency, purpose and code",
            ("agency", "purpose", "code", "meaning"),
            refused,
            lambda key: [(_label(key, _AGENCY), _label(key, _PURPOSE), *_code(key)[0])],
        ),
        Table(
            "other-requests",
            "Requests for no record",
            ("kind", "outcome", "requests"),
            2,
            tuple((_OTHERS[kind], outcome, number) for (kind, outcome), number in published.others),
        ),
        _acts(published),
    )


_OTHERS = {
    "describe": "for the client's own view",
    "token": "for an access token",
    "receipt": "for the proof of an entry",
    "notices": "for notices owed",
    "notice-acknowledge": "to acknowledge a notice",
    "any": "for nothing that exists, or too often",
}


def _outcomes(published: Published) -> Table:
    rows: list[tuple[Value, ...]] = [
        (outcome or UNTOLD, *figures)
        for outcome in (SHOWN, NOTHING, REFUSED, None)
        if (figures := _sums(g for g in published.groups if _part(g.key, _OUTCOME) == outcome))[0]
    ]
    total: tuple[Value, ...] = ("all that are told", *_sums(published.groups))
    chosen = (0, 1, 6, 7)
    columns = ("outcome", *_FIGURES)
    return Table(
        "outcomes",
        "Requests by outcome",
        tuple(columns[at] for at in chosen),
        1,
        tuple(tuple(row[at] for at in chosen) for row in (*rows, total)),
    )


def _by(name: str, caption: str, columns: Labels, groups: Iterable[Group], labels: Callable[[Key], Labels]) -> Table:
    found = defaultdict(list)
    for group in groups:
        found[labels(group.key)].append(group)
    rows = tuple((*label, *_sums(found[label])) for label in _sorted(found))
    return Table(name, caption, columns + _FIGURES, len(columns), rows)


def _refusals(
    name: str, caption: str, columns: Labels, groups: Iterable[Group], labels: Callable[[Key], list[Labels]]
) -> Table:
    found: defaultdict[Labels, int] = defaultdict(int)
    for group in groups:
        for label in labels(group.key):
            found[label] += group.requests
    rows: tuple[tuple[Value, ...], ...] = tuple((*label, found[label]) for label in _sorted(found))
    return Table(name, caption, (*columns, "refusals"), len(columns), rows)


def _acts(published: Published) -> Table:
    labels = ACTS | ACTS_ON_PERSONS
    rows = (
        *((labels[action], number) for action, number in published.acts.items()),
        ("log entries declared lost in the quarter", published.declared_lost),
        ("log entries below the checkpoint that are lost, of any time", published.lost),
    )
    return Table("acts-of-the-city", "What the city did", ("act", "number"), 1, rows)


def _sums(groups: Iterable[Group]) -> tuple[int | None, ...]:
    requests: defaultdict[object, int] = defaultdict(int)
    records = persons = 0
    for group in groups:
        requests[_part(group.key, _OUTCOME)] += group.requests
        records += group.records
        persons += group.persons
    told = (
        sum(requests.values()),
        *(requests[outcome] for outcome in (SHOWN, NOTHING, REFUSED, None)),
        records,
        persons,
    )
    return tuple(figure or None for figure in told)


def _part(key: Key, at: int) -> object:
    """Return a part of a key; None where it is not told."""
    return key[at] if at < len(key) else None


def _label(key: Key, at: int) -> str:
    return UNTOLD if at >= len(key) else str(key[at] or UNNAMED)


def _code(key: Key) -> list[Labels]:
    code = _label(key, _CODE)
    return [(code, _TITLES.get(code, ""))]


def _rules(key: Key) -> list[Labels]:
    """Return one row for each rule that a refusal names."""
    rules = _part(key, _RULES)
    if rules is None:
        return [(UNTOLD,)]
    return [(rule,) for rule in rules] if isinstance(rules, tuple) and rules else [(UNNAMED,)]


def _sorted(labels: Iterable[Labels]) -> list[Labels]:
    """Sort rows by their words, those of which less is told last."""
    return sorted(labels, key=lambda label: ([word == UNTOLD for word in label], order(label)))
