"""Sparse hashes as the evaluation counts them: a pair of which either is sparse is so many bits further apart.

What that comes to at the default radius is what a match is; hashdb.domain.sparseness says what a sparse hash is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.domain.sparseness import FURTHER, SPARSE
from hashdb.index.words import Words


def singular(values: Words) -> NDArray[np.float64]:
    """For each value of phash256 the largest singular value of its signs, against that of a product: 0.25 to 1."""
    octets = np.ascontiguousarray(values.astype(">u8")).view(np.uint8).reshape(len(values), -1)
    signs = np.unpackbits(octets, axis=1).reshape(-1, 16, 16) * 2.0 - 1
    found: NDArray[np.float64] = np.linalg.svd(signs, compute_uv=False)[:, 0] / 16
    return found


def further(algorithm: Algorithm, values: Words) -> NDArray[np.uint16]:
    """For each value FURTHER where it is sparse, else 0."""
    if algorithm is not Algorithm.PHASH256 or not len(values):
        return np.zeros(len(values), np.uint16)
    return np.where(singular(values) >= SPARSE, FURTHER, 0).astype(np.uint16)
