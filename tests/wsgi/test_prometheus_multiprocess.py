"""The files in which processes count together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hashdb.wsgi.prometheus_multiprocess import reserve_space


def test_the_room_for_what_is_counted_is_taken_before_where_there_is_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    for given, used in ((folder, True), (tmp_path / "none", False)):
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(given))
        reserve_space()
        found = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        assert (found == given) is used
        taken = [path.stat() for path in found.iterdir()]
        # To write into a hole of a mapped file where the disk is full kills the process.
        assert len(taken) == 4 and all(one.st_blocks * 512 >= one.st_size >= 1024 * 1024 for one in taken)
