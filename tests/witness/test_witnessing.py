"""A witness cosigns a log that only grows, refuses other checkpoints, and stores the evidence."""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import Checkpoint, read_checkpoint
from hashdb.domain.ledger.cosignatures import Submission, cosigners
from hashdb.domain.ledger.notes import Signer
from hashdb.errors import (
    CheckpointNotSigned,
    HashDBError,
    InconsistentLog,
    MalformedRequest,
    NotFound,
    WrongOldSize,
)
from hashdb.witness.witnessing import Witness, origin_hash
from tests.witness.conftest import ORIGIN, GrowingLog, Scene


def forked(scene: Scene, size: int, at: int) -> GrowingLog:
    """Another history of the same log from a leaf on, signed with the same key."""
    other = GrowingLog(size, fork=at)
    other.signer = scene.log.signer
    return other


def last_size(scene: Scene) -> int:
    """The size of the last checkpoint of the log."""
    with scene.state.writing():
        last = scene.state.cosigned(ORIGIN)
    return 0 if last is None else last.checkpoint.size


def refusal(scene: Scene, text: str, error: type[HashDBError]) -> str:
    """The error message for a submission. The submission must change nothing."""
    before = last_size(scene)
    with pytest.raises(error) as raised:
        scene.witness.add_checkpoint(text)
    assert last_size(scene) == before
    return str(raised.value)


def test_a_growing_log_is_cosigned_with_each_key(scene: Scene) -> None:
    old = 0
    for count in (0, 1, 0, 1, 2, 3, 4, 5, 16, 1):
        scene.log.grow(count)
        scene.clock.now += 60
        lines = scene.witness.add_checkpoint(scene.log.submission(old))
        old = len(scene.log.leaves)
        assert lines.count("\n") == 2
        note = scene.log.checkpoint().signed(scene.log.signer) + lines
        signed = cosigners(note, [cosigner.key for cosigner in scene.cosigners])
        assert signed == {cosigner.key: int(scene.clock.now) for cosigner in scene.cosigners}
        assert scene.witness.last_checkpoint(origin_hash(ORIGIN)) == note
    assert last_size(scene) == 33


def test_the_time_of_cosignatures_never_goes_back(scene: Scene) -> None:
    scene.log.grow(3)
    scene.witness.add_checkpoint(scene.log.submission(0))
    first, scene.clock.now = int(scene.clock.now), 1.0
    lines = scene.witness.add_checkpoint(scene.log.submission(3))
    note = scene.log.checkpoint().signed(scene.log.signer) + lines
    assert set(cosigners(note, [scene.cosigners[0].key]).values()) == {first}


def test_only_the_next_checkpoint_of_a_known_log_is_accepted(scene: Scene) -> None:
    scene.log.grow(7)
    assert "the log other.example in the list" in refusal(scene, GrowingLog(3, "other.example").submission(0), NotFound)
    assert "not signed by a key of the log" in refusal(scene, GrowingLog(7).submission(0), CheckpointNotSigned)
    scene.witness.add_checkpoint(scene.log.submission(0))
    scene.log.grow(5)
    for old in (0, 3, 8, 12):
        with pytest.raises(WrongOldSize) as raised:
            scene.witness.add_checkpoint(scene.log.submission(old))
        assert raised.value.size == 7
    assert "old size 7 is above" in refusal(scene, scene.log.submission(7, 6), MalformedRequest)
    assert "must be `old`" in refusal(scene, "old x\n\n", MalformedRequest)


def test_an_invalid_signature_is_rejected_even_beside_a_valid_one(scene: Scene) -> None:
    scene.log.grow(7)
    text = scene.log.submission(0)
    bad = scene.log.checkpoint(6).signed(scene.log.signer).rpartition("\n\n")[2]
    assert "the signature is not valid" in refusal(scene, text + bad, CheckpointNotSigned)
    stranger = Signer.new(ORIGIN).sign(scene.log.checkpoint().body).rpartition("\n\n")[2]
    scene.witness.add_checkpoint(text + stranger)
    assert stranger not in scene.witness.last_checkpoint(origin_hash(ORIGIN))


def test_a_log_may_change_its_key(scene: Scene) -> None:
    old, new = scene.log.signer, Signer.new(ORIGIN)
    witness = Witness([old.verifier, new.verifier], scene.cosigners, scene.state)
    scene.log.grow(3)
    witness.add_checkpoint(scene.log.submission(0))
    scene.log.signer = new
    scene.log.grow(3)
    witness.add_checkpoint(scene.log.submission(3))
    assert read_checkpoint(witness.last_checkpoint(origin_hash(ORIGIN)), [new.verifier])[0].size == 6


def test_a_rewritten_history_and_a_fork_are_refused_and_stored(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.log.grow(7)
    scene.witness.add_checkpoint(scene.log.submission(0))
    other = forked(scene, 9, at=3)
    with caplog.at_level(logging.ERROR):
        assert "two trees of the same size" in refusal(scene, other.submission(7, 7), InconsistentLog)
        assert "does not show" in refusal(scene, other.submission(7), InconsistentLog)
        refusal(scene, other.submission(7), InconsistentLog)
    assert [record.getMessage() for record in caplog.records] == [
        f"refused a checkpoint of {ORIGIN} with 7 events: the log signed two trees of the same size",
        f"refused a checkpoint of {ORIGIN} with 9 events: "
        "the proof does not show that the log extends the cosigned checkpoint",
    ]
    (last,), evidence = scene.state.list_all()
    assert [(each.checkpoint, each.cosigned) for each in evidence] == [
        (other.checkpoint(7), last.note),
        (other.checkpoint(9), last.note),
    ]
    # Both can be verified later, because the log signed them.
    for each in evidence:
        assert read_checkpoint(each.note, [scene.log.signer.verifier])[0] == each.checkpoint
    scene.log.grow(3)
    scene.witness.add_checkpoint(scene.log.submission(7))


def test_evidence_of_a_wrong_proof_is_deleted_after_a_right_proof(scene: Scene) -> None:
    scene.log.grow(7)
    scene.witness.add_checkpoint(scene.log.submission(0))
    scene.log.grow(6)
    refusal(scene, scene.log.submission(7, hashes=[bytes(32)]), InconsistentLog)
    assert len(scene.state.list_all()[1]) == 1
    scene.witness.add_checkpoint(scene.log.submission(7))
    assert scene.state.list_all()[1] == ()


def test_superfluous_hashes_are_refused_and_not_stored(scene: Scene) -> None:
    scene.log.grow(7)
    refusal(scene, scene.log.submission(0, hashes=[bytes(32)]), InconsistentLog)
    scene.witness.add_checkpoint(scene.log.submission(0))
    refusal(scene, scene.log.submission(7, hashes=[bytes(32)]), InconsistentLog)
    assert scene.state.list_all()[1] == ()


def test_an_empty_log_must_have_the_root_of_an_empty_tree(scene: Scene) -> None:
    wrong = Checkpoint(ORIGIN, 0, bytes(32)).signed(scene.log.signer)
    assert "the root of the checkpoint without events is wrong" in refusal(
        scene, str(Submission(0, (), wrong)), InconsistentLog
    )
    assert hashlib.sha256(b"").digest() == merkle.EMPTY_ROOT
    scene.witness.add_checkpoint(scene.log.submission(0))
    with pytest.raises(NotFound):
        scene.witness.last_checkpoint(origin_hash("other.example"))


def test_only_one_of_many_simultaneous_submissions_is_accepted(scene: Scene) -> None:
    scene.log.grow(20)
    texts = [scene.log.submission(0, size) for size in range(1, 21)]

    def submit(text: str) -> int:
        try:
            scene.witness.add_checkpoint(text)
        except WrongOldSize:
            return 0
        return Submission.parse(text).old_size or int(text.split("\n")[3])

    with ThreadPoolExecutor(8) as pool:
        accepted = [size for size in pool.map(submit, texts) if size]
    assert accepted == [last_size(scene)]
