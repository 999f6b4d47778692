"""The first tables: the log, members and keys, contributions and signals."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables, and the head of an empty log of a new epoch."""
    op.create_table(
        "events",
        sa.Column("seq", _IDENTITY, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject_kind", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
    )
    op.create_index("ix_events_actor_seq", "events", ["actor", "seq"], unique=False)
    op.create_index(
        "ix_events_subject_kind_subject_id_seq", "events", ["subject_kind", "subject_id", "seq"], unique=False
    )

    op.create_table(
        "log",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_log"),
        comment="One row: the number and time of the last event. Who holds it appends next.",
    )
    op.create_table(
        "members",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("contact", sa.String(length=200), nullable=False),
        sa.Column("contributions_per_day", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
        sa.UniqueConstraint("name", name="uq_members_name"),
    )
    op.create_table(
        "contributions",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", _IDENTITY, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("notified_at", sa.BigInteger(), nullable=True),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("quality", sa.SmallInteger(), nullable=True),
        sa.Column("media", sa.String(length=16), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=True),
        sa.Column("basis", sa.String(length=64), nullable=True),
        sa.Column("tco_ground", sa.String(length=64), nullable=True),
        sa.Column("entity", sa.String(length=80), nullable=True),
        sa.Column("incident", sa.String(length=80), nullable=True),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=True),
        sa.Column(
            "fingerprint", sa.LargeBinary(length=32), nullable=True, comment="Of the set of signals; empty once erased"
        ),
        sa.Column("standing", sa.String(length=16), nullable=False),
        sa.Column("announced", sa.String(length=16), nullable=False, comment="The status that the log last told"),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.Column("withdrawal_reason", sa.String(length=64), nullable=True),
        sa.Column("erased_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_contributions_member_id"),
        sa.PrimaryKeyConstraint("id", name="pk_contributions"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_contributions_announced_expires_at", "contributions", ["announced", "expires_at"], unique=False)
    op.create_index(
        "ix_contributions_member_id_fingerprint", "contributions", ["member_id", "fingerprint"], unique=False
    )
    op.create_index(
        "ix_contributions_member_id_received_at", "contributions", ["member_id", "received_at"], unique=False
    )

    op.create_table(
        "keys",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", _IDENTITY, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False, comment="SHA-256 of the secret"),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column(
            "feed_read_on", sa.String(length=10), nullable=True, comment="The last day (UTC) on which it read the feed"
        ),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_keys_member_id"),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("digest", name="uq_keys_digest"),
    )
    op.create_index("ix_keys_member_id", "keys", ["member_id"], unique=False)

    op.create_table(
        "requests",
        sa.Column("member_id", _IDENTITY, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False, comment="The Idempotency-Key"),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False, comment="SHA-256 of the request"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False, comment="The ids that were answered, never the body"),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_requests_member_id"),
        sa.PrimaryKeyConstraint("member_id", "key", name="pk_requests"),
    )
    op.create_index("ix_requests_at", "requests", ["at"], unique=False)

    op.create_table(
        "amendments",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("contribution_id", _IDENTITY, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False, comment="The old values of the fields that were changed"),
        sa.ForeignKeyConstraint(["contribution_id"], ["contributions.id"], name="fk_amendments_contribution_id"),
        sa.PrimaryKeyConstraint("id", name="pk_amendments"),
    )
    op.create_index("ix_amendments_contribution_id", "amendments", ["contribution_id"], unique=False)

    op.create_table(
        "signals",
        sa.Column("contribution_id", _IDENTITY, nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("algorithm", sa.String(length=16), nullable=False),
        sa.Column("value", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["contribution_id"], ["contributions.id"], name="fk_signals_contribution_id"),
        sa.PrimaryKeyConstraint("contribution_id", "position", name="pk_signals"),
    )
    op.create_index(
        "ix_signals_algorithm_value_contribution_id", "signals", ["algorithm", "value", "contribution_id"], unique=False
    )
    log = sa.table("log", sa.column("id"), sa.column("seq"), sa.column("at"), sa.column("epoch"))
    op.execute(log.insert().values(id=1, seq=0, at=0, epoch=secrets.token_hex(16)))
