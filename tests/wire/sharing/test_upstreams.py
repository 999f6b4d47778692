"""The feed of an upstream: each contribution by the rules here, whatever the other service sends."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hashdb.domain.frames import Unit
from hashdb.domain.origins import Origin
from hashdb.domain.sharing.upstreams import UpstreamChange
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.times import format_instant
from hashdb.wire import ValidationContext
from hashdb.wire.sharing.upstreams import read_page
from tests.builders import NOON, RULES, near, signal, signature

HERE = ValidationContext(replace(RULES, algorithms=(Algorithm.PDQ,)), NOON, imported=True)
SENT: dict[str, Any] = {
    "id": 7,
    "member": {"id": 2, "name": "Alpha"},
    "standing": "disputed",
    "signals": [str(signal(1)), str(signal(1, Algorithm.PHASH)), "later:00ff"],
    "signatures": [str(signature(1)), "later:00"],
    "labels": ["glorification", "of_that_list"],
    "removed_at": None,
    "quality": None,
    "reference": "theirs",
}


def read(**fields: Any) -> UpstreamChange:
    """The one change of a page with this contribution."""
    change = {"seq": 4, "contribution": SENT | fields}
    page = read_page(json.dumps({"changes": [change], "checkpoint": 4, "more": False, "epoch": "x"}).encode(), HERE)
    (read,) = page.changes
    return read


def test_what_this_service_does_not_know_is_left_out_where_something_remains() -> None:
    change = read(origin={"log": "eu.example/log+a1b2c3d4", "contribution": 17, "member": 3})
    assert change.draft is not None
    assert (change.draft.signals, change.draft.signatures) == ((signal(1),), (signature(1),))
    assert (change.draft.labels, change.draft.reference) == (("glorification",), None)
    assert change.origin == Origin("eu.example/log+a1b2c3d4", 17, 3)
    assert (change.contribution, change.member, change.standing) == (7, 2, "disputed")


def test_a_video_whose_frames_are_marked_as_shots_is_followed() -> None:
    frames = [
        {"at": 0.0, "quality": 90, "signals": [str(signal(1))]},
        {"at": 1.0, "quality": 90, "signals": [str(near(signal(1), 4))], "begins_shot": True},
    ]
    change = read(signals=[], signatures=[], media="video", duration=2.0, frames=frames)
    assert change.draft is not None and len(change.draft.frames) == 2


WINDOW = f"simhash256:{'0f' * 32}"


def test_pages_words_and_addresses_are_followed() -> None:
    frames: list[dict[str, Any]] = [
        {"page": 1, "quality": 90, "signals": [str(signal(1)), str(signal(1, Algorithm.PHASH)), "later:00ff"]},
        {"page": 2, "quality": 90, "signals": ["later:00ff"]},
        {"words": [0, 150], "signals": [WINDOW]},
    ]
    address = f"url:{'0f' * 32}"
    fields = {"signals": [address], "signatures": [], "media": "document", "frames": frames}
    draft = read(**fields, pages=2, words=150, frame_count=3).draft
    assert draft is not None
    assert [(frame.unit, frame.at, frame.length, len(frame.signals)) for frame in draft.frames] == [
        (Unit.PAGES, 1, 0, 1),
        (Unit.WORDS, 0, 150, 1),
    ]
    assert (draft.signals, draft.media, draft.duration) == ((Signal.parse(address),), "document", None)


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"labels": ["of_that_list"]}, ("labels",)),
        ({"signals": [str(signal(1, Algorithm.PHASH))]}, ("signals",)),
        ({"signals": ["pdq:" + "0" * 64]}, ("signals",)),
        ({"signals": ["pdq:zz"]}, ("signals",)),
        ({"severity": 9, "context": ["nothing"]}, ("context", "severity")),
        ({"removed_at": "2030-01-01T00:00:00Z"}, ("removed_at",)),
        ({"media": "hologram"}, ("media",)),
        ({"origin": {"log": "", "contribution": 1, "member": 1}}, ("origin",)),
        ({"origin": {"log": "a\nb", "contribution": 1, "member": 1}}, ("origin",)),
        ({"origin": {"log": "a", "contribution": -1, "member": 1}}, ("origin",)),
        ({"origin": "here"}, ("origin",)),
    ],
)
def test_what_is_not_accepted_here_is_named_by_its_fields(fields: dict[str, Any], faults: tuple[str, ...]) -> None:
    change = read(**fields)
    assert (change.draft, change.faults) == (None, faults)


def test_what_has_just_expired_is_gone() -> None:
    assert read(expires_at=format_instant(NOON)).gone == "expired"
    assert read(expires_at=format_instant(NOON + timedelta(seconds=1))).gone is None


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"[]",
        b'{"changes": [{"seq": 1}], "checkpoint": 1, "more": false, "epoch": "x"}',
        b'{"changes": [{"seq": true, "gone": 1, "reason": "x"}], "checkpoint": 1, "more": false, "epoch": "x"}',
        b'{"changes": [{"seq": 1, "gone": 1, "reason": 5}], "checkpoint": 1, "more": false, "epoch": "x"}',
        b'{"changes": [], "checkpoint": 1e3, "more": false, "epoch": "x"}',
        b'{"changes": [], "checkpoint": 1, "more": false, "epoch": null}',
    ],
)
def test_what_is_no_page_is_refused(page: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_page(page, HERE)
