"""The head reader: the head of the log and its last events, which each request reads first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier, Thread

import pytest
from sqlalchemy import create_engine, event, func, select, text

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.errors import StoreBusy
from hashdb.store import Store
from hashdb.store.ledger.head_reader import Tail
from tests.builders import NOON


def test_every_thread_reads_the_head_of_the_last_commit(store: Store) -> None:
    entry = LogEntry(Action.MEMBER_ADDED, "member", 1, {})
    with ThreadPoolExecutor(4) as pool:
        for number in range(1, 6):
            with store.begin() as tx:
                tx.audit.append(NOON, SYSTEM, [entry])
                assert store.head().seq == number - 1
            with store.read() as tx:
                assert {store.head(), *pool.map(lambda _: store.head(), range(8))} == {tx.audit.head()}


def test_the_tail_has_the_head_two_leaves_and_the_kinds_of_subjects(store: Store) -> None:
    entries = [LogEntry(Action.MEMBER_ADDED, kind, 1, {}) for kind in ("member", "key", "key", "case")]
    with store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, entries)
    with store.read() as tx:
        head, leaves = tx.audit.head(), {seq: tx.audit.leaf(seq) for seq in range(1, 5)}
    assert store.tail(0) == Tail(head, {4: leaves[4]}, frozenset({"member", "key", "case"}))
    assert store.tail(2) == Tail(head, {2: leaves[2], 4: leaves[4]}, frozenset({"key", "case"}))
    assert store.tail(4) == store.tail(None) == Tail(head, {4: leaves[4]}, frozenset())
    assert store.tail(7) == Tail(head, {4: leaves[4]}, frozenset())


def test_a_rollback_does_not_change_the_head(store: Store) -> None:
    head_before = store.head()
    with pytest.raises(ZeroDivisionError), store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, [LogEntry(Action.MEMBER_ADDED, "member", 1, {})])
        raise ZeroDivisionError
    assert store.head() == head_before


def test_the_head_is_busy_until_the_database_is_migrated(empty_url: str) -> None:
    store = Store(empty_url)
    for _ in range(2):
        with pytest.raises(StoreBusy):
            store.head()
    store.migrate()
    assert store.head().seq == 0
    store.close()


def test_connections_that_the_server_ended_are_replaced_without_an_error(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    end_others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND pid != :own_pid"
    )
    with closing(Store(postgres_url)) as store, ThreadPoolExecutor(4) as pool:
        barrier = Barrier(4, timeout=30)
        for _ in range(2):
            heads = [*pool.map(lambda _: (barrier.wait(), store.head())[1], range(4))]
            assert heads == [store.head()] * 4
            with engine.connect() as connection:
                own_pid = connection.scalar(select(func.pg_backend_pid()))
                assert len(connection.scalars(end_others, {"own_pid": own_pid}).all()) == 5
    engine.dispose()


def test_the_connection_of_a_thread_is_closed_when_the_thread_ends_or_fails(empty_url: str) -> None:
    store = Store(empty_url)
    with pytest.raises(StoreBusy):
        store.head()
    store.migrate()
    closed: list[object] = []
    event.listen(store.engine, "close_detached", lambda connection: closed.append(connection))

    def append() -> None:
        with store.begin() as tx:
            tx.audit.append(NOON, SYSTEM, [LogEntry(Action.MEMBER_ADDED, "member", 1, {})])

    for number in range(1, 4):
        # Without a new event, the thread would not read from SQLite.
        append()
        thread = Thread(target=store.head)
        thread.start()
        thread.join()
        assert len(closed) == number
    append()
    assert store.head().seq == 4
    assert len(closed) == 3
    store.close()
    # SQLite has one more connection, which keeps the file of the WAL index open.
    assert len(closed) == (5 if store.embedded else 4)
