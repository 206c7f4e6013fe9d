"""Runs the benchmark: `python -m tests.bench`. It starts all that it needs, ends it, and stops by itself."""

import json
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
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
from gateway.access import Agreement, Subject
from gateway.identity import tokens
from gateway.opaque import Ids
from gateway.policy.bundle import load
from gateway.policy.tables import Parameter
from gateway.seed import seed
from gateway.settings import Settings, read
from tests import arrests as arrests_of_tests
from tests import services, world
from tests.bench import contenders, log, policy, report
from tests.bench import load as client
from tests.bench.bare import Shape
from tests.bench.contenders import Server
from tests.bench.million import multiplied
from tests.bench.report import Result, Run
from tests.bench.sample import Sample, middle
from tests.bench.workload import Workload, workloads
from tests.services import Postgres

CONNECTIONS = (1, 16)
# So many arrests have the requests; the policy is measured over a multiple.
REQUESTED = 50_000
CLIENT = "fbi-philadelphia"
UNREACHED = "100000000/minute"
WARM_UP = 1.5


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that is measured, started."""

    server: Postgres
    arrests: str
    store: str
    scratch: str
    gateway: Server
    bare: Server
    key: ec.EllipticCurvePrivateKey
    issuer: str
    purpose: str
    workloads: tuple[Workload, ...]
    settings: Settings


@click.command()
@click.option("--seconds", type=click.IntRange(1, 60), default=6, show_default=True, help="of a measurement")
@click.option("--rounds", type=click.IntRange(1, 9), default=3, show_default=True, help="of each measurement")
@click.option("--arrests", type=click.IntRange(1000), default=1_000_000, show_default=True, help="for the policy")
@click.option("--rules", type=click.IntRange(100), default=1000, show_default=True, help="for the policy")
def main(seconds: int, rounds: int, arrests: int, rules: int) -> None:
    """Measure the gateway, an endpoint without controls, the SELECT alone, policy and log; write docs/benchmarks.md."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(TemporaryDirectory(prefix="gw-bench-")))
        server = stack.enter_context(services.postgres())
        valkey = stack.enter_context(services.valkey())
        invented = server.create()
        few = min(arrests, REQUESTED)
        click.echo(f"inventing {few:,} arrests ...", err=True)
        seed(server.url(invented), year=2014, arrests=few, seed=1)
        arrests_of_tests.stand_for_real(server.url(invented))
        with _started(root, server, valkey, invented) as bench:
            run = _requested(bench, few, seconds, rounds)
        times = arrests // few
        click.echo(f"making {few * times:,} arrests of them ...", err=True)
        many = server.url(multiplied(server, invented, times))
        findings = (
            policy.of_rules(root, rules, seconds),
            policy.of_cells(root, many, few * times, seconds),
            policy.of_difference(root, server, many, few * times),
        )
        click.echo(report.write(run, findings))
        click.echo(report.write_log(log.of_log(server, root, rounds, seconds)))


def _requested(bench: Bench, arrests: int, seconds: int, rounds: int) -> Run:
    """Measure the three requests of the three contenders."""
    _alike(bench)
    results = [
        _measure(bench, workload, connections, seconds, rounds)
        for workload in bench.workloads
        for connections in CONNECTIONS
    ]
    insert = [contenders.insert_script(bench.server, bench.scratch)]
    return Run(
        results=results,
        commits={n: contenders.pgbench(bench.server, bench.scratch, insert, n, seconds) for n in CONNECTIONS},
        gateway_memory=bench.gateway.memory(),
        bare_memory=bench.bare.memory(),
        workers=bench.settings.workers,
        threads=bench.settings.threads,
        arrests=arrests,
        seconds=seconds,
        rounds=rounds,
        postgres=report.postgres_version(bench.server.url(bench.arrests)),
    )


@contextmanager
def _started(root: Path, server: Postgres, valkey: str, records: str) -> Iterator[Bench]:
    """Register a client, and start both servers over the invented records."""
    store, scratch = server.create(), server.create()
    port, bare_port = contenders.free_port(), contenders.free_port()
    given = _settings(root, server.url(records), server.url(store), valkey, port)
    settings = read(given)
    world.prepare(settings)
    agreement = world.agreement(CLIENT, "FBI")
    key = _registered(settings, agreement)
    purpose = min(agreement.purposes)
    with psycopg.connect(server.url(records)) as connection:
        ids = Ids(key_files.read(settings.keys, settings.keys_passphrase).ids)
        asked = workloads(load(settings.policies), Subject(CLIENT, agreement), purpose, ids, connection)
    shapes = root / "shapes.json"
    shapes.write_bytes(msgspec.json.encode({workload.name: _shape(workload) for workload in asked}))
    bare_given = given | {"GATEWAY_BIND": f"127.0.0.1:{bare_port}"}
    with (
        contenders.served(["gateway", "serve"], given, port, root / "gateway.log") as gateway,
        contenders.served(["tests.bench.bare", str(shapes)], bare_given, bare_port, root / "bare.log") as bare,
    ):
        yield Bench(
            server,
            records,
            store,
            scratch,
            gateway,
            bare,
            key,
            settings.issuer,
            purpose,
            asked,
            settings,
        )


def _settings(root: Path, records: str, store: str, valkey: str, port: int) -> dict[str, str]:
    """Return the environment: every control on, and limits on requests that are counted but not reached."""
    given = {
        "arrest_url": records,
        "store_url": store,
        "keys": str(root / "keys"),
        "keys_passphrase": str(world.passphrase(root / "keys")),
        "policies": str(world.POLICIES),
        "approvers": str(root / "approvers"),
        "issuer": f"http://127.0.0.1:{port}",
        "log_origin": "bench.test/log",
        "log_public": str(root / "public"),
        "bind": f"127.0.0.1:{port}",
        "workers": "2",
        "limiter_storage": valkey,
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
        "client_assertion": tokens.assertion(CLIENT, bench.issuer, bench.key, "B. Officer"),
    }
    body = urllib.parse.urlencode(form)
    asked = (
        "POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    token = json.loads(client.ask(bench.gateway.port, asked.encode()))["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Access-Purpose": bench.purpose}
    return tuple(call.written(headers) for call in workload.gateway)


def _alike(bench: Bench) -> None:
    """Refuse to compare endpoints that do not show the same records and fields."""
    for workload in bench.workloads:
        shown = _shown(client.ask(bench.gateway.port, _requests(bench, workload)[0]))
        if shown != _shown(client.ask(bench.bare.port, workload.bare[0].written({}))):
            raise RuntimeError(f"the contenders answer differently: {workload.title}")


def _shown(body: bytes) -> list[tuple[str, list[str], int]]:
    answer = json.loads(body)
    records = answer["records"] if "records" in answer else [answer["record"]]
    return [(record["dc_number"], sorted(record), len(record["charges"])) for record in records]


def _measure(bench: Bench, workload: Workload, connections: int, seconds: int, rounds: int) -> Result:
    gateway: list[Sample] = []
    bare: list[Sample] = []
    plain = tuple(call.written({}) for call in workload.bare)
    # Each once, so that all persons are charged: within a budget nearly every request finds its persons charged.
    for request in _requests(bench, workload):
        client.ask(bench.gateway.port, request)
    for _ in range(rounds):
        gateway.append(_driven(bench.gateway, _requests(bench, workload), connections, seconds))
        bare.append(_driven(bench.bare, plain, connections, seconds))
    scripts = contenders.select_scripts(workload.statement.sql, _few(workload.parameters))
    select = contenders.pgbench(bench.server, bench.arrests, scripts, connections, seconds)
    result = Result(workload.title, connections, middle(gateway), middle(bare), select)
    click.echo(
        f"{workload.title}, {connections} connections: gateway {result.gateway.rate:.0f}, "
        f"bare {result.bare.rate:.0f}, SELECT alone {select.rate:.0f} a second; ratio {result.ratio:.2f}",
        err=True,
    )
    return result


def _driven(server: Server, requests: Sequence[bytes], connections: int, seconds: int) -> Sample:
    client.drive(server.port, requests, connections, WARM_UP)
    return client.drive(server.port, requests, connections, seconds)


def _few(values: Sequence[Mapping[str, Parameter]]) -> Sequence[Mapping[str, Parameter]]:
    return values[:50]


if __name__ == "__main__":
    main()
