"""The tree over the events, the keys that sign its checkpoints, and the checkpoints."""

import sqlalchemy as sa
from alembic import op

from hashdb.domain.ledger import merkle
from hashdb.store.repositories import insert_rows

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BLOCK = 16_384


def upgrade() -> None:
    """Make the tables, and the tree over the events that there are."""
    nodes = op.create_table(
        "nodes",
        sa.Column("number", _IDENTITY, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column(
            "left", sa.LargeBinary(length=32), nullable=True, comment="The left one of the two leaves directly below it"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_nodes"),
        comment="The inner nodes of the tree over the events, in the order in which they were completed.",
    )
    op.create_table(
        "signers",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False, comment="The log's origin"),
        sa.Column("public", sa.LargeBinary(length=32), nullable=False, comment="The public half of its key"),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_signers"),
        sa.UniqueConstraint("public", name="uq_signers_public"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", _IDENTITY, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False, comment="Signed"),
        sa.PrimaryKeyConstraint("size", name="pk_checkpoints"),
    )
    with op.batch_alter_table("log") as batch:
        batch.add_column(
            sa.Column(
                "peaks",
                sa.LargeBinary(),
                nullable=True,
                comment="Hashes of the complete subtrees over all events, largest first",
            )
        )
    log = sa.table("log", sa.column("peaks", sa.LargeBinary()))
    op.execute(log.update().values(peaks=b"".join(_filled(nodes))))
    with op.batch_alter_table("log") as batch:
        batch.alter_column("peaks", existing_type=sa.LargeBinary(), nullable=False)


def _filled(nodes: sa.Table) -> list[bytes]:
    """Write the inner nodes over the events, block by block; return the peaks."""
    connection = op.get_bind()
    events = sa.table("events", sa.column("seq"), sa.column("leaf", sa.LargeBinary()))
    edge: list[bytes] = []
    size = 0
    while True:
        query = sa.select(events.c.leaf).where(events.c.seq > size).order_by(events.c.seq).limit(_BLOCK)
        leaves = connection.scalars(query).all()
        inner, edge = merkle.grow(size, edge, leaves)
        first = merkle.inner_nodes(size) + 1
        rows = [{"number": first + i, "hash": node.hash, "left": node.left} for i, node in enumerate(inner)]
        insert_rows(connection, nodes, rows)
        size += len(leaves)
        if len(leaves) < _BLOCK:
            return edge
