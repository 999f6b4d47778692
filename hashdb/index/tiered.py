"""The tiers of one algorithm: an array in memory, and segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from threading import Lock, Timer
from typing import NamedTuple

import numpy as np

from hashdb.domain.matching.matches import Neighbor
from hashdb.index.kernel import Parts, kernel
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, build, most
from hashdb.index.vectors import Hits, Lane, Words, from_octets, keep_memory, pack, unpack

ARRAY = 4_096
"""Values in memory from which on they should become a segment."""
_MOMENT = 1.0
"""Seconds for which what was handed on stays: searches that began in it take milliseconds."""
_FEW = 4
"""Queries up to which each is searched for alone; more are a batch, which NumPy searches for together."""
PLAIN = 64
"""Values in memory that plain Python compares with one query sooner than NumPy does: 0.1 µs a value."""


class _State(NamedTuple):
    """What a search reads: one reference, so that it sees each value in one tier or another, never in none.

    `few` are the values of the array `memory`, while they are few; `loaded` are segments that no file holds yet.
    """

    few: tuple[int, ...]
    memory: Segment
    loaded: tuple[Loaded, ...]
    segments: tuple[Segment, ...]
    asked: dict[int, Parts]

    def parts(self, bits: int, radius: int) -> Parts:
        """What the kernel searches at a radius."""
        parts = self.asked.get(radius)
        if parts is None:
            tiers = [self.memory, *(one.segment for one in self.loaded), *self.segments]
            searched = [(tier.table, tier.cut if tier.probed(radius) else None) for tier in tiers if len(tier)]
            parts = self.asked[radius] = Parts(searched, bits, radius, sum(tier.cost(radius) for tier in tiers))
        return parts


class Loaded(NamedTuple):
    """Values that came many at once, of the events up to number `seq`."""

    segment: Segment
    seq: int


class TieredIndex:
    """An exact index that grows at once, is searched without waiting, and hands its values on to segments."""

    def __init__(self, bits: int, radius: int) -> None:
        """For values of `bits` bits, built to be searched at `radius`; empty."""
        self.bits, self.radius = bits, radius
        keep_memory()
        self._lock = Lock()
        self._known: dict[int, int] = {}
        self._lanes = _empty(bits, 1024)
        self._state = _State((), self._array(0), (), (), {})

    def add(self, values: Iterable[int], seq: int = 0) -> None:
        """Take in the values of the events up to this number; one that is in memory already is noted as of then.

        It may have ended since it first came, and left the segments at a merge that has not heard of it again.
        """
        with self._lock:
            given = dict.fromkeys(values, seq)
            fresh = [value for value in given if value not in self._known]
            self._append(fresh)
            self._known.update(given)
            if not fresh:
                return
            self._state = self._state._replace(asked={}, few=self._few(), memory=self._array(len(self._known)))

    def load(self, words: Words, seq: int) -> None:
        """Take in many values at once (shape (values, bits / 64)), of the events up to this number."""
        segment = build(words, self.radius)
        with self._lock:
            self._state = self._state._replace(asked={}, loaded=(*self._state.loaded, Loaded(segment, seq)))

    def fill(self, parts: Iterable[bytes], seq: int) -> None:
        """The same for all that the store has: many values in each part, big-endian, one after the other."""
        words = from_octets(b"".join(parts), self.bits)
        # No more together than a segment holds.
        for start in range(0, len(words), most(self.bits)):
            self.load(words[start : start + most(self.bits)], seq)

    def search(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all that is stored within `radius` bits of it, each once, nearest first."""
        state = self._state
        if len(values) <= _FEW:
            if (native := kernel()) is not None:
                parts = state.parts(self.bits, radius)
                return list(map(_nearest, map(native.near, repeat(parts), values)))
            return [_nearest(self._near(state, value, radius)) for value in values]
        queries, found = pack(values, self.bits), dict[tuple[int, int], int]()
        for tier in (state.memory, *(one.segment for one in state.loaded), *state.segments):
            hits = tier.search(queries, radius)
            if len(hits.rows):
                found.update(_spelled(tier, hits))
        answer: list[list[Neighbor]] = [[] for _ in values]
        for (position, value), distance in found.items():
            answer[position].append(Neighbor(distance, value))
        for neighbors in answer if found else ():
            neighbors.sort()
        return answer

    def _near(self, state: _State, value: int, radius: int) -> list[tuple[int, int]]:
        """Distance and value of all near one value, some twice."""
        found: list[tuple[int, int]] = []
        if state.few:
            found.extend((apart, one) for one in state.few if (apart := (one ^ value).bit_count()) <= radius)
        elif len(state.memory):
            found.extend(state.memory.near(value, radius))
        for one in state.loaded:
            found.extend(one.segment.near(value, radius))
        for segment in state.segments:
            found.extend(segment.near(value, radius))
        return found

    def __len__(self) -> int:
        """How many values the tiers hold; one that is in several counts several times."""
        return self.in_memory + sum(map(len, self._state.segments))

    @property
    def in_memory(self) -> int:
        """How many values no file holds yet."""
        return len(self._state.memory) + sum(len(one.segment) for one in self._state.loaded)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments that files hold, oldest first."""
        return self._state.segments

    def snapshot(self) -> Words:
        """The values that no file holds yet."""
        state, every = self._state, slice(None)
        return np.concatenate([state.memory.words(every), *(one.segment.words(every) for one in state.loaded)])

    def adopt(self, segments: Sequence[Segment], last_seq: int) -> None:
        """Go on with other segments, which hold every value of the events up to number `last_seq`."""
        with self._lock:
            left = {value: seq for value, seq in self._known.items() if seq > last_seq}
            # New lanes: whoever searches now still reads the old ones.
            self._lanes, self._known = _empty(self.bits, max(1024, len(left))), {}
            self._append(list(left))
            self._known = left
            loaded = tuple(one for one in self._state.loaded if one.seq > last_seq)
            before, self._state = self._state, _State(self._few(), self._array(len(left)), loaded, tuple(segments), {})
        if not {*before.loaded, *before.segments} <= {*loaded, *segments}:
            _let_go_later([before])

    def _append(self, values: Sequence[int]) -> None:
        """Put values behind those in memory, where nobody who searches reads yet."""
        start, count = len(self._known), len(self._known) + len(values)
        if count > len(self._lanes[0]):
            self._lanes = [_grown(lane, max(count, 2 * len(lane))) for lane in self._lanes]
        for lane, part in zip(self._lanes, np.hsplit(pack(values, self.bits), len(self._lanes)), strict=True):
            lane[start:count] = part

    def _few(self) -> tuple[int, ...]:
        return tuple(self._known) if len(self._known) <= PLAIN else ()

    def _array(self, count: int) -> Segment:
        return Segment([lane[:count] for lane in self._lanes], Chunks(self.bits, ()))


def _let_go_later(states: list[_State]) -> None:
    """Whoever is the last to let go of millions of values gives their pages back, for 0.1 s: no search shall be."""
    timer = Timer(_MOMENT, states.clear)
    timer.daemon = True
    timer.start()


def _nearest(found: list[tuple[int, int]]) -> list[Neighbor]:
    """Each once, nearest first."""
    return list(map(Neighbor._make, sorted(set(found)) if len(found) > 1 else found))


def _spelled(tier: Segment, hits: Hits) -> Iterator[tuple[tuple[int, int], int]]:
    positions, distances = hits.queries.tolist(), hits.distances.tolist()
    return zip(zip(positions, unpack(tier.words(hits.rows)), strict=True), distances, strict=True)


def _empty(bits: int, room: int) -> list[Lane]:
    width = 1 if bits == 64 else 2
    return [_lane(room, width) for _ in range(bits // 64 // width)]


def _grown(lane: Lane, room: int) -> Lane:
    larger = _lane(room, lane.shape[1])
    larger[: len(lane)] = lane
    return larger


def _lane(room: int, width: int) -> Lane:
    """Row by row for the kernel; column by column for NumPy, which scans it so."""
    return np.empty((room, width), np.uint64, "F" if kernel() is None else "C")
