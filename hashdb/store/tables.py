"""The tables, all of them. A change here needs a migration (a test compares them).

Version 0.1.0 may run on the same database during an upgrade. So what it does not know is in tables and columns that it
does not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from hashdb.domain.signals import Algorithm
from hashdb.store.columns import CodesColumn, DayColumn, IdColumn, InstantColumn, JsonColumn, SecondsColumn

LONGEST_TEXT = 300
"""The most characters that are stored of a background task's failure."""


def _partial(condition: str, *columns: str, ops: dict[str, str] | None = None) -> Index:
    """An index over the rows that meet a condition."""
    where = text(condition)
    return Index(None, *columns, sqlite_where=where, postgresql_where=where, postgresql_ops=ops or {})


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _table(name: str, *columns: SchemaItem, **options: Any) -> Table:
    """A table of the schema."""
    return Table(name, metadata, *columns, **options)


log = _table(
    "log",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", InstantColumn, nullable=False),
    Column("epoch", String(32), nullable=False),
    Column(
        "peaks", LargeBinary, nullable=False, comment="Hashes of the complete subtrees over all events, largest first"
    ),
    comment="One row: the number and time of the last event. Who holds it appends next.",
)

events = _table(
    "events",
    Column("seq", IdColumn, primary_key=True, autoincrement=False),
    Column("at", InstantColumn, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject_kind", String(32), nullable=False),
    Column("subject_id", BigInteger, nullable=False),
    Column("details", JsonColumn, nullable=False),
    Column("leaf", LargeBinary(32), nullable=False),
    Index(None, "subject_kind", "subject_id", "seq"),
    Index(None, "actor", "seq"),
)

nodes = _table(
    "nodes",
    Column("number", IdColumn, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("left", LargeBinary(32), comment="The left one of the two leaves directly below it"),
    comment="The inner nodes of the tree over the events, in the order in which they were completed.",
)

signers = _table(
    "signers",
    Column("id", IdColumn, primary_key=True),
    Column("name", String(200), nullable=False, comment="The log's origin"),
    Column("public", LargeBinary(32), nullable=False, unique=True, comment="The public half of its key"),
    Column("since", InstantColumn, nullable=False),
    Column("until", InstantColumn),
)

checkpoints = _table(
    "checkpoints",
    Column("size", IdColumn, primary_key=True, autoincrement=False),
    Column("at", InstantColumn, nullable=False),
    Column("note", Text, nullable=False, comment="Signed"),
)

cosignatures = _table(
    "cosignatures",
    Column("size", ForeignKey("checkpoints.size"), primary_key=True, autoincrement=False),
    Column("witness", String(300), primary_key=True, comment="The name and the id of its key"),
    Column("line", Text, nullable=False, comment="The line of its signature in the note"),
    Column("at", InstantColumn, nullable=False),
    comment="Of the stored checkpoints, by witnesses.",
)

witness_states = _table(
    "witness_states",
    Column("witness", String(300), primary_key=True, comment="As in cosignatures"),
    Column("size", BigInteger, nullable=False, comment="Of the last checkpoint that it cosigned"),
    Column("at", InstantColumn, comment="When it did"),
    Column("next_at", InstantColumn, nullable=False, comment="Until then, no process asks it"),
    Column("failing_since", InstantColumn),
    Column("trouble", String(LONGEST_TEXT), comment="Why the last attempt failed"),
    Column("refused", Boolean, nullable=False, comment="It says that the log does not only grow"),
    comment="What the service knows of each witness.",
)

set_blocks = _table(
    "set_blocks",
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False, comment="256 nodes of the tree"),
    comment="The tree over all contributions that match, as of the last event that records its root.",
)

set_states = _table(
    "set_states",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False, comment="The last event that the blocks have"),
    Column("root", LargeBinary(32), nullable=False),
    Column("count", BigInteger, nullable=False, comment="Contributions that match"),
    comment="One row: of the tree in set_blocks.",
)

set_signatures = _table(
    "set_signatures",
    Column("seq", BigInteger, primary_key=True, autoincrement=False, comment="The event of the root"),
    Column("organisation", String(300), primary_key=True, comment="The name and the id of its key"),
    Column("line", Text, nullable=False, comment="The line of its signature in the note"),
    Column("at", InstantColumn, nullable=False),
    comment="Of the roots of the set, by organisations.",
)

members = _table(
    "members",
    Column("id", IdColumn, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("contact", String(200), nullable=False),
    Column("contributions_per_day", Integer),
    Column(
        "budget_factor",
        Integer,
        nullable=False,
        server_default="1",
        comment="By how much the budgets of its keys are wider than everybody's",
    ),
    Column("created_at", InstantColumn, nullable=False),
)

keys = _table(
    "keys",
    Column("id", IdColumn, primary_key=True),
    Column("member_id", ForeignKey("members.id"), nullable=False, index=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True, comment="SHA-256 of the secret"),
    Column("scopes", CodesColumn, nullable=False),
    Column("created_at", InstantColumn, nullable=False),
    Column("expires_at", InstantColumn),
    Column("revoked_at", InstantColumn),
    Column("feed_read_on", String(10), comment="The last day (UTC) on which it read the feed"),
    Column(
        "hides_distances",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="Whether matches are answered to it without how close they are",
    ),
)

key_uses = _table(
    "key_uses",
    Column("key_id", ForeignKey("keys.id"), primary_key=True),
    Column("used_at", InstantColumn, nullable=False, comment="Last, to the minute"),
    Column("fed_at", InstantColumn, comment="When it last read the feed, to the minute"),
    Column("fed_seq", BigInteger, comment="The number of the log that the feed gave it then"),
)

_POSITION = Integer().with_variant(SmallInteger(), "sqlite")
"""SQLite stores all integers alike, whatever the type is called: an upgrade leaves it as version 0.1.0 called it."""

contributions = _table(
    "contributions",
    Column("id", IdColumn, primary_key=True),
    Column("member_id", ForeignKey("members.id"), nullable=False),
    Column("received_at", InstantColumn, nullable=False),
    Column("removed_at", InstantColumn),
    Column("notified_at", InstantColumn),
    Column("labels", CodesColumn, nullable=False),
    Column("quality", SmallInteger),
    Column("media", String(16), nullable=False),
    Column("severity", SmallInteger),
    Column("basis", String(64)),
    Column("tco_ground", String(64)),
    Column("entity", String(80)),
    Column("incident", String(80)),
    Column("context", CodesColumn, nullable=False),
    Column("reference", String(200)),
    Column("fingerprint", LargeBinary(32), comment="Of the set of signals; empty once erased"),
    Column("standing", String(16), nullable=False),
    Column("announced", String(16), nullable=False, comment="The status that the log last told"),
    Column("expires_at", InstantColumn),
    Column("own_expiry", InstantColumn, comment="The expires_at that its member asked for"),
    Column("withdrawn_at", InstantColumn),
    Column("withdrawal_reason", String(64)),
    Column("erased_at", InstantColumn),
    Column("frame_count", Integer, comment="Of an item whose frames were sent: a video, document or text"),
    Column("duration", SecondsColumn, comment="Milliseconds of the video"),
    Column("pages", Integer, comment="Of a document whose pages were sent"),
    Column("words", Integer, comment="Of a text whose windows were sent"),
    Column("salt", LargeBinary(16), comment="Of its commitment; empty once it is erased"),
    Column("commitment", LargeBinary(32), comment="To its signals, as the log has it; empty until the log has it"),
    Index(None, "member_id", "fingerprint"),
    Index(None, "member_id", "received_at"),
    Index("ix_contributions_announced_expires_at", "announced", "expires_at"),
    # For the orders of the console's list, and for parts of its filter that select few rows.
    Index(None, "received_at", "id"),
    Index(None, "removed_at", "id"),
    Index(None, "severity", "id"),
    _partial("standing <> 'unreviewed'", "standing", "received_at"),
    _partial("incident IS NOT NULL", "incident"),
    _partial("media <> 'image' AND media <> 'video_frame'", "media"),
    _partial("reference IS NOT NULL", "reference", ops={"reference": "text_pattern_ops"}),
    _partial("commitment IS NULL AND withdrawn_at IS NULL", "id"),
    sqlite_autoincrement=True,
)


def _signal_columns(position: TypeEngine[int], comment: str | None = None) -> Iterator[Column[Any]]:
    """The columns of a signal at a position of its owner."""
    yield Column("position", position, primary_key=True, comment=comment)
    yield Column("algorithm", String(16), nullable=False)
    yield Column("value", LargeBinary(32), nullable=False)


signals = _table(
    "signals",
    Column("contribution_id", ForeignKey("contributions.id"), primary_key=True),
    *_signal_columns(_POSITION, "Of a frame's signal: 64 x (1 + number of its shot) + place"),
    Index(None, "algorithm", "value", "contribution_id"),
)

digests = _table(
    "digests",
    Column("contribution_id", ForeignKey("contributions.id"), primary_key=True),
    *_signal_columns(_POSITION, "As in signals"),
    Index(None, "algorithm", "value", "contribution_id"),
    comment="Signals of texts, of addresses and of files: version 0.1.0 fails on an algorithm that it does not know.",
)

signatures = _table(
    "signatures",
    Column("contribution_id", ForeignKey("contributions.id"), primary_key=True),
    Column("position", SmallInteger, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("value", LargeBinary, nullable=False),
    comment="Of pictures: compared and never searched. Version 0.1.0 fails on a signal that it does not know.",
)

fingerprints = _table(
    "fingerprints",
    Column("fingerprint", LargeBinary(32), primary_key=True),
    Column("contribution_id", ForeignKey("contributions.id"), primary_key=True, index=True),
    comment="Of further sets of signals: what a member sent to add to a contribution, and what this has since.",
)


shots = _table(
    "shots",
    Column("contribution_id", ForeignKey("contributions.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column(
        "start",
        SecondsColumn,
        nullable=False,
        comment="Where its first frame is: milliseconds, or thousandths of the unit",
    ),
    Column("end", SecondsColumn, nullable=False, comment="Where its last frame ends, as `start`"),
    Column("quality", SmallInteger, comment="Of its first frame"),
    Column(
        "more",
        Text,
        comment="JSON: the frames of a video that are not searched for, each with its time, quality and signals",
    ),
    Column("unit", String(8), comment="`pages` or `words`; none: seconds"),
    comment="A page; a window of words; or near-duplicate frames of a video in a row: the first one is searched for.",
)

erasures = _table(
    "erasures",
    Column("contribution_id", ForeignKey("contributions.id"), primary_key=True),
    Column("due_at", InstantColumn, nullable=False, index=True, comment="From then on its signals are not kept"),
    comment="What is erased but for its signals, by which other systems are told that they are withdrawn.",
)

amendments = _table(
    "amendments",
    Column("id", IdColumn, primary_key=True),
    Column("contribution_id", ForeignKey("contributions.id"), nullable=False, index=True),
    Column("at", InstantColumn, nullable=False),
    Column("before", JsonColumn, nullable=False, comment="The old values of the fields that were changed"),
)

cases = _table(
    "cases",
    Column("id", IdColumn, primary_key=True),
    Column("contribution_id", ForeignKey("contributions.id"), nullable=False, index=True),
    Column("reason", String(64), nullable=False, comment="Of the dispute that opened it, or another cause"),
    Column("holds", Boolean, nullable=False, comment="The contribution is quarantined while it is open"),
    Column("opened_at", InstantColumn, nullable=False),
    Column("due_at", InstantColumn, nullable=False),
    Column("decision", String(16)),
    Column("note", Text, comment="Of the decision; empty once the contribution is erased"),
    Column("decided_at", InstantColumn),
    Column("decided_by", String(64), comment="An actor"),
    Column(
        "shadow",
        CodesColumn,
        comment="Of a decision to retire: the places of the signals that hold others; empty where 0.1.0 decided",
    ),
    Column(
        "follows", BigInteger, comment="The case on an earlier contribution of the same member that this one continues"
    ),
    Column(
        "opener",
        BigInteger,
        comment="Whose opinion opened it; the contributor, if it follows a case or is near a retired one",
    ),
    Index(None, "decision", "id"),
    _partial("decision IS NULL", "due_at", "id"),
    _partial("decision IS NULL", "opener"),
    _partial("decided_at IS NOT NULL", "decided_at", "id"),
)

case_claims = _table(
    "case_claims",
    Column("case_id", ForeignKey("cases.id"), primary_key=True, autoincrement=False),
    Column("actor", String(64), nullable=False, index=True),
    Column("taken_at", InstantColumn, nullable=False),
    Column("seen_at", InstantColumn, nullable=False, comment="When its page was last used"),
    comment="Open cases that a reviewer has taken; a row counts until it was idle for too long.",
)

case_notes = _table(
    "case_notes",
    Column("id", IdColumn, primary_key=True),
    Column("case_id", ForeignKey("cases.id"), nullable=False, index=True),
    Column("actor", String(64), nullable=False),
    Column("at", InstantColumn, nullable=False),
    Column("text", Text, nullable=False),
    Column("proposal", BigInteger, comment="The proposal whose reason it is"),
    comment="What reviewers note for each other; deleted once the contribution is erased.",
    sqlite_autoincrement=True,
)

opinions = _table(
    "opinions",
    Column("id", IdColumn, primary_key=True),
    Column("contribution_id", ForeignKey("contributions.id"), nullable=False),
    Column("member_id", ForeignKey("members.id"), nullable=False),
    Column("opinion", String(16), nullable=False),
    Column("reason", String(64)),
    Column("note", Text, comment="Empty once the contribution is erased"),
    Column("given_at", InstantColumn, nullable=False),
    Column("case_id", ForeignKey("cases.id"), index=True, comment="The one that was open then, or that it opened"),
    Column("replaced", Boolean, nullable=False, comment="By a later one of its member"),
    Column("silent", Boolean, nullable=False, comment="The standing that was told counts its member as suspended"),
    Index(None, "contribution_id", "id"),
    Index(None, "member_id", "replaced", "silent"),
)

users = _table(
    "users",
    Column("id", IdColumn, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("password", Text, comment="Argon2id, with its salt and costs; empty where only a provider signs in"),
    Column("provisional", Boolean, nullable=False, comment="The password was chosen by another"),
    Column("secret", String(64), comment="Of the second factor (RFC 6238)"),
    Column("step", BigInteger, nullable=False, comment="The last step of the second factor that was used"),
    Column("recovery", CodesColumn, nullable=False, comment="SHA-256 of the recovery codes that are left"),
    Column("subject", String(255), comment="By which name the provider knows the user, since the first sign-in"),
    Column("created_at", InstantColumn, nullable=False),
    Column("issuer", Text, comment="The provider that knows the user by this subject"),
)

sessions = _table(
    "sessions",
    Column("id", IdColumn, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True, comment="SHA-256 of the secret"),
    Column("complete", Boolean, nullable=False, comment="False while the second factor is outstanding"),
    Column("created_at", InstantColumn, nullable=False),
    Column("seen_at", InstantColumn, nullable=False),
)

saved_views = _table(
    "saved_views",
    Column("id", IdColumn, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("page", String(32), nullable=False, comment="The list of the console"),
    Column("name", String(100), nullable=False),
    Column("query", Text, nullable=False, comment="The filter and the order, as in the address of the list"),
    Column("shared", Boolean, nullable=False),
    Column("created_at", InstantColumn, nullable=False),
    Index(None, "user_id", "page", "name", unique=True),
    comment="Filters of lists that users of the console keep under a name.",
    sqlite_autoincrement=True,
)

tries = _table(
    "tries",
    Column("digest", LargeBinary(32), primary_key=True, comment="SHA-256 of a user's name or an address"),
    Column("kind", String(16), nullable=False, comment="user or address"),
    Column("count", Integer, nullable=False),
    Column("last", InstantColumn, nullable=False, index=True),
    comment="Sign-ins that failed within a day.",
)

verifications = _table(
    "verifications",
    Column("id", IdColumn, primary_key=True),
    Column("actor", String(64), nullable=False),
    Column("begun_at", InstantColumn, nullable=False),
    Column("touched_at", InstantColumn, nullable=False),
    Column("size", BigInteger, nullable=False, comment="Events of the log when it began"),
    Column("done", BigInteger, nullable=False, comment="Events that were read"),
    Column("outcome", String(16), comment="Empty while it goes on"),
    Column("checkpoints", BigInteger, nullable=False, comment="Signed checkpoints that agreed"),
    Column("findings", JsonColumn, nullable=False),
    comment="Of the log, asked for in the console.",
)

report_jobs = _table(
    "commissions",
    Column("id", IdColumn, primary_key=True),
    Column("actor", String(64), nullable=False),
    Column("first", DayColumn, nullable=False, comment="UTC"),
    Column("last", DayColumn, nullable=False),
    Column("member", BigInteger, comment="Empty: of all"),
    Column("begun_at", InstantColumn, nullable=False),
    Column("touched_at", InstantColumn, nullable=False),
    Column("size", BigInteger, nullable=False, comment="Events of the log when it began"),
    Column("done", BigInteger, nullable=False, comment="Events that were read"),
    Column("outcome", String(16), comment="Empty while it goes on"),
    Column("text", Text, comment="The report, once it is made"),
    comment="Reports that were asked for in the console.",
    sqlite_autoincrement=True,
)

answer_jobs = _table(
    "answer_jobs",
    Column("id", IdColumn, primary_key=True),
    Column("actor", String(64), nullable=False),
    Column("touched_at", InstantColumn, nullable=False, index=True),
    Column("status", String(16), nullable=False),
    Column("percent", SmallInteger, nullable=False, comment="The share that is done"),
    Column("text", Text, comment="The answer or the error, encrypted by the secret of the key that asked"),
    comment="Requests that are answered later, kept for an hour.",
    sqlite_autoincrement=True,
)

task_errors = _table(
    "task_errors",
    Column("task", String(32), primary_key=True),
    Column("at", InstantColumn, nullable=False),
    Column("text", String(LONGEST_TEXT), nullable=False, comment="The class of the error and its place in the code"),
    comment="The last failure of each background task.",
)

requests = _table(
    "requests",
    Column("member_id", ForeignKey("members.id"), primary_key=True),
    Column("key", String(200), primary_key=True, comment="The Idempotency-Key"),
    Column("digest", LargeBinary(32), nullable=False, comment="SHA-256 of the request"),
    Column("at", InstantColumn, nullable=False, index=True),
    Column("answer", JsonColumn, nullable=False, comment="The ids that were answered, never the body"),
)

benign = _table(
    "benign",
    Column("id", IdColumn, primary_key=True),
    Column("built_in", String(80), comment="Its name in the list of hashdb itself"),
    Column("note", String(200), nullable=False),
    Column("created_at", InstantColumn, nullable=False),
    Column("deleted_at", InstantColumn),
    Column("settled", Boolean, nullable=False, comment="Whether all it touches is masked, or nothing once deleted"),
    sqlite_autoincrement=True,
)

benign_signals = _table(
    "benign_signals",
    Column("benign_id", ForeignKey("benign.id"), primary_key=True),
    *_signal_columns(Integer()),
    Column("radius", SmallInteger, nullable=False),
)

masks = _table(
    "masks",
    Column("contribution_id", ForeignKey("contributions.id"), primary_key=True),
    *_signal_columns(_POSITION),
    Column("benign_id", ForeignKey("benign.id"), nullable=False),
    Index(None, "benign_id", "contribution_id"),
    comment="Signals that match nothing because they are close to a benign one: out of the table of signals.",
)

benign_text_signals = _table(
    "benign_text_signals",
    Column("benign_id", ForeignKey("benign.id"), primary_key=True),
    *_signal_columns(Integer()),
    Column("radius", SmallInteger, nullable=False),
    Column("settled", Boolean, nullable=False, comment="Whether all texts that it touches are masked"),
    comment="The benign signals of texts, which version 0.1.0 does not know.",
)

text_masks = _table(
    "text_masks",
    Column("contribution_id", ForeignKey("contributions.id"), primary_key=True),
    *_signal_columns(Integer()),
    Column("benign_id", ForeignKey("benign.id"), nullable=False),
    Index(None, "benign_id", "contribution_id"),
    comment="As masks, of the signals of texts: out of the table of digests.",
)


def signal_table(algorithm: Algorithm) -> Table:
    """The table with the signals of an algorithm."""
    return digests if algorithm.is_digest or algorithm.of_text else signals


def suppressed_table(algorithm: Algorithm) -> Table:
    """The table with the suppressed signals of an algorithm."""
    return text_masks if algorithm.of_text else masks


SIGNAL_TABLES = (signals, digests)
"""The tables of signals."""
SUPPRESSED_TABLES = (masks, text_masks)
"""The tables of suppressed signals."""

incidents = _table(
    "incidents",
    Column("id", IdColumn, primary_key=True),
    Column("label", String(80), nullable=False, unique=True),
    Column("start", InstantColumn, nullable=False),
    Column("end", InstantColumn),
    Column("expires", Boolean, nullable=False, comment="Whether its contributions expire at its end"),
    Column("settled", Boolean, nullable=False, comment="Whether its contributions go by it"),
)

retention = _table(
    "retention",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("days", JsonColumn, nullable=False, comment="Days by label"),
    Column("after", BigInteger, comment="The last contribution that goes by it; empty: all do"),
    comment="One row: the retention in force, and how far the contributions go by it.",
)

proposals = _table(
    "proposals",
    Column("id", IdColumn, primary_key=True),
    Column("act", String(64), nullable=False),
    Column("subject_kind", String(32), nullable=False),
    Column("subject_id", BigInteger, nullable=False),
    Column("content", JsonColumn, nullable=False, comment="What was asked"),
    Column("actor", String(64), nullable=False),
    Column("person", String(64), nullable=False, comment="Who is not to be the second one"),
    Column("proposed_at", InstantColumn, nullable=False),
    Column("expires_at", InstantColumn, nullable=False),
    Index(None, "subject_kind", "subject_id"),
    sqlite_autoincrement=True,
)

batches = _table(
    "batches",
    Column("id", IdColumn, primary_key=True),
    Column("actor", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("picks", String(16), nullable=False, comment="What its items are"),
    Column("state", String(16), nullable=False),
    Column("size", Integer, nullable=False),
    Column("choices", JsonColumn, nullable=False, comment="The code of the reason, and the expiry"),
    Column("note", Text, nullable=False, comment="The reason as a text; empty once it has ended: each case has it"),
    Column("undoes", BigInteger, comment="The batch that it takes back"),
    Column("made_at", InstantColumn, nullable=False),
    Column("begun_at", InstantColumn),
    Column("ended_at", InstantColumn),
    Index(None, "state"),
    comment="One act on many rows that a user selected.",
    sqlite_autoincrement=True,
)

batch_items = _table(
    "batch_items",
    Column("batch_id", ForeignKey("batches.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("subject", BigInteger, nullable=False, comment="The id of the row; to undo: the position of the item"),
    Column("outcome", String(16), comment="Empty until it is done"),
    Column("why", String(64), comment="Why it did not change"),
    Column("made", String(40), comment="On what it was done, as kind:id"),
    Column("before", JsonColumn, comment="What an undo needs"),
    Column("at", InstantColumn),
    comment="The items of a batch: each is done in the transaction that writes its outcome.",
)

webhooks = _table(
    "webhooks",
    Column("id", IdColumn, primary_key=True),
    Column("member_id", ForeignKey("members.id"), nullable=False, index=True),
    Column("url", String(1000), nullable=False),
    Column("note", String(200), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("secret", String(64), nullable=False, comment="As it is: it signs what is delivered"),
    Column("before", String(64), comment="The secret before, until `overlap_until`"),
    Column("overlap_until", InstantColumn),
    Column("created_at", InstantColumn, nullable=False),
    Column("failing_since", InstantColumn, comment="Nothing has arrived since; empty while all does"),
    Column("reports_due", Boolean, comment="The topic case.due: version 0.1.0 fails on a topic that it does not know"),
    sqlite_autoincrement=True,
)

upstreams = _table(
    "upstreams",
    Column("id", IdColumn, primary_key=True),
    Column("member_id", ForeignKey("members.id"), nullable=False, unique=True),
    Column("url", String(1000), nullable=False),
    Column("secret", String(200), nullable=False, comment="As it is: the key with which its feed is read"),
    Column("log", String(255), nullable=False, comment="The name of its log, and the hash of its first key"),
    Column("epoch", String(64), comment="Of its log, as last read"),
    Column("seq", BigInteger, nullable=False, comment="The last event of its log that was read"),
    Column("round", Integer, nullable=False, comment="How often its list was read from the beginning"),
    Column("rereading", Boolean, nullable=False, comment="Whether such a round has not ended"),
    Column("paused", Boolean, nullable=False),
    Column("judges", Boolean, nullable=False, comment="Whether the key may give opinions"),
    Column("judged", BigInteger, nullable=False, comment="The last own event whose opinion was sent back"),
    Column("created_at", InstantColumn, nullable=False),
    Column("next_at", InstantColumn, nullable=False, comment="The next look; during one, when it is taken for lost"),
    Column("caught_up_at", InstantColumn, comment="When nothing was left to read, last"),
    Column("failing_since", InstantColumn),
    Column("failures", Integer, nullable=False, comment="In a row"),
    Column("trouble", String(32), comment="Why the last look failed"),
    Column("refused", JsonColumn, nullable=False, comment="How many were refused in this round, by field"),
    comment="Other services whose lists this one follows.",
    sqlite_autoincrement=True,
)

origins = _table(
    "origins",
    Column("contribution_id", ForeignKey("contributions.id"), primary_key=True, autoincrement=False),
    Column("upstream_id", BigInteger, nullable=False, comment="It may be gone"),
    Column("remote_id", BigInteger, comment="Its number at the upstream; empty once this one no longer stands for it"),
    Column("log", String(255), nullable=False, comment="Where it was first contributed, as the upstream says"),
    Column("number", BigInteger, nullable=False, comment="Its number there"),
    Column("member", BigInteger, nullable=False, comment="The number of its member there"),
    Column("standing", String(16), nullable=False, comment="What the upstream's standing sets here"),
    Column("round", Integer, nullable=False, comment="The last round in which it was read"),
    Index(None, "upstream_id", "remote_id", unique=True),
    comment="Contributions that came from an upstream.",
)

webhook_topics = _table(
    "webhook_topics",
    Column("webhook_id", ForeignKey("webhooks.id"), primary_key=True),
    Column("topic", String(32), primary_key=True),
    Column("seq", BigInteger, nullable=False, comment="The last event of which deliveries were made"),
)

due_notices = _table(
    "due_notices",
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("kind", String(16), primary_key=True, comment="webhook or user"),
    Column("recipient", BigInteger, primary_key=True, autoincrement=False, comment="Its number"),
    Column("at", InstantColumn, nullable=False),
    comment="To whom it was reported that an open case is due soon.",
)

mail_addresses = _table(
    "mail_addresses",
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("address", String(254), nullable=False, comment="As it is: where the user gets mail on cases due soon"),
    Column("attempts", SmallInteger, nullable=False, comment="That failed since the last mail was sent or given up"),
    Column("next_at", InstantColumn, comment="The next attempt; during one, when it is taken for lost"),
    Column("sent_at", InstantColumn, comment="When the server last accepted a mail"),
    Column("trouble", String(32), comment="Why the last attempt failed"),
    comment="Where users get mail.",
)

seeds = _table(
    "seeds",
    Column("id", IdColumn, primary_key=True),
    Column("octets", LargeBinary(32), comment="As it is: members draw secret views from it; empty once retired"),
    Column("made_at", InstantColumn, nullable=False),
    Column("retired_at", InstantColumn),
    comment="The secrets from which the windows of secret views are drawn.",
    sqlite_autoincrement=True,
)

deliveries = _table(
    "deliveries",
    Column("id", IdColumn, primary_key=True),
    Column("webhook_id", ForeignKey("webhooks.id"), nullable=False),
    Column("message", String(40), nullable=False, comment="By which the receiver tells what it has had"),
    Column("topic", String(32), nullable=False),
    Column("data", JsonColumn, nullable=False, comment="Ids and numbers"),
    Column("made_at", InstantColumn, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", InstantColumn, comment="The next attempt; while one is under way, when it is taken for lost"),
    Column("tried_at", InstantColumn),
    Column("status", SmallInteger, comment="That was answered last"),
    Column("ms", Integer),
    Column("trouble", String(32)),
    Index(None, "webhook_id", "id"),
    _partial("outcome = 'waiting'", "webhook_id", "next_at"),
    sqlite_autoincrement=True,
)

counts = _table(
    "counts",
    Column("day", DayColumn, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("member", BigInteger, primary_key=True, autoincrement=False, comment="0 where none is known"),
    Column("algorithm", String(16), primary_key=True),
    Column("outcome", String(64), primary_key=True),
    Column("times", BigInteger, nullable=False),
    comment="A day that is over is sealed by an event with the digest of its counts.",
)

hits = _table(
    "hits",
    # Numbers, no references: on PostgreSQL those would be held while a hit is written.
    Column("member", BigInteger, primary_key=True, autoincrement=False),
    Column("contribution", BigInteger, primary_key=True, autoincrement=False),
    Column("day", DayColumn, primary_key=True),
    Column("first_at", InstantColumn, nullable=False),
    Column("last_at", InstantColumn, nullable=False),
    Column("seq", BigInteger, nullable=False, comment="The event with which the first answer was level"),
    Column("times", BigInteger, nullable=False),
    Column("distance", JsonColumn, nullable=False, comment="By algorithm, of the first"),
    Index(None, "contribution"),
)

recent_hits = _table(
    "recent_hits",
    Column("contribution", BigInteger, primary_key=True, autoincrement=False),
    Column("member", BigInteger, primary_key=True, autoincrement=False, comment="0 where it is not kept"),
    Column("since", InstantColumn, primary_key=True, comment="The beginning of five minutes"),
    Column("times", BigInteger, nullable=False),
    Index(None, "since"),
    comment="Hits of the last hour, for the flood guard; empty where there is no cap.",
)

refusals = _table(
    "refusals",
    Column("reason", String(64), primary_key=True),
    Column("times", BigInteger, nullable=False),
    comment="Requests without a valid key that no event tells of yet.",
)

spent = _table(
    "spent",
    Column("actor", String(64), primary_key=True),
    Column("budget", String(32), primary_key=True),
    Column("renews_at", InstantColumn, primary_key=True, autoincrement=False),
    Column("amount", BigInteger, nullable=False),
    comment="What actors have used of their budgets; a row is deleted once its budget has renewed.",
)

figures_by_day = _table(
    "figures_by_day",
    Column("day", String(10), primary_key=True, comment="UTC"),
    Column("what", String(32), primary_key=True),
    Column("member", BigInteger, primary_key=True, autoincrement=False, comment="0 is all together"),
    Column("times", BigInteger, nullable=False),
    comment="Counted from the log: the figures of the console. Emptied together with `followed`, they are made anew.",
)

figures_in_all = _table(
    "figures_in_all",
    Column("what", String(32), primary_key=True),
    Column("member", BigInteger, primary_key=True, autoincrement=False),
    Column("times", BigInteger, nullable=False),
)

followed = _table(
    "followed",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False, comment="The last event that the figures have counted"),
)
