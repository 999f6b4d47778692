"""phash256 of any part of a picture, from one reduced picture, by two small matrix products.

phash256 samples a picture at 64 x 64 places (Lanczos) and keeps the 16 x 16 lowest frequencies of their cosine
transform. Both steps are linear and separable, so the coefficients of a part are R · P · Cᵀ. P is the reduced picture.
R (rows) and C (columns) depend only on the part and the size, and are cached.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing.pictures import Picture, scaled
from hashdb.hashing.reductions import Floats, Octets

_LONGEST_CROPPED_SIDE = 1024  # pixels
SAMPLES: Final = 64
"""At so many places in each direction a picture is sampled."""
_FREQUENCIES = 16
_LOBES = 3
"""The lobes of the Lanczos filter on each side: how many samples away a pixel still counts."""


def _cosines(frequencies: int) -> NDArray[np.float64]:
    """The matrix (frequencies x samples) of the cosine transform (type 2, not scaled) of a row of samples."""
    cosines: NDArray[np.float64] = np.cos(
        np.pi / (2 * SAMPLES) * np.arange(frequencies)[:, None] * (2 * np.arange(SAMPLES) + 1)
    )
    return cosines


_COSINES = _cosines(_FREQUENCIES)


class Window(NamedTuple):
    """A part of a picture: its edges as fractions of the width and the height."""

    left: float
    top: float
    right: float
    bottom: float

    def distance(self, other: Window) -> float:
        """The greatest distance between an edge and the same edge of another part."""
        return max(abs(edge - others) for edge, others in zip(self, other, strict=True))


class Box(NamedTuple):
    """A part of a picture, in pixels."""

    left: int
    top: int
    right: int
    bottom: int

    def window(self, width: int, height: int) -> Window:
        """The part as fractions of a picture of this size."""
        return Window(self.left / width, self.top / height, self.right / width, self.bottom / height)


WHOLE: Final = Window(0, 0, 1, 1)
_PROPORTIONS = (9 / 16, 16 / 9)
"""Width through height."""
_MIN_CUT = 0.06
"""With less cut off than this fraction of a side, a part is nearly the whole."""


def proportioned(width: int, height: int) -> tuple[Window, ...]:
    """The largest centred parts of a picture of this size with the proportions 9:16 and 16:9; not one nearly as large.

    If as much is cut off the picture at the left as at the right, or above as below, such a part stays the same, unless
    it is cut too.
    """
    windows = []
    for proportion in _PROPORTIONS:
        across, down = min(1, height * proportion / width), min(1, width / proportion / height)
        if min(across, down) < 1 - _MIN_CUT:
            windows.append(Window((1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2))
    return tuple(windows)


def distinct(windows: Iterable[Window], min_distance: float) -> tuple[Window, ...]:
    """The parts without those that are at most `min_distance` from an earlier one."""
    chosen: list[Window] = []
    for window in windows:
        if all(window.distance(earlier) > min_distance for earlier in chosen):
            chosen.append(window)
    return tuple(chosen)


def rotate(grey: Floats, degrees: float) -> tuple[Floats, Window]:
    """The picture rotated counter-clockwise about its centre, and the largest part without empty corners.

    The rotation is done at half size, which takes a third of the time and changes 3 of the 256 bits of phash256.
    """
    image = half_size(grey).rotate(degrees, Image.Resampling.BILINEAR)
    height, width = grey.shape
    inner_width, inner_height = _largest_upright(width, height, math.radians(abs(degrees)))
    left, top = (1 - inner_width / width) / 2, (1 - inner_height / height) / 2
    return np.asarray(image, np.float32), Window(left, top, 1 - left, 1 - top)


def half_size(grey: Floats) -> Image.Image:
    """The picture in 8-bit greys at half its size; at its size, where half would be too small to sample."""
    image = Image.fromarray(grey.astype(np.uint8))
    return image.reduce(2) if min(image.size) > 2 * SAMPLES else image


def crop(colour: Image.Image, window: Window) -> Image.Image:
    """A part of a picture, reduced to at most 1,024 pixels a side, which changes a few bits of PDQ."""
    width, height = colour.size
    left, right = round(window.left * width), round(window.right * width)
    cropped = colour.crop((left, round(window.top * height), right, round(window.bottom * height)))
    scale = _LONGEST_CROPPED_SIDE / max(cropped.size)
    if scale >= 1:
        return cropped
    return cropped.resize(scaled(cropped.size, scale), Image.Resampling.BOX)


def whole_coefficients(picture: Picture) -> Floats:
    """The 16 x 16 coefficients of phash256 of the full picture, as imagehash computes them."""
    return sampled_coefficients(picture.grey_64)


def sampled_coefficients(sampled: Octets) -> Floats:
    """The 16 x 16 coefficients of phash256 of greys at 64 x 64 places."""
    greys = sampled.astype(np.float64)
    transformed: Floats = (_COSINES @ greys @ _COSINES.T).astype(np.float32)
    return transformed


def coefficients(grey: Floats, window: Window, frequencies: int = _FREQUENCIES) -> Floats:
    """The lowest coefficients of a part of a reduced picture: 16 x 16, or as many frequencies as asked, 64 at most."""
    height, width = grey.shape
    down = _sampling_matrix(height, window.top, window.bottom, frequencies) @ grey
    across = _sampling_matrix(width, window.left, window.right, frequencies)
    transformed: Floats = np.asarray(down @ across.T, np.float32)
    return transformed


def phash256_signal(coefficients: Floats) -> Signal:
    """The signal whose bits say which of the 16 x 16 coefficients are greater than their median."""
    lower, upper = np.partition(coefficients, (127, 128), axis=None)[127:129]
    bits = np.packbits(coefficients > (lower + upper) / 2)
    return Signal.from_bytes(Algorithm.PHASH256, bits.tobytes())


@lru_cache(maxsize=4096)
def _sampling_matrix(length: int, first: float, last: float, frequencies: int) -> Floats:
    """The matrix (frequencies x length) that samples and transforms a side from `first` to `last` (fractions)."""
    # In pixels: the part of the side, and the middle of each sample and of each pixel.
    start, stop = first * length, last * length
    step = (stop - start) / SAMPLES
    middles = start + (np.arange(SAMPLES) + 0.5) * step
    pixels = np.arange(length) + 0.5
    # From each sample to each pixel, in units of the filter: a sample is as wide as a step, but at least one pixel.
    distances = (pixels[None] - middles[:, None]) / max(step, 1)
    # Sines take most of the time, and few pixels count for a sample: only these are computed.
    near = (np.abs(distances) < _LOBES) & (pixels > start) & (pixels < stop)
    weights = np.zeros_like(distances)
    weights[near] = np.sinc(distances[near]) * np.sinc(distances[near] / _LOBES)
    sums = weights.sum(axis=1, keepdims=True)
    # The weights of a sample sum up to 1.
    weights /= np.where(np.abs(sums) < 1e-6, 1, sums)
    return np.ascontiguousarray((_cosines(frequencies) @ weights).astype(np.float32))


def _largest_upright(width: float, height: float, angle: float) -> tuple[float, float]:
    """Width and height of the largest upright rectangle inside a rectangle rotated by a small angle in radians."""
    sine, cosine = math.sin(angle), math.cos(angle)
    # So long and narrow a picture is left whole: the formula below does not hold for it.
    if min(width, height) <= 2 * sine * cosine * max(width, height):
        return width, height
    scale = cosine**2 - sine**2
    return (width * cosine - height * sine) / scale, (height * cosine - width * sine) / scale
