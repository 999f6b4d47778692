"""Counting together: the files in which the processes of a service keep what they count for Prometheus."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of the environment by which Prometheus's library is told the folder of the files."""
_KINDS = ("counter", "histogram", "gauge_livemin", "gauge_livemax")
"""Of what is counted; each has a file a process."""
_ROOM = 1024 * 1024
"""Bytes of each such file: some thousands of series."""
log = logging.getLogger("hashdb.web")


def share(folder: Path) -> None:
    """Let the processes that this one starts count together, in files of this folder, which is emptied.

    To be called before `Metrics` is made in any of them.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    os.environ[FOLDER] = str(folder)


def ended(process: int) -> None:
    """Let what is only of a process's life go with it."""
    from prometheus_client import multiprocess

    if FOLDER in os.environ:
        multiprocess.mark_process_dead(process)


def reserve() -> None:
    """Make sure of the room for what this process counts, to be called before it does.

    The files in which processes count together are memory-mapped: to write into one where the disk has no room would
    kill the process (SIGBUS). Where there is none, this one counts for itself alone, where temporary files are.
    """
    if FOLDER not in os.environ:
        return
    try:
        _reserve(Path(os.environ[FOLDER]))
    except OSError:
        within = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        folder = tempfile.mkdtemp(prefix="hashdb-metrics-", dir=within)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ[FOLDER] = folder
        log.warning("there is no room to count metrics: this process counts for itself")
        _reserve(Path(folder))


def _reserve(folder: Path) -> None:
    for kind in _KINDS:
        path = folder / f"{kind}_{os.getpid()}.db"
        if path.exists():
            continue
        part = path.with_suffix(".part")
        try:
            part.write_bytes(bytes(_ROOM))
            part.rename(path)
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise
