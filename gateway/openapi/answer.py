"""What is answered: records as a view shows them, what stands beside them, refusals, and headers."""

from collections.abc import Iterable

from gateway.bounds import MAX_PAGE
from gateway.catalogue import Relation, Resource
from gateway.domains import Domain, Kind
from gateway.errors import STATUS_AND_TITLE, Code
from gateway.limits import REFUSALS
from gateway.openapi.question import cursor
from gateway.openapi.values import PSEUDONYM, Components, Schema, opened, or_null, reference
from gateway.plan.shape import related_paths, scalar_paths
from gateway.policy.masks import Form, Mask
from gateway.policy.view import Standing, View

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}

HEADERS: Schema = {
    "Log-Entry": {
        "description": "The id of the log's entry that tells of this answer.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    },
    "Log-Promise": {
        "description": "A signed word (JWS, Ed25519) that the entry will be in the log's tree.",
        "required": True,
        "schema": {"type": "string", "pattern": r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$"},
    },
    "RateLimit-Policy": {
        "description": "How many requests (q) a client may send in how many seconds (w).",
        "required": True,
        "schema": {"type": "string", "pattern": '^"client";q=[0-9]+;w=[0-9]+(, "client";q=[0-9]+;w=[0-9]+)*$'},
    },
    "Retry-After": {
        "description": "The seconds to wait before the same request is sent again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "RFC 6750, section 3.",
        "required": True,
        "schema": {"type": "string", "enum": ["Bearer", 'Bearer error="invalid_token"']},
    },
    "Cache-Control": {"required": True, "schema": {"type": "string", "enum": ["no-store"]}},
    "X-Content-Type-Options": {"required": True, "schema": {"type": "string", "enum": ["nosniff"]}},
}

_ALWAYS = ("Cache-Control", "X-Content-Type-Options")
_LOGGED = ("Log-Entry", "Log-Promise", "RateLimit-Policy")
# What a program has to know beside a title.
_AND = {Code.BUDGET_SPENT: f", and no page at all once it has refused {REFUSALS} in a day of the city"}
_UNAUTHORIZED, _MISSING, _TOO_MANY, _UNAVAILABLE = 401, 404, 429, 503


def common(components: Components) -> None:
    """Describe what the answers about every resource are made of."""
    components.value(Domain(Kind.KEY), "Id")
    reason = {"rule": _TEXT, "basis": _TEXT, "because": _TEXT}
    why = components.put("Reason", opened(reason, required=tuple(reason)))
    form = components.put("Form", opened({"form": _TEXT, **reason}, required=tuple(reason)))
    standing = {"standing": {"enum": [standing.value for standing in Standing]}, "form": _TEXT, **reason}
    stands = components.put("Standing", opened(standing, required=("standing", *reason)))
    components.put(
        "View",
        {
            "description": "How each field stands, and by which rule.",
            **opened(
                {
                    "shown": _TEXTS,
                    "masked": _map_of(form),
                    "varying": _map_of({"type": "array", "items": stands, "minItems": 1}),
                    "withheld": _map_of(why),
                },
                required=("shown", "masked", "varying", "withheld"),
            ),
        },
    )
    components.put(
        "Policy",
        {
            "description": "What an answer stands on, and what it obliges to; `as_of` is set in a rehearsal.",
            **opened(
                {"bundle": _TEXT, "rules": _TEXTS, "notices": _TEXTS, "as_of": or_null(_TEXT)},
                required=("bundle", "rules", "notices", "as_of"),
            ),
        },
    )
    components.put(
        "Problem",
        {
            "description": "A refusal (RFC 9457). `code` is stable, and others may be added; texts may change.",
            **opened(
                {
                    "type": {"type": "string", "format": "uri", "pattern": "^urn:arrest-gateway:problem:[a-z-]+$"},
                    "title": _TEXT,
                    "status": {"type": "integer"},
                    "code": _TEXT,
                    "detail": _TEXT,
                    "reasons": {"type": "array", "items": why},
                },
                required=("type", "title", "status", "code", "detail"),
            ),
        },
    )


def _map_of(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


# --- records ----------------------------------------------------------------------------------------------------


def page(resource: Resource, view: View, components: Components) -> Schema:
    """Describe a page of records."""
    record = _record(resource, view, components)
    return opened(
        {
            "resource": {"const": resource.name},
            "records": {"type": "array", "items": record, "maxItems": MAX_PAGE},
            "next": {"description": "The cursor to the next page; null on the last.", **or_null(cursor())},
            "view": reference("View"),
            "policy": reference("Policy"),
        },
        required=("resource", "records", "next", "view", "policy"),
    )


def one(resource: Resource, view: View, components: Components) -> Schema:
    """Describe one record, which shows all that the view shows of it."""
    record = _record(resource, view, components)
    always = [path for path in scalar_paths(resource, view) if "." not in path and path not in view.varying]
    whole = {"allOf": [record, {"required": always}]} if always else record
    return opened(
        {
            "resource": {"const": resource.name},
            "record": whole,
            "view": reference("View"),
            "policy": reference("Policy"),
        },
        required=("resource", "record", "view", "policy"),
    )


def _record(resource: Resource, view: View, components: Components) -> Schema:
    many = related_paths(resource, view)
    paths = scalar_paths(resource, view)
    single = dict.fromkeys(path.partition(".")[0] for path in paths if "." in path)
    members: Schema = {"id": reference("Id")}
    members |= {path: _cell(resource, view, path, components) for path in paths if "." not in path}
    for name in single:
        shown = {path.partition(".")[2]: path for path in paths if path.startswith(f"{name}.")}
        members[name] = or_null(_row(resource, view, shown, components))
    for name, fields in many.items():
        shown = {field: f"{name}.{field}" for field in fields}
        members[name] = _rows(resource.relations[name], _row(resource, view, shown, components))
    if view.varying:
        members["redacted"] = {
            "description": "The fields that are masked or withheld in this record, each with the rule.",
            "propertyNames": {"enum": sorted(view.varying)},
            **_map_of(_TEXT),
        }
    if view.pointers:
        members["pointer"] = {
            "description": "The record exists, and no more of it is shown: whom to ask, and by which rule.",
            **opened({"ask": _TEXT, "rule": _TEXT}, required=("ask", "rule")),
        }
    within = [path for path, _ in resource.paths() if path in view.cells]
    members["source_defects"] = {
        "description": "The fields for which the source holds what can't be right; they are null.",
        "type": "array",
        "items": {"enum": [*within, *many]},
        "minItems": 1,
    }
    return components.put(f"{resource.name}.record", opened(members, required=("id",)))


def _row(resource: Resource, view: View, shown: dict[str, str], components: Components) -> Schema:
    return opened({name: _cell(resource, view, path, components) for name, path in shown.items()})


def _rows(relation: Relation, row: Schema) -> Schema:
    told = f"Null where there are more than {relation.at_most}."
    return {"description": told, **or_null({"type": "array", "items": row, "maxItems": relation.at_most})}


def _cell(resource: Resource, view: View, path: str, components: Components) -> Schema:
    cell, field = view.cells[path], resource.field(path)
    name, standings = f"{resource.name}.{path}", cell.standings()
    own = [components.value(field.domain, name)] if Standing.SHOWN in standings else []
    masked = [_form(resource, cell.mask, components)] if cell.mask is not None and Standing.MASKED in standings else []
    forms = own + [form for form in masked if form not in own]
    if field.required and field.enforced and not masked:
        return own[0]
    return {"anyOf": [*forms, {"type": "null"}]}


def _form(resource: Resource, mask: Mask, components: Components) -> Schema:
    if mask.form is Form.PSEUDONYM:
        return components.put("Pseudonym", {"type": "string", "pattern": PSEUDONYM})
    return components.value(mask.domain(resource), f"{resource.name}.{mask.field}")


# --- answers ----------------------------------------------------------------------------------------------------


def answer(description: str, schema: Schema, kind: str = "application/json") -> Schema:
    """Describe an answer of 200."""
    return {
        "description": description,
        "headers": _headers((*_LOGGED, *_ALWAYS)),
        "content": {kind: {"schema": schema}},
    }


def refusals(codes: Iterable[Code]) -> Schema:
    """Describe refusals by their statuses, with the codes of each."""
    by_status: dict[int, list[Code]] = {}
    for code in Code:
        if code in set(codes):
            by_status.setdefault(STATUS_AND_TITLE[code][0], []).append(code)
    return {str(status): _refusal(status, found) for status, found in sorted(by_status.items())}


def _refusal(status: int, codes: list[Code]) -> Schema:
    told = {"status": {"const": status}, "code": {"examples": [code.value for code in codes]}}
    return {
        "description": "; ".join(dict.fromkeys(STATUS_AND_TITLE[code][1] + _AND.get(code, "") for code in codes)),
        "headers": _headers(_ALWAYS if status == _UNAVAILABLE else (*_LOGGED, *_ALWAYS)) | _headers_of(status, codes),
        "content": {
            "application/problem+json": {"schema": {"allOf": [reference("Problem"), {"properties": told}]}},
        },
    }


def _headers_of(status: int, codes: list[Code]) -> Schema:
    """Describe the headers that some refusals have beside the others."""
    if status == _UNAUTHORIZED:
        return _headers(("WWW-Authenticate",))
    if status == _UNAVAILABLE:
        # The constant refusal of a gateway that can't log has no entry, and no word on rates.
        return _headers(("Retry-After",)) | _optional(_LOGGED)
    if status == _TOO_MANY or Code.ENTRY_NOT_SEALED in codes:
        return _optional(("Retry-After",))
    return {}


def _headers(names: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _optional(names: Iterable[str]) -> Schema:
    return {name: HEADERS[name] | {"required": False} for name in names}
