"""Counts by day, hits, and the refusals that no event tells of yet."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "counts",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("member", sa.BigInteger(), autoincrement=False, nullable=False, comment="0 where none is known"),
        sa.Column("algorithm", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "kind", "member", "algorithm", "outcome", name="pk_counts"),
        comment="A day that is over is sealed by an event with the digest of its counts.",
    )
    op.create_table(
        "hits",
        sa.Column("member", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("contribution", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="The event with which the first answer was level"),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("distance", sa.Text(), nullable=False, comment="By algorithm, of the first"),
        sa.PrimaryKeyConstraint("member", "contribution", "day", name="pk_hits"),
    )
    op.create_index("ix_hits_contribution", "hits", ["contribution"])
    op.create_table(
        "refusals",
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("reason", name="pk_refusals"),
        comment="Requests without a valid key that no event tells of yet.",
    )
