"""Webhooks of members, and what is delivered to them."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "webhooks",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("member_id", _IDENTITY, nullable=False),
        sa.Column("url", sa.String(length=1000), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False, comment="As it is: it signs what is delivered"),
        sa.Column("before", sa.String(length=64), comment="The secret before, until `overlap_until`"),
        sa.Column("overlap_until", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), comment="Nothing has arrived since; empty while all does"),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_webhooks_member_id"),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhooks_member_id", "webhooks", ["member_id"])
    op.create_table(
        "webhook_topics",
        sa.Column("webhook_id", _IDENTITY, nullable=False),
        sa.Column("topic", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="The last event of which deliveries were made"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name="fk_webhook_topics_webhook_id"),
        sa.PrimaryKeyConstraint("webhook_id", "topic", name="pk_webhook_topics"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("webhook_id", _IDENTITY, nullable=False),
        sa.Column(
            "message", sa.String(length=40), nullable=False, comment="By which the receiver tells what it has had"
        ),
        sa.Column("topic", sa.String(length=32), nullable=False),
        sa.Column("data", sa.Text(), nullable=False, comment="Ids and numbers"),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column(
            "next_at", sa.BigInteger(), comment="The next attempt; while one is under way, when it is taken for lost"
        ),
        sa.Column("tried_at", sa.BigInteger()),
        sa.Column("status", sa.SmallInteger(), comment="That was answered last"),
        sa.Column("ms", sa.Integer()),
        sa.Column("trouble", sa.String(length=32)),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name="fk_deliveries_webhook_id"),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deliveries_webhook_id_id", "deliveries", ["webhook_id", "id"])
    waiting = sa.text("outcome = 'waiting'")
    op.create_index(
        "ix_deliveries_webhook_id_next_at",
        "deliveries",
        ["webhook_id", "next_at"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
