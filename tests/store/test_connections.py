"""Connections to PostgreSQL give up: what stands still, at either end, holds nobody up for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.errors import BadSetting, StoreBusy
from hashdb.store import Store, Transaction
from tests.postgres import OwnServer

pytestmark = pytest.mark.postgres
NOW = datetime(2026, 3, 1, tzinfo=UTC)
BUSY = 0.4


@pytest.fixture
def url(own_postgres: OwnServer) -> Iterator[str]:
    with own_postgres.new_database() as url:
        with closing(Store(url)) as store:
            store.migrate()
        yield url


def append(transaction: Transaction) -> int:
    return transaction.audit.append(NOW, COMMAND_LINE, [LogEntry(Action.BACKUP_MADE, "log", 0, {})])


def test_who_stands_still_and_holds_the_log_loses_it_and_the_others_go_on(url: str) -> None:
    with closing(Store(url, BUSY)) as still, closing(Store(url, BUSY)) as other:
        with pytest.raises(StoreBusy), still.begin() as amid_it:
            append(amid_it)
            refused = 0
            while True:
                try:
                    with other.begin() as transaction:
                        assert append(transaction) == 1
                    break
                except StoreBusy:
                    refused += 1
            assert 1 <= refused < 20
            append(amid_it)
        with still.begin() as transaction:
            assert append(transaction) == 2


def test_a_reader_may_take_its_time(url: str) -> None:
    with closing(Store(url, BUSY / 4)) as store, store.read() as transaction:
        before = transaction.audit.head()
        time.sleep(BUSY)
        assert transaction.audit.head() == before


def test_a_server_that_says_nothing_is_given_up_wherever_it_is_asked(own_postgres: OwnServer, url: str) -> None:
    with closing(Store(url, BUSY)) as store:
        store.head()
        with pytest.raises(StoreBusy), store.begin() as transaction, own_postgres.standing_still():
            append(transaction)
        with store.begin():
            pass
        with own_postgres.standing_still():
            # On a connection that is kept, on one from the pool, and on the new one in its place.
            with pytest.raises(StoreBusy):
                store.head()
            with pytest.raises(StoreBusy), store.read():
                pass
        with store.begin() as transaction:
            assert append(transaction) == 1
        assert store.head().seq == 1


def test_another_driver_is_a_bad_setting() -> None:
    with pytest.raises(BadSetting):
        Store("postgresql+pg8000://hashdb@127.0.0.1/hashdb")
