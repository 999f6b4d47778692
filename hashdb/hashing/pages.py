"""The printed area of a page of a document, hashed beside the whole page, since screenshots cut margins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from hashdb.domain.signals import Signal, usable_signals
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats
from hashdb.hashing.variants import part_filter
from hashdb.hashing.windows import Window, coefficients, distinct, phash256_signal

_MIN_INK: Final = 24
"""Greys by which ink differs from the paper, at least."""
_INK_SHARES: Final = (0.0, 0.03, 0.08)
"""The share of ink above which a row or column of pixels belongs to the printed area, for each of three areas.

With the lower shares, the area includes the last short line of a paragraph and the page number; with the higher ones it
does not. The search for borders in a screenshot (`hashing/borders.py`) may find any of these areas.
"""
_MARGINS: Final = (0.02, 0.045)
"""What may be left of the margins, as a share of the page."""
_MIN_DIFFERENCE: Final = 0.004
"""By how much areas differ at least, as a fraction of a side."""
_MIN_SIDE: Final = 16
"""Pixels of a side below which nothing is looked for."""


def printed_signals(picture: Picture) -> Iterator[Signal]:
    """The phash256 signals of the printed area of a page: as it is, with a little margin, and inverted (dark mode)."""
    if min(picture.colour.size) < _MIN_SIDE:
        return
    grey, is_usable = picture.reduced, part_filter(picture)
    areas = printed_areas(grey)
    # Around the largest area is a margin, around the others may be text.
    wider = [_widen(area, margin) for area in areas[:1] for margin in _MARGINS]
    for window in (*areas, *wider):
        if is_usable(window):
            of_area = coefficients(grey, window)
            # `-of_area` are the coefficients of the inverted picture. Only areas without a margin are inverted.
            yield from usable_signals(map(phash256_signal, (of_area, -of_area) if window in areas else (of_area,)))


def printed_areas(grey: Floats) -> tuple[Window, ...]:
    """The areas that differ from the paper, at most three, the largest one first. The paper is what is at the edges."""
    height, width = grey.shape
    edges = np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1]))
    ink = np.abs(grey - np.median(edges)) > _MIN_INK
    areas: list[Window] = []
    for share in _INK_SHARES:
        rows = np.flatnonzero(ink.mean(axis=1) > share)
        if not len(rows):
            continue
        columns = np.flatnonzero(ink[rows[0] : rows[-1] + 1].mean(axis=0) > share)
        if not len(columns):
            continue
        left, right = (float(column / width) for column in (columns[0], columns[-1] + 1))
        top, bottom = (float(row / height) for row in (rows[0], rows[-1] + 1))
        areas.append(Window(left, top, right, bottom))
    return distinct(areas, _MIN_DIFFERENCE)


def _widen(area: Window, margin: float) -> Window:
    left, top, right, bottom = area
    return Window(max(0.0, left - margin), max(0.0, top - margin), min(1.0, right + margin), min(1.0, bottom + margin))
