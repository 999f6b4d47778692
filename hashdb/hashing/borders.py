"""Find what frames a picture: borders, letterbox bars, captions, the rest of a screenshot.

A band starts at an edge whose line (row or column) is of one grey, and consists of lines of that grey. All lines of a
border are plain. Lines of a caption may hold text. So a caption ends at the plain line after which the most pixels
change their grey at once; after a line of text, fewer change.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.hashing.reductions import Floats
from hashdb.hashing.windows import WHOLE, Box, Window

LEAST: Final = 0.012
"""The least difference, as a fraction of a side, for a part to have its own hash: below, both hashes are alike."""
_MIN_THICKNESS, _MIN_REMAINDER, _ROUNDS = 0.006, 0.15, 4
"""The thinnest band and the least picture that is left, as fractions of a side, and the most bands inside bands."""
_TEXT_HEIGHT, _TEXT_SHARE = 0.3, 0.02
"""The longest stretch of text, as a fraction of the height, and the least fraction of paper in a line of text."""
_EDGE_LINES, _MIN_EDGE = 3, 0.6
"""The lines from a caption's last line into the picture, and the least fraction of pixels that change their grey."""


class _Finish(NamedTuple):
    """How even a line of a band is: the most greys by which a pixel is off, and the least fraction of such pixels."""

    off: float
    plain: float


_BORDER, _CAPTION = _Finish(10, 0.92), _Finish(12, 0.85)


def find_borders(grey: Floats) -> tuple[tuple[str, Window], ...]:
    """The parts of a reduced picture that may be inside a frame, at most four, each named `border` or `caption`.

    These are the picture without its outermost plain bands, then also without the bands inside those; without bands
    with text above and below, and without all bands with text. Most pictures have no frame, and so no such part. A
    picture may lose a plain sky, which costs only a query, since the whole picture is matched too.
    """
    height, width = grey.shape
    whole = Box(0, 0, width, height)
    outer = _trim(grey, whole, text=False, rounds=1)
    inner = _trim(grey, outer, text=False, rounds=_ROUNDS)
    above, below = _band_thicknesses(grey, text=True)
    captioned = whole._replace(top=above, bottom=height - below) if above + below < height else whole
    surrounded = _trim(grey, whole, text=True, rounds=_ROUNDS)
    parts: list[tuple[str, Window]] = []
    for name, box in (("border", outer), ("border", inner), ("caption", captioned), ("caption", surrounded)):
        window = box.window(width, height)
        if all(window.distance(earlier) > LEAST for earlier in (WHOLE, *(part for _, part in parts))):
            parts.append((name, window))
    return tuple(parts)


def _trim(grey: Floats, box: Box, *, text: bool, rounds: int) -> Box:
    """The box without the bands (with `text`: captions) at its edges, `rounds` times; stops if too little is left."""
    for _ in range(rounds):
        left, top, right, bottom = box
        above, below = _band_thicknesses(grey[top:bottom, left:right], text=text)
        if above + below > (1 - _MIN_REMAINDER) * (bottom - top):
            return box
        top, bottom = top + above, bottom - below
        before, after = _band_thicknesses(grey[top:bottom, left:right].T, text=text)
        if before + after > (1 - _MIN_REMAINDER) * (right - left):
            return box
        trimmed = Box(left + before, top, right - after, bottom)
        if trimmed == box:
            break
        box = trimmed
    return box


def _band_thicknesses(lines: Floats, *, text: bool) -> tuple[int, int]:
    return _band_thickness(lines, text=text), _band_thickness(lines[::-1], text=text)


def _band_thickness(lines: Floats, *, text: bool) -> int:
    """How many of the first lines form a band; with `text`, a caption."""
    finish = _CAPTION if text else _BORDER
    near = _band_pixels(lines, finish.off)
    if near is None:
        return 0
    share = near.mean(axis=1)
    end = _caption_end(near, share, finish.plain) if text else _first_true(share < finish.plain)
    if end < max(1, _MIN_THICKNESS * max(lines.shape)):
        return 0
    return _sharpest_step(lines, end)


def _band_pixels(lines: Floats, off: float) -> NDArray[np.bool_] | None:
    """Which pixels have the grey of the first line, or of the second: the first may be a remainder. None: not plain."""
    middle = lines.shape[1] // 2
    for first in range(min(2, len(lines))):
        grey = np.partition(lines[first], middle)[middle]
        if (np.abs(lines[first] - grey) <= _BORDER.off).mean() >= _BORDER.plain:
            near: NDArray[np.bool_] = np.abs(lines - grey) <= off
            near[: first + 1] = True
            return near
    return None


def _caption_end(near: NDArray[np.bool_], share: NDArray[np.float64], plain: float) -> int:
    """How many lines a caption has. `near` says which pixels have its grey, `share` which fraction of each line."""
    height = len(near)
    lines = np.flatnonzero(share[: _first_true(share < _TEXT_SHARE)] >= plain)
    lines = lines[: _first_true(np.diff(lines) > _TEXT_HEIGHT * height) + 1]
    lines = lines[lines < height - _EDGE_LINES]
    edge = (near[lines] & ~near[lines + _EDGE_LINES]).mean(axis=1)
    if not len(edge):
        return height
    strongest = float(edge.max())
    return int(lines[edge >= strongest - _TEXT_SHARE][-1] if strongest >= _MIN_EDGE else lines[-1]) + 1


def _first_true(flags: NDArray[np.bool_]) -> int:
    """The index of the first true flag; the length if there is none."""
    return int(flags.argmax()) if flags.any() else len(flags)


def _sharpest_step(lines: Floats, end: int) -> int:
    """The line of the sharpest step near the end of a band: JPEG and scaling blur the end."""
    first, last = max(end - 2, 0), min(end + 5, len(lines) - 1)
    if last <= first:
        return end
    steps = np.abs(np.diff(lines[first : last + 1], axis=0)).mean(axis=1)
    return first + int(steps.argmax()) + 1
