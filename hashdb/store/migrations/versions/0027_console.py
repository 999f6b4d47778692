"""What a team of reviewers keeps in the console."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None
_DECIDED = sa.text("decided_at IS NOT NULL")
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_OTHER_MEDIA = sa.text("media <> 'image' AND media <> 'video_frame'")
_OPEN = sa.text("decision IS NULL")


def upgrade() -> None:
    """Make the tables."""
    op.create_index(
        "ix_cases_decided_at_id", "cases", ["decided_at", "id"], sqlite_where=_DECIDED, postgresql_where=_DECIDED
    )
    op.create_index(
        "ix_contributions_media", "contributions", ["media"], sqlite_where=_OTHER_MEDIA, postgresql_where=_OTHER_MEDIA
    )
    _make_batches()
    _extend_cases()
    _report_due_cases()
    _make_saved_views()


def _make_batches() -> None:
    # A batch looks for the same proposal at each of its items.
    op.create_index("ix_proposals_subject_kind_subject_id", "proposals", ["subject_kind", "subject_id"])
    op.create_table(
        "batches",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("picks", sa.String(16), nullable=False, comment="What its items are"),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("choices", sa.Text(), nullable=False, comment="The code of the reason, and the expiry"),
        sa.Column(
            "note", sa.Text(), nullable=False, comment="The reason as a text; empty once it has ended: each case has it"
        ),
        sa.Column("undoes", sa.BigInteger(), comment="The batch that it takes back"),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("begun_at", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
        comment="One act on many rows that a user selected.",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_batches_state", "batches", ["state"])
    op.create_table(
        "batch_items",
        sa.Column("batch_id", _ID, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "subject", sa.BigInteger(), nullable=False, comment="The id of the row; to undo: the position of the item"
        ),
        sa.Column("outcome", sa.String(16), comment="Empty until it is done"),
        sa.Column("why", sa.String(64), comment="Why it did not change"),
        sa.Column("made", sa.String(40), comment="On what it was done, as kind:id"),
        sa.Column("before", sa.Text(), comment="What an undo needs"),
        sa.Column("at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_batch_items_batch_id_batches"),
        sa.PrimaryKeyConstraint("batch_id", "position", name="pk_batch_items"),
        comment="The items of a batch: each is done in the transaction that writes its outcome.",
    )


def _extend_cases() -> None:
    """Who opened a case, who has taken it, and what reviewers note for each other."""
    op.add_column(
        "cases",
        sa.Column(
            "opener",
            sa.BigInteger(),
            comment="Whose opinion opened it; the contributor, if it follows a case or is near a retired one",
        ),
    )
    op.execute(
        "UPDATE cases SET opener = CASE WHEN reason = 'near_retired' OR follows IS NOT NULL"
        " THEN (SELECT member_id FROM contributions WHERE contributions.id = cases.contribution_id)"
        " ELSE (SELECT member_id FROM opinions WHERE opinions.case_id = cases.id ORDER BY opinions.id LIMIT 1) END"
        " WHERE decision IS NULL"
    )
    op.create_index("ix_cases_due_at_id", "cases", ["due_at", "id"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_index("ix_cases_opener", "cases", ["opener"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_table(
        "case_claims",
        sa.Column("case_id", _ID, autoincrement=False, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False, comment="When its page was last used"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_case_claims_case_id_cases"),
        sa.PrimaryKeyConstraint("case_id", name="pk_case_claims"),
        comment="Open cases that a reviewer has taken; a row counts until it was idle for too long.",
    )
    op.create_index("ix_case_claims_actor", "case_claims", ["actor"])
    op.create_table(
        "case_notes",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("proposal", sa.BigInteger(), comment="The proposal whose reason it is"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_case_notes_case_id_cases"),
        sa.PrimaryKeyConstraint("id", name="pk_case_notes"),
        comment="What reviewers note for each other; deleted once the contribution is erased.",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_case_notes_case_id", "case_notes", ["case_id"])


def _report_due_cases() -> None:
    op.add_column(
        "webhooks",
        sa.Column(
            "reports_due",
            sa.Boolean(),
            comment="The topic case.due: version 0.1.0 fails on a topic that it does not know",
        ),
    )
    op.create_table(
        "due_notices",
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False, comment="webhook or user"),
        sa.Column("recipient", sa.BigInteger(), autoincrement=False, nullable=False, comment="Its number"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_due_notices_case_id_cases"),
        sa.PrimaryKeyConstraint("case_id", "kind", "recipient", name="pk_due_notices"),
        comment="To whom it was reported that an open case is due soon.",
    )
    op.create_table(
        "mail_addresses",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column(
            "address", sa.String(254), nullable=False, comment="As it is: where the user gets mail on cases due soon"
        ),
        sa.Column(
            "attempts",
            sa.SmallInteger(),
            nullable=False,
            comment="That failed since the last mail was sent or given up",
        ),
        sa.Column("next_at", sa.BigInteger(), comment="The next attempt; during one, when it is taken for lost"),
        sa.Column("sent_at", sa.BigInteger(), comment="When the server last accepted a mail"),
        sa.Column("trouble", sa.String(32), comment="Why the last attempt failed"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_mail_addresses_user_id_users"),
        sa.PrimaryKeyConstraint("user_id", name="pk_mail_addresses"),
        comment="Where users get mail.",
    )


def _make_saved_views() -> None:
    op.create_table(
        "saved_views",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("page", sa.String(32), nullable=False, comment="The list of the console"),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column(
            "query", sa.Text(), nullable=False, comment="The filter and the order, as in the address of the list"
        ),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_saved_views_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_saved_views"),
        comment="Filters of lists that users of the console keep under a name.",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_saved_views_user_id_page_name", "saved_views", ["user_id", "page", "name"], unique=True)
