"""A grey picture reduced by Pillow's Lanczos filter, to the bit, by an optional C library in a fraction of the time.

It is compiled from lanczos.c when hashdb is installed where there is a C compiler. Where it is not there, or the
picture is small, Pillow does it. `HASHDB_KERNEL=0` in the environment switches it off, with the index's kernel.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache, lru_cache
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_VERSION = 2
"""What hashdb_version of a lanczos.c that fits must answer."""
_LEAST = 2
"""Times as large as what it is reduced to: below that there is nothing to gain."""
_LONGEST_KEPT = 4_096
"""Pixels of a side whose weights are kept for the next picture: 110 kB at most."""


def reduce_grey(grey: Image.Image, side: int) -> Image.Image:
    """The 8-bit grey picture at `side` x `side` pixels, 64 at most. Raises MemoryError."""
    library = _library()
    width, height = grey.size
    # Of a picture that is much taller than wide, some versions of Pillow reduce the height first, and round otherwise.
    if library is None or min(width, height) < _LEAST * side or 2 * width < height + 2 * side:
        return grey.resize((side, side), Image.Resampling.LANCZOS)
    return _reduced(library, grey, side)


def _reduced(library: ctypes.CDLL, grey: Image.Image, side: int) -> Image.Image:
    pixels, reduced = np.ascontiguousarray(np.asarray(grey)), np.empty((side, side), np.uint8)
    weights = [_weights(library, length, side) for length in grey.size]
    addresses = (made.ctypes.data for made in weights)
    if not library.hashdb_reduce(pixels.ctypes.data, *grey.size, side, *addresses, reduced.ctypes.data):
        raise MemoryError
    return Image.fromarray(reduced)


def _weights(library: ctypes.CDLL, length: int, side: int) -> NDArray[np.int32]:
    """The weights of `length` pixels for each of `side`: two sines for each, which take longer than the reduction."""
    return _kept(library, length, side) if length <= _LONGEST_KEPT else _weighed(library, length, side)


def _weighed(library: ctypes.CDLL, length: int, side: int) -> NDArray[np.int32]:
    made = np.empty((side, library.hashdb_row(length, side)), np.int32)
    if not library.hashdb_weights(length, side, made.ctypes.data):
        raise MemoryError
    return made


_kept = lru_cache(maxsize=128)(_weighed)


@cache
def _library() -> ctypes.CDLL | None:
    found = find_spec("hashdb.hashing._lanczos")
    if found is None or found.origin is None or os.environ.get("HASHDB_KERNEL") == "0":
        return None
    try:
        library = ctypes.CDLL(found.origin)
        if library.hashdb_version() != _VERSION:
            return None
    except (OSError, AttributeError):
        return None
    library.hashdb_row.argtypes = [ctypes.c_int64, ctypes.c_int32]
    library.hashdb_row.restype = ctypes.c_int64
    library.hashdb_weights.argtypes = [ctypes.c_int64, ctypes.c_int32, ctypes.c_void_p]
    library.hashdb_weights.restype = ctypes.c_int32
    pointers = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    library.hashdb_reduce.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int32, *pointers]
    library.hashdb_reduce.restype = ctypes.c_int32
    return library if all(_agrees(library, *size) for size in ((180, 240), (320, 200))) else None


def _agrees(library: ctypes.CDLL, width: int, height: int) -> bool:
    """Whether it does what this version of Pillow does, shown on one picture of a size."""
    values = np.arange(width * height, dtype=np.uint32).reshape(height, width)
    grey = Image.fromarray(((values * 2_654_435_761 >> 13) & 255).astype(np.uint8))
    return _reduced(library, grey, 64).tobytes() == grey.resize((64, 64), Image.Resampling.LANCZOS).tobytes()
