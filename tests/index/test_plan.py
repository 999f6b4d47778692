"""Plans: whatever the cut, two values within the radius meet in a chunk that is looked up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.index.plan import SCANNED, WIDEST, Chunks, ball_size, choose_chunks, masks, worth_probing, worth_verifying

of_every_length = pytest.mark.parametrize("bits", [64, 256])


@st.composite
def cuts(draw: st.DrawFn, bits: int) -> Chunks:
    """Any cut into chunks of 1 to 24 bits."""
    widths: list[int] = []
    while left := bits - sum(widths):
        widths.append(draw(st.integers(1, min(WIDEST, left))))
    return Chunks(bits, tuple(widths))


def chunks_of(value: int, cut: Chunks) -> list[int]:
    return [value >> shift & (1 << width) - 1 for shift, width in zip(cut.shifts, cut.widths, strict=True)]


@of_every_length
@given(data=st.data())
def test_values_within_the_radius_agree_nearly_enough_in_a_chunk_that_is_searched(
    bits: int, data: st.DataObject
) -> None:
    cut, radius = data.draw(cuts(bits)), data.draw(st.integers(0, bits))
    # How many bits differ in each chunk, as an adversary would spread them: at most `radius` in all.
    left, difference = radius, 0
    for shift, width in sorted(
        zip(cut.shifts, cut.widths, strict=True), key=lambda _: data.draw(st.integers(0, 9), label="order")
    ):
        many = data.draw(st.integers(0, min(left, width)))
        difference |= ((1 << many) - 1) << shift
        left -= many
    assert difference.bit_count() <= radius
    apart = [part.bit_count() for part in chunks_of(difference, cut)]
    assert any(many <= near for many, near in zip(apart, cut.radii(radius), strict=True))


@of_every_length
@given(data=st.data())
def test_one_bit_less_a_chunk_would_miss_some(bits: int, data: st.DataObject) -> None:
    """The refined radius is the least: values may differ by its chunk radius plus one everywhere but in one chunk."""
    cut, radius = data.draw(cuts(bits)), data.draw(st.integers(0, bits))
    radii = cut.radii(radius)
    assert sum(near + 1 for near in radii) == radius + 1


@of_every_length
@given(data=st.data())
def test_a_cut_has_every_bit_once(bits: int, data: st.DataObject) -> None:
    cut, value = data.draw(cuts(bits)), data.draw(st.integers(0, 2**bits - 1))
    parts = chunks_of(value, cut)
    assert sum(part << shift for part, shift in zip(parts, cut.shifts, strict=True)) == value
    assert [after - before for before, after in pairwise(cut.bases)] == [(1 << width) + 1 for width in cut.widths]


def test_without_chunks_nothing_is_looked_up() -> None:
    cut = Chunks(64, ())
    assert (cut.radii(5), cut.probes(5), cut.bases) == ((), 0, (0,))
    assert not worth_probing(cut, 10**6, 0)


@pytest.mark.parametrize("width", [1, 2, 5, 9])
def test_masks_are_the_ball_around_a_value(width: int) -> None:
    for radius in range(-1, width + 3):
        near = [mask for mask in range(1 << width) if mask.bit_count() <= radius]
        found = masks(width, radius).tolist()
        assert found == near
        assert ball_size(width, radius) == len(near)


@of_every_length
@pytest.mark.parametrize("count", [0, 1, SCANNED - 1, SCANNED, 100_000, 1_000_000, 10_000_000, 100_000_000])
def test_a_chosen_cut_fits_the_values_and_the_memory(bits: int, count: int) -> None:
    for radius in (0, 4, bits // 8, bits // 4, bits):
        cut = choose_chunks(count, bits, radius)
        assert sum(cut.widths) in (0, bits)
        assert max(cut.widths, default=0) <= WIDEST
        if cut.widths:
            assert worth_probing(cut, count, radius)
            held = 8 * len(cut.widths) if bits == 64 else 32 + 4 * len(cut.widths)
            assert held + 4 * cut.bases[-1] / count <= {64: 64, 256: 124}[bits]
    assert bool(choose_chunks(count, bits, 4).widths) or count < 1_000_000


@of_every_length
def test_many_candidates_are_not_worth_it(bits: int) -> None:
    assert worth_verifying(0, 10, bits)
    assert not worth_verifying(10, 10, bits)
    assert not worth_verifying(0, 0, bits)
