"""The eight mirrorings and quarter turns of a picture, from its cosine transform: signs change, rows become columns.

Mirrored, a cosine of an even frequency is what it was and one of an odd frequency changes its sign. So one transform
gives the hashes of all eight.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from hashdb.hashing.pdq import Floats

NAMES: Final = ("mirror", "flip", "rotate-180", "transpose", "rotate-90", "rotate-270", "transverse")
"""What is done to the picture: turns are counter-clockwise, and what is transposed is mirrored and turned."""


def orientations(coefficients: Floats, first: int) -> Iterator[tuple[str, Floats]]:
    """The name and the coefficients of each orientation but the picture's own; `first` is the lowest frequency."""
    signs = np.where((np.arange(len(coefficients)) + first) % 2, -1, 1).astype(np.float32)
    across, down = signs[None], signs[:, None]
    swapped = coefficients.T
    turned = (
        coefficients * across,
        coefficients * down,
        coefficients * across * down,
        swapped,
        swapped * down,
        swapped * across,
        swapped * across * down,
    )
    yield from zip(NAMES, turned, strict=True)
