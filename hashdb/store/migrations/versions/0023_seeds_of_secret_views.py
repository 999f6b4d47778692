"""The seeds from which the windows of secret views are drawn."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "seeds",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column(
            "octets",
            sa.LargeBinary(length=32),
            comment="As it is: members draw secret views from it; empty once retired",
        ),
        sa.Column("made_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("retired_at", sa.BigInteger(), autoincrement=False),
        sa.PrimaryKeyConstraint("id", name="pk_seeds"),
        comment="The secrets from which the windows of secret views are drawn.",
        sqlite_autoincrement=True,
    )
