"""The tiers of one algorithm: an array in memory, and segments.

New values are added to the array. A value that was added again later may be in several tiers; a search returns it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from threading import Lock, Timer
from typing import NamedTuple

import numpy as np

from hashdb.domain.matching.matches import Neighbor
from hashdb.domain.signals import Algorithm
from hashdb.index import Engine, Index, LeafOf, Manifest, Snapshot
from hashdb.index.kernel import Parts, kernel
from hashdb.index.parallel import has_idle_processor, in_threads
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, build_segment, split_for_segments
from hashdb.index.vectors import Hits, Lane, Words, from_octets, keep_memory, pack, unpack

_RELEASE_DELAY = 1.0
"""Seconds for which replaced segments stay in memory: a search that uses them takes milliseconds."""
_MAX_SINGLE_QUERIES = 4
"""The most queries that are searched one by one; more are a batch, which is searched together."""
SHARED_NANOSECONDS = 4_000_000.0
"""The expected nanoseconds of a search from which an idle processor takes half of the values."""
_MAX_SHARED_QUERIES = 256
"""The most values of a shared search: a picture has fewer, and a batch leaves the other processor to others."""
MAX_PLAIN = 64
"""The most values in memory that plain Python compares with a query faster than NumPy: 0.1 µs a value."""


class _State(NamedTuple):
    """What a search reads. It is one reference, so that a search finds each value in some tier at any time.

    Any change makes a new one.
    """

    plain_values: tuple[int, ...]
    """The values of `memory` as numbers, if they are at most `MAX_PLAIN`; else empty."""
    memory: Segment
    """The newest values."""
    loaded: tuple[Loaded, ...]
    """Segments without a file."""
    segments: tuple[Segment, ...]
    """The segments in files, oldest first."""
    parts_by_radius: dict[int, Parts]
    """What `parts` returned, by radius."""

    @property
    def without_file(self) -> tuple[Segment, ...]:
        """The tiers that no file holds yet."""
        return self.memory, *(loaded.segment for loaded in self.loaded)

    @property
    def tiers(self) -> tuple[Segment, ...]:
        """All tiers; the values in memory are the first one."""
        return *self.without_file, *self.segments

    def parts(self, bits: int, radius: int) -> Parts:
        """The tiers as the kernel searches them at a radius (bits)."""
        parts = self.parts_by_radius.get(radius)
        if parts is None:
            searched = [
                (tier.table, tier.chunks if tier.uses_tables(radius) else None) for tier in self.tiers if len(tier)
            ]
            parts = self.parts_by_radius[radius] = Parts(searched, bits, radius, self.cost(radius))
        return parts

    def cost(self, radius: int) -> float:
        """The expected nanoseconds of one query in the kernel."""
        return sum(tier.cost(radius) for tier in self.tiers)


class Loaded(NamedTuple):
    """Values that were added many at once, of the events up to `seq`."""

    segment: Segment
    seq: int


class TieredIndex(Index):
    """An exact index that grows immediately, is searched without locks, and moves its values to segments."""

    def __init__(self, bits: int, radius: int) -> None:
        """An empty index for values of `bits` bits and searches at `radius` bits."""
        self.bits, self.radius = bits, radius
        keep_memory()
        self._lock = Lock()
        # The values of the array in memory, in its order, each with the `seq` of its last `add`.
        self._seqs: dict[int, int] = {}
        # The array, with room for more values: `_memory_segment` has the rows that are filled.
        self._lanes = _empty_lanes(bits, 1024)
        self._state = _State(
            plain_values=(), memory=_memory_segment(bits, self._lanes, 0), loaded=(), segments=(), parts_by_radius={}
        )

    def add(self, values: Iterable[int], seq: int = 0) -> None:
        """Add the values of the events up to `seq`; a value that is already in memory gets the new seq.

        A value that is only in segments is added to memory too: if it ended in the meantime, a merge may have removed
        it from them.
        """
        with self._lock:
            seqs = dict.fromkeys(values, seq)
            new = [value for value in seqs if value not in self._seqs]
            self._lanes = _appended(self._lanes, len(self._seqs), pack(new, self.bits))
            self._seqs.update(seqs)
            if not new:
                return
            plain_values, memory = _plain_values(self._seqs), _memory_segment(self.bits, self._lanes, len(self._seqs))
            self._state = self._state._replace(parts_by_radius={}, plain_values=plain_values, memory=memory)

    def load(self, words: Words, seq: int) -> None:
        """Add many values at once (shape (values, bits / 64)), of the events up to `seq`."""
        for part in split_for_segments(words):
            loaded = Loaded(build_segment(part, self.radius), seq)
            with self._lock:
                self._state = self._state._replace(parts_by_radius={}, loaded=(*self._state.loaded, loaded))

    def fill(self, parts: Iterable[bytes], seq: int) -> None:
        self.load(from_octets(b"".join(parts), self.bits), seq)

    def search(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        state = self._state
        if len(values) <= _MAX_SINGLE_QUERIES:
            if (native := kernel()) is not None:
                parts = state.parts(self.bits, radius)
                return list(map(_nearest, map(native.near, repeat(parts), values)))
            return [_nearest(self._find(state, value, radius)) for value in values]
        if (
            len(values) <= _MAX_SHARED_QUERIES
            and len(values) * state.cost(radius) > SHARED_NANOSECONDS
            and has_idle_processor()
        ):
            middle = len(values) // 2
            halves = (values[:middle], values[middle:])
            first, second = in_threads(lambda half: self._search_together(state.tiers, half, radius), halves)
            return first + second
        return self._search_together(state.tiers, values, radius)

    def _search_together(self, tiers: Sequence[Segment], values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """What `search` returns: all values are searched in one tier after the other."""
        queries, distances = pack(values, self.bits), dict[tuple[int, int], int]()
        for tier in tiers:
            hits = tier.search(queries, radius)
            if len(hits.rows):
                distances.update(_values_and_distances(tier, hits))
        neighbors_by_query: list[list[Neighbor]] = [[] for _ in values]
        for (position, value), distance in distances.items():
            neighbors_by_query[position].append(Neighbor(distance, value))
        for neighbors in neighbors_by_query if distances else ():
            neighbors.sort()
        return neighbors_by_query

    def _find(self, state: _State, value: int, radius: int) -> list[tuple[int, int]]:
        """Distance and value of all within `radius` bits of one value, some several times; by NumPy."""
        pairs: list[tuple[int, int]] = []
        if state.plain_values:
            pairs.extend(
                (distance, other) for other in state.plain_values if (distance := (other ^ value).bit_count()) <= radius
            )
        elif len(state.memory):
            pairs.extend(state.memory.near(value, radius))
        for tier in state.tiers[1:]:
            pairs.extend(tier.near(value, radius))
        return pairs

    def __len__(self) -> int:
        """How many values the tiers hold; a value in several tiers counts several times."""
        return self.in_memory + sum(map(len, self._state.segments))

    @property
    def in_memory(self) -> int:
        """How many values no file holds yet."""
        return sum(map(len, self._state.without_file))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments in files, oldest first."""
        return self._state.segments

    def snapshot(self) -> Words:
        """The values that no file holds yet."""
        return np.concatenate([tier.words(slice(None)) for tier in self._state.without_file])

    def adopt(self, segments: Sequence[Segment], last_seq: int) -> None:
        """Replace the segments by others, which hold every value of the events up to `last_seq`."""
        with self._lock:
            remaining = {value: seq for value, seq in self._seqs.items() if seq > last_seq}
            # New lanes, since running searches still read the old ones.
            room = max(1024, len(remaining))
            lanes = _appended(_empty_lanes(self.bits, room), 0, pack(list(remaining), self.bits))
            loaded = tuple(newer for newer in self._state.loaded if newer.seq > last_seq)
            before, memory = self._state, _memory_segment(self.bits, lanes, len(remaining))
            self._state = _State(_plain_values(remaining), memory, loaded, tuple(segments), {})
            self._lanes, self._seqs = lanes, remaining
        # Some segments are no longer used.
        if not {*before.loaded, *before.segments} <= {*loaded, *segments}:
            _release_later([before])


class TieredEngine(Engine):
    """An engine that has the values of the newest events in memory, and a manifest of those that it stored."""

    indexes: Mapping[Algorithm, TieredIndex]
    _manifest: Manifest | None = None

    @property
    def unflushed(self) -> int:
        return sum(index.in_memory for index in self.indexes.values())

    @property
    def last_seq(self) -> int:
        return 0 if self._manifest is None else self._manifest.last_seq

    def snapshot(self) -> Snapshot:
        assert self._manifest is not None
        return Snapshot(self._manifest, {algorithm: index.snapshot() for algorithm, index in self.indexes.items()})

    def _rejection(self, manifest: Manifest | None, head: int, leaf_of: LeafOf) -> str | None:
        """Why a manifest cannot replace the one in use when the log has `head` events, or None if it can."""
        known = self._manifest
        assert known is not None
        if manifest is None:
            return "its manifest is damaged or of another version"
        if manifest.epoch != known.epoch:
            return "it belongs to another log"
        if manifest.last_seq > head:
            return f"it covers events up to {manifest.last_seq}, and the log has {head}"
        if manifest.leaf != leaf_of(manifest.last_seq):
            return f"event {manifest.last_seq} differs from when the index was written: the log was restored"
        if manifest.last_seq < known.last_seq:
            return "it is older than what is in use"
        if missing := set(self.indexes) - set(manifest.files):
            # An algorithm was enabled since: nothing that is stored has its values.
            return f"it does not have {', '.join(sorted(missing))}"
        return None


def _release_later(states: list[_State]) -> None:
    """Clear a list of replaced states later, in another thread: freeing millions of values takes 0.1 s."""
    timer = Timer(_RELEASE_DELAY, states.clear)
    timer.daemon = True
    timer.start()


def _nearest(pairs: list[tuple[int, int]]) -> list[Neighbor]:
    """The neighbors of (distance, value) pairs, each once, nearest first."""
    return list(map(Neighbor._make, sorted(set(pairs)) if len(pairs) > 1 else pairs))


def _values_and_distances(tier: Segment, hits: Hits) -> Iterator[tuple[tuple[int, int], int]]:
    """For each hit, the position of its query and its value as a pair, and the distance."""
    positions, distances = hits.queries.tolist(), hits.distances.tolist()
    return zip(zip(positions, unpack(tier.words(hits.rows)), strict=True), distances, strict=True)


def _plain_values(seqs: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(seqs) if len(seqs) <= MAX_PLAIN else ()


def _memory_segment(bits: int, lanes: Sequence[Lane], count: int) -> Segment:
    """The first values of the array in memory as a segment without tables, which is scanned."""
    return Segment([lane[:count] for lane in lanes], Chunks(bits, ()))


def _appended(lanes: list[Lane], start: int, words: Words) -> list[Lane]:
    """The lanes with values from row `start` on, beyond the rows that searches read; larger ones if they are full."""
    end = start + len(words)
    if end > len(lanes[0]):
        lanes = [_grown(lane, max(end, 2 * len(lane))) for lane in lanes]
    for lane, part in zip(lanes, np.hsplit(words, len(lanes)), strict=True):
        lane[start:end] = part
    return lanes


def _empty_lanes(bits: int, room: int) -> list[Lane]:
    """Lanes with room for so many values."""
    width = 1 if bits == 64 else 2  # words
    return [_lane(room, width) for _ in range(bits // 64 // width)]


def _grown(lane: Lane, room: int) -> Lane:
    """A copy of a lane with room for more values."""
    larger = _lane(room, lane.shape[1])
    larger[: len(lane)] = lane
    return larger


def _lane(room: int, width: int) -> Lane:
    """An empty lane: row by row for the kernel, column by column for NumPy, which scans columns."""
    return np.empty((room, width), np.uint64, "F" if kernel() is None else "C")
