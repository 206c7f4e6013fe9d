"""What a running gateway follows: activations, rollbacks, stops, days; and what it refuses to follow."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from gateway import tables
from gateway.activation import current
from gateway.activation.statement import Activate, Lift, Rollback, Start, Stop
from gateway.errors import ConfigurationError
from gateway.policy.archive import pack, read_directory
from gateway.store import Store
from gateway.strict_yaml import FileError
from tests import world as worlds
from tests.activation.city import ALICE, BOB, PURPOSE, City, activation, following, signed_by
from tests.activation.conftest import Time
from tests.world import Asker, World

Serve = Callable[[], World]


def follow(world: World) -> None:
    """Do once what the gateway's thread does again and again."""
    world.gateway.sealer._once()  # noqa: SLF001 -- the thread itself is not started in these tests


def asker_of(world: World, agency: str = "ICE") -> Asker:
    """Register a client of the small city's purposes."""
    return world.asker("small", agency, purposes=frozenset({PURPOSE}), mission=PURPOSE)


def answered_by(asker: Asker) -> str:
    """Return the digest that an answer names."""
    response = asker.search({"limit": 1}, resource="cases")
    assert response.status_code == 200, response.text
    digest: str = response.get_json()["policy"]["bundle"]
    return digest


def ready(world: World) -> dict[str, Any]:
    """Return what the gateway says of its readiness."""
    response = world.request("GET", "/readyz")
    said: dict[str, Any] = response.get_json()
    assert said["ready"] is (response.status_code == 200)
    return said


def test_activation_and_rollback_are_followed(city: City, serve: Serve) -> None:
    """The next request after a look is answered by the new bundle, and by the old one after a rollback."""
    world = serve()
    asker = asker_of(world)
    assert answered_by(asker) == city.digest("first")
    city.activate("second")
    assert answered_by(asker) == city.digest("first")
    follow(world)
    assert answered_by(asker) == city.digest("second")
    city.state(Rollback(city.digest("first")))
    follow(world)
    assert answered_by(asker) == city.digest("first")
    assert ready(world)["parts"]["policy"]
    told = [leaf for leaf in world.leaves() if leaf["action"].startswith("policy")]
    assert [(leaf["action"], leaf["statement"]) for leaf in told] == [
        ("policy-activate", 1),
        ("policy", 1),
        ("policy-activate", 2),
        ("policy", 2),
        ("policy-rollback", 3),
        ("policy", 3),
    ]
    assert told[2]["signers"] == [ALICE, BOB]
    assert told[2]["bundle"] == city.digest("second")


def test_without_a_policy_in_force_nothing_starts(city: City, serve: Serve) -> None:
    """The refusal says what to do."""
    store = Store(city.settings.store_url)
    with store.transaction() as connection:
        connection.execute(tables.statement.delete())
    store.close()
    with pytest.raises(ConfigurationError, match="gateway policy activate"):
        serve()


def bundle_row(city: City, archive: bytes | None) -> None:
    """Change, or remove, the archive of the second policy in the store."""
    store = Store(city.settings.store_url)
    named = tables.bundle.c.digest == city.digest("second")
    with store.transaction() as connection:
        if archive is None:
            connection.execute(tables.bundle.delete().where(named))
        else:
            connection.execute(tables.bundle.update().where(named).values(archive=archive))
    store.close()


def archive_of(city: City, name: str) -> bytes:
    """Pack a policy."""
    return pack(read_directory(city.policy(name)))


def _spoil_nothing_signed(city: City) -> None:
    content = following(last(city), activation(city, "second"))
    city.smuggle(content, [], "second")


def _spoil_signed_once(city: City) -> None:
    content = following(last(city), activation(city, "second"))
    city.smuggle(content, signed_by(content, ALICE), "second")


def _spoil_signed_twice_by_one(city: City) -> None:
    content = following(last(city), activation(city, "second"))
    city.smuggle(content, signed_by(content, ALICE, ALICE), "second")


def _spoil_one_key_under_two_names(city: City) -> None:
    path = city.settings.approvers
    line = path.read_text().splitlines()[0]
    path.write_text(path.read_text() + line.replace(ALICE, "carol") + "\n")
    content = following(last(city), activation(city, "second"))
    city.smuggle(content, signed_by(content, ALICE, BOB), "second")


def _spoil_tampered_after_signing(city: City) -> None:
    content = following(last(city), activation(city, "third"))
    city.smuggle(following(last(city), activation(city, "second")), signed_by(content, ALICE, BOB), "second")


def _spoil_replayed(city: City) -> None:
    with city.register() as register:
        (signed,) = register.statements()
    store = Store(city.settings.store_url)
    row = {"sequence": 2, "content": signed.content, "signatures": msgspec.json.encode(signed.signatures).decode()}
    with store.transaction() as connection:
        connection.execute(tables.statement.insert(), row)
    store.close()


def _spoil_downgraded(city: City) -> None:
    content = following(last(city), activation(city, "second"), previous="0" * 64)
    city.smuggle(content, signed_by(content, ALICE, BOB), "second")


def _spoil_of_another_log(city: City) -> None:
    content = following(last(city), activation(city, "second"), log="rehearsal.test/log")
    city.smuggle(content, signed_by(content, ALICE, BOB), "second")


def _spoil_with_a_gap(city: City) -> None:
    content = following(last(city), activation(city, "second"), sequence=5)
    city.smuggle(content, signed_by(content, ALICE, BOB), "second")


def _spoil_unreadable_signatures(city: City) -> None:
    content = following(last(city), activation(city, "second"))
    city.smuggle(content, signed_by(content, ALICE, BOB), "second")
    edit(city, 2, signatures="no JSON")


def _spoil_too_many_signatures(city: City) -> None:
    content = following(last(city), activation(city, "second"))
    city.smuggle(content, signed_by(content, *[ALICE] * 11), "second")


def _spoil_rollback_too_far(city: City) -> None:
    content = following(last(city), Rollback(city.digest("second")))
    city.smuggle(content, signed_by(content, ALICE), "second")


def _spoil_bundle_missing(city: City) -> None:
    content = following(last(city), activation(city, "second"))
    city.smuggle(content, signed_by(content, ALICE, BOB))


def _spoil_bundle_truncated(city: City) -> None:
    city.activate("second")
    bundle_row(city, archive_of(city, "second")[:-20])


def _spoil_bundle_tampered(city: City) -> None:
    city.activate("second")
    bundle_row(city, archive_of(city, "third"))


def _spoil_bundle_with_path_tricks(city: City) -> None:
    city.activate("second")
    bundle_row(city, pack({**read_directory(city.policy("second")), "../x.yaml": b""}))


def _spoil_bundle_that_fits_nothing(city: City) -> None:
    path = city.policy("third") / "catalogue.yaml"
    path.write_text(path.read_text().replace("table: c\n", "table: nowhere\n"))
    worlds.activate(city.settings, path.parent)


SPOILT: dict[Callable[[City], None], str] = {
    _spoil_nothing_signed: "has 0",
    _spoil_signed_once: "has 1",
    _spoil_signed_twice_by_one: "signed twice",
    _spoil_one_key_under_two_names: "one key is one approver",
    _spoil_tampered_after_signing: "does not verify",
    _spoil_replayed: "comes again",
    _spoil_downgraded: "does not follow",
    _spoil_of_another_log: "made for the log",
    _spoil_with_a_gap: "leaves a gap",
    _spoil_unreadable_signatures: "can't be read",
    _spoil_too_many_signatures: "more than 10 signatures",
    _spoil_rollback_too_far: "no bundle was in force before",
    _spoil_bundle_missing: "is not in the store",
    _spoil_bundle_truncated: "cut short",
    _spoil_bundle_tampered: "was changed in the store",
    _spoil_bundle_with_path_tricks: "no file of a policy",
    _spoil_bundle_that_fits_nothing: "nowhere",
}


def last(city: City) -> Any:
    """Return the last statement."""
    with city.register() as register:
        return register.history().statements[-1]


def edit(city: City, sequence: int, **values: object) -> None:
    """Change a statement's row, as whoever holds the database can."""
    store = Store(city.settings.store_url)
    with store.transaction() as connection:
        connection.execute(tables.statement.update().where(tables.statement.c.sequence == sequence).values(**values))
    store.close()


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_what_is_not_sound_is_refused_and_the_last_good_stays(
    city: City, serve: Serve, spoil: Callable[[City], None]
) -> None:
    """Put into the store past every check: told by readiness and telemetry, and answered by the first policy still."""
    world = serve()
    asker = asker_of(world)
    spoil(city)
    follow(world)
    follow(world)
    assert answered_by(asker) == city.digest("first")
    assert ready(world)["parts"] == {"arrests": True, "log": True, "policy": False, "resources": True}
    told = [json.loads(line) for line in world.lines.getvalue().splitlines() if '"event": "policy-refused"' in line]
    assert len(told) == 1, "told once, and not at every look"
    assert SPOILT[spoil] in told[0]["message"]
    assert "gateway_policy_refused 1.0" in world.request("GET", "/metrics").text
    world.close()
    with pytest.raises((ConfigurationError, FileError), match=SPOILT[spoil]):
        serve()


def test_a_rollback_to_what_two_never_signed(city: City, serve: Serve) -> None:
    """Between two good statements somebody put one of their own; a process that never had to look at it looks now."""
    _spoil_nothing_signed(city)
    city.activate("third")
    world = serve()
    asker = asker_of(world)
    assert answered_by(asker) == city.digest("third")
    content = following(last(city), Rollback(city.digest("second")))
    with pytest.raises(ConfigurationError, match=r"statement 2: 'activate' needs the signatures of 2 .* has 0"):
        city.enact(content, signed_by(content, ALICE))
    city.smuggle(content, signed_by(content, ALICE))
    follow(world)
    assert answered_by(asker) == city.digest("third")
    assert not ready(world)["parts"]["policy"]


def test_a_row_that_is_edited_under_a_running_process(city: City, serve: Serve, time: Time) -> None:
    """An edited last row is seen at once, an older one at the next thorough look; put right again, it is accepted."""
    city.activate("second")
    world = serve()
    asker = asker_of(world)
    with city.register() as register:
        one, two = register.statements()
    for sequence, signed, passing in ((2, two, 0), (1, one, current.THOROUGH)):
        edit(city, sequence, content=signed.content.replace(b"For a test", b"For a jest"))
        time.passed += passing
        follow(world)
        assert answered_by(asker) == city.digest("second")
        assert not ready(world)["parts"]["policy"]
        assert "changed or removed in the store" in world.lines.getvalue()
        edit(city, sequence, content=signed.content)
        time.passed += passing
        follow(world)
        assert ready(world)["parts"]["policy"]
    assert "gateway_policy_refused 0.0" in world.request("GET", "/metrics").text


@pytest.mark.parametrize("sequence", [1, 2])
def test_a_row_that_is_deleted_under_a_running_process(city: City, serve: Serve, sequence: int) -> None:
    """What was accepted stays accepted, stops with it; that it is gone is told."""
    city.state(Stop("ICE"))
    world = serve()
    asker = asker_of(world)
    store = Store(city.settings.store_url)
    with store.transaction() as connection:
        connection.execute(tables.statement.delete().where(tables.statement.c.sequence == sequence))
    store.close()
    follow(world)
    assert not ready(world)["parts"]["policy"]
    assert asker.search({}, resource="cases").get_json()["code"] == "agency-stopped"
    assert answered_by(world.asker("other", "FBI", purposes=frozenset({PURPOSE}))) == city.digest("first")


def test_a_stop_holds_in_search_lookup_and_describe(city: City, serve: Serve) -> None:
    """Whatever the agency asks is a logged denial with the statement's number and reason; others go on."""
    world = serve()
    stopped, other = asker_of(world), world.asker("other", "FBI", purposes=frozenset({PURPOSE}))
    assert answered_by(stopped) == answered_by(other) == city.digest("first")
    city.state(Stop("ICE"))
    follow(world)
    answers = [
        stopped.search({"limit": 1}, resource="cases"),
        stopped.search({"limit": 1}, resource="nowhere"),
        stopped.get("/v1/cases/AAAA"),
        stopped.get("/v1/resources"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.get_json()["code"]) == (403, "agency-stopped")
        (reason,) = answer.get_json()["reasons"]
        assert reason == {"rule": "statement-2", "basis": "emergency stop by the city", "because": "For a test."}
    leaves = {leaf["id"]: leaf for leaf in world.leaves()}
    for answer in answers:
        leaf = leaves[answer.headers["Log-Entry"]]
        assert (leaf["decision"], leaf["outcome"], leaf["rules"]) == ("deny", "agency-stopped", ["statement-2"])
    assert answered_by(other) == city.digest("first")
    city.activate("second")
    follow(world)
    assert stopped.get("/v1/resources").get_json()["code"] == "agency-stopped"
    city.state(Lift("ICE"))
    follow(world)
    assert answered_by(stopped) == city.digest("second")


def test_a_stop_holds_although_the_policy_before_it_is_refused(city: City, serve: Serve) -> None:
    """A bundle that can't be taken into force keeps no stop from doing so."""
    world = serve()
    asker = asker_of(world)
    _spoil_bundle_tampered(city)
    city.state(Stop("ICE"))
    follow(world)
    assert not ready(world)["parts"]["policy"]
    assert asker.search({}, resource="cases").get_json()["code"] == "agency-stopped"


def test_a_day_comes(city: City, serve: Serve, time: Time) -> None:
    """At the city's midnight the scheduled policy takes force, without anyone's doing."""
    city.clock = time.wall
    policy = serve().gateway.custodian._policy  # noqa: SLF001 -- a client's token would be too old by then
    zone = "America/New_York"
    day = (time.wall() + timedelta(days=2)).date()
    content = city.proposed(Activate(city.digest("second"), Start(day, zone)))
    midnight = city.enact(content, signed_by(content, ALICE, BOB), "second").effective()
    policy.refresh()
    assert policy.bundle.digest == city.digest("first")
    time.passed = (midnight - time.began).total_seconds() - 1
    policy.refresh()
    assert policy.bundle.digest == city.digest("first")
    time.passed += 1
    policy.refresh()
    assert policy.bundle.digest == city.digest("second")
    again = serve().gateway.custodian._policy  # noqa: SLF001 -- as above
    assert again.bundle.digest == city.digest("second")


def test_a_first_policy_of_another_day_does_not_start_yet(city: City, serve: Serve) -> None:
    """Before its day there is nothing to serve by, and the refusal names what will come."""
    store = Store(city.settings.store_url)
    with store.transaction() as connection:
        connection.execute(tables.statement.delete())
    store.close()
    day = (city.clock() + timedelta(days=9)).date()
    content = city.proposed(Activate(city.digest("first"), Start(day, "America/New_York")))
    city.enact(content, signed_by(content, ALICE, BOB), "first")
    with pytest.raises(ConfigurationError, match="takes force at"):
        serve()


def test_what_can_not_be_confirmed_is_not_answered_by(city: City, serve: Serve, time: Time) -> None:
    """After the time that the settings give, every data request is a logged 503, until the register is read again."""
    world = serve()
    asker = asker_of(world)
    assert city.settings.policy_age == 10
    time.passed = 10
    assert answered_by(asker) == city.digest("first")
    time.passed = 10.5
    answers = [asker.search({}, resource="cases"), asker.get("/v1/cases/AAAA"), asker.get("/v1/resources")]
    leaves = {leaf["id"]: leaf for leaf in world.leaves()}
    for answer in answers:
        assert (answer.status_code, answer.get_json()["code"]) == (503, "temporarily-unavailable")
        leaf = leaves[answer.headers["Log-Entry"]]
        assert (leaf["outcome"], leaf["purpose"], leaf["client"]) == ("temporarily-unavailable", PURPOSE, asker.id)
    assert not ready(world)["parts"]["policy"]
    follow(world)
    assert answered_by(asker) == city.digest("first")
    assert ready(world)["ready"]


def test_a_register_that_can_not_be_read_confirms_nothing(city: City, serve: Serve, time: Time) -> None:
    """A thread that looks in vain keeps nothing fresh."""
    world = serve()
    asker = asker_of(world)
    asker.get_token()
    engine = sa.create_engine(city.settings.store_url)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE statement RENAME TO elsewhere"))
    time.passed = 10.5
    follow(world)
    assert asker.search({}, resource="cases").status_code == 503
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO statement"))
    engine.dispose()
    follow(world)
    assert answered_by(asker) == city.digest("first")
