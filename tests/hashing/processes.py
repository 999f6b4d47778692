"""Helpers that inspect the worker processes of the hashing pool."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def worker_processes(parent: int | None = None) -> set[int]:
    """The ids of the sandboxed child processes of `parent` (by default, of this process)."""
    tasks = Path(f"/proc/{parent or os.getpid()}/task").glob("*/children")
    children = {int(child) for task in tasks for child in task.read_text().split()}
    return {child for child in children if b"hashdb.hashing.sandbox" in _read(child, "cmdline")}


def is_running(process: int) -> bool:
    """Whether the process exists and is not a zombie."""
    return _read(process, "stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"], [b"X"])


def eventually(condition: Callable[[], object], seconds: float = 10) -> bool:
    """Whether the condition becomes true within that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _read(process: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{process}/{name}").read_bytes()
    except OSError:
        return b""
