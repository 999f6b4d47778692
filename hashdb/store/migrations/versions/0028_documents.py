"""Documents, texts and addresses: frames that are pages and windows of words."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_COMMENTS = (
    ("contributions", "frame_count", "Of an item whose frames were sent: a video, document or text"),
    ("shots", "start", "Where its first frame is: milliseconds, or thousandths of the unit"),
    ("shots", "end", "Where its last frame ends, as `start`"),
    ("shots", "more", "JSON: the frames of a video that are not searched for, each with its time, quality and signals"),
)


def upgrade() -> None:
    """Make the columns. SQLite has one type for all integers."""
    op.add_column(
        "shots",
        sa.Column("unit", sa.String(8), comment="`pages` or `words`; none: seconds"),
    )
    op.add_column("contributions", sa.Column("pages", sa.Integer(), comment="Of a document whose pages were sent"))
    op.add_column("contributions", sa.Column("words", sa.Integer(), comment="Of a text whose windows were sent"))
    op.create_table(
        "benign_text_signals",
        sa.Column("benign_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("value", sa.LargeBinary(32), nullable=False),
        sa.Column("radius", sa.SmallInteger(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False, comment="Whether all texts that it touches are masked"),
        sa.ForeignKeyConstraint(["benign_id"], ["benign.id"], name="fk_benign_text_signals_benign_id"),
        sa.PrimaryKeyConstraint("benign_id", "position", name="pk_benign_text_signals"),
        comment="The benign signals of texts, which version 0.1.0 does not know.",
    )
    op.create_table(
        "text_masks",
        sa.Column("contribution_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("value", sa.LargeBinary(32), nullable=False),
        sa.Column("benign_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["benign_id"], ["benign.id"], name="fk_text_masks_benign_id"),
        sa.ForeignKeyConstraint(["contribution_id"], ["contributions.id"], name="fk_text_masks_contribution_id"),
        sa.PrimaryKeyConstraint("contribution_id", "position", name="pk_text_masks"),
        comment="As masks, of the signals of texts: out of the table of digests.",
    )
    op.create_index("ix_text_masks_benign_id_contribution_id", "text_masks", ["benign_id", "contribution_id"])
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("digests", "position", type_=sa.Integer(), comment="As in signals")
        op.create_table_comment(
            "digests",
            "Signals of texts, of addresses and of files: version 0.1.0 fails on an algorithm that it does not know.",
        )
        op.create_table_comment(
            "shots",
            "A page; a window of words; or near-duplicate frames of a video in a row: the first one is searched for.",
        )
        for table, column, comment in _COMMENTS:
            op.alter_column(table, column, comment=comment)
