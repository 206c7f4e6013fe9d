"""The tables of the invented arrest database, as the city's system would own them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData()


def _text(length: int) -> TypeEngine[str]:
    # Collation "C" makes PostgreSQL compare by bytes, which is what SQLite does.
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _key() -> TypeEngine[int]:
    return BigInteger().with_variant(Integer(), "sqlite")


def _primary(name: str) -> Column[int]:
    return Column(name, _key(), primary_key=True, autoincrement=False)


def _primary_of(target: str) -> Column[int]:
    name = target.partition(".")[2]
    key = ForeignKey(target)
    return Column(name, _key(), key, primary_key=True, autoincrement=False)


def _contact() -> tuple[Column[str], ...]:
    return (
        Column("family_name", _text(60)),
        Column("given_name", _text(60)),
        Column("phone", _text(20)),
        Column("home_address", _text(120)),
    )


person = Table(
    "person",
    metadata,
    _primary("person_id"),
    Column("family_name", _text(60), nullable=False),
    Column("given_name", _text(60), nullable=False),
    Column("date_of_birth", Date),
    Column("sex", _text(1)),
    Column("race", _text(30)),
    Column("place_of_birth", _text(60)),
    Column("citizenship", _text(60)),
    Column("immigration_status", _text(40)),
    Column("language", _text(40)),
    Column("ssn", _text(11)),
    Column("home_address", _text(120)),
    Column("phone", _text(20)),
    Column("employer", _text(80)),
    Column("police_photo_number", _text(12)),
    Column("state_id", _text(12)),
    CheckConstraint(
        "date_of_birth BETWEEN '1850-01-01' AND '2199-12-31'",
        name="ck_person_date_of_birth",
    ),
    Index("ix_person_name", "family_name", "given_name"),
)

location = Table(
    "location",
    metadata,
    _primary("location_id"),
    Column("district", _text(2)),
    Column("street_address", _text(120), nullable=False),
)

officer = Table(
    "officer",
    metadata,
    _primary("officer_id"),
    Column("badge", _text(8), nullable=False),
    Column("family_name", _text(60), nullable=False),
    Column("unit", _text(40), nullable=False),
)

# The offsets fix the bounds on PostgreSQL whatever the session's time zone is; on
# SQLite the comparison is of text, where a stored fraction sorts after the offset.
arrest = Table(
    "arrest",
    metadata,
    _primary("arrest_id"),
    Column("person_id", _key(), ForeignKey("person.person_id"), nullable=False),
    Column("location_id", _key(), ForeignKey("location.location_id")),
    Column("officer_id", _key(), ForeignKey("officer.officer_id")),
    Column("dc_number", _text(12), nullable=False),
    Column("arrested_at", DateTime(timezone=True), nullable=False),
    Column("category", _text(30), nullable=False),
    Column("offence", _text(60)),
    Column("record_status", _text(20), nullable=False),
    Column("narrative", _text(2000)),
    CheckConstraint(
        "arrested_at >= '1900-01-01 00:00:00+00' AND arrested_at < '2200-01-01 00:00:00+00'",
        name="ck_arrest_arrested_at",
    ),
    CheckConstraint(
        "record_status IN ('active', 'limited_access', 'sealed', 'expunged')",
        name="ck_arrest_record_status",
    ),
    Index("ix_arrest_person_id", "person_id"),
    Index("ix_arrest_arrested_at", "arrested_at", "arrest_id"),
    Index("ix_arrest_dc_number", "dc_number"),
)

charge = Table(
    "charge",
    metadata,
    _primary("charge_id"),
    Column("arrest_id", _key(), ForeignKey("arrest.arrest_id"), nullable=False),
    Column("sequence", SmallInteger, nullable=False),
    Column("statute", _text(40)),
    Column("description", _text(160)),
    Column("grade", _text(2)),
    Column("offence_tracking_number", _text(12)),
    Index("ix_charge_arrest_id", "arrest_id"),
)

disposition = Table(
    "disposition",
    metadata,
    _primary_of("charge.charge_id"),
    Column("outcome", _text(40), nullable=False),
    Column("disposed_on", Date, nullable=False),
)

release_conviction = Table(
    "release_conviction",
    metadata,
    _primary_of("arrest.arrest_id"),
    Column("statute", _text(40)),
    Column("grade", _text(2)),
    Column("convicted_on", Date, nullable=False),
    Column("released_on", Date),
    Index("ix_release_conviction_grade", "grade"),
)

custody = Table(
    "custody",
    metadata,
    _primary_of("arrest.arrest_id"),
    Column("facility", _text(60)),
    Column("status", _text(20), nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("released_at", DateTime(timezone=True)),
)

bail = Table(
    "bail",
    metadata,
    _primary_of("arrest.arrest_id"),
    Column("bail_type", _text(30), nullable=False),
    Column("amount", Integer),
    Column("set_on", Date, nullable=False),
)

victim = Table(
    "victim",
    metadata,
    _primary("victim_id"),
    Column("arrest_id", _key(), ForeignKey("arrest.arrest_id"), nullable=False),
    *_contact(),
    Index("ix_victim_arrest_id", "arrest_id"),
)

witness = Table(
    "witness",
    metadata,
    _primary("witness_id"),
    Column("arrest_id", _key(), ForeignKey("arrest.arrest_id"), nullable=False),
    *_contact(),
    Index("ix_witness_arrest_id", "arrest_id"),
)
