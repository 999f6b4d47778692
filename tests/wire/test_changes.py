"""The feed on the wire, page by page and line by line."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given

from hashdb.domain.changes import Change, Changes, Copied, Gone
from hashdb.domain.contributions import Contribution, Media, Standing, Status
from hashdb.domain.signals import Algorithm
from hashdb.wire.changes import ChangeOut, ChangesOut, line, read_lines
from tests.builders import NOON, signal
from tests.wire.strategies import changes

ONE = Contribution(
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
PAGE = Changes((Change(5, ONE), Change(7, Gone(4, "withdrawn"))), 7, False, "9f3c")


@given(changes)
@example(PAGE)
def test_a_page_comes_back(page: Changes) -> None:
    assert ChangesOut.model_validate_json(ChangesOut.of(page).json_text()).value() == page


@given(changes)
@example(PAGE)
def test_a_line_says_what_the_page_does(page: Changes) -> None:
    for change in page.changes:
        assert json.loads(line(change)) == json.loads(ChangeOut.of(change).json_text())
        assert line(change).count("\n") == 1
        if isinstance(change.what, Gone) or "signals" not in change.what.hidden:
            assert read_lines(line(change).encode()).checkpoint == change.seq


def test_what_is_gone_is_an_id_and_a_reason() -> None:
    page = Changes((Change(4002, Gone(17, "withdrawn")),), 4002, True, "9f3c")
    assert json.loads(ChangesOut.of(page).json_text()) == {
        "changes": [{"seq": 4002, "gone": 17, "reason": "withdrawn"}],
        "checkpoint": 4002,
        "more": True,
        "epoch": "9f3c",
    }


def test_lines_are_read_as_a_copy_takes_them_in() -> None:
    end = '{"checkpoint": 9, "more": true, "epoch": "9f3c"}'
    read = read_lines(("".join(map(line, PAGE.changes)) + end).encode())
    assert (read.checkpoint, read.more, read.epoch) == (9, True, "9f3c")
    (first, second) = read.steps
    assert (second.seq, second.what) == (7, Gone(4, "withdrawn"))
    assert first.what == Copied(
        17,
        3,
        tuple((one.algorithm, one.to_bytes()) for one in ONE.signals),
        ONE.labels,
        2,
        Standing.CONFIRMED,
        ONE.context,
        ONE.removed_at,
        NOON,
        ONE.expires_at,
    )
    assert read_lines("".join(map(line, PAGE.changes)).encode())[1:] == (7, True, "")


def test_a_signal_that_this_version_does_not_know_is_left_out() -> None:
    text = line(Change(5, replace(ONE, signals=ONE.signals[:1]))).replace("pdq:", "pdq3:").encode()
    what = read_lines(text).steps[0].what
    assert isinstance(what, Copied)
    assert what.signals == ()


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
        line(PAGE.changes[0]).replace("pdq:", "pdq:0").encode(),
        line(PAGE.changes[0]).replace('"confirmed"', '"unheard of"').encode(),
        line(PAGE.changes[0]).replace('"2026-', '"x').encode(),
    ],
)
def test_what_is_no_line_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_lines(text)
