"""Random questions: filters of every form and operator, orders, fields and page sizes; some can't be asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any

from gateway.domains import Domain, Kind
from gateway.policy.masks import BANDS
from tests.disclosure.filters import OPERATORS, QUANTIFIERS, related_paths, scalar_paths
from tests.disclosure.regimes import cases, domain
from tests.disclosure.worlds import FAVOURED
from tests.policy import small
from tests.policy.reference import Law

_NOWHERE = ("nope", "verdict", "verdict.nope", "", "counts.grade", "person")
_STRANGE: tuple[Any, ...] = (None, True, 3, -1, "", "z" * 5000, "1984-02-29", [], ["a", 1], 1.5)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a client knows when it asks: the law of its view, and the values by which each field of it is compared.

    A question with a value that no record has finds nothing, whatever the gateway compares it with.
    """

    law: Law
    seen: Mapping[str, Sequence[Any]]


def search(chance: Random, known: Knowledge) -> dict[str, Any]:
    """A question for a page of records."""
    law = known.law
    body: dict[str, Any] = {"limit": chance.choice((1, 1, 2, 2, 3, 5, 200))}
    kind = chance.random()
    if kind < 0.25:
        body["filter"] = _probe(chance, known)
    elif kind < 0.8:
        body["filter"] = asked(chance, known, chance.choice((0, 1, 1, 2, 3)))
    if chance.random() < 0.5:
        paths = {_path(chance, law) for _ in range(chance.randint(1, 3))}
        body["sort"] = [chance.choice(("", "-")) + path for path in sorted(paths)]
        chance.shuffle(body["sort"])
    if chance.random() < 0.4:
        held = [*scalar_paths(law), *related_paths(law), *(["counts"] if related_paths(law) else [])]
        fields = chance.sample(held, chance.randint(1, min(4, len(held)))) if held else []
        body["fields"] = fields if chance.random() < 0.93 else sorted({*fields, _any_path(chance)})
    return body


def _probe(chance: Random, known: Knowledge) -> dict[str, Any]:
    """A single test of a masked field, where the view shows any: what only its form decides finds, or does not find."""
    masked = [path for path in scalar_paths(known.law) if known.law.masks(path) and path in known.seen]
    tested = [path for path in masked if OPERATORS[domain(known.law, path).kind]]
    if not tested:
        return _leaf(chance, known, "")
    path = chance.choice(tested)
    return {path: _test(chance, known, path)}


def asked(chance: Random, known: Knowledge, depth: int, relation: str = "") -> dict[str, Any]:
    """A filter of at most this depth, on the record or on the rows of a relation."""
    if depth == 0:
        return _leaf(chance, known, relation)
    match chance.choice(("not", "and", "or", "members")):
        case "not":
            return {"not": asked(chance, known, depth - 1, relation)}
        case "members":
            return _leaf(chance, known, relation) | _leaf(chance, known, relation)
        case join:
            return {join: [asked(chance, known, depth - 1, relation) for _ in range(chance.randint(1, 3))]}


def _leaf(chance: Random, known: Knowledge, relation: str) -> dict[str, Any]:
    kind = chance.random()
    if not relation and kind < 0.38:
        inner = asked(chance, known, chance.choice((0, 0, 1, 2)), "counts")
        name = "counts" if chance.random() < 0.95 else chance.choice(("verdict", "nope"))
        return {name: {chance.choice(QUANTIFIERS): inner}}
    if not relation and kind < 0.44:
        return {"named": _named(chance)}
    path = _path(chance, known.law, relation)
    tests = [
        _test(chance, known, f"{relation}.{path}" if relation else path) for _ in range(chance.choice((1, 1, 1, 2)))
    ]
    return {path: {name: operand for test in tests for name, operand in test.items()}}


def _path(chance: Random, law: Law, relation: str = "") -> str:
    """A field, most often one of the view that can be compared, and rather one that is not always shown in full."""
    if chance.random() < 0.04:
        return chance.choice([*cases().relations[relation].fields, "nope"]) if relation else _any_path(chance)
    paths = related_paths(law) if relation else scalar_paths(law)
    known = [path for path in paths if OPERATORS[domain(law, path).kind]]
    partly = [path for path in known if not law.shows(path)]
    path = chance.choice(partly if partly and chance.random() < 0.6 else known or ["nope"])
    return path.partition(".")[2] if relation else path


def _any_path(chance: Random) -> str:
    return chance.choice([*(path for path, _ in cases().paths() if not path.startswith("counts.")), *_NOWHERE])


def _test(chance: Random, known: Knowledge, path: str) -> dict[str, Any]:
    exists = path in [each for each, _ in cases().paths()]
    held = domain(known.law, path) if exists else Domain(Kind.TEXT, most=4)
    seen = known.seen.get(path, ())
    operators = OPERATORS[held.kind] if chance.random() < 0.97 else ("like", "starts", "prefix", "lt", "is_null")
    operator = chance.choice(operators or ("eq",))
    if operator == "is_null":
        return {operator: chance.choice((True, False)) if chance.random() < 0.97 else 1}
    if operator == "in":
        return {operator: [_value(chance, held, seen) for _ in range(chance.randint(1, 3))]}
    if operator in ("prefix", "starts"):
        return {operator: _start(chance, held, seen)}
    return {operator: _value(chance, held, seen)}


def _start(chance: Random, held: Domain, seen: Sequence[Any]) -> Any:
    value = _value(chance, held, seen)
    if not isinstance(value, str) or chance.random() < 0.03:
        return value
    chosen = value[: chance.randint(1, 3)] or "a"
    return chosen.swapcase() if chance.random() < 0.3 else chosen


def _value(chance: Random, held: Domain, seen: Sequence[Any]) -> Any:
    """A value of the domain, written as a client writes it; rather one that some record has."""
    if chance.random() < 0.03:
        return chance.choice(_STRANGE)
    value = chance.choice(seen) if seen and chance.random() < 0.6 else _any_value(chance, held)
    return value.isoformat() if isinstance(value, date) else value


def _any_value(chance: Random, held: Domain) -> Any:
    if held == BANDS:
        return chance.choice(("0-9", "10-19", "20-29", "30-39"))
    if held.kind is Kind.INTEGER and held.low > 0:
        return chance.choice((1850, 1983, 1984, 1990, 2001))
    if held.kind is Kind.TEXT and held.most == 1:
        return chance.choice(("a", "a", "b", "b", "A", "é"))
    if held.kind is Kind.KEY:
        return "A" * 34
    value = chance.choice(small.CHOICES[held.kind])
    return chance.choice((value, *FAVOURED))[-held.most :] if held.kind is Kind.TEXT else value


def _named(chance: Random) -> dict[str, Any]:
    parts = chance.choice((("family",), ("given",), ("family", "given")))
    named: dict[str, Any] = {part: chance.choice(("a", "A", "ab", "B", "b", "e", "u", "x")) for part in parts}
    if chance.random() < 0.4:
        named["born"] = chance.choice((1984, 2001, "1984-02-29", "1985-03-01", "2002-03-01", "never", 99999))
    return named
