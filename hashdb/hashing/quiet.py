"""Pillow's warnings, kept quiet while pictures are read."""

from __future__ import annotations

import warnings
from threading import Lock


class _Quiet:
    """Keeps Pillow's warnings quiet while any thread reads.

    `warnings.catch_warnings` alone would not do: of two threads that overlap, the one that leaves last would put
    back the other's filters for good.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._readers = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._caught.__exit__(None, None, None)


QUIET = _Quiet()
"""To be entered by all who read, from any thread."""
