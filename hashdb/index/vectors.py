"""Vectors: values as 64-bit words, and how distances between many of them are computed with NumPy."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from hashdb.index.plan import Chunks, masks, worth_verifying

if TYPE_CHECKING:
    from hashdb.index.segment import Segment


_Number = TypeVar("_Number", np.uint32, np.uint64)
_LARGE = 16 * 1024 * 1024

Words: TypeAlias = NDArray[np.uint64]
"""Shape (values, bits / 64); the most significant word first."""
Lane: TypeAlias = NDArray[np.uint64]
"""A part of every value that is compared at once. Shape (values, 2), or (values, 1) where values have 64 bits."""
Entries: TypeAlias = NDArray[Any]
"""What the tables lead to, chunk after chunk, in a chunk's order: rows as uint32, or values of 64 bits as uint64."""


def room(shape: tuple[int, ...], type: type[_Number]) -> NDArray[_Number]:
    """An array to be filled; of a large one the pages are given back while other threads run, as NumPy's are not."""
    size = prod(shape) * np.dtype(type).itemsize
    if size < _LARGE:
        return np.empty(shape, type)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, type).reshape(shape)


@cache
def keep_memory() -> None:
    """Have what NumPy takes for a search kept for the next one, and not given back to the system in between.

    glibc's malloc does so of arrays as large as the largest that was freed before, of which a process that opens files
    and searches has none: then each search takes its pages anew, and a batch a third longer.
    """
    np.empty(_LARGE - 4096, np.uint8)


def copied(part: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Some columns as an array of their own, row by row."""
    own = room(part.shape, np.uint64)
    own[:] = part
    return own


def pack(values: Sequence[int], bits: int) -> Words:
    """The words of values of `bits` bits. Raises OverflowError for a value that is longer, or negative."""
    octets = b"".join(value.to_bytes(bits // 8) for value in values)
    return np.frombuffer(octets, ">u8").astype(np.uint64).reshape(len(values), bits // 64)


def from_octets(octets: bytes, bits: int) -> Words:
    """The words of values that stand one after the other, big-endian."""
    return np.frombuffer(octets, ">u8").astype(np.uint64).reshape(-1, bits // 64)


def to_octets(words: Words) -> list[bytes]:
    """Each value, big-endian."""
    octets, size = words.astype(">u8").tobytes(), words.shape[1] * 8
    return [octets[start : start + size] for start in range(0, len(octets), size)]


def unpack(words: Words) -> list[int]:
    """The inverse of `pack`."""
    return [int.from_bytes(octets) for octets in to_octets(words)]


def among(words: Words, others: Words) -> NDArray[np.bool_]:
    """Which of some values, distinct and sorted, are among others. Shape (values,)."""
    first, found = np.ascontiguousarray(words[:, 0]), np.zeros(len(words), bool)
    places = np.searchsorted(first, others[:, 0])
    inside = np.flatnonzero(places < len(words))
    places = places.take(inside)
    same = (words.take(places, axis=0) == others.take(inside, axis=0)).all(axis=1)
    found[places.compress(same)] = True
    # Where several begin with the same word, the first of them was compared with.
    tied = np.flatnonzero(first[1:] == first[:-1]) + 1
    if len(tied):
        known = set(to_octets(others))
        found[tied] = [one in known for one in to_octets(words.take(tied, axis=0))]
    return found


def distinct(words: Words) -> Words:
    """The distinct values, sorted."""
    arranged = room(words.shape, np.uint64)
    # Whole rows are taken several times faster than they are indexed.
    words.take(np.argsort(copied(words[:, 0])), axis=0, out=arranged, mode="clip")
    first = copied(arranged[:, 0])
    same = first[1:] == first[:-1]
    if not same.any():
        return arranged
    # Where first words are equal, equal values need not be neighbours: sort those rows by every word.
    tied = np.zeros(len(arranged), bool)
    tied[1:] = same
    tied[:-1] |= same
    rows, after = np.flatnonzero(tied), np.flatnonzero(same) + 1
    group = arranged.take(rows, axis=0)
    arranged[rows] = group.take(np.lexsort(group.T[::-1]), axis=0)
    fresh = np.ones(len(arranged), bool)
    fresh[after] = (arranged.take(after, axis=0) != arranged.take(after - 1, axis=0)).any(axis=1)
    return arranged if fresh.all() else arranged.compress(fresh, axis=0)


_BLOCK, _ROOM = 32, 16_384
"""Queries that are looked up at a time, and look-ups or candidates that they may expect together.

Larger arrays are given back to the system each time and fetched anew, which takes as long as the search.
"""
_ROWS = 16_384
"""Values that are scanned at a time: two lanes of them stay in the processor's cache."""
_NONE = np.empty(0, np.intp)
_NUMBERS = np.arange(_ROOM)


class Hits(NamedTuple):
    """What a search finds: arrays of equal length, which are the reader's only until this thread's next search."""

    queries: NDArray[np.integer]
    rows: NDArray[np.integer]
    distances: NDArray[np.integer]


NOTHING = Hits(_NONE, _NONE, _NONE)


def probe(segment: Segment, queries: Words, radius: int) -> Hits:
    """What the tables find; a query with too many candidates is compared with every row."""
    probes, candidates = segment.cut.expected(len(segment), radius)
    many = min(_BLOCK, int(_ROOM / max(1, probes, candidates)) + 1)
    blocks = (queries[first : first + many] for first in range(0, len(queries), many))
    parts = [
        _shifted(hits, many * block) for block, asked in enumerate(blocks) for hits in _probe(segment, asked, radius)
    ]
    return _joined(parts)


def scan(segment: Segment, queries: Words, radius: int) -> Hits:
    """What comparing every row finds."""
    return _joined([_shifted(_scan(segment, query, radius), position) for position, query in enumerate(queries)])


def near(segment: Segment, value: int, radius: int, *, probing: bool) -> Iterable[tuple[int, int]]:
    """Distance and value of all that is near one value, by the tables or by a scan.

    What two chunks find comes twice.
    """
    if not probing:
        return _scanned(segment, value, radius)
    assert segment.entries is not None
    ends, counts = _around(segment, value, radius)
    candidates = np.add.accumulate(counts)
    many = int(candidates[-1])
    if not worth_verifying(many, len(segment), segment.cut.bits):
        return _scanned(segment, value, radius)
    ends -= candidates
    places = ends.repeat(counts)
    places += _NUMBERS[:many] if many <= _ROOM else np.arange(many)
    entries = segment.entries.take(places)
    if entries.dtype == np.uint64:
        return _close(entries, value, radius)
    query = pack([value], segment.cut.bits)[0]
    distances = _distances(_taken(segment.lanes[0], entries), query)
    [close] = (distances <= radius).nonzero()
    if not len(close):
        return ()
    owners = np.zeros(len(close), np.intp)
    return _told(segment, _rest(segment, query[None], Hits(owners, entries[close], distances[close]), radius))


def _close(values: NDArray[np.uint64], value: int, radius: int) -> Iterable[tuple[int, int]]:
    """Distance and value of those of 64 bits that are within the radius."""
    distances = np.bitwise_count(values ^ value)
    [close] = (distances <= radius).nonzero()
    return zip(distances[close].tolist(), values[close].tolist(), strict=True) if len(close) else ()


def _scanned(segment: Segment, value: int, radius: int) -> Iterable[tuple[int, int]]:
    """The same of all values of a segment, by comparing each."""
    if segment.cut.bits == 64 and len(segment) <= _ROWS:
        return _close(segment.lanes[0][:, 0], value, radius)
    return _told(segment, _scan(segment, pack([value], segment.cut.bits)[0], radius))


def _around(segment: Segment, value: int, radius: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the buckets end that are looked up for a value, and how many entries each has. Shape (look-ups,) each.

    Of so few numbers the cost is that of the calls: to index takes half as long as `take`.
    """
    assert segment.offsets is not None
    looked = lookups(segment.cut, radius)
    places = np.array([value >> shift & kept for shift, kept in segment.cut.places])[looked.chunk]
    places ^= looked.mask
    found = segment.offsets.take(places + looked.around, mode="clip").astype(np.int64)
    starts, ends = found[0, 0], found[1, 0]
    return ends, ends - starts


def _buckets(segment: Segment, chunks: NDArray[np.int64], radius: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the buckets begin that are looked up for these chunks, and how many entries each has.

    `chunks` has shape (queries, chunks); one query's look-ups follow the other's.
    """
    assert segment.offsets is not None
    looked = lookups(segment.cut, radius)
    places = chunks.take(looked.chunk, axis=1)
    places ^= looked.mask
    places += looked.around[0]
    # Every place is inside: to be told so, take copies its answer once more.
    starts = segment.offsets.take(places, mode="clip").astype(np.int64)
    places += 1
    ends = segment.offsets.take(places, mode="clip").astype(np.int64)
    ends -= starts
    return starts.ravel(), ends.ravel()


def _probe(segment: Segment, asked: Words, radius: int) -> Iterator[Hits]:
    """Look a block of queries up, together."""
    assert segment.entries is not None
    starts, counts = _buckets(segment, chunk_values(asked, segment.cut), radius)
    candidates = counts.reshape(len(asked), -1).sum(axis=1)
    for position, many in enumerate(candidates.tolist()):
        if not worth_verifying(many, len(segment), segment.cut.bits):
            counts.reshape(len(asked), -1)[position] = candidates[position] = 0
            yield _shifted(_scan(segment, asked[position], radius), position)
    entries = segment.entries.take(ranges(starts, counts, counts.cumsum()))
    owners = np.repeat(np.arange(len(asked)), candidates)
    distances = _distances(_first(segment, entries), asked.take(owners, axis=0))
    [close] = (distances <= radius).nonzero()
    found = Hits(owners[close], entries[close], distances[close])
    if entries.dtype == np.uint64:
        found = found._replace(rows=np.searchsorted(segment.lanes[0][:, 0], found.rows))
    yield _once(_rest(segment, asked, found, radius), len(segment))


def _scan(segment: Segment, query: Words, radius: int) -> Hits:
    """Compare every value with one query, by the first lane and what it leaves by the others."""
    lane, parts = segment.lanes[0], []
    for start in range(0, len(segment), _ROWS):
        distances = _distances(lane[start : start + _ROWS], query)
        [close] = (distances <= radius).nonzero()
        if len(close):
            parts.append(Hits(np.zeros(len(close), np.intp), start + close, distances[close]))
    return _rest(segment, query[None], _joined(parts), radius) if parts else NOTHING


def _rest(segment: Segment, asked: Words, hits: Hits, radius: int) -> Hits:
    """Of hits by the first lane, those that are hits by all."""
    for lane in segment.lanes[1:]:
        theirs = asked[:, 2:].take(hits.queries, axis=0)
        distances = hits.distances.astype(np.uint16) + _distances(_taken(lane, hits.rows), theirs)
        [close] = (distances <= radius).nonzero()
        hits = Hits(hits.queries[close], hits.rows[close], distances[close])
    return hits


def _first(segment: Segment, entries: NDArray[Any]) -> Lane:
    return entries[:, None] if entries.dtype == np.uint64 else _taken(segment.lanes[0], entries)


def _taken(lane: Lane, rows: NDArray[np.integer]) -> Lane:
    """Some rows of a lane; two words are fetched as one number of 16 bytes, which is one access less."""
    if lane.shape[1] == 1 or not lane.flags.c_contiguous:
        return lane.take(rows, axis=0)
    return lane.view(np.complex128)[:, 0].take(rows).view(np.uint64).reshape(-1, 2)


def _distances(values: Lane, theirs: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """How many bits each value is from the query (one for all, or one each), at most 128.

    Column by column: to XOR pairs of words with one pair takes four times as long.
    """
    total: NDArray[np.uint8] = np.bitwise_count(values[:, 0] ^ theirs[..., 0])
    if values.shape[1] == 2:
        total += np.bitwise_count(values[:, 1] ^ theirs[..., 1])
    return total


def _told(segment: Segment, hits: Hits) -> Iterable[tuple[int, int]]:
    """Distance and value of each hit."""
    if not len(hits.rows):
        return ()
    values = [0] * len(hits.rows)
    for lane in segment.lanes:
        for words in lane[hits.rows].T.tolist():
            values = [value << 64 | word for value, word in zip(values, words, strict=True)]
    return zip(hits.distances.tolist(), values, strict=True)


def _once(hits: Hits, count: int) -> Hits:
    """The hits without those that a second chunk found again."""
    if len(hits.rows) < 2:
        return hits
    _, kept = np.unique(hits.queries.astype(np.int64) * count + hits.rows, return_index=True)
    return Hits(hits.queries[kept], hits.rows[kept], hits.distances[kept])


def _shifted(hits: Hits, first: int) -> Hits:
    return Hits(hits.queries + first, hits.rows, hits.distances) if first else hits


def _joined(parts: Sequence[Hits]) -> Hits:
    if len(parts) < 2:
        return parts[0] if parts else NOTHING
    return Hits(*(np.concatenate([part[column] for part in parts]) for column in range(3)))


class Lookups(NamedTuple):
    """Of each look-up of a plan: what is XORed with which chunk's value, and where that chunk's table begins.

    `around` has shape (2, 1, look-ups): in its second half it is the place after, where what is looked up ends.
    """

    mask: NDArray[np.int64]
    chunk: NDArray[np.intp]
    around: NDArray[np.int64]


@lru_cache(maxsize=64)
def lookups(cut: Chunks, radius: int) -> Lookups:
    """The look-ups that a radius asks for."""
    each = [
        (chunk, masks(width, near))
        for chunk, (width, near) in enumerate(zip(cut.widths, cut.radii(radius), strict=True))
        if near >= 0
    ]
    chunk = np.concatenate([np.full(len(mask), number) for number, mask in each])
    mask = np.concatenate([mask for _, mask in each]).astype(np.int64)
    base = np.array(cut.bases)[chunk]
    return Lookups(mask, chunk, np.stack([base, base + 1])[:, None])


def chunk_of(columns: NDArray[np.uint64], shift: int, width: int) -> NDArray[np.uint64]:
    """A chunk of every value; `columns` has shape (words, values), the most significant word first."""
    low, bit = divmod(shift, 64)
    part = columns[-1 - low] >> np.uint64(bit)
    if bit + width > 64:
        part |= columns[-2 - low] << np.uint64(64 - bit)
    kept: NDArray[np.uint64] = part & np.uint64((1 << width) - 1)
    return kept


class _Places(NamedTuple):
    """Of each chunk: the word that holds its lowest bit, the word above, how far to shift each, and what to keep."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    right: NDArray[np.uint64]
    left: NDArray[np.uint64]
    kept: NDArray[np.uint64]


@lru_cache(maxsize=64)
def _places(cut: Chunks) -> _Places:
    words = cut.bits // 64
    low = np.array([words - 1 - shift // 64 for shift in cut.shifts])
    bit = np.array([shift % 64 for shift in cut.shifts], np.uint64)
    kept = np.array([(1 << width) - 1 for width in cut.widths], np.uint64)
    # A shift by 64 is not one: a chunk that begins at a word's lowest bit has nothing above.
    high, left = np.maximum(low - 1, 0), np.where(bit == 0, np.uint64(63), np.uint64(64) - bit)
    return _Places(low, high, bit, left, kept)


def chunk_values(asked: Words, cut: Chunks) -> NDArray[np.int64]:
    """Every chunk of each query. Shape (queries, chunks)."""
    at = _places(cut)
    parts = asked.take(at.high, axis=1)
    parts <<= at.left
    parts |= asked.take(at.low, axis=1) >> at.right
    parts &= at.kept
    return parts.view(np.int64)


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers from each start on, as many as it counts, one range after the other; `ends` sums the counts up."""
    first = starts + counts
    first -= ends
    numbers = first.repeat(counts)
    numbers += np.arange(len(numbers))
    return numbers
