"""What every test of the service may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from hashdb.domain.accounts.members import Actor
from hashdb.service import HashDB
from hashdb.service.ledger.signing import Signing
from tests.builders import Clock, hashdb, member_with


@pytest.fixture(autouse=True)
def _nobody_holds_the_log_without_a_limit() -> Iterator[None]:
    """Whatever a test has the service do: on PostgreSQL each transaction that locks the log's row first bounds itself.

    The server then ends a transaction whose process stands still.
    """

    def look(connection: Connection, cursor: object, statement: str, *more: object) -> None:
        ours = hasattr(connection.connection.driver_connection, "patience")
        migration = statement.startswith("UPDATE log SET peaks")
        if not ours or migration or not statement.startswith("UPDATE log "):
            return
        transaction = connection.get_transaction()
        if "idle_in_transaction_session_timeout" in str(more):
            connection.info["bounded"] = transaction
        assert connection.info.get("bounded") is transaction, f"locks the log without a limit: {statement}"

    event.listen(Engine, "before_cursor_execute", look)
    yield
    event.remove(Engine, "before_cursor_execute", look)


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
