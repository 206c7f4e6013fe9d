"""Takes from an opened question the terms by which it searched."""

from collections.abc import Iterator
from typing import Any

from gateway.canonical import Json
from gateway.review.fields import GIVEN_NAMES, SURNAMES, named

# The operator of a term that may be either name of a person.
NAMED = "named"


def searched(question: Json, field: str) -> Iterator[tuple[str, str]]:
    """Yield, for each comparison of a field with texts, the operator and the text, in small letters.

    A person looked up by name is looked for in either order: each of the names is a term of both fields.
    """
    if isinstance(question, dict):
        yield from _of(question.get("filter"), field)


def persons(question: Json) -> Iterator[str]:
    """Yield the persons looked up by name, the given name first, in small letters."""
    if isinstance(question, dict):
        for said in _looked_up(question.get("filter")):
            yield " ".join(said[part].casefold() for part in ("given", "family") if part in said)


def _of(node: Any, field: str) -> Iterator[tuple[str, str]]:
    match node:
        case {"not": inner}:
            yield from _of(inner, field)
        case {"and": [*parts]} | {"or": [*parts]}:
            for part in parts:
                yield from _of(part, field)
        case {"named": dict() as said}:
            if named((field,), SURNAMES | GIVEN_NAMES):
                yield from ((NAMED, said[part].casefold()) for part in ("family", "given") if part in said)
        case dict():
            yield from _compared(node.get(field, {}))
            relation, _, inner = field.partition(".")
            for part in node.get(relation, {}).values() if inner else ():
                yield from _of(part, inner)


def _compared(tests: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for operator, operand in tests.items():
        terms = operand if isinstance(operand, list) else [operand]
        yield from ((operator, term.casefold()) for term in terms if isinstance(term, str))


def _looked_up(node: Any) -> Iterator[dict[str, str]]:
    match node:
        case {"not": inner}:
            yield from _looked_up(inner)
        case {"and": [*parts]} | {"or": [*parts]}:
            for part in parts:
                yield from _looked_up(part)
        case {"named": dict() as said}:
            yield said
