"""phash in NumPy, bit for bit as imagehash computes it with SciPy, whose import takes longer than a command may.

The cosine transform is made of a Fourier transform by the steps of pocketfft, which SciPy and NumPy share. So the bits
are the same even where the coefficients of a plain picture are rounding noise.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_Numbers = NDArray[np.float64]

_STEP = 16
"""pocketfft computes the cosine of every 16th angle, and those between as cosines of sums, which rounds differently."""


def phash_bits(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether the coefficients of the lowest n/4 x n/4 frequencies exceed their median, for n x n pixels (32 or 64)."""
    coefficients = low_frequencies(low_frequencies(grey.T.astype(np.float64)).T)
    middle = coefficients.size // 2
    lower, upper = np.partition(coefficients, (middle - 1, middle), axis=None)[middle - 1 : middle + 1]
    bits: NDArray[np.bool_] = coefficients > (lower + upper) / 2
    return bits


def low_frequencies(rows: _Numbers) -> _Numbers:
    """The lowest quarter of the cosine transform (type 2, not scaled) of each row."""
    size = rows.shape[1]
    kept = size // 4
    odd, even = rows[:, 1:-1:2], rows[:, 2::2]
    spectrum = np.empty((len(rows), size // 2 + 1), np.complex128)
    spectrum[:, 0] = 2 * rows[:, 0]
    spectrum[:, -1] = 2 * rows[:, -1]
    np.add(even, odd, out=spectrum.real[:, 1:-1])
    np.subtract(even, odd, out=spectrum.imag[:, 1:-1])
    turned = np.fft.irfft(spectrum, size, norm="forward")
    cosines, sines = _turns(size)
    first, last = turned[:, 1:kept], turned[:, : size - kept : -1]
    turned[:, 1:kept] = 0.5 * ((cosines * last + sines * first) + (cosines * first - sines * last))
    return turned[:, :kept]


@cache
def _turns(size: int) -> tuple[_Numbers, _Numbers]:
    """The cosines and sines of a quarter turn times k / size, for k from 1 to size / 4 - 1."""
    angle = np.pi / (2 * size)
    fine = np.arange(size) % _STEP
    coarse = np.arange(size) - fine
    first = 2 * coarse < size
    cosines = np.where(first, np.cos(angle * coarse), np.sin(angle * (size - coarse)))
    sines = np.where(first, np.sin(angle * coarse), np.cos(angle * (size - coarse)))
    summed = np.cos(angle * fine) * cosines - np.sin(angle * fine) * sines
    kept = size // 4
    return summed[1:kept], summed[: size - kept : -1]
