"""Kills a process at a step with a given number. A step is a call that changes a file or a table."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

_CALLS = (
    "fdatasync",
    "fsync",
    "ftruncate",
    "mkdir",
    "pwrite",
    "remove",
    "rename",
    "replace",
    "rmdir",
    "symlink",
    "unlink",
)
"""Functions of `os` that are steps: the process may be killed before the call."""
_READS = ("SELECT", "PRAGMA")


def die_at(step: int) -> None:
    """Let this process be killed at the step with this number; with 0, never.

    If the step is a call of `os.write`, half of its bytes are in the file.
    """
    numbers = count(1)

    def is_last() -> bool:
        return next(numbers) == step

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def stepped(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        if is_last():
            die()
        return call(*arguments, **keywords)

    write = os.write

    def write_or_die(file: int, octets: Any) -> int:
        if is_last():
            write(file, bytes(octets)[: len(octets) // 2])
            die()
        return write(file, octets)

    class Connection(sqlite3.Connection):
        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            if not arguments[0].lstrip().startswith(_READS) and is_last():
                die()
            return super().execute(*arguments)

    os.write = write_or_die
    for name in _CALLS:
        setattr(os, name, partial(stepped, getattr(os, name)))
    vars(sqlite3)["connect"] = partial(sqlite3.connect, factory=Connection)
