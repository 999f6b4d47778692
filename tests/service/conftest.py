"""Fixtures for every test of the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from psycopg import Cursor
from psycopg.abc import Query
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from sqlalchemy import event
from sqlalchemy.pool import Pool

from hashdb.domain.accounts.members import Actor
from hashdb.service import HashDB
from hashdb.service.ledger.signing import Signing
from tests.builders import Clock, hashdb, member_with


class _CheckingCursor(Cursor[TupleRow]):
    """A cursor of the driver, below SQLAlchemy, that checks each statement before it sends it to the server."""

    def execute(self, query: Query, *parameters: Any, **options: Any) -> Self:
        connection: Any = self.connection
        if connection.info.transaction_status is TransactionStatus.IDLE:
            connection.bounded = False
        text = str(query)
        migration = text.startswith("UPDATE log SET peaks")
        if not migration and (text.startswith("UPDATE log ") or ("FROM log" in text and "FOR UPDATE" in text)):
            connection.bounded |= "idle_in_transaction_session_timeout" in f"{text} {parameters}"
            assert connection.bounded, f"this statement locks the log without a time limit: {text}"
        return super().execute(query, *parameters, **options)


@pytest.fixture(autouse=True)
def _every_lock_of_the_log_has_a_time_limit() -> Iterator[None]:
    """Check in every test that a transaction on PostgreSQL sets a time limit before it locks the row of the log.

    With the limit, the server ends a transaction whose process hangs.
    """

    def watch(connection: Any, record: object) -> None:
        if hasattr(connection, "patience"):
            connection.cursor_factory = _CheckingCursor

    event.listen(Pool, "connect", watch)
    yield
    event.remove(Pool, "connect", watch)


@pytest.fixture
def clock() -> Clock:
    """The clock of the service. It stays at noon until a test sets it."""
    return Clock()


@pytest.fixture
def signing(tmp_path: Path) -> Signing:
    """The files for the signing key and the checkpoints of the service."""
    return Signing(tmp_path / "signing.key", tmp_path / "checkpoints.txt", "log.example/1")


@pytest.fixture
def db(database_url: str, clock: Clock, signing: Signing) -> Iterator[HashDB]:
    """An empty service whose log has no name yet."""
    db = hashdb(database_url, clock, signing=signing)
    yield db
    db.close()


@pytest.fixture
def actor(db: HashDB) -> Actor:
    """A platform that contributes, matches and reads the feed."""
    return member_with(db)


@pytest.fixture
def other(db: HashDB) -> Actor:
    """Another platform."""
    return member_with(db)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder for the segments of an index."""
    return tmp_path / "index"
