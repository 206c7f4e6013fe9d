"""Says in JSON Schema which values a field can hold, exactly as questions are read and answers are written."""

from dataclasses import dataclass, field
from typing import Any

from gateway.bounds import MAX_VALUES
from gateway.domains import DATE, MOMENT, YEARS, Domain, Kind, Scalar
from gateway.plan.shape import operators
from gateway.policy.masks import BANDS

Schema = dict[str, Any]

PLAIN = r"^[^\u0000]*$"
# At least one character is no accent by itself, or nothing is left where accents are put aside.
START = r"^[^\u0000]*[^\u0000\u0300-\u036f][^\u0000]*$"
ID = "^[A-Za-z0-9_-]{34}$"
PSEUDONYM = "^[A-Za-z0-9_-]{43}$"

_MEANING = {
    "eq": "Equal to the value.",
    "ne": "Not equal to the value.",
    "in": "Equal to one of the values.",
    "lt": "Before the value.",
    "lte": "Before the value, or equal to it.",
    "gt": "After the value.",
    "gte": "After the value, or equal to it.",
    "prefix": "Starts with the text, exactly.",
    "starts": "Starts with the text, case and accents aside.",
    "is_null": "Whether there is no value, or none that is shown.",
}


@dataclass(frozen=True, slots=True)
class Components:
    """Schemas by name: each is written once, and referred to."""

    schemas: dict[str, Schema] = field(default_factory=dict)

    def put(self, name: str, schema: Schema) -> Schema:
        """Keep a schema under a name, and return the reference to it."""
        if self.schemas.setdefault(name, schema) != schema:
            raise ValueError(f"two schemas are called {name}")
        return reference(name)

    def value(self, domain: Domain, path: str) -> Schema:
        """Refer to the values of a domain; where it is a field's own, it is named by the path."""
        return self.put(_name(domain, path), _value(domain))

    def tests(self, domain: Domain, path: str) -> Schema:
        """Refer to the comparisons that can be made with values of a domain."""
        value, known = self.value(domain, path), operators(domain)
        properties = {
            name: _operand(name, value) | {"description": _MEANING[name]} for name in _MEANING if name in known
        }
        return self.put(f"{_name(domain, path)}.tests", {**closed(properties), "minProperties": 1})


def reference(name: str) -> Schema:
    """Refer to a schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def closed(properties: Schema, *, required: tuple[str, ...] = ()) -> Schema:
    """Describe an object of a question: no other member is read."""
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **needed, "additionalProperties": False}


def opened(properties: Schema, *, required: tuple[str, ...] = ()) -> Schema:
    """Describe an object of an answer: members may be added to it."""
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **needed}


def or_null(schema: Schema) -> Schema:
    """Allow null, too."""
    return {"anyOf": [schema, {"type": "null"}]}


def sample(domain: Domain) -> Scalar:
    """Return a value of a domain, as JSON writes it; it says nothing of any record."""
    match domain.kind:
        case Kind.CODE:
            return domain.codes[0]
        case Kind.INTEGER:
            return min(max(domain.low, 1980), domain.high)
        case Kind.BOOLEAN:
            return True
        case Kind.DATE:
            return "2014-04-16"
        case Kind.TIMESTAMP:
            return "2014-04-16T00:00:00-04:00"
        case _:
            return "A"


def _name(domain: Domain, path: str) -> str:
    if domain == YEARS:
        return "Year"
    if domain == BANDS:
        return "AgeBand"
    match domain.kind:
        case Kind.TEXT:
            return f"Text{domain.most}"
        case Kind.STATUTE:
            return f"Statute{domain.most}"
        case Kind.BOOLEAN:
            return "Boolean"
        case Kind.DATE:
            return "Date"
        case Kind.TIMESTAMP:
            return "Moment"
        case Kind.KEY:
            return "Id"
        case _:
            # Beside the schemas of records and questions, which are named after resources, too.
            return f"{path}.values"


def _value(domain: Domain) -> Schema:
    match domain.kind:
        case Kind.TEXT | Kind.STATUTE:
            return {"type": "string", "maxLength": domain.most, "pattern": PLAIN}
        case Kind.CODE:
            return {"type": "string", "enum": list(domain.codes)}
        case Kind.INTEGER:
            return {"type": "integer", "minimum": domain.low, "maximum": domain.high}
        case Kind.BOOLEAN:
            return {"type": "boolean"}
        case Kind.DATE:
            return {"type": "string", "format": "date", "pattern": f"^{DATE}$", "description": domain.describe()}
        case Kind.TIMESTAMP:
            return {"type": "string", "format": "date-time", "pattern": f"^{MOMENT}$", "description": domain.describe()}
        case _:
            return {"type": "string", "pattern": ID, "description": domain.describe()}


def _operand(operator: str, value: Schema) -> Schema:
    match operator:
        case "is_null":
            return {"type": "boolean"}
        case "in":
            return {"type": "array", "items": value, "minItems": 1, "maxItems": MAX_VALUES}
        case "prefix":
            return {**value, "minLength": 1}
        case "starts":
            return {**value, "pattern": START}
        case _:
            return value
