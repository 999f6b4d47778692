"""Many rows at once: what is written comes back, whatever is in it."""

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


def test_texts_come_back_to_the_letter(store: Store, member: Member) -> None:
    """A driver that writes rows as text has to tell these from its own marks."""
    odd = ["\\N", "\\.", "a\tb", "a\nb\rc", "\\", "", "NULL", 'a"b,c', "\u00e9\U0001f600", None]
    drafts = [draft(seed, reference=text) for seed, text in enumerate(odd)]
    with store.begin() as tx:
        added = tx.contributions.add(member, drafts, NOON)
    with store.read() as tx:
        assert [tx.contributions.one(one.id, NOON) for one in added] == list(added)
    assert [one.reference for one in added] == odd


def test_every_kind_of_value_comes_back(store: Store, member: Member) -> None:
    second = timedelta(seconds=1)
    full = draft(
        1, 2, media=Media.VIDEO, severity=0, expires_at=NOON + second, notified_at=NOON - second, context=("news",)
    )
    with store.begin() as tx:
        added = tx.contributions.add(member, [full, draft(3)], NOON)
    with store.read() as tx:
        assert tuple(tx.contributions.one(one.id, NOON) for one in added) == added
    assert (added[0].media, added[0].severity, added[1].severity) == (Media.VIDEO, 0, None)


def test_ids_go_on_after_a_roll_back_and_are_those_of_the_order(store: Store, member: Member) -> None:
    with store.begin() as tx:
        first = tx.contributions.add(member, [draft(seed) for seed in range(3)], NOON)
    with pytest.raises(ZeroDivisionError), store.begin() as tx:
        tx.contributions.add(member, [draft(7)], NOON)
        raise ZeroDivisionError
    with store.begin() as tx:
        more = tx.contributions.add(member, [draft(8)], NOON) + tx.contributions.add(member, [draft(9)], NOON)
    ids = [one.id for one in first + more]
    assert ids == sorted(set(ids))
    assert [one.signals for one in more] == [draft(8).signals, draft(9).signals]


def test_no_rows_are_none_and_json_is_kept(store: Store, member: Member, database_url: str) -> None:
    with store.begin() as tx:
        (one,) = tx.contributions.add(member, [draft(1)], NOON)
    engine = create_engine(database_url)
    before = [{"labels": ["\\N", "\u00e9"]}, {"severity": None}]
    with engine.begin() as connection:
        insert_rows(connection, amendments, [])
        insert_rows(connection, amendments, [{"contribution_id": one.id, "at": NOON, "before": it} for it in before])
        rows = connection.execute(select(amendments.c.before, amendments.c.at).order_by(amendments.c.id)).all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [(it, NOON) for it in before]


@pytest.mark.parametrize("database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_many_rows_that_cannot_be_written_are_told_as_busy(store: Store, member: Member, database_url: str) -> None:
    """The driver is asked past SQLAlchemy there, and raises errors of its own: of a full disk, too."""
    hasty, engine = Store(database_url, busy_seconds=0.1), create_engine(database_url)
    with engine.begin() as other:
        other.execute(text("LOCK TABLE amendments"))
        with pytest.raises(StoreBusy), hasty.begin() as tx:
            insert_rows(tx.contributions._connection, amendments, [{"contribution_id": 1}])
    engine.dispose()
    hasty.close()
