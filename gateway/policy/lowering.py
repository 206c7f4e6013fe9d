"""Lowers a checked CEL expression to a `condition`.

What may be said is decided here: whatever the database could not be asked with the same meaning is refused, with its
place, when the policy is loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from gateway.access import INSTRUMENTS, SIGNERS
from gateway.catalogue import Field, Relation, Resource
from gateway.domains import DAYS, Domain, Kind, OutOfDomainError, Scalar
from gateway.policy.condition import (
    RECORD,
    SUBJECT,
    Ago,
    And,
    Cited,
    Compare,
    Condition,
    Constant,
    Covered,
    Exists,
    Literal,
    Member,
    Not,
    Operator,
    Or,
    Present,
    Reference,
    RelationPresent,
    Truth,
    Years,
    any_of,
)
from gateway.policy.lists import NamedList, Offences, Words
from gateway.policy.statutes import Statute, parse
from gateway.strict_yaml import FileError, Text

# A node of CEL's syntax tree: a protobuf message whose class is made at run time.
Expr = Any

TODAY = "today"
MAX_YEARS = 150
MAX_DAYS = 36_500
_ASKED = {
    "kind": Domain(Kind.CODE, codes=INSTRUMENTS),
    "signer": Domain(Kind.CODE, codes=SIGNERS),
}
_FLIPPED = {"_<_": Operator.GT, "_<=_": Operator.GE, "_>_": Operator.LT, "_>=_": Operator.LE}
_OPERATORS = {
    "_==_": Operator.EQ,
    "_!=_": Operator.NE,
    "_<_": Operator.LT,
    "_<=_": Operator.LE,
    "_>_": Operator.GT,
    "_>=_": Operator.GE,
}
_ORDERED = (Kind.INTEGER, Kind.DATE, Kind.TIMESTAMP, Kind.TEXT)


@dataclass(frozen=True, slots=True)
class Lowering:
    """One condition on its way: its text, for places, and what its names mean."""

    text: Text
    checked: Expr
    resource: Resource | None
    lists: Mapping[str, NamedList]
    subjects: Mapping[str, Domain]
    zone: ZoneInfo

    def refuse(self, expr: Expr, why: str) -> FileError:
        """Refuse a part of the condition, with its place."""
        offset = self.checked.source_info.positions.get(expr.id, 0)
        before = self.text.source()[:offset]
        line, column = before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
        return FileError(self.text.within(line, column), why)

    def condition(self, expr: Expr, items: Mapping[str, str]) -> Condition:
        """Lower a boolean expression; items are the iteration variables and the relations that they range over."""
        match expr.WhichOneof("kind"):
            case "const_expr" if expr.const_expr.WhichOneof("kind") == "bool_value":
                return Constant(expr.const_expr.bool_value)
            case "select_expr" if expr.select_expr.test_only:
                return self.presence(expr, items)
            case "select_expr":
                return self.truth(expr, items)
            case "call_expr":
                return self.call(expr, items)
            case "comprehension_expr":
                return self.quantifier(expr, items)
            case _:
                raise self.refuse(expr, "this can't stand alone as a condition")

    def truth(self, expr: Expr, items: Mapping[str, str]) -> Condition:
        """Lower a field that is taken as the condition."""
        reference = self.reference(expr, items)
        if reference.domain.kind is not Kind.BOOLEAN:
            raise self.refuse(expr, f"'{reference.field}' is not a truth value; compare it")
        return Truth(reference)

    def call(self, expr: Expr, items: Mapping[str, str]) -> Condition:
        """Lower an operator or a function."""
        function, arguments = expr.call_expr.function, list(expr.call_expr.args)
        match function, arguments:
            case "!_", [part]:
                return Not(self.condition(part, items))
            case "_&&_", [left, right]:
                return And(self.condition(left, items), self.condition(right, items))
            case "_||_", [left, right]:
                return Or(self.condition(left, items), self.condition(right, items))
            case "@in", [element, members]:
                return self.membership(element, members, items)
            case "startsWith", [prefix]:
                return self.prefix(expr, prefix, items)
            case _, [left, right] if function in _OPERATORS:
                return self.comparison(expr, left, right, items)
            case _:
                name = function.strip("_@")
                raise self.refuse(
                    expr,
                    f"'{name}' can't be asked of the database with the same meaning; "
                    "use comparisons, in, startsWith, has, exists, all, years_between, &&, ||, !",
                )

    def comparison(self, expr: Expr, left: Expr, right: Expr, items: Mapping[str, str]) -> Condition:
        """Lower a comparison of a field with a stated value, or with another field of its kind."""
        function = expr.call_expr.function
        operator = _OPERATORS[function]
        if self.is_stated(left):
            left, right, operator = right, left, _FLIPPED.get(function, operator)
        if left.call_expr.function == "years_between":
            return self.years(left, operator, right, items)
        reference = self.reference(left, items)
        if reference.domain.kind is Kind.STATUTE:
            return self.statute(expr, operator, reference, right)
        if operator not in (Operator.EQ, Operator.NE) and reference.domain.kind not in _ORDERED:
            raise self.refuse(expr, f"values of kind {reference.domain.kind} have no order")
        if self.is_stated(right):
            return Compare(operator, reference, self.stated(right, reference.domain))
        other = self.reference(right, items)
        if other.domain.kind is not reference.domain.kind:
            raise self.refuse(expr, "the two fields are of different kinds")
        return Compare(operator, reference, other)

    def statute(self, expr: Expr, operator: Operator, reference: Reference, right: Expr) -> Condition:
        """Lower a comparison of a statute, in whatever spelling."""
        if operator not in (Operator.EQ, Operator.NE) or right.const_expr.WhichOneof("kind") != "string_value":
            raise self.refuse(expr, "a statute is compared by ==, != or in, with statutes that are written out")
        cited = Cited(reference, (self.cited(right),))
        return cited if operator is Operator.EQ else Not(cited)

    def cited(self, expr: Expr) -> Statute:
        """Read a statute that the condition writes."""
        found = parse(expr.const_expr.string_value)
        if found is None:
            raise self.refuse(expr, "this is no statute; write it like 18.2702.A1")
        return found

    def years(self, expr: Expr, operator: Operator, right: Expr, items: Mapping[str, str]) -> Condition:
        """Lower `years_between(from, to) < n`."""
        first, last = expr.call_expr.args
        if right.const_expr.WhichOneof("kind") != "int64_value" or not 0 <= right.const_expr.int64_value <= MAX_YEARS:
            raise self.refuse(right, f"years are compared with a whole number from 0 to {MAX_YEARS}")
        start = self.reference(first, items)
        end = self.ago(last, Kind.DATE) if self.is_stated(last) else self.reference(last, items)
        for reference in (start, end):
            if isinstance(reference, Reference) and reference.domain.kind not in DAYS:
                raise self.refuse(expr, "years_between takes dates and timestamps")
        return Years(operator, start, end, right.const_expr.int64_value, self.zone)

    def membership(self, element: Expr, members: Expr, items: Mapping[str, str]) -> Condition:
        """Lower `in` with a written list or a named one."""
        reference = self.reference(element, items)
        statutes = reference.domain.kind is Kind.STATUTE
        if members.WhichOneof("kind") == "list_expr":
            elements = list(members.list_expr.elements)
            if not elements:
                raise self.refuse(members, "an empty list: nothing could be a member")
            if statutes:
                return Cited(reference, tuple(self.cited(item) for item in elements))
            return Member(reference, tuple(self.literal(item, reference.domain) for item in elements))
        chosen = members.select_expr if members.WhichOneof("kind") == "select_expr" else None
        if chosen is None or chosen.operand.ident_expr.name != "lists":
            raise self.refuse(members, "'in' needs a list of values or one of the named lists, lists.NAME")
        match self.lists[chosen.field]:
            case Words(_, words) if not statutes:
                return Member(reference, tuple(self.within(members, reference.domain, word) for word in words))
            case Offences() as offences if statutes:
                return self.offences(element, reference, offences, items)
            case _:
                raise self.refuse(members, "a list of statutes is for fields of type statute, one of words for others")

    def offences(self, element: Expr, reference: Reference, offences: Offences, items: Mapping[str, str]) -> Condition:
        """Lower membership in a list of offences; some count by the grade that stands beside the statute."""
        conditions: list[Condition] = [Cited(reference, offences.statutes, offences.sections)]
        for graded in offences.graded:
            beside = type(element)()
            beside.CopyFrom(element)
            beside.select_expr.field = "grade"
            grade = self.reference(beside, items)
            for value in graded.grades:
                self.within(element, grade.domain, value)
            cited = Cited(reference, graded.statutes, graded.sections)
            conditions.append(And(cited, Member(grade, graded.grades)))
        return any_of(conditions)

    def prefix(self, expr: Expr, prefix: Expr, items: Mapping[str, str]) -> Condition:
        """Lower `startsWith`."""
        reference = self.reference(expr.call_expr.target, items)
        if reference.domain.kind is Kind.STATUTE:
            raise self.refuse(expr, "a statute has several spellings; name the section in a list of statutes")
        if reference.domain.kind is not Kind.TEXT or not prefix.const_expr.string_value:
            raise self.refuse(expr, "startsWith needs a field of kind text and a prefix that is written out")
        return Member(reference, (), (prefix.const_expr.string_value,))

    def presence(self, expr: Expr, items: Mapping[str, str]) -> Condition:
        """Lower `has`."""
        operand, name = expr.select_expr.operand, expr.select_expr.field
        variable = operand.ident_expr.name
        relation = self.resource.relations.get(name) if self.resource and variable == RECORD else None
        if relation is not None and relation.many:
            return Exists(name, "item", Constant(value=True), self.complete(relation))
        if relation is not None:
            return RelationPresent(RECORD, name)
        return Present(self.reference(expr, items))

    def reference(self, expr: Expr, items: Mapping[str, str]) -> Reference:
        """Lower `variable.field` or `record.relation.field`."""
        chosen = expr.select_expr if expr.WhichOneof("kind") == "select_expr" else None
        if chosen is None:
            raise self.refuse(expr, "a field is expected here")
        operand, name = chosen.operand, chosen.field
        variable = operand.ident_expr.name
        if variable == SUBJECT:
            return Reference(SUBJECT, None, name, self.subjects[name])
        if variable in items:
            return self.of_fields(expr, variable, None, name, self.related(items[variable]))
        if variable == RECORD and self.resource:
            return self.of_fields(expr, RECORD, None, name, self.resource.fields)
        inner = operand.select_expr if operand.WhichOneof("kind") == "select_expr" else None
        if inner is None or inner.operand.ident_expr.name != RECORD:
            raise self.refuse(expr, "a field of the record, or of its relation to one, is expected here")
        return self.of_fields(expr, RECORD, inner.field, name, self.related(inner.field))

    def related(self, relation: str) -> Mapping[str, Field]:
        """Return the fields of a relation."""
        return self.resource.relations[relation].fields if self.resource else {}

    def of_fields(
        self, expr: Expr, variable: str, relation: str | None, name: str, fields: Mapping[str, Field]
    ) -> Reference:
        """Refer to one of some fields."""
        if name not in fields:
            raise self.refuse(expr, f"'{name}' is a relation; ask it with exists, all or has")
        return Reference(variable, relation, name, fields[name].domain)

    def is_stated(self, expr: Expr) -> bool:
        """Whether the document states the value: a constant, or a day relative to the decision's."""
        function = expr.call_expr.function if expr.WhichOneof("kind") == "call_expr" else ""
        stated = expr.WhichOneof("kind") == "const_expr" or expr.ident_expr.name == TODAY
        return stated or function in ("timestamp", "days_ago", "midnight")

    def stated(self, expr: Expr, domain: Domain) -> Literal | Ago:
        """Read a value that the document states."""
        if expr.ident_expr.name == TODAY or expr.call_expr.function in ("days_ago", "midnight"):
            return self.ago(expr, domain.kind)
        return Literal(self.literal(expr, domain))

    def ago(self, expr: Expr, kind: Kind) -> Ago:
        """Lower `today`, `days_ago(n)`, and `midnight` of either."""
        inner = expr.call_expr.args[0] if expr.call_expr.function == "midnight" else expr
        if (inner is not expr) is not (kind is Kind.TIMESTAMP) or kind not in DAYS:
            raise self.refuse(
                expr, "a date is compared with today or days_ago(n), a timestamp with midnight() of either"
            )
        if inner.ident_expr.name == TODAY:
            return Ago(0, kind)
        written = inner.call_expr.function == "days_ago" and inner.call_expr.args[0].WhichOneof("kind") == "const_expr"
        days = inner.call_expr.args[0].const_expr.int64_value if written else -1
        if not 0 <= days <= MAX_DAYS:
            raise self.refuse(expr, f"a day is today or days_ago(n), with n written out, from 0 to {MAX_DAYS}")
        return Ago(days, kind)

    def literal(self, expr: Expr, domain: Domain) -> Scalar:
        """Read a constant of the domain; a constant outside it could never match, and is refused."""
        constant = expr.const_expr
        if expr.call_expr.function == "timestamp":
            constant = expr.call_expr.args[0].const_expr
        kind = constant.WhichOneof("kind")
        if kind not in ("string_value", "int64_value", "bool_value"):
            raise self.refuse(expr, "a text, a whole number, true or false is expected; for absence use has()")
        return self.within(expr, domain, getattr(constant, kind))

    def within(self, expr: Expr, domain: Domain, value: object) -> Scalar:
        """Hold a value to a domain."""
        try:
            return domain.parse(value)
        except OutOfDomainError as error:
            raise self.refuse(expr, f"this value can never occur here: {error}") from None

    def quantifier(self, expr: Expr, items: Mapping[str, str]) -> Condition:
        """Recognise the expansions of `exists` and `all`; refuse every other macro."""
        loop = expr.comprehension_expr
        step = loop.loop_step.call_expr
        starts = loop.accu_init.const_expr.WhichOneof("kind") == "bool_value"
        accumulates = (
            starts
            and len(step.args) == 2  # noqa: PLR2004 -- what is accumulated, and the body
            and step.args[0].ident_expr.name == loop.accu_var
            and loop.result.ident_expr.name == loop.accu_var
        )
        universal = bool(starts and loop.accu_init.const_expr.bool_value)
        if not accumulates or step.function != ("_&&_" if universal else "_||_"):
            raise self.refuse(expr, "only exists and all can range over related rows")
        if loop.iter_range.ident_expr.name == "instruments":
            if universal:
                raise self.refuse(expr, "instruments can be asked with exists only")
            return self.covered(loop.iter_var, step.args[1])
        return self.over_relation(expr, universal, step.args[1], items)

    def over_relation(
        self,
        expr: Expr,
        universal: bool,  # noqa: FBT001 -- which of the two quantifiers
        body: Expr,
        items: Mapping[str, str],
    ) -> Condition:
        """Lower `exists` and `all` over related rows."""
        loop = expr.comprehension_expr
        chosen = loop.iter_range.select_expr
        relation = self.resource.relations.get(chosen.field) if self.resource else None
        if relation is None or not relation.many or chosen.operand.ident_expr.name != RECORD:
            raise self.refuse(expr, "exists and all range over a relation of the record to many")
        if loop.iter_var in items or loop.iter_var in (RECORD, "lists", "instruments", TODAY):
            raise self.refuse(expr, f"the name '{loop.iter_var}' is taken")
        inner = self.condition(body, {**items, loop.iter_var: relation.name})
        if universal:
            return Not(Exists(relation.name, loop.iter_var, Not(inner), self.complete(relation)))
        return Exists(relation.name, loop.iter_var, inner, self.complete(relation))

    def complete(self, relation: Relation) -> Reference | None:
        """Return the field that says when a relation's rows are all known."""
        if not relation.complete_when or self.resource is None:
            return None
        field = self.resource.fields[relation.complete_when]
        return Reference(RECORD, None, field.name, field.domain)

    def covered(self, item: str, body: Expr) -> Condition:
        """Lower `i.person == record.person && i.kind ... && i.signer ...` in any order."""
        person: Reference | None = None
        wanted: dict[str, frozenset[str]] = {}
        for conjunct in _conjuncts(body):
            call = conjunct.call_expr
            sides = list(call.args)
            names = [
                side.select_expr.field if side.select_expr.operand.ident_expr.name == item else "" for side in sides
            ]
            if call.function == "_==_" and "person" in names and person is None:
                person = self.reference(sides[1 - names.index("person")], {})
            elif call.function in ("_==_", "@in") and names[:1] in (["kind"], ["signer"]) and names[0] not in wanted:
                wanted[names[0]] = self.words(sides[1], _ASKED[names[0]])
            else:
                raise self.refuse(
                    conjunct,
                    "an instrument is asked as i.person == record.person, with i.kind and i.signer compared "
                    "by == or in with values that are written out",
                )
        if person is None or person.domain.kind is not Kind.KEY:
            raise self.refuse(body, "an instrument must be bound to the record's person: i.person == record.person")
        return Covered(person, wanted.get("kind"), wanted.get("signer"))

    def words(self, expr: Expr, domain: Domain) -> frozenset[str]:
        """Read one word, or a written list of them."""
        elements = list(expr.list_expr.elements) if expr.WhichOneof("kind") == "list_expr" else [expr]
        if not elements:
            raise self.refuse(expr, "an empty list: nothing could be a member")
        return frozenset(str(self.literal(element, domain)) for element in elements)


def _conjuncts(expr: Expr) -> list[Expr]:
    if expr.call_expr.function == "_&&_":
        left, right = expr.call_expr.args
        return [*_conjuncts(left), *_conjuncts(right)]
    return [expr]
