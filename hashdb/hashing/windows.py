"""phash256 of any part of a picture, from one reduced picture, by two small matrix products.

phash256 samples a picture at 64 x 64 places (Lanczos) and keeps the 16 x 16 lowest frequencies of their cosine
transform. Both steps are linear and separable, so the coefficients of a part are R · P · Cᵀ. P is the reduced picture.
R (rows) and C (columns) depend only on the part and the size, and are cached.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats

REDUCED: Final = 320
"""Longest side of a reduced picture, in pixels."""
_LONGEST_CROPPED_SIDE = 1024
_SAMPLES, _FREQUENCIES, _LOBES = 64, 16, 3
_COSINES = np.cos(
    np.pi / (2 * _SAMPLES) * np.arange(_FREQUENCIES)[:, None] * (2 * np.arange(_SAMPLES) + 1),
)


class Window(NamedTuple):
    """A part of a picture: its edges as fractions of the width and the height."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE: Final = Window(0, 0, 1, 1)


def reduce_picture(picture: Picture) -> Floats:
    """The luminance (h x w, 0 to 255) of the picture, its longer side reduced to at most 320 pixels by box filter."""
    grey = picture.grey
    scale = REDUCED / max(grey.size)
    if scale < 1:
        size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
        grey = grey.resize(size, Image.Resampling.BOX)
    return np.asarray(grey, np.float32)


def rotate(grey: Floats, degrees: float) -> tuple[Floats, Window]:
    """The picture rotated counter-clockwise about its centre, and the largest part without empty corners.

    The rotation is done at half size, which takes a third of the time and changes 3 of the 256 bits of phash256.
    """
    image = Image.fromarray(grey.astype(np.uint8))
    image = (image.reduce(2) if min(image.size) > 2 * _SAMPLES else image).rotate(degrees, Image.Resampling.BILINEAR)
    height, width = grey.shape
    inner_width, inner_height = _largest_upright(width, height, math.radians(abs(degrees)))
    left, top = (1 - inner_width / width) / 2, (1 - inner_height / height) / 2
    return np.asarray(image, np.float32), Window(left, top, 1 - left, 1 - top)


def crop(colour: Image.Image, window: Window) -> Image.Image:
    """A part of a picture, reduced to at most 1,024 pixels a side, which changes a few bits of PDQ."""
    width, height = colour.size
    left, right = round(window.left * width), round(window.right * width)
    cropped = colour.crop((left, round(window.top * height), right, round(window.bottom * height)))
    scale = _LONGEST_CROPPED_SIDE / max(cropped.size)
    if scale >= 1:
        return cropped
    return cropped.resize(
        (max(1, round(cropped.width * scale)), max(1, round(cropped.height * scale))), Image.Resampling.BOX
    )


def whole_coefficients(picture: Picture) -> Floats:
    """The 16 x 16 coefficients of phash256 of the full picture, as imagehash computes them."""
    sampled = picture.small_greys[0].astype(np.float64)
    transformed: Floats = (_COSINES @ sampled @ _COSINES.T).astype(np.float32)
    return transformed


def coefficients(grey: Floats, window: Window) -> Floats:
    """The 16 x 16 coefficients of a part of a reduced picture."""
    height, width = grey.shape
    down = _sampling_matrix(height, window.top, window.bottom) @ grey
    transformed: Floats = np.asarray(down @ _sampling_matrix(width, window.left, window.right).T, np.float32)
    return transformed


def phash256_signal(transformed: Floats) -> Signal:
    """The signal whose bits say which of the 16 x 16 coefficients are greater than their median."""
    lower, upper = np.partition(transformed, (127, 128), axis=None)[127:129]
    bits = np.packbits(transformed > (lower + upper) / 2)
    return Signal.from_bytes(Algorithm.PHASH256, bits.tobytes())


@lru_cache(maxsize=4096)
def _sampling_matrix(length: int, first: float, last: float) -> Floats:
    """The matrix (16 x length) that samples and transforms the part of a side from `first` to `last` (fractions)."""
    start, stop = first * length, last * length
    step = (stop - start) / _SAMPLES
    middles = start + (np.arange(_SAMPLES) + 0.5) * step
    pixels = np.arange(length) + 0.5
    distances = (pixels[None] - middles[:, None]) / max(step, 1)
    weights = np.where(np.abs(distances) < _LOBES, np.sinc(distances) * np.sinc(distances / _LOBES), 0)
    weights *= (pixels > start) & (pixels < stop)
    sums = weights.sum(axis=1, keepdims=True)
    weights /= np.where(np.abs(sums) < 1e-6, 1, sums)
    return np.ascontiguousarray((_COSINES @ weights).astype(np.float32))


def _largest_upright(width: float, height: float, angle: float) -> tuple[float, float]:
    """Width and height of the largest upright rectangle inside a rectangle rotated by a small angle in radians."""
    sine, cosine = math.sin(angle), math.cos(angle)
    if min(width, height) <= 2 * sine * cosine * max(width, height):
        return width, height
    scale = cosine**2 - sine**2
    return (width * cosine - height * sine) / scale, (height * cosine - width * sine) / scale
