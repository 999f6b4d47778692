"""Which provider knows a user by the subject."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; it is filled at the next sign-in."""
    comment = "The provider that knows the user by this subject"
    op.add_column("users", sa.Column("issuer", sa.Text(), nullable=True, comment=comment))
