"""Find panels: upright rectangles in a picture that may be the picture that somebody looks for.

A panel is a part of a collage, a picture in a picture or on its own blur, or what an app or a window shows. Across its
sides the grey changes more than beside them, along their whole length. The lines with the longest runs of such changes
are collected in both directions, and every rectangle between them is scored by how likely its sides are edges.
"""

from __future__ import annotations

from math import sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats, Octets
from hashdb.hashing.windows import Box

_PIXELS: Final = 480 * 360
"""The most pixels of the picture that is searched. A tall screen keeps more of its width than by a longest side."""
_LONGEST: Final = 800
"""The longest side of that picture: the sums of changes along it have 16 bits."""
MOST: Final = 16
"""The most panels that are returned."""
_SHORTEST: Final = 48
"""Pixels of the shorter side, below which nothing is looked for."""
_LEAST: Final = 0.085
"""The shortest side of a panel, as a share of the picture's."""
_LEAST_PIXELS: Final = 24  # and at least so many pixels
_MOST: Final = 0.92
"""The largest area: more has nearly the hash of the whole."""
_LINES: Final = 28
"""The clearest lines in each direction that may be sides."""
_BESIDE: Final = range(2, 7)
"""How many lines away the changes are that a line's change is compared with: an edge may be two lines wide."""
_RUN: Final = 0.5
"""How clear a line is where it is a side, at least, on average."""
_GREYS: Final = 40
"""A change between two pixels counts no more."""
_SOFT: Final = 4
"""Greys that are added to both changes, since smaller ones are noise."""
_UNIT: Final = 64
"""What a clearness of 1 is, in whole numbers."""
_FRAMES_SIDE: Final = 2.0
"""The score of a side that is the picture's own: as much as that of a clear edge."""
_LEAST_SCORE: Final = 4.0  # of the four sides together
_BUSY: Final = 3.0
"""What the score gains if all of the inside is busy, as a photograph is and an app's surface is not."""
_LARGE: Final = 0.6
"""What the score gains with the logarithm of the area: small rectangles are many."""
_RANKED: Final = 400  # rectangles of which the overlap is examined
_OVERLAP: Final = 0.97
"""Rectangles that share more of their area are the same."""
_INNER: Final = 6
"""Pixels inside a side within which a further edge is the side: that of a picture within a thin border."""
_INNER_CLEARNESS: Final = 0.9  # its least mean clearness

# The logarithm, times `_UNIT`, of a change in greys, and of the mean of the changes beside it by their sum.
_CHANGES = np.round(_UNIT * np.log(np.arange(_GREYS + 1) + _SOFT)).astype(np.int16)
_MEANS = np.round(_UNIT * np.log(np.arange(len(_BESIDE) * _GREYS + 1) / len(_BESIDE) + _SOFT)).astype(np.int16)

_Ints = NDArray[np.int64]
_Sums = NDArray[np.int32]


class _Lines(NamedTuple):
    """The lines of one direction that may be sides of a panel."""

    places: _Ints
    """How many rows (or columns) are before each; the picture's own sides are among them."""
    first: _Ints
    last: _Ints
    """The pairs of lines that are far enough apart, as positions in `places`."""
    sums: _Sums
    """The clearness of every boundary between two rows (or columns), summed along it."""

    def clearness(self, crossing: _Lines) -> Floats:
        """The mean clearness of each line between each pair of `crossing` lines; not a number at the picture's side."""
        at = self.sums[np.clip(self.places - 1, 0, len(self.sums) - 1)[:, None], crossing.places]
        lengths = _UNIT * (crossing.places[crossing.last] - crossing.places[crossing.first])
        table = ((at[:, crossing.last] - at[:, crossing.first]) / lengths).astype(np.float32)
        table[0] = table[-1] = np.nan
        return table

    def innermost(self, side: int, towards: int, first: int, last: int) -> int:
        """The innermost clear line near a side; `towards` (1 or -1) is where the inside is."""
        inside = (self.places - side) * towards
        near = self.places[(inside > 0) & (inside <= _INNER) & (self.places > 0) & (self.places <= len(self.sums))]
        clear = near[self.sums[near - 1, last] - self.sums[near - 1, first] > _INNER_CLEARNESS * _UNIT * (last - first)]
        return side if not len(clear) else int(clear[-1] if towards > 0 else clear[0])


def reduce_for_panels(picture: Picture) -> Octets:
    """The luminance (h x w) in which panels are found, of about 480 x 360 pixels at most."""
    width, height = picture.colour.size
    return np.asarray(picture.at_most(min(_LONGEST, round(max(width, height) * sqrt(_PIXELS / (width * height))))))


def find_panels(grey: Octets) -> list[Box]:
    """The panels of a picture reduced for them, the likeliest first, at most 16. Most photographs have none."""
    height, width = grey.shape
    if min(height, width) < _SHORTEST:
        return []
    rows, columns = _lines(grey), _lines(np.ascontiguousarray(grey.T))
    down, across = _score(rows.clearness(columns)), _score(columns.clearness(rows))
    # A row for each pair of rows, a column for each pair of columns.
    scores = down[rows.first] + down[rows.last] + across[columns.first].T + across[columns.last].T
    of_rows, of_columns = np.nonzero(scores > _LEAST_SCORE)
    lefts, rights = (columns.places[ends[of_columns]] for ends in (columns.first, columns.last))
    tops, bottoms = (rows.places[ends[of_rows]] for ends in (rows.first, rows.last))
    boxes = np.stack((lefts, tops, rights, bottoms))
    shares = _areas(boxes) / (height * width)
    ranks = scores[of_rows, of_columns] + _BUSY * _busy_shares(grey, boxes) + _LARGE * np.log(shares)
    ranks[shares > _MOST] = -np.inf
    order = np.argsort(-ranks, kind="stable")
    boxes = boxes[:, order[ranks[order] > -np.inf]]
    # Parts of a collage and insets take turns: a facade has many windows, and a page many lines.
    is_at_side = (boxes[:2] == 0).any(axis=0) | (boxes[2] == width) | (boxes[3] == height)
    turns = np.where(is_at_side, is_at_side.cumsum(), (~is_at_side).cumsum())
    panels = _distinct(boxes[:, np.argsort(turns, kind="stable")[:_RANKED]])
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
    sums = _clearness(grey)
    above = sums - (_RUN * _UNIT * np.arange(sums.shape[1])).astype(np.int32)
    runs = (above - np.minimum.accumulate(above, axis=1)).max(axis=1)
    beside = np.pad(runs, 1)
    peaks = np.flatnonzero((runs >= beside[:-2]) & (runs >= beside[2:]))
    clearest = peaks[np.argsort(-runs[peaks], kind="stable")[:_LINES]] + 1
    places = np.unique(np.concatenate(([0, length], clearest)))
    first, last = np.triu_indices(len(places), 1)
    is_far = places[last] - places[first] >= max(_LEAST * length, _LEAST_PIXELS)
    return _Lines(places, first[is_far], last[is_far], sums)


def _clearness(grey: Octets) -> _Sums:
    """The logarithm of each change between two rows against the changes beside it, summed along the rows.

    Of the two sides the calmer one counts, so that the edge of a thin gap, or between sharp and blurred, is clear.
    """
    changes = np.minimum(np.abs(np.diff(grey.astype(np.int16), axis=0)), _GREYS)
    padded = np.pad(changes, ((_BESIDE[-1], _BESIDE[-1]), (0, 0)), mode="edge")
    totals = np.zeros((len(padded) + 1, grey.shape[1]), np.int16)
    padded.cumsum(axis=0, dtype=np.int16, out=totals[1:])
    beside = totals[len(_BESIDE) :] - totals[: -len(_BESIDE)]
    calmer = np.minimum(beside[: len(changes)], beside[-len(changes) :])
    clear = np.clip(_CHANGES[changes] - _MEANS[calmer], -_UNIT, 2 * _UNIT)
    sums = np.zeros((len(changes), grey.shape[1] + 1), np.int32)
    clear.cumsum(axis=1, dtype=np.int32, out=sums[:, 1:])
    return sums


def _score(clearness: Floats) -> Floats:
    """How much likelier a side of a panel is as clear as that than another line is: a logarithm, fitted to both."""
    scores: Floats = np.where(np.isnan(clearness), np.float32(_FRAMES_SIDE), 3 - 11.5 * np.exp(-2.2 * clearness))
    return scores


def _busy_shares(grey: Octets, boxes: _Ints) -> NDArray[np.float64]:
    """The share of the inside of each box in which neighbours differ, of every second pixel."""
    height, width = (side // 2 for side in grey.shape)
    even = grey[: 2 * height : 2, : 2 * width : 2].astype(np.int16)
    below, beside = grey[1 : 2 * height : 2, : 2 * width : 2], grey[: 2 * height : 2, 1 : 2 * width : 2]
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
    while boxes.shape[1] and len(chosen) < MOST:
        best = boxes[:, :1]
        chosen.append(Box(*map(int, best[:, 0])))
        common = _areas(np.concatenate((np.maximum(boxes[:2], best[:2]), np.minimum(boxes[2:], best[2:]))))
        boxes = boxes[:, common < _OVERLAP * (_areas(boxes) + _areas(best) - common)]
    return chosen
