"""Reduce a picture to what its hashes start from, by the C library if it was compiled, else by NumPy and Pillow.

PDQ starts from the blurred luminance at 64 x 64 places. phash256 and phash start from the grey picture at 64 x 64 and
32 x 32 pixels, as Pillow's Lanczos filter makes it. The C library computes both to the bit: whole numbers for the grey
picture, and for the luminance the sums in the order of NumPy's on x86-64.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats: TypeAlias = NDArray[np.float32]
Octets: TypeAlias = NDArray[np.uint8]

_VERSION = 3
"""The hashdb_version() of a compatible reductions.c."""
_SAMPLES = 64
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""The weights of red, green and blue."""
_BANDS_A_STRIP, _STRIP_PIXELS = 8, 250_000
"""The size of the strips in which pixels are read: in bands by NumPy, in pixels by the C library."""
_MIN_RATIO = 2
"""How many times larger than its reduction a picture must be: below, the library gains nothing."""
_LONGEST_CACHED = 4_096
"""Longest side, in pixels, whose weights are cached: 110 kB at most."""


def sample(colour: Image.Image) -> Floats:
    """The blurred luminance of an RGB picture at 64 x 64 places; each side must have 5 pixels or more.

    Luminance is a weighted sum and the blur is linear, so the colours are blurred vertically first. Then luminance is
    computed for 64 rows only, without the rounding of an 8-bit grey picture. Raises MemoryError.
    """
    library = _library()
    return _sample_by_numpy(colour) if library is None else _sample(library, colour)


def reduce_greys(colour: Image.Image, *sides: int) -> tuple[Octets, ...]:
    """The 8-bit luminance of an RGB picture reduced to each of one or two sides, 64 at most. Raises MemoryError."""
    library = _library()
    width, height = colour.size
    largest = max(sides)
    # Some versions of Pillow reduce the height of a very tall picture first, and so round differently.
    if library is None or min(width, height) < _MIN_RATIO * largest or 2 * width < height + 2 * largest:
        return _reduce_by_pillow(colour, sides)
    return _reduce(library, colour, sides)


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """The blurring and sampling matrix of PDQ without its zeros: for each of 64 places the lines of its band."""

    edges: NDArray[np.int32]
    """64 x 2: the first line, and the line after the last."""
    weights: Floats
    """64 x n: the weights of these lines, then zeros."""

    @property
    def pointers(self) -> tuple[int, int, int]:
        """For the C library: the addresses of the edges and of the weights, and the weights a line has."""
        return _address(self.edges), _address(self.weights), self.weights.shape[1]


@lru_cache(maxsize=64)
def bands(length: int) -> Bands:
    """The 64 bands that blur and sample a side of `length` pixels."""
    # The sample in the middle of each 64th of the side.
    rows = [_band((2 * sample + 1) * length // (2 * _SAMPLES), length) for sample in range(_SAMPLES)]
    weights = np.zeros((_SAMPLES, max(len(row) for _, row in rows)), np.float32)
    for sample, (_, row) in enumerate(rows):
        weights[sample, : len(row)] = row
    return Bands(np.array([(first, first + len(row)) for first, row in rows], np.int32), weights)


def _band(line: int, length: int) -> tuple[int, NDArray[np.float64]]:
    """The first line and the weights of the band around a line.

    The blur is a box filter, applied twice. So each line in the box around `line` adds its share to the lines of its
    own box. The weights are the sum of these boxes, computed from where they begin and end.
    """
    start, stop = _box(np.array([line]), length)
    starts, stops = _box(np.arange(start[0], stop[0]), length)
    share = 1 / ((stops - starts) * len(starts))
    first, last = int(starts[0]), int(stops[-1])
    steps = np.zeros(last - first + 1)
    np.add.at(steps, starts - first, share)
    np.subtract.at(steps, stops - first, share)
    return first, np.cumsum(steps[:-1])


def _box(lines: NDArray[np.intp], length: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The start and stop of the box around each line: a 128th of the side, cut at the edges."""
    size = -(-length // (2 * _SAMPLES))
    return np.maximum(lines - (size - 1) // 2, 0), np.minimum(lines + size // 2 + 1, length)


def _sample(library: ctypes.CDLL, colour: Image.Image) -> Floats:
    """What `sample` returns, by the library: it blurs the colours vertically, strip by strip, then does the rest."""
    width, height = colour.size
    down, across = bands(height), bands(width)
    blurred, channels = np.zeros((_SAMPLES, width * 4), np.float32), 0
    for top, pixels in _strips(colour):
        if channels not in (0, pixels.shape[2]):
            # Pillow has one part of the picture in a form that is read in place, and another part not.
            return _sample_by_numpy(colour)
        channels = pixels.shape[2]
        library.hashdb_blend(_address(pixels), width * channels, top, len(pixels), *down.pointers, _address(blurred))
    result = np.empty((_SAMPLES, _SAMPLES), np.float32)
    if not library.hashdb_sample(_address(blurred), width, channels, *across.pointers, _address(result)):
        raise MemoryError
    return result


def _sample_by_numpy(colour: Image.Image) -> Floats:
    """What `sample` returns, without C. BLAS is not used: its threads wait for each other when the machine is busy."""
    width, height = colour.size
    down, across = bands(height), bands(width)
    blurred = np.empty((_SAMPLES, width * 3), np.float32)
    for start in range(0, _SAMPLES, _BANDS_A_STRIP):
        # The pixels are copied from Pillow in strips: as a whole, they exceed the processor's cache.
        top, bottom = down.edges[start, 0], down.edges[start + _BANDS_A_STRIP - 1, 1]
        pixels = np.asarray(colour.crop((0, top, width, bottom))).reshape(bottom - top, width * 3)
        for band in range(start, start + _BANDS_A_STRIP):
            first, last = down.edges[band]
            lines = pixels[first - top : last - top]
            np.einsum("y,yx->x", down.weights[band, : last - first], lines, out=blurred[band])
    luminance = np.einsum("yxc,c->xy", blurred.reshape(_SAMPLES, width, 3), _LUMINANCE)
    return np.stack(
        [
            np.einsum("x,xy->y", weights[: last - first], luminance[first:last])
            for (first, last), weights in zip(across.edges, across.weights, strict=True)
        ],
        axis=1,
    )


def _reduce_by_pillow(colour: Image.Image, sides: Sequence[int]) -> tuple[Octets, ...]:
    """What `reduce_greys` returns, by Pillow."""
    grey = colour.convert("L")
    return tuple(np.asarray(grey.resize((side, side), Image.Resampling.LANCZOS)) for side in sides)


def _reduce(library: ctypes.CDLL, colour: Image.Image, sides: Sequence[int]) -> tuple[Octets, ...]:
    """What `reduce_greys` returns, by the library: it reduces the width, strip by strip, then the height."""
    width, height = colour.size
    across, down = ([_weights(library, length, side) for side in sides] for length in colour.size)
    # The greys after the width is reduced.
    narrowed = [np.empty((height, side), np.uint8) for side in sides]
    count, pointers = len(sides), ctypes.c_void_p * len(sides)
    sizes, tables = (ctypes.c_int32 * count)(*sides), pointers(*map(_address, across))
    for top, pixels in _strips(colour):
        targets = pointers(*(_address(lines[top:]) for lines in narrowed))
        rows, _, channels = pixels.shape
        if not library.hashdb_across(_address(pixels), width, channels, rows, count, sizes, tables, targets):
            raise MemoryError
    results = tuple(np.empty((side, side), np.uint8) for side in sides)
    for lines, weights, result in zip(narrowed, down, results, strict=True):
        library.hashdb_down(_address(lines), height, len(result), _address(weights), _address(result))
    return results


def _weights(library: ctypes.CDLL, length: int, side: int) -> NDArray[np.int32]:
    """The weights (`side` x n) that reduce `length` pixels to `side`.

    They are cached, since computing them takes longer than the reduction.
    """
    compute = _cached_weights if length <= _LONGEST_CACHED else _compute_weights
    return compute(library, length, side)


def _compute_weights(library: ctypes.CDLL, length: int, side: int) -> NDArray[np.int32]:
    weights = np.empty((side, library.hashdb_row(length, side)), np.int32)
    if not library.hashdb_weights(length, side, _address(weights)):
        raise MemoryError
    return weights


_cached_weights = lru_cache(maxsize=128)(_compute_weights)


def _strips(colour: Image.Image) -> Iterator[tuple[int, Octets]]:
    """The lines of an RGB picture (n x width x 3 or 4), with the number of the first; all at once if Pillow can."""
    pixels = _borrowed(colour)
    if pixels is not None:
        yield 0, pixels
        return
    lines = max(1, _STRIP_PIXELS // colour.width)
    for top in range(0, colour.height, lines):
        strip = colour.crop((0, top, colour.width, min(top + lines, colour.height)))
        pixels = _borrowed(strip)
        yield top, np.asarray(strip) if pixels is None else pixels


class _ArrowArray(ctypes.Structure):
    """The Arrow C data interface, as far as it is read here."""


_ArrowArray._fields_ = [
    *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.argtypes, _capsule_pointer.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p


def _borrowed(colour: Image.Image) -> Octets | None:
    """The pixels of an RGB picture in Pillow's own memory, not a copy; None if they are not in one piece.

    Each has four bytes, of which the last one means nothing.
    """
    try:
        _, capsule = colour.__arrow_c_array__()
    except ValueError:
        return None
    array = _ArrowArray.from_address(_capsule_pointer(capsule, b"arrow_array"))
    pixels = array.children[0].contents if array.n_children == 1 else array
    if pixels.length != colour.width * colour.height * 4:
        return None
    memory = (ctypes.c_uint8 * pixels.length).from_address(pixels.buffers[1])
    # The capsule keeps Pillow's memory.
    memory.capsule = capsule
    return np.frombuffer(memory, np.uint8).reshape(colour.height, colour.width, 4)


def _address(array: NDArray[Any]) -> int:
    return array.ctypes.data


_FUNCTIONS = {
    "hashdb_blend": (None, "pqqqppqp"),
    "hashdb_sample": (ctypes.c_int32, "pqippqp"),
    "hashdb_row": (ctypes.c_int64, "qi"),
    "hashdb_weights": (ctypes.c_int32, "qip"),
    "hashdb_across": (ctypes.c_int32, "pqiqippp"),
    "hashdb_down": (None, "pqipp"),
}
"""The type that each function returns, and those of its arguments by their letters in `_TYPES`."""
_TYPES = {"p": ctypes.c_void_p, "q": ctypes.c_int64, "i": ctypes.c_int32}


@cache
def _library() -> ctypes.CDLL | None:
    """The C library; None if it was not built, is switched off, or does not reduce as this version of Pillow does."""
    spec = find_spec("hashdb.hashing._reductions")
    if spec is None or spec.origin is None or os.environ.get("HASHDB_KERNEL") == "0":
        return None
    try:
        library = ctypes.CDLL(spec.origin)
        if library.hashdb_version() != _VERSION:
            return None
    except (OSError, AttributeError):
        return None
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, [_TYPES[argument] for argument in arguments]
    return library if all(_matches_pillow(library, *size) for size in ((180, 240), (320, 200))) else None


def _matches_pillow(library: ctypes.CDLL, width: int, height: int) -> bool:
    """Whether the library reduces a picture of this size exactly as this version of Pillow does."""
    values = np.arange(width * height * 3, dtype=np.uint32).reshape(height, width, 3)
    colour, sides = Image.fromarray((values * 2_654_435_761 >> 13 & 255).astype(np.uint8)), (64, 32)
    pairs = zip(_reduce(library, colour, sides), _reduce_by_pillow(colour, sides), strict=True)
    return all(np.array_equal(ours, pillows) for ours, pillows in pairs)
