"""Folders of files that hold hashes: private to their owner, locked by one writer, durable by name."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OWNER = 0o700


def opener(path: str, flags: int) -> int:
    """The opener of `open` for a file that holds hashes: one that is made now has mode 0600."""
    return os.open(path, flags, 0o600)


def restrict(path: Path) -> None:
    """Take the rights of all others on a file, or on a folder and everything in it, as far as this process may.

    Links and devices stay as they are. Raises nothing: what cannot be changed, or is gone, stays as it is.
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
def locked(folder: Path) -> Iterator[bool]:
    """Hold the lock for the block and yield true, or false where another one does; the folder is made if missing.

    The system lets go of it when the process ends, however that happens. Raises OSError where nothing can be made.
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
    """Make the names in a folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
