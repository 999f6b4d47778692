"""Lay one detail over another: how alike two pictures are, although one may be a part of the other.

The signs of a cosine transform nearly determine a picture. With amplitudes that fall with the frequency, as those of
pictures do, the bits of a detail give the transform of any part of it: R · detail · Cᵀ. The matrix R depends on where
the part begins and ends downwards, C on where it does across. So the part of one detail that is most like another is
found without any pixels, among parts of every position and proportion. All frequencies have the same weight in the
comparison, so that two cards of one template differ by their words.

Here a *part* is a stretch of one side, which has a number. A *place* is a part downwards and a part across.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signatures import Signature

_SIDE: Final = 32
"""Frequencies of a detail in each direction."""
_STEPS: Final = 96
"""A side has so many steps; a part begins and ends at one."""
_MAX_CUT: Final = _STEPS // 2
"""The most steps that a part lacks, in each direction."""
_MIN_AREA: Final = 0.39
"""The smallest place, as a share of the area: a corner that two flags share is less."""
_FALL: Final = 0.65
"""How the amplitudes fall, in both directions: as 1 / (1 + frequency) to this power."""
_COARSE_STEP, _COARSE_SIDE = 6, 12
"""The steps between the parts of the first, coarse search, and the lowest frequencies that it compares (12 x 12)."""
_FINE_STARTS: Final = 4
"""From how many of the best coarse places the fine search begins, beside the whole on the whole."""
_ALIKE_ENOUGH: Final = 0.8
"""No other place is looked for if two wholes have this correlation."""
_MIN_COARSE: Final = 0.3
"""Below this correlation, the fine search ends after its first round: a better place has at most 0.13 more."""
_FINE_STEPS: Final = (3, 1, 1)
"""How many steps around the best place are searched, in each round of the fine search."""

_Floats = NDArray[np.float32]
_Ints = NDArray[np.int64]


class Placement(NamedTuple):
    """One detail laid over another at the best place."""

    likeness: float
    """The correlation: 1 if equal."""
    window: tuple[float, float, float, float]
    """The part of the larger one that the smaller one shows: left, top, right, bottom, as shares of its sides."""
    is_first_larger: bool


class _Parts(NamedTuple):
    """Matrices that turn the transform of a side into the transform of a part of it."""

    matrices: _Floats
    """n x frequencies x frequencies, for coefficients of equal amplitudes."""
    gram_matrices: _Floats
    """Each matrix, transposed, times itself: n x frequencies²."""
    lengths: _Floats
    """The share of the side, 0 to 1."""

    def select(self, numbers: _Ints) -> _Parts:
        """The parts with these numbers."""
        return _Parts(self.matrices[numbers], self.gram_matrices[numbers], self.lengths[numbers])


@cache
def _cuts() -> tuple[_Ints, _Ints]:
    """The steps that each part lacks at its start and at its end (n x 2), and the number of the part by them.

    Part 0 is the whole side.
    """
    cuts = [(first, last) for first in range(_MAX_CUT + 1) for last in range(_MAX_CUT + 1 - first)]
    numbers = np.full((_MAX_CUT + 1, _MAX_CUT + 1), -1)
    for number, cut in enumerate(cuts):
        numbers[cut] = number
    return np.array(cuts), numbers


@cache
def _all_parts() -> _Parts:
    """All parts, in the order of `_cuts`."""
    cuts, _ = _cuts()
    samples = 2 * _SIDE
    middles = (np.arange(samples) + 0.5) / samples
    lengths = 1 - cuts.sum(axis=1) / _STEPS
    # Where the samples of each part are on the whole side.
    positions = cuts[:, :1] / _STEPS + lengths[:, None] * middles
    frequencies = np.arange(_SIDE)
    scale = np.where(frequencies, np.sqrt(2), 1)
    # The side is sampled at these positions (inverse transform), and the samples are transformed as those of a side.
    inverse = np.cos(np.pi * positions[:, :, None] * frequencies) * scale
    forward = np.cos(np.pi * np.outer(middles, frequencies)) * scale / samples
    # Before that, the coefficients get the amplitudes of their frequencies; after it, they lose them again.
    fall = (1 + frequencies) ** -_FALL
    matrices = (forward.T @ inverse * (fall / fall[:, None])).astype(np.float32)
    return _parts_of(matrices, lengths.astype(np.float32))


@cache
def _coarse_parts() -> tuple[_Ints, _Parts]:
    """The numbers of the parts of the coarse search among all parts, and these parts with low frequencies only."""
    every, (cuts, _) = _all_parts(), _cuts()
    numbers = np.flatnonzero((cuts % _COARSE_STEP == 0).all(axis=1))
    low = np.ascontiguousarray(every.matrices[numbers][:, :_COARSE_SIDE, :_COARSE_SIDE])
    return numbers, _parts_of(low, every.lengths[numbers])


def _parts_of(matrices: _Floats, lengths: _Floats) -> _Parts:
    return _Parts(matrices, (matrices.transpose(0, 2, 1) @ matrices).reshape(len(matrices), -1), lengths)


def warm() -> None:
    """Make the tables, 10 MB, that would be made at the first comparison."""
    _coarse_parts()


@lru_cache(1_024)
def coefficients_of(detail: Signature) -> _Floats | None:
    """The expected coefficients of a detail, of equal amplitudes (32 x 32); None if it has no information.

    A bit that is not set says only that the coefficient is not clearly positive: it may be negative or nearly 0. The
    values are such that their mean is 0.
    """
    bits = np.unpackbits(np.frombuffer(detail.octets, np.uint8)).reshape(_SIDE, _SIDE)
    bits[0, 0] = 0
    share = int(bits.sum()) / (bits.size - 1)
    if not 0 < share < 1:
        return None
    values = np.where(bits, 1, -share / (1 - share)).astype(np.float32)
    values[0, 0] = 0
    return values


def resemblance(first: _Floats, second: _Floats) -> float:
    """The correlation of two details as they are, given as `coefficients_of`, at low frequencies."""
    first, second = first[:_COARSE_SIDE, :_COARSE_SIDE], second[:_COARSE_SIDE, :_COARSE_SIDE]
    squares = float(np.vdot(first, first)) * float(np.vdot(second, second))
    return float(np.vdot(first, second)) / math.sqrt(max(squares, 1e-9))


def likeness(first: _Floats, second: _Floats) -> float:
    """The correlation of two details, given as `coefficients_of`, at the best place: 1 if equal, two decimals.

    One shows a part of the other, of at least 39 % of the area and half of each side; either may be the smaller one.
    Those of different pictures are at 0.1 to 0.2, if they share nothing.
    """
    return round(_best_place(first, second)[0], 2)


def lay_over(first: _Floats, second: _Floats) -> Placement:
    """The best place of two details, given as `coefficients_of`, with the correlation as of `likeness`."""
    alike, down, across, larger = _best_place(first, second)
    cuts, _ = _cuts()
    (top, bottom), (left, right) = (cuts[number] / _STEPS for number in (down, across))
    return Placement(round(alike, 2), (float(left), float(top), float(1 - right), float(1 - bottom)), larger == 0)


def _best_place(first: _Floats, second: _Floats) -> tuple[float, int, int, int]:
    """The correlation at the best place, and the place: the numbers of its parts down and across, and whose parts.

    They are parts of the larger one: 0 is the first, 1 the second.
    """
    pairs = ((first, second), (second, first))
    alike, down, across = _search_around(first, second, 0, 0, 1)
    if alike >= _ALIKE_ENOUGH:
        return alike, down, across, 0
    numbers, coarse = _coarse_parts()
    low = [(np.ascontiguousarray(u[:_COARSE_SIDE, :_COARSE_SIDE]), v[:_COARSE_SIDE, :_COARSE_SIDE]) for u, v in pairs]
    coarse_places: list[tuple[float, int, int, int]] = []
    for larger, pair in enumerate(low):
        correlations = _correlations(*pair, coarse, coarse).ravel()
        for best in np.argsort(-correlations, kind="stable")[:_FINE_STARTS]:
            row, column = divmod(int(best), len(numbers))
            coarse_places.append((float(correlations[best]), larger, int(numbers[row]), int(numbers[column])))
    # The whole on the whole has the numbers 0 and 0.
    starts = {place[1:] for place in sorted(coarse_places)[-_FINE_STARTS:]} | {(0, 0, 0)}
    nearby = [
        (*_search_around(*pairs[larger], down, across, _FINE_STEPS[0]), larger)
        for larger, down, across in sorted(starts)
    ]
    alike, down, across, larger = max(nearby)
    for step in _FINE_STEPS[1:] if alike >= _MIN_COARSE else ():
        alike, down, across = _search_around(*pairs[larger], down, across, step)
    return alike, down, across, larger


def _search_around(larger: _Floats, smaller: _Floats, down: int, across: int, step: int) -> tuple[float, int, int]:
    """The correlation at the best of the places around a place, and the numbers of its parts down and across."""
    rows, columns = _neighbors(down, step), _neighbors(across, step)
    every = _all_parts()
    alike = _correlations(larger, smaller, every.select(rows), every.select(columns))
    best = int(alike.argmax())
    return float(alike.flat[best]), int(rows[best // len(columns)]), int(columns[best % len(columns)])


@lru_cache(4_096)
def _neighbors(number: int, step: int) -> _Ints:
    """The number of a part, and those of the parts that begin or end so many steps before or after it."""
    cuts, numbers = _cuts()
    first, last = cuts[number]
    near = [
        numbers[begin, end]
        for begin in (first - step, first, first + step)
        for end in (last - step, last, last + step)
        if min(begin, end) >= 0 and begin + end <= _MAX_CUT
    ]
    return np.array(near)


def _correlations(larger: _Floats, smaller: _Floats, rows: _Parts, columns: _Parts) -> _Floats:
    """The correlation of the smaller one with each place of the larger one; -1 where the place is too small.

    The result has a row for each part downwards, with matrix R, and a column for each part across, with matrix C. The
    sum of products and that of squares are separable, so both are products of small matrices.
    """
    side = len(larger)
    # R · larger for each R, and smaller · C for each C.
    down = (rows.matrices.reshape(-1, side) @ larger).reshape(-1, side, side)
    across = (smaller @ columns.matrices).reshape(len(columns.matrices), -1)
    # The sum of the products of (R · larger · Cᵀ) and smaller is that of (R · larger) and (smaller · C).
    products = down.reshape(len(down), -1) @ across.T
    # The sum of the squares of (R · larger · Cᵀ) is that of the products of (R · larger)ᵀ · (R · larger) and Cᵀ · C.
    squares = (down.transpose(0, 2, 1) @ down).reshape(len(down), -1) @ columns.gram_matrices.T
    # Without the mean, which the smaller one does not have.
    squares -= (down[:, 0] @ columns.matrices[:, 0].T) ** 2
    # A part has higher frequencies than those that are known of the whole. Of the smaller one, only the squares of the
    # known frequencies count, but at least the place's share of all.
    sums = (smaller**2).cumsum(axis=0).cumsum(axis=1)
    areas = np.outer(rows.lengths, columns.lengths)
    known = sums[_highest_known(rows.lengths, side)[:, None], _highest_known(columns.lengths, side)]
    smaller_squares = np.maximum(known, sums[-1, -1] * areas)
    alike = products / np.sqrt(np.maximum(squares * smaller_squares, 1e-9))
    correlations: _Floats = np.where(areas >= _MIN_AREA, np.minimum(alike, 1), np.float32(-1))
    return correlations


def _highest_known(lengths: _Floats, side: int) -> _Ints:
    """The highest frequency of parts of these lengths that is known from the whole."""
    return np.rint(lengths * side).astype(np.int64) - 1
