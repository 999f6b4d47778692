"""The last failure of each background task, for the console of every worker."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "task_errors",
        sa.Column("task", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "text", sa.String(length=300), nullable=False, comment="The class of the error and its place in the code"
        ),
        sa.PrimaryKeyConstraint("task", name="pk_task_errors"),
        comment="The last failure of each background task.",
    )
