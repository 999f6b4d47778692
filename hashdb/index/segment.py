"""A segment: an immutable set of values with tables for multi-index hashing, in memory or memory-mapped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hashdb.index import vectors
from hashdb.index.kernel import Found, Table, kernel
from hashdb.index.lookups import chunk_of
from hashdb.index.plan import Chunks, choose, probing, scanning, worth_probing
from hashdb.index.vectors import Entries, Hits, Lane
from hashdb.index.words import Words, copied, distinct, room

__all__ = ["Hits", "Lane", "Segment", "arrange", "build", "most"]

_PLACES = 2**32
_COUNTED = 131_072
"""Values, or places, that are counted at a time: what counts them lets no other thread run."""


class Segment:
    """Distinct values of one length, and for each chunk the rows ordered by its value."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        cut: Chunks,
        offsets: NDArray[np.uint32] | None = None,
        entries: Entries | None = None,
    ) -> None:
        """Over arrays that are never changed again; `build` makes them.

        `offsets` holds for each chunk, one after the other, where in `entries` those of each chunk value begin.
        """
        self.lanes, self.cut, self.offsets, self.entries = tuple(lanes), cut, offsets, entries
        self._probing: dict[int, bool] = {}

    def __len__(self) -> int:
        """How many values there are."""
        return len(self.lanes[0])

    def words(self, rows: NDArray[np.integer] | slice) -> Words:
        """The words of some rows."""
        return np.concatenate([lane[rows] for lane in self.lanes], axis=1)

    def probed(self, radius: int) -> bool:
        """Whether a search at this radius goes by the tables."""
        probing = self._probing.get(radius)
        if probing is None:
            probing = self._probing[radius] = worth_probing(self.cut, len(self), radius)
        return probing

    def cost(self, radius: int) -> float:
        """Nanoseconds that a query is expected to take in the kernel."""
        many, cut = len(self), self.cut
        return probing(cut, many, radius) if self.probed(radius) else scanning(many, cut.bits)

    def search(self, queries: Words, radius: int) -> Hits:
        """Every row within `radius` bits of each query, each once, in no order."""
        return self.probe(queries, radius) if self.probed(radius) else self.scan(queries, radius)

    def probe(self, queries: Words, radius: int) -> Hits:
        """The same by the tables; only a query that has too many candidates is compared with every row."""
        if (native := kernel()) is not None:
            return _told(native.probe(self.table, self.cut, queries, radius))
        return vectors.probe(self, queries, radius)

    def scan(self, queries: Words, radius: int) -> Hits:
        """The same by comparing every row."""
        if (native := kernel()) is not None:
            return _told(native.scan(self.table, queries, radius))
        return vectors.scan(self, queries, radius)

    def near(self, value: int, radius: int) -> Iterable[tuple[int, int]]:
        """Distance and value of all within the radius of one value, some twice; by NumPy."""
        return vectors.near(self, value, radius, probing=self.probed(radius))

    @cached_property
    def table(self) -> Table:
        """What the kernel reads."""
        return Table(self.lanes, self.cut, self.offsets, self.entries)


def build(words: Words, radius: int, cut: Chunks | None = None) -> Segment:
    """The segment of some values, which need not be distinct, cut for searches at `radius` (or as said).

    Raises ValueError for more than a segment holds.
    """
    return arrange(distinct(words), radius, cut)


def most(bits: int) -> int:
    """How many values a segment holds at most, however it is cut: its tables have places of 32 bits."""
    return (_PLACES - 1) // (bits // 8)


def arrange(arranged: Words, radius: int, cut: Chunks | None = None) -> Segment:
    """The same of values that are distinct and sorted."""
    bits = arranged.shape[1] * 64
    cut = cut or choose(len(arranged), bits, radius)
    if len(arranged) * max(1, len(cut.widths)) >= _PLACES:
        raise ValueError(f"a segment cannot hold {len(arranged):,} values")
    width = 1 if bits == 64 else 2
    lanes = [copied(arranged[:, start : start + width]) for start in range(0, bits // 64, width)]
    if not cut.widths:
        return Segment(lanes, cut)
    count, offsets = len(arranged), room((cut.bases[-1],), np.uint32)
    entries: Entries = room((count * len(cut.widths),), np.uint64 if bits == 64 else np.uint32)
    native = kernel()
    keys = room((0 if native else count,), np.uint64)
    for number, (shift, width) in enumerate(zip(cut.shifts, cut.widths, strict=True)):
        start, base = number * count, cut.bases[number]
        table, part = offsets[base : base + (1 << width) + 1], entries[start : start + count]
        if native is not None:
            native.order(arranged, shift, width, start, table, part)
        else:
            _order(arranged, shift, width, start, table, part, keys)
    # The most significant chunk's order is the order of sorted values: they need not be kept twice.
    return Segment([entries[:count, None]] if bits == 64 else lanes, cut, offsets, entries)


def _order(
    values: Words,
    shift: int,
    width: int,
    base: int,
    table: NDArray[np.uint32],
    entries: Entries,
    keys: NDArray[np.uint64],
) -> None:
    """Fill `entries` in a chunk's order, `table` with where in it each chunk value begins, counted from `base`."""
    # To sort value and row in one word is several times faster than an argsort.
    for start in range(0, len(keys), _COUNTED):
        some = chunk_of(values[start : start + _COUNTED].T, shift, width)
        some <<= np.uint64(32)
        some |= np.arange(start, start + len(some), dtype=np.uint64)
        keys[start : start + _COUNTED] = some
    keys.sort()
    table[0], table[1:] = base, 0
    for start in range(0, len(keys), _COUNTED):
        some = keys[start : start + _COUNTED]
        rows = some.astype(np.uint32)
        entries[start : start + _COUNTED] = values[:, 0].take(rows) if entries.dtype == np.uint64 else rows
        chunks = (some >> np.uint64(32)).view(np.int64)
        least = int(chunks[0])
        chunks -= least
        counts = np.bincount(chunks)
        table[1 + least : 1 + least + len(counts)] += counts.astype(np.uint32)
    for start in range(0, len(table), _COUNTED):
        places = table[start : start + _COUNTED]
        places[0] += table[start - 1] if start else 0
        # To sum up in place would let no other thread run.
        places[:] = np.add.accumulate(places, dtype=np.uint32)


def _told(found: Found) -> Hits:
    count = found.struct.count
    return Hits(found.queries[:count], found.rows[:count], found.distances[:count])
