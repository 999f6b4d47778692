"""What a decision changes for members: who would match a contribution no longer."""

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


def test_the_effect_tells_who_would_match_it_no_longer(db: HashDB, actor: Actor, other: Actor) -> None:
    one, same = contributed(db, actor, draft(1, 2), draft(2, 3))
    contributed(db, other, draft(1))
    feed.read(db, other, 0, 10)
    matches.match(db, other, [query(2), query(2)])
    counts.flush(db)
    effect = impacts.impact(db, COMMAND_LINE, one.id)
    assert effect == Impact(matches=True, members=1, times=2, equal=2, readers=1)
    contributions.withdraw(db, actor, same.id, "other")
    assert impacts.impact(db, COMMAND_LINE, one.id).equal == 1
    assert not impacts.impact(db, COMMAND_LINE, same.id).matches


def test_the_effect_counts_what_has_several_frames_of_a_video(db: HashDB, actor: Actor, other: Actor) -> None:
    (film,) = contributed(db, actor, video(*range(100, 110)))
    contributed(db, other, video(102, 103, 104), video(100, 101, 200, 201), draft(300))
    assert impacts.impact(db, COMMAND_LINE, film.id).equal == 1
