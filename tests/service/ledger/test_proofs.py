"""Proofs: an independent verifier accepts the proofs of every event and of every size of the log."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberChange, MemberStatus, Scope
from hashdb.domain.ledger.checkpoints import read_checkpoint
from hashdb.errors import InvalidInput, MemberSuspended, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.ledger import checkpoints
from tests.builders import member_with, with_new_key
from tests.service.independent import root_by_inclusion, root_of, roots_by_consistency


@pytest.fixture
def actor(db: HashDB) -> Actor:
    """An auditor."""
    return member_with(db, Scope.AUDIT)


def leaves_of(db: HashDB, count: int) -> list[bytes]:
    """Grow the log to this number of events, and return their leaves."""
    while db.store.head().seq < count:
        member_with(db)
    with db.store.read() as tx:
        return [event.leaf for event in tx.audit.since(0, count)]


def test_the_inclusion_proof_of_every_event_at_every_size_verifies(db: HashDB, actor: Actor) -> None:
    leaves = leaves_of(db, 20)
    for size in range(1, 21):
        for seq in range(1, size + 1):
            proof = checkpoints.inclusion(db, actor, seq, size)
            assert (proof.seq, proof.size, proof.leaf) == (seq, size, leaves[seq - 1])
            root = root_by_inclusion(seq - 1, size, leaves[seq - 1], list(proof.hashes))
            assert root == root_of(leaves[:size])


def test_the_consistency_proof_between_any_two_sizes_verifies(db: HashDB, actor: Actor) -> None:
    leaves = leaves_of(db, 20)
    for second in range(1, 21):
        for first in range(1, second + 1):
            proof = checkpoints.consistency(db, actor, first, second)
            old, new = root_of(leaves[:first]), root_of(leaves[:second])
            assert roots_by_consistency(first, second, old, list(proof.hashes)) == (old, new)
        assert checkpoints.consistency(db, actor, 0, second).hashes == ()


def test_proofs_verify_against_signed_checkpoints(db: HashDB, actor: Actor) -> None:
    checkpoints.start(db)
    verifiers = checkpoints.log(db).verifiers
    before, _ = read_checkpoint(checkpoints.latest(db), verifiers)
    leaves_of(db, 15)
    now, _ = read_checkpoint(checkpoints.latest(db), verifiers)
    assert checkpoints.consistency(db, actor, before.size, now.size).proves(before, now)
    for seq in range(1, now.size + 1):
        assert checkpoints.inclusion(db, actor, seq, now.size).proves(now)


@pytest.mark.parametrize(("seq", "size"), [(0, 3), (4, 3), (1, 0), (1, 1_000), (2**53 - 1, 2**53 - 1)])
def test_an_inclusion_proof_outside_the_log_is_rejected(db: HashDB, actor: Actor, seq: int, size: int) -> None:
    with pytest.raises(InvalidInput, match=r"^(seq|size): must be 1 to \d+$"):
        checkpoints.inclusion(db, actor, seq, size)


@pytest.mark.parametrize(("first", "second"), [(3, 2), (1, 1_000), (1_000, 1_000)])
def test_a_consistency_proof_outside_the_log_is_rejected(db: HashDB, actor: Actor, first: int, second: int) -> None:
    with pytest.raises(InvalidInput, match=r"^(first|second): must be 0 to \d+$"):
        checkpoints.consistency(db, actor, first, second)


def test_an_empty_log_has_only_an_empty_consistency_proof(db: HashDB) -> None:
    assert checkpoints.consistency(db, COMMAND_LINE, 0, 0).hashes == ()
    with pytest.raises(InvalidInput, match=r"^size: the log has no events yet$"):
        checkpoints.inclusion(db, COMMAND_LINE, 1, 1)


def test_only_auditors_of_active_members_get_proofs(db: HashDB) -> None:
    reader = member_with(db, Scope.AUDIT)
    assert checkpoints.inclusion(db, reader, 1, 2).size == 2
    assert reader.member is not None
    for get_proof in (checkpoints.inclusion, checkpoints.consistency):
        with pytest.raises(ScopeMissing):
            get_proof(db, with_new_key(db, reader, Scope.MATCH, Scope.FEED), 1, 2)
    members.change(db, COMMAND_LINE, reader.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    with pytest.raises(MemberSuspended):
        checkpoints.consistency(db, with_new_key(db, reader, Scope.AUDIT), 1, 2)
