"""How CEL sees the catalogue, and how its checked syntax tree is read: protobuf messages, made at run time."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2, wrappers_pb2

from gateway.catalogue import Catalogue, Field
from gateway.domains import Domain, Kind
from gateway.policy.lists import NamedList

WORD = Domain(Kind.TEXT, most=200)
SUBJECT_FIELDS = {
    "agency": WORD,
    "component": WORD,
    "ori": WORD,
    "mission": WORD,
    "criminal_justice_agency": Domain(Kind.BOOLEAN),
}
_INSTRUMENT_FIELDS = {"person": "int", "kind": "string", "signer": "string"}
_WRAPPERS = {
    Kind.TEXT: ".google.protobuf.StringValue",
    Kind.STATUTE: ".google.protobuf.StringValue",
    Kind.CODE: ".google.protobuf.StringValue",
    Kind.DATE: ".google.protobuf.StringValue",
    Kind.INTEGER: ".google.protobuf.Int64Value",
    Kind.KEY: ".google.protobuf.Int64Value",
    Kind.BOOLEAN: ".google.protobuf.BoolValue",
    Kind.TIMESTAMP: ".google.protobuf.Timestamp",
}


def pool(catalogue: Catalogue, lists: Mapping[str, NamedList]) -> descriptor_pool.DescriptorPool:
    """Describe the catalogue as protobuf messages, so that CEL checks names and types; wrappers are nullable."""
    made = descriptor_pool.DescriptorPool()
    for module in (wrappers_pb2, timestamp_pb2):
        known = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(known)
        made.Add(known)
    file = descriptor_pb2.FileDescriptorProto(
        name="gw.proto",
        package="gw",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto", "google/protobuf/timestamp.proto"],
    )
    subject = {name: "bool" if d.kind is Kind.BOOLEAN else "string" for name, d in SUBJECT_FIELDS.items()}
    _message(file, "Subject", subject)
    _message(file, "Instrument", _INSTRUMENT_FIELDS)
    _message(file, "Lists", {name.replace("-", "_"): "string*" for name in lists})
    for resource in catalogue.resources.values():
        related = {
            name: f".gw.{resource.name}__{name}" + ("*" if relation.many else "")
            for name, relation in resource.relations.items()
        }
        _message(file, resource.name, _wrapped(resource.fields) | related)
        for name, relation in resource.relations.items():
            _message(file, f"{resource.name}__{name}", _wrapped(relation.fields))
    made.Add(file)
    return made


def _wrapped(fields: Mapping[str, Field]) -> dict[str, str]:
    return {name: _WRAPPERS[field.domain.kind] for name, field in fields.items()}


_PRIMITIVES: dict[str, Any] = {"string": 9, "int": 3, "bool": 8, "int32": 5}
_MESSAGE: Any = 11
_OPTIONAL: Any = 1
_REPEATED: Any = 3


def _message(file: descriptor_pb2.FileDescriptorProto, name: str, fields: Mapping[str, str]) -> None:
    """Add a message; a type that ends in `*` is repeated, one that starts with `.` is a message."""
    _numbered(file, name, {field: (number, kind) for number, (field, kind) in enumerate(fields.items(), 1)})


def _numbered(
    file: descriptor_pb2.FileDescriptorProto,
    name: str,
    fields: Mapping[str, tuple[int, str]],
    oneof: frozenset[str] = frozenset(),
) -> None:
    made = file.message_type.add(name=name)
    if oneof:
        made.oneof_decl.add(name="kind")
    for field, (number, kind) in fields.items():
        added = made.field.add(name=field, number=number, label=_REPEATED if kind.endswith("*") else _OPTIONAL)
        base = kind.rstrip("*")
        if base.startswith("."):
            added.type, added.type_name = _MESSAGE, base
        else:
            added.type = _PRIMITIVES[base]
        if field in oneof:
            added.oneof_index = 0


def _checked_expr() -> Any:
    """Build the message of a checked expression: the parts of CEL's published syntax.proto that are read here.

    Kinds that are left out read as no kind at all, and are refused.
    """
    file = descriptor_pb2.FileDescriptorProto(name="syntax.proto", package="cel", syntax="proto3")
    kinds = {
        "const_expr": (3, ".cel.Constant"),
        "ident_expr": (4, ".cel.Ident"),
        "select_expr": (5, ".cel.Select"),
        "call_expr": (6, ".cel.Call"),
        "list_expr": (7, ".cel.CreateList"),
        "comprehension_expr": (9, ".cel.Comprehension"),
    }
    constants = {"bool_value": (2, "bool"), "int64_value": (3, "int"), "string_value": (6, "string")}
    _numbered(file, "Expr", {"id": (2, "int"), **kinds}, frozenset(kinds))
    _numbered(file, "Constant", constants, frozenset(constants))
    _numbered(file, "Ident", {"name": (1, "string")})
    _numbered(file, "Select", {"operand": (1, ".cel.Expr"), "field": (2, "string"), "test_only": (3, "bool")})
    _numbered(file, "Call", {"target": (1, ".cel.Expr"), "function": (2, "string"), "args": (3, ".cel.Expr*")})
    _numbered(file, "CreateList", {"elements": (1, ".cel.Expr*")})
    _numbered(
        file,
        "Comprehension",
        {
            "iter_var": (1, "string"),
            "iter_range": (2, ".cel.Expr"),
            "accu_var": (3, "string"),
            "accu_init": (4, ".cel.Expr"),
            "loop_condition": (5, ".cel.Expr"),
            "loop_step": (6, ".cel.Expr"),
            "result": (7, ".cel.Expr"),
        },
    )
    _numbered(file, "SourceInfo", {"positions": (4, ".cel.SourceInfo.PositionsEntry*")})
    entry = file.message_type[-1].nested_type.add(name="PositionsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=_OPTIONAL, type=_PRIMITIVES["int"])
    entry.field.add(name="value", number=2, label=_OPTIONAL, type=_PRIMITIVES["int32"])
    _numbered(file, "CheckedExpr", {"expr": (4, ".cel.Expr"), "source_info": (5, ".cel.SourceInfo")})
    made = descriptor_pool.DescriptorPool()
    made.Add(file)
    return message_factory.GetMessageClass(made.FindMessageTypeByName("cel.CheckedExpr"))


CHECKED_EXPR = _checked_expr()
