"""Commitments to signals, the tree over all contributions that match, and signatures of witnesses and organisations."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_LACKING = sa.text("commitment IS NULL AND withdrawn_at IS NULL")
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the columns and the tables. A task commits to the contributions that there are."""
    op.add_column(
        "contributions",
        sa.Column("salt", sa.LargeBinary(16), comment="Of its commitment; empty once it is erased"),
    )
    op.add_column(
        "contributions",
        sa.Column(
            "commitment", sa.LargeBinary(32), comment="To its signals, as the log has it; empty until the log has it"
        ),
    )
    op.create_index("ix_contributions_id", "contributions", ["id"], sqlite_where=_LACKING, postgresql_where=_LACKING)
    op.create_table(
        "cosignatures",
        sa.Column("size", _ID, nullable=False),
        sa.Column("witness", sa.String(300), nullable=False, comment="The name and the id of its key"),
        sa.Column("line", sa.Text(), nullable=False, comment="The line of its signature in the note"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["size"], ["checkpoints.size"], name="fk_cosignatures_size"),
        sa.PrimaryKeyConstraint("size", "witness", name="pk_cosignatures"),
        comment="Of the stored checkpoints, by witnesses.",
    )
    op.create_table(
        "witness_states",
        sa.Column("witness", sa.String(300), nullable=False, comment="As in cosignatures"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="Of the last checkpoint that it cosigned"),
        sa.Column("at", sa.BigInteger(), comment="When it did"),
        sa.Column("next_at", sa.BigInteger(), nullable=False, comment="Until then, no process asks it"),
        sa.Column("failing_since", sa.BigInteger()),
        sa.Column("trouble", sa.String(300), comment="Why the last attempt failed"),
        sa.Column("refused", sa.Boolean(), nullable=False, comment="It says that the log does not only grow"),
        sa.PrimaryKeyConstraint("witness", name="pk_witness_states"),
        comment="What the service knows of each witness.",
    )
    op.create_table(
        "set_blocks",
        sa.Column("level", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("number", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False, comment="256 nodes of the tree"),
        sa.PrimaryKeyConstraint("level", "number", name="pk_set_blocks"),
        comment="The tree over all contributions that match, as of the last event that records its root.",
    )
    op.create_table(
        "set_states",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="The last event that the blocks have"),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False, comment="Contributions that match"),
        sa.PrimaryKeyConstraint("id", name="pk_set_states"),
        comment="One row: of the tree in set_blocks.",
    )
    op.create_table(
        "set_signatures",
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=False, comment="The event of the root"),
        sa.Column("organisation", sa.String(300), nullable=False, comment="The name and the id of its key"),
        sa.Column("line", sa.Text(), nullable=False, comment="The line of its signature in the note"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", "organisation", name="pk_set_signatures"),
        comment="Of the roots of the set, by organisations.",
    )
