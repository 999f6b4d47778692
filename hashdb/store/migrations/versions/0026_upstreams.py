"""Other services whose lists this one follows, and the origins of what came from them."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "upstreams",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("member_id", _ID, nullable=False),
        sa.Column("url", sa.String(1000), nullable=False),
        sa.Column("secret", sa.String(200), nullable=False, comment="As it is: the key with which its feed is read"),
        sa.Column("log", sa.String(255), nullable=False, comment="The name of its log, and the hash of its first key"),
        sa.Column("epoch", sa.String(64), comment="Of its log, as last read"),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="The last event of its log that was read"),
        sa.Column("round", sa.Integer(), nullable=False, comment="How often its list was read from the beginning"),
        sa.Column("rereading", sa.Boolean(), nullable=False, comment="Whether such a round has not ended"),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("judges", sa.Boolean(), nullable=False, comment="Whether the key may give opinions"),
        sa.Column("judged", sa.BigInteger(), nullable=False, comment="The last own event whose opinion was sent back"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "next_at", sa.BigInteger(), nullable=False, comment="The next look; during one, when it is taken for lost"
        ),
        sa.Column("caught_up_at", sa.BigInteger(), comment="When nothing was left to read, last"),
        sa.Column("failing_since", sa.BigInteger()),
        sa.Column("failures", sa.Integer(), nullable=False, comment="In a row"),
        sa.Column("trouble", sa.String(32), comment="Why the last look failed"),
        sa.Column("refused", sa.Text(), nullable=False, comment="How many were refused in this round, by field"),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_upstreams_member_id_members"),
        sa.PrimaryKeyConstraint("id", name="pk_upstreams"),
        sa.UniqueConstraint("member_id", name="uq_upstreams_member_id"),
        comment="Other services whose lists this one follows.",
        sqlite_autoincrement=True,
    )
    op.create_table(
        "origins",
        sa.Column("contribution_id", _ID, autoincrement=False, nullable=False),
        sa.Column("upstream_id", sa.BigInteger(), nullable=False, comment="It may be gone"),
        sa.Column(
            "remote_id",
            sa.BigInteger(),
            comment="Its number at the upstream; empty once this one no longer stands for it",
        ),
        sa.Column(
            "log", sa.String(255), nullable=False, comment="Where it was first contributed, as the upstream says"
        ),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="Its number there"),
        sa.Column("member", sa.BigInteger(), nullable=False, comment="The number of its member there"),
        sa.Column("standing", sa.String(16), nullable=False, comment="What the upstream's standing sets here"),
        sa.Column("round", sa.Integer(), nullable=False, comment="The last round in which it was read"),
        sa.ForeignKeyConstraint(
            ["contribution_id"], ["contributions.id"], name="fk_origins_contribution_id_contributions"
        ),
        sa.PrimaryKeyConstraint("contribution_id", name="pk_origins"),
        comment="Contributions that came from an upstream.",
    )
    op.create_index("ix_origins_upstream_id_remote_id", "origins", ["upstream_id", "remote_id"], unique=True)
