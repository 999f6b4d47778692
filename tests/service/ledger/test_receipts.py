"""Receipts of the service: each one verifies, and a member gets only those of its own events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberChange, MemberStatus, Scope
from hashdb.domain.ledger.cosignatures import Cosigner
from hashdb.domain.ledger.events import Action
from hashdb.domain.ledger.notes import split_note
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.errors import InvalidInput, MemberSuspended, NotCosigned, NotFound, Unavailable
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.ledger import checkpoints
from hashdb.service.ledger.receipts import ChosenEvent, receipt
from hashdb.service.review import notes, opinions
from tests.builders import draft, member_with

NO_WITNESSES = Policy.parse("quorum none\n")


@pytest.fixture
def owner(db: HashDB) -> Actor:
    """A member with contribution 1, which `other` disputes with opinion 1 in case 1."""
    checkpoints.start(db)
    member = member_with(db, Scope.CONTRIBUTE)
    contributions.contribute(db, member, [draft(1)])
    return member


@pytest.fixture
def other(db: HashDB, owner: Actor) -> Actor:
    """The member that disputes contribution 1."""
    member = member_with(db, Scope.MATCH, Scope.FEED)
    opinions.give(db, member, 1, OpinionDraft(Stance.DISPUTES, "false_match"))
    return member


def proved_event(db: HashDB, actor: Actor, chosen: ChosenEvent) -> tuple[int, str, str]:
    """The seq, the action and the subject of the event that the receipt proves."""
    event = json.loads(receipt(db, actor, chosen).verify(NO_WITNESSES, checkpoints.log(db).verifiers).event)
    return event["seq"], event["action"], event["subject"]


def refused_seqs(db: HashDB, actor: Actor, seqs: Sequence[int]) -> list[int]:
    """The events, of these, whose receipts the actor does not get."""
    refused = []
    for seq in seqs:
        try:
            receipt(db, actor, ChosenEvent(seq))
        except NotFound:
            refused.append(seq)
    return refused


def test_an_auditor_gets_the_receipt_of_every_event(db: HashDB, other: Actor) -> None:
    auditor, head = member_with(db, Scope.AUDIT), db.store.head().seq
    for seq in range(1, head + 1):
        assert proved_event(db, auditor, ChosenEvent(seq))[0] == seq
    for seq in (0, head + 1_000):
        with pytest.raises(NotFound, match=f"event {seq} does not exist"):
            receipt(db, auditor, ChosenEvent(seq))


def test_a_member_gets_only_the_receipts_of_its_own_events(db: HashDB, owner: Actor, other: Actor) -> None:
    with db.store.read() as tx:
        log = {event.seq: event for event in tx.audit.since(0, 100)}
    of_owner = {seq for seq, event in log.items() if event.subject in ("contribution:1", "case:1")}
    of_disputer = {seq for seq, event in log.items() if event.subject == "opinion:1"}
    assert len(of_owner) >= 2 and len(of_disputer) == 1
    assert set(refused_seqs(db, owner, list(log))) == log.keys() - of_owner
    assert set(refused_seqs(db, other, list(log))) == log.keys() - of_disputer
    assert set(refused_seqs(db, member_with(db, *set(Scope) - {Scope.AUDIT, Scope.ADMIN}), list(log))) == set(log)


def test_the_receipt_of_a_subject_proves_its_last_event(db: HashDB, owner: Actor, other: Actor) -> None:
    assert proved_event(db, owner, ChosenEvent(subject=("contribution", 1), action=Action.CONTRIBUTION_ADDED))[1:] == (
        "contribution.added",
        "contribution:1",
    )
    contributions.withdraw(db, owner, 1, "other")
    assert proved_event(db, owner, ChosenEvent(subject=("contribution", 1)))[1] == "contribution.withdrawn"
    assert proved_event(db, owner, ChosenEvent(subject=("case", 1)))[2] == "case:1"
    assert proved_event(db, other, ChosenEvent(subject=("opinion", 1)))[1] == "opinion.given"
    for subject in (("contribution", 2), ("member", 1), ("nothing", 1), ("opinion", 1)):
        with pytest.raises(NotFound, match=f"an event of {subject[0]} {subject[1]} does not exist"):
            receipt(db, owner, ChosenEvent(subject=subject))
    with pytest.raises(NotFound, match=r"an event contribution\.expired of contribution 1 does not exist"):
        receipt(db, owner, ChosenEvent(subject=("contribution", 1), action=Action.CONTRIBUTION_EXPIRED))


def test_a_party_gets_no_receipt_of_the_notes_of_reviewers(db: HashDB, owner: Actor, other: Actor) -> None:
    reviewer = member_with(db, Scope.REVIEW)
    notes.add(db, reviewer, 1, "look at the second picture")
    with pytest.raises(NotFound):
        receipt(db, owner, ChosenEvent(subject=("case", 1), action=Action.CASE_NOTED))


def test_a_receipt_request_must_choose_exactly_one_event(db: HashDB, owner: Actor) -> None:
    for chosen in (ChosenEvent(), ChosenEvent(1, ("contribution", 1)), ChosenEvent(1, action=Action.OPINION_GIVEN)):
        with pytest.raises(InvalidInput):
            receipt(db, owner, chosen)


def test_a_suspended_member_gets_no_receipt(db: HashDB, owner: Actor) -> None:
    assert owner.member is not None
    members.change(db, COMMAND_LINE, owner.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    suspended = Actor(owner.name, owner.scopes, members.get(db, COMMAND_LINE, owner.member.id), owner.key)
    with pytest.raises(MemberSuspended):
        receipt(db, suspended, ChosenEvent(1))


def test_there_is_no_receipt_before_the_first_start(db: HashDB) -> None:
    auditor = member_with(db, Scope.AUDIT)
    with pytest.raises(Unavailable):
        receipt(db, auditor, ChosenEvent(1))


def test_a_receipt_uses_the_newest_cosigned_checkpoint_with_the_event(
    db: HashDB, owner: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness, last = Cosigner.new("w.example/1"), db.store.head().seq
    policy = Policy.parse(f"witness w {witness.key}\nquorum w")
    chosen = ChosenEvent(subject=("contribution", 1), action=Action.CONTRIBUTION_ADDED)
    with pytest.raises(NotCosigned, match="this log has no witnesses"):
        receipt(db, owner, chosen, witnessed=True)
    monkeypatch.setattr(db, "rules", replace(db.rules, witnesses=policy))
    with pytest.raises(NotCosigned, match="no checkpoint has the cosignatures"):
        receipt(db, owner, chosen, witnessed=True)
    receipt(db, owner, chosen).verify(NO_WITNESSES, checkpoints.log(db).verifiers)
    checkpoints.keep(db, at_once=True)
    with db.store.begin() as tx:
        stored = tx.checkpoints.last()
        assert stored is not None
        tx.cosignatures.put(stored.size, witness.key.named_id, witness.cosign(split_note(stored.note)[0], 5), db.now())
    contributions.withdraw(db, owner, 1, "other")
    for witnessed in (False, True):
        verified = receipt(db, owner, chosen, witnessed=witnessed).verify(policy, checkpoints.log(db).verifiers)
        assert (verified.checkpoint.size, verified.signed) == (stored.size, {witness.key: 5})
    # This checkpoint does not contain the newest event yet.
    newest = ChosenEvent(subject=("contribution", 1))
    with pytest.raises(NotCosigned, match=rf"no checkpoint that has event {last + 1} has the cosignatures") as raised:
        receipt(db, owner, newest, witnessed=True)
    assert raised.value.retry_after == 60
    receipt(db, owner, newest).verify(NO_WITNESSES, checkpoints.log(db).verifiers)
