"""The C kernel, held against NumPy and against plain counting, on segments whose cuts are anything."""

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
from hashdb.index.kernel import Kernel, Parts, SearchResults, Table, implementation, kernel
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, build_segment
from hashdb.index.vectors import Lane, Words, distinct, pack, unpack

_PROBES = 60_000
"""Chunk values that a drawn case asks for at most."""
of_every_length = pytest.mark.parametrize("bits", [64, 256])


@pytest.fixture(scope="module")
def native() -> Kernel:
    """The kernel."""
    if (found := kernel()) is None:
        pytest.skip("the index's kernel was not built: install hashdb where there is a C compiler (gcc or clang)")
    return found


def cut_into(words: Words, cut: Chunks, order: Kernel | None = None) -> Segment:
    """A segment of distinct values by a given cut, ordered by NumPy, or by the kernel."""
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


def told(found: SearchResults) -> list[tuple[int, int, int]]:
    """What was found, in order: query, row, distance."""
    count = found.struct.count
    columns = (found.queries[:count], found.rows[:count], found.distances[:count])
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def plainly(words: Words, queries: Words, radius: int) -> list[tuple[int, int, int]]:
    distances = np.bitwise_count(queries[:, None] ^ words).sum(axis=2, dtype=np.uint16)
    asked, rows = np.nonzero(distances <= radius)
    return list(zip(asked.tolist(), rows.tolist(), distances[asked, rows].tolist(), strict=True))


def by_numpy(segment: Segment, queries: Words, radius: int) -> list[tuple[int, int, int]]:
    """What the same tables find without the kernel."""
    hits = vectors.probe(segment, queries, radius)
    return sorted(zip(*(np.asarray(column).tolist() for column in hits), strict=True))


def flipped(value: int, distance: int, bits: int, rng: random.Random) -> int:
    return value ^ sum(1 << bit for bit in rng.sample(range(bits), distance))


def drawn(kind: str, count: int, bits: int, rng: random.Random) -> list[int]:
    """Values that are spread, or not at all."""
    spread = [rng.getrandbits(bits) for _ in range(count)]
    match kind:
        case "equal":
            return [spread[0]] * count if count else []
        case "flat":
            # Zero but for a few bits: nearly every chunk of nearly every value is zero.
            return [flipped(0, rng.randrange(4), bits, rng) for _ in spread]
        case "bucket":
            return [value >> 40 << 40 if number % 20 == 0 else value for number, value in enumerate(spread)]
        case "complements":
            return [value ^ (2**bits - 1) if number % 2 else spread[0] for number, value in enumerate(spread)]
        case _:
            return spread


@st.composite
def cuts(draw: st.DrawFn, bits: int) -> Chunks:
    """Any cut into chunks of 8 to 24 bits, which may span two words; few are wide, for the time that tables take."""
    widths: list[int] = []
    while left := bits - sum(widths):
        most = min(24 if draw(st.integers(0, 9)) == 9 and max(widths, default=0) <= 16 else 16, left)
        fits = [width for width in range(8, most + 1) if left - width >= 8 or left == width]
        widths.append(draw(st.sampled_from(fits)))
    return Chunks(bits, tuple(widths))


@st.composite
def radii(draw: st.DrawFn, cut: Chunks) -> int:
    """Any radius of 0 to all bits that asks for no more chunk values than a test can wait for."""
    radius = draw(st.integers(0, cut.bits))
    while cut.probes(radius) > _PROBES:
        radius = radius * 3 // 4
    return radius


@of_every_length
@given(data=st.data())
def test_the_kernel_finds_what_numpy_and_counting_find(native: Kernel, bits: int, data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    kind = data.draw(st.sampled_from(["spread", "equal", "flat", "bucket", "complements"]))
    cut = data.draw(cuts(bits))
    radius = data.draw(radii(cut))
    stored = drawn(kind, data.draw(st.sampled_from([0, 1, 2, 15, 16, 17, 300])), bits, rng)
    asked = [rng.getrandbits(bits), 0, 2**bits - 1, *stored[:5], *(one ^ (2**bits - 1) for one in stored[:2])]
    # Stored at exactly the radius, and one bit beyond it.
    stored += [flipped(one, min(radius + beyond, bits), bits, rng) for one in asked[:3] for beyond in (0, 1)]
    words, queries = distinct(pack(stored, bits)), pack(asked, bits)
    segment, expected = cut_into(words, cut), plainly(words, queries, radius)
    table = table_of(segment)
    assert told(native.scan(table, queries, radius)) == expected
    assert told(native.probe(table, cut, queries, radius)) == expected
    assert by_numpy(segment, queries, radius) == expected


@of_every_length
@pytest.mark.parametrize("kind", ["spread", "flat", "bucket", "complements"])
@pytest.mark.parametrize("many", [127, 128, 1_024, 1_025, 2_100])
def test_a_batch_that_is_sorted_finds_what_counting_finds(native: Kernel, bits: int, kind: str, many: int) -> None:
    rng = random.Random(many)
    words = distinct(pack(drawn(kind, 300, bits, rng), bits))
    stored = unpack(words)
    asked = [rng.getrandbits(bits) if n % 3 else flipped(rng.choice(stored), n % 45, bits, rng) for n in range(many)]
    # Chunks of one part, of many parts, and of fewer values than there are parts; the last ones have many candidates.
    cut = Chunks(bits, (7, 17, 8, *(16,) * (bits // 16 - 2)))
    segment, radius = cut_into(words, cut), 10 if bits == 64 else 31
    expected = plainly(words, pack(asked, bits), radius)
    assert len(expected) > many // 20
    assert told(native.probe(table_of(segment), cut, pack(asked, bits), radius)) == expected


@of_every_length
def test_a_batch_finds_what_a_bk_tree_finds(native: Kernel, bits: int) -> None:
    rng = random.Random(bits)
    stored = [rng.getrandbits(bits) for _ in range(2_000)]
    stored += [flipped(value, rng.randrange(12), bits, rng) for value in stored[:500]]
    asked = [flipped(rng.choice(stored), n % 40, bits, rng) for n in range(150)]
    tree = BKTreeIndex(bits)
    tree.add(stored)
    segment = build_segment(pack(stored, bits), 10, Chunks(bits, (16,) * (bits // 16)))
    for radius in (4, 10) if bits == 64 else (4, 10, 31):
        queries, rows, distances = segment.probe(pack(asked, bits), radius)
        found: list[list[tuple[int, int]]] = [[] for _ in asked]
        hits = zip(queries.tolist(), distances.tolist(), unpack(segment.words(rows)), strict=True)
        for query, distance, value in hits:
            found[query].append((distance, value))
        assert list(map(sorted, found)) == list(map(sorted, tree.search(asked, radius)))
        assert sum(map(len, found)) > 5


@of_every_length
@given(data=st.data())
def test_the_kernel_orders_as_numpy_does(native: Kernel, bits: int, data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    kind = data.draw(st.sampled_from(["spread", "equal", "flat", "bucket", "complements"]))
    cut = data.draw(cuts(bits))
    words = pack(drawn(kind, data.draw(st.sampled_from([0, 1, 50, 1000])), bits, rng), bits)
    ours, numpys = cut_into(words, cut, native), cut_into(words, cut)
    assert ours.offsets is not None and numpys.offsets is not None
    assert ours.entries is not None and numpys.entries is not None
    assert np.array_equal(ours.offsets, numpys.offsets)
    assert np.array_equal(ours.entries, numpys.entries)


def near_one(bits: int, count: int) -> tuple[Segment, Words]:
    """Values around one, and that one as a query among strangers."""
    rng = random.Random(count)
    centre = rng.getrandbits(bits)
    stored = [flipped(centre, rng.randrange(3, 6), bits, rng) for _ in range(count)]
    cut = Chunks(bits, (16,) * (bits // 16))
    asked = [rng.getrandbits(bits), centre, centre, rng.getrandbits(bits)]
    return cut_into(distinct(pack(stored, bits)), cut), pack(asked, bits)


@of_every_length
@pytest.mark.parametrize("count", [2_000, 9_000])
def test_hits_past_the_room_are_told_too(native: Kernel, bits: int, count: int) -> None:
    segment, queries = near_one(bits, count)
    table, expected = table_of(segment), plainly(segment.words(slice(None)), queries, 8)
    assert len(expected) == 2 * len(segment)
    assert told(native.probe(table, segment.chunks, queries, 8)) == expected
    assert told(native.scan(table, queries, 8)) == expected
    # The next search has its own answer in the room that has grown.
    assert told(native.probe(table, segment.chunks, queries[:1], 8)) == []


def test_room_for_very_many_hits_is_not_kept(native: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "MAX_KEPT_ROOM", 5_000)
    segment, queries = near_one(64, 9_000)
    table, native = table_of(segment), Kernel(native.path)
    many = native.scan(table, queries, 8)
    before = told(many)
    assert len(before) > 5_000
    assert told(native.scan(table, queries[:1], 8)) == []
    assert told(many) == before


@of_every_length
@pytest.mark.parametrize("rows", [0, 3])
def test_nothing_asked_or_nothing_stored_is_nothing_found(native: Kernel, bits: int, rows: int) -> None:
    words, cut = pack(list(range(rows)), bits), Chunks(bits, (16,) * (bits // 16))
    table, none = table_of(cut_into(words, cut)), np.empty((0, bits // 64), np.uint64)
    for queries in [none] if rows else [none, pack([0, 1], bits)]:
        assert told(native.probe(table, cut, queries, 5)) == []
        assert told(native.scan(table, queries, bits)) == []


@of_every_length
def test_too_many_candidates_are_scanned_and_found_all_the_same(
    native: Kernel, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment, queries = near_one(bits, 3_000)
    table, expected = table_of(segment), plainly(segment.words(slice(None)), queries, 4)
    for candidate in (1, 2, 10, 100, 10**9):
        monkeypatch.setattr(kernels, "ROWS_A_CANDIDATE", candidate)
        assert told(native.probe(table, segment.chunks, queries, 4)) == expected


@of_every_length
def test_threads_that_search_at_once_get_their_own_answers(native: Kernel, bits: int) -> None:
    segment, queries = near_one(bits, 3_000)
    table = table_of(segment)

    def ask(number: int) -> bool:
        radius, asked = number % 7, queries[number % 4 :]
        expected = plainly(segment.words(slice(None)), asked, radius)
        return all(told(native.probe(table, segment.chunks, asked, radius)) == expected for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(32)))


def parts_of(segments: list[Segment], radius: int, cost: float) -> Parts:
    """Searched by their tables, but for the last one."""
    cuts = [segment.chunks for segment in segments[:-1]] + [None]
    tables = [segment.table for segment in segments]
    return Parts(list(zip(tables, cuts, strict=True)), segments[0].chunks.bits, radius, cost)


@of_every_length
@given(data=st.data())
def test_one_value_is_asked_of_several_segments_at_once(native: Kernel, bits: int, data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    kinds = ["spread", "equal", "flat", "bucket", "complements"]
    cut = data.draw(cuts(bits))
    radius = data.draw(radii(cut))
    groups = [
        drawn(data.draw(st.sampled_from(kinds)), data.draw(st.sampled_from([0, 1, 40])), bits, rng) for _ in "abc"
    ]
    asked = [0, 2**bits - 1, *(one for group in groups for one in group[:2])]
    for group in groups:
        group += [flipped(asked[-1], min(radius + beyond, bits), bits, rng) for beyond in (0, 1)]
    parts = parts_of(
        [cut_into(distinct(pack(group, bits)), cut, native) for group in groups],
        radius,
        data.draw(st.integers(0, 10**6)),
    )
    for value in asked:
        expected = [((one ^ value).bit_count(), one) for group in groups for one in set(group)]
        assert sorted(native.near(parts, value)) == sorted(pair for pair in expected if pair[0] <= radius)


@of_every_length
def test_values_past_the_room_are_told_too(native: Kernel, bits: int) -> None:
    segment, queries = near_one(bits, 5_000)
    [centre] = unpack(queries[1:2])
    parts = parts_of([segment, segment], 8, 0)
    assert len(native.near(parts, centre)) == 2 * len(segment) > kernels.FIRST_ROOM
    assert set(native.near(parts, centre)) == {
        ((v ^ centre).bit_count(), v) for v in unpack(segment.words(slice(None)))
    }


def test_a_value_that_is_too_long_is_refused(native: Kernel) -> None:
    segment, _ = near_one(64, 100)
    with pytest.raises(OverflowError):
        native.near(parts_of([segment], 8, 0), 2**64)


@pytest.mark.parametrize("where", ["offsets", "entries"])
def test_damaged_tables_are_an_error_and_no_crash(native: Kernel, where: str) -> None:
    rng = random.Random(1)
    words = distinct(pack(drawn("spread", 100, 256, rng), 256))
    segment = cut_into(words, Chunks(256, (16,) * 16))
    assert segment.offsets is not None and segment.entries is not None
    if where == "offsets":
        segment.offsets[:] = np.random.default_rng(1).integers(0, 2**32, len(segment.offsets), np.uint32)
    else:
        segment.entries[:] = 2**31
    with pytest.raises(IndexError):
        native.probe(table_of(segment), segment.chunks, words[:1], 15)
    with pytest.raises(IndexError):
        native.near(parts_of([segment, segment], 15, 0), unpack(words[:1])[0])


def test_a_library_that_is_missing_or_of_other_sources_is_not_used(
    native: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match=r"/no/such"):
        Kernel("/no/such.so")
    monkeypatch.setattr(kernels, "VERSION", -1)
    with pytest.raises(OSError, match="is of another version"):
        Kernel(native.path)


@pytest.mark.parametrize(("switch", "expected"), [("0", "NumPy"), ("1", None)])
def test_the_environment_switches_it_off(switch: str, expected: str | None) -> None:
    program = "from hashdb.index.kernel import implementation; print(implementation())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"HASHDB_KERNEL": switch},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == (expected or implementation())
