"""Connections to PostgreSQL time out, so that a hung client or server does not block others for ever."""

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


def test_a_hung_transaction_loses_the_lock_of_the_log(url: str) -> None:
    with closing(Store(url, BUSY)) as hung, closing(Store(url, BUSY)) as other:
        with pytest.raises(StoreBusy), hung.begin() as hung_transaction:
            append(hung_transaction)
            busy_errors = 0
            while True:
                try:
                    with other.begin() as transaction:
                        assert append(transaction) == 1
                    break
                except StoreBusy:
                    busy_errors += 1
            assert 1 <= busy_errors < 20
            append(hung_transaction)
        with hung.begin() as transaction:
            assert append(transaction) == 2


def test_a_read_transaction_may_be_longer_than_the_time_limit(url: str) -> None:
    with closing(Store(url, BUSY / 4)) as store, store.read() as transaction:
        head = transaction.audit.head()
        time.sleep(BUSY)
        assert transaction.audit.head() == head


def test_a_hung_server_is_reported_as_busy_on_every_connection(own_postgres: OwnServer, url: str) -> None:
    with closing(Store(url, BUSY)) as store:
        store.head()
        with pytest.raises(StoreBusy), store.begin() as transaction, own_postgres.paused():
            append(transaction)
        with store.begin():
            pass
        with own_postgres.paused():
            # The connection that the thread keeps, the one from the pool, and the new one that replaces it.
            with pytest.raises(StoreBusy):
                store.head()
            with pytest.raises(StoreBusy), store.read():
                pass
        with store.begin() as transaction:
            assert append(transaction) == 1
        assert store.head().seq == 1


def test_another_driver_is_an_invalid_setting() -> None:
    with pytest.raises(BadSetting):
        Store("postgresql+pg8000://hashdb@127.0.0.1/hashdb")
