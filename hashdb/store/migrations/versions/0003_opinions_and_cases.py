"""Opinions on contributions, and the cases that reviewers decide."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "cases",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("contribution_id", _IDENTITY, nullable=False),
        sa.Column(
            "reason",
            sa.String(length=64),
            nullable=False,
            comment="Of the dispute that opened it, or another cause",
        ),
        sa.Column("holds", sa.Boolean(), nullable=False, comment="The contribution is quarantined while it is open"),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=True),
        sa.Column("note", sa.Text(), nullable=True, comment="Of the decision; empty once the contribution is erased"),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=True, comment="An actor"),
        sa.ForeignKeyConstraint(["contribution_id"], ["contributions.id"], name="fk_cases_contribution_id"),
        sa.PrimaryKeyConstraint("id", name="pk_cases"),
    )
    op.create_index("ix_cases_contribution_id", "cases", ["contribution_id"])
    op.create_index("ix_cases_decision_id", "cases", ["decision", "id"])
    op.create_table(
        "opinions",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("contribution_id", _IDENTITY, nullable=False),
        sa.Column("member_id", _IDENTITY, nullable=False),
        sa.Column("opinion", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("note", sa.Text(), nullable=True, comment="Empty once the contribution is erased"),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("case_id", _IDENTITY, nullable=True, comment="The one that was open then, or that it opened"),
        sa.Column("replaced", sa.Boolean(), nullable=False, comment="By a later one of its member"),
        sa.Column(
            "silent",
            sa.Boolean(),
            nullable=False,
            comment="The standing that was told counts its member as suspended",
        ),
        sa.ForeignKeyConstraint(["contribution_id"], ["contributions.id"], name="fk_opinions_contribution_id"),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_opinions_member_id"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_opinions_case_id"),
        sa.PrimaryKeyConstraint("id", name="pk_opinions"),
    )
    op.create_index("ix_opinions_case_id", "opinions", ["case_id"])
    op.create_index("ix_opinions_contribution_id_id", "opinions", ["contribution_id", "id"])
    op.create_index("ix_opinions_member_id_replaced_silent", "opinions", ["member_id", "replaced", "silent"])
