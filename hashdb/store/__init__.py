"""The database: Store.begin() opens a transaction, whose repositories return domain values, never rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, select
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from hashdb.domain.ledger.events import Head
from hashdb.errors import BadSetting, ExtraMissing, StoreBusy
from hashdb.store import connections, moves
from hashdb.store.accounts.members import BudgetsUsed, Members
from hashdb.store.accounts.saved_views import SavedViews
from hashdb.store.accounts.users import Sessions, Users
from hashdb.store.backups import read_copy, scratch, write_copy
from hashdb.store.connections import RETRY_AFTER
from hashdb.store.contributions.additions import Additions
from hashdb.store.contributions.commitments import Commitments
from hashdb.store.contributions.contributions import Contributions
from hashdb.store.contributions.erasures import Erasures
from hashdb.store.contributions.frames import Frames
from hashdb.store.contributions.listings import Listings
from hashdb.store.contributions.requests import Requests
from hashdb.store.contributions.reuploads import Shadows
from hashdb.store.contributions.statuses import Retentions, Statuses
from hashdb.store.jobs import AnswerJobs, ReportJobs, TaskErrors, Verifications
from hashdb.store.ledger.active_set import ActiveSet
from hashdb.store.ledger.events import Audit, Timelines
from hashdb.store.ledger.head_reader import HeadReader
from hashdb.store.ledger.records import StoredRecords
from hashdb.store.ledger.tree import Checkpoints, Tree
from hashdb.store.ledger.witnesses import Cosignatures, WitnessStates
from hashdb.store.matching.benign import BenignList, Suppressions
from hashdb.store.matching.floods import Floods
from hashdb.store.matching.matches import Matches, MatchReader
from hashdb.store.matching.seeds import Seeds
from hashdb.store.migrations import migrate, require_current
from hashdb.store.repositories import repository
from hashdb.store.review.batches import Batches
from hashdb.store.review.cases import Cases
from hashdb.store.review.claims import CaseNotes, Claims
from hashdb.store.review.due import DueNotices, MailAddresses
from hashdb.store.review.incidents import Incidents, Proposals
from hashdb.store.review.opinions import Opinions
from hashdb.store.review.queues import Queues
from hashdb.store.sharing.upstreams import Origins, Upstreams
from hashdb.store.sharing.webhooks import Deliveries, Webhooks
from hashdb.store.stats.counts import Counts, Refusals
from hashdb.store.stats.hits import Hits
from hashdb.store.stats.overviews import Overviews
from hashdb.store.stats.uses import Uses
from hashdb.store.thread_connections import ThreadConnections
from hashdb.store.writer_turns import WriterTurns

__all__ = ["Store", "Transaction"]

_INDEX_LOCK = 0x68617369
"""The PostgreSQL advisory lock of the process that writes an index which machines share."""
_SHORT_WAIT = 0.25
"""Seconds for which a process waits for a turn that PostgreSQL does not need: some commits."""
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "temp_store=MEMORY",
    "secure_delete=ON",
    # A thousand contributions change some 2,500 pages of 4 KiB: they stay in memory until they are committed.
    "cache_size=-32768",
    "wal_autocheckpoint=4000",
)


class Transaction:
    """One unit of work: its changes are durable when it ends, or are all rolled back."""

    audit = repository(Audit)
    tree = repository(Tree)
    checkpoints = repository(Checkpoints)
    cosignatures = repository(Cosignatures)
    witness_states = repository(WitnessStates)
    active_set = repository(ActiveSet)
    members = repository(Members)
    contributions = repository(Contributions)
    additions = repository(Additions)
    erasures = repository(Erasures)
    commitments = repository(Commitments)
    frames = repository(Frames)
    listings = repository(Listings)
    statuses = repository(Statuses)
    opinions = repository(Opinions)
    cases = repository(Cases)
    claims = repository(Claims)
    saved_views = repository(SavedViews)
    case_notes = repository(CaseNotes)
    queues = repository(Queues)
    due = repository(DueNotices)
    mail_addresses = repository(MailAddresses)
    matches = repository(Matches)
    timelines = repository(Timelines)
    overviews = repository(Overviews)
    requests = repository(Requests)
    benign = repository(BenignList)
    suppressions = repository(Suppressions)
    incidents = repository(Incidents)
    retention = repository(Retentions)
    shadows = repository(Shadows)
    proposals = repository(Proposals)
    batches = repository(Batches)
    counts = repository(Counts)
    hits = repository(Hits)
    floods = repository(Floods)
    refusals = repository(Refusals)
    budgets = repository(BudgetsUsed)
    records = repository(StoredRecords)
    users = repository(Users)
    sessions = repository(Sessions)
    report_jobs = repository(ReportJobs)
    answer_jobs = repository(AnswerJobs)
    uses = repository(Uses)
    verifications = repository(Verifications)
    task_errors = repository(TaskErrors)
    webhooks = repository(Webhooks)
    deliveries = repository(Deliveries)
    seeds = repository(Seeds)
    upstreams = repository(Upstreams)
    origins = repository(Origins)

    def __init__(self, connection: Connection) -> None:
        """Over an open connection; made by `Store`."""
        self.connection = connection

    def server_state(self) -> connections.Server | None:
        """The connections and the replication of PostgreSQL; None for SQLite."""
        return None if self.connection.dialect.name == "sqlite" else connections.read_server(self.connection)


class Store:
    """The database, SQLite or PostgreSQL."""

    def __init__(self, url: str, busy_seconds: float = 10.0) -> None:
        """Opens no connection yet. Raises BadSetting if the URL cannot be used, ExtraMissing without its driver."""
        try:
            parsed = connections.parse_url(url)
            if parsed.get_backend_name() == "sqlite":
                if not parsed.database or ":memory:" in parsed.database or parsed.query.get("mode") == "memory":
                    reason = "must name a file: a database in memory is lost when the process ends"
                    raise BadSetting("HASHDB_DATABASE_URL", reason)
                self.engine = _sqlite(parsed, busy_seconds)
            elif parsed.get_backend_name() == "postgresql":
                self.engine = connections.postgresql_engine(parsed, busy_seconds)
            else:
                raise BadSetting("HASHDB_DATABASE_URL", "must begin with sqlite:// or postgresql://")
        except (ArgumentError, ValueError):
            # SQLAlchemy raises ValueError for a port that is no number.
            raise BadSetting(
                "HASHDB_DATABASE_URL", "is not a database URL, like postgresql://user@host/hashdb"
            ) from None
        except ImportError:
            if parsed.get_driver_name() == "psycopg":
                raise ExtraMissing("HASHDB_DATABASE_URL", "postgres") from None
            raise BadSetting("HASHDB_DATABASE_URL", "must begin with sqlite:// or postgresql://") from None
        self._driver_error = self.engine.dialect.loaded_dbapi.OperationalError
        self.embedded = self.engine.dialect.name == "sqlite"
        """Whether this is SQLite, whose schema hashdb migrates by itself."""
        self._turns = _writer_turns(parsed, busy_seconds) if self.embedded else None
        self._threads = ThreadConnections(self.engine)
        self._heads = HeadReader(self._threads)
        # `head` and `tail` of HeadReader, without a method in between: each request reads the head.
        self.head, self.tail = self._heads.read, self._heads.tail

    def begin(self) -> AbstractContextManager[Transaction]:
        """A unit of work that may write; rolled back when the block raises. Raises StoreBusy."""
        if self._turns is None or not self.embedded:
            return self._transaction(writes=True)
        return self._embedded_write(self._turns)

    def take_turns(self, path: Path) -> None:
        """Let the processes that name this file take turns on PostgreSQL, too; SQLite has a file of its own."""
        if not self.embedded:
            self._turns = WriterTurns(path, _SHORT_WAIT)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A turn to write, which `begin` in the block keeps. Raises StoreBusy.

        PostgreSQL needs no turns, so nobody waits long for one: they only let more writes share a commit.
        """
        with ExitStack() as stack:
            if self._turns is not None:
                with nullcontext() if self.embedded else suppress(StoreBusy):
                    stack.enter_context(self._turns.turn())
            yield

    def read(self) -> AbstractContextManager[Transaction]:
        """A snapshot: all that is read in the block is of one moment. Raises StoreBusy."""
        return self._transaction(writes=False)

    def match_reader(self) -> AbstractContextManager[MatchReader]:
        """A snapshot as `read`, faster, with the queries of a match. Raises StoreBusy."""
        return self._threads.snapshot(MatchReader)

    def migrate(self) -> str | None:
        """Create or migrate the schema; return the number of the previous schema (None: there was none)."""
        with self.begin() as tx:
            return migrate(tx.connection)

    def require_current(self) -> None:
        """Raise SchemaOutdated unless the schema is this version's."""
        with self.read() as tx:
            require_current(tx.connection)

    def scrub(self) -> None:
        """Remove deleted data from SQLite's journal, except where a reader still needs it."""
        if self.embedded:
            with self._busy_errors(), closing(self.engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()

    @contextmanager
    def index_lock(self) -> Iterator[bool]:
        """Try to hold the lock of the shared index for the block: yields whether it is held (SQLite: always True)."""
        if self.embedded:
            yield True
            return
        with self._busy_errors(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            is_held = bool(connection.execute(select(func.pg_try_advisory_lock(_INDEX_LOCK))).scalar_one())
            try:
                yield is_held
            finally:
                if is_held:
                    connection.execute(select(func.pg_advisory_unlock(_INDEX_LOCK)))

    def copy_to(self, path: Path) -> None:
        """Write a copy of the whole database to a new file, while it is in use. Raises BackupFailed."""
        write_copy(self.engine, path)

    def fill_from(self, path: Path) -> None:
        """Restore such a copy into this database, which must be empty. Raises BackupFailed."""
        read_copy(self.engine, path)

    def scratch(self, folder: Path) -> AbstractContextManager[str]:
        """The URL of an empty database for the block: on PostgreSQL's server, or in the folder. Raises BackupFailed."""
        return scratch(self.engine, folder)

    def count_rows(self) -> int:
        """The number of rows of all tables. Raises StoreBusy."""
        with self.read() as tx:
            return moves.count(tx.connection)

    def move_to(self, target: Store, advance: moves.Advance) -> moves.Moved:
        """Copy a snapshot of this database to a target, which is empty or an unfinished copy of this database.

        Nothing opens the target before `finish_move_to`. Raises MoveFailed, StoreBusy.
        """
        with self.read() as tx, target._busy_errors():
            moves.begin(tx.connection, target.engine)
            return moves.make_equal(tx.connection, target.engine, advance)

    def finish_move_to(self, target: Store, head: Head) -> None:
        """Let the target be opened. Raises MoveFailed if the log's head is not the one that was moved, StoreBusy."""
        with self.read() as tx, target._busy_errors():
            moves.finish(tx.connection, target.engine, head)

    def close(self) -> None:
        """Close every connection of this process."""
        self._heads.close()
        self._threads.close()
        self.engine.dispose()
        if self._turns is not None:
            self._turns.close()

    @contextmanager
    def _embedded_write(self, turns: WriterTurns) -> Iterator[Transaction]:
        with turns.turn(), self._transaction(writes=True) as tx:
            yield tx

    @contextmanager
    def _transaction(self, writes: bool) -> Iterator[Transaction]:
        # Each contribution runs this: `_busy_errors` around it would be another generator.
        try:
            with self.engine.connect() as connection:
                if self.embedded:
                    connection.execution_options(hashdb_writes=writes)
                elif not writes:
                    connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                with connection.begin():
                    yield Transaction(connection)
        except (DBAPIError, PoolTimeout, self._driver_error) as error:
            if _is_fault(error):
                raise
            raise StoreBusy(RETRY_AFTER) from error

    @contextmanager
    def _busy_errors(self) -> Iterator[None]:
        """Raise StoreBusy instead of the errors of the driver or SQLAlchemy for a database that is locked or away."""
        try:
            yield
        except (DBAPIError, PoolTimeout, self._driver_error) as error:
            if _is_fault(error):
                raise
            raise StoreBusy(RETRY_AFTER) from error


def _is_fault(error: Exception) -> bool:
    """Whether an error is a mistake of ours, and not of a database that is locked, full or away."""
    return isinstance(error, DBAPIError) and not (isinstance(error, OperationalError) or error.connection_invalidated)


def _writer_turns(url: URL, busy_seconds: float) -> WriterTurns | None:
    """The turns of a database in a file; None for one that SQLite's own URI names."""
    return None if url.query.get("uri") else WriterTurns(Path(f"{url.database}-writers"), busy_seconds)


def _sqlite(url: URL, busy_seconds: float) -> Engine:
    # Last in, first out: the connection that was used last has its pages in memory.
    engine = create_engine(url, pool_use_lifo=True, connect_args={"timeout": busy_seconds, "isolation_level": None})

    @event.listens_for(engine, "connect")
    def prepare(connection: object, record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A read that turns into a write fails at once, whatever the timeout, so a write takes the lock first.
        writes = connection.get_execution_options().get("hashdb_writes", False)
        # By the driver: the work of SQLAlchemy around a statement costs more than this one.
        cursor = connection.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        cursor.close()

    return engine
