"""The head of the log, read by itself: what is committed now, in every thread, and again after closing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hashdb.domain.audit import Action, Entry
from hashdb.domain.members import SYSTEM
from hashdb.errors import StoreBusy
from hashdb.store import Store
from tests.builders import NOON

ENTRY = Entry(Action.FEED_READ, "key", 1, {})


def test_the_head_is_what_is_committed_and_nothing_else(store: Store) -> None:
    with store.read() as tx:
        assert store.head() == tx.audit.head()
    for seq in range(1, 4):
        with store.begin() as tx:
            tx.audit.append(NOON, SYSTEM, [ENTRY])
            assert store.head().seq == seq - 1
        assert store.head()[:2] == (seq, NOON)
        with store.read() as tx:
            assert store.head() == tx.audit.head()


def test_every_thread_reads_it(store: Store) -> None:
    with store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, [ENTRY])
    with ThreadPoolExecutor(4) as pool:
        assert {head.seq for head in pool.map(lambda _: store.head(), range(40))} == {1}


def test_it_is_read_again_after_closing(store: Store) -> None:
    head = store.head()
    store.close()
    assert store.head() == head


def test_a_database_that_is_away_is_busy(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/none/hashdb.sqlite")
    for _ in range(2):
        with pytest.raises(StoreBusy):
            store.head()
