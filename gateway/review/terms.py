"""Takes from an opened question the terms by which it searched."""

from collections.abc import Iterator
from typing import Any

from gateway.canonical import Json


def searched(question: Json, field: str) -> Iterator[tuple[str, str]]:
    """Yield, for each comparison of a field with texts, the operator and the text, in small letters."""
    if isinstance(question, dict):
        yield from _of(question.get("filter"), field)


def _of(node: Any, field: str) -> Iterator[tuple[str, str]]:
    match node:
        case {"not": inner}:
            yield from _of(inner, field)
        case {"and": [*parts]} | {"or": [*parts]}:
            for part in parts:
                yield from _of(part, field)
        case dict():
            for operator, operand in node.get(field, {}).items():
                terms = operand if isinstance(operand, list) else [operand]
                yield from ((operator, term.casefold()) for term in terms if isinstance(term, str))
