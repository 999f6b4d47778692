"""The shelf: whatever happens as it is written, everything is found, by this process and by others."""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from hashdb.domain.signals import Algorithm
from hashdb.index.manifest import NAME, Manifest, read_manifest, write_manifest
from hashdb.index.shelf import Shelf
from tests.index.shelves import PDQ, PHASH, Keeper, Log, files_of
from tests.processes import exit_code

STEPS = ("write .segment", "body", "sync", "rename", "manifest", "swap", "swapped", "tidy")
"""Of one write, in order."""
WRITES = 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


def work(folder: Path, log: Log, die_at: int) -> list[str]:
    """Freeze, freeze, merge and freeze, and be killed at that step; return the steps."""
    steps: list[str] = []

    def step(name: str) -> None:
        if len(steps) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        steps.append(name)

    keeper = Keeper(log.add(300), folder, step)
    keeper.write()
    log.add(200).end_some()
    keeper.write()
    log.add(10)
    keeper.write()
    return steps


def be_killed(folder: Path, die_at: int) -> None:
    work(folder, Log(), die_at)


def worked(log: Log) -> Log:
    """The log when all of that work is done."""
    log.add(300).add(200).end_some()
    return log.add(10)


def test_the_work_takes_these_steps(folder: Path) -> None:
    assert work(folder, Log(), -1) == list(STEPS) * WRITES
    assert len(files_of(folder)) == 2


@pytest.mark.parametrize("die_at", range(len(STEPS) * WRITES), ids=lambda at: f"{at // 8}-{STEPS[at % 8]}")
def test_a_process_that_is_killed_at_any_step_leaves_everything_to_be_found(folder: Path, die_at: int) -> None:
    assert exit_code(be_killed, folder, die_at) == -signal.SIGKILL
    again = Keeper(worked(Log()), folder)
    assert again.missed() == []
    found = read_manifest(folder)
    assert again.begun == (0 if found is None else found.covers)
    assert again.write()
    assert again.missed() == []
    # What was left behind is gone.
    found = read_manifest(folder)
    assert found is not None
    assert found.covers == again.log.head
    assert files_of(folder) == found.names
    last = Keeper(again.log, folder)
    assert (last.begun, last.shelf.in_memory, last.missed()) == (again.log.head, 0, [])


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
    writer = Keeper(log, folder)
    writer.shelf._step = look
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
    writer, other = Keeper(log, folder), Keeper(log, folder)
    writer.write()
    log.add(200)
    writer.level()
    writer.shelf.frozen(log.head, writer.shelf.hold())
    log.end_some()
    again = log.values[0]
    assert again in log.ended

    def come_again(name: str) -> None:
        if name == at and again in log.ended:
            log.ended.discard(again)
            log.values.append(again)
            writer.level()
            other.level()

    writer.shelf._step = come_again
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
        keeper = Keeper(old, folder)

        def restore(name: str, keeper: Keeper = keeper, new: Log = new, at: str = at) -> None:
            if name == at:
                keeper.log = new
                keeper.known = keeper.shelf.start(new.epoch, new.head)
                keeper.level()

        keeper.shelf._step = restore
        with keeper.shelf.writing():
            keeper.shelf.frozen(old.head, keeper.shelf.hold())
        assert keeper.held() == sorted(new.values)
        assert Keeper(new, folder).held() == sorted(new.values)
        keeper.write()
        assert Keeper(new, folder).held() == sorted(new.values)


def test_what_is_of_no_use_is_not_used_and_says_why(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = Log().add(300)
    Keeper(log, folder).write()
    used = read_manifest(folder)
    assert used is not None
    wrong = {
        "it is of another log": Manifest("other", used.covers, used.files),
        "it covers events up to 301, and the log has 300": Manifest(used.epoch, 301, used.files),
        "it does not have phash": Manifest(used.epoch, used.covers, {PDQ: ()}),
        "gone.segment cannot be read: no such file or directory": Manifest(
            used.epoch, used.covers, {PDQ: (), PHASH: ("gone.segment",)}
        ),
    }
    for reason, manifest in wrong.items():
        caplog.clear()
        write_manifest(folder, manifest)
        keeper = Keeper(log, folder)
        assert (keeper.begun, keeper.missed()) == (0, [])
        assert [record.getMessage() for record in caplog.records] == [f"the index on disk is not used: {reason}"]
    (folder / NAME).write_text("{")
    caplog.clear()
    keeper = Keeper(log, folder)
    assert (keeper.begun, keeper.missed()) == (0, [])
    assert "its manifest is damaged or of another version" in caplog.text
    assert keeper.write()
    assert Keeper(log, folder).begun == log.head


@pytest.mark.parametrize("harm", ["truncate", "flip", "remove", "manifest", "folder"])
def test_what_happens_to_the_folder_while_it_is_in_use_is_made_good_by_the_next_writer(
    folder: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log().add(300)
    keeper, other = Keeper(log, folder), Keeper(log, folder)
    keeper.write()
    (name,) = files_of(folder)
    body = (folder / name).read_bytes()
    if harm in ("truncate", "flip"):
        # A new file: who has mapped the old one keeps it.
        (folder / name).unlink()
        (folder / name).write_bytes(body[:-8] if harm == "truncate" else body[:-8] + b"\xff" * 8)
    for path in {"remove": [folder / name], "manifest": [folder / NAME], "folder": folder.iterdir()}.get(harm, []):
        path.unlink()
    log.add(10)
    for one in (keeper, other):
        one.level()
        assert one.missed() == []
    assert keeper.write()
    assert keeper.missed() == []
    again = Keeper(log, folder)
    assert (again.begun, again.missed()) == (log.head, [])
    assert ("the index is built anew from the store" in caplog.text) == (harm in ("truncate", "flip", "remove"))


def test_an_algorithm_that_was_switched_off_for_a_while_is_read_anew(folder: Path) -> None:
    log = Log().add(300)
    Keeper(log, folder).write()
    narrow = Shelf(folder, {PDQ: 31})
    assert narrow.start(log.epoch, log.head) == 300
    with narrow.writing():
        assert not narrow.merge(log.alive)
        narrow.frozen(log.add(10).head, narrow.hold())
    again = Keeper(log, folder)
    assert (again.begun, again.missed()) == (0, [])


def test_in_memory_nothing_is_written() -> None:
    shelf = Shelf(None, {Algorithm.PHASH: 6})
    assert shelf.start("epoch", 5) == 0
    assert not shelf.on_disk
    with shelf.writing() as may:
        assert not may
    assert not shelf.refresh(5)


def test_what_a_full_disk_stopped_leaves_nothing(folder: Path) -> None:
    log = Log().add(300)

    def fail(at: str, name: str) -> None:
        if name == at:
            raise OSError(28, "No space left on device")

    for at in ("body", "sync"):
        keeper = Keeper(log, folder, partial(fail, at))
        with pytest.raises(OSError, match="No space"):
            keeper.write()
        assert files_of(folder) == set()
        assert keeper.missed() == []
    assert Keeper(log, folder).write()
