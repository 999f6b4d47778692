"""A video that a person pastes into the match debugger."""

from __future__ import annotations

import json

import pytest

from hashdb.domain.frames import Frame
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm
from hashdb.errors import InvalidInput
from hashdb.wire import ValidationContext
from hashdb.wire.pasted import parse_video
from tests.builders import NOON, RULES, signal

RULED = ValidationContext(RULES, NOON)
FRAMES = [
    {"at": 0.0, "quality": 90, "signals": [str(signal(1))]},
    {"at": 1.5, "quality": 40, "signals": [str(signal(2))]},
]
VIDEO = {"signals": [str(signal(3, Algorithm.MD5))], "frames": FRAMES, "duration": 3.0}
QUERY = Query(
    (signal(3, Algorithm.MD5),), frames=(Frame(0.0, (signal(1),), 90), Frame(1.5, (signal(2),), 40)), duration=3.0
)
LINES = "".join(f"{place},{90 - place},{signal(place + 1).value:064x},{place}.000\n" for place in range(3))


@pytest.mark.parametrize(
    "pasted",
    [
        VIDEO,
        {"queries": [VIDEO]},
        [VIDEO | {"path": "clip.mp4", "quality": None, "incomplete": "only 2 frames could be read"}],
    ],
)
def test_a_video_is_read_as_the_api_takes_it_and_as_the_command_prints_it(pasted: object) -> None:
    assert parse_video(json.dumps(pasted, indent=1), RULED) == QUERY


@pytest.mark.parametrize(
    "pasted", [LINES, json.dumps([f"{signal(place + 1).value:064x},{90 - place},{place}" for place in range(3)])]
)
def test_a_video_is_read_as_vpdq_writes_it(pasted: str) -> None:
    frames = tuple(Frame(float(place), (signal(place + 1),), 90 - place) for place in range(3))
    assert parse_video(pasted, RULED) == Query((), frames=frames, duration=3.0)


def test_signals_are_no_video() -> None:
    text = f"{signal(1)}\nmirror {signal(2)}, {signal(3)}"
    assert parse_video(text, RULED) is None


@pytest.mark.parametrize(
    ("pasted", "wrong"),
    [
        ('{"frames": [', "damaged or cut short"),
        ("[" * 100_000, "damaged or cut short"),
        ("[]", "have no `frames`"),
        ("[1, 2]", "have no `frames`"),
        (json.dumps({"queries": [VIDEO, VIDEO]}), "have no `frames`"),
        (json.dumps(VIDEO | {"duration": None}), "frames"),
        (json.dumps(VIDEO | {"duration": 1.0}), "frames[1].at must be at most the duration"),
        (json.dumps(VIDEO | {"frames": [FRAMES[0], FRAMES[0]]}), "frames[1].at must be later"),
        (json.dumps(VIDEO | {"duration": float("nan")}), "damaged or cut short"),
        (json.dumps(VIDEO | {"colour": "red"}), "colour"),
        (f"0,90,{signal(1).value:064x},x", "is not vPDQ"),
    ],
)
def test_what_is_wrong_with_a_video_is_told_at_the_field(pasted: str, wrong: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_video(pasted, RULED)
    assert {fault.at for fault in refused.value.faults} == {"signals"}
    assert wrong in str(refused.value)
