"""Requests that are answered later, such as those with long videos."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "answer_jobs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("touched_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("percent", sa.SmallInteger(), autoincrement=False, nullable=False, comment="The share that is done"),
        sa.Column("text", sa.Text(), comment="The answer or the error, encrypted by the secret of the key that asked"),
        sa.PrimaryKeyConstraint("id", name="pk_answer_jobs"),
        comment="Requests that are answered later, kept for an hour.",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_answer_jobs_touched_at", "answer_jobs", ["touched_at"])
