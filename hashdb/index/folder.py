"""Folders of files with hashes: only their owner can read them, one process at a time writes, and names are durable."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OWNER = 0o700
"""The rights of the owner in the mode of a file."""


def opener(path: str, flags: int) -> int:
    """The opener for `open` of a file with hashes: a new file has mode 0600."""
    return os.open(path, flags, 0o600)


def restrict_access(path: Path) -> None:
    """Remove the rights of all other users from a file, or from a folder and everything in it.

    Links and devices are unchanged. Raises nothing: it skips files that are gone or that this process cannot change.
    """
    _restrict(path)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            _restrict(Path(folder, name))


def _restrict(path: Path) -> None:
    with suppress(OSError):
        mode = path.lstat().st_mode
        if (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and stat.S_IMODE(mode) & ~_OWNER:
            path.chmod(mode & _OWNER)


@contextmanager
def lock_folder(folder: Path) -> Iterator[bool]:
    """Hold the lock of a folder for the block and yield True, or yield False while another process holds it.

    A missing folder is created. The system releases the lock when the process ends. Raises OSError if the folder or
    the lock file cannot be created.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(folder / "lock", "a", opener=opener) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def sync_folder(folder: Path) -> None:
    """Sync a folder to disk, which makes the names in it durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
