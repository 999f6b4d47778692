"""Listings: the position where a page ends, and reading all rows page by page."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.listings import Position, read_all

NUMBERS = st.integers(-(10**17), 10**17)


@given(st.builds(Position, st.none() | NUMBERS, st.integers(0, 10**17)))
def test_a_position_is_parsed_back_from_its_text(position: Position) -> None:
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text", ["", "17", ".", "1.", "-.1", "1.-1", "1.1.1", "a.1", "1.a", "\u0661.1", f"{'9' * 19}.1"]
)
def test_a_malformed_position_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is not the end of a page of this list"):
        Position.parse(text)


class Row(NamedTuple):
    """A row of a list."""

    id: int


def test_all_rows_are_read_page_by_page() -> None:
    rows, positions = [Row(id) for id in range(5, 2_505)], list[int]()

    def page(after: int, limit: int) -> list[Row]:
        positions.append(after)
        return [row for row in rows if row.id > after][:limit]

    assert list(read_all(page)) == rows
    assert positions == [0, 1_004, 2_004, 2_504]
