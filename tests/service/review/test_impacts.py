"""The impact of a decision on members: how many would no longer match a contribution."""

from __future__ import annotations

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.review.cases import Impact
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from hashdb.service.review import impacts
from hashdb.service.sharing import feed
from hashdb.service.stats import counts
from tests.builders import contributed, draft, query, video


def test_the_impact_counts_members_queries_and_copies_that_would_lose_it(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    contribution, with_equal_signal = contributed(db, actor, draft(1, 2), draft(2, 3))
    contributed(db, other, draft(1))
    feed.read(db, other, 0, 10)
    matches.match(db, other, [query(2), query(2)])
    counts.flush(db)
    impact = impacts.impact(db, COMMAND_LINE, contribution.id)
    assert impact == Impact(matches=True, members=1, times=2, equal=2, readers=1)
    contributions.withdraw(db, actor, with_equal_signal.id, "other")
    assert impacts.impact(db, COMMAND_LINE, contribution.id).equal == 1
    assert not impacts.impact(db, COMMAND_LINE, with_equal_signal.id).matches


def test_the_impact_counts_items_with_several_frames_of_a_video(db: HashDB, actor: Actor, other: Actor) -> None:
    (film,) = contributed(db, actor, video(*range(100, 110)))
    contributed(db, other, video(102, 103, 104), video(100, 101, 200, 201), draft(300))
    assert impacts.impact(db, COMMAND_LINE, film.id).equal == 1
