"""Find insets: a video shown inside a part of another one, beside blurred bars or in a corner.

An inset's edges are upright, and they stay where they are while what is shown moves. So the differences between
neighbouring pixels, averaged over some seconds, are high along its edges. Beside a blurred bar, its inside is also
sharper than its outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import MINIMUM_QUALITY, usable_signals
from hashdb.hashing.borders import MIN_DIFFERENCE
from hashdb.hashing.pdq import Changes, sample_changes
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats
from hashdb.hashing.transforms import mirror
from hashdb.hashing.variants import part_quality
from hashdb.hashing.windows import Box, Window, coefficients, distinct, phash256_signal

if TYPE_CHECKING:
    from hashdb.hashing.videos import HashedFrame

STRETCH_SECONDS: Final = 2.0
"""Seconds of frames that are looked at together."""
_MIN_FRAMES = 4
"""The least number of frames of a stretch."""
MAX_INSETS: Final = 2
"""The most insets that are returned for one stretch."""
_MIN_SIDE: Final = 0.18
"""The shortest side of an inset, as a share of the frame's."""
_MAX_SIDE: Final = 0.94
"""The longest one of the side that is the smaller share of the frame's: a larger part has nearly the frame's hash."""
_MAX_EDGES: Final = 10
"""How many edges in each direction, the clearest, are looked at."""
_MAX_DIFFERENCE = 40.0
"""Greys: a larger difference between two pixels counts as this one."""
_MIN_RIDGE, _MAX_RIDGE = -4.0, 8.0
"""Greys: a lower or higher ridge counts as these, so that a few pixels cannot make an edge."""
_USUAL_RIDGE = 2.0
"""Greys of a ridge that are usual without an edge."""
_STRIP = 6
"""How many pixels on both sides of an edge are compared in their sharpness."""
_MIN_CLARITY: Final = 0.35
"""What the least clear edge has at least; 1 is a ridge of 3 greys, or an inside 2.7 times as sharp as the outside."""
_MAX_CLARITY: Final = 2.0
"""A clearer edge counts as this one."""
_MIN_APART = 3
"""Pixels by which an edge of another inset must be elsewhere."""
_MIN_FRAME_SIDE = 64
"""Pixels of a frame's shorter side, below which nothing is looked for."""

_Ints = NDArray[np.int64]
_Sums = NDArray[np.float64]


class _ReducedFrame(NamedTuple):
    """What is kept of a frame: the reduced frame, and the changes between its samples, which tell a part's quality."""

    grey: Floats
    changes: Changes


class _Stretch(NamedTuple):
    """Frames of some seconds, and the insets that were found in them."""

    frames: Sequence[tuple[HashedFrame, _ReducedFrame]]
    insets: Sequence[Window]


def with_insets(frames: Iterable[tuple[HashedFrame, Picture]]) -> Iterator[HashedFrame]:
    """The frames, with the transforms `inset` and `inset-mirror` where an inset is found, by phash256.

    An inset is looked for in a stretch of two seconds, and tried in the stretches before and after it too: it may begin
    or end within them.
    """
    before: Sequence[Window] = ()
    for stretch, following in pairwise(chain(_stretches(frames), (_Stretch((), ()),))):
        tried = distinct((*stretch.insets, *before, *following.insets), MIN_DIFFERENCE)
        yield from (_with_transforms(frame, reduced, tried) for frame, reduced in stretch.frames)
        before = stretch.insets


def _stretches(frames: Iterable[tuple[HashedFrame, Picture]]) -> Iterator[_Stretch]:
    stretch: list[tuple[HashedFrame, _ReducedFrame]] = []
    for frame, picture in frames:
        reduced = _ReducedFrame(picture.reduced, sample_changes(picture.sampled))
        is_long = len(stretch) >= _MIN_FRAMES and frame.at - stretch[0][0].at >= STRETCH_SECONDS
        if stretch and (is_long or reduced.grey.shape != stretch[0][1].grey.shape):
            yield _Stretch(stretch, find_insets([reduced.grey for _, reduced in stretch]))
            stretch = []
        stretch.append((frame, reduced))
    if stretch:
        yield _Stretch(stretch, find_insets([reduced.grey for _, reduced in stretch]))


def _with_transforms(frame: HashedFrame, reduced: _ReducedFrame, insets: Sequence[Window]) -> HashedFrame:
    if not insets or not frame.hashed.signals:
        return frame
    fit = (inset for inset in insets if part_quality(reduced.changes, inset) >= MINIMUM_QUALITY)
    originals = [coefficients(reduced.grey, inset) for inset in fit]
    mirrored = [mirror(original) for original in originals]
    transforms = dict(frame.hashed.transforms)
    for name, parts in (("inset", originals), ("inset-mirror", mirrored)):
        if signals := usable_signals(map(phash256_signal, parts)):
            transforms[name] = signals
    return frame._replace(hashed=replace(frame.hashed, transforms=transforms))


def find_insets(greys: Sequence[Floats]) -> tuple[Window, ...]:
    """The likely insets of a stretch of frames, the clearest first, at most two.

    `greys` are reduced frames of one size: a few seconds, during which an inset would stay where it is.
    """
    height, width = greys[0].shape
    if len(greys) < 2 or min(height, width) < _MIN_FRAME_SIDE:
        return ()
    down, across = _ridges(greys), _ridges([grey.T for grey in greys])
    boxes = _boxes(_edges(down), _edges(across), height, width)
    clarity = _clarity(boxes, _running_sums(down), _running_sums(across), _sharpness(greys))
    is_clear = np.nanmin(clarity, axis=0) > _MIN_CLARITY
    boxes, clarity = boxes[:, is_clear], clarity[:, is_clear]
    # NaN is an edge of the frame. An inset with four edges of its own is likelier than one with two as clear ones.
    score = np.nansum(np.minimum(clarity, _MAX_CLARITY), axis=0) / np.sqrt(np.isfinite(clarity).sum(axis=0))
    chosen: list[_Ints] = []
    for box in boxes[:, np.argsort(-score, kind="stable")].T:
        if all(np.abs(box - other).max() > _MIN_APART for other in chosen):
            chosen.append(box)
            if len(chosen) == MAX_INSETS:
                break
    return tuple(Box(left, top, right, bottom).window(width, height) for top, bottom, left, right in chosen)


def _ridges(greys: Sequence[Floats]) -> Floats:
    """How much more two neighbouring lines differ than those two and three lines away, at each pixel, in all frames.

    An inset's edge is one pixel wide, so it is a ridge of the differences.
    """
    differences = np.mean([np.minimum(np.abs(np.diff(grey, axis=0)), _MAX_DIFFERENCE) for grey in greys], axis=0)
    padded = np.pad(differences, ((3, 3), (0, 0)), mode="edge")
    beside = np.maximum(np.maximum(padded[:-6], padded[1:-5]), np.maximum(padded[5:-1], padded[6:]))
    ridges: Floats = np.clip(differences - beside, _MIN_RIDGE, _MAX_RIDGE)
    return ridges


def _edges(ridges: Floats) -> _Ints:
    """The lines that may be edges of an inset (number of the first line after the edge), and the frame's own two edges.

    Insets are often in the middle, so where there may be an edge, there may be one opposite.
    """
    # Of each line, the stretch in which the ridge exceeds the usual one by most in total: where it ends and begins.
    sums = np.pad((ridges - _USUAL_RIDGE).cumsum(axis=1), ((0, 0), (1, 0)))
    stretches = sums - np.minimum.accumulate(sums, axis=1)
    ends = stretches.argmax(axis=1)
    lines = np.arange(len(ridges))
    best = stretches[lines, ends]
    starts = np.array([sums[line, : end + 1].argmin() for line, end in zip(lines, ends, strict=True)])
    is_long = (ends - starts >= _MIN_SIDE * ridges.shape[1]) & (best > 0)
    candidates = lines[is_long][np.argsort(-best[is_long], kind="stable")][:_MAX_EDGES] + 1
    length = len(ridges) + 1
    return np.unique(np.concatenate(([0, length], candidates, length - candidates)))


def _boxes(rows: _Ints, columns: _Ints, height: int, width: int) -> _Ints:
    """Top, bottom, left and right of all boxes between such lines that are neither too small nor nearly the frame."""
    top, bottom, left, right = (edges.ravel() for edges in np.meshgrid(rows, rows, columns, columns, indexing="ij"))
    is_large = (bottom - top >= _MIN_SIDE * height) & (right - left >= _MIN_SIDE * width)
    is_part = (bottom - top <= _MAX_SIDE * height) | (right - left <= _MAX_SIDE * width)
    return np.stack((top, bottom, left, right))[:, is_large & is_part]


def _clarity(boxes: _Ints, down: _Sums, across: _Sums, sharpness: _Sums) -> _Sums:
    """How clear each edge (top, bottom, left, right) of each box is; NaN where the edge is the frame's.

    An edge is clear by its ridge, or because the inside of the box is sharper there than the outside. `down`, `across`
    and `sharpness` are running sums.
    """
    top, bottom, left, right = boxes
    height, width = (length - 1 for length in sharpness.shape)

    def sharp(first: _Ints, last: _Ints, start: _Ints, stop: _Ints) -> _Sums:
        """The mean sharpness of a part, from the running sums."""
        total = sharpness[last, stop] - sharpness[first, stop] - sharpness[last, start] + sharpness[first, start]
        mean: _Sums = total / np.maximum((last - first) * (stop - start), 1) + 0.5
        return mean

    # How many times as sharp the strip inside each edge is as the one outside it.
    contrasts = (
        sharp(top, np.minimum(top + _STRIP, bottom), left, right)
        / sharp(np.maximum(top - _STRIP - 1, 0), np.maximum(top - 1, 0), left, right),
        sharp(np.maximum(bottom - _STRIP, top), bottom, left, right)
        / sharp(np.minimum(bottom + 1, height), np.minimum(bottom + _STRIP + 1, height), left, right),
        sharp(top, bottom, left, np.minimum(left + _STRIP, right))
        / sharp(top, bottom, np.maximum(left - _STRIP - 1, 0), np.maximum(left - 1, 0)),
        sharp(top, bottom, np.maximum(right - _STRIP, left), right)
        / sharp(top, bottom, np.minimum(right + 1, width), np.minimum(right + _STRIP + 1, width)),
    )
    # The mean ridge along each edge.
    ridges = (
        (down[top, right] - down[top, left]) / (right - left),
        (down[bottom, right] - down[bottom, left]) / (right - left),
        (across[left, bottom] - across[left, top]) / (bottom - top),
        (across[right, bottom] - across[right, top]) / (bottom - top),
    )
    is_frames = (top == 0, bottom == height, left == 0, right == width)
    return np.stack(
        [
            np.where(is_frame, np.nan, np.maximum(ridge / 3, np.log(contrast)))
            for is_frame, ridge, contrast in zip(is_frames, ridges, contrasts, strict=True)
        ]
    )


def _running_sums(ridges: Floats) -> _Sums:
    """The sums along each line up to each pixel; the frame's own edges have none."""
    return np.pad(ridges.cumsum(axis=1, dtype=np.float64), ((1, 1), (1, 0)))


def _sharpness(greys: Sequence[Floats]) -> _Sums:
    """The running sums, over rows and columns, of how much a pixel differs from the mean of those beside it."""
    total = np.zeros(greys[0].shape, np.float64)
    for grey in greys:
        middle = 2 * grey[1:-1, 1:-1]
        second = np.abs(grey[1:-1, 2:] + grey[1:-1, :-2] - middle) + np.abs(grey[2:, 1:-1] + grey[:-2, 1:-1] - middle)
        total[1:-1, 1:-1] += np.minimum(second, 30)
    sums: _Sums = np.pad((total / len(greys)).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    return sums
