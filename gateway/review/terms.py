"""Takes from an opened question the terms by which it searched."""

from collections.abc import Iterator
from typing import Any

from gateway.canonical import Json
from gateway.plan.folding import fold
from gateway.review.fields import GIVEN_NAMES, SURNAMES, named

# The operator of a term that may be either name of a person.
NAMED = "named"


def searched(question: Json, field: str) -> Iterator[tuple[str, str]]:
    """Yield, for each comparison of a field with texts, the operator and the text, without case and accents.

    A person looked up by name is looked for in either order: each of the names is a term of both fields.
    """
    if isinstance(question, dict):
        yield from _of(question.get("filter"), field)


def persons(question: Json) -> Iterator[str]:
    """Yield the persons looked up by name, the given name first, without case and accents."""
    if isinstance(question, dict):
        for said in _looked_up(question.get("filter")):
            if names := list(_names(said, "given", "family")):
                yield " ".join(names)


def _of(node: Any, field: str) -> Iterator[tuple[str, str]]:
    match node:
        case {"not": inner}:
            yield from _of(inner, field)
        case {"and": [*parts]} | {"or": [*parts]}:
            for part in parts:
                yield from _of(part, field)
        case {"named": dict() as said}:
            if named((field,), SURNAMES | GIVEN_NAMES):
                yield from ((NAMED, name) for name in _names(said, "family", "given"))
        case dict():
            yield from _compared(node.get(field, {}))
            relation, _, inner = field.partition(".")
            for part in node.get(relation, {}).values() if inner else ():
                yield from _of(part, inner)


def _compared(tests: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for operator, operand in tests.items():
        terms = operand if isinstance(operand, list) else [operand]
        yield from ((operator, _plain(term)) for term in terms if isinstance(term, str))


def _names(said: dict[str, Any], *parts: str) -> Iterator[str]:
    """Yield what a person is looked up by; what is no text was refused, and is written down all the same."""
    return (_plain(said[part]) for part in parts if isinstance(said.get(part), str))


def _plain(term: str) -> str:
    return fold(term).casefold()


def _looked_up(node: Any) -> Iterator[dict[str, Any]]:
    match node:
        case {"not": inner}:
            yield from _looked_up(inner)
        case {"and": [*parts]} | {"or": [*parts]}:
            for part in parts:
                yield from _looked_up(part)
        case {"named": dict() as said}:
            yield said
