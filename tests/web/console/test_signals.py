"""A signal's bits as a drawing."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.signals import Algorithm, Signal
from hashdb.web.console.signals import grid


def drawn(svg: str, kind: str, side: int) -> int:
    """The value whose bits a path of a drawing covers."""
    (path,) = re.findall(rf'class="bits-{kind}" d="([^"]*)"', svg)
    value = 0
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", path):
        for place in range(int(x), int(x) + int(length)):
            value |= 1 << (side * side - 1 - int(y) * side - place)
    return value


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
def test_every_bit_is_drawn_where_it_is_and_those_that_differ_stand_out(one: int, other: int) -> None:
    signal, beside = Signal(Algorithm.PDQ, one), Signal(Algorithm.PDQ, other)
    assert [drawn(grid(signal), kind, 16) for kind in ("on", "gone", "new")] == [one, 0, 0]
    assert [drawn(grid(signal, beside), kind, 16) for kind in ("on", "gone", "new")] == [
        one & other,
        other & ~one,
        one & ~other,
    ]


def test_what_is_drawn_is_told_to_who_does_not_see_it() -> None:
    one, other = Signal(Algorithm.PHASH, 2**63 | 1), Signal(Algorithm.PHASH, 1)
    assert 'aria-label="phash: 2 of 64 bits set"' in grid(one)
    assert 'aria-label="phash: 1 bits differ"' in grid(one, other)
    assert drawn(grid(one), "on", 8) == 2**63 | 1
