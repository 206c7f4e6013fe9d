"""Who takes part in the demo: two clients with their agreements, and warrants for a few invented persons."""

from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from gateway import app as composition
from gateway import instruments
from gateway.access import Agreement, AgreementState
from gateway.audit.log import Log
from gateway.canonical import Json
from gateway.cli.client import make_key_pair
from gateway.cli.officer import written_down
from gateway.identity import clients, tokens
from gateway.instruments import Filed
from gateway.policy.lists import Offences
from gateway.policy.lists import load as load_list
from gateway.seed import schema
from gateway.settings import Settings

WARRANTS = 12
ISSUED, EXPIRES = date(2014, 1, 1), date(2015, 1, 1)
OFFICERS = ("officer-one", "officer-two")
LIST = "pa-f1f2-violent-broad"


@dataclass(frozen=True, slots=True)
class Client:
    """A demo client: its id, its private key's file, its purpose."""

    id: str
    key: Path
    purpose: str


@dataclass(frozen=True, slots=True)
class Clients:
    """The demo's two clients."""

    ice: Client
    fbi: Client


def agreement_of(name: str) -> Agreement:
    """Return the invented agreement of a demo client."""
    immigration = name == "ice-ero"
    purpose = "immigration-enforcement" if immigration else "criminal-investigation"
    return Agreement(
        id=f"{name}-agreement",
        version=1,
        agency="ICE" if immigration else "FBI",
        component="ERO" if immigration else "Philadelphia Division",
        ori="PADEMO001" if immigration else "PADEMO002",
        mission="immigration-enforcement" if immigration else "criminal-investigation",
        criminal_justice_agency=not immigration,
        purposes=frozenset({purpose}),
        starts=date(2008, 1, 1),
        until=None,
        state=AgreementState.IN_FORCE,
        address="1 Invented Square, Philadelphia" if immigration else "2 Invented Square, Philadelphia",
    )


def register(settings: Settings, directory: Path) -> Clients:
    """Register both clients."""
    directory.mkdir(parents=True)
    made = []
    with composition.open_log(settings) as opened:
        for name, algorithm in (("ice-ero", "ES256"), ("fbi-phl", "EdDSA")):
            make_key_pair(directory / name, algorithm)
            agreement = agreement_of(name)
            public_key = tokens.public_jwk((directory / f"{name}.pub.pem").read_bytes())
            also = partial(clients.register, client_id=name, public_key=public_key, agreement=agreement)
            facts: dict[str, Json] = {"client": name, "agency": agreement.agency, "component": agreement.component}
            written_down(opened.log, "client-add", OFFICERS[0], facts, also=also)
            made.append(Client(name, directory / f"{name}.pem", min(agreement.purposes)))
    return Clients(*made)


def file_instruments(settings: Settings) -> int:
    """File judicial warrants for some persons convicted of violent felonies; return the key of a hidden record.

    One more warrant stays unconfirmed, and one is administrative: neither counts.
    """
    convicted = _convicted(settings)
    kinds = ["judicial"] * (WARRANTS + 1) + ["administrative"]
    with composition.open_log(settings) as opened:
        for number, (person, kind) in enumerate(zip(convicted, kinds, strict=False)):
            signer = "federal-magistrate" if kind == "judicial" else "dhs-officer"
            filed = Filed(person, "ICE", "immigration-enforcement", kind, signer, "0" * 64, ISSUED, EXPIRES)
            _file(opened.log, filed, confirmed=number != WARRANTS)
    return _record_of(settings, convicted[WARRANTS])


def _file(log: Log, filed: Filed, *, confirmed: bool) -> None:
    identifier = instruments.new_id()
    facts: dict[str, Json] = {"instrument": identifier, "agency": filed.agency, "kind": filed.kind}
    also = partial(instruments.add, identifier=identifier, filed=filed, officer=OFFICERS[0])
    written_down(log, "instrument-add", OFFICERS[0], facts, also=also)
    if confirmed:
        also = partial(instruments.confirm, identifier=identifier, officer=OFFICERS[1])
        written_down(log, "instrument-confirm", OFFICERS[1], {"instrument": identifier}, also=also)


def _convicted(settings: Settings) -> list[int]:
    """Return persons whose release conviction meets the standard, in the order of their keys."""
    path = settings.policies / "lists" / f"{LIST}.yaml"
    named = load_list(path.read_bytes(), path.name)
    statutes = named.statutes if isinstance(named, Offences) else ()
    spellings = [spelling for statute in statutes for spelling in statute.spellings()]
    table = {name: schema.metadata.tables[name] for name in ("arrest", "release_conviction")}
    arrest, conviction = table["arrest"], table["release_conviction"]
    statement = (
        sa.select(arrest.c.person_id)
        .distinct()
        .join(conviction, conviction.c.arrest_id == arrest.c.arrest_id)
        .where(
            conviction.c.grade.in_(["H1", "H2", "F1", "F2"]),
            conviction.c.statute.in_(spellings),
            arrest.c.record_status == "active",
        )
        .order_by(arrest.c.person_id)
        .limit(WARRANTS + 2)
    )
    engine = sa.create_engine(settings.arrest_url)
    with engine.connect() as connection:
        persons = list(connection.scalars(statement))
    engine.dispose()
    return persons


def _record_of(settings: Settings, person: int) -> int:
    arrest = schema.metadata.tables["arrest"]
    engine = sa.create_engine(settings.arrest_url)
    with engine.connect() as connection:
        key = connection.scalar(sa.select(sa.func.min(arrest.c.arrest_id)).where(arrest.c.person_id == person))
    engine.dispose()
    return int(key or 0)
