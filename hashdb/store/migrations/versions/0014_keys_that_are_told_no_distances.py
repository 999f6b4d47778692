"""Keys to which matches are answered without how close they are."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column(
        "keys",
        sa.Column(
            "hides_distances",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="Whether matches are answered to it without how close they are",
        ),
    )
