"""Orders: what two approvers sign, and everything that must not be enacted."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import app as composition
from gateway import sshsig
from gateway.activation.approvers import NAMESPACE as OF_POLICIES
from gateway.activation.approvers import parse
from gateway.erasure import order
from gateway.erasure.order import NAMESPACE, OrderError
from gateway.errors import ConfigurationError
from tests import world
from tests.erasure.conftest import City
from tests.erasure.office import ALICE, BOB, owed, signed_by

MADE = order.propose("gateway.test/log", 7, "an order", composition.now())


def not_read(content: bytes) -> None:
    """Hold what is no order against the approvers of the tests, who signed it."""
    lines = (f"{name} {sshsig.public_half(key).written()}" for name, key in world.SIGNERS.items())
    with pytest.raises(OrderError, match="this is no order"):
        order.verify(content, signed_by(content, ALICE, BOB), MADE.log, parse(lines, "-"), MADE.made)


def refused(city: City, content: bytes, signatures: list[str], because: str) -> None:
    """Enact what must be refused; nothing is destroyed and nothing owed."""
    before = city.office.about(city.person)
    with pytest.raises(ConfigurationError, match=because):
        city.office.enact(content, signatures)
    assert city.office.about(city.person) == before
    assert owed(city.ice) == []
    assert city.office.leaves("audit-erase") == []


@pytest.fixture
def content(city: City) -> bytes:
    """An order to erase a person whose arrests a client has received."""
    city.alone(city.ice)
    return city.office.order(city.person)


@pytest.mark.parametrize("person", [1, 2**63 - 1], ids=["the smallest", "the largest"])
def test_whoever_can_be_disclosed_can_be_erased(person: int) -> None:
    """An order reads every key that a person can have."""
    made = order.propose(MADE.log, person, "an order", MADE.made)
    assert order.parse(made.content()) == made


@pytest.mark.parametrize("person", [0, 2**63], ids=["none", "too large"])
def test_what_is_no_persons_key_is_no_order(person: int) -> None:
    """Such a person can't be in the log."""
    not_read(order.propose(MADE.log, person, "an order", MADE.made).content())


def test_one_signature_is_not_enough(city: City, content: bytes) -> None:
    """Nor none."""
    refused(city, content, signed_by(content, ALICE), "needs the signatures of 2")
    refused(city, content, [], "needs the signatures of 2")


def test_one_signer_twice_is_one(city: City, content: bytes) -> None:
    """Whether by the same signature, or by two."""
    refused(city, content, signed_by(content, ALICE, ALICE), "signed twice")
    refused(city, content, signed_by(content, ALICE, BOB, ALICE), "signed twice")


def test_one_person_with_two_keys_is_one(city: City, content: bytes) -> None:
    """Two keys under one name are one approver."""
    second = Ed25519PrivateKey.generate()
    with city.world.settings.approvers.open("a") as file:
        file.write(f"{ALICE} {sshsig.public_half(second).written()}\n")
    signatures = [*signed_by(content, ALICE), sshsig.sign(second, content, NAMESPACE)]
    refused(city, content, signatures, "signed twice")


def test_a_stranger_proves_nothing(city: City, content: bytes) -> None:
    """Who is not registered is no approver."""
    stranger = sshsig.sign(Ed25519PrivateKey.generate(), content, NAMESPACE)
    refused(city, content, [*signed_by(content, ALICE), stranger], "no registered approver")


def test_a_signer_who_was_struck_out_proves_nothing(city: City, content: bytes) -> None:
    """Neither one who is gone from the file, nor one whose time is over."""
    signatures = signed_by(content, ALICE, BOB)
    path = city.world.settings.approvers
    lines = path.read_text()
    third = sshsig.public_half(Ed25519PrivateKey.generate()).written()
    path.write_text("".join(line for line in lines.splitlines(True) if BOB not in line) + f"carol {third}\n")
    refused(city, content, signatures, "no registered approver")
    ended = f'{BOB} valid-before="20200101Z" '
    path.write_text(lines.replace(f"{BOB} ", ended))
    refused(city, content, signatures, "no registered approver")


def test_a_signer_who_did_not_count_yet_proves_nothing(city: City, content: bytes) -> None:
    """Whose key counts from tomorrow on signed too early."""
    path = city.world.settings.approvers
    path.write_text(path.read_text().replace(f"{BOB} ", f'{BOB} valid-after="20991231Z" '))
    refused(city, content, signed_by(content, ALICE, BOB), "no registered approver")


def test_an_approver_of_policies_alone_proves_nothing(city: City, content: bytes) -> None:
    """Namespaces of a line are kept."""
    path = city.world.settings.approvers
    path.write_text(path.read_text().replace(f"{BOB} ", f'{BOB} namespaces="{OF_POLICIES}" '))
    refused(city, content, signed_by(content, ALICE, BOB), f"not registered for {NAMESPACE}")


def test_a_signature_of_a_policy_proves_nothing(city: City, content: bytes) -> None:
    """A namespace of its own: nobody is led to sign an erasure as a policy."""
    signatures = [sshsig.sign(world.SIGNERS[name], content, OF_POLICIES) for name in (ALICE, BOB)]
    refused(city, content, signatures, f"not made for the namespace {NAMESPACE}")


def test_signatures_over_another_order_prove_nothing(city: City, content: bytes) -> None:
    """Two sound signatures, over an order for another person."""
    other = city.office.order(next(key for key in city.office.persons() if key != city.person))
    refused(city, content, signed_by(other, ALICE, BOB), "does not verify")
    refused(city, content, [*signed_by(content, ALICE), *signed_by(other, BOB)], "does not verify")


Change = Callable[[dict[str, str]], dict[str, object]]


@pytest.mark.parametrize(
    "change",
    [
        lambda read: read | {"person": "2"},
        lambda read: read | {"order": "another court"},
        lambda read: read | {"id": "0" * 32},
    ],
    ids=["person", "reference", "id"],
)
def test_a_changed_order_is_not_what_was_signed(city: City, content: bytes, change: Change) -> None:
    """Every member is signed."""
    changed = rfc8785.dumps(change(json.loads(content)))  # type: ignore[arg-type] # of texts
    refused(city, changed, signed_by(content, ALICE, BOB), "does not verify")


@pytest.mark.parametrize(
    "change",
    [
        lambda read: read | {"action": "keep"},
        lambda read: read | {"more": "than that"},
        lambda read: {name: value for name, value in read.items() if name != "order"},
        lambda read: read | {"person": int(read["person"])},
        lambda read: read | {"person": "0" + read["person"]},
        lambda read: read | {"person": "-1"},
        lambda read: read | {"person": "9" * 30},
        lambda read: read | {"made": "2026-13-01T00:00:00Z"},
        lambda read: read | {"made": read["made"].replace("Z", "+00:00")},
        lambda read: read | {"order": " "},
        lambda read: read | {"order": "two\nlines"},
        lambda read: read | {"order": "long" * 1000},
        lambda read: read | {"log": "two words"},
        lambda read: read | {"id": "F" * 32},
        lambda read: [read],
    ],
)
def test_what_is_no_order_is_refused_though_signed(change: Change) -> None:
    """Only what `propose` would write is read; the approvers' signatures don't help."""
    not_read(rfc8785.dumps(change(json.loads(MADE.content()))))  # type: ignore[arg-type] # of what JSON has


@pytest.mark.parametrize("spoiled", [b"", b"{}", b"null", b"\xff", b"[" * 2000, b'{"a":1,"a":1}', b"x" * 100_000])
def test_what_is_not_json_is_refused(spoiled: bytes) -> None:
    """Anything at all may be handed in."""
    not_read(spoiled)


def test_another_spelling_is_not_the_order() -> None:
    """One order has one spelling: white space, or a newline at the end, makes another text."""
    content = MADE.content()
    assert order.parse(content) == MADE
    for spoiled in (content + b"\n", b" " + content, json.dumps(json.loads(content)).encode()):
        not_read(spoiled)


def test_an_order_for_another_log_is_refused(city: City, content: bytes) -> None:
    """Two cities may share approvers."""
    other = order.propose("other.gateway.test/log", city.person, "an order", composition.now()).content()
    refused(city, other, signed_by(other, ALICE, BOB), "is for the log other.gateway.test/log")
    del content


def test_an_order_is_enacted_once(city: City, content: bytes) -> None:
    """Not again with the same signatures, nor with new ones; before and after the first is sealed."""
    signatures = signed_by(content, ALICE, BOB)
    city.office.enact(content, signatures)
    for _ in range(2):
        city.alone(city.ice)
        with pytest.raises(OrderError, match="was enacted before"):
            city.office.enact(content, signed_by(content, BOB, ALICE))
        assert len(city.office.about(city.person)) >= len(city.arrests)
        city.office.verify()
    assert len(city.office.leaves("audit-erase")) == 1


def test_an_order_lives_thirty_days(city: City, content: bytes) -> None:
    """Afterwards it must be proposed and signed anew."""
    made = order.parse(content).made
    signatures = signed_by(content, ALICE, BOB)
    with pytest.raises(OrderError, match="older than 30 days"):
        city.office.enact(content, signatures, made + timedelta(days=30, seconds=1))
    city.office.enact(content, signatures, made + timedelta(days=30))


def test_an_order_of_the_future_is_refused(city: City, content: bytes) -> None:
    """A clock may go wrong by minutes, not by more."""
    made = order.parse(content).made
    signatures = signed_by(content, ALICE, BOB)
    with pytest.raises(OrderError, match="made in the future"):
        city.office.enact(content, signatures, made - timedelta(minutes=6))
    city.office.enact(content, signatures, made - timedelta(minutes=4))


def test_the_digest_in_the_log_does_not_tell_the_person(city: City) -> None:
    """Two orders about one person, made in one second, have nothing in common that could be guessed."""
    now = composition.now()
    one, two = (city.office.order(city.person, now) for _ in range(2))
    assert one != two
    assert order.digest(one) != order.digest(two)
    assert json.loads(one).keys() == {"action", "id", "log", "made", "order", "person"}


@pytest.mark.parametrize("reference", ["", " ", "a\nb", "x" * 201, "\x1b[2J"])
def test_a_reference_is_one_line(reference: str) -> None:
    """What approvers read must be what they sign."""
    with pytest.raises(OrderError, match="one line"):
        order.propose("log", 7, reference, composition.now())
