"""The connections that threads keep: they return the same rows as SQLAlchemy, from one snapshot."""

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

ALL_STANDINGS = tuple(Standing)


def _same_runner(snapshot: StatementRunner) -> StatementRunner:
    return snapshot


def test_rows_are_the_same_as_those_of_sqlalchemy_for_lists_of_any_length(store: Store, member: Member) -> None:
    with store.begin() as tx:
        drafts = [
            draft(number, severity=number % 5 or None, context=("satire",), duration=number / 8)
            for number in range(1, 41)
        ]
        ids = [contribution.id for contribution in tx.contributions.add(member, drafts, NOON)]
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
    with store.read() as tx, connections.snapshot(_same_runner) as snapshot:
        for listed_ids in ([], ids[:1], ids[3:5], ids, ids[:1]):
            parameters = {"ids": listed_ids, "now": NOON, "limit": 30}
            expected = [tuple(row) for row in tx.connection.execute(query, parameters)]
            assert snapshot.execute(query, parameters) == expected
            assert len(expected) == min(30, len(listed_ids))
    connections.close()


def test_all_reads_of_a_match_reader_see_one_snapshot(store: Store, member: Member) -> None:
    with store.begin() as tx:
        (contribution,) = tx.contributions.add(member, [draft(1)], NOON)
    with store.match_reader() as reader:
        assert [holder.contribution for holder in reader.holders([signal(1)], NOON, ALL_STANDINGS)] == [contribution.id]
        with store.begin() as tx:
            tx.members.change(member.id, MemberChange(status=MemberStatus.SUSPENDED))
        assert [holder.contribution for holder in reader.holders([signal(1)], NOON, ALL_STANDINGS)] == [contribution.id]
    with store.match_reader() as reader:
        assert reader.holders([signal(1)], NOON, ALL_STANDINGS) == []


def test_a_thread_gets_a_new_connection_after_an_error(store: Store) -> None:
    closed: list[object] = []
    event.listen(store.engine, "close_detached", lambda connection: closed.append(connection))
    connections = ThreadConnections(store.engine)
    with pytest.raises(ZeroDivisionError), connections.snapshot(_same_runner):
        raise ZeroDivisionError
    assert len(closed) == 1
    # SQLite reports a missing table as an operational error, PostgreSQL as a programming error.
    errors = (StoreBusy,) if store.embedded else (store.engine.dialect.loaded_dbapi.ProgrammingError,)
    with pytest.raises(errors), connections.snapshot(_same_runner) as snapshot:
        snapshot.execute(select(text("nothing")).select_from(text("nowhere")), {})
    assert len(closed) == 2
    with connections.snapshot(_same_runner) as snapshot:
        assert snapshot.execute(select(func.count(contributions.c.id)), {}) == [(0,)]
    connections.close()
    assert len(closed) == 3


def test_a_connection_that_the_server_ended_is_replaced(postgres_url: str) -> None:
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    end_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid != "
    with closing(Store(postgres_url)) as store, engine.connect() as connection:
        for _ in range(2):
            with store.match_reader() as reader:
                assert reader.holders([signal(1)], NOON, ALL_STANDINGS) == []
            connection.execute(text(end_others + "pg_backend_pid()"))
    engine.dispose()


def test_a_statement_that_takes_too_long_is_reported_as_busy(postgres_url: str) -> None:
    with closing(Store(postgres_url)) as store, pytest.raises(StoreBusy):
        connections = ThreadConnections(store.engine)
        with closing(connections), connections.snapshot(_same_runner) as snapshot:
            snapshot.execute(select(func.set_config("statement_timeout", "10", True)), {})
            snapshot.execute(select(func.pg_sleep(5)), {})
