"""Budgets: what keys have used of them, and by how much they are wider for a member."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the column."""
    op.create_table(
        "spent",
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("budget", sa.String(length=32), nullable=False),
        sa.Column("renews_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "budget", "renews_at", name="pk_spent"),
        comment="What actors have used of their budgets; a row is deleted once its budget has renewed.",
    )
    op.add_column(
        "members",
        sa.Column(
            "budget_factor",
            sa.Integer(),
            nullable=False,
            server_default="1",
            comment="By how much the budgets of its keys are wider than everybody's",
        ),
    )
