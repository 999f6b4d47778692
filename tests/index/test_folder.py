"""The lock: one holds it at a time, and none after it has ended."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hashdb.index.folder import lock_folder
from tests.processes import exit_code


def test_one_holds_it_at_a_time(folder: Path) -> None:
    with lock_folder(folder) as first, lock_folder(folder) as second:
        assert (first, second) == (True, False)
    with lock_folder(folder) as again:
        assert again
    assert folder.stat().st_mode & 0o777 == 0o700


def be_killed(folder: Path) -> None:
    with lock_folder(folder):
        os.kill(os.getpid(), signal.SIGKILL)


def test_who_is_killed_holds_it_no_longer(folder: Path) -> None:
    assert exit_code(be_killed, folder) == -signal.SIGKILL
    with lock_folder(folder) as may:
        assert may


def test_where_no_folder_can_be_made_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"exists|directory"), lock_folder(folder):
            pass
