"""A log in memory, and processes that keep a segment store up to date with it, as the service does."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.index.segment import no_step
from hashdb.index.segment_store import SegmentStore
from hashdb.index.vectors import Words, unpack

PHASH, PDQ = Algorithm.PHASH, Algorithm.PDQ
STEPS = ("write .segment", "body", "sync", "rename", "manifest", "swap", "swapped", "tidy")
"""The steps in which a segment store writes one segment, in order."""


@dataclass
class Log:
    """The values that events added, in the order of the events, and the values that have ended."""

    epoch: str = "epoch"
    values: list[int] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)

    def add(self, count: int) -> Log:
        """Add this many values, the same ones in every run."""
        rng = random.Random(len(self.values))
        self.values += [rng.getrandbits(64) for _ in range(count)]
        return self

    def end_every(self, step: int = 3) -> Log:
        """End every third value, or every `step`-th."""
        self.ended |= set(self.values[::step])
        return self

    @property
    def head(self) -> int:
        """The number of the last event."""
        return len(self.values)

    @property
    def active_values(self) -> list[int]:
        """The values that have not ended, which a search must find."""
        return [value for value in self.values if value not in self.ended]

    def leaf(self, seq: int) -> str:
        """The leaf of event `seq`, or an empty text if there is no such event."""
        return f"{self.values[seq - 1]:x}" if 0 < seq <= self.head else ""

    def alive(self, algorithm: Algorithm, words: Words) -> NDArray[np.bool_]:
        """Which values have not ended."""
        return np.array([value not in self.ended for value in unpack(words)], bool)


class StoreProcess:
    """A process that keeps a segment store up to date with a log."""

    def __init__(self, log: Log, folder: Path, step: Callable[[str], None] = no_step) -> None:
        self.log = log
        self.store = SegmentStore(folder, {PHASH: 6, PDQ: 31}, step)
        self.known = self.start_seq = self.store.start(log.epoch, log.head, log.leaf)
        self.catch_up()

    def catch_up(self) -> None:
        """Add the values of new events."""
        head = self.log.head
        self.store.refresh(head, self.log.leaf)
        for seq in range(max(self.known, self.store.last_seq), head):
            self.store.indexes[PHASH].add([self.log.values[seq]], seq + 1)
        self.known = head

    def write(self) -> bool:
        """Flush and merge unless another process is writing; return whether it did."""
        with self.store.writing() as locked:
            if not locked:
                return False
            self.catch_up()
            if not self.store.keep_if_sound(thoroughly=True):
                self.known = self.store.start(self.log.epoch, self.log.head, self.log.leaf)
                self.catch_up()
            self.store.flush(self.known, self.log.leaf(self.known), self.store.snapshot())
            while self.store.merge(self.log.alive):
                pass
        return True

    def missing_values(self, values: Sequence[int] | None = None) -> list[int]:
        """The values, by default all active ones, that a search does not find."""
        queries = self.log.active_values if values is None else list(values)
        answers = self.store.indexes[PHASH].search(queries, 0)
        pairs = zip(queries, answers, strict=True)
        return [value for value, neighbors in pairs if [neighbor.value for neighbor in neighbors] != [value]]

    def found_values(self) -> list[int]:
        """All values that a search finds, ended or not."""
        return sorted(neighbor.value for neighbor in self.store.indexes[PHASH].search([0], 64)[0])


def files_of(folder: Path) -> set[str]:
    """The names of all files except the manifest and the lock."""
    return {path.name for path in folder.iterdir()} - {"manifest.json", "lock"}
