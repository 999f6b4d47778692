"""The segment store: all values are found at every moment of writing, by this process and by others."""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashdb.domain.signals import Algorithm
from hashdb.index import Manifest
from hashdb.index import segment as segments
from hashdb.index.plan import Chunks
from hashdb.index.segment import Segment, build_segment, max_values
from hashdb.index.segment_store import (
    MANIFEST_NAME,
    NO_MANIFEST,
    SegmentStore,
    manifest_stamp,
    merge_words,
    read_manifest,
    write_manifest,
)
from hashdb.index.vectors import Words, pack, unpack
from tests.index.samples import SKEWED_KINDS, skewed_values
from tests.index.store_processes import PDQ, PHASH, STEPS, Log, StoreProcess, files_of


def test_all_values_are_found_at_every_step_of_a_write(folder: Path) -> None:
    log = Log().add(300)
    steps: Counter[str] = Counter()

    def look(name: str) -> None:
        steps[name] += 1
        log.add(1)  # during the write
        for process in (writer, other, StoreProcess(log, folder)):
            process.catch_up()
            assert process.missing_values() == []

    other = StoreProcess(log, folder)
    writer = StoreProcess(log, folder, look)
    for count in (200, 50, 20):
        writer.write()
        log.add(count).end_every(5)
    assert set(steps) == set(STEPS)
    for process in (writer, other):
        process.catch_up()
        assert process.missing_values() == []
        assert process.store.last_seq > 300


def test_ended_values_are_removed_by_a_merge_and_not_before(folder: Path) -> None:
    process = StoreProcess(Log().add(300), folder)
    process.write()
    log = process.log.end_every()
    assert process.found_values() == sorted(log.values)
    log.add(200)
    process.write()
    assert process.found_values() == sorted(log.active_values)
    assert StoreProcess(log, folder).found_values() == sorted(log.active_values)


def test_no_file_is_left_when_all_values_have_ended(folder: Path) -> None:
    process = StoreProcess(Log().add(300), folder)
    process.write()
    process.log.add(200).end_every(1)
    process.write()
    assert process.found_values() == []
    assert files_of(folder) == set()
    process.log.add(5)
    process.write()
    assert process.missing_values() == StoreProcess(process.log, folder).missing_values() == []


@pytest.mark.parametrize("at", STEPS)
def test_a_value_that_is_added_again_during_a_merge_is_not_lost(folder: Path, at: str) -> None:
    log = Log().add(300)
    again = log.values[0]

    def add_again(name: str) -> None:
        if name == at and again in log.ended:
            log.ended.discard(again)
            log.values.append(again)
            writer.catch_up()
            other.catch_up()

    writer, other = StoreProcess(log, folder, add_again), StoreProcess(log, folder)
    writer.write()
    log.add(200)
    writer.catch_up()
    writer.store.flush(log.head, log.leaf(log.head), writer.store.snapshot())
    log.end_every()
    assert again in log.ended
    with writer.store.writing():
        assert writer.store.merge(log.alive)
    for process in (writer, other, StoreProcess(log, folder)):
        process.catch_up()
        assert process.found_values() == sorted(set(log.active_values))


def test_only_one_process_writes_at_a_time(folder: Path) -> None:
    first, second = StoreProcess(Log().add(300), folder), StoreProcess(Log().add(300), folder)
    with first.store.writing() as locked:
        assert locked
        assert not second.write()
    assert second.write()
    first.catch_up()
    assert first.store.unflushed == 0


def test_two_writers_and_a_reader_find_all_values_at_all_times(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    log, stop = Log().add(200), Event()

    def write(process: StoreProcess) -> int:
        times = 0
        while not stop.is_set() or not times:
            times += process.write()
            assert process.missing_values(log.values[:200]) == []
        return times

    def read(process: StoreProcess) -> int:
        times = 0
        while not stop.is_set():
            process.catch_up()
            assert process.missing_values(log.values[: process.known]) == []
            times += 1
        return times

    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(write, StoreProcess(log, folder)) for _ in range(2)]
        reader = pool.submit(read, StoreProcess(log, folder))
        try:
            for _ in range(40):
                log.add(20)
                assert StoreProcess(log, folder).missing_values(log.values) == []
        finally:
            stop.set()
        assert all(writer.result(60) for writer in writers)
        assert reader.result(60)
    # A file that a merge deletes is not reported as damage.
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_replaced_log_is_loaded_even_during_a_write_of_the_old_one(folder: Path) -> None:
    for at in STEPS:
        old, new = Log("old").add(50), Log("new")
        new.values = [value ^ 1 for value in old.values[:30]]
        processes: list[StoreProcess] = []

        def restore(name: str, processes: list[StoreProcess] = processes, new: Log = new, at: str = at) -> None:
            if name == at:
                (process,) = processes
                process.log = new
                process.known = process.store.start(new.epoch, new.head, new.leaf)
                process.catch_up()

        processes.append(process := StoreProcess(old, folder, restore))
        with process.store.writing():
            process.store.flush(old.head, old.leaf(old.head), process.store.snapshot())
        assert process.found_values() == sorted(new.values)
        assert StoreProcess(new, folder).found_values() == sorted(new.values)
        process.write()
        assert StoreProcess(new, folder).found_values() == sorted(new.values)


def test_the_values_are_loaded_again_after_an_algorithm_was_off(folder: Path) -> None:
    log = Log().add(300)
    StoreProcess(log, folder).write()
    narrow = SegmentStore(folder, {PDQ: 31})
    assert narrow.start(log.epoch, log.head, log.leaf) == 300
    with narrow.writing():
        assert not narrow.merge(log.alive)
        narrow.flush(log.add(10).head, log.leaf(log.head), narrow.snapshot())
    restarted = StoreProcess(log, folder)
    assert (restarted.start_seq, restarted.missing_values()) == (0, [])


def test_no_segment_has_more_values_than_its_tables_can_address(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "MAX_ENTRIES", 3_199)
    assert max_values(64) == 399

    def sizes() -> list[int]:
        return [len(segment) for segment in process.store.indexes[PHASH].segments]

    process = StoreProcess(Log().add(300), folder)
    process.write()
    process.log.add(100)
    process.write()
    assert sizes() == [300, 100]
    # Small segments are still merged.
    process.log.add(50)
    process.write()
    assert sizes() == [300, 150]
    process.log.add(900)
    process.write()
    assert sizes() == [300, 150, 399, 399, 102]
    assert process.missing_values() == StoreProcess(process.log, folder).missing_values() == []


def test_a_store_without_a_folder_writes_nothing() -> None:
    store = SegmentStore(None, {Algorithm.PHASH: 6})
    assert store.start("epoch", 5, lambda seq: "") == 0
    assert not store.on_disk
    with store.writing() as locked:
        assert not locked
    assert store.refresh(5, lambda seq: "")


def unsorted_segment(words: Words) -> Segment:
    """A segment that keeps the values in the given order."""
    width = 1 if words.shape[1] == 1 else 2
    cut = Chunks(words.shape[1] * 64, ())
    return Segment([np.ascontiguousarray(words[:, at : at + width]) for at in range(0, words.shape[1], width)], cut)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks so small that a few values fill several of them."""
    monkeypatch.setattr("hashdb.index.segment_store.BLOCK_ROWS", 50)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("bits", [64, 256])
@pytest.mark.parametrize("kind", SKEWED_KINDS)
@pytest.mark.parametrize("counts", [(300, 200), (200, 300, 7), (0, 120), (0, 0), (50, 1), (101,)])
def test_a_merge_returns_each_value_once_and_sorted(bits: int, kind: str, counts: tuple[int, ...]) -> None:
    rng = random.Random(bits)
    # Some values are in several segments.
    values = skewed_values(kind, 1 + sum(counts), bits, rng)
    parts = [[*rng.sample(values, count // 2), *values[: count - count // 2]] for count in counts]
    merged = unpack(merge_words([build_segment(pack(part, bits), bits // 8) for part in parts]))
    assert merged == sorted({value for part in parts for value in part})


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("bits", [64, 256])
def test_a_merge_of_unsorted_segments_loses_no_value(bits: int) -> None:
    rng = random.Random(bits)
    parts = [[rng.getrandbits(bits) for _ in range(count)] for count in (300, 170)]
    merged = unpack(merge_words([unsorted_segment(pack(part, bits)) for part in parts]))
    assert set(merged) == {value for part in parts for value in part}


MANIFEST = Manifest("epoch", 12, {Algorithm.PDQ: ("a.segment", "b.segment"), Algorithm.PHASH: ()}, "ab")


def test_a_written_manifest_is_read_unchanged(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    for manifest in (MANIFEST, Manifest("other"), Manifest("é", 2**60, {Algorithm.AHASH: ("c",)})):
        write_manifest(tmp_path, manifest)
        assert read_manifest(tmp_path) == manifest
    assert [file.name for file in tmp_path.iterdir()] == [MANIFEST_NAME]
    assert MANIFEST.names == {"a.segment", "b.segment"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary())
def test_a_manifest_of_random_bytes_is_ignored(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(garbage)
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"version": 1}', "[" * 100_000, "1" * 5_000, '{"version": 1, "checksum": 1e999}']
)
def test_a_manifest_with_other_json_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)
    assert read_manifest(tmp_path) is None


def test_a_manifest_with_a_flipped_bit_or_missing_bytes_is_ignored(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    whole = bytearray((tmp_path / MANIFEST_NAME).read_bytes())
    for place in range(len(whole)):
        for bit in range(8):
            whole[place] ^= 1 << bit
            (tmp_path / MANIFEST_NAME).write_bytes(whole)
            whole[place] ^= 1 << bit
            assert read_manifest(tmp_path) in (None, MANIFEST)
    for length in range(len(whole)):
        (tmp_path / MANIFEST_NAME).write_bytes(whole[:length])
        assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    "change", [{"version": 3}, {"leaf": "ac"}, {"covers": 13}, {"epoch": "other"}, {"files": {"pdq": []}}]
)
def test_a_manifest_of_another_version_or_changed_by_hand_is_ignored(tmp_path: Path, change: dict[str, object]) -> None:
    write_manifest(tmp_path, MANIFEST)
    fields = json.loads((tmp_path / MANIFEST_NAME).read_text())
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(fields | change))
    assert read_manifest(tmp_path) is None


def test_a_reader_sees_the_old_or_the_new_manifest_during_a_write(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    other, stop = Manifest("epoch", 13, {Algorithm.PDQ: ("c.segment",)}), Event()

    def swap() -> None:
        for _ in range(50):
            write_manifest(tmp_path, other)
            write_manifest(tmp_path, MANIFEST)
        stop.set()

    thread = Thread(target=swap)
    thread.start()
    seen = []
    while not stop.is_set():
        seen.append(read_manifest(tmp_path))
    thread.join()
    assert seen
    assert all(manifest in (MANIFEST, other) for manifest in seen)


def test_each_written_manifest_has_a_new_stamp(tmp_path: Path) -> None:
    assert manifest_stamp(tmp_path) == manifest_stamp(tmp_path / "none") == NO_MANIFEST
    write_manifest(tmp_path, MANIFEST)
    before = manifest_stamp(tmp_path)
    assert before == manifest_stamp(tmp_path) != NO_MANIFEST
    write_manifest(tmp_path, MANIFEST)
    assert manifest_stamp(tmp_path) != before
