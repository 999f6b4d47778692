"""A segment: an immutable set of values with tables for multi-index hashing, in memory or memory-mapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hashdb.index.kernel import Found, Table, kernel
from hashdb.index.lookups import chunk_of, chunk_values, lookups, ranges
from hashdb.index.plan import Chunks, choose, worth_probing, worth_verifying
from hashdb.index.words import Words, distinct

Lane: TypeAlias = NDArray[np.uint64]
"""A part of every value that is compared at once. Shape (values, 2), or (values, 1) where values have 64 bits."""

_BLOCK = 32
"""Queries that are looked up at a time: the best of 1 to 256, measured."""
_ROWS = 16_384
"""Values that are scanned at a time: two lanes of them stay in the processor's cache."""

_PLACES = 2**32
_COUNTED = 4_194_304
"""Values that are counted at a time: what counts them lets no other thread run."""


class Hits(NamedTuple):
    """What a search finds: arrays of equal length, which are the reader's only until this thread's next search."""

    queries: NDArray[np.integer]
    rows: NDArray[np.integer]
    distances: NDArray[np.integer]


class Segment:
    """Distinct values of one length, and for each chunk the rows ordered by its value."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        cut: Chunks,
        offsets: NDArray[np.uint32] | None = None,
        ids: NDArray[np.uint32] | None = None,
    ) -> None:
        """Over arrays that are never changed again; `build` makes them.

        `offsets` holds for each chunk, one after the other, where in `ids` the rows of each chunk value begin.
        """
        self.lanes, self.cut, self.offsets, self.ids = tuple(lanes), cut, offsets, ids
        self._probing: dict[int, bool] = {}

    def __len__(self) -> int:
        """How many values there are."""
        return len(self.lanes[0])

    def words(self, rows: NDArray[np.integer] | slice) -> Words:
        """The words of some rows."""
        return np.concatenate([lane[rows] for lane in self.lanes], axis=1)

    def search(self, queries: Words, radius: int) -> Hits:
        """Every row within `radius` bits of each query, each once, in no order."""
        probing = self._probing.get(radius)
        if probing is None:
            probing = self._probing[radius] = worth_probing(self.cut, len(self), radius)
        return self.probe(queries, radius) if probing else self.scan(queries, radius)

    def probe(self, queries: Words, radius: int) -> Hits:
        """The same by the tables; only a query that has too many candidates is compared with every row."""
        if (native := kernel()) is not None:
            return _told(native.probe(self._table, self.cut, queries, radius))
        blocks = range(0, len(queries), _BLOCK)
        return _joined([hits for start in blocks for hits in self._probe(queries, start, radius)])

    def scan(self, queries: Words, radius: int) -> Hits:
        """The same by comparing every row."""
        if (native := kernel()) is not None:
            return _told(native.scan(self._table, queries, radius))
        return _joined([self._scan(queries, position, radius) for position in range(len(queries))])

    @cached_property
    def _table(self) -> Table:
        return Table(self.lanes, self.cut, self.offsets, self.ids)

    def _probe(self, queries: Words, first: int, radius: int) -> Iterator[Hits]:
        """Look a block of queries up, together."""
        assert self.offsets is not None and self.ids is not None
        asked, looked = queries[first : first + _BLOCK], lookups(self.cut, radius)
        places = chunk_values(asked, self.cut)[:, looked.chunk]
        places ^= looked.mask
        places += looked.base
        starts = self.offsets.take(places)
        counts = self.offsets.take(places + 1) - starts
        candidates = counts.sum(axis=1, dtype=np.int64)
        for position, many in enumerate(candidates.tolist()):
            if not worth_verifying(many, len(self)):
                counts[position] = candidates[position] = 0
                yield self._scan(queries, first + position, radius)
        rows = self.ids.take(ranges(starts.ravel(), counts.ravel()))
        owners = np.repeat(np.arange(len(asked)), candidates)
        yield _shifted(_once(self._verify(asked, rows, owners, radius), len(self)), first)

    def _verify(self, asked: Words, rows: NDArray[np.uint32], owners: NDArray[np.intp], radius: int) -> Hits:
        """Of candidate rows, those that are within the radius of the query that each is for."""
        distances = np.zeros(len(rows), np.uint16)
        for number, lane in enumerate(self.lanes):
            width = lane.shape[1]
            theirs = asked[:, number * width : number * width + width]
            difference = _taken(lane, rows)
            difference ^= theirs[0] if len(asked) == 1 else theirs[owners]
            distances += _bits(difference)
            near = np.flatnonzero(distances <= radius)
            rows, owners, distances = rows[near], owners[near], distances[near]
        return Hits(owners, rows, distances)

    def _scan(self, queries: Words, position: int, radius: int) -> Hits:
        """Compare every value with one query, by the first lane and what it leaves by the others."""
        first = self.lanes[0]
        width = first.shape[1]
        # Repeated to the block's length: to XOR every pair of words with one pair is four times slower.
        theirs = np.tile(queries[position, :width], min(len(self), _ROWS)).reshape(-1, width)
        near = [
            start + np.flatnonzero(_bits(block ^ theirs[: len(block)]) <= radius)
            for start in range(0, len(self), _ROWS)
            for block in [first[start : start + _ROWS]]
        ]
        rows = np.concatenate([np.empty(0, np.intp), *near]).astype(np.uint32)
        found = self._verify(queries[position : position + 1], rows, np.zeros(len(rows), np.intp), radius)
        return _shifted(found, position)


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
    lanes = [np.ascontiguousarray(arranged[:, start : start + width]) for start in range(0, bits // 64, width)]
    if not cut.widths:
        return Segment(lanes, cut)
    offsets, ids = np.empty(cut.bases[-1], np.uint32), np.empty(len(arranged) * len(cut.widths), np.uint32)
    for number, (shift, width) in enumerate(zip(cut.shifts, cut.widths, strict=True)):
        start, base = number * len(arranged), cut.bases[number]
        table, rows = offsets[base : base + (1 << width) + 1], ids[start : start + len(arranged)]
        _order(arranged, shift, width, start, table, rows)
    return Segment(lanes, cut, offsets, ids)


def _order(
    values: Words, shift: int, width: int, base: int, table: NDArray[np.uint32], rows: NDArray[np.uint32]
) -> None:
    """Fill `rows` with the rows in a chunk's order, `table` with where in it each chunk value begins, from `base`."""
    if (native := kernel()) is not None:
        native.order(values, shift, width, base, table, rows)
        return
    chunk = chunk_of(values.T, shift, width)
    table[:] = 0
    for start in range(0, len(chunk), _COUNTED):
        table[1:] += np.bincount(chunk[start : start + _COUNTED].view(np.int64), minlength=1 << width).astype(np.uint32)
    table[0] = base
    np.cumsum(table, out=table)
    # To sort value and row in one word is several times faster than an argsort.
    chunk <<= np.uint64(32)
    chunk |= np.arange(len(values), dtype=np.uint64)
    chunk.sort()
    rows[:] = chunk.astype(np.uint32)


def _taken(lane: Lane, rows: NDArray[np.integer]) -> Lane:
    """Some rows of a lane; two words are fetched as one number of 16 bytes, which is one access less."""
    if lane.shape[1] == 1:
        return lane.take(rows, axis=0)
    return lane.view(np.complex128)[:, 0].take(rows).view(np.uint64).reshape(-1, 2)


def _bits(difference: Lane) -> NDArray[np.uint16]:
    """The number of set bits of each row, at most 128: two counts of 8 bits lie side by side in a number of 16."""
    counts = np.bitwise_count(difference)
    if counts.shape[1] == 1:
        return counts[:, 0].astype(np.uint16)
    pairs = counts.view(np.uint16)[:, 0]
    return (pairs & np.uint16(255)) + (pairs >> np.uint16(8))


def _once(hits: Hits, count: int) -> Hits:
    """The hits without those that a second chunk found again."""
    if len(hits.rows) < 2:
        return hits
    _, kept = np.unique(hits.queries.astype(np.int64) * count + hits.rows, return_index=True)
    return Hits(hits.queries[kept], hits.rows[kept], hits.distances[kept])


def _told(found: Found) -> Hits:
    count = found.struct.count
    return Hits(found.queries[:count], found.rows[:count], found.distances[:count])


def _shifted(hits: Hits, first: int) -> Hits:
    return Hits(hits.queries + first, hits.rows, hits.distances)


def _joined(parts: Sequence[Hits]) -> Hits:
    if len(parts) == 1:
        return parts[0]
    none = np.empty(0, np.int64)
    return Hits(*(np.concatenate([none, *(part[column] for part in parts)]) for column in range(3)))
