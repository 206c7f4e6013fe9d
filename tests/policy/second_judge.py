"""A second judge of conditions: celpy, another implementation of CEL, given the very text of the document.

It shares nothing with `cel`, `lowering`, `condition` and `evaluate` but the records. A null is a key that is not in
celpy's map, so that what is *unknown* in the dialect is an *error* in CEL, which `&&`, `||`, `exists` and `all` absorb
as Kleene's unknown. What the dialect means otherwise than CEL is rewritten on celpy's own parse tree, and back to CEL:

- `has` through an absent parent is false, where CEL has an error;
- a relation may be incomplete, and then no row that decides is unknown, an error;
- statutes, days and years are Python functions here, with an oracle of their own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any, cast
from zoneinfo import ZoneInfo

import celpy
import lark
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

from gateway.catalogue import Resource
from gateway.domains import Kind
from gateway.policy.evaluate import Facts

# CEL has no literal for an error.
UNKNOWN = "(1 / 0 == 0)"
ENVIRONMENT = celpy.Environment()
_COMPARISONS = {
    "relation_lt": "<",
    "relation_le": "<=",
    "relation_ge": ">=",
    "relation_gt": ">",
    "relation_eq": "==",
    "relation_ne": "!=",
    "relation_in": "in",
}
_JOINS = {"conditionalor": "||", "conditionaland": "&&"}

# A list as its file writes it: `members`, and for statutes `sections` and `graded`.
ListFile = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the conditions of one resource on one day."""

    resource: Resource
    lists: Mapping[str, ListFile]
    day: date

    def judge(self, source: str, records: Iterable[Facts]) -> list[bool | None]:
        """Return, for each record, true, false, or None for an error: the dialect's unknown."""
        rewritten = _Rewriting(self.resource, self.lists).text(ENVIRONMENT.compile(source), {})
        program = ENVIRONMENT.program(ENVIRONMENT.compile(rewritten), self.functions())
        words = {name: file["members"] if file["kind"] == "words" else file for name, file in self.lists.items()}
        given = {"today": _told(self.day), "lists": _told(words)}
        return [_run(program, given, facts) for facts in records]

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return what the dialect has beside CEL; days are texts, which are ordered as the days are."""
        zone = self.resource.zone
        return {
            "statute_in": _statute_in,
            "section_in": _section_in,
            "days_ago": lambda days: celtypes.StringType(date.fromordinal(self.day.toordinal() - days).isoformat()),
            "midnight": lambda day: celtypes.TimestampType(_first_moment(date.fromisoformat(day), zone)),
            "years_between": lambda start, end: celtypes.IntType(_birthdays(_day(start, zone), _day(end, zone))),
        }


def _run(program: celpy.Runner, given: Mapping[str, Any], facts: Facts) -> bool | None:
    instruments = [{"person": i.person, "kind": i.kind, "signer": i.signer} for i in facts.instruments]
    told = {name: _told(value) for name, value in facts.variables.items()}
    try:
        found = program.evaluate({**given, **told, "instruments": _told(instruments)})
    except CELEvalError:
        return None
    # celpy's `null && true` is its None, which must not pass for an unknown.
    assert isinstance(found, celtypes.BoolType), found
    return bool(found)


def _told(value: object) -> Any:
    return json_to_cel(_plain(value))


def _plain(value: object) -> Any:
    """Leave nulls out, and write dates as texts."""
    match value:
        case Mapping():
            return {name: _plain(inner) for name, inner in value.items() if inner is not None}
        case tuple() | list():
            return [_plain(inner) for inner in value]
        case date() if not isinstance(value, datetime):
            return value.isoformat()
        case _:
            return value


@dataclass(frozen=True, slots=True)
class _Rewriting:
    """Writes celpy's parse tree back to CEL, with what the dialect means otherwise spelt out."""

    resource: Resource
    lists: Mapping[str, ListFile]

    def text(self, tree: lark.Tree[Any], items: Mapping[str, str]) -> str:
        """Write an expression; items are the names that range over relations."""
        kind, children = tree.data, cast("list[Any]", tree.children)
        match kind, children:
            case (("conditionalor" | "conditionaland"), [left, right]):
                return f"({self.text(left, items)} {_JOINS[kind]} {self.text(right, items)})"
            case "relation", [left, right]:
                return self.relation(left.data, left.children[0], right, items)
            case "unary", [sign, operand] if sign.data == "unary_not":
                return f"!({self.text(operand, items)})"
            case "member_dot", [owner, name]:
                return f"{self.text(owner, items)}.{name}"
            case "member_dot_arg", [owner, ("exists" | "all") as macro, arguments]:
                return self.quantifier(self.text(owner, items), macro, arguments.children, items)
            case "member_dot_arg", [owner, name, arguments]:
                return f"{self.text(owner, items)}.{name}({self.text(arguments, items)})"
            case "ident_arg", ["has", arguments]:
                return self.presence(self.text(arguments, items))
            case "ident_arg", [name, arguments]:
                return f"{name}({self.text(arguments, items)})"
            case "list_lit", [members]:
                return f"[{self.text(members, items)}]"
            case "exprlist", _:
                return ", ".join(self.text(child, items) for child in children)
            case (("ident" | "literal"), [token]):
                return str(token)
            case "paren_expr", [inner]:
                return f"({self.text(inner, items)})"
            case _, [lark.Tree() as only]:
                return self.text(only, items)
            case _:
                raise AssertionError(f"conditions have no {kind}")

    def relation(self, operator: str, left: lark.Tree[Any], right: lark.Tree[Any], items: Mapping[str, str]) -> str:
        """Write a comparison; one of a statute asks the oracle."""
        one, other = self.text(left, items), self.text(right, items)
        if not self.is_statute(one, items):
            return f"({one} {_COMPARISONS[operator]} {other})"
        if other.startswith("lists."):
            return self.offences(one, other, self.lists[other.removeprefix("lists.")])
        members = other if operator == "relation_in" else f"[{other}]"
        return f"{'!' if operator == 'relation_ne' else ''}statute_in({one}, {members})"

    def offences(self, path: str, name: str, file: ListFile) -> str:
        """Write membership in a list of offences; some count only with the grade that stands beside the statute."""
        parts = [_cited(path, name, file)]
        for number, graded in enumerate(file.get("graded", [])):
            part = f"{name}.graded[{number}]"
            parts.append(f"({_cited(path, part, graded)} && {path.rpartition('.')[0]}.grade in {part}.grades)")
        return f"({' || '.join(parts)})"

    def is_statute(self, path: str, items: Mapping[str, str]) -> bool:
        """Whether a text is the path of a statute."""
        owner, _, name = path.rpartition(".")
        relation = items.get(owner, owner.removeprefix("record."))
        fields = self.resource.fields if relation == "record" else {}
        if relation in self.resource.relations:
            fields = self.resource.relations[relation].fields
        return name in fields and fields[name].domain.kind is Kind.STATUTE

    def quantifier(self, owner: str, macro: str, arguments: Sequence[lark.Tree[Any]], items: Mapping[str, str]) -> str:
        """Write `exists` and `all`: where no row decides, an incomplete relation decides nothing."""
        item, relation = self.text(arguments[0], items), owner.removeprefix("record.")
        body = self.text(arguments[1], {**items, item: relation})
        asked = f"{owner}.{macro}({item}, {body})"
        if owner == "instruments":
            return asked
        return f"({asked} {'||' if macro == 'exists' else '&&'} {self.known(relation, decides=macro == 'all')})"

    def known(self, relation: str, *, decides: bool) -> str:
        """Write what stands for the rows that may yet come: nothing, or an error."""
        when, neutral = self.resource.relations[relation].complete_when, str(decides).lower()
        return f"(has(record.{when}) && record.{when} ? {neutral} : {UNKNOWN})" if when else neutral

    def presence(self, path: str) -> str:
        """Write `has`. CEL's own is an error through an absent parent (celpy's is false there, against CEL)."""
        owner, _, name = path.rpartition(".")
        relation = self.resource.relations.get(name)
        if owner == "record" and relation is not None and relation.many:
            return f"(size({path}) > 0 || {self.known(name, decides=False)})"
        return f"(has({owner}) && has({path}))" if "." in owner else f"has({path})"


def _cited(path: str, name: str, file: ListFile) -> str:
    asked = {"members": "statute_in", "sections": "section_in"}
    return "(" + " || ".join(f"{asked[key]}({path}, {name}.{key})" for key in asked if key in file) + ")"


# --- oracles ----------------------------------------------------------------------------------------------------


@cache
def statute(text: str) -> tuple[str, str, str] | None:
    """Split a statute into title, section and subsection; None for what is none."""
    title, sign, rest = text.partition(" § ")
    if sign:
        section, mark, subsection = rest.partition(" §§ ")
        if _sound(title, section, subsection if mark else None):
            return title, section, subsection
    start = next((at for at, letter in enumerate(text) if "A" <= letter <= "Z" and at > 1), len(text))
    written, subsection = text[:start], text[start:]
    if text.startswith("CC"):
        return ("18", written[2:], subsection) if _sound("18", written[2:], subsection or None) else None
    title, _, section = written.partition(".")
    if subsection and not section.endswith("."):
        return None
    section = section[:-1] if subsection else section
    return (title, section, subsection) if _sound(title, section, subsection or None) else None


def _sound(title: str, section: str, subsection: str | None) -> bool:
    digits = "0123456789"
    numbered = title != "" and not title.strip(digits) and not section.strip(digits + ".-")
    framed = section != "" and section[0] in digits and section[-1] in digits
    return numbered and framed and (subsection is None or "A" <= subsection[:1] <= "Z")


def _statute_in(text: str, members: list[str]) -> celtypes.BoolType | CELEvalError:
    found = statute(text)
    if found is None:
        return CELEvalError("no statute")
    return celtypes.BoolType(found in [statute(member) for member in members])


def _section_in(text: str, sections: list[str]) -> celtypes.BoolType | CELEvalError:
    found = statute(text)
    if found is None:
        return CELEvalError("no statute")
    return celtypes.BoolType((*found[:2], "") in [statute(section) for section in sections])


def _first_moment(day: date, zone: ZoneInfo) -> datetime:
    """Look for the first quarter of an hour that is in the local day."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
    moments = (begin + timedelta(minutes=15 * step) for step in range(4 * 48))
    return next(moment for moment in moments if moment.astimezone(zone).date() == day)


def _day(value: str | datetime, zone: ZoneInfo) -> date:
    return value.astimezone(zone).date() if isinstance(value, datetime) else date.fromisoformat(value)


def _birthdays(born: date, day: date) -> int:
    """Count birthdays, one year after the other; before the first day there are fewer than none."""
    if day < born:
        return -1
    return next(age for age in count() if (born.year + age + 1, born.month, born.day) > (day.year, day.month, day.day))
