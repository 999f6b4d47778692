"""Signatures of pictures, which are compared and never searched."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "signatures",
        sa.Column("contribution_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contribution_id"], ["contributions.id"], name="fk_signatures_contribution_id_contributions"
        ),
        sa.PrimaryKeyConstraint("contribution_id", "position", name="pk_signatures"),
        comment="Of pictures: compared and never searched. Version 0.1.0 fails on a signal that it does not know.",
    )
