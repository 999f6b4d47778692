"""Find the corners of a picture that lies whole on a plain background, tilted or askew, and lay it straight.

The outline of what differs from the background is taken for the sides of the picture. Four lines are fitted to it, and
the corners are where they cross.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from hashdb.hashing.reductions import Floats

_RING: Final = 2
"""Pixels at the edges of the frame, by which the background is known."""
_MIN_OFF, _MAX_OFF, _NOISE_FACTOR = 7, 24, 3
"""Greys by which a pixel of the picture differs from the background: 7 and three times its noise, at most 24."""
_MIN_BACKGROUND: Final = 0.6
"""The least share of the ring that is background."""
_MIN_AREA: Final = 0.12
"""The least area of the picture, as a share of the frame."""
_MAX_FROM_MIDDLE: Final = 0.6
"""How far a corner is from the middle of the frame at most, as a share of the frame's side: a little outside it."""
_STEP: Final = 2
"""Degrees between the tilts that are tried first."""
_NEAR: Final = 0.03
"""How far a point of the outline may be from a side to be fitted to it, as a share of the frame's shorter side.

The sides are fitted once more, to the points within a third of this.
"""
_MIN_ON_SIDE: Final = 0.35
"""The least share of a side's length that lies on a straight line."""
_LONGEST: Final = 320
"""Longest side of the straightened picture, in pixels."""

_MAJORITY = ImageFilter.MedianFilter(3)

_Points = NDArray[np.float64]
"""Points in pixels: n x 2, across and down."""


def straighten(grey: Floats) -> Floats | None:
    """What lies between four corners in a reduced picture, laid straight (h x w, 0 to 255); None if there are none.

    Its top is the side that was least turned.
    """
    corners = _find_corners(grey)
    if corners is None:
        return None
    sides = [float(np.hypot(*(end - start))) for start, end in pairwise((*corners, corners[0]))]
    width, height = max(sides[0], sides[2]), max(sides[1], sides[3])
    scale = min(1.0, _LONGEST / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    straight = Image.fromarray(grey.astype(np.uint8)).transform(
        size, Image.Transform.PERSPECTIVE, _perspective(size, corners), Image.Resampling.BICUBIC
    )
    return np.asarray(straight, np.float32)


def _find_corners(grey: Floats) -> _Points | None:
    """The upper left, upper right, lower right and lower left corner; None if no four are likely."""
    height, width = grey.shape
    shorter = min(height, width)
    for outline in _outlines(grey):
        for guess in _guesses(outline):
            rough = _fit_sides(outline, guess, _NEAR * shorter)
            corners = None if rough is None else _fit_sides(outline, rough, _NEAR * shorter / 3)
            if corners is None or _area(corners) < _MIN_AREA * height * width:
                continue
            if (np.abs(corners / (width, height) - 0.5) < _MAX_FROM_MIDDLE).all():
                return corners
    return None


def _outlines(grey: Floats) -> Iterator[_Points]:
    """The outline of what is not background: the first and the last such pixel of each row and column.

    First of all pixels that differ from the background. Then only of darker ones, since a screen has a dark edge, and a
    lamp shines on what is around it. None if the edges of the frame are not plain.
    """
    ring = np.concatenate([part.ravel() for part in (grey[:_RING], grey[-_RING:], grey[:, :_RING], grey[:, -_RING:])])
    background = np.median(ring)
    distances = np.abs(ring - background)
    off = min(_MAX_OFF, _MIN_OFF + _NOISE_FACTOR * float(np.median(distances)))
    if (distances < off).mean() < _MIN_BACKGROUND:
        return
    for mask in (np.abs(grey - background) >= off, grey <= background - off):
        # A pixel becomes as most of the nine around it: noise and dust disappear.
        cleaned = np.asarray(Image.fromarray(mask.astype(np.uint8)).filter(_MAJORITY)) > 0
        height, width = cleaned.shape
        rows, columns = np.flatnonzero(cleaned.any(axis=1)), np.flatnonzero(cleaned.any(axis=0))
        if len(rows) * len(columns) < _MIN_AREA * height * width:
            continue
        left, right = cleaned[rows].argmax(axis=1), width - cleaned[rows, ::-1].argmax(axis=1)
        top, bottom = cleaned[:, columns].argmax(axis=0), height - cleaned[::-1, columns].argmax(axis=0)
        sides = [np.stack((side, rows + 0.5), axis=1) for side in (left, right)]
        yield np.concatenate((*sides, *(np.stack((columns + 0.5, side), axis=1) for side in (top, bottom))))


def _guesses(outline: _Points) -> Iterator[_Points]:
    """First guesses of the four corners, in their order.

    First the corners of the smallest rectangle around the outline, turned by at most 44 degrees. Then the points of the
    outline that are nearest to these corners.
    """
    angles = np.radians(np.arange(-44, 46, _STEP))
    cosines, sines = np.cos(angles), np.sin(angles)
    across = outline[:, :1] * cosines + outline[:, 1:] * sines
    down = outline[:, 1:] * cosines - outline[:, :1] * sines
    widths, heights = np.ptp(across, axis=0), np.ptp(down, axis=0)
    best = int((widths * heights).argmin())
    x, y, cosine, sine = across[:, best], down[:, best], cosines[best], sines[best]
    box = np.array([(x.min(), y.min()), (x.max(), y.min()), (x.max(), y.max()), (x.min(), y.max())])
    yield np.stack((box[:, 0] * cosine - box[:, 1] * sine, box[:, 0] * sine + box[:, 1] * cosine), axis=1)
    # In units of the rectangle's sides: the smallest x + y is at its upper left, the smallest y - x at its upper right.
    x, y = x / max(widths[best], 1), y / max(heights[best], 1)
    yield outline[[int(distances.argmin()) for distances in (x + y, y - x, -x - y, x - y)]]


def _fit_sides(outline: _Points, corners: _Points, near: float) -> _Points | None:
    """The corners, where the lines cross that fit the outline best; None if the outline of a side is not straight.

    A line is fitted to the points of the outline that are within `near` pixels of the side between two given corners.
    """
    lines = []
    for corner, next_corner in pairwise((*corners, corners[0])):
        length = float(np.hypot(*(next_corner - corner)))
        if length < 1:
            return None
        along = (next_corner - corner) / length
        normal = np.array((-along[1], along[0]))
        # Of each point: how far along the side it is, and how far off it. Near the corners, the outline is round.
        places, off = (outline - corner) @ along, (outline - corner) @ normal
        chosen = (np.abs(off) < near) & (places > 0.05 * length) & (places < 0.95 * length)
        if len(np.unique(np.round(places[chosen]))) < max(3, _MIN_ON_SIDE * length):
            return None
        slope, start = np.polyfit(places[chosen], off[chosen], 1)
        lines.append((corner + start * normal, along + slope * normal))
    crossings = []
    for (before, along), (after, beside) in zip((lines[3], *lines[:3]), lines, strict=True):
        matrix = np.stack((along, -beside), axis=1)
        # The lines are nearly parallel.
        if abs(np.linalg.det(matrix)) < 0.1:
            return None
        crossings.append(before + np.linalg.solve(matrix, after - before)[0] * along)
    return np.array(crossings)


def _area(corners: _Points) -> float:
    """The area between the corners, by the shoelace formula."""
    across, down = corners.T
    return abs(float(across @ np.roll(down, -1) - down @ np.roll(across, -1))) / 2


def _perspective(size: tuple[int, int], corners: _Points) -> list[float]:
    """Pillow's eight coefficients of the perspective that maps a picture of this size to what is between the corners.

    With a to h, a pixel at x, y is taken from (a x + b y + c) / (g x + h y + 1), (d x + e y + f) / (g x + h y + 1).
    """
    width, height = size
    rows, targets = [], []
    for (x, y), (across, down) in zip(((0, 0), (width, 0), (width, height), (0, height)), corners, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -across * x, -across * y), (0, 0, 0, x, y, 1, -down * x, -down * y)]
        targets += [across, down]
    return list(map(float, np.linalg.solve(np.array(rows, np.float64), np.array(targets))))
