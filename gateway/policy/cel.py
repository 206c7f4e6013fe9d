"""Reads conditions: CEL source, type-checked against the catalogue, lowered to `condition`.

Parsing and typing are Google's (cel-cpp); what may be said is ours. Whatever the database could not be asked with the
same meaning is refused here, when the policy is loaded, with its place.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel
from google.protobuf import any_pb2, message

from gateway.catalogue import Catalogue, Domain, Field, Kind, OutOfDomainError, Resource, Scalar
from gateway.policy.cel_types import CHECKED_EXPR, SUBJECT_FIELDS, WORD, pool
from gateway.policy.condition import (
    RECORD,
    SUBJECT,
    And,
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
)
from gateway.policy.lists import NamedList
from gateway.strict_yaml import FileError, Text

# A node of CEL's syntax tree: a protobuf message whose class is made at run time.
Expr = Any

MAX_SOURCE = 4000
MAX_NODES = 400

_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
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


class Reader:
    """Reads the conditions of one catalogue and its lists."""

    def __init__(self, catalogue: Catalogue, lists: Mapping[str, NamedList]) -> None:
        described = pool(catalogue, lists)
        words = {"lists": cel.Type("gw.Lists"), "instruments": cel.Type.List(cel.Type("gw.Instrument"))}
        self._environments = {
            resource: cel.NewEnv(descriptor_pool=described, variables={RECORD: cel.Type(f"gw.{resource}"), **words})
            for resource in catalogue.resources
        }
        self._subjects = cel.NewEnv(descriptor_pool=described, variables={SUBJECT: cel.Type("gw.Subject")})
        self._lists = {name.replace("-", "_"): named for name, named in lists.items()}

    def rows(self, text: Text, resource: Resource) -> Condition:
        """Read a condition on a resource's records."""
        checked = _check(self._environments[resource.name], text)
        return _Lowering(text, checked, resource, self._lists).condition(checked.expr, {})

    def subjects(self, text: Text) -> Condition:
        """Read a condition on subjects."""
        checked = _check(self._subjects, text)
        return _Lowering(text, checked, None, {}).condition(checked.expr, {})


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
    return FileError(text.within(int(found[1]), int(found[2])), found[3].removesuffix(" [INVALID_ARGUMENT]"))


@dataclass(frozen=True, slots=True)
class _Lowering:
    text: Text
    checked: Expr
    resource: Resource | None
    lists: Mapping[str, NamedList]

    def refuse(self, expr: Expr, why: str) -> FileError:
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
        reference = self.reference(expr, items)
        if reference.domain.kind is not Kind.BOOLEAN:
            raise self.refuse(expr, f"'{reference.field}' is not a truth value; compare it")
        return Truth(reference)

    def call(self, expr: Expr, items: Mapping[str, str]) -> Condition:
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
                    "use comparisons, in, startsWith, has, exists, all, &&, ||, !",
                )

    def comparison(self, expr: Expr, left: Expr, right: Expr, items: Mapping[str, str]) -> Condition:
        function = expr.call_expr.function
        operator = _OPERATORS[function]
        if self.is_literal(left):
            left, right, operator = right, left, _FLIPPED.get(function, operator)
        reference = self.reference(left, items)
        if operator not in (Operator.EQ, Operator.NE) and reference.domain.kind not in _ORDERED:
            raise self.refuse(expr, f"values of kind {reference.domain.kind} have no order")
        if self.is_literal(right):
            return Compare(operator, reference, Literal(self.literal(right, reference.domain)))
        other = self.reference(right, items)
        if other.domain.kind is not reference.domain.kind:
            raise self.refuse(expr, "the two fields are of different kinds")
        return Compare(operator, reference, other)

    def membership(self, element: Expr, members: Expr, items: Mapping[str, str]) -> Condition:
        reference = self.reference(element, items)
        if members.WhichOneof("kind") == "list_expr":
            values = tuple(self.literal(item, reference.domain) for item in members.list_expr.elements)
            if not values:
                raise self.refuse(members, "an empty list: nothing could be a member")
            return Member(reference, values)
        chosen = members.select_expr if members.WhichOneof("kind") == "select_expr" else None
        if chosen is None or chosen.operand.ident_expr.name != "lists":
            raise self.refuse(members, "'in' needs a list of values or one of the named lists, lists.NAME")
        named = self.lists[chosen.field]
        return Member(reference, named.values, named.prefixes)

    def prefix(self, expr: Expr, prefix: Expr, items: Mapping[str, str]) -> Condition:
        reference = self.reference(expr.call_expr.target, items)
        if reference.domain.kind is not Kind.TEXT or not prefix.const_expr.string_value:
            raise self.refuse(expr, "startsWith needs a field of kind text and a prefix that is written out")
        return Member(reference, (), (prefix.const_expr.string_value,))

    def presence(self, expr: Expr, items: Mapping[str, str]) -> Condition:
        operand, name = expr.select_expr.operand, expr.select_expr.field
        variable = operand.ident_expr.name
        relation = self.resource.relations.get(name) if self.resource and variable == RECORD else None
        if relation is not None and relation.many:
            return Exists(name, "item", Constant(value=True))
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
            return Reference(SUBJECT, None, name, SUBJECT_FIELDS[name])
        if variable in items:
            return self.of_fields(expr, variable, None, name, self.related(items[variable]))
        if variable == RECORD and self.resource:
            return self.of_fields(expr, RECORD, None, name, self.resource.fields)
        inner = operand.select_expr if operand.WhichOneof("kind") == "select_expr" else None
        if inner is None or inner.operand.ident_expr.name != RECORD:
            raise self.refuse(expr, "a field of the record, or of its relation to one, is expected here")
        return self.of_fields(expr, RECORD, inner.field, name, self.related(inner.field))

    def related(self, relation: str) -> Mapping[str, Field]:
        return self.resource.relations[relation].fields if self.resource else {}

    def of_fields(
        self, expr: Expr, variable: str, relation: str | None, name: str, fields: Mapping[str, Field]
    ) -> Reference:
        if name not in fields:
            raise self.refuse(expr, f"'{name}' is a relation; ask it with exists, all or has")
        return Reference(variable, relation, name, fields[name].domain)

    def is_literal(self, expr: Expr) -> bool:
        kind = expr.WhichOneof("kind")
        return kind == "const_expr" or bool(kind == "call_expr" and expr.call_expr.function == "timestamp")

    def literal(self, expr: Expr, domain: Domain) -> Scalar:
        """Read a constant of the domain; a constant outside it could never match, and is refused."""
        constant = expr.const_expr
        if expr.call_expr.function == "timestamp":
            constant = expr.call_expr.args[0].const_expr
        kind = constant.WhichOneof("kind")
        if kind not in ("string_value", "int64_value", "bool_value"):
            raise self.refuse(expr, "a text, a whole number, true or false is expected; for absence use has()")
        try:
            return domain.parse(getattr(constant, kind))
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
        loop = expr.comprehension_expr
        chosen = loop.iter_range.select_expr
        relation = self.resource.relations.get(chosen.field) if self.resource else None
        if relation is None or not relation.many or chosen.operand.ident_expr.name != RECORD:
            raise self.refuse(expr, "exists and all range over a relation of the record to many")
        if loop.iter_var in items or loop.iter_var in (RECORD, "lists", "instruments"):
            raise self.refuse(expr, f"the name '{loop.iter_var}' is taken")
        inner = self.condition(body, {**items, loop.iter_var: relation.name})
        if universal:
            return Not(Exists(relation.name, loop.iter_var, Not(inner)))
        return Exists(relation.name, loop.iter_var, inner)

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
                wanted[names[0]] = self.words(sides[1])
            else:
                raise self.refuse(
                    conjunct,
                    "an instrument is asked as i.person == record.person, with i.kind and i.signer compared "
                    "by == or in with values that are written out",
                )
        if person is None or person.domain.kind is not Kind.KEY:
            raise self.refuse(body, "an instrument must be bound to the record's person: i.person == record.person")
        return Covered(person, wanted.get("kind"), wanted.get("signer"))

    def words(self, expr: Expr) -> frozenset[str]:
        elements = list(expr.list_expr.elements) if expr.WhichOneof("kind") == "list_expr" else [expr]
        if not elements:
            raise self.refuse(expr, "an empty list: nothing could be a member")
        return frozenset(str(self.literal(element, WORD)) for element in elements)


def _conjuncts(expr: Expr) -> list[Expr]:
    if expr.call_expr.function == "_&&_":
        left, right = expr.call_expr.args
        return [*_conjuncts(left), *_conjuncts(right)]
    return [expr]
