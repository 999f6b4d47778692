"""The shelf: whatever happens as it is written, everything is found, by this process and by others."""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from hashdb.domain.signals import Algorithm
from hashdb.index import segment as segments
from hashdb.index.segment import most
from hashdb.index.shelf import Shelf
from tests.index.shelves import PDQ, PHASH, STEPS, Keeper, Log, files_of


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
        assert keeper.shelf.covers > 300


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
    writer.shelf.frozen(log.head, log.leaf(log.head), writer.shelf.hold())
    log.end_some()
    assert again in log.ended
    with writer.shelf.writing():
        assert writer.shelf.merge(log.alive)
    for keeper in (writer, other, Keeper(log, folder)):
        keeper.level()
        assert keeper.held() == sorted(set(log.lasting))


def test_only_one_process_writes_at_a_time(folder: Path) -> None:
    one, other = Keeper(Log().add(300), folder), Keeper(Log().add(300), folder)
    with one.shelf.writing() as may:
        assert may
        assert not other.write()
    assert other.write()
    one.level()
    assert one.shelf.in_memory == 0


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
                keeper.known = keeper.shelf.start(new.epoch, new.head, new.leaf)
                keeper.level()

        keepers.append(keeper := Keeper(old, folder, restore))
        with keeper.shelf.writing():
            keeper.shelf.frozen(old.head, old.leaf(old.head), keeper.shelf.hold())
        assert keeper.held() == sorted(new.values)
        assert Keeper(new, folder).held() == sorted(new.values)
        keeper.write()
        assert Keeper(new, folder).held() == sorted(new.values)


def test_an_algorithm_that_was_switched_off_for_a_while_is_read_anew(folder: Path) -> None:
    log = Log().add(300)
    Keeper(log, folder).write()
    narrow = Shelf(folder, {PDQ: 31})
    assert narrow.start(log.epoch, log.head, log.leaf) == 300
    with narrow.writing():
        assert not narrow.merge(log.alive)
        narrow.frozen(log.add(10).head, log.leaf(log.head), narrow.hold())
    again = Keeper(log, folder)
    assert (again.begun, again.missed()) == (0, [])


def test_no_segment_has_more_values_than_its_tables_can_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_PLACES", 3_200)
    assert most(64) == 399

    def sizes() -> list[int]:
        return [len(segment) for segment in keeper.shelf.indexes[PHASH].segments]

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
    shelf = Shelf(None, {Algorithm.PHASH: 6})
    assert shelf.start("epoch", 5, lambda seq: "") == 0
    assert not shelf.on_disk
    with shelf.writing() as may:
        assert not may
    assert shelf.refresh(5, lambda seq: "")
