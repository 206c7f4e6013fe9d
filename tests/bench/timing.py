"""Measures what time tells of hidden records: `python -m tests.bench.timing`. It writes docs/timing.md.

An attacker on the gateway's own machine, with nobody else to wait for, asks two questions whose answers are the same
bytes: one has a match that the policy hides, the other none. Which came first is drawn at random each time.
"""

import gc
import json
import os
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import click
import psycopg
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app as composition
from gateway import keys as key_files
from gateway.identity import tokens
from gateway.opaque import Holder, Ids
from gateway.seed import seed
from gateway.settings import read
from tests import arrests as databases
from tests import services, world
from tests.bench import contenders
from tests.bench.asking import Connection
from tests.bench.bundles import copied
from tests.bench.telling import telling
from tests.bench.timing_report import Machine, Measured, written
from tests.bench.workload import RESOURCE, Call

CLIENT = "fbi-philadelphia"
UNREACHED = "100000000/minute"
# Hidden matches of the heaviest questions: so many persons of one name, so many charges of one arrest.
NAMESAKES = 1000
CHARGES = 2000
VARIED = 50
_FIRST = 50_000_000
_RENEWED = 240
_WARM_UP = 100
_VISIBLE = """
    FROM arrest a WHERE EXISTS (SELECT FROM charge c WHERE c.arrest_id = a.arrest_id AND c.grade = 'F1')
    AND EXISTS (SELECT FROM charge c WHERE c.arrest_id = a.arrest_id AND c.grade IN ('F3', 'M2'))
"""
_HIDDEN = (
    f"SELECT arrest_id FROM arrest WHERE arrest_id NOT IN (SELECT a.arrest_id {_VISIBLE}) ORDER BY md5(arrest_id::text)"
)


@dataclass(frozen=True, slots=True)
class Question:
    """Two kinds of calls with the same answer: with hidden matches, and without any."""

    title: str
    hidden: tuple[Call, ...]
    missing: tuple[Call, ...]

    @property
    def calls(self) -> tuple[tuple[Call, ...], tuple[Call, ...]]:
        """Both kinds."""
        return self.hidden, self.missing


@dataclass(frozen=True, slots=True)
class Bench:
    """A running gateway, its client's key, and what is asked of it."""

    port: int
    issuer: str
    key: ec.EllipticCurvePrivateKey
    purpose: str

    def token(self) -> str:
        """Get an access token; one lives ten minutes."""
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": world.ASSERTION_TYPE,
            "client_assertion": tokens.assertion(CLIENT, self.issuer, self.key, "B. Officer"),
        }
        body = urllib.parse.urlencode(form)
        asked = (
            "POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        token: str = json.loads(_answer(self.port, asked.encode()))["access_token"]
        return token


@click.command()
@click.option("--samples", type=click.IntRange(100), default=10_000, show_default=True, help="of each kind")
@click.option("--arrests", type=click.IntRange(1000), default=50_000, show_default=True)
@click.option("--grid", type=click.IntRange(1, 1000), default=25, show_default=True, help="milliseconds")
@click.option("--on-grid", type=click.IntRange(100), default=10_000, show_default=True, help="samples of each kind")
@click.option("--minutes", type=click.IntRange(1), default=60, show_default=True, help="for each of the two, at most")
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/timing.md"), show_default=True)
def main(samples: int, arrests: int, grid: int, on_grid: int, minutes: int, out: Path) -> None:
    """Measure how well a hidden match is told from none by time, without and with a grid of answers."""
    loads = [os.getloadavg()[0]]
    with ExitStack() as stack:
        root = Path(stack.enter_context(TemporaryDirectory(prefix="gw-timing-")))
        server = stack.enter_context(services.postgres())
        records = server.url(server.create())
        click.echo(f"inventing {arrests:,} arrests ...", err=True)
        seed(records, year=2014, arrests=arrests, seed=1)
        databases.stand_for_real(records)
        with psycopg.connect(records, autocommit=True) as connection:
            visible = _planted(connection)
            keys = [row[0] for row in connection.execute(f"{_HIDDEN} LIMIT {VARIED}").fetchall()]
            names = connection.execute(
                "SELECT p.family_name, p.given_name FROM person p JOIN arrest a USING (person_id) "
                f"WHERE NOT EXISTS (SELECT {_VISIBLE} AND a.person_id = p.person_id) AND a.arrest_id < %s "
                f"ORDER BY md5(p.person_id::text) LIMIT {VARIED}",
                [_FIRST],
            ).fetchall()
        measured: list[Measured] = []
        for step, wanted in ((0, samples), (grid, on_grid)):
            with _served(root / str(step), records, server.url(server.create()), step) as (bench, ids):
                until = time.monotonic() + 60 * minutes
                for asked in _measured(bench, _questions(ids, bench.purpose, keys, names), wanted, until):
                    measured.append(asked.measured(step))
                    click.echo(measured[-1].line(), err=True)
                loads.append(os.getloadavg()[0])
        machine = Machine(os.cpu_count() or 1, min(loads), max(loads), arrests, visible)
    out.write_text(written(measured, machine), encoding="utf-8")
    click.echo(f"wrote {out}")


def _planted(connection: psycopg.Connection) -> int:
    """Plant hidden arrests with many matches; return how many are visible."""
    connection.execute(
        "INSERT INTO person (person_id, family_name, given_name) SELECT %s + n, 'Xqqhidden' || n, 'Given' "
        "FROM generate_series(1, %s) n",
        [_FIRST, NAMESAKES],
    )
    connection.execute(
        "INSERT INTO arrest (arrest_id, person_id, dc_number, arrested_at, category, record_status) "
        "SELECT %s + n, %s + n, 'XQ' || n, '2014-05-05 12:00:00+00', 'Other', 'active' FROM generate_series(1, %s) n",
        [_FIRST, _FIRST, NAMESAKES],
    )
    connection.execute(
        "INSERT INTO charge (charge_id, arrest_id, sequence, description, grade) "
        "SELECT %s + n, %s + 1, n, 'XQ', 'F1' FROM generate_series(1, %s) n",
        [_FIRST, _FIRST, CHARGES],
    )
    connection.execute("VACUUM ANALYZE")
    row = connection.execute(f"SELECT count(*) {_VISIBLE}").fetchone()
    assert row is not None
    return int(row[0])


def _questions(ids: Ids, purpose: str, keys: Sequence[int], names: Sequence[tuple[str, str]]) -> Iterator[Question]:
    holder = Holder(CLIENT, purpose, RESOURCE)

    def by_id(numbers: Iterator[int]) -> tuple[Call, ...]:
        return tuple(Call(f"/v1/{RESOURCE}/{ids.conceal(number, holder)}") for number in numbers)

    yield Question("a record by id", by_id(iter(keys)), by_id(iter(range(9 * 10**7, 9 * 10**7 + VARIED))))
    yield Question(
        "a name, looked up",
        tuple(_search({"family_name": {"eq": family}, "given_name": {"eq": given}}) for family, given in names),
        # As long, as the texts that are looked for.
        tuple(
            _search({"family_name": {"eq": family[:-1] + "~"}, "given_name": {"eq": given}}) for family, given in names
        ),
    )
    yield Question(
        f"a prefix with {NAMESAKES:,} hidden namesakes",
        (_search({"family_name": {"prefix": "Xqqhidden"}}),),
        (_search({"family_name": {"prefix": "Xqqnobody"}}),),
    )
    yield Question(
        f"a filter that meets a hidden arrest with {CHARGES:,} charges",
        (_search({"dc_number": {"eq": "XQ1"}}),),
        (_search({"dc_number": {"eq": "XZ1"}}),),
    )
    yield Question(
        "a filter on charges that a hidden arrest meets",
        (_search({"dc_number": {"eq": "XQ1"}, "charges": {"any": {"description": {"eq": "XQ"}}}}),),
        (_search({"dc_number": {"eq": "XQ1"}, "charges": {"any": {"description": {"eq": "XZ"}}}}),),
    )
    yield Question(
        "a name, case and accents aside, in either order",
        (_search({"named": {"family": "xqqhidden", "given": "given"}}),),
        (_search({"named": {"family": "xqqnobody", "given": "given"}}),),
    )


def _search(asked: dict[str, object]) -> Call:
    return Call(f"/v1/{RESOURCE}/search", json.dumps({"filter": asked, "limit": 50}).encode())


@contextmanager
def _served(root: Path, records: str, store: str, grid: int) -> Iterator[tuple[Bench, Ids]]:
    """Serve with one process, every control on and no limit reached."""
    root.mkdir()
    port = contenders.free_port()
    given = {
        "arrest_url": records,
        "store_url": store,
        "keys": str(root / "keys"),
        "keys_passphrase": str(world.passphrase(root / "keys")),
        "policies": str(copied(root, "timing")),
        "approvers": str(root / "approvers"),
        "issuer": f"http://127.0.0.1:{port}",
        "log_origin": "bench.test/log",
        "log_public": str(root / "public"),
        "bind": f"127.0.0.1:{port}",
        "peer_limit": UNREACHED,
        "client_limit": UNREACHED,
        "answer_grid": str(grid),
    }
    environment = {f"GATEWAY_{name.upper()}": value for name, value in given.items()}
    settings = read(environment)
    world.prepare(settings)
    agreement = world.agreement(CLIENT, "FBI")
    key = ec.generate_private_key(ec.SECP256R1())
    with composition.open_log(settings) as opened:
        world.register(opened.store, CLIENT, key_files.public_pem(key), agreement)
    ids = Ids(key_files.read(settings.keys, settings.keys_passphrase).ids)
    with contenders.served(["gateway", "serve"], environment, port, root / "gateway.log"):
        yield Bench(port, settings.issuer, key, min(agreement.purposes)), ids


# --- asking -------------------------------------------------------------------------------------------------


def _answer(port: int, request: bytes) -> bytes:
    with closing(Connection(port)) as connection:
        return connection.answered(request)[1]


@dataclass(slots=True)
class _Asked:
    """A question as it is being asked: its requests with a token of now, and what came of them."""

    question: Question
    requests: tuple[list[bytes], list[bytes]] = ([], [])
    took: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    answers: set[tuple[int, bytes]] = field(default_factory=set)

    def ask(self, connection: Connection, chance: Random) -> None:
        """Ask a pair, in a random order."""
        for kind in chance.sample((0, 1), k=2):
            request = chance.choice(self.requests[kind])
            began = time.perf_counter_ns()
            answer = connection.answered(request)
            self.took[kind].append((time.perf_counter_ns() - began) / 1e6)
            self.answers.add(answer)

    def renew(self, headers: Mapping[str, str]) -> None:
        """Write the requests with other headers."""
        hidden, missing = ([call.written(headers) for call in calls] for calls in self.question.calls)
        self.requests = (hidden, missing)

    def measured(self, grid: int) -> Measured:
        """Say what came of it, without what warmed up; half of the missing are held against the rest."""
        if len(self.answers) != 1:
            raise RuntimeError(f"{self.question.title}: the two are told apart by their answers: {self.answers}")
        hidden, missing = (took[_WARM_UP:] for took in self.took)
        return Measured(self.question.title, grid, telling(hidden, missing), telling(missing[::2], missing[1::2]))


def _measured(bench: Bench, questions: Iterable[Question], samples: int, until: float) -> Sequence[_Asked]:
    """Ask all questions in turn, so that each has as many samples when the time is up."""
    asked = [_Asked(question) for question in questions]
    chance = Random(7)  # noqa: S311 -- must be repeatable
    renewed = float("-inf")
    # A pause of our own is no answer's.
    gc.disable()
    with closing(Connection(bench.port)) as connection:
        for _ in range(_WARM_UP + samples):
            if time.monotonic() > until:
                break
            if time.monotonic() - renewed > _RENEWED:
                headers = {"Authorization": f"Bearer {bench.token()}", "Access-Purpose": bench.purpose}
                for each in asked:
                    each.renew(headers)
                renewed = time.monotonic()
            for each in asked:
                each.ask(connection, chance)
    gc.enable()
    return asked


if __name__ == "__main__":
    main()
