"""The text and JSON formats of vPDQ are compatible with the reference implementation."""

from __future__ import annotations

import sys
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest

from hashdb.domain.frames import Frame
from hashdb.domain.signals import Algorithm, Signal
from hashdb.wire.sharing.vpdq import read_vpdq, vpdq_json, vpdq_line
from tests.builders import near, signal
from tests.web.sharing.served import digits

HASHES = [digits(str(signal(seed))) for seed in range(5)]


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of `threatexchange` for the JSON of vPDQ. Its video decoder is replaced by a stub."""
    pytest.importorskip("threatexchange")
    decoder: Any = ModuleType("vpdq")
    decoder.VpdqFeature = object
    monkeypatch.setitem(sys.modules, "vpdq", decoder)
    from threatexchange.extensions.vpdq import vpdq_util

    return vpdq_util


def frames_at(*times: float) -> list[Frame]:
    return [
        Frame(at, (Signal(Algorithm.PDQ, int(HASHES[i % 5], 16)), near(signal(i), 9)), 90 + i % 5)
        for i, at in enumerate(times)
    ]


def times_of(fields: dict[str, Any]) -> list[float]:
    return [frame["at"] for frame in fields["frames"]]


def test_a_line_equals_that_of_the_reference() -> None:
    # The second line of the sample chair-19-sd-bar of the reference.
    line = "1,100,c0f11178372c6aaccddea259648fbfd62f434c89c9e99b249772be216c8d055c,0.033"
    value = Signal.parse("pdq:c0f11178372c6aaccddea259648fbfd62f434c89c9e99b249772be216c8d055c")
    assert vpdq_line(1, 1 / 30, 100, value) == line
    assert read_vpdq(f"{line}\n") == {
        "frames": [{"at": 0.033, "quality": 100, "signals": [str(value)]}],
        "duration": 1.033,
    }


def test_hashdb_and_the_reference_read_the_json_of_each_other(reference: Any) -> None:
    text = vpdq_json([*frames_at(0.0, 1.0, 59.96, 123.456), Frame(200.0, (), 30)])
    features = reference.json_to_vpdq(text)
    assert [(feature.pdq_hex, feature.quality, feature.timestamp) for feature in features] == [
        (HASHES[0], 90, 0.0),
        (HASHES[1], 91, 1.0),
        (HASHES[2], 92, 59.96),
        (HASHES[3], 93, 123.456),
    ]
    fields = read_vpdq(reference.vpdq_to_json(features[:3]))
    assert [frame["signals"] for frame in fields["frames"]] == [[f"pdq:{text}"] for text in HASHES[:3]]
    assert (times_of(fields), fields["duration"]) == ([0.0, 1.0, 60.0], 119.0)


def test_times_that_the_reference_rounds_are_strictly_increasing_when_read(reference: Any) -> None:
    # The times of a video with 29.97 frames a second.
    times = [29 * place / 29.97 for place in range(1200)]
    features = [reference.VpdqCompactFeature(HASHES[i % 5], 100, at) for i, at in enumerate(times)]
    times_read = times_of(read_vpdq(reference.vpdq_to_json(features)))
    assert all(before < after for before, after in pairwise(times_read))
    assert max(abs(read - at) for read, at in zip(times_read, times, strict=True)) <= 5.5


def test_the_older_json_object_is_also_read() -> None:
    value = {
        "0": {"quality": 100, "hash": HASHES[0], "timestamp": 0.0},
        "30": {"quality": 40, "hash": HASHES[1].upper(), "timestamp": 1.0},
    }
    fields = read_vpdq(value)
    assert fields["frames"][1] == {"at": 1.0, "quality": 40, "signals": [f"pdq:{HASHES[1]}"]}
    assert fields["duration"] == 2.0


@pytest.mark.parametrize(
    "value",
    [
        "",
        "[]",
        "{}",
        "[",
        "[" * 100_000,
        "1,2,3",
        f"0,100,{HASHES[0]}",
        f'["{HASHES[0]},x,0.0"]',
        f'["{HASHES[0]},90,nan"]',
        f'["{HASHES[0]},90,1e999"]',
        [["a"]],
        [None],
        {"0": 1},
        {"0": {"quality": None, "hash": HASHES[0], "timestamp": 0}},
        7,
        None,
    ],
)
def test_invalid_vpdq_is_rejected_without_quoting_its_hashes(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not vPDQ|has no frames") as error:
        read_vpdq(value)
    assert HASHES[0] not in str(error.value)
