"""The multiprocess mode of prometheus_client: the files in which the processes of a server share their counts."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Histogram

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable from which prometheus_client reads the folder of the files."""
_KINDS = ("counter", "histogram", "gauge_livemin", "gauge_livemax")
"""The kinds of metric; each process has one file for each kind."""
_FILE_BYTES = 1024 * 1024
"""The size of each file in bytes: enough for some thousands of series."""
log = logging.getLogger("hashdb.web")


def share_folder(folder: Path) -> None:
    """Empty the folder, and let this process and its children count in files there.

    Call it before any of them makes `Metrics`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    os.environ[FOLDER] = str(folder)


def remove_process(process: int) -> None:
    """Remove the gauges of a process that has ended."""
    from prometheus_client import multiprocess

    if FOLDER in os.environ:
        multiprocess.mark_process_dead(process)


def reserve_space() -> None:
    """Reserve disk space for the metrics of this process. Call it before the process counts anything.

    The files are memory-mapped: a write to one on a full disk would kill the process (SIGBUS). Without space, this
    process counts alone, in a temporary folder.
    """
    if FOLDER not in os.environ:
        return
    try:
        _reserve(Path(os.environ[FOLDER]))
    except OSError:
        parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        folder = tempfile.mkdtemp(prefix="hashdb-metrics-", dir=parent)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ[FOLDER] = folder
        log.warning("no space left to share metrics between processes: this process counts by itself")
        _reserve(Path(folder))


def _reserve(folder: Path) -> None:
    for kind in _KINDS:
        path = folder / f"{kind}_{os.getpid()}.db"
        if path.exists():
            continue
        temporary = path.with_suffix(".part")
        try:
            temporary.write_bytes(bytes(_FILE_BYTES))
            temporary.rename(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise


def observe(histogram: Histogram, bounds: Sequence[float], seconds: Sequence[float]) -> None:
    """Observe many values at once, which the library does not offer; `bounds` are those of the histogram."""
    for bucket, times in Counter([bisect_left(bounds, value) for value in seconds]).items():
        histogram._buckets[bucket].inc(times)
    if seconds:
        histogram._sum.inc(sum(seconds))
