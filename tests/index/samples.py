"""Values to store and to ask for, what plain Python finds among them, and indexes whose values stand in segments."""

from __future__ import annotations

import random
from collections.abc import Iterable
from threading import Lock
from typing import get_args

import numpy as np

from hashdb.domain.matching.matches import Neighbor
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, build_segment
from hashdb.index.tiered import TieredIndex
from hashdb.index.vectors import Hits, Words
from hashdb.settings import Settings

ENGINES: tuple[str, ...] = get_args(Settings.model_fields["index"].annotation)
"""Each engine that HASHDB_INDEX names."""
SKEWED = ["equal", "zeros", "bucket", "complements", "neighbors"]


def plainly(stored: set[int], value: int, radius: int) -> list[Neighbor]:
    """What a search must find."""
    found = (Neighbor((one ^ value).bit_count(), one) for one in stored)
    return sorted(neighbor for neighbor in found if neighbor.distance <= radius)


def at_distance(value: int, distance: int, bits: int, rng: random.Random) -> int:
    """Some value that many bits away."""
    return value ^ sum(1 << bit for bit in rng.sample(range(bits), distance))


def clusters(bits: int, rng: random.Random) -> list[int]:
    """Values around a few centres, at every distance from them, and the centres' complements."""
    centres = [rng.getrandbits(bits) for _ in range(4)]
    around = [at_distance(one, distance, bits, rng) for one in centres for distance in range(0, bits + 1, 5)]
    return centres + around + [one ^ (2**bits - 1) for one in centres]


def skewed(kind: str, count: int, bits: int, rng: random.Random) -> list[int]:
    """Values that are not spread evenly."""
    even = [rng.getrandbits(bits) for _ in range(count)]
    if kind == "equal":
        return [even[0]] * count
    if kind == "zeros":  # nearly every chunk of nearly every value
        return [at_distance(0, rng.randrange(6), bits, rng) for _ in even]
    if kind == "bucket":  # 5 % share every chunk but the last three
        return [even[0] >> 48 << 48 | one & 2**48 - 1 if i % 20 == 0 else one for i, one in enumerate(even)]
    if kind == "complements":
        return even[::2] + [one ^ (2**bits - 1) for one in even[::2]]
    assert kind == "neighbors"
    return [at_distance(even[0], rng.randrange(bits // 4), bits, rng) for _ in even]


def cut_small(bits: int) -> Chunks:
    """A cut whose tables are small and whose chunks lie across the borders of words."""
    return Chunks(bits, (12,) * (bits // 12) + (bits % 12,))


class Probing(Segment):
    """A segment that looks up wherever that is possible at all, however few its values are."""

    def search(self, queries: Words, radius: int) -> Hits:
        if self.chunks.widths and self.chunks.probes(radius) <= 30_000:
            return self.probe(queries, radius)
        return super().search(queries, radius)


def probing(words: Words, radius: int) -> Segment:
    """Values in such a segment."""
    made = build_segment(words, radius, cut_small(words.shape[1] * 64))
    return Probing(made.lanes, made.chunks, made.offsets, made.entries)


class SegmentedIndex(TieredIndex):
    """Tiers whose values go on into segments at every second add, and stand in several of them for a while."""

    def __init__(self, bits: int) -> None:
        super().__init__(bits, bits // 8)
        self._adding, self._times = Lock(), 0

    def add(self, values: Iterable[int], seq: int = 0) -> None:
        with self._adding:
            self._times += 1
            super().add(values, self._times)
            held = self.snapshot()
            if self._times % 2:
                # What this add brought stays in memory too.
                self.adopt([*self.segments, probing(held, self.radius)], self._times - 1)
            else:
                self.load(held[::2], self._times)
            if len(self.segments) > 3:
                words = np.concatenate([one.words(slice(None)) for one in self.segments])
                self.adopt([probing(words, self.radius)], self._times - 2)

    def __len__(self) -> int:
        return len(self.search([0], self.bits)[0])
