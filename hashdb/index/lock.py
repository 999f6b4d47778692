"""The lock file of the index's folder: who holds it may write there."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hashdb.index import private


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold the lock for the block and yield true, or false where another one does; the folder is made if missing.

    The system lets go of it when the process ends, however that happens. Raises OSError where nothing can be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(folder / "lock", "a", opener=private.opener) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
