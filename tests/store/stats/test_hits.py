"""Hits in SQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import update

from hashdb.domain.accounts.members import SYSTEM, Member
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.stats.counts import Hit, Reversal
from hashdb.store import Store
from hashdb.store.tables import contributions
from tests.builders import NOON, draft

HOUR = timedelta(hours=1)
HIT = Hit(NOON.date(), 3, 17, NOON, NOON + HOUR, 9, 2, {"pdq": 6})


def test_hits_of_a_contribution_on_one_day_are_merged(store: Store) -> None:
    later = replace(HIT, first_at=NOON - HOUR, last_at=NOON, times=5, distance={"phash": 2})
    with store.begin() as tx:
        tx.hits.add([HIT, replace(HIT, member=4, first_at=NOON + HOUR), replace(HIT, contribution=18)])
        tx.hits.add([later])
    with store.read() as tx:
        assert sorted(tx.hits.first_hits(NOON + 2 * HOUR)) == [
            (17, 3, NOON - HOUR),
            (17, 4, NOON + HOUR),
            (18, 3, NOON),
        ]
        assert sorted(tx.hits.first_hits(NOON)) == [(17, 3, NOON - HOUR)]


def test_contributors_are_returned_by_contribution(store: Store, member: Member) -> None:
    with store.begin() as tx:
        first, second = tx.contributions.add(member, [draft(1), draft(2)], NOON)
        assert tx.contributions.contributors([first.id, second.id, 99]) == {first.id: member.id, second.id: member.id}


def _add_withdrawn(store: Store, member: Member, count: int) -> list[int]:
    """Add `count` contributions, withdrawn by the events 1, 2, … of the log; return their ids."""
    with store.begin() as tx:
        ids = [
            contribution.id
            for contribution in tx.contributions.add(member, [draft(seed) for seed in range(count)], NOON)
        ]
        for id in ids:
            tx.contributions.withdraw(id, "other", NOON)
        entries = [LogEntry(Action.CONTRIBUTION_WITHDRAWN, "contribution", id, {"reason": "other"}) for id in ids]
        tx.audit.append(NOON, SYSTEM, entries)
    return ids


def _hit(member: int, contribution: int, seq: int) -> Hit:
    return Hit(NOON.date(), member, contribution, NOON, NOON, seq, 1, {"pdq": 6})


def test_reversals_are_withdrawals_after_a_hit_of_the_member(store: Store, member: Member) -> None:
    hit_before, hit_after, of_other_member, hit_again = _add_withdrawn(store, member, 4)
    with store.begin() as tx:
        tx.hits.add([_hit(3, hit_before, 0), _hit(3, hit_after, 2), _hit(4, of_other_member, 0)])
        tx.hits.add([_hit(3, hit_again, 9), replace(_hit(3, hit_again, 3), day=NOON.replace(day=21).date())])
    with store.read() as tx:
        assert tx.hits.reversals(3, 0, 99) == (
            Reversal(1, hit_before, "withdrawn", "other", NOON),
            Reversal(4, hit_again, "withdrawn", "other", NOON),
        )
        assert [reversal.seq for reversal in tx.hits.reversals(3, 1, 99)] == [4]
        assert [reversal.seq for reversal in tx.hits.reversals(3, 0, 3)] == [1]
        assert tx.hits.reversals(5, 0, 99) == ()


def test_a_contribution_that_matches_again_is_no_reversal(store: Store, member: Member) -> None:
    (id,) = _add_withdrawn(store, member, 1)
    with store.begin() as tx:
        tx.hits.add([_hit(3, id, 0)])
        tx.hits._connection.execute(update(contributions).values(withdrawn_at=None))
        assert tx.hits.reversals(3, 0, 99) == ()
        tx.hits._connection.execute(update(contributions).values(standing="retired"))
        assert [reversal.now for reversal in tx.hits.reversals(3, 0, 99)] == ["retired"]
