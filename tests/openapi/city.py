"""A city whose one policy shows fields in every way in which a view can show them, and a server over it."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app as composition
from gateway.keys import public_pem
from tests import world
from tests.e2e import servers
from tests.e2e.servers import Server
from tests.world import POLICIES, Databases

CLIENT, PURPOSE = "fbi", "criminal-investigation"
KEY = ec.generate_private_key(ec.SECP256R1())

POLICY = """\
policy: every-form
title: Shows fields in full, in every form, and as the record has it
status: in-force
authority: {instrument: none; invented for tests, source: none, confidence: low}
effective: {from: 2008-01-01}
subjects: "true"
rules:
  - id: active
    permit: read
    resource: arrests
    rows: record.record_status == "active"
    show: [person, given_name, sex, arrested_at, bail_amount, release_conviction.grade, release_conviction.convicted_on,
           charges.sequence, charges.statute, charges.grade, charges.disposed_on, victims.given_name]
    mask: {date_of_birth: year, dc_number: pseudonym, family_name: first-letter, arrest_address: district}
    because: It is shown to all.
  - id: held
    permit: read
    resource: arrests
    rows: record.record_status == "active" && record.custody_status == "held"
    show: [custody_status, family_name, charges.outcome, victims.phone]
    because: It is shown of those who are held.
  - id: counter
    permit: read
    resource: arrests
    rows: record.record_status == "limited_access"
    show: [category]
    pointer: Ask the clerk
    because: It is kept apart.
"""


def policies(directory: Path) -> Path:
    """Write the city's policy beside the project's catalogue."""
    directory.mkdir()
    shutil.copy(POLICIES / "catalogue.yaml", directory)
    (directory / "every-form.yaml").write_text(POLICY)
    return directory


@contextlib.contextmanager
def serving(databases: Databases, directory: Path, **changed: str) -> Iterator[Server]:
    """Run a server whose throttles nobody reaches, with one client."""
    address = f"127.0.0.1:{servers.free_port()}"
    settings = world.settings(databases, directory / "keys", issuer=f"http://{address}", bind=address, **changed)
    world.prepare(settings)
    with composition.open_log(settings) as log:
        world.register(log.store, CLIENT, public_pem(KEY), world.agreement(CLIENT, "FBI"))
    with servers.running(servers.program("serve"), world.given(settings), directory / "log") as running:
        yield running
