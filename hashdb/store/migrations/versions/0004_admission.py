"""Benign signals and what they mask, incidents, retention, and proposals that wait for a second person."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables; what a member asked as the expiry of its contribution is from now on kept apart."""
    _benign()
    op.create_table(
        "incidents",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("label", sa.String(length=80), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=True),
        sa.Column("expires", sa.Boolean(), nullable=False, comment="Whether its contributions expire at its end"),
        sa.Column("settled", sa.Boolean(), nullable=False, comment="Whether its contributions go by it"),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
        sa.UniqueConstraint("label", name="uq_incidents_label"),
    )
    op.create_table(
        "retention",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("days", sa.Text(), nullable=False, comment="Days by label"),
        sa.Column(
            "after", sa.BigInteger(), nullable=True, comment="The last contribution that goes by it; empty: all do"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_retention"),
        comment="One row: the retention in force, and how far the contributions go by it.",
    )
    op.create_table(
        "proposals",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("act", sa.String(length=64), nullable=False),
        sa.Column("subject_kind", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False, comment="What was asked"),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False, comment="Who is not to be the second one"),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_proposals"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "recent_hits",
        sa.Column("contribution", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member", sa.BigInteger(), autoincrement=False, nullable=False, comment="0 where it is not kept"),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="The beginning of five minutes"),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("contribution", "member", "since", name="pk_recent_hits"),
        comment="Hits of the last hour, for the flood guard; empty where there is no cap.",
    )
    op.create_index("ix_recent_hits_since", "recent_hits", ["since"])
    op.add_column(
        "contributions",
        sa.Column("own_expiry", sa.BigInteger(), nullable=True, comment="The expires_at that its member asked for"),
    )
    table = sa.table("contributions", sa.column("own_expiry"), sa.column("expires_at"))
    op.execute(table.update().where(table.c.expires_at.is_not(None)).values(own_expiry=table.c.expires_at))
    labelled = sa.text("incident IS NOT NULL")
    op.create_index(
        "ix_contributions_incident", "contributions", ["incident"], sqlite_where=labelled, postgresql_where=labelled
    )


def _benign() -> None:
    op.create_table(
        "benign",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("built_in", sa.String(length=80), nullable=True, comment="Its name in the list of hashdb itself"),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column(
            "settled", sa.Boolean(), nullable=False, comment="Whether all it touches is masked, or nothing once deleted"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_benign"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "benign_signals",
        sa.Column("benign_id", _IDENTITY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("algorithm", sa.String(length=16), nullable=False),
        sa.Column("value", sa.LargeBinary(length=32), nullable=False),
        sa.Column("radius", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["benign_id"], ["benign.id"], name="fk_benign_signals_benign_id"),
        sa.PrimaryKeyConstraint("benign_id", "position", name="pk_benign_signals"),
    )
    op.create_table(
        "masks",
        sa.Column("contribution_id", _IDENTITY, nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("algorithm", sa.String(length=16), nullable=False),
        sa.Column("value", sa.LargeBinary(length=32), nullable=False),
        sa.Column("benign_id", _IDENTITY, nullable=False),
        sa.ForeignKeyConstraint(["contribution_id"], ["contributions.id"], name="fk_masks_contribution_id"),
        sa.ForeignKeyConstraint(["benign_id"], ["benign.id"], name="fk_masks_benign_id"),
        sa.PrimaryKeyConstraint("contribution_id", "position", name="pk_masks"),
        comment="Signals that match nothing because they are close to a benign one: out of the table of signals.",
    )
    op.create_index("ix_masks_benign_id_contribution_id", "masks", ["benign_id", "contribution_id"], unique=False)
