"""PDQ in NumPy: blur and sample the picture by one banded matrix each way, then transform.

The algorithm is that of "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm" (Facebook, 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashdb.domain.signals import Algorithm, Signal

if TYPE_CHECKING:
    from hashdb.hashing.pictures import Picture

Floats: TypeAlias = NDArray[np.float32]

_SAMPLES = 64
SHORTEST_SIDE = 5
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_BANDS_A_STRIP = 8
_FREQUENCIES = np.arange(1, 17)[:, None] * (2 * np.arange(_SAMPLES) + 1)
_COSINES = np.cos(np.pi / (2 * _SAMPLES) * _FREQUENCIES).astype(np.float32)


def pdq(picture: Picture) -> tuple[Signal, int]:
    """The PDQ signal of a picture and its quality, 0 to 100 (100: full of detail; below 50: not fit for matching).

    If a side is shorter than 5 pixels, both are 0, as in the reference. If the picture has no detail in one direction
    (flat, plain stripes), the bits are rounding noise and differ between implementations.
    """
    if min(picture.colour.size) < SHORTEST_SIDE:
        return Signal(Algorithm.PDQ, 0), 0
    return pdq_signal(pdq_coefficients(picture.sampled)), quality(picture.sampled)


def pdq_signal(coefficients: Floats) -> Signal:
    """The signal whose bits say which of the 16 x 16 coefficients are greater than their lower median."""
    lower_median = np.partition(coefficients, 127, axis=None)[127]
    bits = np.packbits(coefficients > lower_median, bitorder="little")
    return Signal.from_bytes(Algorithm.PDQ, bits[::-1].tobytes())


def pdq_coefficients(sampled: Floats) -> Floats:
    """The coefficients of the frequencies 1 to 16 downwards (rows) and across (columns)."""
    transformed: Floats = _COSINES @ sampled @ _COSINES.T
    return transformed


def quality(sampled: Floats) -> int:
    """The sum of the changes between neighbouring samples, in percent of the sum at full quality, at most 100."""
    changes = (np.trunc(np.diff(sampled, axis=axis) * 100 / 255) for axis in (0, 1))
    return min(100, int(sum(np.abs(change).sum() for change in changes)) // 90)


def sample(colour: Image.Image) -> Floats:
    """The blurred luminance of an RGB picture at 64 x 64 places; each side must have 5 pixels or more.

    Luminance is a weighted sum and the blur is linear, so the colours are blurred vertically first. Then luminance is
    computed for 64 rows only, without the rounding of an 8-bit grey picture. BLAS is not used: its threads wait for
    each other when the machine is busy (12 megapixels beside two busy processes: 986 ms by BLAS, 49 ms this way).
    """
    width, height = colour.size
    colours = np.empty((_SAMPLES, width * 3), np.float32)
    for row, (weights, pixels) in enumerate(_weighted_rows(colour, bands(height))):
        np.einsum("y,yx->x", weights, pixels, out=colours[row])
    luminance = np.einsum("yxc,c->xy", colours.reshape(_SAMPLES, width, 3), _LUMINANCE)
    across = [np.einsum("x,xy->y", band.weights, luminance[band.first : band.last]) for band in bands(width)]
    return np.stack(across, axis=1)


def _weighted_rows(colour: Image.Image, bands: tuple[Band, ...]) -> Iterator[tuple[Floats, NDArray[np.uint8]]]:
    """The weights of each band, and its rows of pixels (n x 3w).

    The pixels are copied from Pillow in strips: as a whole, they exceed the processor's cache, which takes three times
    as long.
    """
    width = colour.width
    for start in range(0, _SAMPLES, _BANDS_A_STRIP):
        strip = bands[start : start + _BANDS_A_STRIP]
        top, bottom = strip[0].first, strip[-1].last
        pixels = np.asarray(colour.crop((0, top, width, bottom))).reshape(bottom - top, width * 3)
        for band in strip:
            yield band.weights, pixels[band.first - top : band.last - top]


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """One row of the blurring and sampling matrix, without its zeros: the weights of the lines `first` to `last`."""

    first: int
    last: int
    weights: Floats


@lru_cache(maxsize=64)
def bands(length: int) -> tuple[Band, ...]:
    """The 64 bands that blur and sample a side of `length` pixels."""
    return tuple(_band((2 * sample + 1) * length // (2 * _SAMPLES), length) for sample in range(_SAMPLES))


def _band(place: int, length: int) -> Band:
    """The weights of the pixels at `place`. PDQ blurs twice with a box: the mean over a box of means over boxes."""
    start, stop = _box(np.array([place]), length)
    starts, stops = _box(np.arange(start[0], stop[0]), length)
    share = 1 / ((stops - starts) * len(starts))
    first, last = int(starts[0]), int(stops[-1])
    steps = np.zeros(last - first + 1)
    np.add.at(steps, starts - first, share)
    np.subtract.at(steps, stops - first, share)
    return Band(first, last, np.cumsum(steps[:-1]).astype(np.float32))


def _box(places: NDArray[np.intp], length: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The start and stop of the box around each place: a 128th of the side, cut at the edges."""
    size = -(-length // (2 * _SAMPLES))
    return np.maximum(places - (size - 1) // 2, 0), np.minimum(places + size // 2 + 1, length)
