"""The answer to a case that reads: the bytes that a client would get, and what they hold of each record."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.access import Search
from gateway.cases.body import Body, answered
from gateway.cases.database import database
from gateway.cases.document import Case
from gateway.domains import Kind
from gateway.opaque import Holder, Ids
from gateway.plan.planner import Planner
from gateway.policy.bundle import Bundle
from gateway.policy.compose import Permit
from gateway.policy.tables import Dialect
from gateway.rendering import Page, Policy, Renderer

_IDS_KEY_BYTES = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """How often the answer holds each record, by name; the records as the JSON has them; bodies to be compared."""

    times: Mapping[str, int]
    records: Mapping[str, Mapping[str, Any]]
    bodies: Mapping[str, Body]


def answer(case: Case, permit: Permit, bundle: Bundle) -> Answer:
    """Plan, query and render, over a database that holds the case's records alone; then read the bytes."""
    search = Search(case.resource.name, case.purpose, None, None, (), (), len(case.given), None)
    plan = Planner(case.resource, Dialect.SQLITE).search(permit.view, search, case.instruments, None)
    with database(case.resource, case.given) as (records, names):
        rows = records.query(plan)
    ids = Ids(os.urandom(_IDS_KEY_BYTES))
    renderer = Renderer(ids, case.resource, case.subject.client, case.purpose)
    content = renderer.search(Page(rows, plan.fields, None), permit, Policy(bundle.digest, permit.rules, (), None))
    holder = Holder(case.subject.client, case.purpose, case.resource.name)
    answers = msgspec.json.decode(content)["records"]
    shown = [(names[ids.reveal(record.pop("id"), holder)], record) for record in answers]
    return Answer(
        times=Counter(name for name, _ in shown),
        records=dict(shown),
        bodies={name: _body(record, case, ids) for name, record in shown},
    )


def _body(record: Mapping[str, Any], case: Case, ids: Ids) -> Body:
    """Read persons by the numbers that the case gives them."""
    holder = Holder(case.subject.client, case.purpose, "person")
    opaque = [name for name, field in case.resource.fields.items() if field.domain.kind is Kind.KEY]
    keys = {name: ids.reveal(record[name], holder) for name in opaque if isinstance(record.get(name), str)}
    return answered(record, keys, case.resource)
