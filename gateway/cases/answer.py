"""The answer to a case that reads: the bytes that a client would get, and what they hold of each record."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.access import Search
from gateway.cases.body import Body, Pseudonym, answered, flat, path_of, shown
from gateway.cases.database import database
from gateway.cases.document import Case
from gateway.domains import Kind
from gateway.keys import Ring
from gateway.opaque import Holder, Ids
from gateway.plan.planner import Planner
from gateway.policy.bundle import Bundle
from gateway.policy.compose import Permit
from gateway.policy.tables import Dialect
from gateway.rendering import Page, Policy, Renderer

_IDS_KEY_BYTES = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer holds: how often each record, by name; the records as its JSON has them, and as values by path.

    `values` have nulls, `bodies` none. In both, numbers and texts stand for opaque ids and pseudonyms.
    """

    times: Mapping[str, int]
    records: Mapping[str, Mapping[str, Any]]
    values: Mapping[str, Mapping[str, object]]
    bodies: Mapping[str, Body]
    notices: tuple[str, ...]


def answer(case: Case, permit: Permit, bundle: Bundle) -> Answer:
    """Plan, query and render, over a database that holds the case's records alone; then read the bytes."""
    search = Search(case.resource.name, case.purpose, None, None, (), (), len(case.given), None)
    plan = Planner(case.resource, Dialect.SQLITE).search(permit.view, search, case.instruments, None)
    with database(case.resource, case.given) as (records, names):
        rows = records.query(plan)
    ids = Ids(Ring({1: os.urandom(_IDS_KEY_BYTES)}))
    renderer = Renderer(ids, case.resource, case.subject.client, case.purpose)
    policy = Policy(bundle.digest, permit.rules, permit.notices, None)
    content = msgspec.json.decode(renderer.search(Page(rows, plan.fields, None), permit, policy))
    holder = Holder(case.subject.client, case.purpose, case.resource.name)
    told = [(names[ids.reveal(record.pop("id"), holder)], record) for record in content["records"]]
    behind = _behind(case, permit, ids)
    return Answer(
        times=Counter(name for name, _ in told),
        records=dict(told),
        values={name: _legible(flat(record), behind) for name, record in told},
        bodies={name: answered(_legible(shown(record), behind), case.resource) for name, record in told},
        notices=tuple(content["policy"]["notices"]),
    )


def _legible(values: Mapping[str, object], behind: Mapping[tuple[str, object], object]) -> dict[str, object]:
    """Put what stands behind opaque ids and pseudonyms into their place; what nothing stands behind is left."""
    return {path: behind.get((path_of(path), value), value) for path, value in values.items()}


def _behind(case: Case, permit: Permit, ids: Ids) -> dict[tuple[str, object], object]:
    """Tell, by path, which number or text of the given records stands behind which opaque id or pseudonym."""
    client, found = case.subject.client, dict[tuple[str, object], object]()
    person = Holder(client, case.purpose, "person")
    for name, field in case.resource.fields.items():
        if field.domain.kind is Kind.KEY:
            keys = [value for record in case.given if isinstance(value := record.values[name], int)]
            found |= {(name, ids.conceal(key, person)): key for key in keys}
    for path in permit.view.pseudonyms:
        texts = [value for record in case.given for value in record.at(path) if isinstance(value, str)]
        found |= {
            (path, ids.pseudonym(text, Holder(client, case.purpose, f"{case.resource.name}.{path}"))): Pseudonym(text)
            for text in texts
        }
    return found
