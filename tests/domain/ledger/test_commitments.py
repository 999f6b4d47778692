"""Commitments: they have the documented octets, and do not depend on the order of the lines."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.frames import Frame, Unit, split_shots
from hashdb.domain.ledger.commitments import (
    COMMITMENT_OCTETS,
    SALT_OCTETS,
    Commitment,
    commit,
    commit_lines,
    item_lines,
    logged_commitment,
    may_commit,
    placed_line,
    seal,
)
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Kind, Signature

SALT = bytes(range(16))
PDQ = Signal(Algorithm.PDQ, int("0f" * 32, 16))
FAR = Signal(Algorithm.PDQ, int("f0" * 32, 16))
LINES = st.lists(st.text(max_size=20), max_size=6)


def test_a_commitment_is_computed_as_documented() -> None:
    line = "pdq:" + "0f" * 32
    sealed = hashlib.sha256(b"\0" + SALT + line.encode()).digest()
    assert seal(SALT, str(PDQ)) == sealed
    assert commit_lines(SALT, [line]) == hashlib.sha256(b"\1" + sealed).digest()
    assert len(sealed) == len(commit([])) == COMMITMENT_OCTETS


@given(LINES, st.randoms())
def test_order_and_repetition_of_lines_do_not_change_a_commitment(lines: list[str], random: object) -> None:
    assert commit_lines(SALT, lines) == commit_lines(SALT, [*reversed(lines), *lines])


@given(st.sets(st.text(max_size=20), max_size=6), st.text(max_size=20))
def test_another_line_or_salt_changes_the_commitment(lines: set[str], other: str) -> None:
    plain = commit_lines(SALT, lines)
    assert (commit_lines(SALT, lines | {other}) == plain) is (other in lines)
    assert not lines or commit_lines(bytes(16), lines) != plain


@given(LINES, LINES)
def test_a_seal_can_replace_its_line_in_a_commitment(shown: list[str], hidden: list[str]) -> None:
    assert commit_lines(SALT, shown, [seal(SALT, line) for line in hidden]) == commit_lines(SALT, [*shown, *hidden])


def test_the_lines_of_an_item_are_its_signals_that_can_match() -> None:
    colour = Signature(Kind.COLOUR, bytes(32))
    frames = (
        Frame(0.0, (PDQ,), 90),
        # The second frame is near the first, so it is not searched for. The third has too low a quality.
        Frame(1.0, (PDQ,), 90),
        Frame(2.5, (FAR,), 10),
        Frame(4.0, (FAR, Signal(Algorithm.PHASH, 255)), 90),
        Frame(3.0, (PDQ,), 90, unit=Unit.PAGES),
        Frame(50.0, (Signal(Algorithm.SIMHASH256, 7),), unit=Unit.WORDS, length=150),
    )
    assert item_lines([PDQ], split_shots(frames), [colour]) == [
        str(PDQ),
        f"seconds:0-1000:{PDQ}",
        f"seconds:4000-4000:{FAR}",
        "seconds:4000-4000:phash:00000000000000ff",
        f"pages:3000-3000:{PDQ}",
        f"words:50000-200000:simhash256:{7:064x}",
        "colour:" + "00" * 32,
    ]


def test_the_place_of_a_line_is_in_thousandths() -> None:
    assert placed_line(Unit.SECONDS, 0.1 + 0.2, 1.0005, "x") == "seconds:300-1000:x"


def test_a_commitment_has_a_new_salt_unless_one_is_passed() -> None:
    first, second = Commitment.new(["x"]), Commitment.new(["x"])
    assert first.salt != second.salt and first.hash != second.hash and len(first.salt) == SALT_OCTETS
    assert Commitment.new(["x"], SALT) == (SALT, commit_lines(SALT, ["x"]))


@pytest.mark.parametrize("committed", [False, True])
def test_only_a_first_commitment_or_one_for_added_signals_may_be_logged(committed: bool) -> None:
    for action in ("contribution.added", "contribution.committed"):
        assert may_commit(action, {}, committed=committed) is not committed
    for fields, may in ((["signals"], True), (["labels", "signatures"], True), (["labels"], False), ("signals", False)):
        assert may_commit("contribution.amended", {"fields": fields}, committed=committed) is may
    for action in ("contribution.amended", "contribution.withdrawn", "contribution.unheard-of"):
        assert not may_commit(action, {}, committed=committed)


@pytest.mark.parametrize("value", [None, 7, "", "00", "zz" * 32, ["00" * 32], {"a": 1}, "ä" * 64])
def test_a_malformed_commitment_in_an_event_is_read_as_none(value: object) -> None:
    assert logged_commitment({"commitment": value}) is None
    assert logged_commitment({"commitment": "01" * 32}) == b"\1" * 32
    assert logged_commitment({}) is None
