"""The head of the log, read by itself."""

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


def test_the_head_is_that_of_the_last_commit_in_every_thread(store: Store) -> None:
    entry = LogEntry(Action.MEMBER_ADDED, "member", 1, {})
    with ThreadPoolExecutor(4) as pool:
        for number in range(1, 6):
            with store.begin() as tx:
                tx.audit.append(NOON, SYSTEM, [entry])
                assert store.head().seq == number - 1
            with store.read() as tx:
                assert {store.head(), *pool.map(lambda _: store.head(), range(8))} == {tx.audit.head()}


def test_the_tail_of_the_log_has_its_head_the_leaves_at_both_ends_and_the_kinds_between(store: Store) -> None:
    told = [LogEntry(Action.MEMBER_ADDED, kind, 1, {}) for kind in ("member", "key", "key", "case")]
    with store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, told)
    with store.read() as tx:
        head, leaves = tx.audit.head(), {seq: tx.audit.leaf(seq) for seq in range(1, 5)}
    assert store.tail(0) == Tail(head, {4: leaves[4]}, frozenset({"member", "key", "case"}))
    assert store.tail(2) == Tail(head, {2: leaves[2], 4: leaves[4]}, frozenset({"key", "case"}))
    assert store.tail(4) == store.tail(None) == Tail(head, {4: leaves[4]}, frozenset())
    assert store.tail(7) == Tail(head, {4: leaves[4]}, frozenset())


def test_what_is_rolled_back_was_never_the_head(store: Store) -> None:
    before = store.head()
    with pytest.raises(ZeroDivisionError), store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, [LogEntry(Action.MEMBER_ADDED, "member", 1, {})])
        raise ZeroDivisionError
    assert store.head() == before


def test_without_a_log_the_store_is_busy_and_recovers(empty_url: str) -> None:
    store = Store(empty_url)
    for _ in range(2):
        with pytest.raises(StoreBusy):
            store.head()
    store.migrate()
    assert store.head().seq == 0
    store.close()


def test_connections_that_the_server_has_ended_meanwhile_are_replaced_and_nobody_is_refused(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND pid != :mine"
    )
    with closing(Store(postgres_url)) as store, ThreadPoolExecutor(4) as pool:
        meet = Barrier(4, timeout=30)
        for _ in range(2):
            before = [*pool.map(lambda _: (meet.wait(), store.head())[1], range(4))]
            assert before == [store.head()] * 4
            with engine.connect() as connection:
                mine = connection.scalar(select(func.pg_backend_pid()))
                assert len(connection.scalars(others, {"mine": mine}).all()) == 5
    engine.dispose()


def test_the_connection_of_a_thread_is_closed_when_it_ends_or_fails(empty_url: str) -> None:
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
        # Without it, SQLite would not be asked.
        append()
        thread = Thread(target=store.head)
        thread.start()
        thread.join()
        assert len(closed) == number
    append()
    assert store.head().seq == 4
    assert len(closed) == 3
    store.close()
    # SQLite has one more, which keeps the file of the WAL index open.
    assert len(closed) == (5 if store.embedded else 4)
