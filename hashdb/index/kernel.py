"""The optional C kernel, called by ctypes: `kernel()` is None where it was not built, and NumPy does the work.

It is compiled from kernel.c when hashdb is installed where there is a C compiler. `HASHDB_KERNEL=0` in the environment
switches it off.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from threading import local

import numpy as np
from numpy.typing import NDArray

from hashdb.index.plan import Chunks, masks
from hashdb.index.words import Words

_VERSION = 2
"""What hashdb_version of a kernel.c that fits must answer: one compiled from older sources is not used."""
_ROOM, _KEPT = 4_096, 1 << 20
"""Hits that a thread has room for at first, and at most between searches (10 MB)."""
_CANDIDATE = 4
"""Rows that are scanned in the time in which one candidate of a large bucket is verified: 3 to 6, measured."""


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
    _fields_ = [
        ("radii", ctypes.c_void_p),
        ("masks", ctypes.c_void_p),
        ("counts", ctypes.c_void_p),
        ("limit", ctypes.c_int64),
    ]


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
        lanes: Sequence[Words],
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
        self.rows = len(lanes[0])


class Kernel:
    """The compiled loops. They let go of the interpreter's lock."""

    def __init__(self, path: str) -> None:
        """Loads the shared library at `path`. Raises OSError where it cannot be loaded or is of another version."""
        self.path, library = path, ctypes.CDLL(path)
        pointer, count, small = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
        version = getattr(library, "hashdb_version", None)
        if version is None or version() != _VERSION:
            raise OSError(f"{path} is of another version")
        self._probe, self._scan, self._order = library.hashdb_probe, library.hashdb_scan, library.hashdb_order
        self._probe.argtypes = (pointer, pointer, pointer, count, small, pointer)
        self._scan.argtypes = (pointer, pointer, count, small, pointer)
        self._probe.restype = self._scan.restype = count
        self._order.argtypes = (pointer, count, small, small, small, ctypes.c_uint32, pointer, pointer)
        self._order.restype = None
        self._local = local()

    def probe(self, table: Table, cut: Chunks, queries: Words, radius: int) -> Found:
        """What the tables find; a query with too many candidates is compared with every row.

        The answer is this thread's to read until its next search. Raises IndexError where the tables are damaged.
        """
        probes = _probes(cut, radius, table.rows // _CANDIDATE)
        return self._search(self._probe, table.address, probes.address, _at(queries), len(queries), radius)

    def scan(self, table: Table, queries: Words, radius: int) -> Found:
        """What comparing every row finds. The answer is this thread's to read until its next search."""
        return self._search(self._scan, table.address, _at(queries), len(queries), radius)

    def _search(self, search: Callable[..., int], *asked: int) -> Found:
        found: Found | None = getattr(self._local, "found", None)
        if found is None:
            found = self._local.found = Found(_ROOM)
        count = search(*asked, found.address)
        if count > len(found.rows):
            # What did not fit was counted: search again.
            found = Found(count)
            search(*asked, found.address)
            if count <= _KEPT:
                self._local.found = found
        if count < 0:
            raise IndexError("the tables of a segment point outside of it")
        return found

    def order(
        self,
        values: Words,
        shift: int,
        width: int,
        base: int,
        table: NDArray[np.uint32],
        ids: NDArray[np.uint32],
    ) -> None:
        """Fill `table` with where each chunk value's rows begin (counted from `base`), and `ids` with the rows."""
        rows, words = values.shape
        self._order(_at(values), rows, words, shift, width, base, _at(table), _at(ids))


class _Prepared:
    """The chunk radii and masks of a plan, as the kernel reads them."""

    def __init__(self, cut: Chunks, radius: int, limit: int) -> None:
        radii = cut.radii(radius)
        each = [masks(width, max(near, 0)) for width, near in zip(cut.widths, radii, strict=True)]
        near, pointers = np.array(radii, np.int8), np.array([_at(one) for one in each], np.uint64)
        counts = np.array([len(one) for one in each], np.int32)
        self._kept = (near, pointers, counts, each)
        self.struct = _Probes(_at(near), _at(pointers), _at(counts), limit)
        self.address = ctypes.addressof(self.struct)


@lru_cache(maxsize=64)
def _probes(cut: Chunks, radius: int, limit: int) -> _Prepared:
    return _Prepared(cut, radius, limit)


@cache
def kernel() -> Kernel | None:
    """The kernel, or None: where it was not built, or is switched off."""
    if os.environ.get("HASHDB_KERNEL") == "0":
        return None
    spec = find_spec("hashdb.index._kernel")
    if spec is None or spec.origin is None:
        return None
    try:
        return Kernel(spec.origin)
    except OSError:
        return None


def engine() -> str:
    """What answers in this process, in words."""
    return "NumPy" if kernel() is None else "C kernel"


def _at(array: NDArray[np.generic]) -> int:
    assert array.flags.c_contiguous
    address: int = array.ctypes.data
    return address
