"""Readiness: the store answers, and this process's index is level with the log."""

from __future__ import annotations

from collections.abc import Collection

from hashdb.domain.signals import Algorithm
from hashdb.service import HashDB


def ready(db: HashDB) -> int:
    """The number of the log that this process answers from, once it is level. Raises StoreBusy."""
    return db.live.level().seq


def sizes(db: HashDB, algorithms: Collection[Algorithm]) -> tuple[dict[Algorithm, int], int]:
    """How many values of each algorithm this process's index holds, and the second of the last event that it has."""
    level = db.live.level()
    return {one: len(db.live.index(one)) for one in algorithms}, int(level.at.timestamp())
