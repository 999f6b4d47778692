"""The figures of the overview in SQL."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Standing
from hashdb.domain.review.cases import Decision
from hashdb.domain.stats.overviews import EVERYONE, DayCount, Deltas, TotalCount
from hashdb.store import Store
from tests.builders import NOON, draft

TODAY = NOON.date()
DAY = timedelta(days=1)


def test_deltas_are_added_once_to_the_stored_figures(store: Store) -> None:
    deltas = Deltas(
        5,
        Counter(
            {
                DayCount(TODAY, "added", EVERYONE): 2,
                DayCount(TODAY, "added", 7): 2,
                DayCount(TODAY - DAY, "added", 7): 1,
            }
        ),
        Counter({TotalCount("status:active", 7): 2}),
    )
    with store.begin() as tx:
        assert tx.overviews.add(deltas, 0)
    with store.begin() as tx:
        assert not tx.overviews.add(deltas, 0), "another process has counted these"
        assert tx.overviews.add(Deltas(6, Counter(deltas.by_day), Counter({TotalCount("status:active", 7): -1})), 5)
    with store.read() as tx:
        assert tx.overviews.last_seq() == 6
        assert tx.overviews.by_day(TODAY) == {TODAY: {"added": 4}}
        assert tx.overviews.by_member(TODAY, ["added"]) == {TotalCount("added", 7): 4}
        assert tx.overviews.by_member(TODAY - DAY, ["added"]) == {TotalCount("added", 7): 6}
        assert tx.overviews.by_member(TODAY, ["timed"]) == {}
        assert tx.overviews.totals() == {TotalCount("status:active", 7): 1}


def test_some_figures_are_counted_at_each_request(store: Store, member: Member) -> None:
    with store.begin() as tx:
        _, disputed, with_cases = tx.contributions.add(
            member, [draft(1, expires_at=NOON + DAY), draft(2, expires_at=NOON + 9 * DAY), draft(3)], NOON
        )
        tx.statuses.set_standing([disputed.id], Standing.DISPUTED)
        for due in (NOON - DAY, NOON + DAY, NOON + 9 * DAY):
            tx.cases.open(with_cases.id, "other", NOON, due)
        for id in (disputed.id, with_cases.id):
            tx.cases.decide(tx.cases.open(id, "other", NOON, NOON).id, Decision.UPHOLD, None, "key:1", NOON)
    with store.read() as tx:
        assert [tx.overviews.count_received(NOON + timedelta(seconds=s)) for s in (0, 1)] == [3, 0]
        assert tx.overviews.count_expiring(NOON, NOON + 7 * DAY) == 1
        assert tx.overviews.count_upheld() == {member.id: 1}
        waiting = tx.overviews.review_backlog(NOON, NOON + 2 * DAY)
    assert (waiting.open, waiting.overdue, waiting.soon, waiting.first_due) == (3, 1, 1, NOON - DAY)
