"""PDQ: the cosine transform of a picture's blurred samples.

The algorithm is that of "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm" (Facebook, 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats

_SAMPLES = 64
"""A side of `Picture.sampled`: the blurred brightness, 0 to 255, at 64 x 64 places."""
_ODD_MULTIPLES = np.arange(1, 17)[:, None] * (2 * np.arange(_SAMPLES) + 1)
_COSINES = np.cos(np.pi / (2 * _SAMPLES) * _ODD_MULTIPLES).astype(np.float32)
"""16 x 64: the cosine transform of a side, for the frequencies 1 to 16."""


def pdq(picture: Picture) -> tuple[Signal, int]:
    """The PDQ signal of a picture and its quality, 0 to 100 (100: full of detail; below 50: not fit for matching).

    If a side is shorter than 5 pixels, both are 0, as in the reference. If the picture has no detail in one direction
    (flat, plain stripes), the bits are rounding noise and differ between implementations.
    """
    if picture.is_tiny:
        return Signal(Algorithm.PDQ, 0), 0
    return pdq_signal(pdq_coefficients(picture.sampled)), quality(picture.sampled)


def has_detail(picture: Picture) -> bool:
    """Whether the picture is neither tiny nor flat, so that its parts and orientations have hashes."""
    return not picture.is_tiny and quality(picture.sampled) > 0


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
    return quality_from(sample_changes(sampled))


class Changes(NamedTuple):
    """By how many whole percent each sample differs from the one below, and from the one to its right."""

    down: Floats
    """63 x 64 for a whole picture."""
    across: Floats
    """64 x 63 for a whole picture."""


def sample_changes(sampled: Floats) -> Changes:
    """The changes between neighbouring samples."""
    return Changes(*(np.abs(np.trunc(np.diff(sampled, axis=axis) * 100 / 255)) for axis in (0, 1)))


def quality_from(changes: Changes) -> int:
    """The quality of samples with these changes: 1 for every 90 of their sum, as in the reference, at most 100."""
    return min(100, int(changes.down.sum() + changes.across.sum()) // 90)
