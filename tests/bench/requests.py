"""Measures requests over two sizes: the gateway, an endpoint without controls, PostGraphile, the SELECT alone.

By itself, `python -m tests.bench.requests` measures nothing else.
"""

import json
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec
import psycopg
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app as composition
from gateway import keys as key_files
from gateway.access import Agreement
from gateway.identity import tokens
from gateway.opaque import Ids
from gateway.plan.planner import Planner
from gateway.policy.bundle import load
from gateway.policy.tables import Dialect
from gateway.seed import seed
from gateway.settings import Settings, read
from tests import arrests as arrests_of_tests
from tests import services, world
from tests.bench import contenders, postgraphile, report
from tests.bench import load as client
from tests.bench.bare import Shape
from tests.bench.bundles import copied
from tests.bench.contenders import Server
from tests.bench.million import multiplied
from tests.bench.policy import view_of
from tests.bench.postgraphile import Installed
from tests.bench.report import Result, Run
from tests.bench.sample import Sample, middle
from tests.bench.workload import PURPOSE, RESOURCE, Asking, Workload, workloads
from tests.services import Postgres

CONNECTIONS = (1, 16)
# So many arrests are invented; more are copies of them.
INVENTED = 50_000
# The larger database has so many times the arrests of the smaller.
GROWTH = 10
CLIENT = "fbi-philadelphia"
UNREACHED = "100000000/minute"
# All contenders over both sizes keep their connections at once. Reading at random costs about as much as reading in a
# row where it is from memory or a solid-state disk; what PostgreSQL assumes by itself is true of turning disks.
SERVER = ("max_connections=400", "random_page_cost=1.1")
WORKERS = 2
WARM_UP = 1
_EXPLAINED = 20


@dataclass(frozen=True, slots=True)
class Sized:
    """A database of arrests, and how often it holds each of the invented ones."""

    name: str
    arrests: int
    copies: int


@dataclass(frozen=True, slots=True)
class Bench:
    """All contenders over one database, started."""

    size: Sized
    gateway: Server
    bare: Server
    postgraphile: Server
    key: ec.EllipticCurvePrivateKey
    settings: Settings
    workloads: tuple[Workload, ...]


def sized(server: Postgres, arrests: int) -> tuple[Sized, Sized]:
    """Make a database of so many arrests, and one of a tenth."""
    few = min(INVENTED, arrests // GROWTH)
    invented = server.create()
    click.echo(f"inventing {few:,} arrests ...", err=True)
    seed(server.url(invented), year=2014, arrests=few, seed=1)
    arrests_of_tests.stand_for_real(server.url(invented))
    made = []
    for copies in (arrests // GROWTH // few, arrests // few):
        click.echo(f"making {few * copies:,} arrests of them ...", err=True)
        made.append(Sized(multiplied(server, invented, copies), few * copies, copies))
    return made[0], made[1]


def measured(
    root: Path, server: Postgres, sizes: Sequence[Sized], installed: Installed, seconds: int, rounds: int
) -> Run:
    """Measure all requests of all contenders over all sizes."""
    with ExitStack() as stack:
        valkey = stack.enter_context(services.valkey())
        benches = [stack.enter_context(_started(root, server, valkey, installed, size, sizes[0])) for size in sizes]
        for bench in benches:
            _alike(bench)
        results = [
            result
            for at, workload in enumerate(benches[0].workloads)
            for connections in (CONNECTIONS if workload.postgraphile else CONNECTIONS[:1])
            for result in _measure(server, benches, at, connections, seconds, rounds)
        ]
        scratch = server.create()
        touched = {
            workload.title: [_blocks(server, bench, at) for bench in benches]
            for at, workload in enumerate(benches[0].workloads)
        }
        insert = [contenders.insert_script(server, scratch)]
        largest = benches[-1]
        return Run(
            results=results,
            blocks=touched,
            commits={n: contenders.pgbench(server, scratch, insert, n, seconds) for n in CONNECTIONS},
            memory={
                "gateway": largest.gateway.memory(),
                "bare endpoint": largest.bare.memory(),
                "PostGraphile": largest.postgraphile.memory(),
            },
            workers=largest.settings.workers,
            threads=largest.settings.threads,
            postgraphile=installed.version,
            seconds=seconds,
            rounds=rounds,
            postgres=report.postgres_version(server.url(largest.size.name)),
        )


@contextmanager
def _started(
    root: Path, server: Postgres, valkey: str, installed: Installed, size: Sized, smallest: Sized
) -> Iterator[Bench]:
    """Register a client, and start the servers over a database; what is asked for is in the smallest as well."""
    root = root / f"requests-{size.arrests}"
    root.mkdir()
    port, bare_port = contenders.free_port(), contenders.free_port()
    given = _settings(root, server.url(size.name), server.url(server.create()), valkey, port)
    settings = read(given)
    world.prepare(settings)
    agreement = world.agreement(CLIENT, "FBI")
    key = _registered(settings, agreement)
    bundle = load(settings.policies)
    ids = Ids(key_files.read(settings.keys, settings.keys_passphrase).ids)
    resource = bundle.catalogue.resources[RESOURCE]
    asking = Asking(resource, view_of(bundle, agreement), CLIENT, ids, Planner(resource, Dialect.POSTGRESQL))
    postgraphile.show(server, size.name, asking.resource, asking.view)
    with psycopg.connect(server.url(size.name)) as connection:
        asked = workloads(asking, connection, smallest.copies)
    shapes = root / "shapes.json"
    shapes.write_bytes(msgspec.json.encode({workload.name: _shape(workload) for workload in asked}))
    bare_given = given | {"GATEWAY_BIND": f"127.0.0.1:{bare_port}"}
    with (
        contenders.served(["gateway", "serve"], given, port, root / "gateway.log") as gateway,
        contenders.served(["tests.bench.bare", str(shapes)], bare_given, bare_port, root / "bare.log") as bare,
        postgraphile.served(
            installed, server, size.name, settings.workers, settings.threads, root / "postgraphile.log"
        ) as other,
    ):
        yield Bench(size, gateway, bare, other, key, settings, asked)


def _settings(root: Path, records: str, store: str, valkey: str, port: int) -> dict[str, str]:
    """Return the environment: every control on, and limits on requests that are counted but not reached."""
    given = {
        "arrest_url": records,
        "store_url": store,
        "keys": str(root / "keys"),
        "keys_passphrase": str(world.passphrase(root / "keys")),
        "policies": str(copied(root, "two-exists")),
        "approvers": str(root / "approvers"),
        "issuer": f"http://127.0.0.1:{port}",
        "log_origin": "bench.test/log",
        "log_public": str(root / "public"),
        "bind": f"127.0.0.1:{port}",
        "workers": str(WORKERS),
        "limiter_storage": valkey,
        # What takes too long is measured, and not refused.
        "query_timeout": "60",
        "peer_limit": UNREACHED,
        "client_limit": UNREACHED,
    }
    return {f"GATEWAY_{name.upper()}": value for name, value in given.items()}


def _registered(settings: Settings, agreement: Agreement) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    with composition.open_log(settings) as opened:
        world.register(opened.store, CLIENT, key_files.public_pem(key), agreement)
    return key


def _shape(workload: Workload) -> Shape:
    statement = workload.statement
    related = [(each.relation, each.number, [field.name for field in each.fields]) for each in statement.related]
    cells = [(cell.path, cell.number) for cell in statement.cells]
    return Shape(statement.sql, dict(statement.constants), list(statement.presence), cells, related)


# --- asking ---------------------------------------------------------------------------------------------


def _requests(bench: Bench, workload: Workload) -> tuple[bytes, ...]:
    """Write the gateway's requests with a token of now; one lives ten minutes."""
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": world.ASSERTION_TYPE,
        "client_assertion": tokens.assertion(CLIENT, bench.settings.issuer, bench.key, "B. Officer"),
    }
    body = urllib.parse.urlencode(form)
    asked = (
        "POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    token = json.loads(client.ask(bench.gateway.port, asked.encode()))["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Access-Purpose": PURPOSE}
    return tuple(call.written(headers) for call in workload.gateway)


def _alike(bench: Bench) -> None:
    """Refuse to compare contenders that do not show the same records."""
    for workload in bench.workloads:
        for number, request in enumerate(_requests(bench, workload)[:3]):
            shown = _shown(client.ask(bench.gateway.port, request), "dc_number")
            bare = _shown(client.ask(bench.bare.port, workload.bare[number].written({})), "dc_number")
            graphql = (call.written({}) for call in workload.postgraphile[number : number + 1])
            others = [bare, *(_shown(client.ask(bench.postgraphile.port, each), "dcNumber") for each in graphql)]
            if not shown or any(other != shown for other in others):
                raise RuntimeError(f"the contenders answer differently: {workload.title}")


def _shown(body: bytes, number: str) -> list[tuple[str, int, int]]:
    """Return of each record its number, how many fields have a value, and how many charges."""
    answer = json.loads(body)
    if "data" in answer:
        answer = answer["data"].get("allArrests", {}).get("nodes") or [answer["data"]["arrestByArrestId"]]
        records = answer
    else:
        records = answer["records"] if "records" in answer else [answer["record"]]
    return [
        (record[number], len(record["charges"]), sum(len(charge) for charge in record["charges"])) for record in records
    ]


def _measure(
    server: Postgres, benches: Sequence[Bench], at: int, connections: int, seconds: int, rounds: int
) -> Iterator[Result]:
    """Measure one kind of request: in each round all contenders over all sizes take turns."""
    taken: dict[tuple[int, str], list[Sample]] = {}
    for bench in benches:
        # Each once, so that all persons are charged: within a budget nearly every request finds its persons charged.
        for request in _requests(bench, bench.workloads[at]):
            client.ask(bench.gateway.port, request)
    for _ in range(rounds):
        for bench in benches:
            workload = bench.workloads[at]
            for name, contender, requests in (
                ("gateway", bench.gateway, _requests(bench, workload)),
                ("bare", bench.bare, tuple(call.written({}) for call in workload.bare)),
                ("postgraphile", bench.postgraphile, tuple(call.written({}) for call in workload.postgraphile)),
            ):
                if requests:
                    measured = _driven(contender, requests, connections, seconds)
                    taken.setdefault((bench.size.arrests, name), []).append(measured)
    for bench in benches:
        workload, arrests = bench.workloads[at], bench.size.arrests
        scripts = contenders.select_scripts(workload.statement.sql, workload.parameters[:50])
        select = contenders.pgbench(server, bench.size.name, scripts, connections, seconds)
        gateway, bare = (middle(taken[arrests, name]) for name in ("gateway", "bare"))
        other = middle(taken[arrests, "postgraphile"]) if workload.postgraphile else None
        result = Result(workload.name, workload.title, arrests, connections, gateway, bare, other, select)
        click.echo(report.told(result), err=True)
        yield result


def _blocks(server: Postgres, bench: Bench, at: int) -> float:
    workload = bench.workloads[at]
    return contenders.blocks(server, bench.size.name, workload.statement.sql, workload.parameters[:_EXPLAINED])


def _driven(server: Server, requests: Sequence[bytes], connections: int, seconds: int) -> Sample:
    client.drive(server.port, requests, connections, WARM_UP)
    return client.drive(server.port, requests, connections, seconds)


# --- by itself --------------------------------------------------------------------------------------------------


@click.command()
@click.option("--seconds", type=click.IntRange(1, 60), default=6, show_default=True, help="of a measurement")
@click.option("--rounds", type=click.IntRange(1, 9), default=3, show_default=True, help="of each measurement")
@click.option("--arrests", type=click.IntRange(10_000), default=10_000_000, show_default=True, help="of the larger")
def main(seconds: int, rounds: int, arrests: int) -> None:
    """Measure the requests alone; write docs/benchmarks.md."""
    with TemporaryDirectory(prefix="gw-bench-") as directory, services.postgres(*SERVER) as server:
        root = Path(directory)
        installed = postgraphile.install(root / "postgraphile")
        sizes = sized(server, arrests)
        click.echo(report.write_requests(measured(root, server, sizes, installed, seconds, rounds)))


if __name__ == "__main__":
    main()
