"""The register of clients: what was written of a client and its agreement is what requests and commands find."""

from datetime import date

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.access import Agreement, AgreementState, Certification
from gateway.identity import clients, tokens
from gateway.identity.clients import Client, Clients
from gateway.keys import public_pem
from tests.conftest import MakeWorld
from tests.world import agreement

KEY = tokens.public_jwk(public_pem(ec.generate_private_key(ec.SECP256R1())))
CERTIFIED = Certification("prosecution", "no-civil", 'Zoë "O\'Neil"', "0" * 64, date(2020, 2, 29), date(2021, 2, 28))


@pytest.mark.parametrize(
    "agreed",
    [
        agreement("one", "FBI"),
        agreement(
            "one",
            until=date(2199, 12, 31),
            version=7,
            state=AgreementState.SUSPENDED,
            component="Enforcement \\ Removal\n",
            purposes=frozenset({"prosecution", "immigration-enforcement"}),
            certifications=(CERTIFIED, CERTIFIED),
            address="Straße 1, 東京 😀",
        ),
    ],
    ids=["plain", "full"],
)
def test_a_client_is_found_as_it_was_registered(make_world: MakeWorld, agreed: Agreement) -> None:
    """By requests, which on PostgreSQL ask past SQLAlchemy, and by commands."""
    store = make_world().gateway.store
    with store.transaction() as connection:
        clients.register(connection, "one", KEY, agreed)
    registered = Client("one", active=True, public_key=KEY.as_dict(private=False), agreement=agreed, over=None)
    assert Clients(store).find("one") == registered
    assert Clients(store).all() == (registered,)
    assert Clients(store).find("two") is None
