"""The schema of version 0.1.0, from which the first upgrade starts."""

revision = "0015"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do nothing: `migrate` creates the tables of an empty database in their newest form."""
