"""What filters and orders mean on what a client sees: judged record by record in three-valued logic, without SQL."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any

from gateway.domains import YEARS, Domain, Kind, OutOfDomainError
from gateway.errors import Code
from tests.disclosure.regimes import cases, domain
from tests.disclosure.worlds import Sight
from tests.policy.reference import Law
from tests.policy.test_two_readings import COMPARISONS

QUANTIFIERS = ("any", "none", "all")
_ORDERED = ("eq", "ne", "in", "lt", "lte", "gt", "gte", "is_null")
OPERATORS: dict[Kind, tuple[str, ...]] = {
    Kind.TEXT: (*_ORDERED, "prefix", "starts"),
    Kind.STATUTE: (*_ORDERED, "prefix"),
    Kind.CODE: ("eq", "ne", "in", "is_null"),
    Kind.INTEGER: _ORDERED,
    Kind.BOOLEAN: ("eq", "ne", "is_null"),
    Kind.DATE: _ORDERED,
    Kind.TIMESTAMP: _ORDERED,
    Kind.KEY: (),
}
MAX_COSTLY = 8
Look = Callable[[str], Any]


# --- truth ------------------------------------------------------------------------------------------------------


def every(judged: Iterable[bool | None]) -> bool | None:
    """Join by and."""
    known = set(judged)
    return False if False in known else None if None in known else True


def some(judged: Iterable[bool | None]) -> bool | None:
    """Join by or."""
    return contrary(every(contrary(each) for each in judged))


def contrary(judged: bool | None) -> bool | None:  # noqa: FBT001 -- truth values are the subject
    """Deny; of unknown, unknown."""
    return None if judged is None else not judged


def matches(law: Law, asked: dict[str, Any], sight: Sight) -> bool | None:
    """Judge a filter on what is seen of a record."""
    return _truth(law, asked, sight, "", sight.compared.get)


def _truth(law: Law, asked: dict[str, Any], sight: Sight, relation: str, look: Look) -> bool | None:
    return every(_member(law, name, inner, sight, relation, look) for name, inner in asked.items())


def _member(law: Law, name: str, inner: Any, sight: Sight, relation: str, look: Look) -> bool | None:
    match name:
        case "and":
            return every(_truth(law, part, sight, relation, look) for part in inner)
        case "or":
            return some(_truth(law, part, sight, relation, look) for part in inner)
        case "not":
            return contrary(_truth(law, inner, sight, relation, look))
        case "named":
            return _is_named(law, inner, look)
        case _:
            return every(
                _related(law, name, word, operand, sight)
                if word in QUANTIFIERS
                else _compare(law, f"{relation}.{name}" if relation else name, word, operand, look(name))
                for word, operand in inner.items()
            )


def _related(law: Law, relation: str, quantifier: str, part: dict[str, Any], sight: Sight) -> bool | None:
    rows = sight.compared_rows.get(relation)
    if rows is None:
        return None
    judged = [_truth(law, part, sight, relation, row.get) for row in rows]
    match quantifier:
        case "any":
            return some(judged)
        case "none":
            return contrary(some(judged))
        case _:
            return every(judged)


def _compare(law: Law, path: str, operator: str, operand: Any, value: Any) -> bool | None:
    if operator == "is_null":
        return bool((value is None) == operand)
    if value is None:
        return None
    parse = domain(law, path).parse
    stated = [parse(each) for each in operand] if operator == "in" else parse(operand)
    return bool(COMPARISONS[operator](value, stated))


def _is_named(law: Law, asked: dict[str, Any], look: Look) -> bool | None:
    names = cases().names
    assert names is not None

    def starts(field: str, text: str) -> bool | None:
        return _compare(law, field, "starts", text, look(field))

    stated = [asked[part] for part in ("family", "given") if part in asked]
    if len(stated) == 2:
        family, given = stated
        person = some(
            [
                every([starts(names.family, family), starts(names.given, given)]),
                every([starts(names.family, given), starts(names.given, family)]),
            ]
        )
    else:
        person = starts(names.family if "family" in asked else names.given, stated[0])
    if "born" not in asked:
        return person
    return every([person, _is_about(look(names.born), asked["born"])])


def _is_about(value: Any, born: str | int) -> bool | None:
    """Whether a person was born within a year of a date or a year, as far as the view shows."""
    if value is None:
        return None
    if isinstance(value, int) or isinstance(born, int):
        year = value if isinstance(value, int) else value.year
        return abs(int(year) - (born if isinstance(born, int) else int(born[:4]))) <= 1
    day = date.fromisoformat(born)
    return bool(_shifted(day, -1) <= value <= _shifted(day, 1))


def _shifted(day: date, years: int) -> date:
    """Return the same day of another year; of a leap day, the last of February."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


# --- order ------------------------------------------------------------------------------------------------------


def in_order(seen: list[Sight], keys: list[str]) -> list[Sight]:
    """Sort by fields, nulls last in both directions; ties by key, in the direction of the last field."""
    ordered = sorted(seen, key=lambda sight: sight.id, reverse=bool(keys) and keys[-1].startswith("-"))
    for key in reversed(keys):
        path, descending = key.removeprefix("-"), key.startswith("-")
        known = [sight for sight in ordered if sight.compared.get(path) is not None]
        known.sort(key=lambda sight: sight.compared[path], reverse=descending)
        ordered = known + [sight for sight in ordered if sight.compared.get(path) is None]
    return ordered


# --- what can't be asked ----------------------------------------------------------------------------------------


def scalar_paths(law: Law) -> list[str]:
    """Return the fields of the view that have one value a record."""
    return [path for path, _ in cases().paths() if law.holds(path) and not path.startswith("counts.")]


def related_paths(law: Law) -> list[str]:
    """Return the fields of related rows of the view."""
    return [path for path, _ in cases().paths() if law.holds(path) and path.startswith("counts.")]


def faults(law: Law, body: dict[str, Any]) -> set[Code]:
    """Return every reason for which a question can't be asked of a view; which one is told is not foreseen."""
    scalars, related = scalar_paths(law), related_paths(law)
    known = {*scalars, *related, *(["counts"] if related else [])}
    found = set(_filter_faults(law, body["filter"], "")) if "filter" in body else set()
    if _cost(body.get("filter", {})) > MAX_COSTLY:
        found.add(Code.TOO_COMPLEX)
    if any(field not in known for field in body.get("fields", ())):
        found.add(Code.UNKNOWN_FIELD)
    for key in body.get("sort", ()):
        path = key.removeprefix("-")
        if path not in scalars:
            found.add(Code.UNKNOWN_FIELD)
        elif domain(law, path).kind is Kind.KEY:
            found.add(Code.UNKNOWN_OPERATOR)
    return found


def _cost(asked: dict[str, Any], starts: int = 1) -> int:
    """Count what is bounded: looks into a relation, and folded starts, of which two names in both orders are four.

    One among related rows counts as four, too.
    """
    cost = 0
    for name, inner in asked.items():
        match name:
            case "and" | "or":
                cost += sum(_cost(part, starts) for part in inner)
            case "not":
                cost += _cost(inner, starts)
            case "named":
                cost += len(inner.keys() & {"family", "given"}) ** 2
            case _:
                cost += sum(1 + _cost(part, starts=4) for word, part in inner.items() if word in QUANTIFIERS)
                cost += starts if "starts" in inner else 0
    return cost


def _filter_faults(law: Law, asked: dict[str, Any], relation: str) -> Iterator[Code]:
    for name, inner in asked.items():
        match name:
            case "and" | "or":
                for part in inner:
                    yield from _filter_faults(law, part, relation)
            case "not":
                yield from _filter_faults(law, inner, relation)
            case "named":
                yield from _name_faults(law, inner)
            case _:
                for word, operand in inner.items():
                    yield from _test_faults(law, name, word, operand, relation)


def _test_faults(law: Law, name: str, word: str, operand: Any, relation: str) -> Iterator[Code]:
    if word in QUANTIFIERS:
        if relation or name != "counts" or not related_paths(law):
            yield Code.UNKNOWN_FIELD
        else:
            yield from _filter_faults(law, operand, name)
        return
    path = f"{relation}.{name}" if relation else name
    if path not in (related_paths(law) if relation else scalar_paths(law)):
        yield Code.UNKNOWN_FIELD
        return
    held = domain(law, path)
    if word not in OPERATORS[held.kind]:
        yield Code.UNKNOWN_OPERATOR
    elif word == "is_null":
        if not isinstance(operand, bool):
            yield Code.OUT_OF_DOMAIN
    elif word == "in" and not isinstance(operand, list):
        yield Code.OUT_OF_DOMAIN
    else:
        values = operand if word == "in" else [operand]
        if (
            not values
            or not all(_fits(held.parse, value) for value in values)
            or (word in ("prefix", "starts") and not operand)
        ):
            yield Code.OUT_OF_DOMAIN


def _fits(parse: Callable[[object], object], value: object) -> bool:
    try:
        parse(value)
    except OutOfDomainError:
        return False
    return True


def _name_faults(law: Law, asked: dict[str, Any]) -> Iterator[Code]:
    names = cases().names
    assert names is not None
    for part, field in (("family", names.family), ("given", names.given)):
        if part in asked:
            yield from _test_faults(law, field, "starts", asked[part], "")
            if law.mask_of(field) is not None and law.masks(field):
                yield Code.UNKNOWN_FIELD
    if len(asked.keys() & {"family", "given"}) == 2:
        yield from _test_faults(law, names.given, "starts", asked["family"], "")
        yield from _test_faults(law, names.family, "starts", asked["given"], "")
    if "born" in asked:
        if names.born not in scalar_paths(law) or domain(law, names.born).kind not in (Kind.DATE, Kind.INTEGER):
            yield Code.UNKNOWN_FIELD
        born = YEARS if isinstance(asked["born"], int) else Domain(Kind.DATE)
        if not _fits(born.parse, asked["born"]):
            yield Code.OUT_OF_DOMAIN
