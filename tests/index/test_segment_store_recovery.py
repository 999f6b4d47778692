"""A segment store recovers from a killed process, a full disk and a damaged folder."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from hashdb.index import Manifest
from hashdb.index.segment_store import MANIFEST_NAME, read_manifest, write_manifest
from tests.index.store_processes import PDQ, PHASH, STEPS, Log, StoreProcess, files_of
from tests.processes import exit_code

WRITES = 4
RECOVERY_STEPS = ("manifest", "swap", "swapped", *STEPS)
"""The steps of a process that finds a damaged file: it discards all files and writes them again."""


def record_step(steps: list[str], die_at: int, name: str) -> None:
    """Add the step to the list; kill the process instead if it is step `die_at`."""
    if len(steps) == die_at:
        os.kill(os.getpid(), signal.SIGKILL)
    steps.append(name)


def work(folder: Path, log: Log, die_at: int) -> list[str]:
    """Flush, flush, merge and flush; return the steps. Kill the process at step `die_at` unless it is negative."""
    steps: list[str] = []
    writer = StoreProcess(log.add(300), folder, partial(record_step, steps, die_at))
    writer.write()
    log.add(200).end_every()
    writer.write()
    log.add(10)
    writer.write()
    return steps


def work_and_die(folder: Path, die_at: int) -> None:
    work(folder, Log(), die_at)


def completed(log: Log) -> Log:
    """The log after all of that work."""
    log.add(300).add(200).end_every()
    return log.add(10)


def test_a_store_writes_segments_in_the_expected_steps(folder: Path) -> None:
    assert work(folder, Log(), -1) == list(STEPS) * WRITES
    assert len(files_of(folder)) == 2


@pytest.mark.parametrize("die_at", range(len(STEPS) * WRITES), ids=lambda at: f"{at // 8}-{STEPS[at % 8]}")
def test_all_values_are_found_after_a_kill_at_any_step(folder: Path, die_at: int) -> None:
    assert exit_code(work_and_die, folder, die_at) == -signal.SIGKILL
    restarted = StoreProcess(completed(Log()), folder)
    assert restarted.missing_values() == []
    manifest = read_manifest(folder)
    assert restarted.start_seq == (0 if manifest is None else manifest.last_seq)
    assert restarted.write()
    assert restarted.missing_values() == []
    # Unused files were deleted.
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.last_seq == restarted.log.head
    assert files_of(folder) == manifest.names
    last = StoreProcess(restarted.log, folder)
    assert (last.start_seq, last.store.unflushed, last.missing_values()) == (restarted.log.head, 0, [])


def recover(folder: Path, log: Log, die_at: int) -> list[str]:
    """Find the damaged file and rebuild; return the steps. Kill the process at step `die_at` unless it is negative."""
    steps: list[str] = []
    StoreProcess(log, folder, partial(record_step, steps, die_at)).write()
    return steps


def recover_and_die(folder: Path, die_at: int) -> None:
    recover(folder, Log().add(300), die_at)


@pytest.mark.parametrize(
    "die_at", range(-1, len(RECOVERY_STEPS)), ids=lambda at: f"{at}-{RECOVERY_STEPS[at] if at >= 0 else ''}"
)
def test_all_values_are_found_after_a_kill_at_any_step_of_a_recovery(folder: Path, die_at: int) -> None:
    log = Log().add(300)
    StoreProcess(log, folder).write()
    other = StoreProcess(log, folder)
    (name,) = files_of(folder)
    body = (folder / name).read_bytes()
    (folder / name).write_bytes(body[:-8] + bytes(octet ^ 1 for octet in body[-8:]))
    if die_at < 0:
        assert recover(folder, log, die_at) == list(RECOVERY_STEPS)
    else:
        assert exit_code(recover_and_die, folder, die_at) == -signal.SIGKILL
    # No process continues with discarded files.
    manifest = read_manifest(folder)
    assert manifest is not None
    discarded = manifest.void
    assert discarded == (2 <= die_at < len(RECOVERY_STEPS) - 2)
    assert other.store.refresh(log.head, log.leaf) == (not discarded)
    restarted = StoreProcess(log, folder)
    assert restarted.start_seq == manifest.last_seq
    restarted.write()
    assert restarted.missing_values() == StoreProcess(log, folder).missing_values() == []
    assert StoreProcess(log, folder).start_seq == log.head


def test_an_unusable_manifest_is_ignored_and_the_reason_is_logged(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log().add(300)
    StoreProcess(log, folder).write()
    manifest_in_use = read_manifest(folder)
    assert manifest_in_use is not None
    unusable = {
        "it belongs to another log": Manifest("other", manifest_in_use.last_seq, manifest_in_use.files),
        "it covers events up to 301, and the log has 300": Manifest(manifest_in_use.epoch, 301, manifest_in_use.files),
        "it does not have phash": Manifest(
            manifest_in_use.epoch, manifest_in_use.last_seq, {PDQ: ()}, manifest_in_use.leaf
        ),
        "event 300 differs from when the index was written: the log was restored": replace(manifest_in_use, leaf="0"),
        "gone.segment cannot be read: no such file or directory": Manifest(
            manifest_in_use.epoch, manifest_in_use.last_seq, {PDQ: (), PHASH: ("gone.segment",)}, manifest_in_use.leaf
        ),
    }
    for reason, manifest in unusable.items():
        caplog.clear()
        write_manifest(folder, manifest)
        writer = StoreProcess(log, folder)
        assert (writer.start_seq, writer.missing_values()) == (0, [])
        assert [record.getMessage() for record in caplog.records] == [f"the index on disk is not used: {reason}"]
    (folder / MANIFEST_NAME).write_text("{")
    caplog.clear()
    writer = StoreProcess(log, folder)
    assert (writer.start_seq, writer.missing_values()) == (0, [])
    assert "its manifest is damaged or of another version" in caplog.text
    assert writer.write()
    assert StoreProcess(log, folder).start_seq == log.head


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "manifest", "folder"])
def test_the_next_writer_repairs_a_folder_that_is_damaged_while_in_use(
    folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log().add(300)
    writer, other = StoreProcess(log, folder), StoreProcess(log, folder)
    writer.write()
    (name,) = files_of(folder)
    body = (folder / name).read_bytes()
    if damage in ("truncate", "flip"):
        # A new file: a process that has mapped the old one still uses that.
        (folder / name).unlink()
        (folder / name).write_bytes(body[:-8] if damage == "truncate" else body[:-8] + b"\xff" * 8)
    for path in {"remove": [folder / name], "manifest": [folder / MANIFEST_NAME], "folder": folder.iterdir()}.get(
        damage, []
    ):
        path.unlink()
    log.add(10)
    for process in (writer, other):
        process.catch_up()
        assert process.missing_values() == []
    assert writer.write()
    assert writer.missing_values() == []
    restarted = StoreProcess(log, folder)
    assert (restarted.start_seq, restarted.missing_values()) == (log.head, [])
    assert ("rebuilding the index from the database" in caplog.text) == (damage in ("truncate", "flip", "remove"))


def test_a_write_that_fails_on_a_full_disk_leaves_no_file(folder: Path) -> None:
    log = Log().add(300)

    def fail(failing: str, name: str) -> None:
        if name == failing:
            raise OSError(28, "No space left on device")

    for failing in ("body", "sync"):
        writer = StoreProcess(log, folder, partial(fail, failing))
        with pytest.raises(OSError, match="No space"):
            writer.write()
        assert files_of(folder) == set()
        assert writer.missing_values() == []
    assert StoreProcess(log, folder).write()
