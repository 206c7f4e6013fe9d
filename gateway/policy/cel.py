"""Reads conditions: CEL source, type-checked against the catalogue, lowered to `condition`.

Parsing and typing are Google's (cel-cpp); what may be said is ours, in `lowering`.
"""

import re
from collections.abc import Mapping

from cel_expr_python import cel
from google.protobuf import any_pb2, message

from gateway.catalogue import Catalogue, Resource
from gateway.domains import Domain, Kind
from gateway.policy.cel_types import CHECKED_EXPR, SUBJECT_FIELDS, WORD, pool
from gateway.policy.condition import (
    RECORD,
    SUBJECT,
    Condition,
)
from gateway.policy.lists import NamedList
from gateway.policy.lowering import TODAY, Expr, Lowering
from gateway.strict_yaml import FileError, Text

MAX_SOURCE = 4000
MAX_NODES = 400

_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


class Reader:
    """Reads the conditions of one catalogue and its lists."""

    def __init__(self, catalogue: Catalogue, lists: Mapping[str, NamedList]) -> None:
        described = pool(catalogue, lists)
        words = {
            "lists": cel.Type("gw.Lists"),
            "instruments": cel.Type.List(cel.Type("gw.Instrument")),
            TODAY: cel.Type.STRING,
        }
        self._environments = {
            resource: cel.NewEnv(
                descriptor_pool=described,
                variables={RECORD: cel.Type(f"gw.{resource}"), **words},
                functions=_functions(),
            )
            for resource in catalogue.resources
        }
        self._zone = catalogue.time_zone
        # Missions are a closed vocabulary: one that is misspelt would apply to nobody.
        self._subject_fields = SUBJECT_FIELDS | {
            "mission": Domain(Kind.CODE, most=WORD.most, codes=tuple(catalogue.missions))
        }
        self._subjects = cel.NewEnv(descriptor_pool=described, variables={SUBJECT: cel.Type("gw.Subject")})
        self._lists = {name.replace("-", "_"): named for name, named in lists.items()}

    def rows(self, text: Text, resource: Resource) -> Condition:
        """Read a condition on a resource's records."""
        checked = _check(self._environments[resource.name], text)
        return Lowering(text, checked, resource, self._lists, {}, self._zone).condition(checked.expr, {})

    def subjects(self, text: Text) -> Condition:
        """Read a condition on subjects."""
        checked = _check(self._subjects, text)
        return Lowering(text, checked, None, {}, self._subject_fields, self._zone).condition(checked.expr, {})


def _functions() -> list[cel.FunctionDecl]:
    """Declare what the dialect has beside CEL: days relative to the decision's, and whole years between two days."""
    text, time, whole = cel.Type.STRING, cel.Type.TIMESTAMP, cel.Type.INT
    between = [[text, text], [text, time], [time, text], [time, time]]
    return [
        cel.FunctionDecl("days_ago", [cel.Overload("days_ago_int", text, [whole])]),
        cel.FunctionDecl("midnight", [cel.Overload("midnight_day", time, [text])]),
        cel.FunctionDecl(
            "years_between", [cel.Overload(f"years_between_{n}", whole, pair) for n, pair in enumerate(between)]
        ),
    ]


def _check(environment: cel.Env, text: Text) -> Expr:
    source = text.source()
    if len(source) > MAX_SOURCE:
        raise FileError(text.place, f"a condition of more than {MAX_SOURCE} characters")
    try:
        envelope = any_pb2.Any.FromString(environment.compile(source).serialize())
        checked = CHECKED_EXPR.FromString(envelope.value)
    except RuntimeError as error:
        raise _located(text, str(error)) from None
    except message.DecodeError:
        raise FileError(text.place, "a condition that is too deep") from None
    if len(checked.source_info.positions) > MAX_NODES:
        raise FileError(text.place, f"a condition of more than {MAX_NODES} parts")
    return checked


def _located(text: Text, error: str) -> FileError:
    found = _ERROR.search(error)
    if found is None:
        return FileError(text.place, "the condition can't be read")
    said = found[3].removesuffix(" [INVALID_ARGUMENT]")
    return FileError(text.within(int(found[1]), int(found[2])), said + _hint(said))


def _hint(said: str) -> str:
    """Add to what the parser says what the writer may have meant."""
    hints = (hint for pattern, hint in _HINTS if re.search(pattern, said))
    return next((f": {hint}" for hint in hints), "")


# What is often mistaken; the parser speaks of types that nobody has written.
_HINTS = (
    (r"in struct 'gw\.Lists'", "there is no such list; hyphens of its name are written as underscores"),
    (r"undefined field", "see the fields of the catalogue"),
    (
        r"Timestamp, string|string, google\.protobuf\.Timestamp",
        "a timestamp is compared with midnight(today) or midnight(days_ago(n))",
    ),
    (r"applied to '\((wrapper\()?int\)?, string", "a number is written without quotes"),
    (r"expression of type 'list\(", "there are many of these: ask exists(x, ...) or all(x, ...)"),
    (r"undeclared reference", "a text stands in quotes"),
    (r"token recognition error at: '='|'= '", "equality is =="),
    (r"token recognition error at: '[\u201c\u201d\u2018\u2019]", "quotes are straight"),
    (r"mismatched input '(and|AND)'", "'and' is written &&"),
    (r"mismatched input '(or|OR)'", "'or' is written ||"),
    (r"mismatched input 'not'|extraneous input 'not'", "'not' is written !"),
)
