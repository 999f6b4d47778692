"""Two persons: the first one's request waits for the second one's, where the operator says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Member, MemberChange, MemberStatus, Scope
from hashdb.domain.matching.benign import BenignDraft, BenignEntry
from hashdb.domain.review.cases import Case, CaseState, Decision, OpinionDraft, Stance
from hashdb.domain.review.incidents import Proposal, TwoPersonAction
from hashdb.errors import AlreadyDecided, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.matching import benign
from hashdb.service.review import cases, opinions, proposals
from tests.builders import Clock, again, contributed, draft, member_with, signal
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
    """Another one."""
    return member_with(db, Scope.ADMIN)


def suspend(db: HashDB, actor: Actor, whom: Actor) -> Member | Proposal:
    assert whom.member is not None
    return members.change(db, actor, whom.member.id, SUSPENDED)


def told(db: HashDB, kind: str) -> list[tuple[str, str]]:
    with db.store.read() as tx:
        return [(one.action, one.actor) for one in tx.audit.events(0, 1000, None, None, None) if one.kind == kind]


def test_a_member_is_suspended_by_the_second_persons_same_request(
    db: HashDB, actor: Actor, admin: Actor, second: Actor
) -> None:
    waits = suspend(db, admin, actor)
    assert isinstance(waits, Proposal)
    assert (waits.request.act, waits.expires_at - waits.proposed_at) == (TwoPersonAction.SUSPEND, proposals.WAITS)
    assert proposals.page(db, second, 0, 9) == (waits,)
    assert actor.member is not None
    assert members.get(db, COMMAND_LINE, actor.member.id).status is MemberStatus.ACTIVE
    done = suspend(db, second, actor)
    assert isinstance(done, Member) and done.status is MemberStatus.SUSPENDED
    assert proposals.page(db, second, 0, 9) == ()
    assert told(db, "proposal") == [("proposal.made", str(admin)), ("proposal.approved", str(second))]


def test_keys_of_one_member_are_one_person_and_its_second_request_changes_nothing(
    db: HashDB, actor: Actor, admin: Actor
) -> None:
    waits = suspend(db, admin, actor)
    head = db.store.head()
    assert suspend(db, again(db, admin, Scope.ADMIN), actor) == waits
    assert told(db, "proposal") == [("proposal.made", str(admin))]
    assert db.store.head().seq == head.seq + 1  # the key that was issued


def test_the_command_line_is_one_person(db: HashDB, actor: Actor, admin: Actor) -> None:
    assert isinstance(suspend(db, COMMAND_LINE, actor), Proposal)
    assert isinstance(suspend(db, COMMAND_LINE, actor), Proposal)
    assert isinstance(suspend(db, admin, actor), Member)


def test_only_the_same_request_approves(db: HashDB, actor: Actor, other: Actor, admin: Actor, second: Actor) -> None:
    assert actor.member is not None
    suspend(db, admin, actor)
    assert isinstance(suspend(db, second, other), Proposal)
    renamed = members.change(db, second, actor.member.id, replace(SUSPENDED, name="Renamed"))
    assert isinstance(renamed, Proposal)
    assert len(proposals.page(db, admin, 0, 9)) == 3


def test_what_is_no_suspension_takes_one_person(db: HashDB, actor: Actor, admin: Actor, second: Actor) -> None:
    assert actor.member is not None
    assert isinstance(members.change(db, admin, actor.member.id, MemberChange(contact="x")), Member)
    suspend(db, admin, actor)
    suspend(db, second, actor)
    assert isinstance(suspend(db, admin, actor), Member)  # it is already
    assert isinstance(members.change(db, admin, actor.member.id, MemberChange(status=MemberStatus.ACTIVE)), Member)


def test_a_benign_signal_is_added_by_the_second_person(db: HashDB, admin: Actor, second: Actor) -> None:
    asked = BenignDraft((signal(1),), note="a test card")
    waits = benign.add(db, admin, asked)
    assert isinstance(waits, Proposal)
    assert waits.request.content == {"signals": [str(signal(1))], "radius": {}, "note": "a test card"}
    assert benign.page(db, admin, 0, 9) == ()
    assert isinstance(benign.add(db, second, replace(asked, note="")), Proposal)
    assert isinstance(benign.add(db, second, asked), BenignEntry)
    with db.store.read() as tx:
        events = tx.audit.events(0, 1000, None, None, None)
    assert signal(1).to_bytes().hex() not in str(events)


def test_a_proposal_that_is_dropped_or_waited_in_vain_is_made_anew(
    db: HashDB, actor: Actor, admin: Actor, second: Actor, clock: Clock
) -> None:
    first = suspend(db, admin, actor)
    assert isinstance(first, Proposal)
    proposals.drop(db, second, first.id)
    with pytest.raises(NotFound):
        proposals.drop(db, second, first.id)
    again = suspend(db, second, actor)
    assert isinstance(again, Proposal) and again.id > first.id
    clock.at += proposals.WAITS
    assert proposals.page(db, admin, 0, 9) == ()
    with pytest.raises(NotFound):
        proposals.drop(db, admin, again.id)
    assert isinstance(suspend(db, admin, actor), Proposal)
    assert (proposals.expire(db), proposals.expire(db)) == (1, 0)
    assert [action for action, _ in told(db, "proposal")] == [
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
def test_proposals_are_for_administrators_and_reviewers(db: HashDB, verb: Callable[[HashDB, Actor], object]) -> None:
    with pytest.raises(ScopeMissing):
        verb(db, member_with(db, *(scope for scope in Scope if scope not in (Scope.ADMIN, Scope.AUDIT, Scope.REVIEW))))


@pytest.fixture
def case(db: HashDB, actor: Actor) -> int:
    """A case on a contribution of a platform."""
    (one,) = contributed(db, actor, draft(1))
    case = opinions.give(db, member_with(db), one.id, OpinionDraft(Stance.DISPUTES, "other")).case
    assert case is not None
    return case


def test_a_contribution_is_retired_by_the_second_persons_same_request(db: HashDB, actor: Actor, case: int) -> None:
    one, two = (member_with(db, Scope.REVIEW) for _ in range(2))
    waits = cases.decide(db, one, case, Decision.RETIRE, "a first look")
    assert isinstance(waits, Proposal)
    assert (waits.request.act, waits.request.subject) == (TwoPersonAction.RETIRE, f"case:{case}")
    assert cases.decide(db, one, case, Decision.RETIRE) == waits
    assert cases.get(db, actor, case).state is CaseState.OPEN
    decided = cases.decide(db, two, case, Decision.RETIRE, "it is news")
    assert isinstance(decided, Case)
    assert (decided.decision, decided.note, decided.decided_by) == (Decision.RETIRE, "it is news", str(two))
    assert told(db, "proposal") == [("proposal.made", str(one)), ("proposal.approved", str(two))]
    with pytest.raises(AlreadyDecided):
        cases.decide(db, one, case, Decision.RETIRE)


def test_the_second_person_names_the_same_signals(db: HashDB, case: int) -> None:
    one, two = (member_with(db, Scope.REVIEW) for _ in range(2))
    waits = cases.decide(db, one, case, Decision.RETIRE, signals=[])
    assert isinstance(waits, Proposal) and waits.request.content == {"decision": "retire", "signals": []}
    other = cases.decide(db, two, case, Decision.RETIRE)
    assert isinstance(other, Proposal) and other.request.content == {"decision": "retire"}
    # The usual signals, named one by one, are the same request.
    decided = cases.decide(db, one, case, Decision.RETIRE, signals=[0])
    assert isinstance(decided, Case) and decided.shadow == (0,)


def test_other_decisions_take_one_person(db: HashDB, case: int) -> None:
    decided = cases.decide(db, member_with(db, Scope.REVIEW), case, Decision.QUARANTINE)
    assert isinstance(decided, Case) and decided.decision is Decision.QUARANTINE


def test_who_reviews_sees_and_drops_what_is_asked_of_cases_alone(
    db: HashDB, actor: Actor, admin: Actor, case: int
) -> None:
    suspended, reviewer = suspend(db, admin, actor), member_with(db, Scope.REVIEW)
    retired = cases.decide(db, reviewer, case, Decision.RETIRE)
    assert isinstance(suspended, Proposal) and isinstance(retired, Proposal)
    assert proposals.page(db, reviewer, 0, 9) == (retired,)
    assert proposals.page(db, admin, 0, 9) == (suspended, retired)
    with pytest.raises(NotFound):
        proposals.drop(db, reviewer, suspended.id)
    proposals.drop(db, reviewer, retired.id)
    assert proposals.page(db, admin, 0, 9) == (suspended,)


def test_two_reviewers_who_retire_at_once_retire_once(db: HashDB, case: int) -> None:
    persons = [member_with(db, Scope.REVIEW) for _ in range(2)]
    done = run_concurrently([partial(cases.decide, db, who, case, Decision.RETIRE) for who in persons])
    assert sorted(type(one).__name__ for one in done) == ["Case", "Proposal"]
    assert [action for action, _ in told(db, "proposal")] == ["proposal.made", "proposal.approved"]


def test_one_proposal_is_shown_and_those_on_a_subject(db: HashDB, actor: Actor, admin: Actor, case: int) -> None:
    assert actor.member is not None
    waits, auditor = suspend(db, admin, actor), member_with(db, Scope.AUDIT)
    assert isinstance(waits, Proposal)
    assert proposals.get(db, auditor, waits.id) == waits
    assert (
        proposals.page(db, auditor, 0, 9)
        == proposals.list_on_subject(db, auditor, "member", actor.member.id)
        == (waits,)
    )
    assert proposals.list_on_subject(db, auditor, "case", case) == ()
    with pytest.raises(NotFound):
        proposals.get(db, member_with(db, Scope.REVIEW), waits.id)
    with pytest.raises(ScopeMissing):
        proposals.drop(db, auditor, waits.id)
