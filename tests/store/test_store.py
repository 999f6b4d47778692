"""Transactions on a real database: all or nothing, snapshots, and a busy or unreachable database."""

from __future__ import annotations

import os
import resource
import signal as signals
import sqlite3
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, make_url, text

from hashdb.domain.accounts.members import SYSTEM, Member, MemberDraft, MemberKind
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.errors import BadSetting, NameTaken, StoreBusy
from hashdb.store import Store, Transaction
from tests.builders import NOON, draft
from tests.processes import processes

DRAFT = MemberDraft("Another", MemberKind.AUTHORITY)


def write(tx: Transaction, member: Member, seed: int = 1) -> int:
    """Write a contribution and its event; return the number of the event."""
    (added,) = tx.contributions.add(member, [draft(seed)], NOON)
    return tx.audit.append(NOON, SYSTEM, [LogEntry(Action.CONTRIBUTION_ADDED, "contribution", added.id, {})])


def read_all(store: Store) -> tuple[object, ...]:
    with store.read() as tx:
        signals = tx.contributions.signals(range(1, 200))
        return tx.members.page(0, 100), signals, tx.audit.since(0, 1_000), tx.audit.head()


def test_a_rolled_back_transaction_changes_nothing(store: Store, member: Member) -> None:
    content_before = read_all(store)
    with pytest.raises(NameTaken), store.begin() as tx:
        _write_and_fail(tx, member)
    assert read_all(store) == content_before


def _write_and_fail(tx: Transaction, member: Member) -> None:
    write(tx, member)
    tx.members.add(DRAFT, NOON)
    tx.members.add(DRAFT, NOON)


def test_another_store_reads_what_was_committed(store: Store, member: Member, database_url: str) -> None:
    with store.begin() as tx:
        write(tx, member)
    other = Store(database_url)
    assert read_all(other) == read_all(store)
    other.close()


def test_all_reads_of_a_transaction_see_one_snapshot(store: Store, member: Member) -> None:
    with store.read() as reader:
        head = reader.audit.head()
        with store.begin() as tx:
            write(tx, member)
        assert reader.audit.head() == head
        assert reader.contributions.signals([1]) == {}
        assert reader.audit.since(head.seq, 10) == ()
    with store.read() as later_reader:
        assert later_reader.audit.head().seq == head.seq + 1


def write_and_die(url: str, member: Member) -> None:
    """Commit five transactions, and kill this process in the sixth."""
    store = Store(url)
    for seed in range(5):
        with store.begin() as tx:
            write(tx, member, seed)
    with store.begin() as tx:
        write(tx, member, 5)
        os.kill(os.getpid(), signals.SIGKILL)


def test_the_commits_of_a_killed_process_are_kept(store: Store, member: Member, database_url: str) -> None:
    with processes(1) as pool, pytest.raises(BrokenProcessPool):
        pool.submit(write_and_die, database_url, member).result(30)
    with store.begin() as tx:
        assert write(tx, member, 6) == 6
        assert [event.seq for event in tx.audit.since(0, 10)] == [1, 2, 3, 4, 5, 6]
        assert sum(len(signals_of_one) for signals_of_one in tx.contributions.signals(range(20)).values()) == 6


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "is not a database URL, like postgresql://user@host/hashdb"),
        ("nonsense", "is not a database URL, like postgresql://user@host/hashdb"),
        ("postgresql://[::1", "is not a database URL, like postgresql://user@host/hashdb"),
        *(
            (url, "must name a file: a database in memory is lost when the process ends")
            for url in ("sqlite://", "sqlite:///", "sqlite:///:memory:")
        ),
        ("mysql://localhost/hashdb", "must begin with sqlite:// or postgresql://"),
        ("oracle://localhost/hashdb", "must begin with sqlite:// or postgresql://"),
        (
            "postgresql+nodriver://localhost/hashdb",
            "is not a database URL, like postgresql://user@host/hashdb",
        ),
        ("postgresql://user@host:port/hashdb", "is not a database URL, like postgresql://user@host/hashdb"),
        ("postgresql://user@[::1/hashdb", "is not a database URL, like postgresql://user@host/hashdb"),
        ("postgresql://user@host/hashdb?ssl=yes", "has a parameter or a value that PostgreSQL does not know"),
        ("postgresql://user@host/\udcff", "has a parameter or a value that PostgreSQL does not know"),
        *(
            (url, "must name a file: a database in memory is lost when the process ends")
            for url in (
                "sqlite://",
                "sqlite:///",
                "sqlite:///:memory:",
                "sqlite+pysqlite:///:memory:",
                "sqlite:///file::memory:?uri=true",
                "sqlite:///file:x?mode=memory&uri=true",
            )
        ),
    ],
)
def test_an_invalid_database_url_is_reported(url: str, reason: str) -> None:
    with pytest.raises(BadSetting) as caught:
        Store(url)
    assert (caught.value.setting, caught.value.reason) == ("HASHDB_DATABASE_URL", reason)


def test_only_sqlite_is_embedded(store: Store, database_url: str) -> None:
    assert store.embedded is database_url.startswith("sqlite")


def test_a_transaction_creates_a_repository_at_its_first_use(store: Store) -> None:
    with store.read() as tx:
        assert "audit" not in vars(tx)
        head = tx.audit.head()
        assert vars(tx).keys() == {"connection", "audit"}
        assert tx.audit is tx.audit
        assert tx.audit.head() == head


class TestSQLite:
    """The behaviour of the embedded database."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "hashdb.sqlite"

    @pytest.fixture
    def store(self, file: Path) -> Iterator[Store]:
        store = Store(f"sqlite:///{file}", busy_seconds=0.05)
        store.migrate()
        yield store
        store.close()

    def test_the_journal_mode_is_wal(self, store: Store, file: Path) -> None:
        with closing(sqlite3.connect(file)) as other:
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def test_a_write_is_busy_during_another_write_and_a_read_is_not(self, store: Store, file: Path) -> None:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreBusy) as caught, store.begin():
                pass
            assert caught.value.retry_after > 0
            with store.read() as tx:
                assert tx.audit.head().seq == 0
            other.execute("ROLLBACK")
        with store.begin() as tx:
            assert tx.members.add(DRAFT, NOON).name == "Another"

    def test_a_read_only_file_is_reported_as_busy(self, store: Store, file: Path, member: Member) -> None:
        readonly = Store(f"sqlite:///file:{file}?mode=ro&uri=true", busy_seconds=0.05)
        with pytest.raises(StoreBusy), readonly.begin() as tx:
            write(tx, member)
        assert read_all(readonly) == read_all(store)
        readonly.close()

    def test_a_full_disk_is_reported_as_busy_and_leaves_no_partial_transaction(
        self, store: Store, file: Path, member: Member
    ) -> None:
        with processes(1) as pool:
            committed = pool.submit(write_until_full, f"sqlite:///{file}", member).result(30)
        assert committed > 0
        with store.begin() as tx:
            assert len(tx.audit.since(0, 1_000)) == committed
            assert len(tx.contributions.signals(range(1_000))) == committed
            assert write(tx, member) == committed + 1

    def test_a_path_may_contain_special_characters(self, tmp_path: Path) -> None:
        folder = tmp_path / "a?b #c%41 ü"
        folder.mkdir()
        store = Store(f"sqlite:///{folder}/hashdb.sqlite")
        store.migrate()
        store.close()
        assert (folder / "hashdb.sqlite").exists()

    def test_a_missing_folder_is_reported_as_busy(self, tmp_path: Path) -> None:
        with pytest.raises(StoreBusy), Store(f"sqlite:///{tmp_path}/absent/hashdb.sqlite").read():
            pass


def write_until_full(url: str, member: Member) -> int:
    """Commit transactions until a file must not grow further; return their number."""
    store, committed = Store(url, busy_seconds=0.05), 0
    file = Path(url.removeprefix("sqlite:///"))
    room = 300_000 + max(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        while committed < 1_000:
            with store.begin() as tx:
                write(tx, member, committed)
            committed += 1
    except StoreBusy:
        pass
    return committed


class TestPostgreSQL:
    """The behaviour of a database server."""

    @pytest.fixture
    def store(self, postgres_url: str) -> Iterator[Store]:
        store = Store(postgres_url, busy_seconds=0.2)
        store.migrate()
        yield store
        store.close()

    def test_a_write_that_waits_too_long_for_the_log_is_reported_as_busy(
        self, store: Store, postgres_url: str, member: Member
    ) -> None:
        with connected(postgres_url) as other:
            other.execute(text("BEGIN"))
            other.execute(text("UPDATE log SET seq = seq"))
            with pytest.raises(StoreBusy), store.begin() as tx:
                write(tx, member)
            with store.read() as reading:
                assert reading.contributions.signals([1, 2]) == {}
            other.execute(text("ROLLBACK"))
        with store.begin() as tx:
            assert write(tx, member) == 1

    def test_an_unreachable_database_is_busy_until_it_is_reachable_again(self, store: Store, postgres_url: str) -> None:
        with pytest.raises(StoreBusy), store.read() as tx, database_unreachable(postgres_url):
            tx.audit.head()
        with database_unreachable(postgres_url):
            with pytest.raises(StoreBusy), store.read():
                pass
            with pytest.raises(StoreBusy), store.begin():
                pass
            with pytest.raises(StoreBusy):
                store.require_current()
        with store.begin() as tx:
            assert tx.members.add(DRAFT, NOON).name == "Another"

    def test_a_missing_server_is_reported_as_busy(self, tmp_path: Path) -> None:
        with pytest.raises(StoreBusy), Store(f"postgresql:///hashdb?host={tmp_path}", busy_seconds=0.2).read():
            pass


@contextmanager
def connected(url: str, database: str | None = None) -> Iterator[Connection]:
    """A connection that commits each statement."""
    chosen = make_url(url) if database is None else make_url(url).set(database=database)
    engine = create_engine(chosen, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def database_unreachable(url: str) -> Iterator[None]:
    """End all connections to the database and reject new ones until the end of the block."""
    name = make_url(url).database
    with connected(url, "postgres") as server:
        server.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        server.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
        )
        try:
            yield
        finally:
            server.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
