"""Orders and filters of the console's list, and the figures that follow the log."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the indexes and tables; the figures are counted in the background, from the first event on."""
    for columns in (["received_at", "id"], ["removed_at", "id"], ["severity", "id"]):
        op.create_index(f"ix_contributions_{'_'.join(columns)}", "contributions", columns)
    _partial("ix_contributions_standing_received_at", ["standing", "received_at"], "standing <> 'unreviewed'")
    _partial(
        "ix_contributions_reference",
        ["reference"],
        "reference IS NOT NULL",
        {"reference": "text_pattern_ops"},
    )
    op.create_table(
        "figures_by_day",
        sa.Column("day", sa.String(length=10), nullable=False, comment="UTC"),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("member", sa.BigInteger(), nullable=False, autoincrement=False, comment="0 is all together"),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "what", "member", name="pk_figures_by_day"),
        comment=(
            "Counted from the log: the figures of the console. Emptied together with `followed`, they are made anew."
        ),
    )
    op.create_table(
        "figures_in_all",
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("member", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("what", "member", name="pk_figures_in_all"),
    )
    followed = op.create_table(
        "followed",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="The last event that the figures have counted"),
        sa.PrimaryKeyConstraint("id", name="pk_followed"),
    )
    op.bulk_insert(followed, [{"id": 1, "seq": 0}])


def _partial(name: str, columns: list[str], condition: str, ops: dict[str, str] | None = None) -> None:
    where = sa.text(condition)
    op.create_index(
        name, "contributions", columns, sqlite_where=where, postgresql_where=where, postgresql_ops=ops or {}
    )
