"""A segment store whose process is killed, whose disk is full, or whose folder is harmed, is made good."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from hashdb.index import Manifest
from hashdb.index.segment_store import MANIFEST_NAME, read_manifest, write_manifest
from tests.index.keepers import PDQ, PHASH, STEPS, Keeper, Log, files_of
from tests.processes import exit_code

WRITES = 4
MADE_GOOD = ("manifest", "swap", "swapped", *STEPS)
"""What it does where a file is damaged."""


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
    assert again.begun == (0 if found is None else found.last_seq)
    assert again.write()
    assert again.missed() == []
    # What was left behind is gone.
    found = read_manifest(folder)
    assert found is not None
    assert found.last_seq == again.log.head
    assert files_of(folder) == found.names
    last = Keeper(again.log, folder)
    assert (last.begun, last.store.unflushed, last.missed()) == (again.log.head, 0, [])


def make_good(folder: Path, log: Log, die_at: int) -> list[str]:
    """Find a file damaged, throw all away and write it anew, and be killed at that step; return the steps."""
    steps: list[str] = []

    def step(name: str) -> None:
        if len(steps) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        steps.append(name)

    Keeper(log, folder, step).write()
    return steps


def be_killed_at_it(folder: Path, die_at: int) -> None:
    make_good(folder, Log().add(300), die_at)


@pytest.mark.parametrize("die_at", range(-1, len(MADE_GOOD)), ids=lambda at: f"{at}-{MADE_GOOD[at] if at >= 0 else ''}")
def test_a_process_that_is_killed_as_it_makes_good_what_is_damaged_leaves_everything_to_be_found(
    folder: Path, die_at: int
) -> None:
    log = Log().add(300)
    Keeper(log, folder).write()
    other = Keeper(log, folder)
    (name,) = files_of(folder)
    body = (folder / name).read_bytes()
    (folder / name).write_bytes(body[:-8] + bytes(octet ^ 1 for octet in body[-8:]))
    if die_at < 0:
        assert make_good(folder, log, die_at) == list(MADE_GOOD)
    else:
        assert exit_code(be_killed_at_it, folder, die_at) == -signal.SIGKILL
    # Once it was thrown away, nobody goes on with it.
    found = read_manifest(folder)
    assert found is not None
    thrown_away = found.void
    assert thrown_away == (2 <= die_at < len(MADE_GOOD) - 2)
    assert other.store.refresh(log.head, log.leaf) == (not thrown_away)
    again = Keeper(log, folder)
    assert again.begun == found.last_seq
    again.write()
    assert again.missed() == Keeper(log, folder).missed() == []
    assert Keeper(log, folder).begun == log.head


def test_what_is_of_no_use_is_not_used_and_says_why(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = Log().add(300)
    Keeper(log, folder).write()
    used = read_manifest(folder)
    assert used is not None
    wrong = {
        "it is of another log": Manifest("other", used.last_seq, used.files),
        "it covers events up to 301, and the log has 300": Manifest(used.epoch, 301, used.files),
        "it does not have phash": Manifest(used.epoch, used.last_seq, {PDQ: ()}, used.leaf),
        "event 300 is not what it was when it was written: the log was set back": replace(used, leaf="0"),
        "gone.segment cannot be read: no such file or directory": Manifest(
            used.epoch, used.last_seq, {PDQ: (), PHASH: ("gone.segment",)}, used.leaf
        ),
    }
    for reason, manifest in wrong.items():
        caplog.clear()
        write_manifest(folder, manifest)
        keeper = Keeper(log, folder)
        assert (keeper.begun, keeper.missed()) == (0, [])
        assert [record.getMessage() for record in caplog.records] == [f"the index on disk is not used: {reason}"]
    (folder / MANIFEST_NAME).write_text("{")
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
    for path in {"remove": [folder / name], "manifest": [folder / MANIFEST_NAME], "folder": folder.iterdir()}.get(
        harm, []
    ):
        path.unlink()
    log.add(10)
    for one in (keeper, other):
        one.level()
        assert one.missed() == []
    assert keeper.write()
    assert keeper.missed() == []
    again = Keeper(log, folder)
    assert (again.begun, again.missed()) == (log.head, [])
    assert ("rebuilding the index from the database" in caplog.text) == (harm in ("truncate", "flip", "remove"))


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
