"""Policies: the example of C2SP, quorums, and the error for each invalid line."""

from __future__ import annotations

import hashlib
from itertools import combinations, count

import pytest

from hashdb.domain.ledger.checkpoints import Checkpoint
from hashdb.domain.ledger.cosignatures import Cosigner, KeyType, SetRoot
from hashdb.domain.ledger.notes import Signer
from hashdb.domain.ledger.policies import Policy
from hashdb.errors import BadNote, BadPolicy, NotWitnessed, RootNotSigned

LOG = Signer.new("log.example/1")
X = [Cosigner.new(f"x{i}.example") for i in range(3)]
Y = [Cosigner.new(f"y{i}.example", KeyType.ML_DSA_44) for i in range(3)]
NAMED = {**{f"X{i}": key for i, key in enumerate(X)}, **{f"Y{i}": key for i, key in enumerate(Y)}}
LINES = [f"log {LOG.verifier}", *(f"witness {name} {cosigner.key}" for name, cosigner in NAMED.items())]
TWO_LEVELS = "\n".join(
    (
        "# Two organisations.",
        "",
        *LINES,
        "group X-witnesses 2 X0 X1 X2",
        "\tgroup   Y-witnesses any\tY0 Y1 Y2",
        "group X-and-Y all X-witnesses Y-witnesses",
        "quorum X-and-Y",
        "",
    )
)
CHECKPOINT = Checkpoint("log.example/1", 3, hashlib.sha256(b"root").digest())


def test_a_quorum_of_two_levels_holds_only_with_enough_of_both_groups() -> None:
    policy = Policy.parse(TWO_LEVELS)
    assert policy.logs == (LOG.verifier,) and policy.min_witnesses == 3
    for number in range(7):
        for names in combinations(NAMED, number):
            enough = sum(name[0] == "X" for name in names) >= 2 and any(name[0] == "Y" for name in names)
            assert policy.has_quorum([NAMED[name].key for name in names]) is enough


def test_a_note_is_checked_against_the_policy() -> None:
    policy = Policy.parse(TWO_LEVELS)
    lines = [cosigner.cosign(CHECKPOINT.body, 5) for cosigner in (X[0], X[2], Y[1])]
    stranger = Cosigner.new("stranger").cosign(CHECKPOINT.body, 5)
    checkpoint, signed = policy.check(CHECKPOINT.signed(LOG) + stranger + "".join(lines))
    assert checkpoint == CHECKPOINT and signed == {X[0].key: 5, X[2].key: 5, Y[1].key: 5}
    with pytest.raises(NotWitnessed, match=r"2 of the 6 witnesses .* needs at least 3"):
        policy.check(CHECKPOINT.signed(LOG) + "".join(lines[:2]))
    with pytest.raises(BadNote, match=r"not signed by a key of this log"):
        policy.check(CHECKPOINT.signed(Signer.new("log.example/1")) + "".join(lines))


def test_a_policy_without_logs_accepts_logs_that_the_caller_passes() -> None:
    policy = Policy.parse(f"witness w {X[0].key} https://w.example/\nquorum w")
    assert [(witness.name, witness.url) for witness in policy.witnesses] == [("w", "https://w.example/")]
    note = CHECKPOINT.signed(LOG) + X[0].cosign(CHECKPOINT.body, 5)
    assert policy.check(note, [LOG.verifier])[0] == CHECKPOINT
    with pytest.raises(BadNote):
        policy.check(note)


def test_a_policy_may_require_no_witness() -> None:
    policy = Policy.parse(f"{LINES[0]}\nquorum none\n")
    assert policy.min_witnesses == 0 and policy.check(CHECKPOINT.signed(LOG)) == (CHECKPOINT, {})


def test_the_root_of_the_active_set_is_checked_against_the_policy() -> None:
    policy = Policy.parse(f"witness x {X[0].key}\nwitness y {Y[0].key}\ngroup all all x y\nquorum all\n")
    root = SetRoot("log.example/1", 9, bytes(32))
    note = LOG.sign(root.body) + X[0].cosign(root.body, 5)
    with pytest.raises(RootNotSigned, match=r"^1 of the 2 organisations .* of event 9: the quorum needs at least 2$"):
        policy.check_root(note, [LOG.verifier])
    note += Y[0].cosign(root.body, 6)
    assert policy.check_root(note, [LOG.verifier]) == root
    with pytest.raises(BadNote, match="not signed by a key of this log"):
        policy.check_root(note)
    with pytest.raises(BadNote, match="must end with /set"):
        policy.check_root(CHECKPOINT.signed(LOG), [LOG.verifier])
    other = Signer("log.example/2", LOG.private)
    with pytest.raises(BadNote, match="name different logs"):
        policy.check_root(other.sign(root.body), [other.verifier])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("witness", "witness NAME VKEY"),
        (f"witness a b c d {X[0].key}", "witness NAME VKEY"),
        (f"witness none {Cosigner.new('a').key}", "the name none is already in use"),
        (f"witness X1 {Cosigner.new('a').key}", "the name X1 is already in use"),
        (f"witness a {X[0].key}", "an earlier line has this key"),
        (f"witness a {LOG.verifier}", "not the key of a witness"),
        ("log", "log VKEY"),
        ("log nonsense", "not base64|not an Ed25519"),
        (LINES[0], "an earlier line has this key"),
        ("group g all", "group NAME"),
        ("group g 0 X0", "all, any or a number"),
        ("group g -1 X0", "all, any or a number"),
        ("group g 3 X0 X1", "it requires 3 of 2 members"),
        ("group g any X0 X0", "X0 is already in a group"),
        ("group g any later", "no earlier line defines later"),
        ("group g any none", "no earlier line defines none"),
        ("quorum X0 X1", "one line `quorum NAME`"),
        ("quorum nobody", "no earlier line defines nobody"),
        ("witnesses X0", "must begin with log, witness, group, quorum"),
        ("quorum\x00X0", "control characters"),
        ("quorum X0\r", "control characters"),
    ],
    # Numbers, because the keys in the values differ between test processes.
    ids=count(),
)
def test_an_invalid_line_is_reported_with_its_number_and_reason(line: str, reason: str) -> None:
    with pytest.raises(BadPolicy, match=rf"^line {len(LINES) + 1} of the policy: .*({reason})"):
        Policy.parse("\n".join([*LINES, line, "quorum X0"]))


def test_a_policy_needs_exactly_one_quorum_and_has_a_maximum_length() -> None:
    with pytest.raises(BadPolicy, match=r"^the policy has no line `quorum NAME`$"):
        Policy.parse("\n".join(LINES))
    with pytest.raises(BadPolicy, match="one line `quorum NAME`"):
        Policy.parse("\n".join([*LINES, "quorum X0", "quorum X1"]))
    with pytest.raises(BadPolicy, match="more than 1,000,000 characters"):
        Policy.parse("#" * 1_000_001)
