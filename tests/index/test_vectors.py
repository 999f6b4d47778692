"""The search in NumPy, of one value and of many."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hashdb.index import vectors
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, build_segment
from hashdb.index.vectors import pack, unpack
from tests.index.samples import SKEWED, at_distance, clusters, cut_small, plainly, skewed

of_every_length = pytest.mark.parametrize("bits", [64, 256])


def without_tables(segment: Segment) -> Segment:
    return Segment(segment.lanes, Chunks(segment.chunks.bits, ()))


@of_every_length
@pytest.mark.parametrize("kind", ["clusters", *SKEWED])
def test_what_is_near_one_value_is_what_plain_python_finds(bits: int, kind: str) -> None:
    rng = random.Random(f"{bits}{kind}")
    stored = clusters(bits, rng) if kind == "clusters" else skewed(kind, 300, bits, rng)
    segment = build_segment(pack(stored, bits), 4, cut_small(bits))
    for value in [*stored[:6], at_distance(stored[0], 3, bits, rng), 0, 2**bits - 1]:
        for radius in (0, 1, 5, bits // 12, bits // 3, bits):
            right = [tuple(one) for one in plainly(set(stored), value, radius)]
            assert sorted(vectors.near(segment, value, radius, probing=False)) == right
            assert sorted(vectors.near(without_tables(segment), value, radius, probing=False)) == right
            if segment.chunks.probes(radius) < 20_000:
                assert sorted(set(vectors.near(segment, value, radius, probing=True))) == right


@of_every_length
def test_lanes_may_stand_column_by_column(bits: int) -> None:
    rng = random.Random(bits)
    stored = clusters(bits, rng)
    rows = build_segment(pack(stored, bits), 4, Chunks(bits, ()))
    columns = Segment([np.asfortranarray(lane) for lane in rows.lanes], rows.chunks)
    queries = pack(stored[:5], bits)
    for radius in (0, 7, bits // 4):
        ours, theirs = vectors.scan(columns, queries, radius), vectors.scan(rows, queries, radius)
        assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))
        one, other = (vectors.near(segment, stored[0], radius, probing=False) for segment in (columns, rows))
        assert list(one) == list(other)


@of_every_length
def test_blocks_of_queries_answer_as_each_alone(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(bits)
    stored = clusters(bits, rng)
    segment = build_segment(pack(stored, bits), 4, cut_small(bits))
    queries = pack(stored[:50], bits)
    alone = [vectors.probe(segment, query[None], 9) for query in queries]
    for room in (1, 100, 10_000, 10**7):
        monkeypatch.setattr(vectors, "BLOCK_LOOKUPS", room)
        together = vectors.probe(segment, queries, 9)
        for position, hits in enumerate(alone):
            mine = together.queries == position
            values = unpack(segment.words(together.rows[mine]))
            assert sorted(zip(together.distances[mine].tolist(), values, strict=True)) == sorted(
                zip(hits.distances.tolist(), unpack(segment.words(hits.rows)), strict=True)
            )
            assert values


def test_distances_of_complements_do_not_wrap() -> None:
    stored = [0, 2**256 - 1]
    segment = build_segment(pack(stored, 256), 4, Chunks(256, ()))
    assert sorted(vectors.near(segment, 0, 256, probing=False)) == [(0, 0), (256, 2**256 - 1)]
    assert sorted(vectors.scan(segment, pack([0], 256), 256).distances.tolist()) == [0, 256]
