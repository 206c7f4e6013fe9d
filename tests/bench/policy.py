"""Measures what the policy costs as it grows: loading, deciding and planning, cells by row, comparing two policies."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import mean, median
from time import perf_counter

import psycopg
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app as composition
from gateway import keys as key_files
from gateway.access import AccessRequest, Action, Agreement, AllOf, Compare, Search, Subject
from gateway.comparison import Comparison
from gateway.identity.clients import Clients
from gateway.plan.planner import Plan, Planner
from gateway.policy.bundle import Bundle, load
from gateway.policy.check import check, load_checked
from gateway.policy.compose import Permit
from gateway.policy.decide import decide
from gateway.policy.tables import Dialect
from gateway.policy.view import View
from gateway.records.query import Records
from gateway.survey import Survey
from tests import world
from tests.bench.bundles import FIRST, copied, invented
from tests.services import Postgres

RESOURCE, PURPOSE = "arrests", "criminal-investigation"
DOCUMENTS = 20
TIMEOUT = 60
NAMES = 200
_DRAWN = """
    SELECT family_name, given_name FROM arrest JOIN person USING (person_id) ORDER BY md5(arrest_id::text) LIMIT %s
"""
_NODE = re.compile(r"^\s*(?:->\s+)?([A-Z][A-Za-z ]+?)(?: using (\w+))?(?: on (\w+)(?: \w+)?)?  \(cost", re.MULTILINE)
# An agency's name, its mission, its purposes.
_AGENCIES: Sequence[tuple[str, str, frozenset[str]]] = (
    ("FBI", "criminal-investigation", frozenset({PURPOSE, "national-security"})),
    ("DEA", "criminal-investigation", frozenset({PURPOSE})),
    ("USMS", "criminal-investigation", frozenset({PURPOSE})),
    ("USSS", "criminal-investigation", frozenset({PURPOSE, "national-security"})),
    ("USPIS", "criminal-investigation", frozenset({PURPOSE, "prosecution"})),
    ("PSP", "criminal-investigation", frozenset({PURPOSE})),
    ("NJSP", "criminal-investigation", frozenset({PURPOSE})),
    ("ATF", "firearms-regulation", frozenset({PURPOSE, "firearms-investigation"})),
    ("ICE", world.IMMIGRATION, frozenset({world.IMMIGRATION})),
    ("CBP", world.IMMIGRATION, frozenset({world.IMMIGRATION})),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure beside its aim."""

    what: str
    figure: str
    aim: str
    met: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """The figures that have an aim, and what else was seen."""

    aimed: tuple[Finding, ...]
    seen: tuple[str, ...]


def of_rules(root: Path, rules: int, seconds: float) -> Findings:
    """Measure loading, checking, deciding and planning with so many rules, beside ten."""
    many = invented(root / "many", rules, DOCUMENTS, seed=0)
    few = invented(root / "few", FIRST, 1, seed=0)
    # Three directories with other conditions, so that nothing kept from one serves another.
    others = [invented(root / f"other-{seed}", rules, DOCUMENTS, seed) for seed in (1, 2, 3)]
    checked = sorted((_checked(other) for other in others), key=sum)[1]
    loading = Finding(
        f"load and check {rules:,} rules in {DOCUMENTS} documents",
        f"{sum(checked):.1f} s: {checked[0]:.1f} to load, {checked[1]:.1f} to check",
        "under 5 s",
        sum(checked) < 5,
    )
    loaded = {"few": load(few), "many": load(many)}
    same = _deciding(f"{rules:,} rules loaded, {FIRST} of them apply", loaded, "A0", seconds)
    all_of_them = _deciding(f"{rules:,} rules loaded, all of them apply", loaded, "FBI", seconds)
    return Findings((loading, same[0], all_of_them[0]), (same[1], all_of_them[1]))


def _checked(root: Path) -> tuple[float, float]:
    began = perf_counter()
    bundle = load(root)
    loaded = perf_counter()
    check(bundle)
    return loaded - began, perf_counter() - loaded


def _deciding(what: str, bundles: dict[str, Bundle], agency: str, seconds: float) -> tuple[Finding, str]:
    agreement = world.agreement("client", agency)
    asking = {
        name: partial(_plan, bundle, Planner(bundle.catalogue.resources[RESOURCE], Dialect.POSTGRESQL), agreement)
        for name, bundle in bundles.items()
    }
    cold = {name: _timed(once) for name, once in asking.items()}
    statement = asking["many"]().statement
    warm = in_turns(asking["few"], asking["many"], seconds)
    more = (warm[1] - warm[0]) * 1e6
    figure = f"{more:+,.0f} µs ({warm[0] * 1e6:,.0f} µs with {FIRST}, {warm[1] * 1e6:,.0f} µs)"
    told = (
        f"{what}: the first request of a class takes {cold['many']:.2f} s to decide and plan "
        f"({cold['few']:.2f} s with {FIRST}), and its statement has {len(statement.sql):,} characters and "
        f"{len(statement.constants):,} values of the policy."
    )
    return Finding(f"decide and plan, {what}", figure, "at most 100 µs more", more <= 100), told


def _plan(bundle: Bundle, planner: Planner, agreement: Agreement) -> Plan:
    return planner.search(view_of(bundle, agreement), _lookup("NAME", "NAME"), (), None)


def of_cells(root: Path, url: str, arrests: int, seconds: float) -> Findings:
    """Measure a name looked up under a policy with cells by row, beside one without."""
    views = []
    for name in ("plain", "by-row"):
        bundle = load_checked(copied(root, name))
        views.append(view_of(bundle, world.agreement("client", "FBI")))
    planner = Planner(bundle.catalogue.resources[RESOURCE], Dialect.POSTGRESQL)
    with psycopg.connect(url) as connection:
        names = connection.execute(_DRAWN, [NAMES]).fetchall()
    records = Records(url, TIMEOUT)
    plain, by_row = [[planner.search(view, _lookup(*name), (), None) for name in names] for view in views]
    shown = [mean(len(records.query(plan)) for plan in plans) for plans in (plain, by_row)]
    turns = [partial(_next, records, cycle(plans)) for plans in (plain, by_row)]
    times = in_turns(turns[0], turns[1], seconds)
    nodes = [_nodes(records.explained(plans[0])) for plans in (plain, by_row)]
    records.engine.dispose()
    ratio = times[1] / times[0]
    finding = Finding(
        f"a name looked up among {arrests:,} arrests, cells by row against plain",
        f"{ratio:.2f} ({times[0] * 1e3:.2f} ms plain, {times[1] * 1e3:.2f} ms by row)",
        "at most 2",
        ratio <= 2,
    )
    seen = (
        f"A name looked up finds {shown[0]:.1f} records under the plain policy and {shown[1]:.1f} under the other.",
        f"PostgreSQL's plan under the plain policy: {nodes[0]}.",
        f"PostgreSQL's plan with cells by row: {nodes[1]}.",
    )
    return Findings((finding,), seen)


def _next(records: Records, plans: "cycle[Plan]") -> object:
    return records.query(next(plans))


def _nodes(explained: str) -> str:
    """Name the nodes of a plan in their order, each with its index or table."""
    found: list[tuple[str, str, str]] = _NODE.findall(explained)
    named = (f"{node} by {index}" if index else f"{node} of {table}" if table else node for node, index, table in found)
    return ", ".join(dict.fromkeys(named))


def of_difference(root: Path, server: Postgres, url: str, arrests: int) -> Findings:
    """Measure what `gateway policy diff` does, for ten clients."""
    directories = copied(root, "before"), copied(root, "after")
    databases = world.Databases(url, server.url(server.create()))
    settings = world.settings(databases, root / "diff-keys", policies=str(directories[0]), query_timeout=str(TIMEOUT))
    composition.prepare(settings)
    key = key_files.public_pem(ec.generate_private_key(ec.SECP256R1()))
    with composition.open_log(settings) as log:
        for agency, mission, purposes in _AGENCIES:
            name = agency.lower()
            criminal = mission != world.IMMIGRATION
            changed = {"mission": mission, "purposes": purposes, "criminal_justice_agency": criminal}
            world.register(log.store, name, key, world.agreement(name, agency, **changed))
        clients = Clients(log.store).all()
    began = perf_counter()
    bundles = load_checked(directories[0]), load_checked(directories[1])
    survey = Survey(settings, bundles[1].catalogue)
    today = datetime.now(bundles[0].catalogue.time_zone).date()
    comparison = Comparison(*bundles, today, frozenset(), survey)
    changes = list(comparison.changes(comparison.situations(clients)))
    taken = perf_counter() - began
    survey.close()
    asked = sum(len(purposes) for _, _, purposes in _AGENCIES)
    finding = Finding(
        f"`gateway policy diff` over {arrests:,} arrests, {len(clients)} clients",
        f"{taken:.1f} s for {asked} pairs of a client and a purpose, of which {len(changes)} change",
        "under 60 s",
        taken < 60,
    )
    return Findings((finding,), ())


# --- measuring ------------------------------------------------------------------------------------------


def in_turns(first: Callable[[], object], second: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Run two things in turns, after each once; return the median time of each."""
    first(), second()
    taken: list[tuple[float, float]] = []
    until = perf_counter() + seconds
    while not taken or perf_counter() < until:
        taken.append((_timed(first), _timed(second)))
    return median(one for one, _ in taken), median(other for _, other in taken)


def _timed(once: Callable[[], object]) -> float:
    began = perf_counter()
    once()
    return perf_counter() - began


def view_of(bundle: Bundle, agreement: Agreement) -> View:
    """Decide what a client may see today under the benchmark's own policy."""
    request = AccessRequest(Subject("client", agreement), Action.READ, RESOURCE, PURPOSE, datetime.now(UTC))
    decision = decide(request, bundle)
    if isinstance(decision, Permit):
        return decision.view
    raise RuntimeError(f"the benchmark's own policy denies: {decision.code}")


def _lookup(family: str, given: str) -> Search:
    both = AllOf((Compare("family_name", "eq", family), Compare("given_name", "eq", given)))
    return Search(RESOURCE, PURPOSE, None, both, (), (), 50, None)
