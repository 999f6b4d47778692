"""Reversals in SQL: only what the member had before, only what still holds."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import update

from hashdb.domain.audit import Action, Entry
from hashdb.domain.hits import Hit
from hashdb.domain.members import SYSTEM, Member
from hashdb.domain.reversals import Reversal
from hashdb.store import Store
from hashdb.store.tables import contributions
from tests.builders import NOON, draft


def _withdrawn(store: Store, member: Member, count: int) -> list[int]:
    """So many contributions, withdrawn by the events 1, 2, … of the log."""
    with store.begin() as tx:
        ids = [one.id for one in tx.contributions.add(member, [draft(seed) for seed in range(count)], NOON)]
        for id in ids:
            tx.contributions.withdraw(id, "other", NOON)
        entries = [Entry(Action.CONTRIBUTION_WITHDRAWN, "contribution", id, {"reason": "other"}) for id in ids]
        tx.audit.append(NOON, SYSTEM, entries)
    return ids


def _hit(member: int, contribution: int, seq: int) -> Hit:
    return Hit(NOON.date(), member, contribution, NOON, NOON, seq, 1, {"pdq": 6})


def test_what_was_answered_before_the_event_is_told_to_whom_it_was_answered(store: Store, member: Member) -> None:
    before, after, others, again = _withdrawn(store, member, 4)
    with store.begin() as tx:
        tx.hits.add([_hit(3, before, 0), _hit(3, after, 2), _hit(4, others, 0)])
        tx.hits.add([_hit(3, again, 9), replace(_hit(3, again, 3), day=NOON.replace(day=21).date())])
    with store.read() as tx:
        assert tx.reversals.of(3, 0, 99, 10) == (
            Reversal(1, before, "withdrawn", "other", NOON),
            Reversal(4, again, "withdrawn", "other", NOON),
        )
        assert [one.seq for one in tx.reversals.of(3, 0, 99, 1)] == [1]
        assert [one.seq for one in tx.reversals.of(3, 1, 99, 10)] == [4]
        assert [one.seq for one in tx.reversals.of(3, 0, 3, 10)] == [1]
        assert tx.reversals.of(5, 0, 99, 10) == ()


def test_what_matches_again_is_not_told(store: Store, member: Member) -> None:
    (one,) = _withdrawn(store, member, 1)
    with store.begin() as tx:
        tx.hits.add([_hit(3, one, 0)])
        tx.reversals._connection.execute(update(contributions).values(withdrawn_at=None))
        assert tx.reversals.of(3, 0, 99, 10) == ()
        tx.reversals._connection.execute(update(contributions).values(standing="retired"))
        assert [one.now for one in tx.reversals.of(3, 0, 99, 10)] == ["retired"]
