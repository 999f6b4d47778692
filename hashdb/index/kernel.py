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
from itertools import chain
from struct import Struct
from threading import local

import numpy as np
from numpy.typing import NDArray

from hashdb.index.plan import Chunks, masks
from hashdb.index.vectors import Entries, Words

_VERSION = 3
"""What hashdb_version of a kernel.c that fits must answer: one compiled from older sources is not used."""
_ROOM, _KEPT = 4_096, 1 << 18
"""Hits that a thread has room for at first, and at most between searches (11 MB)."""
_DAMAGED = "the tables of a segment point outside of it"
_BRIEF = 15_000
"""Nanoseconds of a search up to which the interpreter's lock is kept: to hand it over takes as long."""
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
        ("ordered", ctypes.c_void_p),
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
        ("values", ctypes.c_void_p),
        ("room", ctypes.c_int64),
        ("count", ctypes.c_int64),
    ]


class _Part(ctypes.Structure):
    _fields_ = [("segment", ctypes.c_void_p), ("probes", ctypes.c_void_p)]


class _Parts(ctypes.Structure):
    _fields_ = [
        ("parts", ctypes.c_void_p),
        ("many", ctypes.c_int32),
        ("words", ctypes.c_int32),
        ("radius", ctypes.c_int32),
    ]


class SearchResults:
    """Room for what a search finds: which query, which row, how many bits apart, and for `near` which value."""

    def __init__(self, room: int) -> None:
        """For `room` hits."""
        self.queries = np.empty(room, np.uint32)
        self.rows = np.empty(room, np.uint32)
        self.distances = np.empty(room, np.uint16)
        self.values = np.empty((room, 32), np.uint8)
        self.octets = self.values.data.cast("B")
        self.struct = _Hits(_at(self.queries), _at(self.rows), _at(self.distances), _at(self.values), room, 0)
        self.address = ctypes.addressof(self.struct)


class _Local(local):
    """Of a thread: room for what its searches find."""

    def __init__(self) -> None:
        self.results = SearchResults(_ROOM)


class Table:
    """A segment's arrays as the kernel reads them; keeps them alive."""

    def __init__(
        self,
        lanes: Sequence[Words],
        cut: Chunks,
        offsets: NDArray[np.uint32] | None,
        entries: Entries | None,
    ) -> None:
        """`lanes` are the values' words, two by two (one by one for 64 bits)."""
        widths, shifts = np.array(cut.widths, np.uint8), np.array(cut.shifts, np.uint8)
        bases = np.array(cut.bases, np.int64)
        self._kept = (lanes, offsets, entries, widths, shifts, bases)
        self.struct = _Segment(
            _at(lanes[0]),
            _at(lanes[1]) if len(lanes) > 1 else None,
            len(lanes[0]),
            len(cut.widths),
            _at(widths),
            _at(shifts),
            _at(bases),
            None if offsets is None else _at(offsets),
            None if entries is None or entries.dtype != np.uint32 else _at(entries),
            None if entries is None or entries.dtype != np.uint64 else _at(entries),
        )
        self.address = ctypes.addressof(self.struct)
        self.rows = len(lanes[0])


class Parts:
    """Segments that are searched together, as the kernel reads them; keeps them alive."""

    def __init__(self, searched: Sequence[tuple[Table, Chunks | None]], bits: int, radius: int, cost: float) -> None:
        """Of each segment its table, and its cut where it is looked up (None: it is scanned); `cost` in nanoseconds."""
        probes = [None if cut is None else _probes(cut, radius, table.rows // _CANDIDATE) for table, cut in searched]
        parts = [
            _Part(table.address, None if one is None else one.address)
            for (table, _), one in zip(searched, probes, strict=True)
        ]
        structs = (_Part * len(parts))(*parts)
        self._kept = (searched, probes, structs)
        self.struct = _Parts(ctypes.addressof(structs), len(parts), bits // 64, radius)
        self.address = ctypes.addressof(self.struct)
        self.octets, self.brief = bits // 8, cost < _BRIEF
        self.unpack = Struct(f"{self.octets}s").iter_unpack


class Kernel:
    """The compiled loops. They let go of the interpreter's lock, but for searches that take less than that."""

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
        self._order.argtypes = (pointer, count, small, small, small, ctypes.c_uint32, pointer, pointer, pointer)
        self._order.restype = None
        self._near = library.hashdb_near, ctypes.PyDLL(path).hashdb_near
        for near in self._near:
            near.argtypes, near.restype = (pointer, pointer, pointer), count
        self._local = _Local()

    def probe(self, table: Table, cut: Chunks, queries: Words, radius: int) -> SearchResults:
        """What the tables find; a query with too many candidates is compared with every row.

        The answer is this thread's to read until its next search. Raises IndexError where the tables are damaged.
        """
        probes = _probes(cut, radius, table.rows // _CANDIDATE)
        return self._search(self._probe, table.address, probes.address, _at(queries), len(queries), radius)

    def scan(self, table: Table, queries: Words, radius: int) -> SearchResults:
        """What comparing every row finds. The answer is this thread's to read until its next search."""
        return self._search(self._scan, table.address, _at(queries), len(queries), radius)

    def near(self, parts: Parts, value: int) -> list[tuple[int, int]]:
        """Distance and value of all that the parts hold near a value; what several hold comes several times.

        Raises OverflowError where the value is longer, IndexError where tables are damaged.
        """
        octets, found = value.to_bytes(parts.octets), self._local.results
        search = self._near[parts.brief]
        count = search(parts.address, octets, found.address)
        if count == 0:
            return []
        if count < 0:
            raise IndexError(_DAMAGED)
        if count > len(found.rows):
            found = self._grow(count)
            search(parts.address, octets, found.address)
        values = map(int.from_bytes, chain.from_iterable(parts.unpack(found.octets[: count * parts.octets])))
        return list(zip(found.distances[:count].tolist(), values, strict=True))

    def _grow(self, count: int) -> SearchResults:
        """Room for so many hits, which this thread keeps unless they are very many."""
        results = SearchResults(count)
        if count <= _KEPT:
            self._local.results = results
        return results

    def _search(self, search: Callable[..., int], *asked: int) -> SearchResults:
        found = self._local.results
        count = search(*asked, found.address)
        if count > len(found.rows):
            # What did not fit was counted: search again.
            found = self._grow(count)
            search(*asked, found.address)
        if count < 0:
            raise IndexError(_DAMAGED)
        return found

    def order(
        self,
        values: Words,
        shift: int,
        width: int,
        base: int,
        table: NDArray[np.uint32],
        entries: Entries,
    ) -> None:
        """Fill `table` with where each chunk value's entries begin (counted from `base`), and `entries` with them."""
        rows, words = values.shape
        into = (None, _at(entries)) if words == 1 else (_at(entries), None)
        self._order(_at(values), rows, words, shift, width, base, _at(table), *into)


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
