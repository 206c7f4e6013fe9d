"""Describes policy documents to an editor: a JSON Schema with what may stand where, and what it means.

It is made of the loader's own keys and words, and of the catalogue. The loader does not use it, and checks more.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.access import Action
from gateway.catalogue import Catalogue, Resource
from gateway.policy import masks
from gateway.policy.cel_types import SUBJECT_FIELDS
from gateway.policy.document import (
    AUTHORITY,
    BUDGET,
    DENY,
    DOCUMENT,
    EFFECTIVE,
    OBLIGATION,
    PERMIT,
    Keys,
    Status,
    Unit,
)
from gateway.policy.lists import CONFIDENCE

Schema = dict[str, Any]

_STATUS = {
    Status.HISTORICAL: "It was in force in its time; it counts on its days.",
    Status.IN_FORCE: "It is in force; it counts on its days.",
    Status.PROPOSED: "It was never in force; it counts only where it is named.",
}
_ACTION = {
    Action.READ: "Reading records. Only this operation shows fields.",
    Action.RELEASE_NOTICE: "Telling the agency that a person will be released.",
    Action.DETAINER_HOLD: "Holding a person for the agency beyond the time of release.",
}
_UNIT = {Unit.DAY: "The calendar day of the city, from midnight to midnight."}
_FUNCTIONS = (
    'Operators: == != < <= > >=, in [...], in lists.NAME, startsWith("..."), has(...), exists(x, ...), all(x, ...), '
    "&&, ||, !. Days: today, days_ago(30), midnight(today) for timestamps, years_between(from, to) >= 18."
)
_STRICT = (
    "A comparison with a value that is missing is unknown, and so is its contrary: a permit counts where the condition "
    "is true, a denial where it is not false. Only has(...) asks whether something is there."
)


def schema(catalogue: Catalogue, lists: Iterable[str]) -> Schema:
    """Return the schema of the documents that fit a catalogue and lists of these names."""
    words = ", ".join(f"lists.{name.replace('-', '_')}" for name in sorted(lists)) or "none"
    resources = catalogue.resources.values()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Policy document for the catalogue {catalogue.name}",
        "description": "One policy with its rules. What no rule permits is denied.",
        **_mapping(DOCUMENT, _DOCUMENT),
        "$defs": {
            "rule": {
                "type": "object",
                "if": {"required": ["permit"]},
                "then": {"$ref": "#/$defs/permit"},
                "else": {"$ref": "#/$defs/deny"},
            },
            "permit": {
                **_mapping(PERMIT, _PERMIT | _common(catalogue)),
                "allOf": [
                    *(_of_resource(resource, catalogue, words, "show") for resource in resources),
                    _if_reads("permit", {"anyOf": [{"required": [key]} for key in ("show", "mask", "pointer")]}),
                ],
            },
            "deny": {
                **_mapping(DENY, _DENY | _common(catalogue)),
                "allOf": [
                    *(_of_resource(resource, catalogue, words, "fields") for resource in resources),
                    _if_reads("deny", {}),
                ],
            },
        },
    }


# --- what stands under each key ---------------------------------------------------------------------------------


def _text(description: str) -> Schema:
    # The loader reads every scalar as it is written; YAML takes an unquoted 2014 for a number.
    return {"description": description, "type": ["string", "number", "boolean"], "pattern": r"\S"}


def _condition(description: str) -> Schema:
    return {"description": description, "type": ["string", "boolean"], "pattern": r"\S"}


def _day(description: str) -> Schema:
    return {
        "description": description,
        "type": "string",
        "format": "date",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": items}


def _words(description: str, words: Mapping[Any, str]) -> Schema:
    """Describe a closed vocabulary, each word with its meaning."""
    return {
        "description": description,
        "anyOf": [{"const": str(word), "description": meaning} for word, meaning in words.items()],
    }


def _mapping(keys: Keys, described: Mapping[str, Schema]) -> Schema:
    """Describe a mapping by the loader's own keys; each of them has its words here."""
    return {
        "type": "object",
        "required": list(keys.required),
        "additionalProperties": False,
        "properties": {key: described[key] for key in (*keys.required, *keys.optional)},
    }


_AUTHORITY = {
    "instrument": _text("The order, statute or agreement, with section and date; or that there is none."),
    "source": _text("Where its text, or the report of it, was read."),
    "confidence": {
        "description": "How sure it is that the source says this. Every answer says it too.",
        "enum": list(CONFIDENCE),
    },
    "interpretation": _text("What had to be read into the source, and what is assumed."),
}
_EFFECTIVE = {
    "from": _day("The first day on which the policy counts."),
    "until": _day("The first day on which it counts no more. Left out: it has no end."),
}
_OBLIGATION = {
    "persons": {
        "description": "How many persons an agency may see under its agreement; where none shows, how many records.",
        **_mapping(
            BUDGET,
            {
                "at-most": {
                    "description": "The number. What would exceed it is refused whole.",
                    "type": "integer",
                    "minimum": 1,
                },
                "per": _words("In which span.", _UNIT),
            },
        ),
    },
    "notice": _text("A sentence that is told with every answer."),
    "report": _text("A word that marks the log's entries, so that they can be reported on."),
}
_DOCUMENT = {
    "policy": _text("The name of this policy. It is also the name of the file, without .yaml."),
    "title": _text("What the policy does, in a few words."),
    "status": _words("Whether this was ever law here.", _STATUS),
    "authority": {
        "description": "What the policy stands on. It is told with every answer that the policy decides.",
        **_mapping(AUTHORITY, _AUTHORITY),
    },
    "effective": {
        "description": "On which days the policy counts, by the city's calendar.",
        **_mapping(EFFECTIVE, _EFFECTIVE),
    },
    "subjects": _condition(
        "To whom the policy applies. true: to every agency. Can ask: "
        f"{', '.join(f'subject.{name}' for name in SUBJECT_FIELDS)}, by ==, != and in."
    ),
    "rules": {
        "description": "The permits and denials. A denial always wins over a permit.",
        **_list({"$ref": "#/$defs/rule"}),
    },
    "replaces": {
        "description": "The names of policies that do not count, for anyone, while this one does.",
        **_list(_text("The name of another policy.")),
    },
    "obligations": {
        "description": "What goes with every permit of this policy.",
        **_list(
            {
                "minProperties": 1,
                "maxProperties": 1,
                **_mapping(OBLIGATION, _OBLIGATION),
            }
        ),
    },
}
_PERMIT = {
    "permit": _words("What is permitted.", _ACTION),
    "pointer": _text(
        "The office to be asked. Of a record that only such permits open, no more is told than that it is there."
    ),
    "certification": _text(
        "The text that the agency must have certified by a signature, for the purpose; else the permit does not count."
    ),
}
_DENY = {"deny": _words("What is denied.", _ACTION)}


def _common(catalogue: Catalogue) -> dict[str, Schema]:
    """Describe what permits and denials have alike; the keys that speak of fields are told for each resource."""
    return {
        "id": _text("The rule's name within this policy. Answers and the log name it."),
        "resource": {"description": "The kind of record.", "enum": list(catalogue.resources)},
        "because": _text("The reason, in words that the agency is told."),
        "purposes": {
            "description": "For which purposes the rule counts. Left out: for all.",
            **_list(_words("A purpose.", catalogue.purposes)),
        },
        **{key: {} for key in ("rows", "show", "fields", "mask")},
    }


def _of_resource(resource: Resource, catalogue: Catalogue, words: str, key: str) -> Schema:
    """Describe what a rule says of one resource: `show` of a permit, `fields` of a denial."""
    told = {
        "show": "What is shown: classes, relations or single fields. All else is withheld.",
        "fields": "What is withheld: classes, relations or single fields. Without this and mask, whole records are.",
    }
    coarsened = {
        "show": "Fields that are shown in a less precise form only.",
        "fields": "Fields of which no more than a less precise form is shown, whatever permits say.",
    }
    forms = {path: accepted for path, field in resource.paths() if (accepted := masks.words(path, field))}
    return {
        "if": {"properties": {"resource": {"const": resource.name}}, "required": ["resource"]},
        "then": {
            "properties": {
                "rows": _condition(
                    f"Which records the rule is about. Left out: all. {_STRICT} {_FUNCTIONS} "
                    f"Fields: {_fields(resource)}. Lists: {words}. Warrants: instruments.exists(i, i.person == "
                    'record.person && i.kind == "judicial"), which may ask i.signer too.'
                ),
                key: {"description": told[key], **_list(_words("What is meant.", _vocabulary(resource, catalogue)))},
                "mask": {
                    "description": coarsened[key],
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        path: {"description": f"How {path} is shown.", "enum": list(accepted)}
                        for path, accepted in forms.items()
                    },
                },
            }
        },
    }


def _vocabulary(resource: Resource, catalogue: Catalogue) -> dict[str, str]:
    """Return all that fields can be named by; a class comes before a relation or field of the same name."""
    paths = {path: f"A field of the class {field.sensitivity}." for path, field in resource.paths()}
    relations = dict.fromkeys(resource.relations, "A relation, with all its fields.")
    return paths | relations | {name: f"{meaning} (a class of fields)." for name, meaning in catalogue.classes.items()}


def _fields(resource: Resource) -> str:
    """List what a condition can ask of a record."""
    own = [f"record.{name} ({field.domain.kind})" for name, field in resource.fields.items()]
    for relation in resource.relations.values():
        before = f"record.{relation.name}.exists(x, x." if relation.many else f"record.{relation.name}."
        after = " ...)" if relation.many else ""
        own += [f"{before}{name}{after} ({field.domain.kind})" for name, field in relation.fields.items()]
    return ", ".join(own)


def _if_reads(key: str, then: Schema) -> Schema:
    """Describe what goes with reading only."""
    keys = (PERMIT if key == "permit" else DENY).optional
    shown = [name for name in ("show", "fields", "mask", "pointer") if name in keys]
    return {
        "if": {"properties": {key: {"const": Action.READ.value}}},
        "then": then,
        "else": {"properties": dict.fromkeys(shown, False)},
    }
