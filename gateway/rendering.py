"""Renders rows of the view to the bytes of an answer's body."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from gateway.catalogue import Resource
from gateway.domains import Kind, Scalar
from gateway.errors import Reason
from gateway.opaque import Holder, Ids
from gateway.plan.shape import name_parts, operators, related_paths, scalar_paths
from gateway.policy.compose import Deny, Permit
from gateway.policy.view import Standing, View
from gateway.records.query import Row

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Policy:
    """Which policy an answer stands on, and what it obliges the client to; `as_of` is set in a rehearsal only."""

    bundle: str
    rules: tuple[str, ...]
    notices: tuple[str, ...]
    as_of: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows to be shown, of the fields that were asked for, and the cursor to the next ones."""

    rows: tuple[Row, ...]
    fields: tuple[str, ...]
    next: str | None


class Renderer:
    """Renders the records of one resource for one client and purpose."""

    def __init__(self, ids: Ids, resource: Resource, client: str, purpose: str) -> None:
        self._ids = ids
        self._resource = resource
        self._record = Holder(client, purpose, resource.name)
        self._person = Holder(client, purpose, "person")
        self._keys = tuple(name for name, f in resource.fields.items() if f.domain.kind is Kind.KEY)

    def search(self, page: Page, permit: Permit, policy: Policy) -> bytes:
        """Render a page."""
        related = self._related(page.fields, permit.view)
        return _ENCODER.encode(
            {
                "resource": self._resource.name,
                "records": [self._of(row, page.fields, related, permit.view) for row in page.rows],
                "next": page.next,
                "view": _view(self._resource, permit.view),
                "policy": policy,
            }
        )

    def lookup(self, row: Row, fields: tuple[str, ...], permit: Permit, policy: Policy) -> bytes:
        """Render one record."""
        return _ENCODER.encode(
            {
                "resource": self._resource.name,
                "record": self._of(row, fields, self._related(fields, permit.view), permit.view),
                "view": _view(self._resource, permit.view),
                "policy": policy,
            }
        )

    def _related(self, fields: tuple[str, ...], view: View) -> dict[str, dict[str, str]]:
        """Return which fields of which relations to many were asked for, as a whole or one by one, with their paths."""
        every = related_paths(self._resource, view)
        paths = {relation: {name: f"{relation}.{name}" for name in names} for relation, names in every.items()}
        return {
            relation: {name: path for name, path in named.items() if relation in fields or path in fields}
            for relation, named in paths.items()
        }

    def _of(self, row: Row, fields: tuple[str, ...], related: dict[str, dict[str, str]], view: View) -> dict[str, Any]:
        """Render a record: null is null; what is withheld is not there.

        What is withheld from every record is named in the answer's `view`; what depends on the record, in its own
        `redacted`, with the rule that says so.
        """
        record: dict[str, Any] = {"id": self._ids.conceal(row.key, self._record)}
        outcomes = {path: view.cells[path].steps[number].outcome for path, number in row.states.items()}
        withheld = {path for path, outcome in outcomes.items() if outcome.standing is Standing.WITHHELD}
        for path, relation, name, is_key in _layout_of(self._keys, fields):
            if path in withheld or path in row.related or relation in row.related:
                continue
            if not relation:
                value = self._told(path, row.cells[path], row, view)
                record[name] = self._ids.conceal(value, self._person) if is_key and isinstance(value, int) else value
            elif row.present[relation]:
                record.setdefault(relation, {})[name] = self._told(path, row.cells[path], row, view)
            else:
                record[relation] = None
        for relation in row.related:
            self._put_related(record, relation, related[relation], row, withheld, view)
        redacted = {path: o.reason.rule for path, o in outcomes.items() if o.standing is not Standing.SHOWN}
        if redacted:
            record["redacted"] = redacted
        if row.pointer:
            pointer = view.pointers[row.pointer - 1]
            record["pointer"] = {"ask": pointer.ask, "rule": pointer.reason.rule}
        defects = [path for path in row.defects if path.split(".")[0] in record]
        if defects:
            record["source_defects"] = defects
        return record

    def _put_related(
        self, record: dict[str, Any], relation: str, paths: dict[str, str], row: Row, withheld: set[str], view: View
    ) -> None:
        """Put the related rows into a record, unless every field is withheld: how many there are is not told then."""
        rows = row.related[relation]
        shown = {name: path for name, path in paths.items() if path not in withheld}
        if not shown:
            return
        if rows is None or (shown == paths and not view.pseudonyms):
            record[relation] = rows
        else:
            record[relation] = [
                {name: self._told(path, each[name], row, view) for name, path in shown.items()} for each in rows
            ]

    def _told(self, path: str, value: Scalar | None, row: Row, view: View) -> Scalar | None:
        """Tell a value, or the pseudonym that stands for it."""
        if path not in view.pseudonyms or not isinstance(value, str):
            return value
        number = row.states.get(path, -1)
        if view.cells[path].steps[number].outcome.standing is Standing.SHOWN:
            return value
        return self._ids.pseudonym(
            value, Holder(self._record.client, self._record.purpose, f"{self._resource.name}.{path}")
        )


@lru_cache(maxsize=512)
def _layout_of(keys: tuple[str, ...], fields: tuple[str, ...]) -> tuple[tuple[str, str, str, bool], ...]:
    """Say of each field its relation, its name, and whether it is a key, which is shown as an opaque id."""
    parted = ((path, *path.rpartition(".")[::2]) for path in fields)
    return tuple((path, relation, name, path in keys) for path, relation, name in parted)


@lru_cache(maxsize=512)
def _view_json(paths: tuple[str, ...], view: View) -> bytes:
    ordered = [path for path in paths if path in view.cells]
    return _ENCODER.encode(
        {
            "shown": [path for path in ordered if path in view.shown],
            "masked": {path: _form(view, path) for path in ordered if path in view.masked},
            "varying": {path: _varying(view, path) for path in ordered if path in view.varying},
            "withheld": {path: _reason(view.withheld[path]) for path in paths if path in view.withheld},
        }
    )


def _form(view: View, path: str) -> dict[str, str]:
    cell = view.cells[path]
    form = {} if cell.mask is None else {"form": cell.mask.name}
    return form | _reason(cell.steps[-1].outcome.reason)


def _varying(view: View, path: str) -> list[dict[str, str]]:
    """List how a field can stand in a record, and by which rules; what stands there for it says which it was."""
    cell = view.cells[path]
    told = []
    for step in cell.steps:
        masked = step.outcome.standing is Standing.MASKED and cell.mask is not None
        form = {"form": cell.mask.name} if masked and cell.mask is not None else {}
        told.append({"standing": step.outcome.standing.value} | form | _reason(step.outcome.reason))
    return told


def _view(resource: Resource, view: View) -> msgspec.Raw:
    return msgspec.Raw(_view_json(tuple(path for path, _ in resource.paths()), view))


def _reason(reason: Reason) -> dict[str, str]:
    return {"rule": reason.rule, "basis": reason.basis, "because": reason.because}


def describe(resources: Mapping[str, tuple[Resource, Permit | Deny]], purpose: str, policy: Policy) -> bytes:
    """Render what a client may see of every resource."""
    described = [_described(resource, decision) for resource, decision in resources.values()]
    return _ENCODER.encode({"purpose": purpose, "resources": described, "policy": policy})


def _described(resource: Resource, decision: Permit | Deny) -> dict[str, Any]:
    if isinstance(decision, Deny):
        reasons = [_reason(reason) for reason in decision.reasons]
        return {
            "resource": resource.name,
            "decision": "deny",
            "code": decision.code.value,
            "reasons": reasons,
        }
    view = decision.view
    return {
        "resource": resource.name,
        "decision": "permit",
        "fields": {path: _asked_by(resource, view, path) for path in scalar_paths(resource, view)},
        "related": {
            relation: {name: _asked_by(resource, view, f"{relation}.{name}") for name in names}
            for relation, names in related_paths(resource, view).items()
        },
        "named": sorted(name_parts(resource, view)),
        "view": _view(resource, view),
    }


def _asked_by(resource: Resource, view: View, path: str) -> dict[str, Any]:
    """Say which values a field of the view has, in which form, and how they can be compared."""
    cell = view.cells[path]
    domain = resource.field(path).domain if cell.mask is None else cell.mask.domain(resource)
    form = {} if cell.mask is None else {"form": cell.mask.name}
    return {"values": domain.describe(), "operators": sorted(operators(domain))} | form
