"""A log that a test grows, forks and signs, and a witness of the log with its own clock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import Checkpoint
from hashdb.domain.ledger.cosignatures import Cosigner, KeyType, Submission
from hashdb.domain.ledger.notes import Signer
from hashdb.witness.state import WitnessState
from hashdb.witness.witnessing import Witness
from tests.builders import tree_root

ORIGIN = "log.example/1"


class GrowingLog:
    """A log to which a test adds leaves. It signs any checkpoint that the test asks for."""

    def __init__(self, size: int = 0, origin: str = ORIGIN, fork: int | None = None) -> None:
        """From the leaf `fork` on, the leaves differ from those of logs without a fork."""
        self.signer = Signer.new(origin)
        self.fork = fork
        self.leaves: list[bytes] = []
        self.grow(size)

    def grow(self, count: int) -> None:
        for i in range(len(self.leaves), len(self.leaves) + count):
            other = self.fork is not None and i >= self.fork
            self.leaves.append(hashlib.sha256(b"other %d" % i if other else b"leaf %d" % i).digest())

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        size = len(self.leaves) if size is None else size
        return Checkpoint(self.signer.name, size, tree_root(self.leaves[:size]))

    def proof(self, first: int, second: int) -> tuple[bytes, ...]:
        return tuple(tree_root(self.leaves[begin:end]) for begin, end in merkle.consistency(first, second))

    def submission(self, old: int, size: int | None = None, *, hashes: Sequence[bytes] | None = None) -> str:
        """The body of add-checkpoint for a size, by default that of all leaves."""
        checkpoint = self.checkpoint(size)
        proof = self.proof(old, checkpoint.size) if hashes is None and old <= checkpoint.size else tuple(hashes or ())
        return str(Submission(old, proof, checkpoint.signed(self.signer)))


class Clock:
    """A clock in seconds since 1970, which a test sets."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.5

    def __call__(self) -> float:
        return self.now


class Scene:
    """A log, and a witness with a key of each type."""

    def __init__(self, file: Path) -> None:
        self.log, self.clock = GrowingLog(), Clock()
        self.cosigners = (Cosigner.new("w.example/1"), Cosigner.new("w.example/1", KeyType.ML_DSA_44))
        self.state = WitnessState(file)
        self.witness = Witness([self.log.signer.verifier], self.cosigners, self.state, self.clock)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A scene with an empty log that no witness has cosigned."""
    scene = Scene(tmp_path / "witness.sqlite")
    yield scene
    scene.state.close()
