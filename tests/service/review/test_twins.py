"""Twins: retiring a contribution quarantines the member's other contributions close to it."""

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
def contribution(db: HashDB, actor: Actor) -> Contribution:
    """A picture by two algorithms, by the first member."""
    return contributed(db, actor, draft(signal(1), signal(1, PHASH)))[0]


def retire(db: HashDB, by: Actor, id: int, signals: list[int] | None = None) -> None:
    case = opinions.give(db, by, id, DISPUTES).case
    assert case is not None
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE, shadow_places=signals)


def standings(db: HashDB, *items: Contribution) -> list[Standing]:
    return [contributions.get(db, COMMAND_LINE, item.id).standing for item in items]


def test_retiring_quarantines_close_contributions_of_the_same_member(
    db: HashDB, actor: Actor, other: Actor, contribution: Contribution
) -> None:
    copy_drafts = [draft(near(signal(1), 2 + 2 * number)) for number in range(15)]
    copied = contributed(
        db, actor, *copy_drafts, draft(near(signal(1), 32)), draft(near(signal(1, PHASH), 6), quality=None)
    )
    retire(db, other, contribution.id)
    assert standings(db, *copied) == [Standing.QUARANTINED] * len(copied)
    (result,) = matches.match(db, SYSTEM, [query(1)]).results
    assert result.matches == ()
    waiting = cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 100)
    assert [(case.contribution, case.reason, case.holds) for case in waiting] == [
        (twin.id, "near_retired", True) for twin in copied
    ]
    with db.store.read() as tx:
        details = [
            quarantined.details for quarantined in tx.audit.events(0, 99, None, "contribution.quarantined", None)
        ]
    assert details == [{"before": "unreviewed", "reason": "near_retired", "near": contribution.id}] * len(copied)
    assert verify(db, COMMAND_LINE).findings == ()


def test_retiring_does_not_change_farther_ones_and_those_of_other_members(
    db: HashDB, actor: Actor, other: Actor, contribution: Contribution
) -> None:
    far = contributed(db, actor, draft(near(signal(1), 64)), draft(near(signal(1, PHASH), 8), quality=None), draft(3))
    of_other_member = contributed(db, other, draft(near(signal(1), 4)))
    retire(db, other, contribution.id)
    assert standings(db, *far, *of_other_member) == [Standing.UNREVIEWED] * 4


def test_retiring_does_not_change_neighbors_of_signals_without_a_shadow(db: HashDB, actor: Actor, other: Actor) -> None:
    contribution, near_unshadowed, near_shadowed = contributed(
        db, actor, draft(1, 2), draft(2), draft(near(signal(1), 2))
    )
    retire(db, other, contribution.id)
    assert standings(db, near_unshadowed, near_shadowed) == [Standing.UNREVIEWED, Standing.QUARANTINED]


def test_an_open_case_of_a_twin_holds_it(db: HashDB, actor: Actor, other: Actor, contribution: Contribution) -> None:
    (twin,) = contributed(db, actor, draft(near(signal(1), 4)))
    open_case = opinions.give(db, other, twin.id, DISPUTES).case
    retire(db, other, contribution.id)
    (case,) = cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 9)
    assert (case.id, case.holds, standings(db, twin)) == (open_case, True, [Standing.QUARANTINED])


def test_a_quarantine_does_not_change_twins(db: HashDB, actor: Actor, other: Actor, contribution: Contribution) -> None:
    (twin,) = contributed(db, actor, draft(near(signal(1), 4)))
    case = opinions.give(db, other, contribution.id, DISPUTES).case
    assert case is not None
    cases.decide(db, COMMAND_LINE, case, Decision.QUARANTINE)
    assert standings(db, twin) == [Standing.UNREVIEWED]


def test_twins_of_a_suspended_member_are_quarantined_too(
    db: HashDB, actor: Actor, other: Actor, contribution: Contribution
) -> None:
    (twin,) = contributed(db, actor, draft(near(signal(1), 4)))
    case = opinions.give(db, other, contribution.id, DISPUTES).case
    assert case is not None and actor.member is not None
    members.change(db, COMMAND_LINE, actor.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE)
    assert standings(db, twin) == [Standing.QUARANTINED]


def test_a_twin_contributed_after_the_index_search_is_quarantined_too(
    db: HashDB,
    database_url: str,
    clock: Clock,
    actor: Actor,
    other: Actor,
    contribution: Contribution,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = opinions.give(db, other, contribution.id, DISPUTES).case
    assert case is not None
    other_process, added = hashdb(database_url, clock), list[Contribution]()

    def contribute_after(db: HashDB, signals: Iterable[Signal], frames: Iterable[Signal]) -> NearShadow:
        near_shadow = search_near(db, signals, frames)
        added.extend(contributed(other_process, actor, draft(near(signal(1), 32)), draft(3), video(1, 4, 5), video(1)))
        return near_shadow

    monkeypatch.setattr("hashdb.service.review.cases.search_near", contribute_after)
    cases.decide(db, COMMAND_LINE, case, Decision.RETIRE)
    expected = [Standing.QUARANTINED, Standing.UNREVIEWED, Standing.UNREVIEWED, Standing.QUARANTINED]
    assert standings(db, *added) == expected
    other_process.close()


def test_retiring_a_video_quarantines_items_with_several_of_its_shots(db: HashDB, actor: Actor, other: Actor) -> None:
    film, part, intro, still, frame = contributed(
        db,
        actor,
        video(*range(100, 120)),
        video(*range(500, 505), *range(110, 113)),
        video(100, 101, *range(600, 620)),
        draft(3),
        draft(near(signal(105), 31)),
    )
    retire(db, other, film.id)
    assert standings(db, film, part, intro, still, frame) == [
        Standing.RETIRED,
        Standing.QUARANTINED,
        Standing.UNREVIEWED,
        Standing.UNREVIEWED,
        Standing.QUARANTINED,
    ]


def test_many_twins_are_quarantined_with_few_statements(
    db: HashDB, actor: Actor, other: Actor, contribution: Contribution
) -> None:
    contributed(db, actor, *(draft(near(signal(1), 30, seed=seed)) for seed in range(200)))
    case = opinions.give(db, other, contribution.id, DISPUTES).case
    assert case is not None
    statements: list[str] = []
    event.listen(db.store.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    decided = cases.decide(db, COMMAND_LINE, case, Decision.RETIRE)
    assert isinstance(decided, Case)
    assert len(cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 999)) == 200
    assert len(statements) < 150
