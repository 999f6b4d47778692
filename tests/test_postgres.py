"""The databases that tests on PostgreSQL use one after another: nothing of one test reaches the next."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from hashdb.domain.accounts.members import COMMAND_LINE, MemberDraft, MemberKind
from hashdb.service.accounts import members
from hashdb.service.ledger.verification import verify
from tests.builders import Clock, hashdb
from tests.postgres import Copies


def _add_member(url: str) -> int:
    """Add the first member of an empty database, verify the log, and return the id of the member."""
    db = hashdb(url, Clock())
    assert (db.store.head().seq, members.page(db, COMMAND_LINE, 0, 9)) == (0, ())
    id = members.add(db, COMMAND_LINE, MemberDraft("One", MemberKind.PLATFORM)).id
    assert verify(db, COMMAND_LINE).findings == ()
    db.close()
    return id


def _database_of(url: str) -> str | None:
    return make_url(url).database


def test_the_next_test_gets_the_same_database_without_rows(postgres_copies: Copies) -> None:
    with postgres_copies.borrow() as first:
        assert _add_member(first) == 1
    with postgres_copies.borrow() as second:
        assert _database_of(second) == _database_of(first)
        assert _add_member(second) == 1


def test_a_test_cannot_connect_after_it_has_ended(postgres_copies: Copies) -> None:
    with postgres_copies.borrow() as first:
        pass
    with postgres_copies.borrow() as second:
        assert _database_of(second) == _database_of(first)
        engine = create_engine(first)
        with pytest.raises(OperationalError, match="does not exist"):
            engine.connect()
        engine.dispose()


def test_a_database_with_an_open_connection_is_dropped(postgres_copies: Copies) -> None:
    with postgres_copies.borrow() as first:
        engine = create_engine(first)
        connection = engine.connect()
    with postgres_copies.borrow() as second:
        assert _database_of(second) != _database_of(first)
        with pytest.raises(OperationalError):
            connection.execute(text("SELECT 1"))
    connection.invalidate()
    connection.close()
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE another (id integer)",
        "ALTER TABLE members ADD COLUMN another integer",
        "ALTER TABLE members ALTER COLUMN name DROP NOT NULL",
        "DROP TABLE hits",
        "CREATE INDEX another ON members (name)",
        "CREATE FUNCTION another() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA another",
    ],
)
def test_a_database_with_a_changed_schema_is_dropped(postgres_copies: Copies, statement: str) -> None:
    with postgres_copies.borrow() as first:
        engine = create_engine(first)
        with engine.begin() as connection:
            connection.execute(text(statement))
        engine.dispose()
    with postgres_copies.borrow() as second:
        assert _database_of(second) != _database_of(first)
        assert _add_member(second) == 1
