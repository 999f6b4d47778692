"""Where a page of a list ends, as text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.listings import Position

NUMBERS = st.integers(-(10**17), 10**17)


@given(st.builds(Position, st.none() | NUMBERS, st.integers(0, 10**17)))
def test_a_position_comes_back_from_its_text(position: Position) -> None:
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text", ["", "17", ".", "1.", "-.1", "1.-1", "1.1.1", "a.1", "1.a", "\u0661.1", f"{'9' * 19}.1"]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not where a page of this list ended"):
        Position.parse(text)
