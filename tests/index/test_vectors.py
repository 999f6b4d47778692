"""The search in NumPy, with one value and with many."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hashdb.index import vectors
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, build_segment
from hashdb.index.vectors import pack, unpack
from tests.index.samples import (
    SKEWED_KINDS,
    at_distance,
    clustered_values,
    find_by_scan,
    for_every_length,
    lookup_count,
    skewed_values,
    small_chunks,
)


def without_tables(segment: Segment) -> Segment:
    return Segment(segment.lanes, Chunks(segment.chunks.bits, ()))


@for_every_length
@pytest.mark.parametrize("kind", ["clusters", *SKEWED_KINDS])
def test_a_search_of_one_value_equals_plain_python(bits: int, kind: str) -> None:
    rng = random.Random(f"{bits}{kind}")
    stored = clustered_values(bits, rng) if kind == "clusters" else skewed_values(kind, 300, bits, rng)
    segment = build_segment(pack(stored, bits), 4, small_chunks(bits))
    for value in [*stored[:6], at_distance(stored[0], 3, bits, rng), 0, 2**bits - 1]:
        for radius in (0, 1, 5, bits // 12, bits // 3, bits):
            right = [tuple(neighbor) for neighbor in find_by_scan(set(stored), value, radius)]
            assert sorted(vectors.near(segment, value, radius, probing=False)) == right
            assert sorted(vectors.near(without_tables(segment), value, radius, probing=False)) == right
            if lookup_count(segment.chunks, radius) < 20_000:
                assert sorted(set(vectors.near(segment, value, radius, probing=True))) == right


@for_every_length
def test_column_major_lanes_give_the_same_hits(bits: int) -> None:
    rng = random.Random(bits)
    stored = clustered_values(bits, rng)
    rows = build_segment(pack(stored, bits), 4, Chunks(bits, ()))
    columns = Segment([np.asfortranarray(lane) for lane in rows.lanes], rows.chunks)
    queries = pack(stored[:5], bits)
    for radius in (0, 7, bits // 4):
        hits, expected = vectors.scan(columns, queries, radius), vectors.scan(rows, queries, radius)
        assert all(np.array_equal(array, right) for array, right in zip(hits, expected, strict=True))
        of_columns, of_rows = (vectors.near(segment, stored[0], radius, probing=False) for segment in (columns, rows))
        assert list(of_columns) == list(of_rows)


@for_every_length
def test_queries_in_blocks_find_the_same_as_single_queries(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(bits)
    stored = clustered_values(bits, rng)
    segment = build_segment(pack(stored, bits), 4, small_chunks(bits))
    queries = pack(stored[:50], bits)
    alone = [vectors.probe(segment, query[None], 9) for query in queries]
    for room in (1, 100, 10_000, 10**7):
        monkeypatch.setattr(vectors, "BLOCK_LOOKUPS", room)
        together = vectors.probe(segment, queries, 9)
        for position, hits in enumerate(alone):
            is_of_query = together.queries == position
            values = unpack(segment.words(together.rows[is_of_query]))
            assert sorted(zip(together.distances[is_of_query].tolist(), values, strict=True)) == sorted(
                zip(hits.distances.tolist(), unpack(segment.words(hits.rows)), strict=True)
            )
            assert values


def test_distances_of_complements_do_not_wrap() -> None:
    stored = [0, 2**256 - 1]
    segment = build_segment(pack(stored, 256), 4, Chunks(256, ()))
    assert sorted(vectors.near(segment, 0, 256, probing=False)) == [(0, 0), (256, 2**256 - 1)]
    assert sorted(vectors.scan(segment, pack([0], 256), 256).distances.tolist()) == [0, 256]
