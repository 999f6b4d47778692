"""Erasures whose signals are kept until readers of other systems are told that they are withdrawn."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "erasures",
        sa.Column("contribution_id", _IDENTITY, autoincrement=False, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False, comment="From then on its signals are not kept"),
        sa.ForeignKeyConstraint(["contribution_id"], ["contributions.id"], name="fk_erasures_contribution_id"),
        sa.PrimaryKeyConstraint("contribution_id", name="pk_erasures"),
        comment="What is erased but for its signals, by which other systems are told that they are withdrawn.",
    )
    op.create_index("ix_erasures_due_at", "erasures", ["due_at"])
