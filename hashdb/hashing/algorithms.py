"""The perceptual hashes of the imagehash library as signals.

imagehash's objects stay in this module: `ImageHash != None` is False, their `hash()` collides, and their distances are
NumPy integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import ExtraMissing
from hashdb.hashing.pictures import Picture

if TYPE_CHECKING:
    import imagehash

_Numbers = NDArray[np.float64]


@cache
def _by_imagehash() -> dict[Algorithm, Callable[[Image.Image], imagehash.ImageHash]]:
    """The hashes that imagehash computes; empty where it is not installed.

    Cached, because a sandboxed process cannot look for a package.
    """
    try:
        import imagehash
    except ImportError:
        return {}
    return {
        Algorithm.DHASH: imagehash.dhash,
        Algorithm.AHASH: imagehash.average_hash,
        Algorithm.WHASH: partial(imagehash.whash, mode="haar"),
    }


_OWN: Final = frozenset({Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH})
"""The algorithms that hashdb computes itself; the others need the extra `[hashes]`."""


def is_installed(algorithm: Algorithm) -> bool:
    """Whether the algorithm can be computed: whether it is one of hashdb's own, or imagehash is installed."""
    return algorithm in _OWN or algorithm in _by_imagehash()


def require_installed(algorithms: Iterable[Algorithm]) -> None:
    """Raise ExtraMissing if one of the algorithms cannot be computed here."""
    for algorithm in algorithms:
        if not is_installed(algorithm):
            raise ExtraMissing(str(algorithm), "hashes")


def imagehash_signal(picture: Picture, algorithm: Algorithm) -> Signal:
    """The signal by any algorithm but PDQ, bit for bit as imagehash computes it from the 8-bit grey.

    Raises ExtraMissing.
    """
    if algorithm is Algorithm.PHASH256:
        bits = phash_bits(picture.grey_64)
    elif algorithm is Algorithm.PHASH:
        bits = phash_bits(picture.grey_32)
    else:
        require_installed([algorithm])
        bits = _by_imagehash()[algorithm](picture.grey).hash
    return Signal.from_bytes(algorithm, np.packbits(bits).tobytes())


_STEP = 16
"""pocketfft computes the cosine of every 16th angle, and those between as cosines of sums, which rounds differently."""


def phash_bits(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether the coefficients of the lowest n/4 x n/4 frequencies exceed their median, for n x n pixels (32 or 64).

    Bit for bit as imagehash computes it with SciPy, whose import takes longer than a command may. The cosine transform
    is made of a Fourier transform by the steps of pocketfft, which SciPy and NumPy share. So the bits are the same even
    where the coefficients of a plain picture are rounding noise.
    """
    coefficients = low_frequencies(low_frequencies(grey.T.astype(np.float64)).T)
    middle = coefficients.size // 2
    lower, upper = np.partition(coefficients, (middle - 1, middle), axis=None)[middle - 1 : middle + 1]
    bits: NDArray[np.bool_] = coefficients > (lower + upper) / 2
    return bits


def low_frequencies(rows: _Numbers) -> _Numbers:
    """The lowest quarter of the cosine transform (type 2, not scaled) of each row."""
    size = rows.shape[1]
    lowest = size // 4
    # The steps of dcst23 in pocketfft. First, a spectrum whose inverse Fourier transform has the coefficients.
    odd, even = rows[:, 1:-1:2], rows[:, 2::2]
    spectrum = np.empty((len(rows), size // 2 + 1), np.complex128)
    spectrum[:, 0] = 2 * rows[:, 0]
    spectrum[:, -1] = 2 * rows[:, -1]
    np.add(even, odd, out=spectrum.real[:, 1:-1])
    np.subtract(even, odd, out=spectrum.imag[:, 1:-1])
    # Second, that transform, not scaled.
    turned = np.fft.irfft(spectrum, size, norm="forward")
    # Third, each pair of frequencies, k and size - k, is turned by k / size of a quarter turn. Only the lowest quarter
    # of the frequencies is returned, but it takes from the highest.
    cosines, sines = _turns(size)
    first, last = turned[:, 1:lowest], turned[:, : size - lowest : -1]
    turned[:, 1:lowest] = 0.5 * ((cosines * last + sines * first) + (cosines * first - sines * last))
    return turned[:, :lowest]


@cache
def _turns(size: int) -> tuple[_Numbers, _Numbers]:
    """The cosines and sines of a quarter turn times k / size, for k from 1 to size / 4 - 1."""
    angle = np.pi / (2 * size)
    fine = np.arange(size) % _STEP
    coarse = np.arange(size) - fine
    # Beyond half of a quarter turn, pocketfft computes the cosine as the sine of the rest, and the sine as its cosine.
    is_first_half = 2 * coarse < size
    coarse_cosines = np.where(is_first_half, np.cos(angle * coarse), np.sin(angle * (size - coarse)))
    coarse_sines = np.where(is_first_half, np.sin(angle * coarse), np.cos(angle * (size - coarse)))
    cosines = np.cos(angle * fine) * coarse_cosines - np.sin(angle * fine) * coarse_sines
    lowest = size // 4
    # The sine of k is the cosine of size - k.
    return cosines[1:lowest], cosines[: size - lowest : -1]
