"""Values to store and to search, a search in plain Python, and indexes whose values are in segments."""

from __future__ import annotations

import random
from collections.abc import Iterable
from threading import Lock
from typing import get_args

import numpy as np
import pytest

from hashdb.domain.matching.matches import Neighbor
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, build_segment
from hashdb.index.tiered import TieredIndex
from hashdb.index.vectors import Hits, Words
from hashdb.settings import Settings

ENGINES: tuple[str, ...] = get_args(Settings.model_fields["index"].annotation)
"""Every engine that HASHDB_INDEX can name."""
for_every_length = pytest.mark.parametrize("bits", [64, 256])
SKEWED_KINDS = ["equal", "zeros", "bucket", "complements", "neighbors"]


def find_by_scan(stored: set[int], value: int, radius: int) -> list[Neighbor]:
    """The neighbors that a search must find, by counting bits in plain Python."""
    neighbors = (Neighbor((other ^ value).bit_count(), other) for other in stored)
    return sorted(neighbor for neighbor in neighbors if neighbor.distance <= radius)


def at_distance(value: int, distance: int, bits: int, rng: random.Random) -> int:
    """A random value at this distance."""
    return value ^ sum(1 << bit for bit in rng.sample(range(bits), distance))


def clustered_values(bits: int, rng: random.Random) -> list[int]:
    """Values around a few centres, at every distance from them, and the centres' complements."""
    centres = [rng.getrandbits(bits) for _ in range(4)]
    around = [at_distance(centre, distance, bits, rng) for centre in centres for distance in range(0, bits + 1, 5)]
    return centres + around + [centre ^ (2**bits - 1) for centre in centres]


def skewed_values(kind: str, count: int, bits: int, rng: random.Random) -> list[int]:
    """Values that are distributed unevenly in the given way."""
    even = [rng.getrandbits(bits) for _ in range(count)]
    if kind == "equal":
        return [even[0]] * count
    if kind == "zeros":  # nearly every chunk of nearly every value is zero
        return [at_distance(0, rng.randrange(6), bits, rng) for _ in even]
    if kind == "bucket":  # 5 % share every chunk but the last three
        return [even[0] >> 48 << 48 | value & 2**48 - 1 if i % 20 == 0 else value for i, value in enumerate(even)]
    if kind == "complements":
        return even[::2] + [value ^ (2**bits - 1) for value in even[::2]]
    assert kind == "neighbors"
    return [at_distance(even[0], rng.randrange(bits // 4), bits, rng) for _ in even]


def small_chunks(bits: int) -> Chunks:
    """Chunks with small tables. Some chunks cross the border between two words."""
    return Chunks(bits, (12,) * (bits // 12) + (bits % 12,))


def lookup_count(chunks: Chunks, radius: int) -> int:
    """The number of look-ups of a query."""
    return chunks.expected_per_query(0, radius)[0]


class ProbingSegment(Segment):
    """A segment that uses its tables whenever possible, even if it has few values."""

    def search(self, queries: Words, radius: int) -> Hits:
        if self.chunks.widths and lookup_count(self.chunks, radius) <= 30_000:
            return self.probe(queries, radius)
        return super().search(queries, radius)


def probing_segment(words: Words, radius: int) -> Segment:
    """A ProbingSegment of these values."""
    segment = build_segment(words, radius, small_chunks(words.shape[1] * 64))
    return ProbingSegment(segment.lanes, segment.chunks, segment.offsets, segment.entries)


class SegmentedIndex(TieredIndex):
    """An index that moves its values into segments at every second add. Some values are in several segments."""

    def __init__(self, bits: int) -> None:
        super().__init__(bits, bits // 8)
        self._add_lock, self._adds = Lock(), 0

    def add(self, values: Iterable[int], seq: int = 0) -> None:
        with self._add_lock:
            self._adds += 1
            super().add(values, self._adds)
            in_memory = self.snapshot()
            if self._adds % 2:
                # The values of this add also stay in memory.
                self.adopt([*self.segments, probing_segment(in_memory, self.radius)], self._adds - 1)
            else:
                self.load(in_memory[::2], self._adds)
            if len(self.segments) > 3:
                words = np.concatenate([segment.words(slice(None)) for segment in self.segments])
                self.adopt([probing_segment(words, self.radius)], self._adds - 2)

    def __len__(self) -> int:
        return len(self.search([0], self.bits)[0])
