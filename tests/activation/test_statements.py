"""Statements: which of them take force, and which attack on them is refused, by its name."""

from datetime import date, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway import sshsig
from gateway.activation.approvers import NAMESPACE
from gateway.activation.history import chained
from gateway.activation.statement import Activate, Lift, Rollback, Start, StatementError, Stop, parse
from gateway.errors import ConfigurationError
from tests.activation.city import ALICE, BOB, City, activation, changed, following, signed_by
from tests.activation.conftest import Time


def refused(city: City, content: bytes, signatures: list[str], why: str, policy: str | None = "second") -> None:
    """A statement is refused by a command, and by whoever finds it in the store; the first policy stays in force."""
    first = city.digest("first")
    with pytest.raises(ConfigurationError, match=why):
        city.enact(content, signatures, policy)
    assert city.in_force() == first


def test_two_approvers_put_a_policy_in_force(city: City) -> None:
    """Signed by both, it takes force; statement, bundle and entry stand in the store."""
    content = city.proposed(activation(city, "second"))
    statement = city.enact(content, signed_by(content, ALICE, BOB), "second")
    assert statement.sequence == 2
    assert city.in_force() == city.digest("second")
    assert parse(content) == statement


def test_unsigned(city: City) -> None:
    """Without a signature nothing takes force."""
    refused(city, city.proposed(activation(city, "second")), [], "needs the signatures of 2 .* has 0")


def test_once_signed(city: City) -> None:
    """One approver alone can't put a policy in force."""
    content = city.proposed(activation(city, "second"))
    refused(city, content, signed_by(content, ALICE), "needs the signatures of 2 .* has 1")


def test_twice_signed_by_the_same_key(city: City) -> None:
    """The same signature twice is one signature."""
    content = city.proposed(activation(city, "second"))
    refused(city, content, signed_by(content, ALICE, ALICE), f"{ALICE} signed twice")


def test_twice_signed_by_two_keys_of_one_person(city: City) -> None:
    """A person's second key makes no second person."""
    own = ed25519.Ed25519PrivateKey.generate()
    with city.settings.approvers.open("a") as file:
        file.write(f"{ALICE} {sshsig.public_half(own).written()}\n")
    content = city.proposed(activation(city, "second"))
    refused(city, content, [*signed_by(content, ALICE), sshsig.sign(own, content, NAMESPACE)], "signed twice")


def test_the_same_key_registered_under_two_names(city: City) -> None:
    """A file that makes two of one is refused whole, and with it every activation."""
    content = city.proposed(activation(city, "second"))
    whole = city.settings.approvers.read_text()
    line = whole.splitlines()[0].replace(ALICE, "carol")
    city.settings.approvers.write_text(f"{whole}{line}\n")
    with pytest.raises(ConfigurationError, match="one key is one approver"):
        city.enact(content, signed_by(content, ALICE, BOB), "second")


def test_signed_by_a_stranger(city: City) -> None:
    """Beside two good signatures, too: a signature that proves nothing is a sign that something is wrong."""
    content = city.proposed(activation(city, "second"))
    strange = sshsig.sign(ed25519.Ed25519PrivateKey.generate(), content, NAMESPACE)
    refused(city, content, [*signed_by(content, ALICE), strange], "no registered approver")
    refused(city, content, [*signed_by(content, ALICE, BOB), strange], "no registered approver")


def test_signed_for_another_use(city: City) -> None:
    """What an approver signed as a file, or as mail, puts no policy in force."""
    content = city.proposed(activation(city, "second"))
    other = [sshsig.sign(ed25519.Ed25519PrivateKey.generate(), content, "file")]
    refused(city, content, [*signed_by(content, ALICE), *other], "namespace")


def test_tampered_after_signing(city: City) -> None:
    """Another bundle, day or reason under the same signatures."""
    content = city.proposed(activation(city, "second"))
    signatures = signed_by(content, ALICE, BOB)
    for tampered in (
        changed(content, bundle=city.digest("third")),
        changed(content, because="For another test."),
        changed(content, **{"from": "2030-01-01", "time_zone": "America/New_York"}),
    ):
        refused(city, tampered, signatures, "does not verify", "third")


def test_files_that_are_not_those_signed(city: City) -> None:
    """What was changed between signing and activating is not what was signed."""
    content = city.proposed(activation(city, "second"))
    refused(city, content, signed_by(content, ALICE, BOB), "what was signed is", "third")


def test_replayed(city: City) -> None:
    """A statement takes force once."""
    content = city.proposed(activation(city, "second"))
    signatures = signed_by(content, ALICE, BOB)
    city.enact(content, signatures, "second")
    city.activate("first")
    refused(city, content, signatures, "comes again or too late")


def test_downgraded(city: City) -> None:
    """An older statement that was never enacted can't be brought out once another has been."""
    content = city.proposed(activation(city, "weak"))
    signatures = signed_by(content, ALICE, BOB)
    city.activate("second")
    city.activate("first")
    refused(city, content, signatures, "comes again or too late", "weak")
    renumbered = changed(content, sequence=4)
    refused(city, renumbered, signed_by(renumbered, ALICE, BOB), "does not follow", "weak")


def test_of_another_log(city: City) -> None:
    """What was signed for the rehearsal's gateway puts nothing in force in the real one."""
    content = changed(city.proposed(activation(city, "second")), log="rehearsal.test/log")
    refused(city, content, signed_by(content, ALICE, BOB), "made for the log 'rehearsal.test/log'")


def test_with_a_gap(city: City) -> None:
    """A statement that skips a number does not follow."""
    content = changed(city.proposed(activation(city, "second")), sequence=7)
    refused(city, content, signed_by(content, ALICE, BOB), "leaves a gap")


def test_of_the_future_and_of_before(city: City) -> None:
    """A statement's own time must lie between the one before it and now."""
    content = changed(city.proposed(activation(city, "second")), made="2100-01-01T00:00:00Z")
    refused(city, content, signed_by(content, ALICE, BOB), "made in the future")
    content = changed(content, made="2020-01-01T00:00:00Z")
    refused(city, content, signed_by(content, ALICE, BOB), "made before the statement")


MEMBERS: dict[str, list[object]] = {
    "log": ["", 7, None],
    "sequence": [0, -1, "2", 2.5, True, None],
    "previous": [None, "abc", 7, "A" * 64],
    "made": ["2026-01-01", "yesterday", "2026-13-01T00:00:00Z", 7, "2026-01-01T00:00:00+00:00"],
    "because": ["", "  ", "two\nlines", "x" * 1001, 7, None],
    "action": ["permit", "", None, "stop"],
    "bundle": ["abc", "sha256:abc", 7, None, "sha1:" + "0" * 64],
    "from": ["2026-02-30", "soon", 7, "2026-01-01"],
    "agency": ["ICE"],
    "unknown": [1],
}


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_what_is_no_statement_is_refused(city: City) -> None:
    """Every member has its one form, none is missing, and none is passed over."""
    content = city.proposed(activation(city, "second"))
    parse(content)
    spoilt = [changed(content, **{name: value}) for name, values in MEMBERS.items() for value in values]
    spoilt += [changed(content, **{name: ...}) for name in ("log", "sequence", "made", "because", "action", "bundle")]
    spoilt += [changed(content, **{"from": "2030-01-01", "time_zone": zone}) for zone in ("", "Nowhere", "America", 7)]
    spoilt += [b"", b"{}", b"[]", b"null", content[:-1], content + b"\n", b" " + content, b"[" * 4000, b"\xff" * 9]
    spoilt += [content.replace(b'"action"', b'"action":"activate","action"'), content.replace(b",", b", ")]
    spoilt += [content.replace(b"For", "F\u00f6r".encode("latin-1")), content.replace(b"test", b"t\\u0065st")]
    for each in spoilt:
        assert each != content
        with pytest.raises(StatementError, match="no statement"):
            parse(each)


def test_a_rollback_needs_one_and_goes_back_by_one(city: City) -> None:
    """To the bundle directly before, and not on from there: that would need two."""
    with pytest.raises(StatementError, match="no bundle was in force before"):
        city.proposed(Rollback(city.digest("first")))
    city.activate("second")
    city.activate("third")
    for wrong in ("first", "third", "never"):
        with pytest.raises(StatementError, match="directly before"):
            city.proposed(Rollback(city.digest(wrong)))
    content = city.proposed(Rollback(city.digest("second")))
    city.enact(content, signed_by(content, BOB))
    assert city.in_force() == city.digest("second")
    with pytest.raises(StatementError, match="came by a rollback"):
        city.proposed(Rollback(city.digest("third")))
    city.activate("first")
    content = city.proposed(Rollback(city.digest("second")))
    city.enact(content, signed_by(content, ALICE))
    assert city.in_force() == city.digest("second")


def test_a_stop_needs_one_and_its_lifting_two(city: City) -> None:
    """Closing is easy, opening is not; neither is done twice."""
    with pytest.raises(StatementError, match="ICE is not stopped"):
        city.proposed(Lift("ICE"))
    content = city.proposed(Stop("ICE"))
    with pytest.raises(StatementError, match="has 0"):
        city.enact(content, [])
    city.enact(content, signed_by(content, BOB))
    with pytest.raises(StatementError, match="stopped already"):
        city.proposed(Stop("ICE"))
    content = city.proposed(Lift("ICE"))
    with pytest.raises(StatementError, match="needs the signatures of 2"):
        city.enact(content, signed_by(content, BOB))
    city.enact(content, signed_by(content, ALICE, BOB))
    with city.register() as register:
        assert register.history().stops() == {}


def scheduled(city: City, name: str, days: int) -> Activate:
    """Return the deed that puts a policy in force from a day on."""
    return Activate(city.digest(name), Start(date.today() + timedelta(days), "America/New_York"))  # noqa: DTZ011 -- any day


def test_a_day_is_kept_and_superseded_by_what_comes_later(city: City, time: Time) -> None:
    """A scheduled policy takes force at the city's midnight, unless a later statement comes before it."""
    city.clock = time.wall
    first, second, third = (city.digest(name) for name in ("first", "second", "third"))
    content = city.proposed(scheduled(city, "second", 3))
    statement = city.enact(content, signed_by(content, ALICE, BOB), "second")
    midnight = statement.effective()
    assert midnight.astimezone().utcoffset() is not None
    assert city.in_force() == first
    with city.register() as register:
        history = register.history()
    assert [turn.bundle for turn in history.turns(midnight - timedelta(seconds=1))] == [first]
    assert [turn.bundle for turn in history.turns(midnight)] == [first, second]
    assert [turn.bundle for turn in history.scheduled(time.wall())] == [second]
    assert history.scheduled(midnight) == ()
    city.activate("third")
    with city.register() as register:
        history = register.history()
    assert [turn.bundle for turn in history.turns(midnight)] == [first, third]
    assert history.scheduled(time.wall()) == ()


def test_a_proposal_that_time_has_overtaken_must_be_made_again(city: City, time: Time) -> None:
    """What was proposed before a scheduled policy took force would not be what its signers saw."""
    city.clock = time.wall
    content = city.proposed(scheduled(city, "second", 1))
    city.enact(content, signed_by(content, ALICE, BOB), "second")
    content = city.proposed(activation(city, "third"))
    time.passed += 2 * 86_400
    assert city.in_force() == city.digest("second")
    with pytest.raises(StatementError, match="propose it again"):
        city.enact(content, signed_by(content, ALICE, BOB), "third")


def test_a_day_of_another_time_zone_is_refused(city: City) -> None:
    """The day is the city's, as its catalogue says."""
    deed = Activate(city.digest("second"), Start(date(2100, 1, 1), "Asia/Tokyo"))
    content = city.proposed(deed)
    refused(city, content, signed_by(content, ALICE, BOB), "time zone")


def test_former_approvers_keep_what_they_signed_and_sign_no_more(city: City) -> None:
    """A key whose time is over still stands behind its old statements; a key that is struck out does not."""
    city.activate("second")
    whole = city.settings.approvers.read_text()
    carol, dan = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
    new = "".join(f"{name} {sshsig.public_half(key).written()}\n" for name, key in (("carol", carol), ("dan", dan)))
    with city.register() as register:
        made = register.history().statements[-1].made + timedelta(seconds=1)
    ended = whole.replace(" ssh-", f' valid-before="{made:%Y%m%d%H%M%S}Z" ssh-')
    city.settings.approvers.write_text(ended + new)
    assert city.in_force() == city.digest("second")
    with city.register() as register:
        statement = register.history().statements[-1]
    content = following(statement, activation(city, "third"), made=made)
    with pytest.raises(StatementError, match="did not count"):
        city.enact(content, signed_by(content, ALICE, BOB), "third")
    city.settings.approvers.write_text(new)
    with pytest.raises(StatementError, match="no registered approver"):
        city.in_force()
    content = following(statement, activation(city, "second"), made=made)
    by_new = [sshsig.sign(key, content, NAMESPACE) for key in (carol, dan)]
    city.enact(content, by_new, "second")
    assert city.in_force() == city.digest("second")
    with city.register() as register:
        (_, turn) = register.history().turns(made)
    assert (turn.since, turn.statement.sequence) == (statement.made, 3)


def test_a_chain_is_read_whole_or_not_at_all(city: City) -> None:
    """Left out, doubled or exchanged statements break it."""
    city.activate("second")
    city.activate("third")
    with city.register() as register:
        one, two, three = register.statements()
        name = register.log
    assert len(chained(name, (one, two, three)).statements) == 3
    for rows in ((two,), (one, three), (two, one), (one, one), (one, two, two), (one, three, two)):
        with pytest.raises(StatementError):
            chained(name, rows)
