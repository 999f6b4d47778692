"""Checkpoints: three lines and a signature."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import Checkpoint, Consistency, Inclusion, Log, LogKey, read_checkpoint
from hashdb.domain.ledger.notes import Signer
from hashdb.errors import BadNote
from tests.builders import NOON, tree_root
from tests.domain.ledger.test_merkle import LEAVES, build_proof

SIGNER = Signer("log.example", Ed25519PrivateKey.generate())
KEYS = Log("log.example", (LogKey(SIGNER.verifier, NOON, None),)).verifiers


def checkpoint(size: int) -> Checkpoint:
    return Checkpoint("log.example", size, tree_root(LEAVES[:size]))


def test_a_checkpoint_is_the_signed_origin_size_and_root() -> None:
    note = checkpoint(0).signed(SIGNER)
    assert note.startswith("log.example\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u2014 log.example ")
    for size in range(9):
        assert read_checkpoint(checkpoint(size).signed(SIGNER), KEYS) == (checkpoint(size), SIGNER.verifier)


def test_further_lines_in_a_checkpoint_are_ignored() -> None:
    extended = checkpoint(1).signed(SIGNER).partition("\n\n")[0] + "\nfurther\nlines\n"
    assert read_checkpoint(SIGNER.sign(extended), KEYS)[0] == checkpoint(1)


@pytest.mark.parametrize(
    "text",
    [
        "log.example\n1\n",
        "log.example\n01\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "log.example\n-1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "log.example\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF==\n",
        "log.example\n1\n47DE\n",
        "other.example\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
    ],
)
def test_a_signed_text_that_is_not_a_checkpoint_is_rejected(text: str) -> None:
    with pytest.raises(BadNote):
        read_checkpoint(SIGNER.sign(text), KEYS)


def test_a_proof_holds_only_for_its_own_checkpoints() -> None:
    included = Inclusion(6, 8, LEAVES[5], tuple(build_proof(merkle.inclusion(5, 8), LEAVES)))
    assert included.proves(checkpoint(8))
    assert not included.proves(checkpoint(7))
    assert not replace(included, seq=5).proves(checkpoint(8))
    consistent = Consistency(3, 8, tuple(build_proof(merkle.consistency(3, 8), LEAVES)))
    assert consistent.proves(checkpoint(3), checkpoint(8))
    assert not consistent.proves(checkpoint(4), checkpoint(8))
    assert not consistent.proves(checkpoint(3), checkpoint(7))
