"""The metric files that all processes of a service share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hashdb.http_server.prometheus_multiprocess import reserve_space


def test_disk_space_for_the_metrics_is_reserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    for configured, is_used in ((folder, True), (tmp_path / "none", False)):
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(configured))
        reserve_space()
        used_folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        assert (used_folder == configured) is is_used
        files = [path.stat() for path in used_folder.iterdir()]
        # On a full disk, writing into a hole of a mapped file would kill the process.
        assert len(files) == 4 and all(file.st_blocks * 512 >= file.st_size >= 1024 * 1024 for file in files)
