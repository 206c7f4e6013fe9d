"""Reads HTTP requests into questions: syntax only; what a view holds is not known here."""

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from flask import Request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from gateway.access import (
    AllOf,
    AnyOf,
    Compare,
    Describe,
    Filter,
    Lookup,
    Named,
    Not,
    Quantifier,
    Related,
    Search,
    SortKey,
    Specify,
)
from gateway.bounds import (
    CASE,
    DEFAULT_PAGE,
    MAX_BODY,
    MAX_COSTLY,
    MAX_CURSOR,
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_PAGE,
    MAX_QUESTION,
    MAX_SORT,
    MAX_TESTS,
    STARTS_IN_ROWS,
)
from gateway.domains import storable
from gateway.errors import Code, Malformed

_DIGITS = 25
# What reading a body raises that is cut off, too slow, or in chunks that are none.
UNREADABLE = (ClientDisconnected, OSError, ParseException)

_PURPOSE = re.compile(r"[a-z][a-z-]{0,59}")
_CASE = re.compile(CASE)
_QUANTIFIERS = frozenset(quantifier.value for quantifier in Quantifier)
_MEMBERS = frozenset({"filter", "sort", "fields", "limit", "cursor"})


def purpose(request: Request) -> str:
    """Return the stated purpose; raise Malformed."""
    value = request.headers.get("Access-Purpose")
    if value is None:
        raise Malformed(Code.PURPOSE_MISSING, "Send the header Access-Purpose.")
    if not _PURPOSE.fullmatch(value):
        raise Malformed(Code.PURPOSE_UNKNOWN, "Access-Purpose must be one word of the vocabulary, stated once.")
    return value


def case(request: Request) -> str | None:
    """Return the case number, if one is stated; raise Malformed."""
    value = request.headers.get("Access-Case")
    if value is not None and not _CASE.fullmatch(value):
        raise Malformed(Code.MALFORMED, "Access-Case must be 1 to 60 letters, digits, spaces or ./:_-")
    return value


def describe(request: Request) -> Describe:
    """Read a question for the caller's views."""
    _no_parameters(request)
    return Describe(purpose(request), case(request))


def specify(request: Request) -> Specify:
    """Read a question for the API as the caller may use it."""
    _no_parameters(request)
    return Specify(purpose(request), case(request))


def lookup(request: Request, resource: str, identifier: str) -> Lookup:
    """Read a question for one record."""
    _no_parameters(request)
    return Lookup(resource, purpose(request), case(request), identifier)


def nothing(request: Request) -> None:
    """Read a request that says all in its path: no parameters and no body; a stated purpose is not read."""
    _no_parameters(request)
    if content(request):
        raise Malformed(Code.MALFORMED, "No body is read here; send none.")


def search(request: Request, resource: str) -> Search:
    """Read a question for a page of records."""
    _no_parameters(request)
    stated, number = purpose(request), case(request)
    return search_in(_body(request), resource, stated, number)


def search_in(content: bytes, resource: str, purpose: str, case: str | None) -> Search:
    """Read the question that a body asks."""
    body = _object(content)
    if body.get("cursor") is None and len(content) > MAX_QUESTION:
        raise Malformed(Code.TOO_LARGE, f"A question may have {MAX_QUESTION} bytes beside its cursor.")
    unknown = body.keys() - _MEMBERS
    if unknown:
        raise Malformed(Code.UNKNOWN_PARAMETER, f"The body may hold {', '.join(sorted(_MEMBERS))}.")
    asked = body.get("filter")
    return Search(
        resource=resource,
        purpose=purpose,
        case=case,
        filter=None if asked is None else _Filters().read(asked, 1),
        sort=_sort(body.get("sort", [])),
        fields=_fields(body.get("fields", [])),
        limit=_limit(body.get("limit", DEFAULT_PAGE)),
        cursor=_cursor(body.get("cursor")),
    )


def _no_parameters(request: Request) -> None:
    if request.args:
        raise Malformed(Code.UNKNOWN_PARAMETER, "No query parameters are known here.")


def _body(request: Request) -> bytes:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset != "utf-8" or "Content-Encoding" in request.headers:
        raise Malformed(Code.NOT_JSON, "Send the question as application/json in UTF-8, without a content coding.")
    # A question alone may come with a cursor.
    request.max_content_length = MAX_BODY + 1
    return content(request)


def _object(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(
            content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_number
        )
    except RecursionError:
        raise Malformed(Code.TOO_COMPLEX, "The body is nested too deeply.") from None
    except ValueError:
        raise Malformed(Code.MALFORMED, "The body is not JSON in UTF-8.") from None
    if not isinstance(body, dict):
        raise Malformed(Code.MALFORMED, "The body must be a JSON object.")
    return body


def content(request: Request) -> bytes:
    """Read the body; one without a length is read up to a byte more than is allowed, and then known to be too long."""
    try:
        read = request.get_data()
    except UNREADABLE:
        raise Malformed(Code.MALFORMED, "The body can't be read to its end.") from None
    except RequestEntityTooLarge:
        read = bytes(MAX_BODY + 1)
    if len(read) > MAX_BODY:
        raise Malformed(Code.TOO_LARGE, f"The body may have {MAX_BODY} bytes.")
    return read


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Malformed(Code.MALFORMED, "A member of a JSON object stands there twice.")
        if not storable(key) or (isinstance(value, str) and not storable(value)):
            raise Malformed(Code.OUT_OF_DOMAIN, "A text holds NUL or half of a surrogate pair.")
        found[key] = value
    return found


def _number(text: str) -> int | float:
    """Read a number with a fraction or an exponent; one without a rest is whole, as JSON Schema has it."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise Malformed(Code.MALFORMED, "A number's exponent is too large.") from None
    # No field holds a number of so many digits; written out, its exponent would fill the memory.
    whole = exact.adjusted() < _DIGITS and exact == exact.to_integral_value()
    return int(exact) if whole else float(text)


def _no_constant(_: str) -> NoReturn:
    raise Malformed(Code.MALFORMED, "NaN and Infinity are not JSON.")


class _Filters:
    """Reads one filter, counting what it asks."""

    def __init__(self) -> None:
        self._tests = 0
        self._costly = 0
        self._in_rows = False

    def read(self, value: object, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise Malformed(Code.TOO_COMPLEX, f"A filter may be {MAX_DEPTH} levels deep.")
        if not isinstance(value, dict) or not value:
            raise Malformed(Code.MALFORMED, "A filter is a JSON object with at least one member.")
        parts = [part for name, inner in value.items() for part in self._member(name, inner, depth)]
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _member(self, name: str, inner: object, depth: int) -> Iterator[Filter]:
        joins: dict[str, Callable[[tuple[Filter, ...]], Filter]] = {"and": AllOf, "or": AnyOf}
        if name in joins:
            if not isinstance(inner, list) or not inner:
                raise Malformed(Code.MALFORMED, "'and' and 'or' take a list with at least one filter.")
            yield joins[name](tuple(self.read(part, depth + 1) for part in inner))
        elif name == "not":
            yield Not(self.read(inner, depth + 1))
        elif name == "named":
            yield self._named(inner)
        elif isinstance(inner, dict) and inner:
            for word, operand in inner.items():
                asked = self._related if word in _QUANTIFIERS else self._comparison
                yield asked(name, word, operand, depth)
        else:
            raise Malformed(Code.MALFORMED, 'A field takes operators, such as {"eq": "24"}; related rows take "any".')

    def _comparison(self, field: str, operator: str, operand: object, _: int) -> Compare:
        costly = STARTS_IN_ROWS if self._in_rows else 1
        self._count(tests=1, costly=costly if operator == "starts" else 0)
        if isinstance(operand, dict):
            words = 'An operator takes a value; related rows take "any", "none" or "all", and a relation to one a dot.'
            raise Malformed(Code.UNKNOWN_OPERATOR, words)
        within = operand if isinstance(operand, list) else [operand]
        if any(isinstance(value, list | dict) for value in within):
            raise Malformed(Code.OUT_OF_DOMAIN, "A field is compared with a value, or with a list of values.")
        _texts_storable(within)
        return Compare(field, operator, operand)

    def _related(self, relation: str, quantifier: str, inner: object, depth: int) -> Related:
        self._count(tests=0, costly=1)
        before, self._in_rows = self._in_rows, True
        part = self.read(inner, depth + 1)
        self._in_rows = before
        return Related(relation, Quantifier(quantifier), part)

    def _named(self, inner: object) -> Named:
        known = {"family", "given", "born"}
        if not isinstance(inner, dict) or not inner.keys() & {"family", "given"} or not inner.keys() <= known:
            raise Malformed(Code.MALFORMED, "'named' takes 'family', 'given' or both, and may take 'born'.")
        if any(isinstance(value, list | dict) or value is None for value in inner.values()):
            raise Malformed(Code.OUT_OF_DOMAIN, "'named' takes texts, and a date or year of birth.")
        _texts_storable(list(inner.values()))
        names = len(inner.keys() & {"family", "given"})
        self._count(tests=names * names + 2, costly=names * names)
        return Named(inner.get("family"), inner.get("given"), inner.get("born"))

    def _count(self, *, tests: int, costly: int) -> None:
        self._tests += tests
        self._costly += costly
        if self._tests > MAX_TESTS:
            raise Malformed(Code.TOO_COMPLEX, f"A filter may make {MAX_TESTS} comparisons.")
        if self._costly > MAX_COSTLY:
            raise Malformed(
                Code.TOO_COMPLEX, f"A filter may ask {MAX_COSTLY} times by a relation, by 'starts' or by 'named'."
            )


def _texts_storable(values: list[Any]) -> None:
    if any(isinstance(value, str) and not storable(value) for value in values):
        raise Malformed(Code.OUT_OF_DOMAIN, "A text holds NUL or half of a surrogate pair.")


def _sort(value: object) -> tuple[SortKey, ...]:
    names = _names(value, "sort", MAX_SORT)
    keys = tuple(SortKey(name.removeprefix("-"), name.startswith("-")) for name in names)
    if len({key.field for key in keys}) != len(keys):
        raise Malformed(Code.MALFORMED, "'sort' must not name a field twice.")
    return keys


def _fields(value: object) -> tuple[str, ...]:
    return _names(value, "fields", MAX_FIELDS)


def _names(value: object, member: str, most: int) -> tuple[str, ...]:
    plain = isinstance(value, list) and all(isinstance(name, str) and storable(name) for name in value)
    if not plain or not isinstance(value, list) or len(value) > most or len(set(value)) != len(value):
        raise Malformed(Code.MALFORMED, f"'{member}' is a list of at most {most} different names of fields.")
    return tuple(value)


def _limit(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_PAGE:
        raise Malformed(Code.OUT_OF_DOMAIN, f"'limit' is a whole number from 1 to {MAX_PAGE}.")
    return value


def _cursor(value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value) > MAX_CURSOR):
        raise Malformed(Code.CURSOR_INVALID, "'cursor' is the text that an earlier answer gave as 'next'.")
    return value
