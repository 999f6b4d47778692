"""The drawing of a signal's bits."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.signals import Algorithm, Signal
from hashdb.web.console.signals import grid


def drawn_value(svg: str, kind: str, side: int) -> int:
    """Return the value whose bits the path of a kind covers."""
    (path,) = re.findall(rf'class="bits-{kind}" d="([^"]*)"', svg)
    value = 0
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", path):
        for place in range(int(x), int(x) + int(length)):
            value |= 1 << (side * side - 1 - int(y) * side - place)
    return value


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
def test_every_bit_is_drawn_at_its_place_and_differences_stand_out(value: int, other_value: int) -> None:
    signal, compared = Signal(Algorithm.PDQ, value), Signal(Algorithm.PDQ, other_value)
    assert [drawn_value(grid(signal), kind, 16) for kind in ("on", "gone", "new")] == [value, 0, 0]
    assert [drawn_value(grid(signal, compared), kind, 16) for kind in ("on", "gone", "new")] == [
        value & other_value,
        other_value & ~value,
        value & ~other_value,
    ]


def test_a_drawing_has_a_text_for_screen_readers() -> None:
    signal, other = Signal(Algorithm.PHASH, 2**63 | 1), Signal(Algorithm.PHASH, 1)
    assert 'aria-label="phash: 2 of 64 bits set"' in grid(signal)
    assert 'aria-label="phash: 1 bits differ"' in grid(signal, other)
    assert drawn_value(grid(signal), "on", 8) == 2**63 | 1
