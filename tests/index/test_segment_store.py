"""The segment store: whatever happens as it is written, everything is found, by this process and by others."""

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
from tests.index.keepers import PDQ, PHASH, STEPS, Keeper, Log, files_of
from tests.index.samples import SKEWED, skewed


def test_who_looks_at_any_step_finds_everything(folder: Path) -> None:
    log = Log().add(300)
    looked: Counter[str] = Counter()

    def look(name: str) -> None:
        looked[name] += 1
        log.add(1)  # while it is written
        for keeper in (writer, other, Keeper(log, folder)):
            keeper.level()
            assert keeper.missed() == []

    other = Keeper(log, folder)
    writer = Keeper(log, folder, look)
    for count in (200, 50, 20):
        writer.write()
        log.add(count).end_some(5)
    assert set(looked) == set(STEPS)
    for keeper in (writer, other):
        keeper.level()
        assert keeper.missed() == []
        assert keeper.store.last_seq > 300


def test_values_that_ended_leave_at_the_merge_and_not_before(folder: Path) -> None:
    keeper = Keeper(Log().add(300), folder)
    keeper.write()
    log = keeper.log.end_some()
    assert keeper.held() == sorted(log.values)
    log.add(200)
    keeper.write()
    assert keeper.held() == sorted(log.lasting)
    assert Keeper(log, folder).held() == sorted(log.lasting)


def test_when_all_have_ended_nothing_is_left(folder: Path) -> None:
    keeper = Keeper(Log().add(300), folder)
    keeper.write()
    keeper.log.add(200).end_some(1)
    keeper.write()
    assert keeper.held() == []
    assert files_of(folder) == set()
    keeper.log.add(5)
    keeper.write()
    assert keeper.missed() == Keeper(keeper.log, folder).missed() == []


@pytest.mark.parametrize("at", STEPS)
def test_a_value_that_comes_again_while_a_merge_drops_it_is_not_lost(folder: Path, at: str) -> None:
    log = Log().add(300)
    again = log.values[0]

    def come_again(name: str) -> None:
        if name == at and again in log.ended:
            log.ended.discard(again)
            log.values.append(again)
            writer.level()
            other.level()

    writer, other = Keeper(log, folder, come_again), Keeper(log, folder)
    writer.write()
    log.add(200)
    writer.level()
    writer.store.flush(log.head, log.leaf(log.head), writer.store.snapshot())
    log.end_some()
    assert again in log.ended
    with writer.store.writing():
        assert writer.store.merge(log.alive)
    for keeper in (writer, other, Keeper(log, folder)):
        keeper.level()
        assert keeper.held() == sorted(set(log.lasting))


def test_only_one_process_writes_at_a_time(folder: Path) -> None:
    one, other = Keeper(Log().add(300), folder), Keeper(Log().add(300), folder)
    with one.store.writing() as may:
        assert may
        assert not other.write()
    assert other.write()
    one.level()
    assert one.store.unflushed == 0


def test_two_that_write_in_turns_and_one_that_reads_find_everything(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, done = Log().add(200), Event()

    def write(keeper: Keeper) -> int:
        times = 0
        while not done.is_set() or not times:
            times += keeper.write()
            assert keeper.missed(log.values[:200]) == []
        return times

    def read(keeper: Keeper) -> int:
        times = 0
        while not done.is_set():
            keeper.level()
            assert keeper.missed(log.values[: keeper.known]) == []
            times += 1
        return times

    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(write, Keeper(log, folder)) for _ in range(2)]
        reader = pool.submit(read, Keeper(log, folder))
        try:
            for _ in range(40):
                log.add(20)
                assert Keeper(log, folder).missed(log.values) == []
        finally:
            done.set()
        assert all(writer.result(60) for writer in writers)
        assert reader.result(60)
    # Files that go as they are merged away are no damage.
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_another_log_starts_over_even_as_the_old_one_is_written(folder: Path) -> None:
    for at in STEPS:
        old, new = Log("old").add(50), Log("new")
        new.values = [value ^ 1 for value in old.values[:30]]
        keepers: list[Keeper] = []

        def restore(name: str, keepers: list[Keeper] = keepers, new: Log = new, at: str = at) -> None:
            if name == at:
                (keeper,) = keepers
                keeper.log = new
                keeper.known = keeper.store.start(new.epoch, new.head, new.leaf)
                keeper.level()

        keepers.append(keeper := Keeper(old, folder, restore))
        with keeper.store.writing():
            keeper.store.flush(old.head, old.leaf(old.head), keeper.store.snapshot())
        assert keeper.held() == sorted(new.values)
        assert Keeper(new, folder).held() == sorted(new.values)
        keeper.write()
        assert Keeper(new, folder).held() == sorted(new.values)


def test_an_algorithm_that_was_switched_off_for_a_while_is_read_anew(folder: Path) -> None:
    log = Log().add(300)
    Keeper(log, folder).write()
    narrow = SegmentStore(folder, {PDQ: 31})
    assert narrow.start(log.epoch, log.head, log.leaf) == 300
    with narrow.writing():
        assert not narrow.merge(log.alive)
        narrow.flush(log.add(10).head, log.leaf(log.head), narrow.snapshot())
    again = Keeper(log, folder)
    assert (again.begun, again.missed()) == (0, [])


def test_no_segment_has_more_values_than_its_tables_can_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "PLACES", 3_200)
    assert max_values(64) == 399

    def sizes() -> list[int]:
        return [len(segment) for segment in keeper.store.indexes[PHASH].segments]

    keeper = Keeper(Log().add(300), folder)
    keeper.write()
    keeper.log.add(100)
    keeper.write()
    assert sizes() == [300, 100]
    # A merge of small ones goes on.
    keeper.log.add(50)
    keeper.write()
    assert sizes() == [300, 150]
    keeper.log.add(900)
    keeper.write()
    assert sizes() == [300, 150, 399, 399, 102]
    assert keeper.missed() == Keeper(keeper.log, folder).missed() == []


def test_in_memory_nothing_is_written() -> None:
    store = SegmentStore(None, {Algorithm.PHASH: 6})
    assert store.start("epoch", 5, lambda seq: "") == 0
    assert not store.on_disk
    with store.writing() as may:
        assert not may
    assert store.refresh(5, lambda seq: "")


def lanes(words: Words) -> Segment:
    """A segment of values as they are."""
    width = 1 if words.shape[1] == 1 else 2
    cut = Chunks(words.shape[1] * 64, ())
    return Segment([np.ascontiguousarray(words[:, at : at + width]) for at in range(0, words.shape[1], width)], cut)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few values fill several blocks."""
    monkeypatch.setattr("hashdb.index.segment_store.BLOCK_ROWS", 50)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("bits", [64, 256])
@pytest.mark.parametrize("kind", SKEWED)
@pytest.mark.parametrize("counts", [(300, 200), (200, 300, 7), (0, 120), (0, 0), (50, 1), (101,)])
def test_each_value_comes_out_once_and_in_order(bits: int, kind: str, counts: tuple[int, ...]) -> None:
    rng = random.Random(bits)
    # Some are in several segments.
    values = skewed(kind, 1 + sum(counts), bits, rng)
    parts = [[*rng.sample(values, count // 2), *values[: count - count // 2]] for count in counts]
    found = unpack(merge_words([build_segment(pack(part, bits), bits // 8) for part in parts]))
    assert found == sorted({value for part in parts for value in part})


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("bits", [64, 256])
def test_nothing_is_lost_of_what_is_not_sorted(bits: int) -> None:
    rng = random.Random(bits)
    parts = [[rng.getrandbits(bits) for _ in range(count)] for count in (300, 170)]
    found = unpack(merge_words([lanes(pack(part, bits)) for part in parts]))
    assert set(found) == {value for part in parts for value in part}


ONE = Manifest("epoch", 12, {Algorithm.PDQ: ("a.segment", "b.segment"), Algorithm.PHASH: ()}, "ab")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    for manifest in (ONE, Manifest("other"), Manifest("é", 2**60, {Algorithm.AHASH: ("c",)})):
        write_manifest(tmp_path, manifest)
        assert read_manifest(tmp_path) == manifest
    assert [one.name for one in tmp_path.iterdir()] == [MANIFEST_NAME]
    assert ONE.names == {"a.segment", "b.segment"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary())
def test_garbage_counts_as_none(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(garbage)
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"version": 1}', "[" * 100_000, "1" * 5_000, '{"version": 1, "checksum": 1e999}']
)
def test_other_json_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)
    assert read_manifest(tmp_path) is None


def test_a_flipped_bit_counts_as_none(tmp_path: Path) -> None:
    write_manifest(tmp_path, ONE)
    whole = bytearray((tmp_path / MANIFEST_NAME).read_bytes())
    for place in range(len(whole)):
        for bit in range(8):
            whole[place] ^= 1 << bit
            (tmp_path / MANIFEST_NAME).write_bytes(whole)
            whole[place] ^= 1 << bit
            assert read_manifest(tmp_path) in (None, ONE)
    for length in range(len(whole)):
        (tmp_path / MANIFEST_NAME).write_bytes(whole[:length])
        assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    "change", [{"version": 3}, {"leaf": "ac"}, {"covers": 13}, {"epoch": "other"}, {"files": {"pdq": []}}]
)
def test_another_version_and_a_change_by_hand_count_as_none(tmp_path: Path, change: dict[str, object]) -> None:
    write_manifest(tmp_path, ONE)
    said = json.loads((tmp_path / MANIFEST_NAME).read_text())
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(said | change))
    assert read_manifest(tmp_path) is None


def test_who_reads_while_it_is_swapped_reads_one_or_the_other(tmp_path: Path) -> None:
    write_manifest(tmp_path, ONE)
    other, done = Manifest("epoch", 13, {Algorithm.PDQ: ("c.segment",)}), Event()

    def swap() -> None:
        for _ in range(50):
            write_manifest(tmp_path, other)
            write_manifest(tmp_path, ONE)
        done.set()

    thread = Thread(target=swap)
    thread.start()
    seen = []
    while not done.is_set():
        seen.append(read_manifest(tmp_path))
    thread.join()
    assert seen
    assert all(one in (ONE, other) for one in seen)


def test_a_new_manifest_has_another_stamp(tmp_path: Path) -> None:
    assert manifest_stamp(tmp_path) == manifest_stamp(tmp_path / "none") == NO_MANIFEST
    write_manifest(tmp_path, ONE)
    before = manifest_stamp(tmp_path)
    assert before == manifest_stamp(tmp_path) != NO_MANIFEST
    write_manifest(tmp_path, ONE)
    assert manifest_stamp(tmp_path) != before
