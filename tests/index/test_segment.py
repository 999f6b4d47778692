"""Segments: tables and scan find the same values with any chunks, with the kernel and without it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from hashdb.index import segment as segments
from hashdb.index.kernel import kernel
from hashdb.index.plan import Chunks, worth_verifying
from hashdb.index.segment import Segment, build_segment, max_values
from hashdb.index.vectors import Hits, pack, unpack
from tests.index.samples import SKEWED_KINDS, at_distance, find_by_scan, for_every_length, lookup_count, skewed_values

SortedHits = list[tuple[int, int, int]]


@pytest.fixture(params=["numpy", "kernel"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The implementation that searches: the kernel or NumPy."""
    if request.param == "numpy":
        monkeypatch.setenv("HASHDB_KERNEL", "0")
    kernel.cache_clear()
    if request.param == "kernel" and kernel() is None:
        pytest.skip("the index's kernel was not built: install hashdb where there is a C compiler (gcc or clang)")
    yield request.param
    kernel.cache_clear()


def sorted_hits(segment: Segment, hits: Hits) -> SortedHits:
    """Query, distance and value of each hit, in order."""
    values = unpack(segment.words(hits.rows))
    return sorted(zip(hits.queries.tolist(), hits.distances.tolist(), values, strict=True))


def expected_hits(stored: list[int], queries: list[int], radius: int) -> SortedHits:
    """Query, distance and value of each hit by plain Python, in order."""
    return sorted(
        (position, neighbor.distance, neighbor.value)
        for position, query in enumerate(queries)
        for neighbor in find_by_scan(set(stored), query, radius)
    )


def equal_chunks(bits: int, width: int) -> Chunks:
    return Chunks(bits, (width,) * (bits // width) + ((bits % width,) if bits % width else ()))


@for_every_length
@pytest.mark.parametrize("width", [1, 3, 8, 13, 16, 20])
@pytest.mark.parametrize("kind", ["even", *SKEWED_KINDS])
def test_tables_and_scan_find_what_plain_python_finds(engine: str, bits: int, width: int, kind: str) -> None:
    rng = random.Random(f"{bits}{width}{kind}")
    stored = [rng.getrandbits(bits) for _ in range(150)] if kind == "even" else skewed_values(kind, 150, bits, rng)
    # More than one block of queries.
    queries = [*stored[:30], *(at_distance(value, 5, bits, rng) for value in stored[:8]), 0, 2**bits - 1]
    cut = equal_chunks(bits, width)
    segment, queried = build_segment(pack(stored, bits), 8, cut), pack(queries, bits)
    assert segment.chunks == cut
    assert sorted(unpack(segment.words(slice(None)))) == sorted(set(stored))
    all_hits = expected_hits(stored, queries, bits)
    for radius in (0, 1, 5, bits // width, bits // 8, bits // 3, bits):
        right = [hit for hit in all_hits if hit[1] <= radius]
        assert sorted_hits(segment, segment.scan(queried, radius)) == right
        assert sorted_hits(segment, segment.search(queried, radius)) == right
        if lookup_count(cut, radius) < 5_000:
            assert sorted_hits(segment, segment.probe(queried, radius)) == right


@for_every_length
def test_one_batch_can_mix_scanned_and_looked_up_queries(engine: str, bits: int) -> None:
    rng = random.Random(bits)
    # Half of the values share their first chunk, so a query with this chunk has half of the values as candidates.
    crowd = [rng.getrandbits(bits - 16) for _ in range(1_000)]
    strangers = [rng.getrandbits(bits) for _ in range(1_000)]
    queries = [crowd[0], strangers[0], at_distance(strangers[1], 2, bits, rng), crowd[1], rng.getrandbits(bits)]
    segment = build_segment(pack(crowd + strangers, bits), 4, equal_chunks(bits, 16))
    assert not worth_verifying(len(crowd), len(segment), bits)
    for radius in (0, 1, 3, bits // 16):
        hits = segment.probe(pack(queries, bits), radius)
        assert sorted_hits(segment, hits) == expected_hits(crowd + strangers, queries, radius)


@for_every_length
def test_a_row_that_several_chunks_find_is_returned_once(engine: str, bits: int) -> None:
    rng = random.Random(bits)
    stored = [rng.getrandbits(bits) for _ in range(200)]
    segment = build_segment(pack(stored, bits), 8, equal_chunks(bits, 16))
    for count in (1, 2, 40):
        hits = segment.probe(pack(stored[:count], bits), 2)
        assert sorted_hits(segment, hits) == [(position, 0, value) for position, value in enumerate(stored[:count])]


@for_every_length
def test_a_search_without_values_or_queries_finds_nothing(engine: str, bits: int) -> None:
    empty = build_segment(pack([], bits), 4)
    assert (len(empty), unpack(empty.words(slice(None)))) == (0, [])
    assert len(empty.search(pack([1, 2], bits), bits).rows) == 0
    for cut in (None, equal_chunks(bits, 16)):
        segment = build_segment(pack([1, 2], bits), 4, cut)
        assert len(segment.search(pack([], bits), bits).rows) == 0


@for_every_length
def test_many_values_get_tables_and_few_do_not(bits: int) -> None:
    rng = np.random.default_rng(bits)
    words = rng.integers(0, 2**64, (200_000, bits // 64), np.uint64)
    assert build_segment(words, 4).offsets is not None
    assert build_segment(words[:1_000], 4).offsets is None


@for_every_length
def test_a_large_segment_finds_what_a_scan_finds(engine: str, bits: int) -> None:
    rng = np.random.default_rng(bits)
    words = rng.integers(0, 2**64, (200_000, bits // 64), np.uint64)
    segment = build_segment(words, bits // 9)
    assert segment.chunks.widths
    queries = words[:50].copy()
    queries[::2, 0] ^= np.uint64(0b10110)
    for radius in (0, 3, bits // 9, bits // 4):
        for queried in (queries, queries[:1]):
            assert sorted_hits(segment, segment.search(queried, radius)) == sorted_hits(
                segment, segment.scan(queried, radius)
            )
    assert len(segment.search(queries, 3).rows) >= 50


@for_every_length
def test_both_engines_make_the_same_tables(monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    words = np.random.default_rng(bits).integers(0, 2**64, (500, bits // 64), np.uint64)
    built = []
    for value in ("1", "0"):
        monkeypatch.setenv("HASHDB_KERNEL", value)
        kernel.cache_clear()
        built.append(build_segment(words, 4, equal_chunks(bits, 12)))
    kernel.cache_clear()
    by_kernel, by_numpy = built
    for native, plain in ((by_kernel.offsets, by_numpy.offsets), (by_kernel.entries, by_numpy.entries)):
        assert native is not None and plain is not None and native.dtype == plain.dtype
        assert np.array_equal(native, plain)


def test_a_segment_with_too_many_values_for_its_tables_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert max_values(64) * 8 < 2**32 <= (max_values(64) + 1) * 8
    assert max_values(256) * 32 < 2**32 <= (max_values(256) + 1) * 32
    monkeypatch.setattr(segments, "MAX_ENTRIES", 799)
    words = pack(list(range(100)), 64)
    assert len(build_segment(words[:99], 4, Chunks(64, (8,) * 8))) == max_values(64) == 99
    with pytest.raises(ValueError, match="a segment cannot hold 100 values"):
        build_segment(words, 4, Chunks(64, (8,) * 8))
