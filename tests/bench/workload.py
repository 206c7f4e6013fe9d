"""What is asked: three requests, each as a call of the gateway, a call of the bare endpoint, and a SELECT."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from gateway.access import AccessRequest, Action, AllOf, Compare, Search, SortKey, Subject
from gateway.opaque import Holder, Ids
from gateway.plan.planner import Plan, Planner
from gateway.plan.statement import Statement
from gateway.policy.bundle import Bundle
from gateway.policy.compose import Deny
from gateway.policy.decide import decide
from gateway.policy.tables import Dialect, Parameter
from gateway.policy.view import View

RESOURCE = "arrests"
PAGE = 50
# With the page's fifty, fewer persons than the shipped policy lets an agreement see in a day: the settlement
# counts the day's marks, so that more would measure a day that can't be.
VARIED = 400

_CHOSEN = """
    SELECT arrest_id, family_name, given_name FROM arrest JOIN person USING (person_id)
    WHERE record_status = 'active' ORDER BY md5(arrest_id::text) LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request without its headers."""

    path: str
    body: bytes | None = None

    def written(self, headers: Mapping[str, str]) -> bytes:
        """Return the bytes to send."""
        method = "GET" if self.body is None else "POST"
        stated = {"Host": "127.0.0.1", **headers}
        if self.body is not None:
            stated |= {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        lines = [f"{method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in stated.items())]
        return "\r\n".join([*lines, "", ""]).encode() + (self.body or b"")


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request, varied: calls of both contenders, and the parameters of the SELECT."""

    name: str
    title: str
    statement: Statement
    parameters: tuple[Mapping[str, Parameter], ...]
    gateway: tuple[Call, ...]
    bare: tuple[Call, ...]


def workloads(
    bundle: Bundle, subject: Subject, purpose: str, ids: Ids, arrests: psycopg.Connection
) -> tuple[Workload, ...]:
    """Plan the three requests as the gateway plans them for a subject today."""
    view = _view(bundle, subject, purpose)
    planner = Planner(bundle.catalogue.resources[RESOURCE], Dialect.POSTGRESQL)
    chosen = arrests.execute(_CHOSEN, [VARIED]).fetchall()
    holder = Holder(subject.client, purpose, RESOURCE)
    names = [(family, given) for _, family, given in chosen]
    return (
        _by_name(planner, view, purpose, names),
        _page(planner, view, purpose),
        _by_id(planner, view, [(key, ids.conceal(key, holder)) for key, _, _ in chosen]),
    )


def _view(bundle: Bundle, subject: Subject, purpose: str) -> View:
    decision = decide(AccessRequest(subject, Action.READ, RESOURCE, purpose, datetime.now(UTC)), bundle)
    if isinstance(decision, Deny) or decision.view.needs_instruments():
        raise RuntimeError("the policy does not let the benchmark's client read without a warrant")
    return decision.view


def _by_name(planner: Planner, view: View, purpose: str, names: Sequence[tuple[str, str]]) -> Workload:
    plans = []
    calls = []
    for family, given in names:
        both = AllOf((Compare("family_name", "eq", family), Compare("given_name", "eq", given)))
        search = Search(RESOURCE, purpose, None, both, (), (), PAGE, None)
        plans.append(planner.search(view, search, (), None))
        calls.append(_search({"filter": {"family_name": {"eq": family}, "given_name": {"eq": given}}}))
    return _workload("name", "a name looked up", plans, calls, calls)


def _page(planner: Planner, view: View, purpose: str) -> Workload:
    search = Search(RESOURCE, purpose, None, None, (SortKey("arrested_at", True),), (), PAGE, None)
    calls = [_search({"sort": ["-arrested_at"], "limit": PAGE})]
    return _workload("page", f"a page of {PAGE} with charges", [planner.search(view, search, (), None)], calls, calls)


def _by_id(planner: Planner, view: View, ids: Sequence[tuple[int, str]]) -> Workload:
    plans = [planner.lookup(view, key, ()) for key, _ in ids]
    opaque = [Call(f"/v1/{RESOURCE}/{identifier}") for _, identifier in ids]
    plain = [Call(f"/v1/{RESOURCE}/{key}") for key, _ in ids]
    return _workload("record", "one record by id", plans, opaque, plain)


def _search(body: Mapping[str, object]) -> Call:
    return Call(f"/v1/{RESOURCE}/search", json.dumps(body).encode())


def _workload(name: str, title: str, plans: Sequence[Plan], gateway: Sequence[Call], bare: Sequence[Call]) -> Workload:
    parameters = tuple(plan.parameters for plan in plans)
    return Workload(name, title, plans[0].statement, parameters, tuple(gateway), tuple(bare))
