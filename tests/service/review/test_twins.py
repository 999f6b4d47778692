"""Twins: a retirement quarantines what the same member has near to it, however it was planted."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from sqlalchemy import event

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor, MemberChange, MemberStatus
from hashdb.domain.contributions import Contribution, Standing
from hashdb.domain.review.cases import Case, CaseState, Decision, OpinionDraft, Stance
from hashdb.domain.signals import Algorithm, Signal
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import matches
from hashdb.service.review import cases, opinions
from hashdb.service.review.twins import NearShadow, search_near
from tests.builders import Clock, contributed, draft, hashdb, near, query, signal, video

DISPUTES = OpinionDraft(Stance.DISPUTES, "other")
PHASH = Algorithm.PHASH


@pytest.fixture
def one(db: HashDB, actor: Actor) -> Contribution:
    """A picture by two algorithms, by the first member."""
    return contributed(db, actor, draft(signal(1), signal(1, PHASH)))[0]


def retire(db: HashDB, by: Actor, id: int, signals: list[int] | None = None) -> None:
    case = opinions.give(db, by, id, DISPUTES).case
    assert case is not None
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE, signals=signals)


def standings(db: HashDB, *found: Contribution) -> list[Standing]:
    return [contributions.get(db, COMMAND_LINE, one.id).standing for one in found]


def test_what_the_same_member_has_near_a_retired_contribution_is_quarantined_with_it(
    db: HashDB, actor: Actor, other: Actor, one: Contribution
) -> None:
    copies = [draft(near(signal(1), 2 + 2 * number)) for number in range(15)]
    copied = contributed(db, actor, *copies, draft(near(signal(1), 32)), draft(near(signal(1, PHASH), 6), quality=None))
    retire(db, other, one.id)
    assert standings(db, *copied) == [Standing.QUARANTINED] * len(copied)
    (result,) = matches.match(db, SYSTEM, [query(1)]).results
    assert result.matches == ()
    waiting = cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 100)
    assert [(case.contribution, case.reason, case.holds) for case in waiting] == [
        (twin.id, "near_retired", True) for twin in copied
    ]
    with db.store.read() as tx:
        told = [one.details for one in tx.audit.events(0, 99, None, "contribution.quarantined", None)]
    assert told == [{"before": "unreviewed", "reason": "near_retired", "near": one.id}] * len(copied)
    assert verify(db, COMMAND_LINE).findings == ()


def test_what_others_have_and_what_is_farther_away_stays_as_it_is(
    db: HashDB, actor: Actor, other: Actor, one: Contribution
) -> None:
    far = contributed(db, actor, draft(near(signal(1), 64)), draft(near(signal(1, PHASH), 8), quality=None), draft(3))
    theirs = contributed(db, other, draft(near(signal(1), 4)))
    retire(db, other, one.id)
    assert standings(db, *far, *theirs) == [Standing.UNREVIEWED] * 4


def test_what_is_near_a_signal_without_a_shadow_stays_as_it_is(db: HashDB, actor: Actor, other: Actor) -> None:
    one, planted, near_it = contributed(db, actor, draft(1, 2), draft(2), draft(near(signal(1), 2)))
    retire(db, other, one.id)
    assert standings(db, planted, near_it) == [Standing.UNREVIEWED, Standing.QUARANTINED]


def test_a_twin_on_which_a_case_is_open_is_held_by_that_case(
    db: HashDB, actor: Actor, other: Actor, one: Contribution
) -> None:
    (twin,) = contributed(db, actor, draft(near(signal(1), 4)))
    open_ = opinions.give(db, other, twin.id, DISPUTES).case
    retire(db, other, one.id)
    (case,) = cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 9)
    assert (case.id, case.holds, standings(db, twin)) == (open_, True, [Standing.QUARANTINED])


def test_another_decision_leaves_twins_alone(db: HashDB, actor: Actor, other: Actor, one: Contribution) -> None:
    (twin,) = contributed(db, actor, draft(near(signal(1), 4)))
    case = opinions.give(db, other, one.id, DISPUTES).case
    assert case is not None
    cases.decide(db, COMMAND_LINE, case, Decision.QUARANTINE)
    assert standings(db, twin) == [Standing.UNREVIEWED]


def test_twins_of_a_suspended_member_do_not_match_when_it_is_reinstated(
    db: HashDB, actor: Actor, other: Actor, one: Contribution
) -> None:
    (twin,) = contributed(db, actor, draft(near(signal(1), 4)))
    case = opinions.give(db, other, one.id, DISPUTES).case
    assert case is not None and actor.member is not None
    members.change(db, COMMAND_LINE, actor.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE)
    assert standings(db, twin) == [Standing.QUARANTINED]


def test_a_twin_that_is_contributed_after_the_index_was_asked_is_found(
    db: HashDB,
    database_url: str,
    clock: Clock,
    actor: Actor,
    other: Actor,
    one: Contribution,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = opinions.give(db, other, one.id, DISPUTES).case
    assert case is not None
    elsewhere, made = hashdb(database_url, clock), list[Contribution]()

    def contribute_after(db: HashDB, asked: Iterable[Signal], frames: Iterable[Signal]) -> NearShadow:
        found = search_near(db, asked, frames)
        made.extend(contributed(elsewhere, actor, draft(near(signal(1), 32)), draft(3), video(1, 4, 5), video(1)))
        return found

    monkeypatch.setattr("hashdb.service.review.cases.search_near", contribute_after)
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE)
    expected = [Standing.QUARANTINED, Standing.UNREVIEWED, Standing.UNREVIEWED, Standing.QUARANTINED]
    assert standings(db, *made) == expected
    elsewhere.close()


def test_a_retired_video_takes_what_shows_several_of_its_shots_along(db: HashDB, actor: Actor, other: Actor) -> None:
    one, part, intro, still, frame = contributed(
        db,
        actor,
        video(*range(100, 120)),
        video(*range(500, 505), *range(110, 113)),
        video(100, 101, *range(600, 620)),
        draft(3),
        draft(near(signal(105), 31)),
    )
    retire(db, other, one.id)
    assert standings(db, one, part, intro, still, frame) == [
        Standing.RETIRED,
        Standing.QUARANTINED,
        Standing.UNREVIEWED,
        Standing.UNREVIEWED,
        Standing.QUARANTINED,
    ]


def test_many_twins_are_quarantined_with_few_statements(
    db: HashDB, actor: Actor, other: Actor, one: Contribution
) -> None:
    contributed(db, actor, *(draft(near(signal(1), 30, seed=seed)) for seed in range(200)))
    case = opinions.give(db, other, one.id, DISPUTES).case
    assert case is not None
    asked: list[str] = []
    event.listen(db.store.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    decided = cases.decide(db, COMMAND_LINE, case, Decision.RETIRE)
    assert isinstance(decided, Case)
    assert len(cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 999)) == 200
    assert len(asked) < 150
