"""What is asked: requests of some kinds, as calls of each contender, and as a SELECT."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import psycopg

from gateway.access import AllOf, Compare, Filter, Named, Quantifier, Related, Search, SortKey
from gateway.catalogue import Resource
from gateway.opaque import Holder, Ids
from gateway.plan.folding import LEAD
from gateway.plan.planner import Plan, Planner
from gateway.plan.statement import Statement
from gateway.policy.sql import prefix_range
from gateway.policy.tables import Parameter
from gateway.policy.view import View
from tests.bench import postgraphile
from tests.bench.million import APART

RESOURCE, PURPOSE = "arrests", "criminal-investigation"
PAGE = 50
# Their persons are fewer than the policy lets an agreement see in a day.
VARIED, PREFIXES, LETTERS = 400, 20, 3
_PLEADED = "Guilty Plea/Nolo"

# Of the visible arrests, the same whatever the number of copies; a fortieth of all is looked through.
_CHOSEN = f"""
    WITH drawn AS MATERIALIZED (
        SELECT arrest_id FROM arrest WHERE arrest_id < %s AND hashint8(arrest_id) %% 40 = 0
    )
    SELECT arrest_id, family_name, given_name
    FROM drawn CROSS JOIN LATERAL (
        SELECT family_name, given_name FROM {postgraphile.SCHEMA}.{postgraphile.VIEW} AS shown
        WHERE shown.arrest_id = drawn.arrest_id OFFSET 0
    ) AS shown
    ORDER BY md5(arrest_id::text) LIMIT %s
"""


_FIRST = f"""
    SELECT 1 FROM {postgraphile.SCHEMA}.{postgraphile.VIEW} AS shown
    WHERE family_name >= %s AND family_name < %s AND arrest_id < %s LIMIT %s
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
    """One kind of request, varied: the calls of each contender, and the parameters of the SELECT.

    PostGraphile is asked nothing where it has no like of the request.
    """

    name: str
    title: str
    statement: Statement
    parameters: tuple[Mapping[str, Parameter], ...]
    gateway: tuple[Call, ...]
    bare: tuple[Call, ...]
    postgraphile: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for what: a client's view of a resource, and how it names records."""

    resource: Resource
    view: View
    client: str
    ids: Ids
    planner: Planner

    def search(self, asked: Filter | None, sort: tuple[SortKey, ...]) -> Plan:
        """Plan a page as the gateway plans it."""
        search = Search(self.resource.name, PURPOSE, None, asked, sort, (), PAGE, None)
        return self.planner.search(self.view, search, (), None)

    def page_of(self, text: str, variables: str, values: Mapping[str, object]) -> Call:
        """Ask PostGraphile for a page, with what a client needs for the next one."""
        shown = f"{{ nodes {{ {self.columns} }} pageInfo {{ hasNextPage endCursor }} }}"
        return _graphql(f"query{variables} {{ allArrests(first: {PAGE}, {text}) {shown} }}", values)

    @property
    def columns(self) -> str:
        """List what PostGraphile shows of a record."""
        return postgraphile.columns(self.resource, self.view)


def workloads(asking: Asking, arrests: psycopg.Connection, copies: int) -> tuple[Workload, ...]:
    """Plan the requests as the gateway plans them for a view; records are chosen among so many copies."""
    chosen = arrests.execute(_CHOSEN.encode(), [APART * copies, VARIED]).fetchall()
    if not chosen:
        raise RuntimeError("the policy lets the benchmark's client see nothing")
    starts = dict.fromkeys(family[:LETTERS] for _, family, _ in chosen)
    full = list(islice((start for start in starts if _is_full(arrests, start, APART * copies)), PREFIXES))
    # Of few arrests, as in a trial, no beginning may have a full page.
    full = full or list(starts)[:PREFIXES]
    return (
        _by_name(asking, [(family, given) for _, family, given in chosen]),
        _page(asking),
        _by_id(asking, [key for key, _, _ in chosen]),
        _by_prefix(asking, full),
        _by_start(asking, full),
        _named(asking, [(family, given) for _, family, given in chosen]),
        _by_charge(asking),
    )


def _is_full(arrests: psycopg.Connection, prefix: str, below: int) -> bool:
    """Whether a page of names that start with a prefix is full, of records that are in all sizes."""
    found = arrests.execute(_FIRST.encode(), [*prefix_range(prefix), below, PAGE]).fetchall()
    return len(found) == PAGE


def _by_name(asking: Asking, names: Sequence[tuple[str, str]]) -> Workload:
    plans, calls, graphql = [], [], []
    for family, given in names:
        both = AllOf((Compare("family_name", "eq", family), Compare("given_name", "eq", given)))
        plans.append(asking.search(both, ()))
        calls.append(_search({"filter": {"family_name": {"eq": family}, "given_name": {"eq": given}}}))
        condition = "condition: {familyName: $family, givenName: $given}, orderBy: [PRIMARY_KEY_ASC]"
        values = {"family": family, "given": given}
        graphql.append(asking.page_of(condition, "($family: String!, $given: String!)", values))
    return _workload("name", "a name looked up", plans, calls, graphql)


def _page(asking: Asking) -> Workload:
    plan = asking.search(None, (SortKey("arrested_at", True),))
    calls = [_search({"sort": ["-arrested_at"], "limit": PAGE})]
    graphql = [asking.page_of("orderBy: [ARRESTED_AT_DESC, PRIMARY_KEY_DESC]", "", {})]
    return _workload("page", f"a page of {PAGE} with charges", [plan], calls, graphql)


def _by_id(asking: Asking, keys: Sequence[int]) -> Workload:
    plans = [asking.planner.lookup(asking.view, key, ()) for key in keys]
    holder = Holder(asking.client, PURPOSE, asking.resource.name)
    opaque = [Call(f"/v1/{asking.resource.name}/{asking.ids.conceal(key, holder)}") for key in keys]
    text = f"query($key: BigInt!) {{ arrestByArrestId(arrestId: $key) {{ {asking.columns} }} }}"
    graphql = [_graphql(text, {"key": str(key)}) for key in keys]
    return _workload("record", "one record by id", plans, opaque, graphql)


def _by_prefix(asking: Asking, prefixes: Sequence[str]) -> Workload:
    plans, calls, graphql = [], [], []
    for prefix in prefixes:
        plans.append(asking.search(Compare("family_name", "prefix", prefix), (SortKey("family_name", False),)))
        calls.append(_search({"filter": {"family_name": {"prefix": prefix}}, "sort": ["family_name"], "limit": PAGE}))
        low, high = prefix_range(prefix)
        condition = (
            "filter: {familyName: {greaterThanOrEqualTo: $low, lessThan: $high}}, "
            "orderBy: [FAMILY_NAME_ASC, PRIMARY_KEY_ASC]"
        )
        graphql.append(asking.page_of(condition, "($low: String!, $high: String!)", {"low": low, "high": high}))
    return _workload("prefix", f"names that start with {LETTERS} letters", plans, calls, graphql)


# --- what PostGraphile has no like of over a view ---------------------------------------------------------------


def _by_start(asking: Asking, starts: Sequence[str]) -> Workload:
    plans, calls = [], []
    for start in (each.lower() for each in starts):
        plans.append(asking.search(Compare("family_name", "starts", start), (SortKey("family_name", False),)))
        calls.append(_search({"filter": {"family_name": {"starts": start}}, "sort": ["family_name"], "limit": PAGE}))
    return _workload("starts", f"names that start with {LETTERS} letters, case and accents aside", plans, calls, ())


def _named(asking: Asking, names: Sequence[tuple[str, str]]) -> Workload:
    plans, calls = [], []
    # The number of letters, up to some, is part of the statement.
    long = [(family.lower(), given.lower()) for family, given in names if min(len(family), len(given)) >= LEAD]
    for family, given in long:
        plans.append(asking.search(Named(family, given, None), ()))
        calls.append(_search({"filter": {"named": {"family": family, "given": given}}}))
    return _workload("named", "a person by both names in either order, case and accents aside", plans, calls, ())


def _by_charge(asking: Asking) -> Workload:
    pleaded = AllOf((Compare("grade", "eq", "F1"), Compare("outcome", "eq", _PLEADED)))
    asked = Related("charges", Quantifier.ANY, pleaded)
    plan = asking.search(asked, (SortKey("arrested_at", True),))
    charge = {"grade": {"eq": "F1"}, "outcome": {"eq": _PLEADED}}
    calls = [_search({"filter": {"charges": {"any": charge}}, "sort": ["-arrested_at"], "limit": PAGE})]
    return _workload("charge", f"a page of {PAGE} by what one of the charges is", [plan], calls, ())


def _search(body: Mapping[str, object]) -> Call:
    return Call(f"/v1/{RESOURCE}/search", json.dumps(body).encode())


def _graphql(text: str, variables: Mapping[str, object]) -> Call:
    return Call("/graphql", postgraphile.query(text, variables))


def _workload(
    name: str, title: str, plans: Sequence[Plan], gateway: Sequence[Call], graphql: Sequence[Call]
) -> Workload:
    statement = plans[0].statement
    if any(plan.statement is not statement for plan in plans):
        raise RuntimeError(f"not one statement: {title}")
    bare = tuple(_bare(name, plan) for plan in plans)
    return Workload(
        name, title, statement, tuple(plan.parameters for plan in plans), tuple(gateway), bare, tuple(graphql)
    )


def _bare(name: str, plan: Plan) -> Call:
    """Send the values of a statement that are not the policy's."""
    asked = {key: value for key, value in plan.parameters.items() if key not in plan.statement.constants}
    return Call(f"/{name}", json.dumps(asked, default=str).encode())
