"""Queues: orders, filters, pages and piles of open cases, and proposals for a second person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Scope
from hashdb.domain.contributions import Contribution, Standing
from hashdb.domain.review.cases import CaseState, Decision, OpinionDraft, Stance
from hashdb.domain.review.queues import MOST_WITHOUT_PILE, UNKNOWN_SEVERITY, Age, Pile, QueueOrder, QueueQuery
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.ledger.verification import verify
from hashdb.service.review import cases, claims, opinions, queues
from tests.builders import NOON, Clock, contributed, draft, member_with, near, signal

DISPUTE = OpinionDraft(Stance.DISPUTES, "other")
BY_SEVERITY = QueueQuery(order=QueueOrder.SEVERITY)


def test_the_queue_is_ordered_by_due_time_or_by_severity(db: HashDB, actor: Actor, clock: Clock) -> None:
    severities = [2, None, 4, 0, 4]
    for item in contributed(db, actor, *(draft(seed, severity=severity) for seed, severity in enumerate(severities))):
        cases.open_case(db, COMMAND_LINE, item.id, "other", holds=False)
        clock.advance(hours=1)
    assert [each.case.id for each in queues.queue(db, COMMAND_LINE).waiting] == [1, 2, 3, 4, 5]
    waiting = queues.queue(db, COMMAND_LINE, BY_SEVERITY).waiting
    assert [each.case.id for each in waiting] == [3, 5, 1, 4, 2]
    assert [each.contribution.severity for each in waiting] == [4, 4, 2, 0, None]
    cases.decide(db, COMMAND_LINE, 5, Decision.UPHOLD)
    assert queues.neighbors_in_queue(db, COMMAND_LINE, 3, BY_SEVERITY) == (None, 1)
    assert queues.neighbors_in_queue(db, COMMAND_LINE, 4, BY_SEVERITY) == (1, 2)
    assert queues.neighbors_in_queue(db, COMMAND_LINE, 2, BY_SEVERITY) == (4, None)
    assert queues.neighbors_in_queue(db, COMMAND_LINE, 5, BY_SEVERITY) == (None, 3)


def dispute_all(db: HashDB, by: Actor, items: Sequence[Contribution]) -> list[int]:
    """Dispute these contributions as a member; return the cases that this opened."""
    return [case for item in items if (case := opinions.give(db, by, item.id, DISPUTE).case) is not None]


def test_many_cases_of_one_member_form_a_pile_after_all_others(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    third = member_with(db)
    piled = dispute_all(
        db, other, contributed(db, actor, *map(draft, range(MOST_WITHOUT_PILE)), draft(100, severity=4))
    )
    clock.advance(hours=1)
    (case,) = dispute_all(db, actor, contributed(db, other, draft(200)))
    opened_by_reviewer = cases.open_case(
        db, COMMAND_LINE, contributed(db, third, draft(201))[0].id, "other", holds=True
    ).id
    for order in QueueOrder:
        queue = queues.queue(db, COMMAND_LINE, QueueQuery(order=order))
        assert [each.case.id for each in queue.waiting] == [case, opened_by_reviewer]
        assert queue.piles == (
            Pile(
                other.require_member(Scope.MATCH).id,
                name_of(other),
                MOST_WITHOUT_PILE + 1,
                0,
                NOON + timedelta(hours=72),
                4,
            ),
        )
        assert queues.neighbors_in_queue(db, COMMAND_LINE, case, QueueQuery(order=order)) == (None, opened_by_reviewer)
    pile = queues.queue(
        db, COMMAND_LINE, QueueQuery(pile=other.require_member(Scope.MATCH).id, order=QueueOrder.SEVERITY)
    )
    assert [each.case.id for each in pile.waiting] == [piled[-1], *piled[:-1]]
    assert pile.piles == ()
    neighbors = queues.neighbors_in_queue(
        db, COMMAND_LINE, piled[1], QueueQuery(pile=other.require_member(Scope.MATCH).id)
    )
    assert neighbors == (piled[0], piled[2])
    # The list has every case. A decided case leaves the pile, and the pile becomes too small.
    assert len(cases.page(db, COMMAND_LINE, CaseState.OPEN, 0, 99)) == MOST_WITHOUT_PILE + 3
    cases.decide(db, COMMAND_LINE, piled[-1], Decision.UPHOLD)
    assert queues.queue(db, COMMAND_LINE).piles == ()


def name_of(actor: Actor) -> str:
    return actor.require_member(Scope.MATCH).name


def test_quarantined_twins_of_a_member_form_a_pile_of_that_member(db: HashDB, actor: Actor, other: Actor) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    twins = [draft(near(signal(1), 8, seed=seed)) for seed in range(MOST_WITHOUT_PILE + 1)]
    contributed(db, actor, *twins)
    cases.decide(db, COMMAND_LINE, dispute_all(db, other, [contribution])[0], Decision.RETIRE)
    (pile,) = queues.queue(db, COMMAND_LINE).piles
    assert (pile.member_name, pile.count, pile.held) == (name_of(actor), MOST_WITHOUT_PILE + 1, MOST_WITHOUT_PILE + 1)


def test_uphold_pile_decides_the_cases_that_the_reviewer_saw(db: HashDB, actor: Actor, other: Actor) -> None:
    items = contributed(db, actor, *map(draft, range(MOST_WITHOUT_PILE + 2)))
    piled = dispute_all(db, other, items)
    member, reviewer = other.require_member(Scope.MATCH).id, member_with(db, Scope.REVIEW)
    other_case = dispute_all(db, actor, contributed(db, other, draft(200)))
    assert queues.uphold_pile(db, reviewer, member, piled[-2], "news reports", QueueQuery()) == MOST_WITHOUT_PILE + 1
    decided = [cases.get(db, COMMAND_LINE, id) for id in piled]
    assert [each.decision for each in decided] == [Decision.UPHOLD] * (MOST_WITHOUT_PILE + 1) + [None]
    assert {each.note for each in decided[:-1]} == {"news reports"}
    assert {each.decided_by for each in decided[:-1]} == {str(reviewer)}
    standings = [contributions.get(db, COMMAND_LINE, each.id).standing for each in items]
    assert standings == [Standing.UNREVIEWED] * (MOST_WITHOUT_PILE + 1) + [Standing.DISPUTED]
    assert cases.get(db, COMMAND_LINE, other_case[0]).state is CaseState.OPEN
    assert queues.uphold_pile(db, reviewer, member, piled[-2], "news reports", QueueQuery()) == 0
    assert verify(db, COMMAND_LINE).findings == ()


def test_only_reviewers_and_auditors_read_queues(db: HashDB, actor: Actor) -> None:
    assert queues.neighbors_in_queue(db, COMMAND_LINE, 1, QueueQuery()) == (None, None)
    for verb in (
        lambda: queues.queue(db, actor),
        lambda: queues.neighbors_in_queue(db, actor, 1, QueueQuery()),
        lambda: queues.count(db, actor),
        lambda: queues.list_proposed(db, actor),
        lambda: queues.uphold_pile(db, actor, 1, 9, "it stands", QueueQuery()),
    ):
        with pytest.raises(ScopeMissing):
            verb()


def test_a_filter_selects_the_counted_and_the_listed_cases(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    kinds = [(2, "recruitment", "other"), (None, "glorification", "other"), (2, "glorification", "wrong_label")]
    for seed, (severity, label, reason) in enumerate(kinds):
        contributor = other if seed == 2 else actor
        (contribution,) = contributed(db, contributor, draft(seed, severity=severity, labels=(label,)))
        cases.open_case(db, COMMAND_LINE, contribution.id, reason, holds=False)
        clock.advance(days=2)
    counts = queues.count(db, COMMAND_LINE)
    first_member, second_member = actor.require_member(Scope.MATCH).id, other.require_member(Scope.MATCH).id
    assert (counts.total, counts.more) == (3, False)
    assert counts.label == {"recruitment": 1, "glorification": 2}
    assert counts.severity == {2: 2, UNKNOWN_SEVERITY: 1}
    assert counts.member == {first_member: 2, second_member: 1}
    assert counts.reason == {"other": 2, "wrong_label": 1}
    assert counts.age == {Age.WEEK: 2, Age.DAYS: 1}
    for query, ids in {
        QueueQuery(label="glorification"): [2, 3],
        QueueQuery(severity=2): [1, 3],
        QueueQuery(severity=UNKNOWN_SEVERITY): [2],
        QueueQuery(member=first_member): [1, 2],
        QueueQuery(reason="wrong_label"): [3],
        QueueQuery(age=Age.WEEK): [1, 2],
        QueueQuery(age=Age.DAY): [],
        QueueQuery(label="glorification", member=first_member): [2],
        QueueQuery(order=QueueOrder.OPENED, reverse=True): [3, 2, 1],
    }.items():
        assert [each.case.id for each in queues.queue(db, COMMAND_LINE, query).waiting] == ids, query
        assert queues.count(db, COMMAND_LINE, query).total == len(ids), query


def test_a_queue_has_pages_in_both_directions(db: HashDB, actor: Actor) -> None:
    for each in contributed(db, actor, *(draft(seed, severity=seed % 3) for seed in range(7))):
        cases.open_case(db, COMMAND_LINE, each.id, "other", holds=False)
    for order in QueueOrder:
        for reverse in (False, True):
            query = QueueQuery(order=order, reverse=reverse)
            whole = [each.case.id for each in queues.queue(db, COMMAND_LINE, query).waiting]
            page, pages = queues.queue(db, COMMAND_LINE, query, limit=3), []
            while True:
                pages.append([each.case.id for each in page.waiting])
                if page.after is None:
                    break
                page = queues.queue(db, COMMAND_LINE, query, after=page.after, limit=3)
            assert pages == [whole[:3], whole[3:6], whole[6:]]
            page = queues.queue(db, COMMAND_LINE, query, before=page.before, limit=3)
            assert [each.case.id for each in page.waiting] == whole[3:6]
            page = queues.queue(db, COMMAND_LINE, query, before=page.before, limit=3)
            assert ([each.case.id for each in page.waiting], page.before) == (whole[:3], None)


def test_a_proposal_leaves_the_queue_and_is_listed_for_the_second_person(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    db.rules = replace(db.rules, two_persons=True)
    first, second = member_with(db, Scope.REVIEW), member_with(db, Scope.REVIEW)
    proposed, undecided = dispute_all(db, other, contributed(db, actor, draft(1), draft(2)))
    for _ in range(2):
        cases.decide(db, first, proposed, Decision.RETIRE, "a news report")
    (listed,) = queues.list_proposed(db, second)
    assert listed.waiting.case.id == proposed and listed.reason is not None
    assert (listed.reason.text, listed.reason.actor, listed.proposal.actor) == ("a news report", str(first), str(first))
    for reviewer in (first, second):
        assert [each.case.id for each in queues.queue(db, reviewer).waiting] == [undecided]
        assert queues.count(db, reviewer).total == 1
        assert claims.take_next(db, reviewer, QueueQuery()) == (undecided if reviewer is first else None)
    cases.decide(db, second, proposed, Decision.RETIRE, "so it is")
    assert queues.list_proposed(db, second) == ()
    cases.decide(db, first, undecided, Decision.RETIRE, "the same")
    clock.advance(days=4)
    assert queues.list_proposed(db, second) == ()
    assert [each.case.id for each in queues.queue(db, second).waiting] == [undecided], (
        "an expired proposal leaves the list"
    )


def test_a_case_opened_by_a_reviewer_counts_for_its_first_disputer(db: HashDB, actor: Actor, other: Actor) -> None:
    third = member_with(db)
    for contribution in contributed(db, actor, *map(draft, range(MOST_WITHOUT_PILE + 1))):
        cases.open_case(db, COMMAND_LINE, contribution.id, "other", holds=False)
        dispute_all(db, other, [contribution])
        dispute_all(db, third, [contribution])
    (pile,) = queues.queue(db, COMMAND_LINE).piles
    assert (pile.member, pile.count) == (other.require_member(Scope.MATCH).id, MOST_WITHOUT_PILE + 1)
