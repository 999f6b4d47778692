"""Fingerprints of the sets of signals that a contribution has had since its member added to it."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "fingerprints",
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("contribution_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["contribution_id"], ["contributions.id"], name="fk_fingerprints_contribution_id_contributions"
        ),
        sa.PrimaryKeyConstraint("fingerprint", "contribution_id", name="pk_fingerprints"),
        comment="Of further sets of signals: what a member sent to add to a contribution, and what this has since.",
    )
    op.create_index("ix_fingerprints_contribution_id", "fingerprints", ["contribution_id"])
