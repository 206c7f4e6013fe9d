"""The document: the addresses that a caller may ask for a purpose, each with its questions, answers and refusals."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway import __version__
from gateway.bounds import CASE
from gateway.catalogue import Resource
from gateway.errors import Code
from gateway.notices import KINDS, MOST
from gateway.openapi import answer, question
from gateway.openapi.values import Components, Schema, opened, reference
from gateway.policy.compose import Deny, Permit
from gateway.policy.view import View
from gateway.rendering import Policy

_ROAD = (Code.UNAUTHENTICATED, Code.TOKEN_INVALID, Code.CLIENT_SUSPENDED, Code.THROTTLED, Code.UNAVAILABLE)
_NO_PARAMETERS = (Code.MALFORMED, Code.UNKNOWN_PARAMETER)
_STATED = (*_NO_PARAMETERS, Code.PURPOSE_MISSING, Code.PURPOSE_UNKNOWN, Code.AGENCY_STOPPED)
_DECIDED = (
    Code.AGREEMENT_NOT_IN_FORCE,
    Code.PURPOSE_NOT_AGREED,
    Code.CERTIFICATION_MISSING,
    Code.NO_RULE,
    Code.DENIED_BY_RULE,
    Code.POLICY_CONFLICT,
    Code.RESOURCE_UNKNOWN,
    Code.BUDGET_SPENT,
)
_ASKED = (
    Code.TOO_LARGE,
    Code.NOT_JSON,
    Code.UNKNOWN_FIELD,
    Code.UNKNOWN_OPERATOR,
    Code.OUT_OF_DOMAIN,
    Code.TOO_COMPLEX,
    Code.CURSOR_INVALID,
    Code.CURSOR_STALE,
)

_STATEMENT = [{"$ref": "#/components/parameters/Access-Purpose"}, {"$ref": "#/components/parameters/Access-Case"}]
_RECEIPT_LINK = {"receipt": {"operationId": "receipt", "parameters": {"id": "$response.header.Log-Entry"}}}
_ENTRY = {"type": "string", "pattern": "^[0-9a-f]{32}$"}


@dataclass(frozen=True, slots=True)
class Addresses:
    """The URLs by which clients know the API, and the authorization server."""

    api: str
    issuer: str


def specify(
    addresses: Addresses, resources: Mapping[str, tuple[Resource, Permit | Deny]], purpose: str, policy: Policy
) -> bytes:
    """Write the document for what a client may see of every resource."""
    components = Components()
    answer.common(components)
    paths: Schema = {"/openapi.json": {"get": _specify()}, "/v1/resources": {"get": _describe(components)}}
    for resource, decision in resources.values():
        if isinstance(decision, Permit):
            paths[f"/v1/{resource.name}/search"] = {"post": _search(resource, decision.view, components)}
            paths[f"/v1/{resource.name}/{{id}}"] = {"get": _lookup(resource, decision.view, components)}
    paths |= {
        "/v1/entries/{id}": {"get": _receipt()},
        "/v1/notices": {"get": _notices(components)},
        "/v1/notices/{id}/acknowledge": {"post": _acknowledge()},
    }
    document = {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Arrest gateway",
            "version": __version__,
            "description": (
                f"What this client may ask for the purpose {purpose}, by the policy in force. A resource that is not "
                "here is denied: GET /v1/resources says why. Members may be added to answers."
            ),
            "x-policy": policy,
        },
        "servers": [{"url": addresses.api}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components.schemas,
            "headers": answer.HEADERS,
            "parameters": _parameters(purpose),
            "securitySchemes": _schemes(addresses.issuer),
        },
    }
    return msgspec.json.encode(document)


def _schemes(issuer: str) -> Schema:
    """Say what a client proves itself by, and how it gets that: OpenAPI 3.1 has no word for `private_key_jwt`."""
    return {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token, from the address that `credentials` gives.",
        },
        "credentials": {
            "type": "oauth2",
            "description": (
                "How a token is got. The client authenticates by private_key_jwt (RFC 7523), not by a secret; the "
                f"server's metadata (RFC 8414) is at {issuer}/.well-known/oauth-authorization-server."
            ),
            "flows": {"clientCredentials": {"tokenUrl": f"{issuer}/oauth/token", "scopes": {}}},
        },
    }


def _parameters(purpose: str) -> Schema:
    return {
        "Access-Purpose": {
            "name": "Access-Purpose",
            "in": "header",
            "description": "Why access is asked for. For another purpose there is another document.",
            "required": True,
            "schema": {"type": "string", "enum": [purpose]},
            "example": purpose,
        },
        "Access-Case": {
            "name": "Access-Case",
            "in": "header",
            "description": "The agency's own case number; it goes sealed into the log.",
            "schema": {"type": "string", "pattern": f"^{CASE}$"},
            "example": "14-1234",
        },
    }


def _operation(name: str, summary: str, found: Schema, refused: tuple[Code, ...]) -> Schema:
    answers = {"200": found | {"links": _RECEIPT_LINK | found.get("links", {})}}
    return {"operationId": name, "summary": summary, "responses": answers | answer.refusals((*_ROAD, *refused))}


def _specify() -> Schema:
    found = answer.answer("This document.", {"type": "object", "required": ["openapi", "info", "paths"]})
    return _operation("specify", "The API as you may use it for a purpose", found, _STATED) | {"parameters": _STATEMENT}


def _describe(components: Components) -> Schema:
    named = {"resource": {"type": "string"}}
    words = {"type": "array", "items": {"type": "string"}}
    asked = {"values": {"type": "string"}, "operators": words, "form": {"type": "string"}}
    fields = {"type": "object", "additionalProperties": opened(asked, required=("values", "operators"))}
    permitted = opened(
        {
            **named,
            "decision": {"const": "permit"},
            "fields": fields,
            "related": {"type": "object", "additionalProperties": fields},
            "named": {"type": "array", "items": {"enum": ["family", "given", "born"]}},
            "view": reference("View"),
        },
        required=("resource", "decision", "fields", "related", "named", "view"),
    )
    denied = opened(
        {
            **named,
            "decision": {"const": "deny"},
            "code": {"type": "string"},
            "reasons": {"type": "array", "items": reference("Reason")},
        },
        required=("resource", "decision", "code", "reasons"),
    )
    told = components.put("Resource", {"oneOf": [permitted, denied]})
    schema = opened(
        {"purpose": {"type": "string"}, "resources": {"type": "array", "items": told}, "policy": reference("Policy")},
        required=("purpose", "resources", "policy"),
    )
    found = answer.answer("What you may see of every resource, and why no more.", schema)
    return _operation("describe", "Your views in words", found, _STATED) | {"parameters": _STATEMENT}


def _search(resource: Resource, view: View, components: Components) -> Schema:
    found = answer.answer("A page of records.", answer.page(resource, view, components))
    found["links"] = {
        "record": {"operationId": f"read_{resource.name}", "parameters": {"id": "$response.body#/records/0/id"}}
    }
    asked = {
        "required": True,
        "content": {
            "application/json": {
                "schema": components.put(f"{resource.name}.search", question.body(resource, view, components)),
                "examples": question.examples(resource, view),
            }
        },
    }
    codes = (*_STATED, *_DECIDED, *_ASKED)
    operation = _operation(f"search_{resource.name}", f"Search {resource.name}", found, codes)
    return operation | {"parameters": _STATEMENT, "requestBody": asked}


def _lookup(resource: Resource, view: View, components: Components) -> Schema:
    found = answer.answer("One record.", answer.one(resource, view, components))
    codes = (*_STATED, *_DECIDED, Code.RECORD_NOT_FOUND, Code.ROUTE_UNKNOWN)
    operation = _operation(f"read_{resource.name}", f"One record of {resource.name} by its id", found, codes)
    return operation | {"parameters": [_id("The opaque id of a record.", reference("Id")), *_STATEMENT]}


def _receipt() -> Schema:
    found = answer.answer(
        "A proof that the entry is in the log's tree (C2SP tlog-proof).", {"type": "string"}, "text/plain"
    )
    codes = (*_NO_PARAMETERS, Code.TOO_LARGE, Code.ENTRY_NOT_FOUND, Code.ENTRY_NOT_SEALED, Code.ROUTE_UNKNOWN)
    operation = _operation("receipt", "The receipt of an entry of your own", found, codes)
    return operation | {"parameters": [_id("The Log-Entry of an answer.", _ENTRY)]}


def _notices(components: Components) -> Schema:
    day = {"type": "string", "format": "date"}
    notice = components.put(
        "Notice",
        opened(
            {
                "id": _ENTRY,
                "kind": {"enum": list(KINDS)},
                "resource": {"type": "string"},
                "ids": {"type": "object", "additionalProperties": {"type": "array", "items": reference("Id")}},
                "owed_since": day,
                "due": day,
            },
            required=("id", "kind", "resource", "ids", "owed_since", "due"),
        ),
    )
    schema = opened(
        {"notices": {"type": "array", "items": notice, "maxItems": MOST}, "more": {"type": "boolean"}},
        required=("notices", "more"),
    )
    found = answer.answer("What you are owed to hear, the most urgent first.", schema)
    found["links"] = {
        "acknowledge": {"operationId": "acknowledge", "parameters": {"id": "$response.body#/notices/0/id"}}
    }
    return _operation("notices", "Records of yours that changed", found, (*_NO_PARAMETERS, Code.TOO_LARGE))


def _acknowledge() -> Schema:
    members = {"id": _ENTRY, "state": {"const": "acknowledged"}}
    found = answer.answer("You have acted on it.", opened(members, required=("id", "state")))
    codes = (*_NO_PARAMETERS, Code.TOO_LARGE, Code.NOTICE_NOT_FOUND, Code.ROUTE_UNKNOWN)
    operation = _operation("acknowledge", "Say that you have acted on a notice", found, codes)
    return operation | {"parameters": [_id("The id of a notice.", _ENTRY)]}


def _id(description: str, schema: Schema) -> Schema:
    return {"name": "id", "in": "path", "description": description, "required": True, "schema": schema}
