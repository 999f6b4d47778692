"""Readiness: the store answers, and this process's index is level with the log."""

from __future__ import annotations

from hashdb.service import HashDB


def ready(db: HashDB) -> int:
    """The number of the log that this process answers from, once it is level. Raises StoreBusy."""
    return db.live.level().seq
