"""Lay one detail over another: how alike two pictures are, although one may be a part of the other.

The signs of a cosine transform nearly determine a picture. With amplitudes that fall with the frequency, as those of
pictures do, the bits of a detail give the transform of any part of it: rows · detail · columnsᵀ, where the two matrices
depend on where the part begins and ends. So the part of one detail that is most like another is found without any
pixels, among parts of every position and proportion. All frequencies have the same weight in the comparison, so that
two cards of one template differ by their words.
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
"""Steps of a side in which a part begins and ends."""
_MOST_CUT: Final = _STEPS // 2
"""The most steps that a part lacks, in each direction."""
_LEAST_AREA: Final = 0.39
"""The smallest part, as a share of the area: a corner that two flags share is less."""
_FALL: Final = 0.65
"""How the amplitudes fall, in both directions: as 1 / (1 + frequency) to this power."""
_COARSE_STEP, _COARSE_SIDE = 6, 12
"""The steps between the parts of the first, coarse search, and the lowest frequencies that it compares (12 x 12)."""
_TRIED: Final = 4
"""Places that are looked at closely, beside the whole on the whole."""
_ENOUGH: Final = 0.8
"""No other place is looked for, if two wholes are so much alike."""
_HOPELESS: Final = 0.3
"""No closer place is looked for below this: closer ones are at most 0.13 better."""
_STEPS_CLOSER: Final = (3, 1, 1)
"""How many steps around the best place are searched, in each round after the coarse search."""

_Floats = NDArray[np.float32]
_Places = NDArray[np.int64]


class Placement(NamedTuple):
    """One detail laid over another at the best place."""

    likeness: float
    """The correlation: 1 if equal."""
    window: tuple[float, float, float, float]
    """The part of the larger one that the smaller one shows: left, top, right, bottom, as shares of its sides."""
    is_first_larger: bool


class _Parts(NamedTuple):
    """Matrices that make the transform of a part (a stretch of a side) of that of the whole."""

    matrices: _Floats
    """n x frequencies x frequencies, for coefficients of equal amplitudes."""
    products: _Floats
    """Each matrix, transposed, times itself: n x frequencies²."""
    lengths: _Floats
    """The share of the side, 0 to 1."""

    def select(self, places: _Places) -> _Parts:
        """The parts with these numbers."""
        return _Parts(self.matrices[places], self.products[places], self.lengths[places])


@cache
def _cuts() -> tuple[_Places, _Places]:
    """The steps that each part lacks at its start and at its end (n x 2), and the number of the part by them."""
    cuts = [(first, last) for first in range(_MOST_CUT + 1) for last in range(_MOST_CUT + 1 - first)]
    numbers = np.full((_MOST_CUT + 1, _MOST_CUT + 1), -1)
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
    places = cuts[:, :1] / _STEPS + lengths[:, None] * middles
    frequencies = np.arange(_SIDE)
    scale = np.where(frequencies, np.sqrt(2), 1)
    whole = np.cos(np.pi * np.outer(middles, frequencies)) * scale / samples
    fall = (1 + frequencies) ** -_FALL
    parts = np.cos(np.pi * places[:, :, None] * frequencies) * scale
    matrices = (whole.T @ parts * (fall / fall[:, None])).astype(np.float32)
    return _parts_of(matrices, lengths.astype(np.float32))


@cache
def _coarse_parts() -> tuple[_Places, _Parts]:
    """The numbers of the parts of the coarse search among all parts, and these parts with low frequencies only."""
    every, (cuts, _) = _all_parts(), _cuts()
    places = np.flatnonzero((cuts % _COARSE_STEP == 0).all(axis=1))
    low = np.ascontiguousarray(every.matrices[places][:, :_COARSE_SIDE, :_COARSE_SIDE])
    return places, _parts_of(low, every.lengths[places])


def _parts_of(matrices: _Floats, lengths: _Floats) -> _Parts:
    return _Parts(matrices, (matrices.transpose(0, 2, 1) @ matrices).reshape(len(matrices), -1), lengths)


def warm() -> None:
    """Make the tables, 10 MB, that would be made at the first comparison."""
    _coarse_parts()


@lru_cache(1_024)
def coefficients_of(detail: Signature) -> _Floats | None:
    """The expected coefficients of a detail, of equal amplitudes (32 x 32); None if it has no information.

    A bit that is not set may be a fall or nothing; the mean of all is 0.
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
    alike, row, column, side = _best_place(first, second)
    cuts, _ = _cuts()
    (top, bottom), (left, right) = (cuts[number] / _STEPS for number in (row, column))
    return Placement(round(alike, 2), (float(left), float(top), float(1 - right), float(1 - bottom)), side == 0)


def _best_place(first: _Floats, second: _Floats) -> tuple[float, int, int, int]:
    """The correlation at the best place, the numbers of the parts down and across, and which is larger (0: the first).

    The parts are of the larger one.
    """
    pairs = ((first, second), (second, first))
    alike, row, column = _closer(first, second, 0, 0, 1)
    if alike >= _ENOUGH:
        return alike, row, column, 0
    numbers, coarse = _coarse_parts()
    low = [(np.ascontiguousarray(u[:_COARSE_SIDE, :_COARSE_SIDE]), v[:_COARSE_SIDE, :_COARSE_SIDE]) for u, v in pairs]
    coarse_places: list[tuple[float, int, int, int]] = []
    for side, (larger, smaller) in enumerate(low):
        correlations = _correlations(larger, smaller, coarse, coarse).ravel()
        for place in np.argsort(-correlations, kind="stable")[:_TRIED]:
            row, column = divmod(int(place), len(numbers))
            coarse_places.append((float(correlations[place]), side, int(numbers[row]), int(numbers[column])))
    # The whole on the whole has the numbers 0 and 0.
    starts = {(side, row, column) for _, side, row, column in sorted(coarse_places)[-_TRIED:]} | {(0, 0, 0)}
    nearby = [(*_closer(*pairs[side], row, column, _STEPS_CLOSER[0]), side) for side, row, column in sorted(starts)]
    alike, row, column, side = max(nearby)
    for step in _STEPS_CLOSER[1:] if alike >= _HOPELESS else ():
        alike, row, column = _closer(*pairs[side], row, column, step)
    return alike, row, column, side


def _closer(larger: _Floats, smaller: _Floats, row: int, column: int, step: int) -> tuple[float, int, int]:
    """The correlation at the best of the places around a place, and the numbers of its parts down and across."""
    rows, columns = _around(row, step), _around(column, step)
    every = _all_parts()
    alike = _correlations(larger, smaller, every.select(rows), every.select(columns))
    best = int(alike.argmax())
    return float(alike.flat[best]), int(rows[best // len(columns)]), int(columns[best % len(columns)])


@lru_cache(4_096)
def _around(number: int, step: int) -> _Places:
    """The numbers of the parts that begin or end so many steps from a part, and its own."""
    cuts, numbers = _cuts()
    first, last = cuts[number]
    near = [
        numbers[begin, end]
        for begin in (first - step, first, first + step)
        for end in (last - step, last, last + step)
        if min(begin, end) >= 0 and begin + end <= _MOST_CUT
    ]
    return np.array(near)


def _correlations(larger: _Floats, smaller: _Floats, rows: _Parts, columns: _Parts) -> _Floats:
    """The correlation of the smaller one with each part of the larger one (rows x columns); -1 where it is too small.

    The sum of products and that of squares are separable, so both are products of small matrices.
    """
    side = len(larger)
    down = (rows.matrices.reshape(-1, side) @ larger).reshape(-1, side, side)
    across = (smaller @ columns.matrices).reshape(len(columns.matrices), -1)
    products = down.reshape(len(down), -1) @ across.T
    squares = (down.transpose(0, 2, 1) @ down).reshape(len(down), -1) @ columns.products.T
    # Without the mean, which the smaller one does not have.
    squares -= (down[:, 0] @ columns.matrices[:, 0].T) ** 2
    # A part has higher frequencies than those that are known of the whole.
    known = (smaller**2).cumsum(axis=0).cumsum(axis=1)
    areas = np.outer(rows.lengths, columns.lengths)
    known = np.maximum(known[_last(rows.lengths, side)[:, None], _last(columns.lengths, side)], known[-1, -1] * areas)
    alike = products / np.sqrt(np.maximum(squares * known, 1e-9))
    correlations: _Floats = np.where(areas >= _LEAST_AREA, np.minimum(alike, 1), np.float32(-1))
    return correlations


def _last(lengths: _Floats, side: int) -> _Places:
    """The highest frequency of parts of these lengths that is known from the whole."""
    return np.rint(lengths * side).astype(np.int64) - 1
