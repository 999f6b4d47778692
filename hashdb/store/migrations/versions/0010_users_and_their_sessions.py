"""Users of the console, their sessions, the sign-ins that failed, and verifications of the log."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0005"
branch_labels = None
depends_on = None

_IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "users",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column(
            "password",
            sa.Text(),
            nullable=True,
            comment="Argon2id, with its salt and costs; empty where only a provider signs in",
        ),
        sa.Column("provisional", sa.Boolean(), nullable=False, comment="The password was chosen by another"),
        sa.Column("secret", sa.String(length=64), nullable=True, comment="Of the second factor (RFC 6238)"),
        sa.Column("step", sa.BigInteger(), nullable=False, comment="The last step of the second factor that was used"),
        sa.Column("recovery", sa.Text(), nullable=False, comment="SHA-256 of the recovery codes that are left"),
        sa.Column(
            "subject",
            sa.String(length=255),
            nullable=True,
            comment="By which name the provider knows the user, since the first sign-in",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("user_id", _IDENTITY, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False, comment="SHA-256 of the secret"),
        sa.Column("complete", sa.Boolean(), nullable=False, comment="False while the second factor is outstanding"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("digest", name="uq_sessions_digest"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "tries",
        sa.Column(
            "digest", sa.LargeBinary(length=32), nullable=False, comment="SHA-256 of a user's name or an address"
        ),
        sa.Column("kind", sa.String(length=16), nullable=False, comment="user or address"),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_tries"),
        comment="Sign-ins that failed within a day.",
    )
    op.create_index("ix_tries_last", "tries", ["last"])
    op.create_table(
        "verifications",
        sa.Column("id", _IDENTITY, nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="Events of the log when it began"),
        sa.Column("done", sa.BigInteger(), nullable=False, comment="Events that were read"),
        sa.Column("outcome", sa.String(length=16), nullable=True, comment="Empty while it goes on"),
        sa.Column("checkpoints", sa.BigInteger(), nullable=False, comment="Signed checkpoints that agreed"),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_verifications"),
        comment="Of the log, asked for in the console.",
    )
