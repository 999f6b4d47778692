"""Inserts of many rows at once return the same values when read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import create_engine, select, text

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Media
from hashdb.errors import StoreBusy
from hashdb.store import Store
from hashdb.store.repositories import insert_rows
from hashdb.store.tables import amendments
from tests.builders import NOON, draft
from tests.postgres import on_postgres


def test_texts_with_special_characters_are_returned_unchanged(store: Store, member: Member) -> None:
    """A driver that writes rows as text must escape these."""
    texts = ["\\N", "\\.", "a\tb", "a\nb\rc", "\\", "", "NULL", 'a"b,c', "\u00e9\U0001f600", None]
    drafts = [draft(seed, reference=text) for seed, text in enumerate(texts)]
    with store.begin() as tx:
        added = tx.contributions.add(member, drafts, NOON)
    with store.read() as tx:
        assert [tx.contributions.one(contribution.id, NOON) for contribution in added] == list(added)
    assert [contribution.reference for contribution in added] == texts


def test_every_kind_of_value_is_returned_unchanged(store: Store, member: Member) -> None:
    second = timedelta(seconds=1)
    full = draft(
        1, 2, media=Media.VIDEO, severity=0, expires_at=NOON + second, notified_at=NOON - second, context=("news",)
    )
    with store.begin() as tx:
        added = tx.contributions.add(member, [full, draft(3)], NOON)
    with store.read() as tx:
        assert tuple(tx.contributions.one(contribution.id, NOON) for contribution in added) == added
    assert (added[0].media, added[0].severity, added[1].severity) == (Media.VIDEO, 0, None)


def test_ids_are_in_order_also_after_a_rollback(store: Store, member: Member) -> None:
    with store.begin() as tx:
        first = tx.contributions.add(member, [draft(seed) for seed in range(3)], NOON)
    with pytest.raises(ZeroDivisionError), store.begin() as tx:
        tx.contributions.add(member, [draft(7)], NOON)
        raise ZeroDivisionError
    with store.begin() as tx:
        more = tx.contributions.add(member, [draft(8)], NOON) + tx.contributions.add(member, [draft(9)], NOON)
    ids = [contribution.id for contribution in first + more]
    assert ids == sorted(set(ids))
    assert [contribution.signals for contribution in more] == [draft(8).signals, draft(9).signals]


def test_an_empty_list_is_accepted_and_json_is_returned_unchanged(
    store: Store, member: Member, database_url: str
) -> None:
    with store.begin() as tx:
        (contribution,) = tx.contributions.add(member, [draft(1)], NOON)
    engine = create_engine(database_url)
    values = [{"labels": ["\\N", "\u00e9"]}, {"severity": None}]
    with engine.begin() as connection:
        insert_rows(connection, amendments, [])
        insert_rows(
            connection,
            amendments,
            [{"contribution_id": contribution.id, "at": NOON, "before": value} for value in values],
        )
        rows = connection.execute(select(amendments.c.before, amendments.c.at).order_by(amendments.c.id)).all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [(value, NOON) for value in values]


@on_postgres
def test_a_failing_insert_of_many_rows_is_reported_as_busy(store: Store, member: Member, database_url: str) -> None:
    """This insert bypasses SQLAlchemy, so the driver raises its own errors, for example of a full disk."""
    impatient, engine = Store(database_url, busy_seconds=0.1), create_engine(database_url)
    with engine.begin() as other:
        other.execute(text("LOCK TABLE amendments"))
        with pytest.raises(StoreBusy), impatient.begin() as tx:
            insert_rows(tx.contributions._connection, amendments, [{"contribution_id": 1}])
    engine.dispose()
    impatient.close()
