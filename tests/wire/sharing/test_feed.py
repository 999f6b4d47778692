"""Wire models of the feed, and its lines as a local copy reads them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given

from hashdb.domain.contributions import Contribution, Media, Standing, Status
from hashdb.domain.frames import Frame, Unit, split_shots
from hashdb.domain.ledger.commitments import Commitment, commit_lines, item_lines, placed_line
from hashdb.domain.sharing.feed import Change, Changes, CopiedContribution, CopiedShot, Gone
from hashdb.domain.signals import Algorithm, Signal
from hashdb.wire.sharing.feed import ChangeOut, ChangesOut, change_line, parse_lines
from tests.builders import NOON, signal, signature
from tests.wire.strategies import changes

CONTRIBUTION = Contribution(
    id=17,
    member=3,
    member_name='Älpha "and" sons\u2028',
    status=Status.ACTIVE,
    standing=Standing.CONFIRMED,
    received_at=NOON,
    signals=(signal(1), signal(2, Algorithm.PHASH)),
    labels=("glorification", "incitement"),
    removed_at=NOON - timedelta(hours=1),
    quality=97,
    media=Media.IMAGE,
    severity=2,
    basis="terms",
    tco_ground=None,
    entity=None,
    incident=None,
    context=("synthetic",),
    notified_at=None,
    reference=None,
    expires_at=NOON + timedelta(days=1),
    withdrawn_at=None,
    withdrawal_reason=None,
    erased=False,
    hidden=frozenset({"reference"}),
)
VIDEO = replace(CONTRIBUTION, media=Media.VIDEO, frames=(Frame(1.5, (signal(3),), 90),), frame_count=1, duration=9.0)
PAGE = Changes((Change(5, CONTRIBUTION), Change(7, Gone(4, "withdrawn"))), 7, False, "9f3c")


@given(changes)
@example(PAGE)
def test_a_page_of_the_feed_round_trips_and_its_lines_are_equivalent(page: Changes) -> None:
    assert ChangesOut.model_validate_json(ChangesOut.from_domain(page).json_text()).to_domain() == page
    for change in page.changes:
        assert json.loads(change_line(change)) == json.loads(ChangeOut.from_domain(change).json_text())
        assert change_line(change).count("\n") == 1
        if isinstance(change.what, Gone) or "signals" not in change.what.hidden:
            assert parse_lines(change_line(change).encode()).checkpoint == change.seq


def test_an_ended_contribution_is_an_id_and_a_reason() -> None:
    page = Changes((Change(4002, Gone(17, "withdrawn")),), 4002, True, "9f3c")
    assert json.loads(ChangesOut.from_domain(page).json_text()) == {
        "changes": [{"seq": 4002, "gone": 17, "reason": "withdrawn"}],
        "checkpoint": 4002,
        "more": True,
        "epoch": "9f3c",
    }


def test_a_local_copy_reads_the_lines_of_the_feed() -> None:
    end = '{"checkpoint": 9, "more": true, "epoch": "9f3c"}'
    page = parse_lines(("".join(map(change_line, PAGE.changes)) + end).encode())
    assert (page.checkpoint, page.more, page.epoch) == (9, True, "9f3c")
    (first, second) = page.steps
    assert (second.seq, second.what) == (7, Gone(4, "withdrawn"))
    assert first.what == CopiedContribution(
        17,
        3,
        tuple((signal.algorithm, signal.to_bytes()) for signal in CONTRIBUTION.signals),
        CONTRIBUTION.labels,
        2,
        Standing.CONFIRMED,
        CONTRIBUTION.context,
        CONTRIBUTION.removed_at,
        NOON,
        CONTRIBUTION.expires_at,
    )
    assert parse_lines("".join(map(change_line, PAGE.changes)).encode())[1:] == (7, True, "")


def test_a_local_copy_reads_pages_and_windows_of_words() -> None:
    page, low_quality = (
        Frame(3, (signal(1),), 90, unit=Unit.PAGES),
        Frame(4, (signal(2),), 20, unit=Unit.PAGES),
    )
    window = Frame(100, (Signal(Algorithm.SIMHASH256, (1 << 128) - 1),), unit=Unit.WORDS, length=150)
    sent = replace(CONTRIBUTION, pages=4, words=250, frame_count=3, frames=(page, low_quality, window))
    what = parse_lines(change_line(Change(5, sent)).encode()).steps[0].what
    assert isinstance(what, CopiedContribution)
    assert (what.duration, what.pages, what.words) == (None, 4, 250)
    (of_page, of_words) = ((value.algorithm, value.to_bytes()) for frame in (page, window) for value in frame.signals)
    assert what.shots == (
        CopiedShot(3, 3, (of_page,), Unit.PAGES),
        CopiedShot(100, 250, (of_words,), Unit.WORDS),
    )


def test_a_signal_of_an_unknown_algorithm_is_omitted() -> None:
    text = (
        change_line(Change(5, replace(CONTRIBUTION, signals=CONTRIBUTION.signals[:1])))
        .replace("pdq:", "pdq3:")
        .encode()
    )
    what = parse_lines(text).steps[0].what
    assert isinstance(what, CopiedContribution)
    assert what.signals == ()


COMMITMENT = Commitment.new(["pdq:1"])
SEALS = (bytes(31) + b"\1", bytes(31) + b"\2")
COMMITTED = replace(CONTRIBUTION, salt=COMMITMENT.salt, commitment=COMMITMENT.hash, undisclosed=SEALS)


def test_a_commitment_is_sent_with_its_salt_and_the_undisclosed_seals() -> None:
    sent = json.loads(change_line(Change(5, COMMITTED)))["contribution"]
    assert sent["salt"] == COMMITMENT.salt.hex() and sent["commitment"] == COMMITMENT.hash.hex()
    assert sent["undisclosed"] == [seal.hex() for seal in SEALS]
    for what in (
        ChangeOut.model_validate_json(change_line(Change(5, COMMITTED))).to_domain().what,
        read_by_copy(COMMITTED),
    ):
        assert not isinstance(what, Gone)
        assert (what.salt, what.commitment, what.undisclosed) == (*COMMITMENT, SEALS)
    hidden = COMMITTED.shown(signals=False, reference=False)
    fields = ChangeOut.from_domain(Change(5, hidden)).to_domain().what
    assert isinstance(fields, Contribution)
    assert (fields.salt, fields.commitment, fields.undisclosed) == (None, COMMITMENT.hash, ())
    assert {"salt", "commitment", "undisclosed"}.isdisjoint(
        json.loads(change_line(Change(5, CONTRIBUTION)))["contribution"]
    )


def test_a_masked_contribution_is_sent_with_its_standing_and_commitment() -> None:
    gone = Gone(17, "masked", None, Standing.CONFIRMED, COMMITMENT.hash)
    assert json.loads(change_line(Change(5, gone))) == {
        "seq": 5,
        "gone": 17,
        "reason": "masked",
        "standing": "confirmed",
        "commitment": COMMITMENT.hash.hex(),
    }
    assert parse_lines(change_line(Change(5, gone)).encode()).steps[0].what == gone
    assert ChangeOut.from_domain(Change(5, gone)).to_domain().what == gone


def read_by_copy(contribution: Contribution) -> CopiedContribution:
    what = parse_lines(change_line(Change(5, contribution)).encode()).steps[0].what
    assert isinstance(what, CopiedContribution)
    return what


def test_unknown_items_are_sealed_so_that_the_commitment_can_be_computed() -> None:
    frames = (Frame(0.0, (signal(1), signal(2, Algorithm.PHASH256)), 90), Frame(1.0, (signal(1),), 90))
    contribution = replace(
        CONTRIBUTION,
        frames=frames,
        frame_count=2,
        duration=2.0,
        salt=COMMITMENT.salt,
        signatures=(signature(1), signature(2)),
    )
    lines = [
        str(line).replace("phash", "new")
        for line in item_lines(contribution.signals, split_shots(frames), contribution.signatures)
    ]
    text = change_line(Change(5, contribution)).replace("phash", "new").replace("detail:", "newer:").encode()
    what = parse_lines(text).steps[0].what
    assert isinstance(what, CopiedContribution)
    known = [f"{name}:{value.hex()}" for name, value in what.signals]
    known += [
        placed_line(shot.unit, shot.start, shot.end, f"{name}:{value.hex()}")
        for shot in what.shots
        for name, value in shot.signals
    ]
    expected = [line.replace("detail:", "newer:") for line in lines]
    assert commit_lines(COMMITMENT.salt, known, what.undisclosed) == commit_lines(COMMITMENT.salt, expected)
    assert len(known) == 2 and len(what.undisclosed) == 4


@pytest.mark.parametrize(
    "text",
    [
        b"<html>",
        b"7",
        b"{}",
        b"[]",
        b"null",
        b'"checkpoint"',
        b'{"seq": 5}',
        b'{"seq": 5, "contribution": {}}',
        b'{"seq": "x", "gone": 4, "reason": ""}',
        b'{"checkpoint": 7}',
        b'{"checkpoint": 7, "more": false, "epoch": "\\ud800"}',
        change_line(PAGE.changes[0]).replace("pdq:", "pdq:0").encode(),
        change_line(PAGE.changes[0]).replace('"confirmed"', '"unheard of"').encode(),
        change_line(PAGE.changes[0]).replace('"2026-', '"x').encode(),
        change_line(Change(5, COMMITTED)).replace('"salt":"', '"salt":"00').encode(),
        change_line(Change(5, COMMITTED)).replace('"commitment":"', '"commitment":"x').encode(),
        change_line(Change(5, COMMITTED)).replace('"undisclosed":[', '"undisclosed":[7,').encode(),
        change_line(Change(5, CONTRIBUTION)).replace('"id":17', '"id":9223372036854775808').encode(),
        change_line(Change(5, VIDEO)).replace('"at":1.5', '"at":NaN').encode(),
        change_line(Change(5, VIDEO)).replace('"at":1.5', '"at":1e999').encode(),
        change_line(Change(5, VIDEO)).replace('"duration":9.0', '"duration":NaN').encode(),
    ],
)
def test_an_invalid_line_of_the_feed_is_rejected(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_lines(text)
