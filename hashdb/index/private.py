"""Files and folders that their owner alone may use, whatever the umask of the process."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
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
