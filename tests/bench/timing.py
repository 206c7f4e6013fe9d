"""Measures what time tells of hidden records: `python -m tests.bench.timing`. It writes docs/timing.md.

An attacker with no network and no HTTP between itself and the gateway asks two questions whose answers are the same
bytes: one has a match that the policy hides, the other none. Which came first is drawn at random each time.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import click
import msgspec
import psycopg
import structlog
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app as composition
from gateway import keys as key_files
from gateway.opaque import Holder, Ids
from gateway.seed import seed
from tests import arrests as databases
from tests import services, world
from tests.bench.asking import Client
from tests.bench.bundles import copied
from tests.bench.telling import telling
from tests.bench.timing_report import Machine, Measured, Run, written
from tests.bench.workload import RESOURCE, Call
from tests.world import Databases

CLIENT = "fbi-philadelphia"
UNREACHED = "100000000/minute"
# Hidden matches of the heaviest questions: so many persons of one name, so many charges of one arrest.
NAMESAKES = 1000
CHARGES = 2000
VARIED = 50
_FIRST = 50_000_000
_RENEWED = 240
_WARM_UP = 20
_SLOW = 10
_VISIBLE = """
    FROM arrest a WHERE EXISTS (SELECT FROM charge c WHERE c.arrest_id = a.arrest_id AND c.grade = 'F1')
    AND EXISTS (SELECT FROM charge c WHERE c.arrest_id = a.arrest_id AND c.grade IN ('F3', 'M2'))
"""
_HIDDEN = (
    f"SELECT arrest_id FROM arrest WHERE arrest_id NOT IN (SELECT a.arrest_id {_VISIBLE}) ORDER BY md5(arrest_id::text)"
)


_UNSEEN = f"""
    SELECT p.family_name, p.given_name FROM person p JOIN arrest a USING (person_id)
    WHERE NOT EXISTS (SELECT {_VISIBLE} AND a.person_id = p.person_id) AND a.arrest_id < %s
    ORDER BY md5(p.person_id::text) LIMIT {VARIED}
"""


@dataclass(frozen=True, slots=True)
class Question:
    """Two kinds of calls with the same answer: with hidden matches, and without any.

    A slow one is asked in every `every`th round only.
    """

    title: str
    hidden: tuple[Call, ...]
    missing: tuple[Call, ...]
    every: int = 1


@click.command()
@click.option("--grid", type=click.IntRange(0, 1000), multiple=True, default=(0, 100), show_default=True, help="in ms")
@click.option("--samples", type=click.IntRange(1000), default=10_000, show_default=True, help="of each kind")
@click.option("--arrests", type=click.IntRange(1000), default=50_000, show_default=True)
@click.option("--minutes", type=click.IntRange(1), default=60, show_default=True, help="for each grid, at most")
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/timing.md"), show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), default=Path(".timing.json"), show_default=True)
def main(grid: tuple[int, ...], samples: int, arrests: int, minutes: int, out: Path, keep: Path) -> None:
    """Measure how well a hidden match is told from none by time; --keep holds the figures of grids measured before."""
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
            names = connection.execute(_UNSEEN, [_FIRST]).fetchall()
        for step in grid:
            with _served(root / str(step), records, server.url(server.create()), step) as (client, ids):
                loads = [os.getloadavg()[0]]
                asked = _asked(client, _questions(ids, client.purpose, keys, names), samples, minutes, waits=step > 0)
                found = tuple(each.measured() for each in asked)
                loads.append(os.getloadavg()[0])
            machine = Machine(os.cpu_count() or 1, min(loads), max(loads), arrests, visible)
            runs = _kept(keep, Run(step, datetime.now(UTC).date(), machine, found))
            out.write_text(written(runs), encoding="utf-8")
            click.echo(f"wrote {out}: a grid of {step} ms\n" + "\n".join(each.line() for each in found))


def _kept(keep: Path, run: Run) -> list[Run]:
    """Put a run in the place of an older one on the same grid; return all."""
    older = msgspec.json.decode(keep.read_bytes(), type=list[Run]) if keep.exists() else []
    runs = sorted([each for each in older if each.grid != run.grid] + [run], key=lambda each: each.grid)
    keep.write_bytes(msgspec.json.encode(runs))
    return runs


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
        f"a prefix with {NAMESAKES:,} hidden matches, in the order of an index",
        (_search({"dc_number": {"prefix": "XQ"}}, ("dc_number",)),),
        (_search({"dc_number": {"prefix": "XZ"}}, ("dc_number",)),),
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
        f"a family name's prefix with {NAMESAKES:,} hidden persons",
        (_search({"family_name": {"prefix": "Xqqhidden"}}),),
        (_search({"family_name": {"prefix": "Xqqnobody"}}),),
        every=_SLOW,
    )
    yield Question(
        "the same, case and accents aside, either name first (`named`)",
        (_search({"named": {"family": "xqqhidden", "given": "given"}}),),
        (_search({"named": {"family": "xqqnobody", "given": "given"}}),),
        every=_SLOW,
    )


def _search(asked: dict[str, object], sort: tuple[str, ...] = ()) -> Call:
    return Call(f"/v1/{RESOURCE}/search", json.dumps({"filter": asked, "sort": sort, "limit": 50}).encode())


@contextmanager
def _served(root: Path, records: str, store: str, grid: int) -> Iterator[tuple[Client, Ids]]:
    """Compose and start a gateway, every control on and no limit reached."""
    root.mkdir()
    given = {
        "policies": str(copied(root, "timing")),
        "peer_limit": UNREACHED,
        "client_limit": UNREACHED,
        "answer_grid": str(grid),
    }
    settings = world.settings(Databases(records, store), root / "keys", **given)
    world.prepare(settings)
    agreement = world.agreement(CLIENT, "FBI")
    key = ec.generate_private_key(ec.SECP256R1())
    with composition.open_log(settings) as opened:
        world.register(opened.store, CLIENT, key_files.public_pem(key), agreement)
    with (root / "telemetry").open("w") as lines:
        structlog.configure(
            processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.WriteLoggerFactory(file=lines)
        )
        gateway = composition.build(settings)
        gateway.start()
        client = Client(gateway, CLIENT, settings.issuer, key, min(agreement.purposes))
        yield client, Ids(key_files.read(settings.keys, settings.keys_passphrase).ids)
        gateway.stop()
        gateway.close()


# --- asking -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is being asked: how long answers took, by kind, and which there were."""

    question: Question
    took: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    answers: set[tuple[str, bytes]] = field(default_factory=set)

    def ask(self, client: Client, headers: Mapping[str, str], chance: Random) -> None:
        """Ask a pair, in a random order."""
        calls = (self.question.hidden, self.question.missing)
        for kind in chance.sample((0, 1), k=2):
            took, answer = client.timed(chance.choice(calls[kind]), headers)
            self.took[kind].append(took)
            self.answers.add(answer)

    def measured(self) -> Measured:
        """Say what came of it, without what warmed up; half of the missing are held against the rest."""
        if len(self.answers) != 1:
            raise RuntimeError(f"{self.question.title}: the two are told apart by their answers: {self.answers}")
        hidden, missing = (took[_WARM_UP:] for took in self.took)
        return Measured(self.question.title, telling(hidden, missing), telling(missing[::2], missing[1::2]))


def _asked(client: Client, questions: Iterable[Question], samples: int, minutes: int, *, waits: bool) -> list[Asked]:
    """Ask all questions in turn, so that each has as many samples at the end; side by side where most is waiting."""
    until = time.monotonic() + 60 * minutes
    asked = [Asked(question) for question in questions]
    parts = [[each] for each in asked] if waits else [asked]
    with ThreadPoolExecutor(len(parts)) as threads:
        for done in [threads.submit(_in_turn, client, part, samples, until) for part in parts]:
            done.result()
    return asked


def _in_turn(client: Client, asked: Sequence[Asked], samples: int, until: float) -> None:
    chance = Random(7)  # noqa: S311 -- must be repeatable
    renewed = float("-inf")
    headers: Mapping[str, str] = {}
    for number in range(_SLOW * _WARM_UP + samples):
        if time.monotonic() > until:
            break
        if time.monotonic() - renewed > _RENEWED:
            headers, renewed = client.headers(), time.monotonic()
        for each in asked:
            if number % each.question.every == 0:
                each.ask(client, headers, chance)


if __name__ == "__main__":
    main()
