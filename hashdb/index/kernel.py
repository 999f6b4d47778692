"""The optional C kernel, called by ctypes: `kernel()` is None where it was not built, and NumPy does the work."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from threading import local

import numpy as np
from numpy.typing import NDArray

from hashdb.index.plan import Chunks, masks

_ROOM = 4096


class _Segment(ctypes.Structure):
    _fields_ = [
        ("first", ctypes.c_void_p),
        ("second", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("chunks", ctypes.c_int32),
        ("widths", ctypes.c_void_p),
        ("shifts", ctypes.c_void_p),
        ("bases", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("ids", ctypes.c_void_p),
    ]


class _Probes(ctypes.Structure):
    _fields_ = [("radii", ctypes.c_void_p), ("masks", ctypes.c_void_p), ("counts", ctypes.c_void_p)]


class _Hits(ctypes.Structure):
    _fields_ = [
        ("queries", ctypes.c_void_p),
        ("rows", ctypes.c_void_p),
        ("distances", ctypes.c_void_p),
        ("room", ctypes.c_int64),
        ("count", ctypes.c_int64),
    ]


class Found:
    """Room for what a search finds: which query, which row, how many bits apart."""

    def __init__(self, room: int) -> None:
        """For `room` hits."""
        self.queries = np.empty(room, np.uint32)
        self.rows = np.empty(room, np.uint32)
        self.distances = np.empty(room, np.uint16)
        self.struct = _Hits(_at(self.queries), _at(self.rows), _at(self.distances), room, 0)
        self.address = ctypes.addressof(self.struct)


class Table:
    """A segment's arrays as the kernel reads them; keeps them alive."""

    def __init__(
        self,
        lanes: Sequence[NDArray[np.uint64]],
        cut: Chunks,
        offsets: NDArray[np.uint32] | None,
        ids: NDArray[np.uint32] | None,
    ) -> None:
        """`lanes` are the values' words, two by two (one by one for 64 bits)."""
        widths, shifts = np.array(cut.widths, np.uint8), np.array(cut.shifts, np.uint8)
        bases = np.array(cut.bases, np.int64)
        self._kept = (lanes, offsets, ids, widths, shifts, bases)
        self.struct = _Segment(
            _at(lanes[0]),
            _at(lanes[1]) if len(lanes) > 1 else None,
            len(lanes[0]),
            len(cut.widths),
            _at(widths),
            _at(shifts),
            _at(bases),
            None if offsets is None else _at(offsets),
            None if ids is None else _at(ids),
        )
        self.address = ctypes.addressof(self.struct)


class Kernel:
    """The compiled loops. Both searches let go of the interpreter's lock."""

    def __init__(self, path: str) -> None:
        """Loads the shared library at `path`. Raises OSError."""
        library = ctypes.CDLL(path)
        pointer, count = ctypes.c_void_p, ctypes.c_int64
        self._probe, self._scan = library.hashdb_probe, library.hashdb_scan
        self._probe.argtypes = (pointer, pointer, pointer, count, ctypes.c_int32, pointer)
        self._scan.argtypes = (pointer, pointer, count, ctypes.c_int32, pointer)
        self._probe.restype = self._scan.restype = count
        self._order = library.hashdb_order
        self._order.argtypes = (pointer, count, *[ctypes.c_int32] * 3, ctypes.c_uint32, pointer, pointer)
        self._order.restype = None
        self._local = local()

    def probe(self, table: Table, cut: Chunks, queries: NDArray[np.uint64], radius: int) -> Found:
        """What the tables find. The answer is this thread's to read until its next search."""
        probes, found = _probes(cut, radius), self._room()
        words = (table.address, probes.address, queries.ctypes.data, len(queries), radius)
        while (count := self._probe(*words, found.address)) > len(found.rows):
            found = self._room(count)
        return found

    def scan(self, table: Table, queries: NDArray[np.uint64], radius: int) -> Found:
        """What comparing every value finds. The answer is this thread's to read until its next search."""
        found = self._room()
        words = (table.address, queries.ctypes.data, len(queries), radius)
        while (count := self._scan(*words, found.address)) > len(found.rows):
            found = self._room(count)
        return found

    def order(
        self,
        values: NDArray[np.uint64],
        shift: int,
        width: int,
        base: int,
        table: NDArray[np.uint32],
        ids: NDArray[np.uint32],
    ) -> None:
        """Fill `table` with where each chunk value's rows begin (counted from `base`), and `ids` with the rows."""
        rows, words = values.shape
        self._order(_at(values), rows, words, shift, width, base, _at(table), _at(ids))

    def _room(self, least: int = _ROOM) -> Found:
        found: Found | None = getattr(self._local, "found", None)
        if found is None or len(found.rows) < least:
            found = self._local.found = Found(least)
        return found


class _Prepared:
    """The chunk radii and masks of a plan, as the kernel reads them."""

    def __init__(self, cut: Chunks, radius: int) -> None:
        radii = cut.radii(radius)
        each = [masks(width, max(near, 0)) for width, near in zip(cut.widths, radii, strict=True)]
        near, pointers = np.array(radii, np.int8), np.array([_at(one) for one in each], np.uint64)
        counts = np.array([len(one) for one in each], np.int32)
        self._kept = (near, pointers, counts, each)
        self.struct = _Probes(_at(near), _at(pointers), _at(counts))
        self.address = ctypes.addressof(self.struct)


@lru_cache(maxsize=64)
def _probes(cut: Chunks, radius: int) -> _Prepared:
    return _Prepared(cut, radius)


@cache
def kernel() -> Kernel | None:
    """The kernel, or None: where it was not built, or HASHDB_KERNEL=0 in the environment of a test."""
    if os.environ.get("HASHDB_KERNEL") == "0":
        return None
    spec = find_spec("hashdb.index._kernel")
    if spec is None or spec.origin is None:
        return None
    try:
        return Kernel(spec.origin)
    except OSError:
        return None


def _at(array: NDArray[np.generic]) -> int:
    address: int = array.ctypes.data
    return address
