"""A sandbox and a real gateway can't be taken for each other: each way to confuse the two is tried, and refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app as composition
from gateway import keys as key_files
from gateway.activation import approvers
from gateway.activation.statement import Activate, StatementError
from gateway.cli import program
from gateway.errors import ConfigurationError
from gateway.identity import tokens
from gateway.keys import PrivateKey, public_pem
from gateway.policy.archive import read_directory
from gateway.policy.check import checked, load_checked
from gateway.records.schema import INTERVAL
from gateway.settings import read
from gateway.survey import Survey
from tests import world
from tests.sandbox.conftest import NAMES, Place, Places
from tests.world import ASSERTION_TYPE, POLICIES, Databases, World, agreement, environment

INVENTED = "the arrest database is invented"
PERHAPS_REAL = "its records may be real"


def other(places: Places, kind: str) -> tuple[Place, Place]:
    """Return the place of a kind, and the one of the other kind."""
    return (places.real, places.sandbox) if kind == "real" else (places.sandbox, places.real)


@pytest.fixture(params=["real", "sandbox"])
def pair(places: Places, request: pytest.FixtureRequest) -> tuple[Place, Place]:
    """Each of the two, with the other beside it."""
    return other(places, request.param)


def run(url: str, statement: str) -> None:
    """Change a database as its owner does."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def over(place: Place, elsewhere: Place) -> Place:
    """Return a place over the arrest database of another."""
    return replace(place, databases=replace(place.databases, arrests=elsewhere.databases.arrests))


# --- databases ----------------------------------------------------------------------------------------------


def test_each_starts_over_a_database_of_its_own_kind(pair: tuple[Place, Place]) -> None:
    """The real one over the real one, the sandbox over the invented one; both answer."""
    mine, _ = pair
    asker = mine.start().asker("fbi", "FBI")
    assert ask(asker.world, asker.id, asker.key).keys() >= {"records"}


def test_the_database_of_the_other_kind_is_refused(pair: tuple[Place, Place]) -> None:
    """A real gateway over invented records, and a sandbox over what may be real, don't start."""
    mine, theirs = pair
    with pytest.raises(ConfigurationError, match=INVENTED if mine.kind == "real" else PERHAPS_REAL):
        over(mine, theirs).start()


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(
    "rehearsed", [{"rehearsal_day": "2011-01-01"}, {"rehearsal_with": "hold-standard-on-data"}], ids=["day", "proposal"]
)
def test_what_may_be_real_is_not_rehearsed_on(places: Places, kind: str, rehearsed: dict[str, str]) -> None:
    """Another day's rules, or proposals that nobody approved, decide over nothing but invented records."""
    mine = over(getattr(places, kind), places.real)
    with pytest.raises(ConfigurationError, match=PERHAPS_REAL) as refused:
        mine.start(**rehearsed)
    assert ("GATEWAY_REHEARSAL_DAY" in str(refused.value)) is (mine.kind == "real")


@pytest.mark.parametrize("kind", NAMES)
def test_invented_records_are_rehearsed_on_and_each_answer_says_so(places: Places, kind: str) -> None:
    """In a sandbox, and in a gateway that is none."""
    mine = over(getattr(places, kind), places.sandbox)
    asker = mine.start(rehearsal_day="2011-01-01").asker("fbi", "FBI")
    policy = ask(asker.world, asker.id, asker.key)["policy"]
    assert isinstance(policy, dict)
    assert policy["as_of"] == "rehearsal as of 2011-01-01"


def test_a_rehearsal_ends_with_the_mark(places: Places) -> None:
    """The database that comes to stand behind the URL may be the real one."""
    mine = over(places.real, places.sandbox)
    chosen = mine.settings(rehearsal_day="2011-01-01")
    world.prepare_over(chosen)
    passed = [0.0]
    served = mine.compose(chosen, lambda: passed[0])
    asker = served.asker("fbi", "FBI")
    run(mine.databases.arrests, "ALTER TABLE all_records_are_invented RENAME TO elsewhere")
    passed[0] += INTERVAL
    served.gateway.sealer._once()  # noqa: SLF001 -- what its thread does again and again
    assert ask(served, asker.id, asker.key)["code"] == "temporarily-unavailable"


@pytest.mark.parametrize("added", ["INSERT INTO officer VALUES (99, 'B', 'REAL', 'U')", "DELETE FROM witness"])
def test_rows_that_were_not_invented_are_refused(places: Places, added: str) -> None:
    """A database that was invented and has had other rows since is no longer known to be."""
    run(places.sandbox.databases.arrests, added)
    with pytest.raises(ConfigurationError, match="have other numbers of rows than were invented"):
        places.sandbox.start()


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ("DELETE FROM all_records_are_invented", "'all_records_are_invented' is empty"),
        ("DELETE FROM all_records_are_invented WHERE table_name = 'person'", "the tables person have other numbers"),
    ],
    ids=["names no table", "leaves one out"],
)
@pytest.mark.parametrize("kind", NAMES)
def test_a_mark_that_leaves_tables_out_is_refused(places: Places, kind: str, mark: str, why: str) -> None:
    """In a sandbox and in a rehearsal: of rows that are not counted nobody knows whether they were invented."""
    mine = over(getattr(places, kind), places.sandbox)
    run(mine.databases.arrests, mark)
    with pytest.raises(ConfigurationError, match=why):
        mine.start(rehearsal_day="2011-01-01")


def test_a_table_that_was_added_is_refused_once_it_has_rows(places: Places) -> None:
    """What was not invented may be real, in whatever table it is."""
    run(places.sandbox.databases.arrests, "CREATE TABLE citys_own (name TEXT)")
    places.sandbox.start()
    run(places.sandbox.databases.arrests, "INSERT INTO citys_own VALUES ('anyone')")
    with pytest.raises(ConfigurationError, match="the tables citys_own have other numbers of rows"):
        places.sandbox.start()


def test_nothing_is_invented_into_a_database_in_use(places: Places, tmp_path: Path) -> None:
    """Whatever stands in a database already would bear the mark, too."""
    url = places.real.databases.arrests
    taken = tmp_path / "store.db"
    run(f"sqlite:///{taken}", "CREATE TABLE citys_own (name TEXT)")
    for refused in (url, f"sqlite:///{taken}"):
        done = CliRunner().invoke(program, ["seed", "--arrests", "5", "--url", refused])
        assert (done.exit_code, "must be empty" in done.output) == (2, True)
    engine = sa.create_engine(url)
    assert not sa.inspect(engine).has_table("all_records_are_invented")
    engine.dispose()


def test_a_database_that_is_exchanged_stops_all_answers(pair: tuple[Place, Place]) -> None:
    """Behind the same URL another database comes to stand: at the next look nothing fits, and it is said why."""
    mine, _ = pair
    chosen = mine.settings()
    world.prepare_over(chosen)
    passed = [0.0]
    served = mine.compose(chosen, lambda: passed[0])
    asker = served.asker("fbi", "FBI")
    assert "records" in ask(served, asker.id, asker.key)
    if mine.kind == "real":
        run(mine.databases.arrests, "CREATE TABLE all_records_are_invented (table_name TEXT)")
    else:
        run(mine.databases.arrests, "ALTER TABLE all_records_are_invented RENAME TO elsewhere")
    passed[0] += INTERVAL
    served.gateway.sealer._once()  # noqa: SLF001 -- what its thread does again and again
    assert ask(served, asker.id, asker.key)["code"] == "temporarily-unavailable"
    said = served.request("GET", "/readyz").get_json()
    assert (said["ready"], "arrests" in said["refused"]) == (False, True)
    assert (INVENTED if mine.kind == "real" else PERHAPS_REAL) in served.lines.getvalue()


def test_the_citys_own_questions_know_the_difference(pair: tuple[Place, Place]) -> None:
    """What a policy would show of the real database isn't counted in an invented one."""
    mine, theirs = pair
    chosen = mine.settings(arrest_url=theirs.databases.arrests)
    with pytest.raises(ConfigurationError, match=INVENTED if mine.kind == "real" else PERHAPS_REAL):
        Survey(chosen, load_checked(POLICIES).catalogue)


# --- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("name", ["log_origin", "issuer", "audience"])
def test_a_name_of_the_other_kind_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    """A sandbox's log and addresses are called so, and no others are."""
    mine, theirs = (NAMES[each] for each in ([kind, *(set(NAMES) - {kind})]))
    place = Place(kind, Databases("sqlite:///a.db", "sqlite:///b.db"), tmp_path)
    given = {**mine, name: theirs["issuer" if name == "audience" else name]}
    with pytest.raises(ConfigurationError, match=f"GATEWAY_SANDBOX is .* in GATEWAY_{name.upper()} must "):
        place.settings(**given)


@pytest.mark.parametrize("name", ["Sandbox.city.example/log", "SANDBOX.CITY.EXAMPLE/LOG"])
def test_case_makes_no_difference(name: str, tmp_path: Path) -> None:
    """A name that people would read as a sandbox's is one."""
    place = Place("real", Databases("sqlite:///a.db", "sqlite:///b.db"), tmp_path)
    with pytest.raises(ConfigurationError, match=r"GATEWAY_LOG_ORIGIN must not begin with 'sandbox\.'"):
        place.settings(log_origin=name)


@pytest.mark.parametrize("value", ["perhaps", "2", ""])
def test_a_half_set_sandbox_is_refused(value: str, tmp_path: Path) -> None:
    """It is one or it is not."""
    place = Place("real", Databases("sqlite:///a.db", "sqlite:///b.db"), tmp_path)
    with pytest.raises(ConfigurationError, match="GATEWAY_SANDBOX"):
        place.settings(sandbox=value)


def test_forgetting_the_setting_is_refused(tmp_path: Path) -> None:
    """A sandbox's settings without GATEWAY_SANDBOX are none of a real gateway."""
    place = Place("sandbox", Databases("sqlite:///a.db", "sqlite:///b.db"), tmp_path)
    given = environment(place.settings())
    del given["GATEWAY_SANDBOX"]
    with pytest.raises(ConfigurationError, match="GATEWAY_SANDBOX is false"):
        read(given)


# --- store, log and keys ------------------------------------------------------------------------------------


def test_the_store_of_the_other_is_refused(pair: tuple[Place, Place]) -> None:
    """A store holds one log, by its name."""
    mine, theirs = pair
    theirs.prepare()
    mine.prepare()
    with (
        pytest.raises(ConfigurationError, match="GATEWAY_LOG_ORIGIN must name it"),
        composition.open_log(mine.settings(store_url=theirs.databases.store)),
    ):
        pass


def test_the_public_part_of_the_other_is_refused(pair: tuple[Place, Place]) -> None:
    """What one log has made public is not continued by the other."""
    mine, theirs = pair
    begun = theirs.prepare()
    with pytest.raises(ConfigurationError, match="GATEWAY_LOG_PUBLIC is not this log's"):
        mine.prepare(log_public=str(begun.log_public))


def test_the_keys_of_the_other_are_refused_by_init(pair: tuple[Place, Place]) -> None:
    """A new log does not take up the directory of the other, though its passphrase is the same."""
    mine, theirs = pair
    used = theirs.prepare()
    with pytest.raises(ConfigurationError, match="GATEWAY_KEYS must name a directory of its own"):
        mine.prepare(keys=str(used.keys), keys_passphrase=str(used.keys_passphrase))


def test_a_key_brought_over_from_the_other_is_refused(pair: tuple[Place, Place]) -> None:
    """One file of any use is enough, and it says so itself."""
    place, elsewhere = pair
    mine, theirs = place.prepare(), elsewhere.prepare()
    for use in key_files.USES:
        path = key_files.file_of(mine.keys, use, 1)
        kept = path.read_bytes()
        path.write_bytes(key_files.file_of(theirs.keys, use, 1).read_bytes())
        with pytest.raises(ConfigurationError, match="key of a sandbox"), composition.open_log(mine):
            pass
        path.write_bytes(kept)
    with composition.open_log(mine):
        pass


def test_a_rotated_key_bears_the_mark_too(places: Places) -> None:
    """Of the keys that are made later none could be carried over either."""
    chosen = places.sandbox.prepare()
    with composition.open_rotation(chosen, "token") as (_, made):
        assert made.sandbox
    assert {file.sandbox for file in key_files.found(chosen.keys, chosen.keys_passphrase)} == {True}


def test_what_was_signed_for_the_sandbox_puts_nothing_in_force_in_the_real_one(pair: tuple[Place, Place]) -> None:
    """The same approvers may sign for both; each statement names its log."""
    mine, theirs = pair
    settings, elsewhere = mine.start().settings, theirs.prepare()
    files = read_directory(POLICIES)
    with composition.open_register(elsewhere) as register:
        content = register.propose(Activate(checked(files).digest), "To try.").content()
    with (
        composition.open_register(settings) as register,
        pytest.raises(StatementError, match=f"made for the log '{elsewhere.log_origin}'"),
    ):
        register.enact(content, world.signatures(content), approvers.read(settings.approvers), files)


# --- tokens, ids and cursors --------------------------------------------------------------------------------


def enrolled(served: World, key: PrivateKey) -> World:
    """Register the one client, by the one key, that both know."""
    world.register(served.gateway.store, "fbi", public_pem(key), agreement("fbi", "FBI"))
    return served


def token(served: World, client: str, key: PrivateKey, issuer: str | None = None) -> dict[str, object]:
    """Ask for a token, by an assertion for an issuer."""
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": tokens.assertion(client, issuer or served.settings.issuer, key),
    }
    answer: dict[str, object] = served.request("POST", "/oauth/token", data=form).get_json()
    return answer


def headers(text: object) -> dict[str, str]:
    """Return the headers of a data request."""
    return {
        "Authorization": f"Bearer {text}",
        "Access-Purpose": "criminal-investigation",
        "Content-Type": "application/json",
    }


def ask(served: World, client: str, key: PrivateKey, **asked: object) -> dict[str, object]:
    """Search, with a token of its own."""
    given = headers(token(served, client, key)["access_token"])
    answer: dict[str, object] = served.request(
        "POST", "/v1/arrests/search", data=json.dumps({"limit": 2, **asked}), headers=given
    ).get_json()
    return answer


@pytest.fixture
def both(pair: tuple[Place, Place]) -> tuple[World, World, PrivateKey]:
    """Both gateways running, with the same client, agreement and key in each."""
    key = ec.generate_private_key(ec.SECP256R1())
    mine, theirs = pair
    return enrolled(mine.start(), key), enrolled(theirs.start(), key), key


def test_a_token_of_the_other_is_none(both: tuple[World, World, PrivateKey]) -> None:
    """By its signature already; a client can't carry it over by mistake."""
    mine, theirs, key = both
    given = headers(token(theirs, "fbi", key)["access_token"])
    answer = mine.request("GET", "/v1/resources", headers=given)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "invalid-token")
    assert theirs.request("GET", "/v1/resources", headers=given).status_code == 200


def test_an_assertion_for_the_other_is_none(both: tuple[World, World, PrivateKey]) -> None:
    """What a client signs names the issuer that it is for."""
    mine, theirs, key = both
    assert token(mine, "fbi", key, issuer=theirs.settings.issuer)["error"] == "invalid_client"


def test_ids_and_cursors_of_the_other_are_none(both: tuple[World, World, PrivateKey]) -> None:
    """Over the very same rows, ids and cursors differ, and neither knows those of the other."""
    mine, theirs, key = both
    page, foreign = ask(mine, "fbi", key), ask(theirs, "fbi", key)
    records, others = page["records"], foreign["records"]
    assert isinstance(records, list)
    assert isinstance(others, list)
    assert [each["arrested_at"] for each in records] == [each["arrested_at"] for each in others]
    assert not {each["id"] for each in records} & {each["id"] for each in others}
    given = headers(token(mine, "fbi", key)["access_token"])
    assert mine.request("GET", f"/v1/arrests/{records[0]['id']}", headers=given).status_code == 200
    missed = mine.request("GET", f"/v1/arrests/{others[0]['id']}", headers=given)
    assert missed.get_json()["code"] == "record-not-found"
    assert ask(mine, "fbi", key, cursor=foreign["next"])["code"] == "cursor-invalid"


def test_counts_are_apart_on_one_storage(places: Places, valkey: str) -> None:
    """Who tries out the limits of the sandbox loses nothing at the real gateway, though both count in one Valkey."""
    key = ec.generate_private_key(ec.SECP256R1())
    given = {"limiter_storage": valkey, "client_limit": "2/minute", "peer_limit": "100/minute"}
    sandbox, real = (enrolled(place.start(**given), key) for place in (places.sandbox, places.real))
    answers = [ask(sandbox, "fbi", key) for _ in range(3)]
    assert answers[-1]["code"] == "too-many-requests"
    assert "records" in ask(real, "fbi", key)
