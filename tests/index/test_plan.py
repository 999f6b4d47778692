"""Plans: with any chunks, two values within the radius are close enough in a chunk that is looked up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.index.plan import (
    SCANNED,
    WIDEST_CHUNK,
    Chunks,
    ball_size,
    choose_chunks,
    flips,
    worth_probing,
    worth_verifying,
)
from tests.index.samples import for_every_length, lookup_count


@st.composite
def any_chunks(draw: st.DrawFn, bits: int) -> Chunks:
    """Any chunks of 1 to 24 bits."""
    widths: list[int] = []
    while left := bits - sum(widths):
        widths.append(draw(st.integers(1, min(WIDEST_CHUNK, left))))
    return Chunks(bits, tuple(widths))


def split_value(value: int, cut: Chunks) -> list[int]:
    return [value >> shift & (1 << width) - 1 for shift, width in zip(cut.shifts, cut.widths, strict=True)]


@for_every_length
@given(data=st.data())
def test_values_within_the_radius_are_close_in_at_least_one_chunk(bits: int, data: st.DataObject) -> None:
    cut, radius = data.draw(any_chunks(bits)), data.draw(st.integers(0, bits))
    # How many bits differ in each chunk, chosen as an adversary would: at most `radius` in all.
    left, difference = radius, 0
    for shift, width in sorted(
        zip(cut.shifts, cut.widths, strict=True), key=lambda _: data.draw(st.integers(0, 9), label="order")
    ):
        many = data.draw(st.integers(0, min(left, width)))
        difference |= ((1 << many) - 1) << shift
        left -= many
    assert difference.bit_count() <= radius
    distances = [part.bit_count() for part in split_value(difference, cut)]
    assert any(many <= near for many, near in zip(distances, cut.radii(radius), strict=True))


@for_every_length
@given(data=st.data())
def test_the_radii_of_the_chunks_are_the_least_possible(bits: int, data: st.DataObject) -> None:
    """The radii are the least possible: values that differ by one bit more in every chunk are outside of the radius."""
    cut, radius = data.draw(any_chunks(bits)), data.draw(st.integers(0, bits))
    radii = cut.radii(radius)
    assert sum(near + 1 for near in radii) == radius + 1


@for_every_length
@given(data=st.data())
def test_every_bit_is_in_exactly_one_chunk(bits: int, data: st.DataObject) -> None:
    cut, value = data.draw(any_chunks(bits)), data.draw(st.integers(0, 2**bits - 1))
    parts = split_value(value, cut)
    assert sum(part << shift for part, shift in zip(parts, cut.shifts, strict=True)) == value
    assert [after - before for before, after in pairwise(cut.bases)] == [(1 << width) + 1 for width in cut.widths]


def test_without_chunks_nothing_is_looked_up() -> None:
    cut = Chunks(64, ())
    assert (cut.radii(5), lookup_count(cut, 5), cut.bases) == ((), 0, (0,))
    assert not worth_probing(cut, 10**6, 0)


@pytest.mark.parametrize("width", [1, 2, 5, 9])
def test_flips_are_all_differences_of_at_most_the_radius(width: int) -> None:
    for radius in range(-1, width + 3):
        near = [mask for mask in range(1 << width) if mask.bit_count() <= radius]
        assert flips(width, radius).tolist() == near
        assert ball_size(width, radius) == len(near)


@for_every_length
@pytest.mark.parametrize("count", [0, 1, SCANNED - 1, SCANNED, 100_000, 1_000_000, 10_000_000, 100_000_000])
def test_the_chosen_chunks_are_useful_and_within_the_memory_limit(bits: int, count: int) -> None:
    for radius in (0, 4, bits // 8, bits // 4, bits):
        cut = choose_chunks(count, bits, radius)
        assert sum(cut.widths) in (0, bits)
        assert max(cut.widths, default=0) <= WIDEST_CHUNK
        if cut.widths:
            assert worth_probing(cut, count, radius)
            bytes_a_value = 8 * len(cut.widths) if bits == 64 else 32 + 4 * len(cut.widths)
            assert bytes_a_value + 4 * cut.bases[-1] / count <= {64: 64, 256: 124}[bits]
    assert bool(choose_chunks(count, bits, 4).widths) or count < 1_000_000


@for_every_length
def test_too_many_candidates_are_not_worth_verifying(bits: int) -> None:
    assert worth_verifying(0, 10, bits)
    assert not worth_verifying(10, 10, bits)
    assert not worth_verifying(0, 0, bits)
