"""The tables of the gateway's own database.

It holds clients, agreements, instruments, budgets, statements with their bundles, notices, and the log. Arrest records
are never in it.
"""

import sqlalchemy as sa
from sqlalchemy import Column, Table

metadata = sa.MetaData()

schema_version = Table("schema_version", metadata, Column("version", sa.Integer, primary_key=True))

agreement = Table(
    "agreement",
    metadata,
    Column("agreement_id", sa.String(60), primary_key=True),
    Column("version", sa.Integer, nullable=False),
    Column("agency", sa.String(60), nullable=False),
    Column("component", sa.String(60), nullable=False),
    Column("ori", sa.String(9), nullable=False),
    Column("mission", sa.String(60), nullable=False),
    Column("criminal_justice_agency", sa.Boolean, nullable=False),
    Column("purposes", sa.JSON, nullable=False),
    Column("starts", sa.Date, nullable=False),
    Column("until", sa.Date),
    Column("state", sa.String(20), nullable=False),
    Column("certifications", sa.JSON, nullable=False),
    # Where the agency can be written to: an accounting of disclosures names it.
    Column("address", sa.String(300), nullable=False),
)

client = Table(
    "client",
    metadata,
    Column("client_id", sa.String(60), primary_key=True),
    Column("agreement_id", sa.ForeignKey("agreement.agreement_id"), nullable=False),
    Column("public_key", sa.JSON, nullable=False),
    Column("state", sa.String(20), nullable=False),
)

assertion = Table(
    "assertion",
    metadata,
    Column("client_id", sa.String(60), primary_key=True),
    Column("jti", sa.String(128), primary_key=True),
    Column("expires_at", sa.BigInteger, nullable=False),
)

instrument = Table(
    "instrument",
    metadata,
    Column("instrument_id", sa.String(32), primary_key=True),
    Column("person_id", sa.BigInteger, nullable=False, index=True),
    Column("agency", sa.String(60), nullable=False),
    Column("purpose", sa.String(60), nullable=False),
    Column("kind", sa.String(20), nullable=False),
    Column("signer", sa.String(40), nullable=False),
    Column("document_sha256", sa.String(64), nullable=False),
    Column("issued_on", sa.Date, nullable=False),
    Column("expires_on", sa.Date, nullable=False),
    Column("added_by", sa.String(60), nullable=False),
    Column("confirmed_by", sa.String(60)),
    sa.CheckConstraint("confirmed_by IS NULL OR confirmed_by <> added_by", name="two_officers"),
)

budget_mark = Table(
    "budget_mark",
    metadata,
    Column("agreement_id", sa.String(60), primary_key=True),
    Column("day", sa.Date, primary_key=True),
    Column("mark", sa.String(80), primary_key=True),
)

# How many more pages may be refused for an agreement's budget on a day, once one was; at none, the day is over.
budget_refusal = Table(
    "budget_refusal",
    metadata,
    Column("agreement_id", sa.String(60), primary_key=True),
    Column("day", sa.Date, primary_key=True),
    Column("refusals_left", sa.Integer, nullable=False),
)

entry = Table(
    "entry",
    metadata,
    Column("entry_id", sa.String(32), primary_key=True),
    Column("leaf", sa.LargeBinary, nullable=False),
)

# What is personal in an entry: each opening under a key of its own, which is kept wrapped. Of an erased one nothing but
# the commitment is left. `about` and `record` are keyed hashes by which those of a person, officer or record are found.
opening = Table(
    "opening",
    metadata,
    Column("entry_id", sa.String(32), primary_key=True),
    Column("position", sa.Integer, primary_key=True),
    Column("commitment", sa.LargeBinary, nullable=False),
    Column("sealed", sa.LargeBinary),
    Column("wrapped", sa.LargeBinary),
    Column("about", sa.LargeBinary),
    Column("record", sa.LargeBinary),
    # They hold the entry too: of a person who was often shown, no opening is read to know where.
    sa.Index("opening_about", "about", postgresql_include=["entry_id"], postgresql_where=sa.text("about IS NOT NULL")),
    sa.Index(
        "opening_record", "record", postgresql_include=["entry_id"], postgresql_where=sa.text("record IS NOT NULL")
    ),
)

# Every policy that was ever activated, for ever, so that what the log says of old answers can be derived again.
bundle = Table(
    "bundle",
    metadata,
    Column("digest", sa.String(71), primary_key=True),
    Column("archive", sa.LargeBinary, nullable=False),
)

statement = Table(
    "statement",
    metadata,
    Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    Column("content", sa.LargeBinary, nullable=False),
    Column("signatures", sa.Text, nullable=False),
)

# Entries that wait for their place in the tree, since when (seconds since 1970).
pending = Table(
    "pending",
    metadata,
    Column("entry_id", sa.String(32), primary_key=True),
    Column("since", sa.Double, nullable=False, index=True),
    # By a key of the gateway's: what only the database's password could write is not sealed.
    Column("mark", sa.LargeBinary, nullable=False),
)

# The tree's leaves. What follows the hash repeats the leaf, so that it can be searched; the leaf's bytes are what
# counts. A leaf without an entry was lost, and declared so.
leaf = Table(
    "leaf",
    metadata,
    Column("leaf_index", sa.BigInteger, primary_key=True, autoincrement=False),
    Column("entry_id", sa.String(32)),
    Column("leaf_hash", sa.LargeBinary, nullable=False),
    Column("time", sa.Double),
    Column("action", sa.String(40)),
    Column("client", sa.String(60)),
    Column("agency", sa.String(60)),
    Column("purpose", sa.String(60)),
    Column("decision", sa.String(10)),
    Column("outcome", sa.String(60)),
    sa.Index("leaf_entry", "entry_id", unique=True, postgresql_include=["leaf_index", "time"]),
    # Searches page in the order of time, and of the index where times are equal.
    sa.Index("leaf_time", "time", "leaf_index"),
    sa.Index("leaf_client", "client", "time", "leaf_index"),
    sa.Index("leaf_agency", "agency", "time", "leaf_index"),
    sa.Index("leaf_action", "action", "time", "leaf_index"),
)

tree_head = Table(
    "tree_head",
    metadata,
    Column("only", sa.Integer, primary_key=True),
    Column("origin", sa.String(200), nullable=False),
    Column("size", sa.BigInteger, nullable=False),
    Column("frontier", sa.LargeBinary, nullable=False),
    # By a key of the gateway's, over origin, size and frontier; an empty tree needs none.
    Column("mark", sa.LargeBinary),
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    Column("note", sa.Text, nullable=False),
)

# The keys that the log knows: which uses there are, which number each has, the entry that tells of it, and the one by
# which it was retired.
key_record = Table(
    "key_record",
    metadata,
    Column("use", sa.String(20), primary_key=True),
    Column("number", sa.Integer, primary_key=True, autoincrement=False),
    Column("key_id", sa.String(64), nullable=False),
    Column("public", sa.Text),
    Column("entry_id", sa.String(32), nullable=False),
    Column("retired_by", sa.String(32)),
)

# What a client is owed: to hear that a record which it received has been sealed, expunged or corrected since.
notice = Table(
    "notice",
    metadata,
    Column("notice_id", sa.String(32), primary_key=True),
    Column("client_id", sa.String(60), nullable=False, index=True),
    Column("kind", sa.String(20), nullable=False),
    Column("resource", sa.String(60), nullable=False),
    # The ids under which this client has received the record, by purpose; gone once the notice is acknowledged.
    Column("ids", sa.JSON, nullable=False),
    Column("owed_since", sa.Double, nullable=False),
    Column("due", sa.Double, nullable=False),
    Column("acknowledged", sa.Double),
    Column("entry_id", sa.String(32), nullable=False),
)

# A person whose openings must not be erased, by the keyed hash of the person.
legal_hold = Table(
    "legal_hold",
    metadata,
    Column("hold_id", sa.String(32), primary_key=True),
    Column("about", sa.LargeBinary, nullable=False, index=True),
    Column("placed", sa.Double, nullable=False),
    Column("entry_id", sa.String(32), nullable=False),
    Column("lifted", sa.Double),
)

# How far each sink of leaves, such as a SIEM, has been served.
forwarded = Table(
    "forwarded",
    metadata,
    Column("sink", sa.String(60), primary_key=True),
    Column("next_index", sa.BigInteger, nullable=False),
)
