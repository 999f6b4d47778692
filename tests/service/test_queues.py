"""The cases that wait, in the order in which they are to be decided."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from hashdb.domain.cases import PILE, CaseState, Decision, Order, Pile
from hashdb.domain.contributions import Contribution, Standing
from hashdb.domain.members import COMMAND_LINE, Actor, Scope
from hashdb.domain.opinions import OpinionDraft, Stance
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB, cases, contributions, opinions, queues
from hashdb.service.verification import verify
from tests.builders import NOON, Clock, contributed, draft, member_with, near, signal


def test_cases_wait_by_their_clock_or_the_gravest_first(db: HashDB, actor: Actor, clock: Clock) -> None:
    grave = [2, None, 4, 0, 4]
    for one in contributed(db, actor, *(draft(seed, severity=how) for seed, how in enumerate(grave))):
        cases.bring(db, COMMAND_LINE, one.id, "other", holds=False)
        clock.go(hours=1)
    assert [one.case.id for one in queues.of(db, COMMAND_LINE, Order.CLOCK).waiting] == [1, 2, 3, 4, 5]
    found = queues.of(db, COMMAND_LINE, Order.SEVERITY).waiting
    assert [one.case.id for one in found] == [3, 5, 1, 4, 2]
    assert [one.contribution.severity for one in found] == [4, 4, 2, 0, None]
    cases.decide(db, COMMAND_LINE, 5, Decision.UPHOLD)
    assert queues.beside(db, COMMAND_LINE, Order.SEVERITY, 3) == (None, 1)
    assert queues.beside(db, COMMAND_LINE, Order.SEVERITY, 4) == (1, 2)
    assert queues.beside(db, COMMAND_LINE, Order.SEVERITY, 2) == (4, None)
    assert queues.beside(db, COMMAND_LINE, Order.SEVERITY, 5) == (None, 3)
    assert [case.id for case in cases.latest(db, COMMAND_LINE, None, 9)] == [5]
    assert cases.latest(db, COMMAND_LINE, 5, 9) == ()


DISPUTES = OpinionDraft(Stance.DISPUTES, "other")


def disputed(db: HashDB, by: Actor, found: Sequence[Contribution]) -> list[int]:
    """The cases that a member opens on these contributions."""
    return [case for one in found if (case := opinions.give(db, by, one.id, DISPUTES).case) is not None]


def test_the_cases_of_a_member_with_many_are_a_pile_after_all_others(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    third = member_with(db)
    piled = disputed(db, other, contributed(db, actor, *map(draft, range(PILE)), draft(100, severity=4)))
    clock.go(hours=1)
    (case,) = disputed(db, actor, contributed(db, other, draft(200)))
    brought = cases.bring(db, COMMAND_LINE, contributed(db, third, draft(201))[0].id, "other", holds=True).id
    for order in Order:
        queue = queues.of(db, COMMAND_LINE, order)
        assert [one.case.id for one in queue.waiting] == [case, brought]
        assert queue.piles == (
            Pile(other.require_member(Scope.MATCH).id, piled_by(other), PILE + 1, 0, NOON + timedelta(hours=72), 4),
        )
        assert queues.beside(db, COMMAND_LINE, order, case) == (None, brought)
    pile = queues.of(db, COMMAND_LINE, Order.SEVERITY, other.require_member(Scope.MATCH).id)
    assert [one.case.id for one in pile.waiting] == [piled[-1], *piled[:-1]]
    assert pile.piles == ()
    beside = queues.beside(db, COMMAND_LINE, Order.CLOCK, piled[1], other.require_member(Scope.MATCH).id)
    assert beside == (piled[0], piled[2])
    # Every case is listed, and the one that is decided leaves the pile.
    assert len(cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 99)) == PILE + 3
    cases.decide(db, COMMAND_LINE, piled[-1], Decision.UPHOLD)
    assert queues.of(db, COMMAND_LINE, Order.CLOCK).piles == ()


def piled_by(actor: Actor) -> str:
    return actor.require_member(Scope.MATCH).name


def test_what_a_member_contributed_again_counts_for_its_own_pile(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    twins = [draft(near(signal(1), 8, seed=seed)) for seed in range(PILE + 1)]
    contributed(db, actor, *twins)
    cases.decide(db, COMMAND_LINE, disputed(db, other, [one])[0], Decision.RETIRE)
    (pile,) = queues.of(db, COMMAND_LINE, Order.CLOCK).piles
    assert (pile.member_name, pile.count, pile.held) == (piled_by(actor), PILE + 1, PILE + 1)


def test_a_pile_is_upheld_with_one_reason_but_for_what_came_since(db: HashDB, actor: Actor, other: Actor) -> None:
    made = contributed(db, actor, *map(draft, range(PILE + 2)))
    piled = disputed(db, other, made)
    member, reviewer = other.require_member(Scope.MATCH).id, member_with(db, Scope.REVIEW)
    kept = disputed(db, actor, contributed(db, other, draft(200)))
    assert queues.uphold(db, reviewer, member, piled[-2], "news reports") == PILE + 1
    decided = [cases.get(db, COMMAND_LINE, id) for id in piled]
    assert [one.decision for one in decided] == [Decision.UPHOLD] * (PILE + 1) + [None]
    assert {one.note for one in decided[:-1]} == {"news reports"}
    assert {one.decided_by for one in decided[:-1]} == {str(reviewer)}
    standings = [contributions.get(db, COMMAND_LINE, one.id).standing for one in made]
    assert standings == [Standing.UNREVIEWED] * (PILE + 1) + [Standing.DISPUTED]
    assert cases.get(db, COMMAND_LINE, kept[0]).state is CaseState.OPEN
    assert queues.uphold(db, reviewer, member, piled[-2], "news reports") == 0
    assert verify(db, COMMAND_LINE).findings == ()


def test_a_queue_is_for_who_reviews_or_audits(db: HashDB, actor: Actor) -> None:
    assert queues.beside(db, COMMAND_LINE, Order.CLOCK, 1) == (None, None)
    for ask in (
        lambda: queues.of(db, actor, Order.CLOCK),
        lambda: queues.beside(db, actor, Order.CLOCK, 1),
        lambda: cases.latest(db, actor, None, 1),
        lambda: cases.on(db, actor, 1),
        lambda: queues.uphold(db, actor, 1, 9, "it stands"),
    ):
        with pytest.raises(ScopeMissing):
            ask()
