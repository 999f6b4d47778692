"""Queues: orders, filters, pages and piles of the open cases, and what waits for a second person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Scope
from hashdb.domain.contributions import Contribution, Standing
from hashdb.domain.review.cases import CaseState, Decision, OpinionDraft, Stance
from hashdb.domain.review.queues import PILE, UNKNOWN_SEVERITY, Age, Pile, QueueOrder, QueueQuery
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.ledger.verification import verify
from hashdb.service.review import cases, claims, opinions, queues
from tests.builders import NOON, Clock, contributed, draft, member_with, near, signal

DISPUTE = OpinionDraft(Stance.DISPUTES, "other")
GRAVEST = QueueQuery(order=QueueOrder.SEVERITY)


def test_cases_wait_by_their_clock_or_the_gravest_first(db: HashDB, actor: Actor, clock: Clock) -> None:
    grave = [2, None, 4, 0, 4]
    for one in contributed(db, actor, *(draft(seed, severity=how) for seed, how in enumerate(grave))):
        cases.open_case(db, COMMAND_LINE, one.id, "other", holds=False)
        clock.go(hours=1)
    assert [one.case.id for one in queues.queue(db, COMMAND_LINE).waiting] == [1, 2, 3, 4, 5]
    found = queues.queue(db, COMMAND_LINE, GRAVEST).waiting
    assert [one.case.id for one in found] == [3, 5, 1, 4, 2]
    assert [one.contribution.severity for one in found] == [4, 4, 2, 0, None]
    cases.decide(db, COMMAND_LINE, 5, Decision.UPHOLD)
    assert queues.neighbors_in_queue(db, COMMAND_LINE, 3, GRAVEST) == (None, 1)
    assert queues.neighbors_in_queue(db, COMMAND_LINE, 4, GRAVEST) == (1, 2)
    assert queues.neighbors_in_queue(db, COMMAND_LINE, 2, GRAVEST) == (4, None)
    assert queues.neighbors_in_queue(db, COMMAND_LINE, 5, GRAVEST) == (None, 3)


def disputed(db: HashDB, by: Actor, found: Sequence[Contribution]) -> list[int]:
    """The cases that a member opens on these contributions."""
    return [case for one in found if (case := opinions.give(db, by, one.id, DISPUTE).case) is not None]


def test_the_cases_of_a_member_with_many_are_a_pile_after_all_others(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    third = member_with(db)
    piled = disputed(db, other, contributed(db, actor, *map(draft, range(PILE)), draft(100, severity=4)))
    clock.go(hours=1)
    (case,) = disputed(db, actor, contributed(db, other, draft(200)))
    brought = cases.open_case(db, COMMAND_LINE, contributed(db, third, draft(201))[0].id, "other", holds=True).id
    for order in QueueOrder:
        queue = queues.queue(db, COMMAND_LINE, QueueQuery(order=order))
        assert [one.case.id for one in queue.waiting] == [case, brought]
        assert queue.piles == (
            Pile(other.require_member(Scope.MATCH).id, piled_by(other), PILE + 1, 0, NOON + timedelta(hours=72), 4),
        )
        assert queues.neighbors_in_queue(db, COMMAND_LINE, case, QueueQuery(order=order)) == (None, brought)
    pile = queues.queue(
        db, COMMAND_LINE, QueueQuery(pile=other.require_member(Scope.MATCH).id, order=QueueOrder.SEVERITY)
    )
    assert [one.case.id for one in pile.waiting] == [piled[-1], *piled[:-1]]
    assert pile.piles == ()
    beside = queues.neighbors_in_queue(
        db, COMMAND_LINE, piled[1], QueueQuery(pile=other.require_member(Scope.MATCH).id)
    )
    assert beside == (piled[0], piled[2])
    # Every case is listed, and the one that is decided leaves the pile.
    assert len(cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 99)) == PILE + 3
    cases.decide(db, COMMAND_LINE, piled[-1], Decision.UPHOLD)
    assert queues.queue(db, COMMAND_LINE).piles == ()


def piled_by(actor: Actor) -> str:
    return actor.require_member(Scope.MATCH).name


def test_what_a_member_contributed_again_counts_for_its_own_pile(db: HashDB, actor: Actor, other: Actor) -> None:
    (one,) = contributed(db, actor, draft(1))
    twins = [draft(near(signal(1), 8, seed=seed)) for seed in range(PILE + 1)]
    contributed(db, actor, *twins)
    cases.decide(db, COMMAND_LINE, disputed(db, other, [one])[0], Decision.RETIRE)
    (pile,) = queues.queue(db, COMMAND_LINE).piles
    assert (pile.member_name, pile.count, pile.held) == (piled_by(actor), PILE + 1, PILE + 1)


def test_a_pile_is_upheld_with_one_reason_but_for_what_came_since(db: HashDB, actor: Actor, other: Actor) -> None:
    made = contributed(db, actor, *map(draft, range(PILE + 2)))
    piled = disputed(db, other, made)
    member, reviewer = other.require_member(Scope.MATCH).id, member_with(db, Scope.REVIEW)
    kept = disputed(db, actor, contributed(db, other, draft(200)))
    assert queues.uphold_pile(db, reviewer, member, piled[-2], "news reports") == PILE + 1
    decided = [cases.get(db, COMMAND_LINE, id) for id in piled]
    assert [one.decision for one in decided] == [Decision.UPHOLD] * (PILE + 1) + [None]
    assert {one.note for one in decided[:-1]} == {"news reports"}
    assert {one.decided_by for one in decided[:-1]} == {str(reviewer)}
    standings = [contributions.get(db, COMMAND_LINE, one.id).standing for one in made]
    assert standings == [Standing.UNREVIEWED] * (PILE + 1) + [Standing.DISPUTED]
    assert cases.get(db, COMMAND_LINE, kept[0]).state is CaseState.OPEN
    assert queues.uphold_pile(db, reviewer, member, piled[-2], "news reports") == 0
    assert verify(db, COMMAND_LINE).findings == ()


def test_a_queue_is_for_who_reviews_or_audits(db: HashDB, actor: Actor) -> None:
    assert queues.neighbors_in_queue(db, COMMAND_LINE, 1) == (None, None)
    for ask in (
        lambda: queues.queue(db, actor),
        lambda: queues.neighbors_in_queue(db, actor, 1),
        lambda: queues.count(db, actor),
        lambda: queues.list_proposed(db, actor),
        lambda: queues.uphold_pile(db, actor, 1, 9, "it stands"),
    ):
        with pytest.raises(ScopeMissing):
            ask()


def test_a_filter_selects_what_is_counted_and_listed(db: HashDB, actor: Actor, other: Actor, clock: Clock) -> None:
    kinds = [(2, "recruitment", "other"), (None, "glorification", "other"), (2, "glorification", "wrong_label")]
    for seed, (severity, label, reason) in enumerate(kinds):
        who = other if seed == 2 else actor
        (one,) = contributed(db, who, draft(seed, severity=severity, labels=(label,)))
        cases.open_case(db, COMMAND_LINE, one.id, reason, holds=False)
        clock.go(days=2)
    counts = queues.count(db, COMMAND_LINE)
    mine, theirs = actor.require_member(Scope.MATCH).id, other.require_member(Scope.MATCH).id
    assert (counts.total, counts.more) == (3, False)
    assert counts.label == {"recruitment": 1, "glorification": 2}
    assert counts.severity == {2: 2, UNKNOWN_SEVERITY: 1}
    assert counts.member == {mine: 2, theirs: 1}
    assert counts.reason == {"other": 2, "wrong_label": 1}
    assert counts.age == {Age.WEEK: 2, Age.DAYS: 1}
    for asked, ids in {
        QueueQuery(label="glorification"): [2, 3],
        QueueQuery(severity=2): [1, 3],
        QueueQuery(severity=UNKNOWN_SEVERITY): [2],
        QueueQuery(member=mine): [1, 2],
        QueueQuery(reason="wrong_label"): [3],
        QueueQuery(age=Age.WEEK): [1, 2],
        QueueQuery(age=Age.DAY): [],
        QueueQuery(label="glorification", member=mine): [2],
        QueueQuery(order=QueueOrder.OPENED, reverse=True): [3, 2, 1],
    }.items():
        assert [one.case.id for one in queues.queue(db, COMMAND_LINE, asked).waiting] == ids, asked
        assert queues.count(db, COMMAND_LINE, asked).total == len(ids), asked


def test_a_queue_is_read_page_by_page_in_both_directions(db: HashDB, actor: Actor) -> None:
    for one in contributed(db, actor, *(draft(seed, severity=seed % 3) for seed in range(7))):
        cases.open_case(db, COMMAND_LINE, one.id, "other", holds=False)
    for order in QueueOrder:
        for reverse in (False, True):
            asked = QueueQuery(order=order, reverse=reverse)
            whole = [one.case.id for one in queues.queue(db, COMMAND_LINE, asked).waiting]
            page, read = queues.queue(db, COMMAND_LINE, asked, limit=3), []
            while True:
                read.append([one.case.id for one in page.waiting])
                if page.after is None:
                    break
                page = queues.queue(db, COMMAND_LINE, asked, after=page.after, limit=3)
            assert read == [whole[:3], whole[3:6], whole[6:]]
            page = queues.queue(db, COMMAND_LINE, asked, before=page.before, limit=3)
            assert [one.case.id for one in page.waiting] == whole[3:6]
            page = queues.queue(db, COMMAND_LINE, asked, before=page.before, limit=3)
            assert ([one.case.id for one in page.waiting], page.before) == (whole[:3], None)


def test_what_waits_for_a_second_person_is_in_no_queue_but_in_a_list_of_its_own(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    db.rules = replace(db.rules, two_persons=True)
    first, second = member_with(db, Scope.REVIEW), member_with(db, Scope.REVIEW)
    one, two = disputed(db, other, contributed(db, actor, draft(1), draft(2)))
    for _ in range(2):
        cases.decide(db, first, one, Decision.RETIRE, "a news report")
    (found,) = queues.list_proposed(db, second)
    assert found.waiting.case.id == one and found.reason is not None
    assert (found.reason.text, found.reason.actor, found.proposal.actor) == ("a news report", str(first), str(first))
    for who in (first, second):
        assert [each.case.id for each in queues.queue(db, who).waiting] == [two]
        assert queues.count(db, who).total == 1
        assert claims.take_next(db, who, QueueQuery()) == (two if who is first else None)
    cases.decide(db, second, one, Decision.RETIRE, "so it is")
    assert queues.list_proposed(db, second) == ()
    cases.decide(db, first, two, Decision.RETIRE, "the same")
    clock.go(days=4)
    assert queues.list_proposed(db, second) == ()
    assert [each.case.id for each in queues.queue(db, second).waiting] == [two], "a proposal that expired leaves it"


def test_a_case_that_a_reviewer_opened_counts_for_the_first_member_that_speaks_in_it(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    third = member_with(db)
    for one in contributed(db, actor, *map(draft, range(PILE + 1))):
        cases.open_case(db, COMMAND_LINE, one.id, "other", holds=False)
        disputed(db, other, [one])
        disputed(db, third, [one])
    (pile,) = queues.queue(db, COMMAND_LINE).piles
    assert (pile.member, pile.count) == (other.require_member(Scope.MATCH).id, PILE + 1)
