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

MIN_DIFFERENCE: Final = 0.012
"""How much a part must differ from the whole and from other parts, as a fraction of a side.

Parts that differ less have nearly the same hash.
"""
_MIN_THICKNESS, _MIN_REMAINDER = 0.006, 0.15
"""The thinnest band, and the least picture that is left without bands, as fractions of a side."""
_ROUNDS = 4
"""The most bands inside bands."""
_MAX_TEXT_HEIGHT = 0.3
"""The highest block of text, as a fraction of the height of the picture."""
_MIN_TEXT_BACKGROUND = 0.02
"""The least fraction of pixels of the caption's grey in a line of text."""
_EDGE_LINES = 3
"""How many lines further inside the pixels are compared with those of a caption's last line."""
_MIN_EDGE = 0.6
"""The least fraction of pixels that change their grey from there to there, where a caption clearly ends."""
_EDGE_TOLERANCE = 0.02
"""A line is as clear an end of a caption as the clearest one if the fraction is lower by at most this."""


class _Evenness(NamedTuple):
    """A line is plain if at least `min_share` of its pixels are within `max_off` grey levels of the band's grey."""

    max_off: float
    min_share: float


_BORDER, _CAPTION = _Evenness(10, 0.92), _Evenness(12, 0.85)


def find_borders(grey: Floats) -> tuple[tuple[str, Window], ...]:
    """The parts of a reduced picture that may be inside a frame, at most four, each named `border` or `caption`.

    The four are the picture without its outermost plain bands; also without the bands inside those; without the
    captions above and below; and without plain bands and captions at all sides. Most pictures have no frame, and so no
    such part. A picture may lose a plain sky, which costs only a query, since the whole picture is matched too.
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
        if all(window.distance(earlier) > MIN_DIFFERENCE for earlier in (WHOLE, *(part for _, part in parts))):
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
    """How many of the first lines form a band, and how many of the last ones."""
    return _band_thickness(lines, text=text), _band_thickness(lines[::-1], text=text)


def _band_thickness(lines: Floats, *, text: bool) -> int:
    """How many of the first lines form a band; with `text`, a caption."""
    evenness = _CAPTION if text else _BORDER
    is_background = _band_pixels(lines, evenness.max_off)
    if is_background is None:
        return 0
    shares = is_background.mean(axis=1)
    is_plain = shares >= evenness.min_share
    end = _caption_end(is_background, shares, is_plain) if text else _first_true(~is_plain)
    if end < max(1, _MIN_THICKNESS * max(lines.shape)):
        return 0
    return _sharpest_step(lines, end)


def _band_pixels(lines: Floats, max_off: float) -> NDArray[np.bool_] | None:
    """Which pixels have the grey of the band, which is that of the first line; None if that line is not plain.

    Then the second line counts instead, if it is plain: the first may still show some of what was outside.
    """
    middle = lines.shape[1] // 2
    for first in range(min(2, len(lines))):
        grey = np.partition(lines[first], middle)[middle]
        # A caption begins with a line without text, which is as even as a border.
        if (np.abs(lines[first] - grey) <= _BORDER.max_off).mean() >= _BORDER.min_share:
            is_background: NDArray[np.bool_] = np.abs(lines - grey) <= max_off
            is_background[: first + 1] = True
            return is_background
    return None


def _caption_end(is_background: NDArray[np.bool_], shares: NDArray[np.float64], is_plain: NDArray[np.bool_]) -> int:
    """How many of the first lines are a caption.

    `is_background` says which pixels have the caption's grey, `shares` what fraction of each line that is, and
    `is_plain` which lines are plain.
    """
    height = len(is_background)
    # Plain lines, up to the first line that has hardly any pixel of the caption's grey.
    plain = np.flatnonzero(is_plain[: _first_true(shares < _MIN_TEXT_BACKGROUND)])
    # Between plain lines is text. Where too many lines are not plain, the picture begins.
    plain = plain[: _first_true(np.diff(plain) > _MAX_TEXT_HEIGHT * height) + 1]
    plain = plain[plain < height - _EDGE_LINES]
    # How many pixels change their grey after each plain line.
    edges = (is_background[plain] & ~is_background[plain + _EDGE_LINES]).mean(axis=1)
    if not len(edges):
        return height
    clearest = float(edges.max())
    if clearest < _MIN_EDGE:
        return int(plain[-1]) + 1
    # The last line of the clearest ones: within the caption, text may begin as clearly.
    return int(plain[edges >= clearest - _EDGE_TOLERANCE][-1]) + 1


def _first_true(flags: NDArray[np.bool_]) -> int:
    """The index of the first true flag; the length if there is none."""
    return int(flags.argmax()) if flags.any() else len(flags)


def _sharpest_step(lines: Floats, end: int) -> int:
    """The line of the sharpest step near the end of a band: JPEG and scaling blur the end."""
    # Where the blur begins, lines are no longer plain. So the step is rather after the end that was found.
    first, last = max(end - 2, 0), min(end + 5, len(lines) - 1)
    if last <= first:
        return end
    steps = np.abs(np.diff(lines[first : last + 1], axis=0)).mean(axis=1)
    return first + int(steps.argmax()) + 1
