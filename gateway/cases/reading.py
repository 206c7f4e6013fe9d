"""The record-side reading of a view: what an answer must hold of a record, judged by the evaluator without any SQL."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from gateway.cases.body import Pseudonym
from gateway.cases.document import Case
from gateway.cases.record import NamedRecord, Values
from gateway.catalogue import Relation
from gateway.policy.evaluate import Facts
from gateway.policy.view import Standing, View, cell_value, pointed


def reading(view: View, record: NamedRecord, case: Case) -> dict[str, Any]:
    """Return a visible record as the JSON of an answer must have it, with plain keys and with texts for pseudonyms."""
    facts, told, redacted = record.facts(case.instruments), dict[str, Any](), dict[str, str]()
    for path, _ in case.resource.paths():
        if path not in view.cells:
            continue
        outcome = view.cells[path].outcome(facts)
        if path in view.varying and outcome.standing is not Standing.SHOWN:
            redacted[path] = outcome.reason.rule
        if outcome.standing is not Standing.WITHHELD:
            _put(told, path, view, facts, record, case)
    pointer = pointed(view, facts)
    if redacted:
        told["redacted"] = redacted
    if pointer is not None:
        told["pointer"] = {"ask": pointer.ask, "rule": pointer.reason.rule}
    return told


def _put(told: dict[str, Any], path: str, view: View, facts: Facts, record: NamedRecord, case: Case) -> None:
    relation, _, name = path.rpartition(".")
    if not relation:
        told[name] = _value(view, path, facts, record.values, case)
    elif relation in record.many:
        rows = _in_order(record.many[relation], case.resource.relations[relation], view)
        for row, source in zip(told.setdefault(relation, [{} for _ in rows]), rows, strict=True):
            row[name] = _value(view, path, facts, source, case)
    else:
        owner = record.ones[relation]
        if owner is None:
            told[relation] = None
        else:
            told.setdefault(relation, {})[name] = _value(view, path, facts, owner, case)


def _value(view: View, path: str, facts: Facts, owner: Mapping[str, object], case: Case) -> object:
    outcome, value = cell_value(view, path, facts, owner, case.resource.zone)
    match value:
        case str() if path in view.pseudonyms and outcome.standing is Standing.MASKED:
            return Pseudonym(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case _:
            return value


def _in_order(rows: tuple[Values, ...], relation: Relation, view: View) -> list[Values]:
    """Put related rows into the catalogue's order, nulls last, if every record shows it; else as the file has them."""
    ordering = (relation.table, relation.order)
    fields = (f.name for f in relation.fields.values() if (f.column.table, f.column.name) == ordering)
    by = [name for name in fields if f"{relation.name}.{name}" in view.shown]
    return sorted(rows, key=lambda row: tuple((row[name] is None, row[name]) for name in by[:1]))
