"""The optional C kernel, called by ctypes: if it was not built, `kernel()` is None and NumPy is used.

The installation of hashdb compiles it from kernel.c if there is a C compiler. `HASHDB_KERNEL=0` in the environment
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

from hashdb.index.plan import Chunks, flips
from hashdb.index.vectors import Entries, Words

VERSION = 4
"""The version that a compatible kernel returns: a kernel compiled from older sources is not used."""
FIRST_ROOM, MAX_KEPT_ROOM = 4_096, 1 << 18
"""The hits that a thread has room for at first, and at most between searches (11 MB)."""
_DAMAGED = "the tables of a segment point outside of it"
_SHORT_SEARCH = 15_000
"""Nanoseconds up to which a search keeps the interpreter's lock: releasing and taking it takes as long."""
ROWS_A_CANDIDATE = 4
"""The rows that a scan compares while one candidate of a large bucket is verified: measured as 3 to 6."""


def _pointers(*names: str) -> list[tuple[str, type[ctypes.c_void_p]]]:
    """Fields of a structure of kernel.c that are pointers."""
    return [(name, ctypes.c_void_p) for name in names]


class _Segment(ctypes.Structure):
    """The arrays of `Table`: two lanes, the chunks, and the tables with rows, or with values of 64 bits."""

    _fields_ = [
        *_pointers("first", "second"),
        ("rows", ctypes.c_int64),
        ("chunks", ctypes.c_int32),
        *_pointers("widths", "shifts", "bases", "offsets", "entry_rows", "entry_values"),
    ]


class _Probes(ctypes.Structure):
    """Of each chunk, its radius, its flips (`plan.flips`) and how many these are.

    A query with more candidates than `limit` is compared with every row.
    """

    _fields_ = [*_pointers("radii", "flips", "counts"), ("limit", ctypes.c_int64)]


class _Hits(ctypes.Structure):
    """Arrays with room for `room` hits, and how many hits there are, with those that had no room."""

    _fields_ = [
        *_pointers("queries", "rows", "distances", "values"),
        ("room", ctypes.c_int64),
        ("count", ctypes.c_int64),
    ]


class _Part(ctypes.Structure):
    """A segment, and the probes of its tables (null: every row is compared)."""

    _fields_ = _pointers("segment", "probes")


class _Parts(ctypes.Structure):
    """Segments that are searched together: how many, the words of a value, and the radius in bits."""

    _fields_ = [
        *_pointers("parts"),
        ("count", ctypes.c_int32),
        ("words", ctypes.c_int32),
        ("radius", ctypes.c_int32),
    ]


class SearchResults:
    """Room for the hits of a search: query, row, distance in bits, and for `near` the value."""

    def __init__(self, room: int) -> None:
        """Room for `room` hits."""
        self.queries = np.empty(room, np.uint32)
        self.rows = np.empty(room, np.uint32)
        self.distances = np.empty(room, np.uint16)
        self.values = np.empty((room, 32), np.uint8)
        self.octets = self.values.data.cast("B")
        self.struct = _Hits(
            _address(self.queries), _address(self.rows), _address(self.distances), _address(self.values), room, 0
        )
        self.address = ctypes.addressof(self.struct)


class _Local(local):
    """The room of one thread for the hits of its searches."""

    def __init__(self) -> None:
        self.results = SearchResults(FIRST_ROOM)


class Table:
    """The arrays of a segment as the kernel reads them. The table keeps them alive."""

    def __init__(
        self,
        lanes: Sequence[Words],
        chunks: Chunks,
        offsets: NDArray[np.uint32] | None,
        entries: Entries | None,
    ) -> None:
        """`lanes` are the words of the values, in pairs (single words for 64 bits)."""
        widths, shifts = np.array(chunks.widths, np.uint8), np.array(chunks.shifts, np.uint8)
        bases = np.array(chunks.bases, np.int64)
        self._arrays = (lanes, offsets, entries, widths, shifts, bases)
        self.struct = _Segment(
            _address(lanes[0]),
            _address(lanes[1]) if len(lanes) > 1 else None,
            len(lanes[0]),
            len(chunks.widths),
            _address(widths),
            _address(shifts),
            _address(bases),
            None if offsets is None else _address(offsets),
            None if entries is None or entries.dtype != np.uint32 else _address(entries),
            None if entries is None or entries.dtype != np.uint64 else _address(entries),
        )
        self.address = ctypes.addressof(self.struct)
        self.rows = len(lanes[0])


class Parts:
    """Segments that are searched together, as the kernel reads them. The parts keep them alive."""

    def __init__(self, searched: Sequence[tuple[Table, Chunks | None]], bits: int, radius: int, cost: float) -> None:
        """`searched` has each segment's table and chunks (None: scan it); `cost` is the nanoseconds of a query."""
        probes = [
            None if chunks is None else _probes(chunks, radius, table.rows // ROWS_A_CANDIDATE)
            for table, chunks in searched
        ]
        parts = [
            _Part(table.address, None if prepared is None else prepared.address)
            for (table, _), prepared in zip(searched, probes, strict=True)
        ]
        structs = (_Part * len(parts))(*parts)
        self._arrays = (searched, probes, structs)
        self.struct = _Parts(ctypes.addressof(structs), len(parts), bits // 64, radius)
        self.address = ctypes.addressof(self.struct)
        self.value_bytes, self.is_short = bits // 8, cost < _SHORT_SEARCH
        # Splits octets into those of each value.
        self.split_values = Struct(f"{self.value_bytes}s").iter_unpack


class Kernel:
    """The compiled loops. They release the interpreter's lock, except in short searches."""

    def __init__(self, path: str) -> None:
        """Load the shared library at `path`. Raises OSError if it cannot be loaded or has another version."""
        self.path, library = path, ctypes.CDLL(path)
        pointer, count, small = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
        version = getattr(library, "hashdb_version", None)
        if version is None or version() != VERSION:
            raise OSError(f"{path} is from another version")
        self._probe, self._scan, self._order = library.hashdb_probe, library.hashdb_scan, library.hashdb_order
        self._probe.argtypes = (pointer, pointer, pointer, count, small, pointer)
        self._scan.argtypes = (pointer, pointer, count, small, pointer)
        self._probe.restype = self._scan.restype = count
        self._order.argtypes = (pointer, count, small, small, small, ctypes.c_uint32, pointer, pointer, pointer)
        self._order.restype = None
        # The same function twice, by `is_short`: called through PyDLL, it keeps the interpreter's lock.
        self._near_calls = library.hashdb_near, ctypes.PyDLL(path).hashdb_near
        for near in self._near_calls:
            near.argtypes, near.restype = (pointer, pointer, pointer), count
        self._local = _Local()

    def probe(self, table: Table, chunks: Chunks, queries: Words, radius: int) -> SearchResults:
        """Search by the tables; a query with too many candidates is compared with every row.

        The results are valid until the next search of this thread. Raises IndexError for damaged tables.
        """
        probes = _probes(chunks, radius, table.rows // ROWS_A_CANDIDATE)
        return self._search(self._probe, table.address, probes.address, _address(queries), len(queries), radius)

    def scan(self, table: Table, queries: Words, radius: int) -> SearchResults:
        """Search by comparing every row. The results are valid until the next search of this thread."""
        return self._search(self._scan, table.address, _address(queries), len(queries), radius)

    def near(self, parts: Parts, value: int) -> list[tuple[int, int]]:
        """Distance and value of all values of the parts near one value; a value in several parts comes several times.

        Raises OverflowError if the value is longer than the stored ones, IndexError for damaged tables.
        """
        octets, results = value.to_bytes(parts.value_bytes), self._local.results
        search = self._near_calls[parts.is_short]
        count = search(parts.address, octets, results.address)
        if count == 0:
            return []
        if count < 0:
            raise IndexError(_DAMAGED)
        if count > len(results.rows):
            results = self._grow(count)
            search(parts.address, octets, results.address)
        stored = results.octets[: count * parts.value_bytes]
        values = map(int.from_bytes, chain.from_iterable(parts.split_values(stored)))
        return list(zip(results.distances[:count].tolist(), values, strict=True))

    def _grow(self, count: int) -> SearchResults:
        """Room for `count` hits, which this thread keeps unless it is very large."""
        results = SearchResults(count)
        if count <= MAX_KEPT_ROOM:
            self._local.results = results
        return results

    def _search(self, search: Callable[..., int], *arguments: int) -> SearchResults:
        results = self._local.results
        count = search(*arguments, results.address)
        if count > len(results.rows):
            # The kernel counted the hits that did not fit: search again.
            results = self._grow(count)
            search(*arguments, results.address)
        if count < 0:
            raise IndexError(_DAMAGED)
        return results

    def order(
        self,
        values: Words,
        shift: int,
        width: int,
        base: int,
        table: NDArray[np.uint32],
        entries: Entries,
    ) -> None:
        """Fill one table, as `sort_chunk` does with NumPy."""
        rows, words = values.shape
        outputs = (None, _address(entries)) if words == 1 else (_address(entries), None)
        self._order(_address(values), rows, words, shift, width, base, _address(table), *outputs)


class _PreparedProbes:
    """The radii and flips of chunks, as the kernel reads them."""

    def __init__(self, chunks: Chunks, radius: int, limit: int) -> None:
        radii = chunks.radii(radius)
        # The kernel skips a chunk with a negative radius, but its pointer must lead somewhere.
        flips_by_chunk = [
            flips(width, max(chunk_radius, 0)) for width, chunk_radius in zip(chunks.widths, radii, strict=True)
        ]
        chunk_radii, pointers = np.array(radii, np.int8), np.array(list(map(_address, flips_by_chunk)), np.uint64)
        counts = np.array(list(map(len, flips_by_chunk)), np.int32)
        # The structure has only addresses: this keeps the arrays alive.
        self._arrays = (chunk_radii, pointers, counts, flips_by_chunk)
        self.struct = _Probes(_address(chunk_radii), _address(pointers), _address(counts), limit)
        self.address = ctypes.addressof(self.struct)


_probes = lru_cache(maxsize=64)(_PreparedProbes)


@cache
def kernel() -> Kernel | None:
    """The kernel, or None if it was not built or is switched off."""
    if os.environ.get("HASHDB_KERNEL") == "0":
        return None
    spec = find_spec("hashdb.index._kernel")
    if spec is None or spec.origin is None:
        return None
    try:
        return Kernel(spec.origin)
    except OSError:
        return None


def implementation_name() -> str:
    """The name of the implementation that this process uses, for people."""
    return "NumPy" if kernel() is None else "C kernel"


def _address(array: NDArray[np.generic]) -> int:
    assert array.flags.c_contiguous
    address: int = array.ctypes.data
    return address
