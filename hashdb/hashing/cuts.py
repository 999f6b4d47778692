"""Cuts of a query: its parts that a contribution has stored, if the query is what was left of the stored picture.

A crop is found by its own hash only near a stored part. Cut further, to a part that is stored, every crop is found. The
cut must be right to about 2 % of the part within 31 bits (decision 56), so there are many, and each search is cheap.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from PIL import Image

from hashdb.domain.signals import usable_signals
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats
from hashdb.hashing.transforms import Transform
from hashdb.hashing.variants import DEEPEST_CUT, MIDDLE, STRIPS, part_filter
from hashdb.hashing.windows import (
    SAMPLES,
    Window,
    coefficients,
    half_size,
    phash256_signal,
    proportioned,
    sampled_coefficients,
)

_OFF_A_SIDE = (0.175, 0.208, 0.241, 0.274, 0.303)
"""Fractions that one side may have lost: less and more than these, the whole query is near a stored part."""
_OFF_ALL_SIDES = (0.16, 0.173, 0.186, 0.2, 0.214, 0.23)
"""Fractions that each of the four sides may have lost."""
_TILTS: Final = (5.8, 7.2, 8.6, 10.0, 11.7, 13.4, 15.1, 16.8, 18.4, 20.0)
"""Degrees by which a picture may have been tilted before it was cropped to what has no empty corners."""
_SIDES = ("left", "top", "right", "bottom")


def cuts(picture: Picture) -> Iterator[Transform]:
    """The name and the phash256 signals of each kind of cut, without parts that are too plain to match reliably.

    Each side of the picture has 5 pixels or more.

    `cut-left` and its like: something is off that side. `cut-all`: off all sides. `shape`: off two opposite sides.
    `tile-left` and its like: the rest is covered. `turn-left`, `turn-right`: it was turned so, and cropped.
    """
    grey, is_usable = picture.reduced, part_filter(picture)
    for name, windows in cut_windows(*picture.colour.size).items():
        yield from _signals(name, [coefficients(grey, window) for window in windows if is_usable(window)])
    if is_usable(MIDDLE):
        half = half_size(grey)
        for name, sign in (("turn-left", -1), ("turn-right", 1)):
            yield from _signals(name, [turned_back(half, sign * degrees) for degrees in _TILTS])


def cut_windows(width: int, height: int) -> dict[str, list[Window]]:
    """The upright parts that are asked for of a picture of this size, by the name of the cut."""
    windows = {"cut-all": [_within(MIDDLE, Window(off, off, 1 - off, 1 - off)) for off in _OFF_ALL_SIDES]}
    for side, name in enumerate(_SIDES):
        windows[f"cut-{name}"] = [_within(_without(side, DEEPEST_CUT), _without(side, off)) for off in _OFF_A_SIDE]
    windows["shape"] = list(proportioned(width, height))
    for name, strip in zip(("left", "right", "top", "bottom"), STRIPS, strict=True):
        windows[f"tile-{name}"] = [strip]
    return windows


def _without(side: int, share: float) -> Window:
    """The picture without this fraction at one side, a position in `_SIDES`."""
    edges = [0.0, 0.0, 1.0, 1.0]
    edges[side] = share if side < 2 else 1 - share
    return Window(*edges)


def _within(part: Window, rest: Window) -> Window:
    """Where a part of a picture lies in the `rest` that was left of it, as fractions of the rest."""
    width, height = rest.right - rest.left, rest.bottom - rest.top
    return Window(
        (part.left - rest.left) / width,
        (part.top - rest.top) / height,
        (part.right - rest.left) / width,
        (part.bottom - rest.top) / height,
    )


def _signals(name: str, parts: list[Floats]) -> Iterator[Transform]:
    """The signals of parts, by their coefficients, as one transform; nothing if no signal is without a fault."""
    if signals := usable_signals(dict.fromkeys(map(phash256_signal, parts))):
        yield name, signals


def turned_back(picture: Image.Image, degrees: float) -> Floats:
    """The coefficients of the stored middle in a picture (8-bit greys) that was tilted clockwise and then cropped.

    The crop tells how large the picture was before: its corners lay on all four sides.
    """
    width, height = picture.size
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    # The size of the middle in pixels of the query, then of the step between two samples.
    share = MIDDLE.right - MIDDLE.left
    across, down = share * (width * cosine + height * abs(sine)), share * (width * abs(sine) + height * cosine)
    x, y = across / SAMPLES, down / SAMPLES
    # Where the upper left corner of the middle is. From there, the samples lie along its tilted sides.
    left = (width - cosine * across + sine * down) / 2
    top = (height - sine * across - cosine * down) / 2
    matrix = (cosine * x, -sine * y, left, sine * x, cosine * y, top)
    sampled = picture.transform((SAMPLES, SAMPLES), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return sampled_coefficients(np.asarray(sampled))
