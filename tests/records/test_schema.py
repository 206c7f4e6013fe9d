"""The catalogue against the live database: what it believes of columns is so."""

import shutil
from pathlib import Path

import sqlalchemy as sa

from gateway.policy.bundle import load
from gateway.records import schema
from gateway.seed import seed
from tests import arrests
from tests.services import Postgres
from tests.world import POLICIES

PLACE = "      district: {column: location.district"
STANDING = "      standing: {column: status, type: code, codes: [active], class: arrest, enforced: true}\n"


def test_a_check_of_another_column_is_not_believed(postgres: Postgres, tmp_path: Path) -> None:
    """A CHECK on `record_status` says nothing of `status`, whose name is a part of that."""
    url = postgres.url(postgres.create())
    seed(url, year=2014, arrests=10, seed=1)
    arrests.stand_for_real(url)
    policies = tmp_path / "policies"
    shutil.copytree(POLICIES, policies)
    catalogue = policies / "catalogue.yaml"
    catalogue.write_text(catalogue.read_text().replace(PLACE, STANDING + PLACE))
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE arrest ADD COLUMN status varchar(20)"))
    (told,) = set(schema.unfit(load(policies).catalogue, engine, None).values())
    assert "'arrest.status'" in told
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE arrest ADD CHECK (status IN ('active'))"))
    assert schema.unfit(load(policies).catalogue, engine, None) == {}
    engine.dispose()
