"""Which signals of a retired contribution hold others, and which case a case continues."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    shadow = "Of a decision to retire: the places of the signals that hold others; empty where 0.1.0 decided"
    follows = "The case on an earlier contribution of the same member that this one continues"
    op.add_column("cases", sa.Column("shadow", sa.Text(), nullable=True, comment=shadow))
    op.add_column("cases", sa.Column("follows", sa.BigInteger(), nullable=True, comment=follows))
