"""A witness cosigns what only grew, refuses the rest with the error of the specification, and keeps the evidence."""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import Checkpoint, Signer, read_checkpoint
from hashdb.domain.ledger.cosignatures import Submission, cosigners
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
    """Another history of the same log, signed by the same key, from a leaf on."""
    other = GrowingLog(size, fork=at)
    other.signer = scene.log.signer
    return other


def size_at(scene: Scene) -> int:
    """The size of the last checkpoint of the log."""
    with scene.state.writing():
        last = scene.state.cosigned(ORIGIN)
    return 0 if last is None else last.checkpoint.size


def refused(scene: Scene, text: str, error: type[HashDBError]) -> str:
    """The sentence with which a submission is refused; it changes nothing."""
    before = size_at(scene)
    with pytest.raises(error) as raised:
        scene.witness.add_checkpoint(text)
    assert size_at(scene) == before
    return str(raised.value)


def test_a_log_that_only_grows_is_cosigned_by_each_key(scene: Scene) -> None:
    old = 0
    for count in (0, 1, 0, 1, 2, 3, 4, 5, 16, 1):
        scene.log.grow(count)
        scene.clock.now += 60
        lines = scene.witness.add_checkpoint(scene.log.submission(old))
        old = len(scene.log.leaves)
        assert lines.count("\n") == 2
        note = scene.log.checkpoint().signed(scene.log.signer) + lines
        signed = cosigners(note, [each.key for each in scene.cosigners])
        assert signed == {each.key: int(scene.clock.now) for each in scene.cosigners}
        assert scene.witness.last_checkpoint(origin_hash(ORIGIN)) == note
    assert size_at(scene) == 33


def test_the_clock_of_a_log_never_runs_back(scene: Scene) -> None:
    scene.log.grow(3)
    scene.witness.add_checkpoint(scene.log.submission(0))
    first, scene.clock.now = int(scene.clock.now), 1.0
    lines = scene.witness.add_checkpoint(scene.log.submission(3))
    note = scene.log.checkpoint().signed(scene.log.signer) + lines
    assert set(cosigners(note, [scene.cosigners[0].key]).values()) == {first}


def test_only_the_next_checkpoint_of_a_known_log_is_taken(scene: Scene) -> None:
    scene.log.grow(7)
    assert "the log other.example in the list" in refused(scene, GrowingLog(3, "other.example").submission(0), NotFound)
    assert "not signed by a key of the log" in refused(scene, GrowingLog(7).submission(0), CheckpointNotSigned)
    scene.witness.add_checkpoint(scene.log.submission(0))
    scene.log.grow(5)
    for old in (0, 3, 8, 12):
        with pytest.raises(WrongOldSize) as raised:
            scene.witness.add_checkpoint(scene.log.submission(old))
        assert raised.value.size == 7
    assert "old size 7 is above" in refused(scene, scene.log.submission(7, 6), MalformedRequest)
    assert "must be `old`" in refused(scene, "old x\n\n", MalformedRequest)


def test_a_signature_that_does_not_fit_is_refused_beside_a_good_one(scene: Scene) -> None:
    scene.log.grow(7)
    text = scene.log.submission(0)
    bad = scene.log.checkpoint(6).signed(scene.log.signer).rpartition("\n\n")[2]
    assert "the signature does not fit" in refused(scene, text + bad, CheckpointNotSigned)
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


def test_a_rewritten_history_and_a_fork_are_refused_and_kept(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.log.grow(7)
    scene.witness.add_checkpoint(scene.log.submission(0))
    other = forked(scene, 9, at=3)
    with caplog.at_level(logging.ERROR):
        assert "two trees of the same size" in refused(scene, other.submission(7, 7), InconsistentLog)
        assert "does not show" in refused(scene, other.submission(7), InconsistentLog)
        refused(scene, other.submission(7), InconsistentLog)
    assert [record.getMessage() for record in caplog.records] == [
        f"refused a checkpoint of {ORIGIN} with 7 events: the log signed two trees of the same size",
        f"refused a checkpoint of {ORIGIN} with 9 events: "
        "the proof does not show that its tree begins with the one that was cosigned",
    ]
    (last,), evidence = scene.state.list_all()
    assert [(each.checkpoint, each.cosigned) for each in evidence] == [
        (other.checkpoint(7), last.note),
        (other.checkpoint(9), last.note),
    ]
    # Whoever gets them can verify both: the log signed them.
    for each in evidence:
        assert read_checkpoint(each.note, [scene.log.signer.verifier])[0] == each.checkpoint
    scene.log.grow(3)
    scene.witness.add_checkpoint(scene.log.submission(7))


def test_a_wrong_proof_of_a_good_checkpoint_is_no_evidence_once_the_right_one_comes(scene: Scene) -> None:
    scene.log.grow(7)
    scene.witness.add_checkpoint(scene.log.submission(0))
    scene.log.grow(6)
    refused(scene, scene.log.submission(7, hashes=[bytes(32)]), InconsistentLog)
    assert len(scene.state.list_all()[1]) == 1
    scene.witness.add_checkpoint(scene.log.submission(7))
    assert scene.state.list_all()[1] == ()


def test_hashes_where_nothing_is_to_prove_are_refused_and_not_kept(scene: Scene) -> None:
    scene.log.grow(7)
    refused(scene, scene.log.submission(0, hashes=[bytes(32)]), InconsistentLog)
    scene.witness.add_checkpoint(scene.log.submission(0))
    refused(scene, scene.log.submission(7, hashes=[bytes(32)]), InconsistentLog)
    assert scene.state.list_all()[1] == ()


def test_an_empty_log_has_the_root_of_an_empty_tree(scene: Scene) -> None:
    wrong = Checkpoint(ORIGIN, 0, bytes(32)).signed(scene.log.signer)
    assert "has another root" in refused(scene, str(Submission(0, (), wrong)), InconsistentLog)
    assert hashlib.sha256(b"").digest() == merkle.EMPTY_ROOT
    scene.witness.add_checkpoint(scene.log.submission(0))
    with pytest.raises(NotFound):
        scene.witness.last_checkpoint(origin_hash("other.example"))


def test_of_many_at_once_each_size_is_taken_once(scene: Scene) -> None:
    scene.log.grow(20)
    texts = [scene.log.submission(0, size) for size in range(1, 21)]

    def submit(text: str) -> int:
        try:
            scene.witness.add_checkpoint(text)
        except WrongOldSize:
            return 0
        return Submission.parse(text).old_size or int(text.split("\n")[3])

    with ThreadPoolExecutor(8) as pool:
        taken = [size for size in pool.map(submit, texts) if size]
    assert taken == [size_at(scene)]
