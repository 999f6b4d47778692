"""The C kernel finds what NumPy and plain counting find, on segments with any chunks."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.index import kernel as kernels
from hashdb.index import segment as segments
from hashdb.index import vectors
from hashdb.index.bktree import BKTreeIndex
from hashdb.index.kernel import Kernel, Parts, SearchResults, Table, implementation_name, kernel
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, build_segment
from hashdb.index.vectors import Lane, Words, distinct, pack, unpack
from tests.index.samples import at_distance, for_every_length, lookup_count

_PROBES = 60_000
"""The most chunk values that a generated case looks up."""


@pytest.fixture(scope="module")
def native() -> Kernel:
    """The compiled kernel."""
    if (compiled := kernel()) is None:
        pytest.skip("the index's kernel was not built: install hashdb where there is a C compiler (gcc or clang)")
    return compiled


def cut_into(words: Words, cut: Chunks, order: Kernel | None = None) -> Segment:
    """A segment of distinct values with the given chunks, ordered by NumPy or by the kernel."""
    rows, width = len(words), 1 if cut.bits == 64 else 2
    lanes: list[Lane] = [np.ascontiguousarray(words[:, at : at + width]) for at in range(0, words.shape[1], width)]
    offsets = np.empty(cut.bases[-1], np.uint32)
    entries = np.empty(rows * len(cut.widths), np.uint64 if cut.bits == 64 else np.uint32)
    for chunk, (shift, size) in enumerate(zip(cut.shifts, cut.widths, strict=True)):
        start, base = chunk * rows, cut.bases[chunk]
        table, into = offsets[base : base + (1 << size) + 1], entries[start : start + rows]
        if order is None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(segments, "kernel", lambda: None)
                segments.sort_chunk(words, shift, size, start, table, into, np.empty(rows, np.uint64))
        else:
            order.order(words, shift, size, start, table, into)
    return Segment(lanes, cut, offsets, entries)


def table_of(segment: Segment) -> Table:
    return segment.table


def sorted_hits(results: SearchResults) -> list[tuple[int, int, int]]:
    """Query, row and distance of each hit, sorted."""
    count = results.struct.count
    columns = (results.queries[:count], results.rows[:count], results.distances[:count])
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def count_hits(words: Words, queries: Words, radius: int) -> list[tuple[int, int, int]]:
    """Query, row and distance of each hit, sorted, by counting bits."""
    distances = np.bitwise_count(queries[:, None] ^ words).sum(axis=2, dtype=np.uint16)
    numbers, rows = np.nonzero(distances <= radius)
    return list(zip(numbers.tolist(), rows.tolist(), distances[numbers, rows].tolist(), strict=True))


def numpy_hits(segment: Segment, queries: Words, radius: int) -> list[tuple[int, int, int]]:
    """Query, row and distance of each hit, sorted, by the same tables without the kernel."""
    hits = vectors.probe(segment, queries, radius)
    return sorted(zip(*(np.asarray(column).tolist() for column in hits), strict=True))


def values_of_kind(kind: str, count: int, bits: int, rng: random.Random) -> list[int]:
    """Values that are distributed evenly, or unevenly in the given way."""
    spread = [rng.getrandbits(bits) for _ in range(count)]
    match kind:
        case "equal":
            return [spread[0]] * count if count else []
        case "flat":
            # Only a few bits are set: nearly every chunk of nearly every value is zero.
            return [at_distance(0, rng.randrange(4), bits, rng) for _ in spread]
        case "bucket":
            return [value >> 40 << 40 if number % 20 == 0 else value for number, value in enumerate(spread)]
        case "complements":
            return [value ^ (2**bits - 1) if number % 2 else spread[0] for number, value in enumerate(spread)]
        case _:
            return spread


@st.composite
def any_chunks(draw: st.DrawFn, bits: int) -> Chunks:
    """Any chunks of 8 to 24 bits, which may span two words. Few are wide, because large tables take time."""
    widths: list[int] = []
    while left := bits - sum(widths):
        most = min(24 if draw(st.integers(0, 9)) == 9 and max(widths, default=0) <= 16 else 16, left)
        fits = [width for width in range(8, most + 1) if left - width >= 8 or left == width]
        widths.append(draw(st.sampled_from(fits)))
    return Chunks(bits, tuple(widths))


@st.composite
def any_radius(draw: st.DrawFn, cut: Chunks) -> int:
    """Any radius from 0 to all bits, reduced until it looks up at most `_PROBES` chunk values."""
    radius = draw(st.integers(0, cut.bits))
    while lookup_count(cut, radius) > _PROBES:
        radius = radius * 3 // 4
    return radius


@for_every_length
@given(data=st.data())
def test_the_kernel_and_numpy_find_what_counting_finds(native: Kernel, bits: int, data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    kind = data.draw(st.sampled_from(["spread", "equal", "flat", "bucket", "complements"]))
    cut = data.draw(any_chunks(bits))
    radius = data.draw(any_radius(cut))
    stored = values_of_kind(kind, data.draw(st.sampled_from([0, 1, 2, 15, 16, 17, 300])), bits, rng)
    queried = [rng.getrandbits(bits), 0, 2**bits - 1, *stored[:5], *(value ^ (2**bits - 1) for value in stored[:2])]
    # Also store values exactly at the radius, and one bit beyond it.
    stored += [at_distance(value, min(radius + beyond, bits), bits, rng) for value in queried[:3] for beyond in (0, 1)]
    words, queries = distinct(pack(stored, bits)), pack(queried, bits)
    segment, expected = cut_into(words, cut), count_hits(words, queries, radius)
    table = table_of(segment)
    assert sorted_hits(native.scan(table, queries, radius)) == expected
    assert sorted_hits(native.probe(table, cut, queries, radius)) == expected
    assert numpy_hits(segment, queries, radius) == expected


@for_every_length
@pytest.mark.parametrize("kind", ["spread", "flat", "bucket", "complements"])
@pytest.mark.parametrize("count", [127, 128, 1_024, 1_025, 2_100])
def test_a_batch_large_enough_to_be_sorted_finds_what_counting_finds(
    native: Kernel, bits: int, kind: str, count: int
) -> None:
    rng = random.Random(count)
    words = distinct(pack(values_of_kind(kind, 300, bits, rng), bits))
    stored = unpack(words)
    queried = [
        rng.getrandbits(bits) if n % 3 else at_distance(rng.choice(stored), n % 45, bits, rng) for n in range(count)
    ]
    # Chunks with one part, with many parts, and with fewer values than parts. The last chunks have many candidates.
    cut = Chunks(bits, (7, 17, 8, *(16,) * (bits // 16 - 2)))
    segment, radius = cut_into(words, cut), 10 if bits == 64 else 31
    expected = count_hits(words, pack(queried, bits), radius)
    assert len(expected) > count // 20
    assert sorted_hits(native.probe(table_of(segment), cut, pack(queried, bits), radius)) == expected


@for_every_length
def test_a_batch_finds_what_a_bk_tree_finds(native: Kernel, bits: int) -> None:
    rng = random.Random(bits)
    stored = [rng.getrandbits(bits) for _ in range(2_000)]
    stored += [at_distance(value, rng.randrange(12), bits, rng) for value in stored[:500]]
    queried = [at_distance(rng.choice(stored), n % 40, bits, rng) for n in range(150)]
    tree = BKTreeIndex(bits)
    tree.add(stored)
    segment = build_segment(pack(stored, bits), 10, Chunks(bits, (16,) * (bits // 16)))
    for radius in (4, 10) if bits == 64 else (4, 10, 31):
        queries, rows, distances = segment.probe(pack(queried, bits), radius)
        neighbors: list[list[tuple[int, int]]] = [[] for _ in queried]
        hits = zip(queries.tolist(), distances.tolist(), unpack(segment.words(rows)), strict=True)
        for query, distance, value in hits:
            neighbors[query].append((distance, value))
        assert list(map(sorted, neighbors)) == list(map(sorted, tree.search(queried, radius)))
        assert sum(map(len, neighbors)) > 5


@for_every_length
@given(data=st.data())
def test_the_kernel_builds_the_same_tables_as_numpy(native: Kernel, bits: int, data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    kind = data.draw(st.sampled_from(["spread", "equal", "flat", "bucket", "complements"]))
    cut = data.draw(any_chunks(bits))
    words = pack(values_of_kind(kind, data.draw(st.sampled_from([0, 1, 50, 1000])), bits, rng), bits)
    by_kernel, numpy_hits = cut_into(words, cut, native), cut_into(words, cut)
    assert by_kernel.offsets is not None and numpy_hits.offsets is not None
    assert by_kernel.entries is not None and numpy_hits.entries is not None
    assert np.array_equal(by_kernel.offsets, numpy_hits.offsets)
    assert np.array_equal(by_kernel.entries, numpy_hits.entries)


def centre_and_queries(bits: int, count: int) -> tuple[Segment, Words]:
    """A segment of values around a centre, and queries: the centre twice, and two random values."""
    rng = random.Random(count)
    centre = rng.getrandbits(bits)
    stored = [at_distance(centre, rng.randrange(3, 6), bits, rng) for _ in range(count)]
    cut = Chunks(bits, (16,) * (bits // 16))
    queried = [rng.getrandbits(bits), centre, centre, rng.getrandbits(bits)]
    return cut_into(distinct(pack(stored, bits)), cut), pack(queried, bits)


@for_every_length
@pytest.mark.parametrize("count", [2_000, 9_000])
def test_more_hits_than_the_buffer_holds_are_all_returned(native: Kernel, bits: int, count: int) -> None:
    segment, queries = centre_and_queries(bits, count)
    table, expected = table_of(segment), count_hits(segment.words(slice(None)), queries, 8)
    assert len(expected) == 2 * len(segment)
    assert sorted_hits(native.probe(table, segment.chunks, queries, 8)) == expected
    assert sorted_hits(native.scan(table, queries, 8)) == expected
    # The next search has its own result in the larger buffer.
    assert sorted_hits(native.probe(table, segment.chunks, queries[:1], 8)) == []


def test_a_very_large_buffer_of_hits_is_not_reused(native: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "MAX_KEPT_ROOM", 5_000)
    segment, queries = centre_and_queries(64, 9_000)
    table, native = table_of(segment), Kernel(native.path)
    results = native.scan(table, queries, 8)
    before = sorted_hits(results)
    assert len(before) > 5_000
    assert sorted_hits(native.scan(table, queries[:1], 8)) == []
    assert sorted_hits(results) == before


@for_every_length
@pytest.mark.parametrize("rows", [0, 3])
def test_no_queries_or_no_values_give_no_hits(native: Kernel, bits: int, rows: int) -> None:
    words, cut = pack(list(range(rows)), bits), Chunks(bits, (16,) * (bits // 16))
    table, none = table_of(cut_into(words, cut)), np.empty((0, bits // 64), np.uint64)
    for queries in [none] if rows else [none, pack([0, 1], bits)]:
        assert sorted_hits(native.probe(table, cut, queries, 5)) == []
        assert sorted_hits(native.scan(table, queries, bits)) == []


@for_every_length
def test_too_many_candidates_are_scanned_with_the_same_result(
    native: Kernel, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment, queries = centre_and_queries(bits, 3_000)
    table, expected = table_of(segment), count_hits(segment.words(slice(None)), queries, 4)
    for candidate in (1, 2, 10, 100, 10**9):
        monkeypatch.setattr(kernels, "ROWS_A_CANDIDATE", candidate)
        assert sorted_hits(native.probe(table, segment.chunks, queries, 4)) == expected


@for_every_length
def test_threads_that_search_at_once_get_their_own_results(native: Kernel, bits: int) -> None:
    segment, queries = centre_and_queries(bits, 3_000)
    table = table_of(segment)

    def search(number: int) -> bool:
        radius, queried = number % 7, queries[number % 4 :]
        expected = count_hits(segment.words(slice(None)), queried, radius)
        return all(sorted_hits(native.probe(table, segment.chunks, queried, radius)) == expected for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(search, range(32)))


def search_parts(segments: list[Segment], radius: int, cost: float) -> Parts:
    """The segments as parts of one search: the last one is scanned, the others use their tables."""
    any_chunks = [segment.chunks for segment in segments[:-1]] + [None]
    tables = [segment.table for segment in segments]
    return Parts(list(zip(tables, any_chunks, strict=True)), segments[0].chunks.bits, radius, cost)


@for_every_length
@given(data=st.data())
def test_one_value_is_searched_in_several_segments_at_once(native: Kernel, bits: int, data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    kinds = ["spread", "equal", "flat", "bucket", "complements"]
    cut = data.draw(any_chunks(bits))
    radius = data.draw(any_radius(cut))
    groups = [
        values_of_kind(data.draw(st.sampled_from(kinds)), data.draw(st.sampled_from([0, 1, 40])), bits, rng)
        for _ in "abc"
    ]
    queried = [0, 2**bits - 1, *(value for group in groups for value in group[:2])]
    for group in groups:
        group += [at_distance(queried[-1], min(radius + beyond, bits), bits, rng) for beyond in (0, 1)]
    parts = search_parts(
        [cut_into(distinct(pack(group, bits)), cut, native) for group in groups],
        radius,
        data.draw(st.integers(0, 10**6)),
    )
    for value in queried:
        expected = [((stored ^ value).bit_count(), stored) for group in groups for stored in set(group)]
        assert sorted(native.near(parts, value)) == sorted(pair for pair in expected if pair[0] <= radius)


@for_every_length
def test_more_values_than_the_buffer_holds_are_all_returned(native: Kernel, bits: int) -> None:
    segment, queries = centre_and_queries(bits, 5_000)
    [centre] = unpack(queries[1:2])
    parts = search_parts([segment, segment], 8, 0)
    assert len(native.near(parts, centre)) == 2 * len(segment) > kernels.FIRST_ROOM
    assert set(native.near(parts, centre)) == {
        ((value ^ centre).bit_count(), value) for value in unpack(segment.words(slice(None)))
    }


def test_a_value_with_too_many_bits_is_rejected(native: Kernel) -> None:
    segment, _ = centre_and_queries(64, 100)
    with pytest.raises(OverflowError):
        native.near(search_parts([segment], 8, 0), 2**64)


@pytest.mark.parametrize("damaged_part", ["offsets", "entries"])
def test_damaged_tables_raise_an_error_and_do_not_crash(native: Kernel, damaged_part: str) -> None:
    rng = random.Random(1)
    words = distinct(pack(values_of_kind("spread", 100, 256, rng), 256))
    segment = cut_into(words, Chunks(256, (16,) * 16))
    assert segment.offsets is not None and segment.entries is not None
    if damaged_part == "offsets":
        segment.offsets[:] = np.random.default_rng(1).integers(0, 2**32, len(segment.offsets), np.uint32)
    else:
        segment.entries[:] = 2**31
    with pytest.raises(IndexError):
        native.probe(table_of(segment), segment.chunks, words[:1], 15)
    with pytest.raises(IndexError):
        native.near(search_parts([segment, segment], 15, 0), unpack(words[:1])[0])


def test_a_missing_or_outdated_library_is_rejected(native: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match=r"/no/such"):
        Kernel("/no/such.so")
    monkeypatch.setattr(kernels, "VERSION", -1)
    with pytest.raises(OSError, match="is from another version"):
        Kernel(native.path)


@pytest.mark.parametrize(("switch", "expected"), [("0", "NumPy"), ("1", None)])
def test_the_setting_hashdb_kernel_can_switch_the_kernel_off(switch: str, expected: str | None) -> None:
    program = "from hashdb.index.kernel import implementation_name; print(implementation_name())"
    process = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"HASHDB_KERNEL": switch},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert process.stdout.strip() == (expected or implementation_name())
