"""The lock of the index folder: one process holds it at a time, and it is released when the process ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hashdb.index.folder import lock_folder
from tests.processes import exit_code


def test_only_one_holder_gets_the_lock(folder: Path) -> None:
    with lock_folder(folder) as first, lock_folder(folder) as second:
        assert (first, second) == (True, False)
    with lock_folder(folder) as locked_again:
        assert locked_again
    assert folder.stat().st_mode & 0o777 == 0o700


def kill_while_locked(folder: Path) -> None:
    with lock_folder(folder):
        os.kill(os.getpid(), signal.SIGKILL)


def test_the_lock_of_a_killed_process_is_released(folder: Path) -> None:
    assert exit_code(kill_while_locked, folder) == -signal.SIGKILL
    with lock_folder(folder) as locked:
        assert locked


def test_an_error_is_raised_if_the_folder_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"exists|directory"), lock_folder(folder):
            pass
