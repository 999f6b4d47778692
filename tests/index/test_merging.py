"""Merging: what some segments hold comes out sorted, each value once, whatever they look like."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hashdb.index import merging
from hashdb.index.merging import merged
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, build
from hashdb.index.words import Words, pack, unpack
from tests.index.samples import SKEWED, skewed


def lanes(words: Words) -> Segment:
    """A segment of values as they are."""
    width = 1 if words.shape[1] == 1 else 2
    cut = Chunks(words.shape[1] * 64, ())
    return Segment([np.ascontiguousarray(words[:, at : at + width]) for at in range(0, words.shape[1], width)], cut)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few values fill several blocks."""
    monkeypatch.setattr(merging, "_ROWS", 50)


@pytest.mark.parametrize("bits", [64, 256])
@pytest.mark.parametrize("kind", SKEWED)
@pytest.mark.parametrize("counts", [(300, 200), (200, 300, 7), (0, 120), (0, 0), (50, 1), (101,)])
def test_each_value_comes_out_once_and_in_order(bits: int, kind: str, counts: tuple[int, ...]) -> None:
    rng = random.Random(bits)
    # Some are in several segments.
    values = skewed(kind, 1 + sum(counts), bits, rng)
    parts = [[*rng.sample(values, count // 2), *values[: count - count // 2]] for count in counts]
    found = unpack(merged([build(pack(part, bits), bits // 8) for part in parts]))
    assert found == sorted({value for part in parts for value in part})


@pytest.mark.parametrize("bits", [64, 256])
def test_nothing_is_lost_of_what_is_not_sorted(bits: int) -> None:
    rng = random.Random(bits)
    parts = [[rng.getrandbits(bits) for _ in range(count)] for count in (300, 170)]
    found = unpack(merged([lanes(pack(part, bits)) for part in parts]))
    assert set(found) == {value for part in parts for value in part}
