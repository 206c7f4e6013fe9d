"""Each alert arrives at a real webhook because the real thing happened, and says nothing personal."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from gateway import app as composition
from gateway import tables
from gateway.audit.entry import Entry
from gateway.cli.verify import NOT_VERIFIED, verify
from gateway.identity import clients
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.watch.alerts import Alert, Kind
from gateway.watch.guard import send_now
from gateway.watch.leaves import SWEEP_SEARCHES
from tests import world as worlds
from tests.conftest import MakeWorld
from tests.watch import hooks
from tests.watch.hooks import Hook
from tests.world import Databases, World

DAY = "2016-06-01"


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook."""
    with hooks.running() as running:
        yield running


Watched = Callable[..., Any]


@pytest.fixture
def watched(make_world: MakeWorld, hook: Hook) -> Watched:
    """Compose a gateway that posts to the webhook; its watch runs for a block."""

    @contextmanager
    def run(*, sealing: bool = True, **changed: str) -> Iterator[World]:
        world = make_world(alert_webhook=hook.url, rehearsal_day=DAY, **changed)
        threads: list[Any] = [world.gateway.guard, *([world.gateway.sealer] if sealing else [])]
        for thread in threads:
            thread.start()
        try:
            yield world
        finally:
            for thread in threads:
                thread.stop()

    return run


def raised(world: World, kind: str) -> list[dict[str, Any]]:
    """Return the alerts of a kind that telemetry said."""
    lines = [json.loads(line) for line in world.lines.getvalue().splitlines()]
    return [line for line in lines if line["event"] == "alert" and line["kind"] == kind]


def test_a_sweep_is_told_once_and_without_its_terms(watched: Watched, hook: Hook) -> None:
    """A client that goes from name to name is announced by client, field and number, not by names."""
    with watched() as world:
        asker = world.asker("fbi", "FBI", officer="Officer Secretive")
        for number in range(SWEEP_SEARCHES - 1):
            asker.records({"filter": {"family_name": {"eq": f"Smith{number}"}}, "limit": 1})
        for _ in range(SWEEP_SEARCHES):
            asker.records({"filter": {"district": {"eq": "24"}}, "limit": 1})
        world.gateway.log.seal_all()
        time.sleep(1)
        assert hook.kinds() == []
        last = asker.search({"filter": {"family_name": {"prefix": "Smithers"}}, "limit": 1})
        told = hook.await_one("sweep")
        assert told["client"] == "fbi"
        assert told["agency"] == "FBI"
        assert (told["field"], told["searches"], told["minutes"]) == ("family_name", SWEEP_SEARCHES, 10)
        assert told["entry"] == last.headers["Log-Entry"]
        asker.records({"filter": {"family_name": {"eq": "Smith"}}})
        world.leaves()
        time.sleep(1)
    assert len(hook.of("sweep")) == len(raised(world, "sweep")) == 1
    said = json.dumps(hook.bodies) + world.lines.getvalue()
    assert "mith" not in said
    assert "Secretive" not in said
    counters = world.gateway.flask.test_client().get("/metrics").text
    assert 'gateway_alerts_total{kind="sweep"} 1.0' in counters
    assert 'gateway_alerts_suppressed_total{kind="sweep"} 1.0' in counters


def test_a_spent_budget_is_told(watched: Watched, hook: Hook) -> None:
    """A page that the budget does not allow is announced with its entry."""
    with watched() as world:
        asker = world.asker("fbi", "FBI")
        asker.records({"limit": 2})
        with world.gateway.store.transaction() as connection:
            day = connection.scalar(sa.select(tables.budget_mark.c.day).limit(1))
            row = {"agreement_id": "fbi-agreement", "day": day}
            connection.execute(tables.budget_mark.insert(), [row | {"mark": f"spent-{n}"} for n in range(990)])
        refused = asker.search({"limit": 200})
        assert refused.status_code == 429
        told = hook.await_one("budget-reached")
    assert (told["client"], told["entry"]) == ("fbi", refused.headers["Log-Entry"])


@pytest.mark.parametrize("way", ["asks for a token", "shows an old token"])
def test_a_suspended_client_that_tries_is_told(watched: Watched, hook: Hook, way: str) -> None:
    """Whether it asks for a token or comes with an old one."""
    with watched() as world:
        asker = world.asker("fbi", "FBI")
        asker.records({"limit": 1})
        with world.gateway.store.transaction() as connection:
            clients.set_state(connection, "fbi", clients.SUSPENDED)
        tried = asker.get_token() if way == "asks for a token" else asker.search({})
        assert tried.status_code == 401
        told = hook.await_one("suspended-client")
    assert (told["client"], told["agency"], told["entry"]) == ("fbi", "FBI", tried.headers["Log-Entry"])


def test_a_log_that_takes_no_entry_is_told_by_the_process_that_could_not_write(watched: Watched, hook: Hook) -> None:
    """The answer is the constant 503, and the alert needs no log."""
    with watched(sealing=False) as world:
        asker = world.asker("fbi", "FBI")
        asker.records({"limit": 1})
        engine = sa.create_engine(world.settings.store_url)
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE opening RENAME TO elsewhere"))
        assert asker.search({}).status_code == 503
        told = hook.await_one("log-failure")
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO opening"))
        engine.dispose()
        assert asker.search({"limit": 1}).status_code == 200
    assert told.keys() == {"kind", "log", "time", "repeated_before", "path"}


def test_a_store_that_is_gone_is_told_though_nobody_asks(watched: Watched, hook: Hook) -> None:
    """The watch itself finds that it can't read."""
    with watched(sealing=False) as world:
        engine = sa.create_engine(world.settings.store_url)
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE pending RENAME TO elsewhere"))
        hook.await_one("log-failure")
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO pending"))
        engine.dispose()


def test_a_sealer_that_stopped_is_told_long_before_the_promise_is_broken(watched: Watched, hook: Hook) -> None:
    """An entry that has waited for over a minute is enough; the gateway still answers, and is ready."""
    with watched(sealing=False) as world:
        asker = world.asker("fbi", "FBI")
        asker.records({"limit": 1})
        time.sleep(1)
        assert hook.kinds() == []
        with world.gateway.store.transaction() as connection:
            connection.execute(tables.pending.update().values(since=tables.pending.c.since - 61))
        assert hook.await_one("sealer-lag")["seconds"] >= 61
        assert asker.search({"limit": 1}).status_code == 200
        assert world.request("GET", "/readyz").status_code == 200


def test_what_a_command_sealed_is_told_too(watched: Watched, hook: Hook) -> None:
    """The alert does not hang on which process seals."""
    with watched(sealing=False) as world:
        asker = world.asker("fbi", "FBI")
        token = asker.token
        with world.gateway.store.transaction() as connection:
            clients.set_state(connection, "fbi", clients.SUSPENDED)
        world.request("GET", "/v1/resources", headers={"Authorization": f"Bearer {token}"})
        with composition.open_log(world.settings) as other:
            other.log.seal_all()
        hook.await_one("suspended-client")


def test_what_is_overdue_is_told_once_a_day(make_world: MakeWorld, hook: Hook) -> None:
    """Notices by client, and reviews by week; by the city's days."""
    world = make_world(alert_webhook=hook.url)
    now = datetime.now(UTC)
    old = now - timedelta(days=40)
    world.gateway.log.append(Entry("test", "permit", "done", old, None))
    row = {
        "client_id": "ice-ero",
        "kind": "sealed",
        "resource": "arrests",
        "ids": {},
        "owed_since": 0.0,
        "entry_id": "e",
    }
    with world.gateway.store.transaction() as connection:
        due = {"late": now.timestamp() - 86400, "later": now.timestamp() + 86400}
        for name, moment in due.items():
            connection.execute(tables.notice.insert(), row | {"notice_id": name, "due": moment})
    world.leaves()
    world.gateway.guard.start()
    try:
        assert hook.await_one("notice-overdue")["notices"] == 1
        late = hook.await_one("review-overdue")
        time.sleep(1)
    finally:
        world.gateway.guard.stop()
    assert hook.of("notice-overdue")[0]["client"] == "ice-ero"
    year, week, _ = old.astimezone().isocalendar()
    assert late["oldest"] in (f"{year}-W{week:02}", f"{year}-W{week - 1:02}")
    assert late["weeks"] in (4, 5)
    assert sorted(hook.kinds()) == ["notice-overdue", "review-overdue"]


def test_a_policy_that_is_refused_is_told(watched: Watched, hook: Hook) -> None:
    """A statement that can't be accepted changes nothing, and is announced."""
    with watched() as world:
        with world.gateway.store.transaction() as connection:
            connection.execute(tables.statement.update().values(content=b"{}"))
        hook.await_one("policy-refused")


def test_a_public_part_that_is_gone_is_told(watched: Watched, hook: Hook) -> None:
    """What was given out of the log can't be held against the store any more."""
    with watched() as world:
        public = world.settings.log_public
        public.rename(public.with_name("elsewhere"))
        public.write_text("This is no directory.")
        world.asker("fbi", "FBI").get_token()
        hook.await_one("log-disagreement")


def test_a_command_sends_its_alert_before_it_ends(hook: Hook, databases: Databases, tmp_path: Path) -> None:
    """For commands such as a verification that failed."""
    chosen: Settings = worlds.settings(databases, tmp_path / "keys", alert_webhook=hook.url)
    send_now(chosen, Telemetry(), Alert(Kind.VERIFICATION_FAILURE, None, {"found": "truncated"}))
    assert [(body["kind"], body["found"], body["log"]) for body in hook.bodies] == [
        ("verification-failure", "truncated", "gateway.test/log")
    ]


def test_a_log_that_does_not_verify_is_told_and_evidence_that_is_none_is_not(
    watched: Watched, hook: Hook, tmp_path: Path
) -> None:
    """A mistyped file says nothing of the log."""
    with watched() as world:
        world.asker().get("/v1/resources")
        world.gateway.log.seal_all()
        environment = worlds.environment(world.settings)
    (tmp_path / "mistyped").write_text("nothing", encoding="utf-8")
    for given in ([], ["--against", str(tmp_path / "mistyped")]):
        ended = CliRunner().invoke(verify, given, env=environment)
        assert ended.exit_code == (2 if given else 0), ended.output
    with world.gateway.store.transaction() as connection:
        connection.execute(tables.leaf.update().where(tables.leaf.c.leaf_index == 1).values(leaf_hash=b"0" * 32))
    assert not hook.bodies
    assert CliRunner().invoke(verify, [], env=environment).exit_code == NOT_VERIFIED
    assert [body["kind"] for body in hook.bodies] == ["verification-failure"]
