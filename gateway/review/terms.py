"""Takes from an opened question the terms by which it searched."""

import ast
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
                yield from ((operator, text.casefold()) for text in _texts(operator, operand))


def _texts(operator: str, operand: Any) -> list[str]:
    if operator != "in":
        return [operand] if isinstance(operand, str) else []
    # A list of values is kept as Python writes it.
    try:
        values = ast.literal_eval(operand)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    return [value for value in values if isinstance(value, str)] if isinstance(values, list | tuple) else []
