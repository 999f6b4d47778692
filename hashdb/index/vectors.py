"""Vectors: values as 64-bit words, and the search of a segment with NumPy.

The rows of a segment are its values, sorted. A segment may also have tables: each value is cut into chunks of some
bits, and each chunk has a table. Bucket v of a table has an entry for each value whose chunk is v. The entries of the
bucket are `entries[offsets[base + v] : offsets[base + v + 1]]`, where `base` is where the table begins in `offsets`.
A look-up reads one bucket.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from itertools import repeat
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from hashdb.index.plan import Chunks, flips, worth_verifying

if TYPE_CHECKING:
    from hashdb.index.segment import Segment


_Number = TypeVar("_Number", np.uint32, np.uint64)
_LARGE_ARRAY = 16 * 1024 * 1024  # bytes

Words: TypeAlias = NDArray[np.uint64]
"""Values as words of 64 bits: shape (values, bits / 64), the most significant word first."""
Lane: TypeAlias = NDArray[np.uint64]
"""One or two words of every value, which are compared at once: shape (values, 1) for 64 bits, else (values, 2)."""
Entries: TypeAlias = NDArray[Any]
"""The entries of all tables, chunk after chunk, each table's sorted by the value of the chunk.

In a segment of 64 bits, they are the values themselves (uint64); else they are the rows (uint32).
"""


def allocate(shape: tuple[int, ...], type: type[_Number]) -> NDArray[_Number]:
    """An array with unset content. A large one is freed without the GIL, so that other threads run meanwhile."""
    size = prod(shape) * np.dtype(type).itemsize
    if size < _LARGE_ARRAY:
        return np.empty(shape, type)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    use_huge_pages(pages)
    return np.frombuffer(pages, type).reshape(shape)


def use_huge_pages(pages: mmap.mmap) -> None:
    """Ask for pages of 2 MiB, where the system has them: a search reads places that are far apart."""
    with suppress(AttributeError, OSError):
        pages.madvise(mmap.MADV_HUGEPAGE)


@cache
def keep_memory() -> None:
    """Make malloc keep the memory of a search for the next one, and not return it to the system in between.

    glibc's malloc keeps arrays up to the largest size that was freed before. A process that only opens files and
    searches has freed none, so each search would get new pages, and a batch would take a third longer.
    """
    # A little less than _LARGE_ARRAY: the largest array that `allocate` leaves to malloc.
    np.empty(_LARGE_ARRAY - 4096, np.uint8)


def copy_columns(columns: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A copy of some columns of an array, contiguous in memory row by row."""
    copy = allocate(columns.shape, np.uint64)
    copy[:] = columns
    return copy


def pack(values: Sequence[int], bits: int) -> Words:
    """The words of values of `bits` bits. Raises OverflowError for a longer or negative value."""
    octets = b"".join(map(int.to_bytes, values, repeat(bits // 8)))
    return np.frombuffer(octets, ">u8").astype(np.uint64).reshape(len(values), bits // 64)


def from_octets(octets: bytes, bits: int) -> Words:
    """The words of consecutive big-endian values."""
    return np.frombuffer(octets, ">u8").astype(np.uint64).reshape(-1, bits // 64)


def to_octets(words: Words) -> list[bytes]:
    """The values as big-endian octets, bits / 8 bytes each."""
    return split_octets(words.astype(">u8").tobytes(), words.shape[1] * 64)


def split_octets(octets: bytes, bits: int) -> list[bytes]:
    """Consecutive values of `bits` bits as one octet string each."""
    size = bits // 8
    return [octets[start : start + size] for start in range(0, len(octets), size)]


def unpack(words: Words) -> list[int]:
    """The inverse of `pack`."""
    return [int.from_bytes(octets) for octets in to_octets(words)]


def is_among(words: Words, others: Words) -> NDArray[np.bool_]:
    """Whether each of some values (distinct and sorted) is among others. Shape (values,)."""
    first, is_member = np.ascontiguousarray(words[:, 0]), np.zeros(len(words), bool)
    positions = np.searchsorted(first, others[:, 0])
    inside = np.flatnonzero(positions < len(words))
    positions = positions.take(inside)
    same = (words.take(positions, axis=0) == others.take(inside, axis=0)).all(axis=1)
    is_member[positions.compress(same)] = True
    # Of values with the same first word, only the first one was compared.
    tied = np.flatnonzero(first[1:] == first[:-1]) + 1
    if len(tied):
        other_octets = set(to_octets(others))
        is_member[tied] = [octets in other_octets for octets in to_octets(words.take(tied, axis=0))]
    return is_member


def distinct(words: Words) -> Words:
    """The distinct values, sorted."""
    arranged = allocate(words.shape, np.uint64)
    # Taking whole rows is several times faster than indexing them. Every row exists: mode "clip", here and below, only
    # spares the check, and here the copy that the check needs.
    words.take(np.argsort(copy_columns(words[:, 0])), axis=0, out=arranged, mode="clip")
    first = copy_columns(arranged[:, 0])
    same = first[1:] == first[:-1]
    if not same.any():
        return arranged
    # Rows with equal first words may not have equal values side by side: sort them by every word.
    tied = np.zeros(len(arranged), bool)
    tied[1:] = same
    tied[:-1] |= same
    rows, after = np.flatnonzero(tied), np.flatnonzero(same) + 1
    group = arranged.take(rows, axis=0)
    arranged[rows] = group.take(np.lexsort(group.T[::-1]), axis=0)
    is_new = np.ones(len(arranged), bool)
    is_new[after] = (arranged.take(after, axis=0) != arranged.take(after - 1, axis=0)).any(axis=1)
    return arranged if is_new.all() else arranged.compress(is_new, axis=0)


_QUERIES_A_BLOCK, BLOCK_LOOKUPS = 32, 16_384
"""The most queries in a block, and the most look-ups or candidates expected for a block.

The system would free and allocate larger arrays each time, which takes as long as the search.
"""
_ROWS_A_BLOCK = 16_384
"""The values scanned at a time: two lanes of them fit into the processor's cache."""
_NUMBERS = np.arange(BLOCK_LOOKUPS)
"""0, 1, 2, …: taking the first of them is faster than `np.arange`."""


class Hits(NamedTuple):
    """The positions of query and row and the distance in bits of each hit.

    They are valid until this thread's next search: the kernel reuses its arrays.
    """

    queries: NDArray[np.integer]
    rows: NDArray[np.integer]
    distances: NDArray[np.integer]


NO_HITS = Hits(*[np.empty(0, np.intp)] * 3)


def probe(segment: Segment, queries: Words, radius: int) -> Hits:
    """Search by the tables; a query with too many candidates is compared with every row."""
    lookup_count, candidates = segment.chunks.expected_per_query(len(segment), radius)
    size = min(_QUERIES_A_BLOCK, int(BLOCK_LOOKUPS / max(1, lookup_count, candidates)) + 1)
    blocks = (queries[first : first + size] for first in range(0, len(queries), size))
    parts = [
        _shift_queries(hits, size * block)
        for block, part in enumerate(blocks)
        for hits in _probe(segment, part, radius)
    ]
    return _concatenate(parts)


def scan(segment: Segment, queries: Words, radius: int) -> Hits:
    """Search by comparing every row."""
    return _concatenate(
        [_shift_queries(_scan(segment, query, radius), position) for position, query in enumerate(queries)]
    )


def near(segment: Segment, value: int, radius: int, *, probing: bool) -> Iterable[tuple[int, int]]:
    """Distance and value of all values within `radius` bits of one, by the tables (`probing`) or by a scan.

    A value that several chunks find comes several times.
    """
    if not probing:
        return _scan_values(segment, value, radius)
    assert segment.entries is not None
    ends, counts = _single_buckets(segment, value, radius)
    cumulated = np.add.accumulate(counts)
    total = int(cumulated[-1])
    if not worth_verifying(total, len(segment), segment.chunks.bits):
        return _scan_values(segment, value, radius)
    # The position of every entry of these buckets: what `ranges` computes, with fewer calls.
    ends -= cumulated
    positions = ends.repeat(counts)
    positions += _NUMBERS[:total] if total <= BLOCK_LOOKUPS else np.arange(total)
    entries = segment.entries.take(positions)
    if entries.dtype == np.uint64:
        return _close_values(entries, value, radius)
    query = pack([value], segment.chunks.bits)[0]
    distances = _distances(_take_rows(segment.lanes[0], entries), query)
    [close] = (distances <= radius).nonzero()
    if not len(close):
        return ()
    owners = np.zeros(len(close), np.intp)
    hits = Hits(owners, entries[close], distances[close])
    return _distances_and_values(segment, _verify_lanes(segment, query[None], hits, radius))


def _close_values(values: NDArray[np.uint64], value: int, radius: int) -> Iterable[tuple[int, int]]:
    """Distance and value of the 64-bit values within the radius."""
    distances = np.bitwise_count(values ^ value)
    [close] = (distances <= radius).nonzero()
    return zip(distances[close].tolist(), values[close].tolist(), strict=True) if len(close) else ()


def _scan_values(segment: Segment, value: int, radius: int) -> Iterable[tuple[int, int]]:
    """Distance and value of all values of a segment within the radius, by comparing each."""
    if segment.chunks.bits == 64 and len(segment) <= _ROWS_A_BLOCK:
        return _close_values(segment.lanes[0][:, 0], value, radius)
    return _distances_and_values(segment, _scan(segment, pack([value], segment.chunks.bits)[0], radius))


def _single_buckets(segment: Segment, value: int, radius: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ends of the buckets to look up for one value, and the number of entries of each. Shape (look-ups,) each."""
    assert segment.offsets is not None
    lookup = lookups(segment.chunks, radius)
    own_buckets = np.array([value >> shift & mask for shift, mask in segment.chunks.shifts_and_masks])
    # Of a small array, indexing takes half as long as `take`; `offsets` is large.
    buckets = own_buckets[lookup.chunk]
    buckets ^= lookup.flips
    bounds = segment.offsets.take(buckets + lookup.bases, mode="clip").astype(np.int64)
    starts, ends = bounds[0, 0], bounds[1, 0]
    return ends, ends - starts


def _buckets(segment: Segment, queries: Words, radius: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The starts of the buckets to look up for these queries, and the number of entries of each.

    The look-ups of one query follow those of the query before.
    """
    assert segment.offsets is not None
    lookup = lookups(segment.chunks, radius)
    positions = chunk_values(queries, segment.chunks).take(lookup.chunk, axis=1)
    positions ^= lookup.flips
    # So far the number of each bucket; from here on its position in `offsets`.
    positions += lookup.bases[0]
    starts = segment.offsets.take(positions, mode="clip").astype(np.int64)
    positions += 1
    ends = segment.offsets.take(positions, mode="clip").astype(np.int64)
    ends -= starts
    return starts.ravel(), ends.ravel()


def _probe(segment: Segment, queries: Words, radius: int) -> Iterator[Hits]:
    """The hits of a block of queries: of each one that is scanned, then of the others, which are looked up together."""
    assert segment.entries is not None
    starts, counts = _buckets(segment, queries, radius)
    counts_by_query = counts.reshape(len(queries), -1)  # a view of the same numbers
    candidates = counts_by_query.sum(axis=1)
    for position, count in enumerate(candidates.tolist()):
        if not worth_verifying(count, len(segment), segment.chunks.bits):
            # The scan answers this query: look up nothing for it.
            counts_by_query[position] = candidates[position] = 0
            yield _shift_queries(_scan(segment, queries[position], radius), position)
    entries = segment.entries.take(ranges(starts, counts, counts.cumsum()))
    owners = np.repeat(np.arange(len(queries)), candidates)
    first_lanes = entries[:, None] if entries.dtype == np.uint64 else _take_rows(segment.lanes[0], entries)
    distances = _distances(first_lanes, queries.take(owners, axis=0))
    [close] = (distances <= radius).nonzero()
    hits = Hits(owners[close], entries[close], distances[close])
    # Entries of 64 bits are values. The lane has them sorted, so the position of a value there is its row.
    if entries.dtype == np.uint64:
        hits = hits._replace(rows=np.searchsorted(segment.lanes[0][:, 0], hits.rows))
    yield _deduplicate(_verify_lanes(segment, queries, hits, radius), len(segment))


def _scan(segment: Segment, query: Words, radius: int) -> Hits:
    """Compare every value with one query: by the first lane, and the remaining ones by the other lanes."""
    lane, parts = segment.lanes[0], []
    for start in range(0, len(segment), _ROWS_A_BLOCK):
        distances = _distances(lane[start : start + _ROWS_A_BLOCK], query)
        [close] = (distances <= radius).nonzero()
        if len(close):
            parts.append(Hits(np.zeros(len(close), np.intp), start + close, distances[close]))
    return _verify_lanes(segment, query[None], _concatenate(parts), radius) if parts else NO_HITS


def _verify_lanes(segment: Segment, queries: Words, hits: Hits, radius: int) -> Hits:
    """The hits of the first lane that are hits with all lanes."""
    # Values of 64 bits have one lane, and so nothing to verify. Values of 256 bits have two.
    for lane in segment.lanes[1:]:
        query_words = queries[:, 2:].take(hits.queries, axis=0)
        distances = hits.distances.astype(np.uint16) + _distances(_take_rows(lane, hits.rows), query_words)
        [close] = (distances <= radius).nonzero()
        hits = Hits(hits.queries[close], hits.rows[close], distances[close])
    return hits


def _take_rows(lane: Lane, rows: NDArray[np.integer]) -> Lane:
    """Some rows of a lane. Two words are read as one number of 16 bytes, which is one access instead of two."""
    if lane.shape[1] == 1 or not lane.flags.c_contiguous:
        return lane.take(rows, axis=0)
    return lane.view(np.complex128)[:, 0].take(rows).view(np.uint64).reshape(-1, 2)


def _distances(values: Lane, query_words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The distance in bits (at most 128) of each value from the query (one for all, or one each).

    It works by columns, because XOR of pairs of words with one pair takes four times as long.
    """
    total: NDArray[np.uint8] = np.bitwise_count(values[:, 0] ^ query_words[..., 0])
    if values.shape[1] == 2:
        total += np.bitwise_count(values[:, 1] ^ query_words[..., 1])
    return total


def _distances_and_values(segment: Segment, hits: Hits) -> Iterable[tuple[int, int]]:
    """Distance and value of each hit."""
    if not len(hits.rows):
        return ()
    values = [0] * len(hits.rows)
    for lane in segment.lanes:
        for words in lane[hits.rows].T.tolist():
            values = [value << 64 | word for value, word in zip(values, words, strict=True)]
    return zip(hits.distances.tolist(), values, strict=True)


def _deduplicate(hits: Hits, count: int) -> Hits:
    """The hits without duplicates, which come from several chunks."""
    if len(hits.rows) < 2:
        return hits
    _, kept = np.unique(hits.queries.astype(np.int64) * count + hits.rows, return_index=True)
    return Hits(hits.queries[kept], hits.rows[kept], hits.distances[kept])


def _shift_queries(hits: Hits, first: int) -> Hits:
    return Hits(hits.queries + first, hits.rows, hits.distances) if first else hits


def _concatenate(parts: Sequence[Hits]) -> Hits:
    if len(parts) < 2:
        return parts[0] if parts else NO_HITS
    return Hits(*(np.concatenate([part[column] for part in parts]) for column in range(3)))


class Lookups(NamedTuple):
    """The look-ups of one query: for each, its chunk, and what is XORed with the chunk's value to get the bucket.

    `bases` has shape (2, 1, look-ups): where the chunk's table begins in `offsets`, and the position after that. Added
    to the number of a bucket, they are the positions of the bucket's start and of its end.
    """

    flips: NDArray[np.int64]
    chunk: NDArray[np.intp]
    bases: NDArray[np.int64]


@lru_cache(maxsize=64)
def lookups(chunks: Chunks, radius: int) -> Lookups:
    """The look-ups of any query at a radius: each chunk reads the buckets within the chunk's own radius."""
    # A chunk whose radius is negative is not looked up.
    flips_by_chunk = [
        (chunk, flips(width, chunk_radius))
        for chunk, (width, chunk_radius) in enumerate(zip(chunks.widths, chunks.radii(radius), strict=True))
        if chunk_radius >= 0
    ]
    chunk = np.concatenate([np.full(len(of_chunk), number) for number, of_chunk in flips_by_chunk])
    all_flips = np.concatenate([of_chunk for _, of_chunk in flips_by_chunk]).astype(np.int64)
    base = np.array(chunks.bases)[chunk]
    return Lookups(all_flips, chunk, np.stack([base, base + 1])[:, None])


def chunk_of(columns: NDArray[np.uint64], shift: int, width: int) -> NDArray[np.uint64]:
    """The chunk of every value; `columns` has shape (words, values), the most significant word first."""
    low, bit = divmod(shift, 64)
    part = columns[-1 - low] >> np.uint64(bit)
    # The chunk goes on in the word above.
    if bit + width > 64:
        part |= columns[-2 - low] << np.uint64(64 - bit)
    chunk: NDArray[np.uint64] = part & np.uint64((1 << width) - 1)
    return chunk


class _ChunkWords(NamedTuple):
    """For each chunk: the word with its lowest bit and the word above, by how much each is shifted, and the bit mask.

    The lower word is shifted to the right, the higher one to the left.
    """

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    right: NDArray[np.uint64]
    left: NDArray[np.uint64]
    mask: NDArray[np.uint64]


@lru_cache(maxsize=64)
def _chunk_words(chunks: Chunks) -> _ChunkWords:
    words = chunks.bits // 64
    low = np.array([words - 1 - shift // 64 for shift in chunks.shifts])
    bit = np.array([shift % 64 for shift in chunks.shifts], np.uint64)
    mask = np.array([(1 << width) - 1 for width in chunks.widths], np.uint64)
    # The highest word has none above: there its own bits are taken, which `mask` removes.
    high = np.maximum(low - 1, 0)
    # A word must not be shifted by 64. Shifted by 63, the word above leaves one bit, which `mask` removes.
    left = np.where(bit == 0, np.uint64(63), np.uint64(64) - bit)
    return _ChunkWords(low, high, bit, left, mask)


def chunk_values(queries: Words, chunks: Chunks) -> NDArray[np.int64]:
    """The value of every chunk of each query. Shape (queries, chunks)."""
    words = _chunk_words(chunks)
    parts = queries.take(words.high, axis=1)
    parts <<= words.left
    parts |= queries.take(words.low, axis=1) >> words.right
    parts &= words.mask
    return parts.view(np.int64)


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ranges of numbers with these starts and counts, concatenated; `ends` has the cumulated counts.

    >>> ranges(np.array([10, 50]), np.array([3, 2]), np.array([3, 5]))
    array([10, 11, 12, 50, 51])
    """
    # Each number is its own position in the result plus what is the same for its whole range.
    first = starts + counts
    first -= ends
    numbers = first.repeat(counts)
    numbers += np.arange(len(numbers))
    return numbers
