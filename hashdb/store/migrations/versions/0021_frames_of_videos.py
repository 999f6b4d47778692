"""Videos: shots, digests, and positions of signals past 32,767."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and the columns. SQLite has one type for all integers."""
    op.create_table(
        "shots",
        sa.Column("contribution_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", sa.Integer(), nullable=False, comment="Milliseconds, the time of its first frame"),
        sa.Column("end", sa.Integer(), nullable=False, comment="Milliseconds, the time of its last frame"),
        sa.Column("quality", sa.SmallInteger(), comment="Of its first frame"),
        sa.Column(
            "more",
            sa.Text(),
            comment="JSON: the frames that are not searched for, each with its time, quality and signals",
        ),
        sa.ForeignKeyConstraint(
            ["contribution_id"], ["contributions.id"], name="fk_shots_contribution_id_contributions"
        ),
        sa.PrimaryKeyConstraint("contribution_id", "number", name="pk_shots"),
        comment="Frames of a video, next to each other, that are near-duplicates: only the first one is searched for.",
    )
    op.create_table(
        "digests",
        sa.Column("contribution_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("value", sa.LargeBinary(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["contribution_id"], ["contributions.id"], name="fk_digests_contribution_id_contributions"
        ),
        sa.PrimaryKeyConstraint("contribution_id", "position", name="pk_digests"),
        comment="The signals that are digests of files: version 0.1.0 fails on an algorithm that it does not know.",
    )
    op.create_index("ix_digests_algorithm_value_contribution_id", "digests", ["algorithm", "value", "contribution_id"])
    op.add_column("contributions", sa.Column("frame_count", sa.Integer(), comment="Of a video whose frames were sent"))
    op.add_column("contributions", sa.Column("duration", sa.Integer(), comment="Milliseconds of the video"))
    if op.get_context().dialect.name == "postgresql":
        comment = "Of a frame's signal: 64 x (1 + number of its shot) + place"
        op.alter_column("signals", "position", type_=sa.Integer(), comment=comment)
        op.alter_column("masks", "position", type_=sa.Integer())
