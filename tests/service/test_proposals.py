"""Two persons: the first one's request waits for the second one's, where the operator says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hashdb.domain.benign import Benign, BenignDraft
from hashdb.domain.members import COMMAND_LINE, Actor, Member, MemberChange, MemberStatus, Scope
from hashdb.domain.proposals import Act, Proposal
from hashdb.errors import NotFound, ScopeMissing
from hashdb.service import HashDB, benign, members, proposals
from tests.builders import Clock, again, member_with, signal

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
    assert (waits.request.act, waits.expires_at - waits.proposed_at) == (Act.SUSPEND, proposals.WAITS)
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
    assert isinstance(benign.add(db, second, asked), Benign)
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
def test_proposals_are_for_administrators(db: HashDB, verb: Callable[[HashDB, Actor], object]) -> None:
    with pytest.raises(ScopeMissing):
        verb(db, member_with(db, *(scope for scope in Scope if scope is not Scope.ADMIN)))
