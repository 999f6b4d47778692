"""What every test of the service may ask for."""

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


class _Watched(Cursor[TupleRow]):
    """A cursor of the driver, below SQLAlchemy, that looks at each statement before the server has it."""

    def execute(self, query: Query, *more: Any, **named: Any) -> Self:
        connection: Any = self.connection
        if connection.info.transaction_status is TransactionStatus.IDLE:
            connection.bounded = False
        text = str(query)
        migration = text.startswith("UPDATE log SET peaks")
        if not migration and (text.startswith("UPDATE log ") or ("FROM log" in text and "FOR UPDATE" in text)):
            connection.bounded |= "idle_in_transaction_session_timeout" in f"{text} {more}"
            assert connection.bounded, f"locks the log without a limit: {text}"
        return super().execute(query, *more, **named)


@pytest.fixture(autouse=True)
def _nobody_holds_the_log_without_a_limit() -> Iterator[None]:
    """Whatever a test has the service do: on PostgreSQL each transaction that locks the log's row first bounds itself.

    The server then ends a transaction whose process stands still.
    """

    def watch(connection: Any, record: object) -> None:
        if hasattr(connection, "patience"):
            connection.cursor_factory = _Watched

    event.listen(Pool, "connect", watch)
    yield
    event.remove(Pool, "connect", watch)


@pytest.fixture
def clock() -> Clock:
    """The clock of the service: it stands at noon until it is set."""
    return Clock()


@pytest.fixture
def signing(tmp_path: Path) -> Signing:
    """Where the service's key stands, and its checkpoints are written down."""
    return Signing(tmp_path / "signing.key", tmp_path / "checkpoints.txt", "log.example/1")


@pytest.fixture
def db(database_url: str, clock: Clock, signing: Signing) -> Iterator[HashDB]:
    """An empty service, which has not named its log yet."""
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
    """Where an index may keep its segments."""
    return tmp_path / "index"
