"""Find panels: upright rectangles in a picture that may be the picture that somebody looks for.

A panel is a part of a collage, a picture in a picture or on its own blur, or what an app or a window shows. Across its
sides the grey changes more than beside them, along their whole length. The clarity of a line says how much more: it is
the logarithm of the change, less that of the changes beside it. The lines with the longest clear stretches are
collected in both directions, and every rectangle between them is scored by how clear its sides are.
"""

from __future__ import annotations

from math import sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats, Octets
from hashdb.hashing.windows import Box

_MAX_PIXELS: Final = 480 * 360
"""The most pixels of the picture that is searched. A tall screen keeps more of its width than by a longest side."""
_LONGEST_SIDE: Final = 800
"""The longest side of that picture: the sums of changes along it have 16 bits."""
MAX_PANELS: Final = 16
"""The most panels that are returned."""
_MIN_PICTURE_SIDE: Final = 48
"""Pixels of the shorter side, below which nothing is looked for."""
_MIN_SIDE, _MIN_SIDE_PIXELS = 0.085, 24
"""The shortest side of a panel, as a share of the picture's, and in pixels."""
_MAX_AREA: Final = 0.92
"""The largest share of the picture's area: a larger panel has nearly the hash of the whole."""
_MAX_LINES: Final = 28
"""How many lines in each direction, the clearest, may be sides."""
_BESIDE: Final = range(2, 7)
"""How many lines away the changes are that a line's change is compared with: an edge may be two lines wide."""
_MIN_CLARITY: Final = 0.5
"""How clear a line is where it is a side, at least, on average."""
_MAX_CHANGE: Final = 40
"""Greys: a larger change between two pixels counts as this one."""
_NOISE: Final = 4
"""Greys that are added to both changes, since smaller ones are noise."""
_UNIT: Final = 64
"""Clarities are stored as whole numbers, which are this many times as large."""
_PICTURES_SIDE_SCORE: Final = 2.0
"""The score of a side that is the picture's own: as much as that of a clear edge."""
_MIN_SCORE: Final = 4.0
"""The least score of the four sides of a panel together."""
_BUSY_SCORE: Final = 3.0
"""What the score gains if all of the inside is busy, as a photograph is and an app's surface is not."""
_AREA_SCORE: Final = 0.6
"""What the score gains with the logarithm of the area: small rectangles are many."""
_MAX_COMPARED: Final = 400
"""How many rectangles, the likeliest, are compared with each other."""
_SAME_OVERLAP: Final = 0.97
"""Two rectangles that share more than this of the area of both together are the same."""
_INNER: Final = 6
"""Pixels inside a side within which a further edge is the side: that of a picture within a thin border."""
_MIN_INNER_CLARITY: Final = 0.9
"""The least mean clarity of such an edge."""

# The logarithm, times `_UNIT`, of a change in greys, and of the mean of the changes beside it by their sum.
_CHANGES = np.round(_UNIT * np.log(np.arange(_MAX_CHANGE + 1) + _NOISE)).astype(np.int16)
_MEANS = np.round(_UNIT * np.log(np.arange(len(_BESIDE) * _MAX_CHANGE + 1) / len(_BESIDE) + _NOISE)).astype(np.int16)

_Ints = NDArray[np.int64]
_Sums = NDArray[np.int32]


class _Lines(NamedTuple):
    """The lines of one direction that may be sides of a panel."""

    positions: _Ints
    """How many rows (or columns) are before each line. The first and the last one are the picture's sides."""
    first: _Ints
    last: _Ints
    """Both lines of each pair that is far enough apart, as indices of `positions`."""
    sums: _Sums
    """The clarity of every boundary between two rows (or columns), summed along it; one row for each boundary."""

    def clarity(self, crossing: _Lines) -> Floats:
        """The mean clarity of each line (row) between each pair of crossing lines (column). NaN: the picture's side."""
        # The line with n rows before it is the boundary n - 1. The picture's sides are none: their rows become NaN.
        at = self.sums[np.clip(self.positions - 1, 0, len(self.sums) - 1)[:, None], crossing.positions]
        lengths = _UNIT * (crossing.positions[crossing.last] - crossing.positions[crossing.first])
        table = ((at[:, crossing.last] - at[:, crossing.first]) / lengths).astype(np.float32)
        table[0] = table[-1] = np.nan
        return table

    def innermost(self, side: int, towards: int, first: int, last: int) -> int:
        """The innermost clear line near a side that goes from `first` to `last`; the side itself if there is none.

        `towards` (1 or -1) is the direction of the inside.
        """
        inside = (self.positions - side) * towards
        is_line = (self.positions > 0) & (self.positions <= len(self.sums))
        near = self.positions[(inside > 0) & (inside <= _INNER) & is_line]
        clarity = self.sums[near - 1, last] - self.sums[near - 1, first]
        clear = near[clarity > _MIN_INNER_CLARITY * _UNIT * (last - first)]
        return side if not len(clear) else int(clear[-1] if towards > 0 else clear[0])


def reduce_for_panels(picture: Picture) -> Octets:
    """The luminance (h x w) in which panels are found, of about 480 x 360 pixels at most."""
    width, height = picture.colour.size
    return np.asarray(
        picture.at_most(min(_LONGEST_SIDE, round(max(width, height) * sqrt(_MAX_PIXELS / (width * height)))))
    )


def find_panels(grey: Octets) -> list[Box]:
    """The panels of a picture reduced for them, the likeliest first, at most 16. Most photographs have none."""
    height, width = grey.shape
    if min(height, width) < _MIN_PICTURE_SIDE:
        return []
    rows, columns = _lines(grey), _lines(np.ascontiguousarray(grey.T))
    of_rows, of_columns = _score(rows.clarity(columns)), _score(columns.clarity(rows))
    # A row for each pair of rows, a column for each pair of columns: upper, lower, left and right side of a rectangle.
    scores = of_rows[rows.first] + of_rows[rows.last] + of_columns[columns.first].T + of_columns[columns.last].T
    row_pairs, column_pairs = np.nonzero(scores > _MIN_SCORE)
    lefts, rights = (columns.positions[ends[column_pairs]] for ends in (columns.first, columns.last))
    tops, bottoms = (rows.positions[ends[row_pairs]] for ends in (rows.first, rows.last))
    boxes = np.stack((lefts, tops, rights, bottoms))
    shares = _areas(boxes) / (height * width)
    ranks = scores[row_pairs, column_pairs] + _BUSY_SCORE * _busy_shares(grey, boxes) + _AREA_SCORE * np.log(shares)
    ranks[shares > _MAX_AREA] = -np.inf
    order = np.argsort(-ranks, kind="stable")
    boxes = boxes[:, order[ranks[order] > -np.inf]]
    # Rectangles at a side of the picture, as in a collage, and insets take turns, each kind in its own order. Otherwise
    # one kind could be crowded out: a facade has many windows, and a page many lines.
    is_at_side = (boxes[:2] == 0).any(axis=0) | (boxes[2] == width) | (boxes[3] == height)
    turns = np.where(is_at_side, is_at_side.cumsum(), (~is_at_side).cumsum())
    panels = _distinct(boxes[:, np.argsort(turns, kind="stable")[:_MAX_COMPARED]])
    inner = (
        Box(
            columns.innermost(left, 1, top, bottom),
            rows.innermost(top, 1, left, right),
            columns.innermost(right, -1, top, bottom),
            rows.innermost(bottom, -1, left, right),
        )
        for left, top, right, bottom in panels
    )
    return list(dict.fromkeys(inner))


def _lines(grey: Octets) -> _Lines:
    """The clearest lines between two rows of a picture, and its upper and lower side."""
    length = len(grey)
    sums = _clarity_sums(grey)
    # Of each boundary, the stretch in which the clarity exceeds the least one by most in total.
    above = sums - (_MIN_CLARITY * _UNIT * np.arange(sums.shape[1])).astype(np.int32)
    stretches = (above - np.minimum.accumulate(above, axis=1)).max(axis=1)
    beside = np.pad(stretches, 1)
    peaks = np.flatnonzero((stretches >= beside[:-2]) & (stretches >= beside[2:]))
    clearest = peaks[np.argsort(-stretches[peaks], kind="stable")[:_MAX_LINES]] + 1
    positions = np.unique(np.concatenate(([0, length], clearest)))
    first, last = np.triu_indices(len(positions), 1)
    is_far = positions[last] - positions[first] >= max(_MIN_SIDE * length, _MIN_SIDE_PIXELS)
    return _Lines(positions, first[is_far], last[is_far], sums)


def _clarity_sums(grey: Octets) -> _Sums:
    """The clarity at each place of each boundary between two rows, summed along the boundary from its left end.

    Of the changes before and after the boundary the calmer ones count, so that the edge of a thin gap, or between sharp
    and blurred, is clear.
    """
    changes = np.minimum(np.abs(np.diff(grey.astype(np.int16), axis=0)), _MAX_CHANGE)
    # The sums of as many changes in a row as `_BESIDE` has: those before a boundary, and those after it.
    padded = np.pad(changes, ((_BESIDE[-1], _BESIDE[-1]), (0, 0)), mode="edge")
    totals = np.zeros((len(padded) + 1, grey.shape[1]), np.int16)
    padded.cumsum(axis=0, dtype=np.int16, out=totals[1:])
    beside = totals[len(_BESIDE) :] - totals[: -len(_BESIDE)]
    calmer = np.minimum(beside[: len(changes)], beside[-len(changes) :])
    clear = np.clip(_CHANGES[changes] - _MEANS[calmer], -_UNIT, 2 * _UNIT)
    sums = np.zeros((len(changes), grey.shape[1] + 1), np.int32)
    clear.cumsum(axis=1, dtype=np.int32, out=sums[:, 1:])
    return sums


def _score(clarity: Floats) -> Floats:
    """How much likelier a line of this clarity is a side of a panel than another line: a logarithm, fitted to both."""
    scores: Floats = np.where(np.isnan(clarity), np.float32(_PICTURES_SIDE_SCORE), 3 - 11.5 * np.exp(-2.2 * clarity))
    return scores


def _busy_shares(grey: Octets, boxes: _Ints) -> NDArray[np.float64]:
    """The share of the pixels in each box that differ from the one below or to the right.

    Only every second row and column is looked at.
    """
    height, width = (side // 2 for side in grey.shape)
    even = grey[: 2 * height : 2, : 2 * width : 2].astype(np.int16)
    below, beside = grey[1 : 2 * height : 2, : 2 * width : 2], grey[: 2 * height : 2, 1 : 2 * width : 2]
    # Sums of the rectangles from the upper left corner of the picture: four of them give the sum of any box.
    sums = np.zeros((height + 1, width + 1), np.int32)
    busy = (np.abs(even - below) > 1) | (np.abs(even - beside) > 1)
    busy.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, out=sums[1:, 1:])
    left, top, right, bottom = boxes // 2
    total = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    shares: NDArray[np.float64] = total / ((right - left) * (bottom - top))
    return shares


def _areas(boxes: _Ints) -> _Ints:
    left, top, right, bottom = boxes
    areas: _Ints = np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
    return areas


def _distinct(boxes: _Ints) -> list[Box]:
    """The first boxes (4 x n: left, top, right, bottom), at most 16, that are not nearly the same as an earlier one."""
    chosen: list[Box] = []
    while boxes.shape[1] and len(chosen) < MAX_PANELS:
        best = boxes[:, :1]
        chosen.append(Box(*map(int, best[:, 0])))
        common = _areas(np.concatenate((np.maximum(boxes[:2], best[:2]), np.minimum(boxes[2:], best[2:]))))
        boxes = boxes[:, common < _SAME_OVERLAP * (_areas(boxes) + _areas(best) - common)]
    return chosen
