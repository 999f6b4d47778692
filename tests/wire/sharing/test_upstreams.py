"""The feed of an upstream service: each contribution is checked by the rules of this service."""

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

CONTEXT = ValidationContext(replace(RULES, algorithms=(Algorithm.PDQ,)), NOON, imported=True)
CONTRIBUTION: dict[str, Any] = {
    "id": 7,
    "member": {"id": 2, "name": "Alpha"},
    "standing": "disputed",
    "signals": [str(signal(1)), str(signal(1, Algorithm.PHASH)), "later:00ff"],
    "signatures": [str(signature(1)), "later:00"],
    "labels": ["glorification", "of_that_list"],
    "removed_at": None,
    "quality": None,
    "reference": "ref-1",
}


def read_change(**fields: Any) -> UpstreamChange:
    """Read a page with one contribution that has these fields, and return its change."""
    sent = {"seq": 4, "contribution": CONTRIBUTION | fields}
    page = read_page(json.dumps({"changes": [sent], "checkpoint": 4, "more": False, "epoch": "x"}).encode(), CONTEXT)
    (change,) = page.changes
    return change


def test_unknown_signals_and_labels_of_an_upstream_are_omitted() -> None:
    change = read_change(origin={"log": "eu.example/log+a1b2c3d4", "contribution": 17, "member": 3})
    assert change.draft is not None
    assert (change.draft.signals, change.draft.signatures) == ((signal(1),), (signature(1),))
    assert (change.draft.labels, change.draft.reference) == (("glorification",), None)
    assert change.origin == Origin("eu.example/log+a1b2c3d4", 17, 3)
    assert (change.contribution, change.member, change.standing) == (7, 2, "disputed")


def test_a_video_with_marked_shots_is_accepted() -> None:
    frames = [
        {"at": 0.0, "quality": 90, "signals": [str(signal(1))]},
        {"at": 1.0, "quality": 90, "signals": [str(near(signal(1), 4))], "begins_shot": True},
    ]
    change = read_change(signals=[], signatures=[], media="video", duration=2.0, frames=frames)
    assert change.draft is not None and len(change.draft.frames) == 2


WINDOW = f"simhash256:{'0f' * 32}"


def test_pages_words_and_addresses_are_accepted() -> None:
    frames: list[dict[str, Any]] = [
        {"page": 1, "quality": 90, "signals": [str(signal(1)), str(signal(1, Algorithm.PHASH)), "later:00ff"]},
        {"page": 2, "quality": 90, "signals": ["later:00ff"]},
        {"words": [0, 150], "signals": [WINDOW]},
    ]
    address = f"url:{'0f' * 32}"
    fields = {"signals": [address], "signatures": [], "media": "document", "frames": frames}
    draft = read_change(**fields, pages=2, words=150, frame_count=3).draft
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
def test_a_rejected_contribution_has_the_names_of_its_invalid_fields(
    fields: dict[str, Any], faults: tuple[str, ...]
) -> None:
    change = read_change(**fields)
    assert (change.draft, change.faults) == (None, faults)


def test_an_expired_contribution_of_an_upstream_has_ended() -> None:
    assert read_change(expires_at=format_instant(NOON)).gone == "expired"
    assert read_change(expires_at=format_instant(NOON + timedelta(seconds=1))).gone is None


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
def test_an_invalid_page_of_an_upstream_is_rejected(page: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_page(page, CONTEXT)
