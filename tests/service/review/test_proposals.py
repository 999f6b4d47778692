"""Proposals: if the operator requires two persons, the first request waits for a second person's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Member, MemberChange, MemberStatus, Scope
from hashdb.domain.matching.benign import BenignDraft, BenignEntry
from hashdb.domain.review.cases import Case, CaseState, Decision, OpinionDraft, Stance
from hashdb.domain.review.proposals import Proposal, TwoPersonAction
from hashdb.errors import AlreadyDecided, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.matching import benign
from hashdb.service.review import cases, opinions, proposals
from tests.builders import Clock, contributed, draft, member_with, signal, with_new_key
from tests.service.concurrently import run_concurrently

SUSPENDED = MemberChange(status=MemberStatus.SUSPENDED)


@pytest.fixture(autouse=True)
def _two_persons(db: HashDB) -> None:
    db.rules = replace(db.rules, two_persons=True)


@pytest.fixture
def admin(db: HashDB) -> Actor:
    """An administrator."""
    return member_with(db, Scope.ADMIN)


@pytest.fixture
def second(db: HashDB) -> Actor:
    """Another administrator."""
    return member_with(db, Scope.ADMIN)


def suspend(db: HashDB, actor: Actor, suspended: Actor) -> Member | Proposal:
    assert suspended.member is not None
    return members.change(db, actor, suspended.member.id, SUSPENDED)


def logged(db: HashDB, kind: str) -> list[tuple[str, str]]:
    with db.store.read() as tx:
        return [
            (event.action, event.actor) for event in tx.audit.events(0, 1000, None, None, None) if event.kind == kind
        ]


def test_the_same_request_by_a_second_person_suspends_a_member(
    db: HashDB, actor: Actor, admin: Actor, second: Actor
) -> None:
    proposal = suspend(db, admin, actor)
    assert isinstance(proposal, Proposal)
    assert (proposal.request.act, proposal.expires_at - proposal.proposed_at) == (
        TwoPersonAction.SUSPEND,
        proposals.WAITS,
    )
    assert proposals.page(db, second, 0, 9) == (proposal,)
    assert actor.member is not None
    assert members.get(db, COMMAND_LINE, actor.member.id).status is MemberStatus.ACTIVE
    member = suspend(db, second, actor)
    assert isinstance(member, Member) and member.status is MemberStatus.SUSPENDED
    assert proposals.page(db, second, 0, 9) == ()
    assert logged(db, "proposal") == [("proposal.made", str(admin)), ("proposal.approved", str(second))]


def test_two_keys_of_one_member_count_as_one_person(db: HashDB, actor: Actor, admin: Actor) -> None:
    proposal = suspend(db, admin, actor)
    head = db.store.head()
    assert suspend(db, with_new_key(db, admin, Scope.ADMIN), actor) == proposal
    assert logged(db, "proposal") == [("proposal.made", str(admin))]
    assert db.store.head().seq == head.seq + 1  # the key that was issued


def test_the_command_line_counts_as_one_person(db: HashDB, actor: Actor, admin: Actor) -> None:
    assert isinstance(suspend(db, COMMAND_LINE, actor), Proposal)
    assert isinstance(suspend(db, COMMAND_LINE, actor), Proposal)
    assert isinstance(suspend(db, admin, actor), Member)


def test_only_the_same_request_approves_a_proposal(
    db: HashDB, actor: Actor, other: Actor, admin: Actor, second: Actor
) -> None:
    assert actor.member is not None
    suspend(db, admin, actor)
    assert isinstance(suspend(db, second, other), Proposal)
    renamed = members.change(db, second, actor.member.id, replace(SUSPENDED, name="Renamed"))
    assert isinstance(renamed, Proposal)
    assert len(proposals.page(db, admin, 0, 9)) == 3


def test_one_person_is_enough_for_changes_other_than_a_suspension(
    db: HashDB, actor: Actor, admin: Actor, second: Actor
) -> None:
    assert actor.member is not None
    assert isinstance(members.change(db, admin, actor.member.id, MemberChange(contact="x")), Member)
    suspend(db, admin, actor)
    suspend(db, second, actor)
    assert isinstance(suspend(db, admin, actor), Member)  # the member is suspended already
    assert isinstance(members.change(db, admin, actor.member.id, MemberChange(status=MemberStatus.ACTIVE)), Member)


def test_the_same_request_by_a_second_person_adds_a_benign_entry(db: HashDB, admin: Actor, second: Actor) -> None:
    entry_draft = BenignDraft((signal(1),), note="a test card")
    proposal = benign.add(db, admin, entry_draft)
    assert isinstance(proposal, Proposal)
    assert proposal.request.content == {"signals": [str(signal(1))], "radius": {}, "note": "a test card"}
    assert benign.page(db, admin, 0, 9) == ()
    assert isinstance(benign.add(db, second, replace(entry_draft, note="")), Proposal)
    assert isinstance(benign.add(db, second, entry_draft), BenignEntry)
    with db.store.read() as tx:
        events = tx.audit.events(0, 1000, None, None, None)
    assert signal(1).to_bytes().hex() not in str(events)


def test_a_request_after_a_dropped_or_expired_proposal_is_a_new_proposal(
    db: HashDB, actor: Actor, admin: Actor, second: Actor, clock: Clock
) -> None:
    first = suspend(db, admin, actor)
    assert isinstance(first, Proposal)
    proposals.drop(db, second, first.id)
    with pytest.raises(NotFound):
        proposals.drop(db, second, first.id)
    new = suspend(db, second, actor)
    assert isinstance(new, Proposal) and new.id > first.id
    clock.at += proposals.WAITS
    assert proposals.page(db, admin, 0, 9) == ()
    with pytest.raises(NotFound):
        proposals.drop(db, admin, new.id)
    assert isinstance(suspend(db, admin, actor), Proposal)
    assert (proposals.expire(db), proposals.expire(db)) == (1, 0)
    assert [action for action, _ in logged(db, "proposal")] == [
        "proposal.made",
        "proposal.dropped",
        "proposal.made",
        "proposal.made",
        "proposal.expired",
    ]


def test_without_the_setting_one_person_is_enough(db: HashDB, actor: Actor, admin: Actor) -> None:
    db.rules = replace(db.rules, two_persons=False)
    assert isinstance(suspend(db, admin, actor), Member)


VERBS: list[Callable[[HashDB, Actor], object]] = [
    lambda db, actor: proposals.page(db, actor, 0, 1),
    lambda db, actor: proposals.drop(db, actor, 1),
]


@pytest.mark.parametrize("verb", VERBS)
def test_only_administrators_auditors_and_reviewers_read_proposals(
    db: HashDB, verb: Callable[[HashDB, Actor], object]
) -> None:
    with pytest.raises(ScopeMissing):
        verb(db, member_with(db, *(scope for scope in Scope if scope not in (Scope.ADMIN, Scope.AUDIT, Scope.REVIEW))))


@pytest.fixture
def case(db: HashDB, actor: Actor) -> int:
    """A case on a contribution of a platform."""
    (contribution,) = contributed(db, actor, draft(1))
    case = opinions.give(db, member_with(db), contribution.id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert case is not None
    return case


def test_the_same_request_by_a_second_person_retires_a_contribution(db: HashDB, actor: Actor, case: int) -> None:
    first, second = (member_with(db, Scope.REVIEW) for _ in range(2))
    proposal = cases.decide(db, first, case, Decision.RETIRE, "a first look")
    assert isinstance(proposal, Proposal)
    assert (proposal.request.act, proposal.request.subject) == (TwoPersonAction.RETIRE, f"case:{case}")
    assert cases.decide(db, first, case, Decision.RETIRE) == proposal
    assert cases.get(db, actor, case).state is CaseState.OPEN
    decided = cases.decide(db, second, case, Decision.RETIRE, "it is news")
    assert isinstance(decided, Case)
    assert (decided.decision, decided.note, decided.decided_by) == (Decision.RETIRE, "it is news", str(second))
    assert logged(db, "proposal") == [("proposal.made", str(first)), ("proposal.approved", str(second))]
    with pytest.raises(AlreadyDecided):
        cases.decide(db, first, case, Decision.RETIRE)


def test_the_second_person_must_name_the_same_signals(db: HashDB, case: int) -> None:
    first, second = (member_with(db, Scope.REVIEW) for _ in range(2))
    proposal = cases.decide(db, first, case, Decision.RETIRE, shadow_places=[])
    assert isinstance(proposal, Proposal) and proposal.request.content == {"decision": "retire", "signals": []}
    other = cases.decide(db, second, case, Decision.RETIRE)
    assert isinstance(other, Proposal) and other.request.content == {"decision": "retire"}
    # Naming the default signals explicitly is the same request as naming none.
    decided = cases.decide(db, first, case, Decision.RETIRE, shadow_places=[0])
    assert isinstance(decided, Case) and decided.shadow == (0,)


def test_one_person_is_enough_for_a_quarantine(db: HashDB, case: int) -> None:
    decided = cases.decide(db, member_with(db, Scope.REVIEW), case, Decision.QUARANTINE)
    assert isinstance(decided, Case) and decided.decision is Decision.QUARANTINE


def test_reviewers_see_and_drop_only_proposals_on_cases(db: HashDB, actor: Actor, admin: Actor, case: int) -> None:
    suspension, reviewer = suspend(db, admin, actor), member_with(db, Scope.REVIEW)
    retirement = cases.decide(db, reviewer, case, Decision.RETIRE)
    assert isinstance(suspension, Proposal) and isinstance(retirement, Proposal)
    assert proposals.page(db, reviewer, 0, 9) == (retirement,)
    assert proposals.page(db, admin, 0, 9) == (suspension, retirement)
    with pytest.raises(NotFound):
        proposals.drop(db, reviewer, suspension.id)
    proposals.drop(db, reviewer, retirement.id)
    assert proposals.page(db, admin, 0, 9) == (suspension,)


def test_two_concurrent_requests_to_retire_retire_once(db: HashDB, case: int) -> None:
    reviewers = [member_with(db, Scope.REVIEW) for _ in range(2)]
    results = run_concurrently([partial(cases.decide, db, reviewer, case, Decision.RETIRE) for reviewer in reviewers])
    assert sorted(type(result).__name__ for result in results) == ["Case", "Proposal"]
    assert [action for action, _ in logged(db, "proposal")] == ["proposal.made", "proposal.approved"]


def test_a_proposal_is_read_by_id_and_by_subject(db: HashDB, actor: Actor, admin: Actor, case: int) -> None:
    assert actor.member is not None
    proposal, auditor = suspend(db, admin, actor), member_with(db, Scope.AUDIT)
    assert isinstance(proposal, Proposal)
    assert proposals.get(db, auditor, proposal.id) == proposal
    assert (
        proposals.page(db, auditor, 0, 9)
        == proposals.list_on_subject(db, auditor, "member", actor.member.id)
        == (proposal,)
    )
    assert proposals.list_on_subject(db, auditor, "case", case) == ()
    with pytest.raises(NotFound):
        proposals.get(db, member_with(db, Scope.REVIEW), proposal.id)
    with pytest.raises(ScopeMissing):
        proposals.drop(db, auditor, proposal.id)
