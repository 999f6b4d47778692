"""The connections that threads keep: rows as SQLAlchemy's, all of one moment."""

from __future__ import annotations

from contextlib import closing

import pytest
from sqlalchemy import bindparam, create_engine, event, func, select, text

from hashdb.domain.accounts.members import Member, MemberChange, MemberStatus
from hashdb.domain.contributions import Standing
from hashdb.errors import StoreBusy
from hashdb.store import Store
from hashdb.store.tables import contributions, signals
from hashdb.store.thread_connections import StatementRunner, ThreadConnections
from tests.builders import NOON, draft, signal

ANY = tuple(Standing)


def _itself(snapshot: StatementRunner) -> StatementRunner:
    return snapshot


def test_the_rows_are_those_of_sqlalchemy_whatever_the_lengths_of_the_lists(store: Store, member: Member) -> None:
    with store.begin() as tx:
        drafts = [
            draft(number, severity=number % 5 or None, context=("satire",), duration=number / 8)
            for number in range(1, 41)
        ]
        ids = [one.id for one in tx.contributions.add(member, drafts, NOON)]
    query = (
        select(contributions.c.id, signals.c.value, contributions.c.severity, contributions.c.context)
        .add_columns(
            contributions.c.received_at, contributions.c.expires_at, contributions.c.labels, contributions.c.duration
        )
        .join(contributions, contributions.c.id == signals.c.contribution_id)
        .where(contributions.c.id.in_(bindparam("ids", expanding=True)), signals.c.algorithm.in_(["pdq", "phash"]))
        .where(contributions.c.received_at <= bindparam("now", type_=contributions.c.received_at.type))
        .order_by(contributions.c.id)
        .limit(bindparam("limit"))
    )
    connections = ThreadConnections(store.engine)
    with store.read() as tx, connections.snapshot(_itself) as snapshot:
        for some in ([], ids[:1], ids[3:5], ids, ids[:1]):
            parameters = {"ids": some, "now": NOON, "limit": 30}
            expected = [tuple(row) for row in tx.connection.execute(query, parameters)]
            assert snapshot.execute(query, parameters) == expected
            assert len(expected) == min(30, len(some))
    connections.close()


def test_all_that_a_match_reads_is_of_one_moment(store: Store, member: Member) -> None:
    with store.begin() as tx:
        (one,) = tx.contributions.add(member, [draft(1)], NOON)
    with store.match_reader() as held:
        assert [holder.contribution for holder in held.holders([signal(1)], NOON, ANY)] == [one.id]
        with store.begin() as tx:
            tx.members.change(member.id, MemberChange(status=MemberStatus.SUSPENDED))
        assert [holder.contribution for holder in held.holders([signal(1)], NOON, ANY)] == [one.id]
    with store.match_reader() as held:
        assert held.holders([signal(1)], NOON, ANY) == []


def test_after_an_error_the_thread_has_a_new_connection(store: Store) -> None:
    closed: list[object] = []
    event.listen(store.engine, "close_detached", lambda connection: closed.append(connection))
    connections = ThreadConnections(store.engine)
    with pytest.raises(ZeroDivisionError), connections.snapshot(_itself):
        raise ZeroDivisionError
    assert len(closed) == 1
    # SQLite says so of a table that does not exist; for PostgreSQL that is a mistake of ours.
    errors = (StoreBusy,) if store.embedded else (store.engine.dialect.loaded_dbapi.ProgrammingError,)
    with pytest.raises(errors), connections.snapshot(_itself) as snapshot:
        snapshot.execute(select(text("nothing")).select_from(text("nowhere")), {})
    assert len(closed) == 2
    with connections.snapshot(_itself) as snapshot:
        assert snapshot.execute(select(func.count(contributions.c.id)), {}) == [(0,)]
    connections.close()
    assert len(closed) == 3


def test_a_connection_that_the_server_has_ended_is_replaced(postgres_url: str) -> None:
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid != "
    with closing(Store(postgres_url)) as store, engine.connect() as connection:
        for _ in range(2):
            with store.match_reader() as held:
                assert held.holders([signal(1)], NOON, ANY) == []
            connection.execute(text(others + "pg_backend_pid()"))
    engine.dispose()


def test_a_statement_that_takes_too_long_is_no_mistake_of_ours(postgres_url: str) -> None:
    with closing(Store(postgres_url)) as store, pytest.raises(StoreBusy):
        connections = ThreadConnections(store.engine)
        with closing(connections), connections.snapshot(_itself) as snapshot:
            snapshot.execute(select(func.set_config("statement_timeout", "10", True)), {})
            snapshot.execute(select(func.pg_sleep(5)), {})
