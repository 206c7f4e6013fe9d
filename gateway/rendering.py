"""Renders rows of the view to the bytes of an answer's body."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from gateway.catalogue import Kind, Resource
from gateway.errors import Reason
from gateway.opaque import Holder, Ids
from gateway.plan.shape import operators, related_paths, scalar_paths, view_domain
from gateway.policy.decide import Deny, Permit, View
from gateway.records.query import Row

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Policy:
    """Which policy an answer stands on; `as_of` is set in a rehearsal only."""

    bundle: str
    rules: tuple[str, ...]
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

    def search(self, page: Page, permit: Permit, policy: Policy) -> bytes:
        """Render a page."""
        return _ENCODER.encode(
            {
                "resource": self._resource.name,
                "records": [self._of(row, page.fields) for row in page.rows],
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
                "record": self._of(row, fields),
                "view": _view(self._resource, permit.view),
                "policy": policy,
            }
        )

    def _of(self, row: Row, fields: tuple[str, ...]) -> dict[str, Any]:
        """Render a record: null is null; what is withheld is not there, and is named in the answer's `view`."""
        record: dict[str, Any] = {"id": self._ids.conceal(row.key, self._record)}
        for path, relation, name, is_key in _layout(self._resource, fields):
            if path in row.related:
                record[path] = row.related[path]
            elif not relation:
                value = row.cells[path]
                record[name] = self._ids.conceal(value, self._person) if is_key and isinstance(value, int) else value
            elif row.present[relation]:
                record.setdefault(relation, {})[name] = row.cells[path]
            else:
                record[relation] = None
        if row.defects:
            record["source_defects"] = [path for path in row.defects if path in fields or path.split(".")[0] in fields]
        return record


def _layout(resource: Resource, fields: tuple[str, ...]) -> tuple[tuple[str, str, str, bool], ...]:
    return _layout_of(tuple(name for name, f in resource.fields.items() if f.domain.kind is Kind.KEY), fields)


@lru_cache(maxsize=512)
def _layout_of(keys: tuple[str, ...], fields: tuple[str, ...]) -> tuple[tuple[str, str, str, bool], ...]:
    """Say of each field its relation, its name, and whether it is a key, which is shown as an opaque id."""
    parted = ((path, *path.rpartition(".")[::2]) for path in fields)
    return tuple((path, relation, name, path in keys) for path, relation, name in parted)


@lru_cache(maxsize=512)
def _view_json(resource_name: str, paths: tuple[str, ...], view: View) -> bytes:
    del resource_name  # part of the cache's key
    masked = {path: {"form": mask.value, **_reason(_masking(view))} for path, mask in sorted(view.masked.items())}
    withheld = {path: _reason(view.withheld[path]) for path in paths if path in view.withheld}
    shown = [path for path in paths if path in view.shown]
    return _ENCODER.encode({"shown": shown, "masked": masked, "withheld": withheld})


def _view(resource: Resource, view: View) -> msgspec.Raw:
    return msgspec.Raw(_view_json(resource.name, tuple(path for path, _ in resource.paths()), view))


def _masking(view: View) -> Reason:
    """Return the reason of the permit that masks: every permit of a view shows the same forms."""
    return view.reasons[view.permitting]


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
    fields = {}
    for path in scalar_paths(resource, view):
        domain = view_domain(resource, view, path)
        if domain is not None:
            fields[path] = {"values": domain.describe(), "operators": sorted(operators(domain))}
            if path in view.masked:
                fields[path]["form"] = view.masked[path].value
    return {
        "resource": resource.name,
        "decision": "permit",
        "fields": fields,
        "related": related_paths(resource, view),
        "view": _view(resource, view),
    }
