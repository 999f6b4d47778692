"""Receipts: they are read back, an independent verifier accepts them, and altered ones are rejected."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.checkpoints import Checkpoint
from hashdb.domain.ledger.cosignatures import Cosigner, KeyType
from hashdb.domain.ledger.events import event_text, leaf_of_event
from hashdb.domain.ledger.notes import Signer
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.ledger.receipts import Receipt
from hashdb.errors import BadNote, BadReceipt, NotWitnessed
from tests.builders import NOON, tree_root
from tests.service.independent import open_checkpoint, root_by_inclusion, sha256

LOG = Signer.new("log.example/1")
WITNESSES = (Cosigner.new("w.example/1"), Cosigner.new("w.example/2"), Cosigner.new("w.example/3", KeyType.ML_DSA_44))
POLICY = Policy.parse(
    f"log {LOG.verifier}\n"
    + "".join(f"witness w{i} {witness.key}\n" for i, witness in enumerate(WITNESSES))
    + "group all 2 w0 w1 w2\nquorum all\n"
)
NO_WITNESSES = Policy.parse("quorum none\n")
EVENTS = [event_text(i, NOON, "key:1", "contribution.added", f"contribution:{i}", "{}") for i in range(1, 24)]
ROOT = tree_root(list(map(leaf_of_event, EVENTS)))


def receipt(seq: int, *witnesses: Cosigner, time: int = 1_700_000_000) -> Receipt:
    """The receipt of an event of the log, cosigned by these witnesses."""
    checkpoint, leaves = Checkpoint(LOG.name, len(EVENTS), ROOT), list(map(leaf_of_event, EVENTS))
    spans = merkle.inclusion(seq - 1, len(EVENTS))
    hashes = tuple(tree_root(leaves[begin:end]) for begin, end in spans)
    lines = "".join(witness.cosign(checkpoint.body, time) for witness in witnesses)
    return Receipt(EVENTS[seq - 1], seq - 1, hashes, checkpoint.signed(LOG) + lines)


@pytest.mark.parametrize("seq", range(1, len(EVENTS) + 1))
def test_the_receipt_of_each_event_is_read_back_and_proves_it(seq: int) -> None:
    written = receipt(seq, *WITNESSES[:2])
    read = Receipt.parse(str(written))
    assert read == written
    proof = read.verify(POLICY)
    assert (proof.event, proof.checkpoint.size) == (EVENTS[seq - 1], len(EVENTS))
    assert proof.signed == {WITNESSES[0].key: 1_700_000_000, WITNESSES[1].key: 1_700_000_000}


def test_an_independent_verifier_accepts_a_receipt() -> None:
    head, _, note = str(receipt(17)).partition("\n\n")
    first, extra, index, *lines = head.split("\n")
    assert (first, index) == ("c2sp.org/tlog-proof@v1", "index 16")
    origin, size, root = open_checkpoint(note, str(LOG.verifier))
    event = base64.b64decode(extra.removeprefix("extra "))
    path = [base64.b64decode(line) for line in lines]
    assert origin == "log.example/1"
    assert root_by_inclusion(16, size, sha256(b"\0" + event), path) == root


def test_the_receipt_of_a_log_with_one_event_has_no_hashes() -> None:
    checkpoint = Checkpoint(LOG.name, 1, leaf_of_event(EVENTS[0]))
    alone = Receipt(EVENTS[0], 0, (), checkpoint.signed(LOG))
    assert Receipt.parse(str(alone)).verify(NO_WITNESSES, [LOG.verifier]).checkpoint == checkpoint


def test_a_cosignature_with_ml_dsa_counts_like_ed25519() -> None:
    assert len(receipt(5, *WITNESSES).verify(POLICY).signed) == 3
    assert len(str(receipt(5, *WITNESSES[:2]))) < 4_096


def test_a_receipt_with_too_few_cosignatures_is_rejected() -> None:
    with pytest.raises(
        NotWitnessed, match=("1 of the 3 witnesses of the policy cosigned it: the quorum needs at least 2")
    ):
        receipt(5, WITNESSES[0]).verify(POLICY)
    stranger = Cosigner.new("w.example/1")
    with pytest.raises(NotWitnessed):
        receipt(5, WITNESSES[0], stranger).verify(POLICY)


def test_a_policy_without_a_log_needs_the_key_of_the_log() -> None:
    assert receipt(5).verify(NO_WITNESSES, [LOG.verifier]).signed == {}
    with pytest.raises(BadNote, match="not signed by a key of this log"):
        receipt(5).verify(NO_WITNESSES, [Signer.new(LOG.name).verifier])
    with pytest.raises(BadNote, match="not signed by a key of this log"):
        receipt(5).verify(NO_WITNESSES)


@pytest.mark.parametrize(
    "change",
    [
        {"event": EVENTS[5]},
        {"event": EVENTS[4].replace("key:1", "key:2")},
        {"event": "[]"},
        {"event": "{" * 100_000},
        {"index": 5},
        {"hashes": ()},
        {"hashes": (bytes(32),) * 5},
    ],
)
def test_an_altered_receipt_is_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(BadReceipt):
        replace(receipt(5), **change).verify(NO_WITNESSES, [LOG.verifier])


def test_a_forged_cosignature_is_rejected_even_with_a_quorum_of_others() -> None:
    written = receipt(5, *WITNESSES[:2])
    forged = WITNESSES[2].cosign(Checkpoint(LOG.name, 99, ROOT).body, 1)
    with pytest.raises(BadNote, match=r"the cosignature of w\.example/3 is not valid for this text"):
        replace(written, note=written.note + forged).verify(POLICY)


GOOD = str(receipt(5))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "its first line"),
        (GOOD.replace("@v1", "@v2"), "its first line"),
        (GOOD.replace("\n\n", "\n"), "its second line|its first line|its third line|the event or a hash"),
        (re.sub(r"extra .*\n", "", GOOD), "its second line"),
        (re.sub(r"extra .*\n", "extra ###\n", GOOD), "the event or a hash is not base64"),
        (re.sub(r"extra .*\n", "extra /w==\n", GOOD), "the event or a hash is not base64"),
        (GOOD.replace("index 4", "index 04"), "its third line"),
        (GOOD.replace("index 4", "index -4"), "its third line"),
        (GOOD.replace("index 4\n", "index 4\nAAAA\n"), "a hash must have 32 octets"),
        (GOOD.replace("index 4\n", "index 4\n" + f"{'A' * 43}=\n" * 60), "its third line"),
        (GOOD + "x" * 200_000, "its first line"),
    ],
    # Numbers, because the keys in the values differ between test processes.
    ids=count(),
)
def test_a_malformed_receipt_is_rejected_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(BadReceipt, match=f"^this is not a valid receipt: ({reason})"):
        Receipt.parse(text).verify(NO_WITNESSES, [LOG.verifier])
