"""Reports that the console makes in the background, and when keys were last used."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "commissions",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("first", sa.String(length=10), nullable=False, comment="UTC"),
        sa.Column("last", sa.String(length=10), nullable=False),
        sa.Column("member", sa.BigInteger(), nullable=True, comment="Empty: of all"),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="Events of the log when it began"),
        sa.Column("done", sa.BigInteger(), nullable=False, comment="Events that were read"),
        sa.Column("outcome", sa.String(length=16), nullable=True, comment="Empty while it goes on"),
        sa.Column("text", sa.Text(), nullable=True, comment="The report, once it is made"),
        sa.PrimaryKeyConstraint("id", name="pk_commissions"),
        comment="Reports that were asked for in the console.",
        sqlite_autoincrement=True,
    )
    op.create_table(
        "key_uses",
        sa.Column("key_id", _IDENTITY, autoincrement=False, nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False, comment="Last, to the minute"),
        sa.Column("fed_at", sa.BigInteger(), nullable=True, comment="When it last read the feed, to the minute"),
        sa.Column(
            "fed_seq", sa.BigInteger(), nullable=True, comment="The number of the log that the feed gave it then"
        ),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name="fk_key_uses_key_id"),
        sa.PrimaryKeyConstraint("key_id", name="pk_key_uses"),
    )
